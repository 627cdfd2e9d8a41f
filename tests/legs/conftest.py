"""One line: a LegCall, ticked by hand, with a dialogue of a line or two."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ivr_sim.call import Entry, Phrase
from ivr_sim.legs import LegCall
from ivr_sim.media import FRAME_SAMPLES

SILENCE = np.zeros(FRAME_SAMPLES, np.int16)


class Tones:
    """Every prompt is a second of its own constant sample; with ``held`` it is not there until it fires."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.seconds = 1.0
        self.held: Deferred[None] | None = None

    async def sound(self, phrase: Phrase) -> np.ndarray:
        self.names.append(phrase.name)
        if self.held is not None:
            await self.held
        return np.full(round(self.seconds * 8000), len(self.names), np.int16)


class Line:
    """Drives one call. ``spoken``: what was sent, frame by frame; 0 is silence, else the prompt's sample."""

    def __init__(self, journal: Any, limit: float = 600.0) -> None:
        self.sounds = Tones()
        self.call = LegCall(journal, "call-1", self.sounds, limit=limit)
        self.spoken: list[int] = []
        self.results: list[Any] = []
        self.call.answered()

    def start(self, talk: Coroutine[Any, Any, Any]) -> None:
        """Run a dialogue until it waits; what it returns or raises goes to ``results``."""
        done = Deferred.fromCoroutine(talk)
        done.addErrback(lambda failure: failure.value if isinstance(failure, Failure) else failure)
        done.addCallback(self.results.append)

    def collect(self, *phrases: Phrase, max_digits: int = 4, first: float = 8.0, digit: float = 4.0, **more):
        """Start asking for an entry."""
        self.start(
            self.call.collect(
                *phrases, max_digits=max_digits, first_digit_timeout=first, digit_timeout=digit, **more
            )
        )

    def tick(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            frame = self.call.tick(SILENCE)
            self.spoken.append(0 if frame is None else int(frame[0]))

    def down(self, digit: str, method: str = "inband") -> None:
        self.call.key_down(digit, method, self.call.now)

    def up(self, digit: str, ms: int = 100, method: str = "inband", level: float = -10.0) -> None:
        self.call.key_up(digit, method, self.call.now - ms / 1000, ms, level)

    def press(self, *digits: str) -> None:
        """Keys of 100 ms, 100 ms apart."""
        for digit in "".join(digits):
            self.down(digit)
            self.tick(0.1)
            self.up(digit)
            self.tick(0.1)

    @property
    def entry(self) -> tuple[str, str]:
        """The one entry that was taken: digits, and how it ended."""
        [entry] = self.results
        assert isinstance(entry, Entry), entry
        return entry.typed.reveal(), entry.ended


@pytest.fixture
def line(journal) -> Line:
    return Line(journal)


@pytest.fixture
def short_line(journal) -> Line:
    """A call that may last ten seconds."""
    return Line(journal, limit=10.0)
