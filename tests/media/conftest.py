"""A clock that stands still, an engine on it, and listeners that write down what they hear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from twisted.internet.task import Clock

import dtmf
from ivr_sim.media import PCMU, MediaEngine

TICK = 0.02


class Listener:
    """Speaks what it was given, frame by frame, and keeps what it heard and which keys were pressed."""

    def __init__(self, speech: np.ndarray | None = None) -> None:
        self.speech = np.zeros(0, np.int16) if speech is None else speech
        self.frames: list[np.ndarray] = []
        self.events: list[tuple] = []

    def tick(self, heard):
        n = len(self.frames)
        self.frames.append(heard)
        frame = self.speech[160 * n : 160 * n + 160]
        return frame if len(frame) == 160 else None

    def key_down(self, digit, method, start):
        self.events.append(("down", digit, method, start))

    def key_up(self, digit, method, start, duration_ms, level_dbm0, twist_db=None):
        self.events.append(("up", digit, method, start, duration_ms, level_dbm0))

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate(self.frames) if self.frames else np.zeros(0, np.int16)

    @property
    def downs(self) -> str:
        return "".join(event[1] for event in self.events if event[0] == "down")

    @property
    def ups(self) -> str:
        return "".join(event[1] for event in self.events if event[0] == "up")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_engine(clock) -> Iterator[Callable[..., MediaEngine]]:
    engines = []

    def make(**options) -> MediaEngine:
        engine = MediaEngine(clock, **options)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.stop()


@pytest.fixture
def engine(make_engine) -> MediaEngine:
    engine = make_engine(max_streams=8)
    engine.start()
    return engine


@pytest.fixture
def ticks(clock) -> Callable[[int], None]:
    """Let so many ticks pass, one by one."""

    def advance(count: int) -> None:
        for _ in range(count):
            clock.advance(TICK)

    return advance


@pytest.fixture
def listener() -> type[Listener]:
    return Listener


@pytest.fixture
def two_streams(engine):
    """Two streams of one engine that talk to each other."""

    def make(left=None, right=None, *, codec=PCMU, events: int | None = 101) -> SimpleNamespace:
        a, b = engine.open(), engine.open()
        a_hears, b_hears = Listener(left), Listener(right)
        a.start(a_hears, codec, ("127.0.0.1", b.local_port), events)
        b.start(b_hears, codec, ("127.0.0.1", a.local_port), events)
        return SimpleNamespace(a=a, b=b, a_hears=a_hears, b_hears=b_hears)

    return make


@pytest.fixture
def tones() -> Callable[..., np.ndarray]:
    """Key tones as int16."""

    def make(digits: str, **options) -> np.ndarray:
        return np.round(dtmf.generate(digits, **options) * 32767).astype(np.int16)

    return make


@pytest.fixture
def sine() -> Callable[..., np.ndarray]:
    def make(seconds: float, hz: float = 440.0, amplitude: float = 8000.0) -> np.ndarray:
        t = np.arange(round(8000 * seconds)) / 8000
        return np.round(amplitude * np.sin(2 * np.pi * hz * t)).astype(np.int16)

    return make
