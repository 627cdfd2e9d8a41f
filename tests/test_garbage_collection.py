"""The collector waits until nobody is on the line."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from ivr_sim.garbage_collection import DUE, EVERY, LONGEST, GarbageCollection


class Circle:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.me = self


def old_circle() -> weakref.ref[Circle]:
    """A circle that nobody holds, in the old generation, which is due."""
    circle = Circle()
    told = weakref.ref(circle)
    for _ in range(DUE):
        gc.collect(1)
    assert gc.get_count()[2] >= DUE
    del circle
    return told


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def busy() -> list[bool]:
    return [True]


@pytest.fixture
def collection(clock: Clock, busy: list[bool]) -> Iterator[GarbageCollection]:
    collection = GarbageCollection(clock, lambda: busy[0])
    collection.start()
    yield collection
    collection.stop()


@pytest.mark.usefixtures("collection")
def test_what_is_old_is_collected_when_nobody_is_on_the_line(clock: Clock, busy: list[bool]) -> None:
    circle = old_circle()
    clock.advance(EVERY)
    assert circle() is not None
    busy[0] = False
    clock.advance(EVERY)
    assert circle() is None


@pytest.mark.usefixtures("collection")
def test_after_ten_minutes_it_is_collected_in_any_case(clock: Clock) -> None:
    circle = old_circle()
    clock.pump([EVERY] * int(LONGEST / EVERY - 1))
    assert circle() is not None
    clock.advance(EVERY)
    assert circle() is None


@pytest.mark.usefixtures("collection")
def test_without_need_nothing_is_collected(clock: Clock, busy: list[bool]) -> None:
    gc.collect()
    looks: list[str] = []
    gc.callbacks.append(look := lambda phase, info: looks.append(phase) if info["generation"] == 2 else None)
    try:
        busy[0] = False
        clock.advance(EVERY)
    finally:
        gc.callbacks.remove(look)
    assert not looks


def test_python_has_it_back_afterwards(clock: Clock) -> None:
    before = gc.get_threshold()
    collection = GarbageCollection(clock, lambda: False)
    collection.stop()
    collection.start()
    assert gc.get_threshold() != before
    assert gc.get_freeze_count()
    collection.stop()
    collection.stop()
    assert gc.get_threshold() == before
    assert not gc.get_freeze_count()
    assert not clock.getDelayedCalls()
