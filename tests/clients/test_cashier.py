"""The cashier: the ledger first and last, and what stays open looked into until it is known.

Openpay, the ledger's file and time are the test's; threads there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from ivr_sim.clients import Cashier, OpenpayAcquirer, OpenpayRefused, OpenpayUnreachable
from ivr_sim.clients.cashier import AGAIN, UNDER_WAY
from ivr_sim.dialogue.services import AcquirerFailed, AlreadyPaid, Approved, Declined, Payable, Unknown
from ivr_sim.journal import ChargeReconciled
from ivr_sim.ledger import Intent, Ledger, LedgerEntry, LedgerFailed
from ivr_sim.openpay import Charge

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
LOST = OpenpayUnreachable("timeout", sent=True)
DOWN = OpenpayUnreachable("connect", sent=False)
LOOKS = 30.0  # seconds that three looks take
APPROVED = Approved(charge_id="tr1", authorization="801585")


def charge(status: str = "completed", attempt: str = "a-1", **more: Any) -> Charge:
    fields: dict[str, Any] = {
        "id": "tr1", "authorization": "801585", "order_id": "ord-234", "amount": Decimal("200.00"),
    }  # fmt: skip
    return Charge(status=status, metadata={"attempt": attempt}, **fields | more)  # type: ignore[arg-type]


class Openpay:
    """A client's other side: the charges that there are, and whether it can be reached."""

    def __init__(self) -> None:
        self.charges: list[Charge] = []
        self.answer: Any = charge()
        self.down = False
        self.looks = 0
        self.pending: Deferred[None] | None = None

    async def create_token(self, card: Any, holder_name: str) -> Any:
        if self.down:
            raise DOWN
        return charge(id="k1")

    async def create_charge(self, *args: Any, **kwargs: Any) -> Any:
        if self.pending is not None:
            await self.pending
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def list_charges(self, *, order_id: str, limit: int) -> list[Charge]:
        self.looks += 1
        if self.down:
            raise DOWN
        return [c for c in self.charges if c.order_id == order_id]


class Book(Ledger):
    """A ledger that fails when it is told to: ``broken`` has the names of methods."""

    broken: tuple[str, ...] = ()

    def open(self, intent: Intent) -> LedgerEntry:
        self._or_fail("open")
        return super().open(intent)

    def settle(self, *args: Any, **named: Any) -> bool:
        self._or_fail("settle")
        return super().settle(*args, **named)

    def entries(self, **named: Any) -> list[LedgerEntry]:
        self._or_fail("entries")
        return super().entries(**named)

    def _or_fail(self, name: str) -> None:
        if name in self.broken:
            raise LedgerFailed("the ledger failed: disk I/O error")


class Scene:
    """A cashier on a clock, with everything around it."""

    def __init__(self, journal: Any, later: Any, card: Any, payable: Payable) -> None:
        self.clock = Clock()
        self.openpay = Openpay()
        self.journal = journal
        self.book = Book("sqlite://", now=self.now)
        self._later, self._card, self.payable = later, card, payable
        self.cashier = self.process()

    def process(self) -> Cashier:
        return Cashier(
            OpenpayAcquirer(self.openpay, self.clock),  # type: ignore[arg-type]
            self.book,
            self.clock,
            account="m1",
            journal=self.journal,
            now=self.now,
            in_thread=at_once,
        )

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.clock.seconds())

    def open(self, attempt: str = "a-1", order_id: str = "ord-234", account: str = "m1", **more: Any) -> None:
        """An entry that an earlier process left."""
        self.book.open(
            Intent(attempt=attempt, account=account, call="0007", order_id=order_id, amount=Decimal("200.00"))
        )
        if more:
            self.book.settle(attempt, **more)

    def begin(self, coroutine: Any) -> Any:
        return self._later(coroutine)

    def do(self, coroutine: Any, *, seconds: int = 0) -> Any:
        """Its result or error, after so many seconds."""
        outcome = self._later(coroutine)
        self.clock.pump([1.0] * seconds)
        assert outcome.done
        return outcome.error or outcome.result

    def charge(self, *, attempt: str = "a-1", seconds: int = 31) -> Any:
        return self.do(
            self.cashier.charge(self.payable, self._card(), attempt=attempt, call="0001"), seconds=seconds
        )

    def earlier(self) -> Any:
        return self.do(self.cashier.earlier(self.payable))

    def results(self) -> list[tuple[str, str | None]]:
        return [(entry.attempt, entry.result) for entry in self.book.entries()]

    def reconciled(self) -> list[tuple[str, ChargeReconciled]]:
        return [(r.call, r.event) for r in self.journal.records if isinstance(r.event, ChargeReconciled)]


