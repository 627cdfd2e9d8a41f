"""A ledger that cannot be opened, written or closed, and one that two processes share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.dialogue import Outcome
from ivr_sim.errors import ConfigurationError
from ivr_sim.ledger import Intent, Ledger, LedgerFailed

Play = Callable[[Any], Any]


@pytest.fixture
def play(on_reactor: Any, world: Any, tmp_path: Path) -> Callable[[Play], Any]:
    """Runs a coroutine function on a merchant and ``till``, which makes a process on its ledger."""

    async def run(what: Play) -> Any:
        merchant = world.open_merchant(reactor, tmp_path / "services")
        tills: list[Any] = []

        async def till(attempts: str = "a", ledger: str = "") -> Any:
            place = world.Place.of(merchant, tmp_path / "ledger.sqlite3")
            if ledger:
                place = world.Place(**vars(place) | {"ledger": ledger})
            tills.append(world.Till(reactor, place, world.Leaping(reactor), attempts=attempts))
            await tills[-1].cashier.start()
            return tills[-1]

        try:
            return await what(SimpleNamespace(merchant=merchant, till=till, file=tmp_path / "ledger.sqlite3"))
        finally:
            for made in tills:
                await made.stop()
            await merchant.stop()

    return lambda what: on_reactor(run, what, seconds=30)


def intent(attempt: str, **more: Any) -> Intent:
    fields = {"account": "m1", "call": "0001", "order_id": "ord-9", "amount": Decimal("200.00")} | more
    return Intent(attempt=attempt, **fields)


def locked(file: Path) -> sqlite3.Connection:
    """Another process in the middle of a transaction."""
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def told(till: Any, call: str) -> list[str]:
    return [name for name, _ in till.told(call)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a lock."""
    monkeypatch.setattr("ivr_sim.database.LOCK_WAIT", 0.1)


def test_a_ledger_that_cannot_be_written(play: Any, world: Any) -> None:
    """Nothing is charged, and the caller hears that nothing was."""

    async def scene(at: SimpleNamespace) -> None:
        Ledger(f"sqlite:///{at.file}", now=lambda: world.BEGINNING).close()
        till = await at.till(ledger=f"sqlite:///file:{at.file}?mode=ro&uri=true")
        ending = await till.serve("0001")
        assert (ending.outcome, ending.cause) == (Outcome.OPENPAY_FAILED, "ledger")
        assert told(till, "0001") == ["openpay_failed"]
        assert at.merchant.charges.charges() == []

    play(scene)


def test_a_disk_that_is_full(play: Any, world: Any) -> None:
    async def scene(at: SimpleNamespace) -> None:
        till = await at.till("x-later-than-all")
        fill_up(till)
        ending = await till.serve("0001")
        assert (ending.outcome, ending.cause) == (Outcome.OPENPAY_FAILED, "ledger")
        assert at.merchant.charges.charges() == []

    play(scene)


def fill_up(till: Any) -> None:
    """Leave no room for one more entry: SQLite says then what it says of a full disk.

    All are smaller than the one that is to come, and before it in every index: it needs the same page.
    """
    with till.ledger._database.transaction() as session:
        session.connection().exec_driver_sql("PRAGMA max_page_count = 12")
    for n in range(1000):
        try:
            till.ledger.open(intent(f"w-{n:03}", account=till.account, order_id="ord-0", call="1"))
        except LedgerFailed as failed:
            assert "database or disk is full" in str(failed)  # noqa: PT017
            return
    raise AssertionError("there is always room")


@pytest.mark.usefixtures("impatient")
def test_a_ledger_that_is_locked(play: Any) -> None:
    async def scene(at: SimpleNamespace) -> None:
        till = await at.till()
        with closing(locked(at.file)):
            ending = await till.serve("0001")
        assert (ending.outcome, ending.cause) == (Outcome.OPENPAY_FAILED, "ledger")
        assert at.merchant.charges.charges() == []
        assert (await till.serve("0002")).outcome == Outcome.APPROVED  # and then it is not

    play(scene)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("card", "outcome", "settled"),
    [
        ("4111111111111111", "approved", "approved"),
        ("4222222222222220", "declined", "failed"),
    ],
)
def test_an_outcome_that_cannot_be_written(
    play: Any, world: Any, card: str, outcome: str, settled: str
) -> None:
    """The caller is told what Openpay said, and the ledger learns it from there at the next start."""

    async def scene(at: SimpleNamespace) -> None:
        till = await at.till()
        locks: list[sqlite3.Connection] = []
        create_charge = till.client.create_charge

        async def charged(*args: Any, **named: Any) -> Any:
            try:
                return await create_charge(*args, **named)
            finally:
                locks.append(locked(at.file))

        till.client.create_charge = charged
        till.cashier._clock.frozen = True
        ending = await till.serve("0001", ask_card=card)
        assert (ending.outcome, told(till, "0001")) == (outcome, [outcome])
        locks[0].close()
        [entry] = till.entries()
        assert entry.settled is None
        await till.stop()

        again = await at.till("b")
        [(call, event)] = await again.settled(reactor)
        assert (call, event.attempt, event.result) == ("0001", entry.attempt, outcome)
        world.check_books(again.entries(), at.merchant)
        await again.serve("0002")
        assert told(again, "0002") == ["already_paid" if outcome == "approved" else "approved"]
        assert len(world.completed(at.merchant)) == 1

    play(scene)


