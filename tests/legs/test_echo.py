"""The echo: exactly so much later, exactly what was heard, and never over what is said."""

from __future__ import annotations

import numpy as np
import pytest
from twisted.internet.task import Clock

from ivr_sim.legs.echo import Echo
from ivr_sim.media import PCMA, PCMU, Codec, MediaEngine, Samples


def frame(n: int) -> Samples:
    return np.full(160, n, np.int16)


@pytest.mark.parametrize(("delay", "frames"), [(0.2, 10), (0.02, 1), (0.0, 1), (1.0, 50)])
def test_whole_frames_later(delay: float, frames: int) -> None:
    echo = Echo(delay)
    sent = [int(echo.frame(frame(n), None)[0]) for n in range(1, 101)]
    assert sent == [0] * frames + list(range(1, 101 - frames))


def test_what_is_said_goes_first_and_the_echo_goes_on_behind_it() -> None:
    echo = Echo(0.04)
    said = [None, None, None, frame(-7), frame(-8), None]
    assert [int(echo.frame(frame(n), s)[0]) for n, s in enumerate(said, 1)] == [0, 0, 1, -7, -8, 4]


class Mirror:
    """A line that does nothing but echo."""

    def __init__(self) -> None:
        self.echo = Echo(0.2)

    def tick(self, heard: Samples) -> Samples:
        return self.echo.frame(heard, None)

    def key_down(self, *key: object) -> None:
        """Keys are only tones here."""

    key_up = key_down


class Speaker(Mirror):
    def __init__(self, speech: Samples) -> None:
        self.speech = speech
        self.heard: list[Samples] = []

    def tick(self, heard: Samples) -> Samples:
        self.heard.append(heard)
        first = 160 * (len(self.heard) - 1)
        return self.speech[first : first + 160]


@pytest.mark.parametrize("codec", [PCMU, PCMA], ids=lambda codec: codec.name)
def test_over_the_media_engine(codec: Codec) -> None:
    """Delay and quality, measured on real sockets and a clock that the test moves."""
    t = np.arange(8000 * 4) / 8000
    speech = np.round(8000 * np.sin(2 * np.pi * (300 + 50 * t) * t)).astype(np.int16)
    clock = Clock()
    engine = MediaEngine(clock)
    engine.start()
    near, far = engine.open(), engine.open()
    speaker = Speaker(speech)
    near.start(speaker, codec, ("127.0.0.1", far.local_port), None)
    far.start(Mirror(), codec, ("127.0.0.1", near.local_port), None)
    try:
        for _ in range(200):
            clock.advance(0.02)
    finally:
        engine.stop()
    heard = np.concatenate(speaker.heard).astype(float)
    ratios = {}
    for frames in range(10, 25):
        part = heard[160 * frames :]
        sent = speech[: len(part)].astype(float)
        ratios[frames] = 10 * np.log10((sent**2).sum() / max(((part - sent) ** 2).sum(), 1e-9))
    best = max(ratios, key=ratios.__getitem__)
    assert ratios[best] > 35
    assert 0.26 <= best * 0.02 <= 0.34  # 200 ms, and twice what waits to be played out