def at_once(what: Callable[..., Any], *args: Any, **named: Any) -> Deferred[Any]:
    try:
        return succeed(what(*args, **named))
    except Exception:
        failed: Deferred[Any] = Deferred()
        failed.errback()
        return failed


@pytest.fixture
def scene(journal: Any, now_or_later: Any, make_card: Any, payable: Payable) -> Iterator[Scene]:
    scene = Scene(journal, now_or_later, make_card, payable)
    yield scene
    scene.book.broken = ()
    scene.do(scene.cashier.stop())
    assert scene.clock.getDelayedCalls() == []
    scene.book.close()


# ------------------------------------------------------------------------------------------- charging


@pytest.mark.parametrize(
    ("answer", "outcome", "written"),
    [
        (charge(), APPROVED, ("approved", "tr1", None)),
        (OpenpayRefused(402, 3003), Declined(error_code=3003), ("declined", None, 3003)),
        (OpenpayRefused(409, 1006), AlreadyPaid(charge_id="tr0"), ("already_paid", "tr0", None)),
    ],
)
def test_an_outcome_is_in_the_ledger(scene: Scene, answer: Any, outcome: Any, written: Any) -> None:
    scene.openpay.answer = answer
    if isinstance(outcome, AlreadyPaid):
        scene.openpay.charges = [charge(attempt="a-0", id="tr0")]
    assert scene.charge(seconds=0) == outcome
    [entry] = scene.book.entries()
    assert (entry.result, entry.charge_id, entry.error_code) == written
    assert (entry.attempt, entry.account, entry.call) == ("a-1", "m1", "0001")
    assert (entry.order_id, entry.amount, entry.currency) == ("ord-234", Decimal("200.00"), "MXN")
    assert scene.reconciled() == []  # it was never in doubt


def test_the_intent_is_in_the_ledger_before_anything_leaves(scene: Scene) -> None:
    scene.openpay.pending = Deferred()
    under_way = scene.begin(scene.cashier.charge(scene.payable, scene._card(), attempt="a-1", call="0001"))
    assert not under_way.done
    assert scene.results() == [("a-1", None)]
    scene.openpay.pending.callback(None)
    assert under_way.result == APPROVED
    assert scene.results() == [("a-1", "approved")]


@pytest.mark.parametrize("answer", [OpenpayRefused(401, 1002), DOWN])
def test_a_charge_that_was_not_made(scene: Scene, answer: Any) -> None:
    scene.openpay.answer = answer
    assert isinstance(scene.charge(seconds=0), AcquirerFailed)
    assert scene.results() == [("a-1", "failed")]


def test_what_another_call_is_told_of_a_charge_its_own_call_is_told(scene: Scene) -> None:
    """While this call's looks fail, the next caller's look finds the charge."""
    scene.openpay.answer = LOST
    scene.openpay.charges = [charge()]
    scene.openpay.pending = Deferred()
    charging = scene.begin(scene.cashier.charge(scene.payable, scene._card(), attempt="a-1", call="0001"))
    assert scene.earlier() == AlreadyPaid(charge_id="tr1")
    scene.openpay.down = True
    scene.openpay.pending.callback(None)
    scene.clock.pump([1.0] * 31)
    assert charging.result == APPROVED
    assert scene.results() == [("a-1", "approved")]
    assert [call for call, _ in scene.reconciled()] == ["0001"]


