"""The process killed (SIGKILL) at each event of a whole call, and at the points between that matter.

Then it is started again on what it left on disk. Either all of it ran in that one process, as in
``ivr-sim demo``, Openpay's stand-in too; or Openpay outlives it. In every case: one completed charge at
most, its outcome in the ledger, whole lines in the journal, nothing locked, each caller told the truth.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

import ivr_sim.openpay.app as stand_in
from ivr_sim.call import phrase

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks the process that is killed")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WAV = ROOT / "fixtures" / "calls" / "approved.wav"
RESULTS = ("approved", "declined", "already_paid", "unknown_outcome", "openpay_failed")
EVENTS = 62  # of the call that is approved, when nobody kills it
ONE_MOMENT, SENT, SETTLED = 54, 56, 57
FIRST_AUTHORIZATION = "492618"  # of the bank that is seeded with "faults"
# In the order in which they are reached.
BETWEEN = (
    "before the intent", "committing the intent", "after the intent", "after the token",
    "before the charge", "committing the charge", "after the charge",
    "after the answer", "before the outcome", "committing the outcome", "after the outcome",
)  # fmt: skip
OPEN = BETWEEN[BETWEEN.index("after the intent") : BETWEEN.index("after the outcome")]
PAID = BETWEEN[BETWEEN.index("after the charge") :]


class Victims:
    """The warm parent of the processes that are killed."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._parent = subprocess.Popen(
            [sys.executable, str(HERE / "victim.py"), str(WAV)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OPENBLAS_NUM_THREADS": "1",
                "PYTHONWARNINGS": "error",
            },
        )

    def kill(self, folder: Path, point: int | str, *, place: Any = None, born: Any = int) -> int:
        """Hold a call in a new process up to where it is killed; born: told its process id. Blocks."""
        where = None if place is None else asdict(place)
        job = {"folder": str(folder), "data": str(self._data), "kill": point, "place": where}
        assert self._parent.stdin is not None
        print(json.dumps(job), file=self._parent.stdin, flush=True)
        born(self._said()["pid"])
        return int(self._said()["ended"])

    def _said(self) -> dict[str, int]:
        assert self._parent.stdout is not None
        said: dict[str, int] = json.loads(self._parent.stdout.readline())
        return said

    def end(self) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.stdout.close()
        return self._parent.wait(10)


@pytest.fixture(scope="module")
def victims(on_reactor: Any, library: Any, data: Path) -> Iterator[Victims]:
    # What is said to the first charge that this bank ever makes, rendered once for all.
    on_reactor(library.sound, phrase("approved", authorization=FIRST_AUTHORIZATION))
    made = Victims(data)
    yield made
    assert made.end() == 0


def one_process(point: int | str) -> tuple[bool, bool]:
    """Whether the order is paid, and whether an entry is open, when all were killed together."""
    if isinstance(point, int):
        return point >= SETTLED, False
    return point in PAID, point in OPEN


