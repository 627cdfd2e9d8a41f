"""What the tests of the diagnosis share: a clock, and what was found."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from ivr_sim.journal import Finding


@pytest.fixture
def clock() -> MemoryReactorClock:
    return MemoryReactorClock()


@pytest.fixture
def found(journal: Any) -> Any:
    """The codes found so far, in order."""
    return lambda: [event.code for event in journal.of(Finding)]