def test_an_outcome_that_is_not_known(scene: Scene) -> None:
    """It is looked into a minute later, and again, until Openpay tells."""
    scene.openpay.answer = LOST
    scene.openpay.charges = [charge("in_progress")]
    assert scene.charge() == Unknown(ms=30_000)
    assert scene.results() == [("a-1", None)]
    for _ in range(3):
        looks = scene.openpay.looks
        scene.clock.pump([1.0] * round(AGAIN + LOOKS))
        assert scene.openpay.looks == looks + 3
        assert scene.results() == [("a-1", None)]
    scene.openpay.charges = [charge()]
    scene.clock.advance(AGAIN)
    [(call, event)] = scene.reconciled()
    assert (call, event.attempt, event.order_id, event.amount) == (
        "0001",
        "a-1",
        "ord-234",
        Decimal("200.00"),
    )
    assert (event.result, event.charge_id, event.error_code) == ("approved", "tr1", None)
    assert scene.results() == [("a-1", "approved")]
    looks = scene.openpay.looks
    scene.clock.pump([1.0] * 300)
    assert scene.openpay.looks == looks


def test_a_charge_that_breaks_stays_open_and_is_looked_into(scene: Scene) -> None:
    scene.openpay.answer = ZeroDivisionError("nobody foresaw this")
    assert isinstance(scene.charge(seconds=0), ZeroDivisionError)
    assert scene.results() == [("a-1", None)]
    scene.openpay.charges = [charge()]
    scene.clock.advance(AGAIN)
    assert scene.results() == [("a-1", "approved")]


def test_nothing_is_charged_without_the_ledger(scene: Scene) -> None:
    scene.book.broken = ("open",)
    scene.openpay.answer = AssertionError("nothing must be asked")
    with capture_logs() as logs:
        failed = scene.charge(seconds=0)
    assert isinstance(failed, AcquirerFailed)
    assert failed.cause == "ledger"
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert scene.results() == []


@pytest.mark.parametrize("answer", [charge(), OpenpayRefused(402, 3001), OpenpayRefused(401, 1002)])
def test_an_outcome_that_cannot_be_written_is_written_later(scene: Scene, answer: Any) -> None:
    scene.book.broken = ("settle",)
    scene.openpay.answer = answer
    if isinstance(answer, Charge):
        scene.openpay.charges = [answer]
    elif answer.error_code == 3001:
        scene.openpay.charges = [charge("failed", error_code=3001)]
    told = scene.charge(seconds=0)
    scene.clock.advance(AGAIN)  # still broken
    assert scene.results() == [("a-1", None)]
    assert scene.reconciled() == []
    scene.book.broken = ()
    scene.clock.pump([1.0] * round(AGAIN + LOOKS + AGAIN + LOOKS))
    word = {Approved: "approved", Declined: "declined", AcquirerFailed: "failed"}[type(told)]
    assert scene.results() == [("a-1", word)]
    assert [event.result for _, event in scene.reconciled()] == [word]


# -------------------------------------------------------------------------------------------- earlier


def test_an_order_that_was_never_charged(scene: Scene) -> None:
    scene.open("b-1", order_id="ord-other")
    scene.open("b-2", account="m2")
    assert scene.earlier() is None
    assert scene.openpay.looks == 0


def test_an_order_that_is_paid(scene: Scene) -> None:
    scene.open("a-0", result="declined")
    scene.open("a-1", result="approved", charge_id="tr1")
    assert scene.earlier() == AlreadyPaid(charge_id="tr1")
    assert scene.openpay.looks == 0


@pytest.mark.parametrize("result", ["declined", "already_paid"])
def test_what_openpay_has_settled_is_not_asked_again(scene: Scene, result: Any) -> None:
    scene.open(result=result)
    assert scene.earlier() is None
    assert scene.openpay.looks == 0


@pytest.mark.parametrize(
    ("charges", "told", "word"),
    [
        ([charge()], AlreadyPaid(charge_id="tr1"), "approved"),
        ([charge(attempt="x", id="tr0")], AlreadyPaid(charge_id="tr0"), "already_paid"),
        ([charge("failed", error_code=3003)], None, "declined"),
    ],
)
def test_an_open_entry_that_openpay_can_settle(scene: Scene, charges: Any, told: Any, word: str) -> None:
    scene.open()
    scene.openpay.charges = charges
    assert scene.earlier() == told
    assert scene.openpay.looks == 1
    assert scene.results() == [("a-1", word)]
    assert [(call, event.result) for call, event in scene.reconciled()] == [("0007", word)]