def meeting(size: int) -> Callable[[Any], Any]:
    """Wraps coroutine functions: what they find, they return when all of them have found it."""
    there: list[Deferred[None]] = []

    def wrap(function: Any) -> Any:
        async def wrapped(*args: Any) -> Any:
            found = await function(*args)
            there.append(Deferred())
            if len(there) == size:
                for other in there:
                    other.callback(None)
            await there[-1]
            return found

        return wrapped

    return wrap


def test_two_processes_on_one_ledger(play: Any, world: Any) -> None:
    """Both find that the order may be charged, and charge it: one of them does."""
    meet = meeting(2)

    async def scene(at: SimpleNamespace) -> None:
        one, two = await at.till("a"), await at.till("b")
        for till in (one, two):
            till.cashier.earlier = meet(till.cashier.earlier)
        await gatherResults([Deferred.fromCoroutine(till.serve("0001")) for till in (one, two)])
        assert sorted(told(one, "0001") + told(two, "0001")) == ["already_paid", "approved"]
        assert len(world.completed(at.merchant)) == 1
        world.check_books(two.entries(), at.merchant)
        assert len(two.entries()) == 2

    play(scene)


def test_what_a_dead_process_left_open_is_settled_by_another_that_runs(play: Any, world: Any) -> None:
    async def scene(at: SimpleNamespace) -> None:
        till = await at.till()
        till.ledger.open(intent("dead-1", account=till.account, order_id=world.ORDER))
        till._left = {"dead-1"}
        ending = await till.serve("0002")
        assert (ending.outcome, ending.cause) == (Outcome.UNKNOWN, "earlier_charge")
        [(call, event)] = await till.settled(reactor)
        assert (call, event.attempt, event.result) == ("0001", "dead-1", "failed")
        assert (await till.serve("0003")).outcome == Outcome.APPROVED

    play(scene)


@pytest.mark.parametrize("spoil", ["text", "header", "empty pages"])
def test_a_corrupt_ledger(tmp_path: Path, world: Any, spoil: str) -> None:
    """Said in a sentence, and the file is left as it is for whoever mends it."""
    file = tmp_path / "ledger.sqlite3"
    ledger = Ledger(f"sqlite:///{file}", now=lambda: world.BEGINNING)
    ledger.open(intent("a-1"))
    ledger.close()
    whole = file.read_bytes()
    spoiled = {
        "text": b"this is no database\n" * 500,
        "header": b"\0" * 100 + whole[100:],
        "empty pages": whole[:100] + b"\0" * (len(whole) - 100),
    }[spoil]
    file.write_bytes(spoiled)
    with pytest.raises(
        ConfigurationError, match=r"^the ledger's database cannot be opened: .*(database|malformed)"
    ):
        Ledger(f"sqlite:///{file}", now=lambda: world.BEGINNING)
    assert file.read_bytes() == spoiled


def test_a_commit_that_was_torn(tmp_path: Path, world: Any) -> None:
    """Killed while SQLite wrote a commit to its log: what is there then is all of it, or nothing.

    The log is a header of 32 bytes, then frames of 24 bytes and a page; a process that is killed leaves a
    beginning of them.
    """
    file, log = tmp_path / "ledger.sqlite3", tmp_path / "ledger.sqlite3-wal"
    ledger = Ledger(f"sqlite:///{file}", now=lambda: world.BEGINNING)
    ledger.open(intent("a-1"))
    before = log.stat().st_size
    ledger.open(intent("a-2"))
    main, whole = file.read_bytes(), log.read_bytes()
    ledger.close()
    assert len(whole) > before
    seen = set()
    for cut in [*range(before, len(whole), 509), len(whole) - 1, len(whole)]:
        folder = tmp_path / f"cut-{cut}"
        folder.mkdir()
        (folder / file.name).write_bytes(main)
        (folder / log.name).write_bytes(whole[:cut])
        found = Ledger(f"sqlite:///{folder / file.name}", now=lambda: world.BEGINNING)
        attempts = [entry.attempt for entry in found.entries(open_only=True)]
        assert attempts == (["a-1", "a-2"] if cut == len(whole) else ["a-1"])
        found.close()
        seen.add(len(attempts))
    assert seen == {1, 2}