def openpay_lives(point: int | str) -> tuple[bool, bool]:
    """The same, when Openpay goes on: what had reached it is done."""
    return one_process(point)[0] or point == "before the charge", one_process(point)[1]


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Whole lines; only the last may have been cut."""
    lines = path.read_text(encoding="utf-8").split("\n")
    records = [json.loads(line) for line in lines[:-1]]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    return records


@dataclass
class Late:
    """A charge that Openpay is about to make when the process that sent it dies, and makes much later."""

    go_on: threading.Event = field(default_factory=threading.Event)
    made: threading.Event = field(default_factory=threading.Event)

    async def arrive(self) -> None:
        self.go_on.set()
        while not self.made.is_set():
            await deferLater(reactor, 0.002)  # type: ignore[arg-type]


def stop_time_after_looks(till: Any, clock: Any, looks: int) -> Deferred[None]:
    """Fires when Openpay was asked so often what it knows of the order; time stands still from there on."""
    asked: Deferred[None] = Deferred()
    list_charges = till.client.list_charges
    left = iter(range(looks - 1, -1, -1))

    async def counted(**query: Any) -> Any:
        found = await list_charges(**query)
        if next(left, None) == 0:
            clock.frozen = True
            reactor.callLater(0, asked.callback, None)  # type: ignore[attr-defined]
        return found

    till.client.list_charges = counted
    return asked


async def start_again(
    world: Any,
    merchant: Any,
    folder: Path,
    said: Any,
    *,
    paid: bool,
    left_open: bool,
    late: Late | None = None,
) -> None:
    """A process on what was left, and two callers: one at once, one when everything is settled."""
    clock = world.Leaping(reactor, begins=world.BEGINNING + timedelta(seconds=10))
    clock.frozen = True
    till = world.Till(reactor, world.Place.of(merchant, folder / "ledger.sqlite3"), clock, attempts="b")
    try:
        left = till.ledger.entries(open_only=True)
        assert [(e.attempt, e.call) for e in left] == ([("a-1", "0001")] if left_open else [])
        world.check_told(said, world.completed(merchant))
        # Three looks at what was left open, and one for the caller: they find nothing, and prove nothing,
        # for they began within what the requests of the process that died may take.
        asked = stop_time_after_looks(till, clock, 4) if late is not None else None
        await till.cashier.start()
        await till.serve("0002")
        [(at_once, _)] = till.told("0002")
        known = paid and late is None
        assert at_once == ("already_paid" if known else "unknown_outcome" if left_open else "approved")
        clock.frozen = False
        if late is not None and asked is not None:
            await asked
            await late.arrive()
            clock.frozen = False
        settled = [(call, event.result) for call, event in await till.settled(reactor)]
        assert settled == ([("0001", "approved" if paid else "failed")] if left_open else [])
        world.check_books(till.entries(), merchant)

        world.check_told(till.told("0002"), world.completed(merchant))
        await till.serve("0003")
        [(in_the_end, _)] = till.told("0003")
        assert in_the_end == ("already_paid" if paid or at_once == "approved" else "approved")
        assert len(world.completed(merchant)) == 1
        world.check_books(till.entries(), merchant)
    finally:
        await till.stop()


def check_journal(folder: Path, point: int | str) -> list[tuple[str, dict[str, str]]]:
    """Its lines are whole, up to the last event before the end; what the caller was told of the charge."""
    records = read_journal(folder / "journal.jsonl")
    assert len(records) == (point if isinstance(point, int) else SENT)
    return [
        (r["name"], r["params"]) for r in records if r["event"] == "PromptStarted" and r["name"] in RESULTS
    ]


@pytest.mark.parametrize("point", [*range(1, EVENTS + 1), *BETWEEN], ids=str)
def test_everything_is_killed(
    on_reactor: Any, world: Any, victims: Victims, tmp_path: Path, point: Any
) -> None:
    assert victims.kill(tmp_path, point) == -signal.SIGKILL
    said = check_journal(tmp_path, point)
    paid, left_open = one_process(point)

    async def again() -> None:
        merchant = world.open_merchant(reactor, tmp_path / "services")
        try:
            await start_again(world, merchant, tmp_path, said, paid=paid, left_open=left_open)
        finally:
            await merchant.stop()

    on_reactor(again)


@pytest.mark.parametrize(
    "point", [*range(ONE_MOMENT, EVENTS + 1), *(p for p in BETWEEN if p != "committing the charge")], ids=str
)
def test_openpay_outlives_it(
    on_reactor: Any, world: Any, victims: Victims, tmp_path: Path, point: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid, left_open = openpay_lives(point)
    late = Late() if point == "before the charge" else None
    born: list[int] = []
    create_charge = stand_in.create_charge

    def killing(*args: Any, **named: Any) -> Any:
        if point == "before the charge":
            os.kill(born[0], signal.SIGKILL)
            assert late is not None
            assert late.go_on.wait(20)
        charge = create_charge(*args, **named)
        if point == "after the charge":
            os.kill(born[0], signal.SIGKILL)
        if late is not None:
            late.made.set()
        return charge

    async def open_() -> Any:
        return world.open_merchant(reactor, tmp_path / "services")

    merchant = on_reactor(open_)
    try:
        place = world.Place.of(merchant, tmp_path / "ledger.sqlite3")
        with monkeypatch.context() as patch:
            patch.setattr(stand_in, "create_charge", killing)
            assert victims.kill(tmp_path, point, place=place, born=born.append) == -signal.SIGKILL
        said = check_journal(tmp_path, point)
        on_reactor(start_again, world, merchant, tmp_path, said, paid=paid, left_open=left_open, late=late)
    finally:
        on_reactor(merchant.stop)


def test_the_call_that_nobody_kills(on_reactor: Any, world: Any, victims: Victims, tmp_path: Path) -> None:
    """It has the events at which the others are killed: that none is left out."""
    assert victims.kill(tmp_path, 0) == 0
    events = [r["event"] for r in read_journal(tmp_path / "journal.jsonl")]
    assert len(events) == EVENTS
    assert events[SENT - 1 : SETTLED] == ["ChargeSent", "ChargeSettled"]
    assert events[-1] == "CallEnded"