@pytest.mark.parametrize("down", [False, True])
def test_an_open_entry_that_nobody_can_settle_yet(scene: Scene, down: bool) -> None:
    """However old it is: one look proves nothing. And if nobody else looks after it, this process does."""
    scene.open()
    scene.openpay.down = down
    scene.clock.advance(3600)
    assert scene.earlier() == Unknown()
    assert scene.earlier() == Unknown()
    assert scene.results() == [("a-1", None)]
    scene.openpay.down = False
    scene.clock.pump([1.0] * round(AGAIN + LOOKS))
    assert scene.results() == [("a-1", "failed")]
    assert len(scene.reconciled()) == 1
    assert scene.earlier() is None


def test_a_charge_that_was_given_up_and_came_late(scene: Scene) -> None:
    scene.open(result="failed")
    assert scene.earlier() is None
    scene.openpay.down = True
    assert scene.earlier() is None
    scene.openpay.down = False
    scene.openpay.charges = [charge()]
    assert scene.earlier() == AlreadyPaid(charge_id="tr1")
    assert scene.results() == [("a-1", "approved")]
    assert [(call, event.result) for call, event in scene.reconciled()] == [("0007", "approved")]


def test_a_charge_that_was_given_up_and_was_paid_otherwise(scene: Scene) -> None:
    scene.open(result="failed")
    scene.openpay.charges = [charge(attempt="x", id="tr0")]
    assert scene.earlier() == AlreadyPaid(charge_id="tr0")
    assert scene.results() == [("a-1", "failed")]
    assert scene.reconciled() == []


def test_one_of_several_is_enough(scene: Scene) -> None:
    scene.open("a-0")
    scene.open("a-1")
    scene.openpay.charges = [charge("failed", attempt="a-0")]
    assert scene.earlier() == Unknown()
    assert scene.results() == [("a-0", "declined"), ("a-1", None)]
    scene.openpay.charges = [charge()]
    assert scene.earlier() == AlreadyPaid(charge_id="tr1")


def test_a_charge_under_way_in_this_process(scene: Scene) -> None:
    """Who asks meanwhile is told that it is not known; and nobody but the charge itself settles it."""
    scene.openpay.pending = Deferred()
    under_way = scene.begin(scene.cashier.charge(scene.payable, scene._card(), attempt="a-1", call="0001"))
    assert scene.earlier() == Unknown()
    assert scene.clock.getDelayedCalls() == []
    scene.openpay.pending.callback(None)
    assert under_way.result == APPROVED
    assert scene.earlier() == AlreadyPaid(charge_id="tr1")


def test_earlier_without_the_ledger(scene: Scene) -> None:
    scene.book.broken = ("entries",)
    failed = scene.earlier()
    assert isinstance(failed, AcquirerFailed)
    assert failed.cause == "ledger"


def test_earlier_when_its_finding_cannot_be_written(scene: Scene) -> None:
    scene.open()
    scene.book.broken = ("settle",)
    scene.openpay.charges = [charge()]
    assert scene.earlier() == AlreadyPaid(charge_id="tr1")
    assert scene.results() == [("a-1", None)]
    assert scene.reconciled() == []


# ------------------------------------------------------------------------------------------ starting


def test_what_was_left_open_is_taken_up(scene: Scene) -> None:
    scene.open("a-1")
    scene.open("a-2", order_id="ord-2")
    scene.open("a-3", order_id="ord-3", result="failed")
    scene.open("b-1", account="m2")
    scene.openpay.charges = [charge(), charge("failed", attempt="a-2", order_id="ord-2", error_code=3001)]
    scene.do(scene.cashier.start())
    scene.clock.advance(0)
    assert scene.results() == [("a-1", "approved"), ("a-2", "declined"), ("a-3", "failed"), ("b-1", None)]
    assert [(event.attempt, event.result) for _, event in scene.reconciled()] == [
        ("a-1", "approved"), ("a-2", "declined"),
    ]  # fmt: skip
    assert scene.openpay.looks == 2


