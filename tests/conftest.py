"""What all tests share: a fixed wall clock, a journal that keeps its records, and a running reactor."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from twisted.internet import threads
from twisted.internet.defer import Deferred, maybeDeferred

from ivr_sim.journal import Event, Journal, Record

TODAY = date(2026, 11, 23)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that take longest start first, so that no worker is left with one at the end."""
    items.sort(
        key=lambda item: 0 if item.get_closest_marker("slow") else 1 if item.get_closest_marker("sip") else 2
    )


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


@pytest.fixture(scope="session")
def on_reactor() -> Callable[..., Any]:
    """Calls a function on the running reactor and waits for its result, at most ``seconds`` (20).

    The function may be a coroutine function, or return a Deferred. The reactor runs in a daemon thread
    and is not stopped: it could not be started again for the tests that follow.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    if not reactor.running:
        started = threading.Event()
        reactor.callWhenRunning(started.set)
        thread = threading.Thread(
            target=reactor.run, kwargs={"installSignalHandlers": False}, name="reactor", daemon=True
        )
        thread.start()
        assert started.wait(10)

    def call(function: Callable[..., Any], *args: Any, seconds: float = 20, **more: Any) -> Any:
        def begin() -> Deferred[Any]:
            if inspect.iscoroutinefunction(function):
                done = Deferred.fromCoroutine(function(*args, **more))
            else:
                done = maybeDeferred(function, *args, **more)
            return done.addTimeout(seconds, reactor)

        return threads.blockingCallFromThread(reactor, begin)

    return call
