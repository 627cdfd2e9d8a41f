"""Python's garbage collector, kept out of the 20 ms beat.

What loses its last reference is freed at once; the collector looks for circles only. Where thousands of calls
are remembered, its look at all that is old takes 0.1 to 0.3 s (measured at 100 calls a second), in which no
call is answered and nobody hears anything. So that look waits for a moment without calls.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

__all__ = ["GarbageCollection"]

EVERY = 5.0  # seconds between two looks whether there is something to do
DUE = 10  # collections of the middle generation, after which Python would collect the old one
LONGEST = 600.0  # seconds: circles do not grow for ever because somebody is always on the line
NEVER = 1 << 30


class GarbageCollection:
    """Collects what is old when nobody is on the line; after ten minutes in any case.

    clock: an IReactorTime. busy: whether a pause would be noticed now. It is the whole process that this
    changes: for programs, not for libraries.
    """

    def __init__(self, clock: Any, busy: Callable[[], bool]) -> None:
        self._clock = clock
        self._busy = busy
        self._thresholds = gc.get_threshold()
        self._timer: Any = None
        self._last = 0.0

    def start(self) -> None:
        """Set aside what is there now, for the collector to look at no more; take over from Python."""
        gc.collect()
        gc.freeze()
        young, middle, _ = self._thresholds
        gc.set_threshold(young, middle, NEVER)
        self._last = self._clock.seconds()
        self._timer = self._clock.callLater(EVERY, self._look)

    def stop(self) -> None:
        """Give it back to Python; may be called twice, and without ``start``."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()

    def _look(self) -> None:
        self._timer = self._clock.callLater(EVERY, self._look)
        now = self._clock.seconds()
        if gc.get_count()[2] < DUE or (self._busy() and now - self._last < LONGEST):
            return
        gc.collect()
        self._last = now
