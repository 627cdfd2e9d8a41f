"""Many worlds one after the other: what is reached in them, and the first one in which something is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import structlog
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from ivr_sim.journal import PromptStarted, Record
from ivr_sim.ledger import Ledger

from .clock import TICKS
from .invariants import Witness, judged
from .world import Endless, Wall, World

__all__ = ["SEED", "Broken", "Counts", "Runner", "line", "runner"]

SEED = 20261123
COMMAND = ".venv/bin/python -m tests.dialogue.random_calls"


class Broken(AssertionError):
    """An invariant does not hold: which ones, how to play that world again, and what happened in it.

    ``invariants``: their names.
    """

    def __init__(self, world: World, wrong: list[tuple[str, str, str]]) -> None:
        self.invariants = {invariant for _, invariant, _ in wrong}
        told = [f"{call}: {invariant}: {what}" for call, invariant, what in wrong]
        again = f"to play it again: {COMMAND} {world.name}"
        super().__init__(
            "\n".join(["", *told, again, "", *map(line, world.records), "", *_keyed(world), again])
        )


class Counts(Counter[tuple[str, str]]):
    """How often what was reached: (kind, name), where kind is call, outcome, prompt or fault."""

    def add(self, world: World) -> None:
        for call in world.calls:
            if call.started is None:
                continue
            self["call", "calls"] += 1
            self["call", "ticks"] += call.call.tick_now
            if call.ending is None:
                self["outcome", "(process killed)"] += 1
            else:
                cause = f" {call.ending.cause}" if call.ending.cause else ""
                self["outcome", f"{call.ending.outcome}{cause}"] += 1
                self["ending", call.ending.outcome] += 1
        for record in world.records:
            if isinstance(record.event, PromptStarted):
                self["prompt", record.event.name] += 1
        for connection in world.lines:
            for fault, times in connection.met.items():
                self["fault", fault] += times

    def told(self) -> str:
        """A table."""
        lines = []
        for kind in ("outcome", "prompt", "fault"):
            rows = sorted((name, n) for (k, name), n in self.items() if k == kind)
            lines += [f"{kind}s:", *(f"{n:8}  {name}" for name, n in rows)]
        return "\n".join(lines)


class Runner:
    """Plays worlds on one ledger, in memory; see ``runner``, which makes one."""

    def __init__(self, logged: list[str]) -> None:
        self._logged = logged
        self._wall = Wall()
        self._ledger = Ledger("sqlite://", now=self._wall)
        self.counts = Counts()

    def play(self, name: str) -> World:
        """Play one world, by its name: SEED-NUMBER. Raises Broken."""
        self._logged.clear()
        world = World(name, self._ledger, self._wall)
        witness = Witness(world)
        try:
            world.play()
        except Endless as endless:
            raise Broken(world, [(name, "it_ends", f"nothing is due: {endless}")]) from None
        if wrong := judged(world, witness, self._logged):
            raise Broken(world, wrong)
        self.counts.add(world)
        return world

    def play_calls(self, seed: int, first: int, calls: int) -> None:
        """Play worlds from the ``first`` on until so many calls were made. Raises Broken."""
        for number in count(first):
            if self.counts["call", "calls"] >= calls:
                return
            self.play(f"{seed}-{number}")

    def close(self) -> None:
        self._ledger.close()


@contextmanager
def runner() -> Iterator[Runner]:
    """A runner; while it is there, all that is logged at any level goes to it instead of elsewhere."""
    logged: list[str] = []

    def keep(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        logged.append(repr(event))
        raise structlog.DropEvent

    def keep_twisteds(event: Any) -> None:
        if event["log_level"] >= LogLevel.error:
            failure = event.get("log_failure")
            logged.append(failure.getTraceback(detail="verbose") if failure else formatEvent(event))

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, keep],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=False,
    )
    globalLogPublisher.addObserver(keep_twisteds)
    made = Runner(logged)
    try:
        yield made
    finally:
        made.close()
        globalLogPublisher.removeObserver(keep_twisteds)
        structlog.configure(**before)


def line(record: Record) -> str:
    """One event, for a person."""
    place = "      " if record.t is None else f"{record.t:6.2f}"
    return f"{record.call or '':16} {place}  {record.event}"


def _keyed(world: World) -> Iterator[str]:
    """What was keyed, test cards and all: only a failed test tells it."""
    for call in world.calls:
        if call.started is not None:
            strokes = " ".join(f"{s.digit}@{s.down}-{s.up}" for s in call.caller.strokes)
            yield f"{call.name}, from {call.started / TICKS} s, keyed (at ticks): {strokes}"
