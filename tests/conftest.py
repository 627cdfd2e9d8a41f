"""What all tests share: a fixed wall clock, and a journal that keeps its records."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from ivr_sim.journal import Event, Journal, Record

TODAY = date(2026, 11, 23)


class KeptJournal(Journal):
    """A journal with a stopped wall clock that remembers everything."""

    def __init__(self) -> None:
        super().__init__(lambda: datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
        self.records: list[Record] = []
        self.subscribe(self.records.append)

    def of(self, *kinds: type[Event]) -> list[Event]:
        """The events of these kinds, in order."""
        return [r.event for r in self.records if isinstance(r.event, kinds)]

    def time_of(self, event: Event) -> float | None:
        """When this very event happened."""
        return next(r.t for r in self.records if r.event is event)


@pytest.fixture
def journal() -> KeptJournal:
    return KeptJournal()


@pytest.fixture
def today() -> date:
    return TODAY
