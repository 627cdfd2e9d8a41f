"""Tells findings, each once for its cause and source, and never so many that they hide each other."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

from ivr_sim.diagnosis.findings import finding
from ivr_sim.journal import Journal

__all__ = ["Source", "Teller"]

# Whom a finding is about: a host and a user at it, or "" where it is not about one of these.
Source = tuple[str, str]

AGAIN = 300.0  # seconds after which what is still wrong is told again
REMEMBERED = 512
PER_HOST = 4  # of one code in that time: whoever tries more users than that is a scanner
PER_MINUTE = 30  # in all, of what happens outside of calls


class Teller:
    """Writes findings to the journal. clock: IReactorTime. ``untold`` counts those left out."""

    def __init__(self, clock: Any, journal: Journal) -> None:
        self.untold = 0
        self._clock = clock
        self._journal = journal
        self._told: OrderedDict[tuple[str, Source], float] = OrderedDict()
        self._recent: deque[float] = deque()

    def tell(self, code: str, source: Source, **facts: object) -> None:
        """Tell something that belongs to no call."""
        now = self._clock.seconds()
        while self._told and next(iter(self._told.values())) <= now - AGAIN:
            self._told.popitem(last=False)
        while self._recent and self._recent[0] <= now - 60:
            self._recent.popleft()
        if (code, source) in self._told:
            return
        at_host = sum(told == code and host == source[0] for told, (host, _) in self._told)
        if at_host >= PER_HOST or len(self._recent) >= PER_MINUTE:
            self.untold += 1
            return
        self._told[code, source] = now
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._recent.append(now)
        self._journal.emit(finding(code, **facts))

    def tell_call(self, code: str, call: str, t: float, **facts: object) -> None:
        """Tell something of a call, at its own time; that it is told once is for the call to see to."""
        self._journal.emit(finding(code, **facts), call=call, t=t)

    def forget(self, source: Source) -> None:
        """It works now: if it fails again, that is told anew."""
        for key in [key for key in self._told if key[1] == source]:
            del self._told[key]