def test_what_may_still_be_on_its_way_is_not_given_up(scene: Scene) -> None:
    """That nothing is found does not count before its requests must be over."""
    scene.open()
    scene.do(scene.cashier.start())
    scene.clock.pump([1.0] * round(1 + LOOKS + AGAIN))
    assert scene.openpay.looks == 4
    assert scene.results() == [("a-1", None)]
    scene.clock.pump([1.0] * round(LOOKS))
    assert scene.results() == [("a-1", "failed")]


@pytest.mark.parametrize(("age", "result"), [(UNDER_WAY - 1, None), (UNDER_WAY, "failed")])
def test_how_long_a_charge_may_be_on_its_way(scene: Scene, age: float, result: str | None) -> None:
    scene.open()
    scene.clock.advance(age)
    [entry] = scene.book.entries()
    assert scene.do(scene.cashier.settle(entry), seconds=31) == result
    assert scene.results() == [("a-1", result)]


def test_a_young_charge_that_is_found_counts_at_once(scene: Scene) -> None:
    scene.open()
    scene.openpay.charges = [charge()]
    [entry] = scene.book.entries()
    assert scene.do(scene.cashier.settle(entry)) == "approved"


def test_a_ledger_that_cannot_be_read_at_the_start(scene: Scene) -> None:
    scene.open()
    scene.book.broken = ("entries",)
    with capture_logs() as logs:
        scene.do(scene.cashier.start())
    assert [entry["log_level"] for entry in logs] == ["error"]
    scene.book.broken = ()
    scene.openpay.charges = [charge()]
    assert scene.earlier() == AlreadyPaid(charge_id="tr1")  # it is found when it matters


def test_two_who_look_tell_it_once(scene: Scene) -> None:
    """A caller's look and the one in the background find the same."""
    scene.open()
    scene.do(scene.cashier.start())
    scene.clock.advance(1)
    scene.openpay.charges = [charge()]
    assert scene.earlier() == AlreadyPaid(charge_id="tr1")
    scene.clock.pump([1.0] * 60)
    assert len(scene.reconciled()) == 1
    looks = scene.openpay.looks
    scene.clock.pump([1.0] * 300)
    assert scene.openpay.looks == looks


def test_a_look_that_breaks_is_not_the_last(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.open()
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(scene.openpay, "list_charges", None)
        scene.do(scene.cashier.start())
        scene.clock.advance(0)
    assert [entry["log_level"] for entry in logs] == ["error"]
    scene.openpay.charges = [charge()]
    scene.clock.advance(AGAIN)
    assert scene.results() == [("a-1", "approved")]


def test_who_stops_looks_no_more(scene: Scene) -> None:
    scene.open()
    scene.openpay.down = True
    scene.do(scene.cashier.start())
    scene.clock.pump([1.0] * 10)
    scene.do(scene.cashier.stop())
    assert scene.clock.getDelayedCalls() == []
    # A charge that is under way is still waited for, but what is unknown then is left to the next start.
    scene.openpay.answer, scene.openpay.down = LOST, False
    scene.openpay.charges = [charge("in_progress", attempt="a-2")]
    assert scene.charge(attempt="a-2") == Unknown(ms=30_000)
    assert scene.clock.getDelayedCalls() == []
    assert scene.results() == [("a-1", None), ("a-2", None)]


def test_its_own_thread(
    journal: Any, tmp_path: Any, reactor_run: Any, make_card: Any, payable: Payable
) -> None:
    """By default the ledger has one, and what it was given is done when the cashier has stopped."""
    openpay = Openpay()

    async def play() -> Any:
        ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3", now=lambda: NOW)
        cashier = Cashier(
            OpenpayAcquirer(openpay, reactor),  # type: ignore[arg-type]
            ledger,
            reactor,
            account="m1",
            journal=journal,
            now=lambda: NOW,
        )
        await cashier.start()
        charged = Deferred.fromCoroutine(cashier.charge(payable, make_card(), attempt="a-1", call="0001"))
        outcome = await charged
        await cashier.stop()
        await cashier.stop()
        found = ledger.entries()
        ledger.close()
        return outcome, found

    outcome, [entry] = reactor_run(play)
    assert outcome == APPROVED
    assert (entry.attempt, entry.result) == ("a-1", "approved")
