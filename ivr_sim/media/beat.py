"""The beat of 20 ms that all calls of a process share.

Ticks are due at start + n * 20 ms, whatever the last one took. Those that are late are caught up at once, one
after the other, so that nothing drifts; after a standstill of more than a second the beat is taken up anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from ivr_sim.errors import LocalProtocolError, place

__all__ = ["TICK", "Beat", "Metronome"]

log = structlog.get_logger(__name__)

TICK = 0.020
CATCH_UP = 50  # ticks; a longer standstill is a laptop asleep
SOON = 1e-6  # seconds: sums of floating point numbers may fall short of a tick by so much
LATE = 0.005  # seconds
OVERLOADED = 3.0  # seconds in which the beat was never caught up with; a burst of set-ups takes one


@dataclass(slots=True)
class Beat:
    """How well time was kept: ticks; those that began more than 5 ms late; the latest, in milliseconds."""

    ticks: int = 0
    late: int = 0
    worst_ms: float = 0.0


class Metronome:
    """Calls a function every 20 ms, from ``start`` to ``stop``. clock: IReactorTime."""

    def __init__(self, clock: Any) -> None:
        self.beat = Beat()
        self.ticks = 0  # since the start, with those that were left out
        self._clock = clock
        self._tick: Callable[[int], None] | None = None  # while it runs
        self._next: Any = None  # the tick to come, an IDelayedCall
        self._timing = ExitStack()
        self._started_at = 0.0
        self._late_since: float | None = None

    def start(self, tick: Callable[[int], None]) -> None:
        """Begin to call ``tick``. Raises LocalProtocolError when it runs already.

        tick: is told how many ticks it comes before the one that is due now: 0 for one on time. What it
        raises is logged, and costs no other tick.
        """
        if self._tick is not None:
            raise LocalProtocolError("the media engine runs already")
        self._tick = tick
        self._timing.enter_context(_fine_timers())
        self._started_at, self.ticks = self._clock.seconds(), 0
        self._schedule()

    def stop(self) -> None:
        """Tick no more; a tick may say so itself."""
        self._tick = None
        self._timing.close()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    @property
    def overloaded(self) -> bool:
        """Whether ticks take longer than they may: for OVERLOADED the beat has not been caught up with."""
        return self._late_since is not None and self._clock.seconds() - self._late_since >= OVERLOADED

    def _due(self) -> None:
        self._next = None
        due = int((self._clock.seconds() - self._started_at + SOON) / TICK)
        if due - self.ticks > CATCH_UP:
            log.warning("media stood still", seconds=round((due - self.ticks) * TICK, 1))
            self.ticks = due - 1
        while self._tick is not None and self.ticks < due:
            self.ticks += 1
            self._keep_time()
            try:
                self._tick(due - self.ticks)
            except Exception as error:
                log.error("a media tick failed", error=type(error).__name__, at=place(error))
        if self._tick is not None:
            self._schedule()

    def _schedule(self) -> None:
        now = self._clock.seconds()
        wait = self._started_at + (self.ticks + 1) * TICK - now
        if wait > 0:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        self._next = self._clock.callLater(max(wait - SOON / 2, 0), self._due)

    def _keep_time(self) -> None:
        late = self._clock.seconds() - (self._started_at + self.ticks * TICK)
        self.beat.ticks += 1
        self.beat.late += late > LATE
        self.beat.worst_ms = max(self.beat.worst_ms, round(1000 * late, 1))


@contextmanager
def _fine_timers() -> Iterator[None]:
    """Windows wakes a waiting process every 15.6 ms only, unless it is asked for better."""
    if sys.platform != "win32":
        yield
        return
    import ctypes

    ctypes.windll.winmm.timeBeginPeriod(1)
    try:
        yield
    finally:
        ctypes.windll.winmm.timeEndPeriod(1)
