"""Virtual time: a Twisted clock that stands on whole ticks of 20 ms."""

from __future__ import annotations

from math import ceil
from typing import Any

from twisted.internet.task import Clock

TICKS = 50  # per second


class TickClock(Clock):
    """A clock that is set, not summed up: tick n is n / 50 seconds.

    ``stirred``: something was put on it since whoever looks at it made it false.
    """

    stirred = False

    def callLater(self, *args: Any, **named: Any) -> Any:  # noqa: N802
        self.stirred = True
        return super().callLater(*args, **named)

    def to(self, tick: int) -> None:
        """Let the time be ``tick``, and whatever was due until then happen."""
        self.rightNow = tick / TICKS
        while self.calls and self.calls[0].getTime() <= self.rightNow:
            self.advance(0)

    @property
    def next_tick(self) -> int | None:
        """The first tick at which something is due."""
        if not self.calls:
            return None
        due = self.calls[0].getTime()
        tick = ceil(due * TICKS)
        return tick if tick / TICKS >= due else tick + 1
