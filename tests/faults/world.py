"""A merchant, a process that charges for it, and a caller: what every fault is let loose upon.

All of it is real but for two things. Time is put forward wherever a process would only wait: the looks at
a charge that went unanswered take as long as their requests. And a second caller is a ``Person``, who
answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from ivr_sim.call import Call, Entry, Phrase, Typed
from ivr_sim.clients import AuthorizerClient, Cashier, OpenpayAcquirer, OpenpayClient
from ivr_sim.dialogue import Ending, Shop, take_payment
from ivr_sim.journal import CallEnded, CallJournal, ChargeReconciled, Event, Journal, PromptStarted, Record
from ivr_sim.ledger import Ledger, LedgerEntry
from ivr_sim.merchant import Merchant
from ivr_sim.node import local_now
from ivr_sim.openpay import TEST_CARDS, Charge

KEY, ORDER, AMOUNT = "123456", "ord-1", Decimal("200.00")
SHOP = "Tienda Demo"
TODAY = date(2026, 11, 23)
BEGINNING = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
RESULTS = ("approved", "declined", "already_paid", "unknown_outcome", "openpay_failed")


class Ahead:
    """A reactor whose clock, and whatever waits for it, can be put forward."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._ahead = 0.0
        self._waiting: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reactor, name)

    def seconds(self) -> float:
        return float(self.reactor.seconds()) + self._ahead

    def callLater(self, delay: float, what: Callable[..., Any], *args: Any, **named: Any) -> Any:  # noqa: N802
        self._waiting = [call for call in self._waiting if call.active()]
        self._waiting.append(self.reactor.callLater(delay, what, *args, **named))
        return self._waiting[-1]

    def skip(self, seconds: float) -> None:
        self._ahead += seconds
        for call in self._waiting:
            if call.active():
                call.reset(max(0.0, call.getTime() - self.reactor.seconds() - seconds))


class Leaping(Ahead):
    """A clock that is put forward by itself to what is waited for, as soon as nothing else is ``busy``.

    Only waits of a second and more: the others are over soon. While ``frozen``, it goes as clocks go.
    """

    def __init__(
        self, reactor: Any, busy: Callable[[], bool] = lambda: False, *, begins: datetime = BEGINNING
    ) -> None:
        super().__init__(reactor)
        self._busy = busy
        self._start = reactor.seconds()
        self._begins = begins
        self.frozen = False

    def callLater(self, delay: float, what: Callable[..., Any], *args: Any, **named: Any) -> Any:  # noqa: N802
        call = super().callLater(delay, what, *args, **named)
        if delay >= 1:
            self.reactor.callLater(0, self._leap, call)
        return call

    def now(self) -> datetime:
        """The wall clock of who lives by this one."""
        return self._begins + timedelta(seconds=self.seconds() - self._start)

    def _leap(self, call: Any) -> None:
        if not call.active():
            return
        if self.frozen or self._busy():
            self.reactor.callLater(0.002, self._leap, call)
        else:
            self.skip(call.getTime() - self.reactor.seconds())


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a process finds a merchant's services, and its own ledger."""

    authorizer: str
    user: str
    password: str
    openpay: str
    account: str
    private_key: str
    ledger: str

    @classmethod
    def of(cls, merchant: Merchant, ledger: Path, *, port: int | None = None) -> Place:
        """``port``: where Openpay is reached, if by a detour."""
        return cls(
            authorizer=merchant.authorizer_url,
            user=merchant.user,
            password=merchant.password,
            openpay=merchant.openpay.url if port is None else f"http://127.0.0.1:{port}",
            account=merchant.merchant_id,
            private_key=merchant.private_key,
            ledger=f"sqlite:///{ledger}",
        )


class Till:
    """What one process charges with: ledger, client, cashier, and the shop that uses them.

    web: the reactor for requests to Openpay; clock: what the cashier waits by. attempts: prefix of their
    names.
    """

    def __init__(
        self, reactor: Any, place: Place, clock: Leaping, *, web: Any = None, attempts: str = "a"
    ) -> None:
        self.records: list[Record] = []
        self.journal = Journal(clock.now)
        self.journal.subscribe(self.records.append)
        self.account = place.account
        self.ledger = Ledger(place.ledger, now=clock.now)
        self._left = {entry.attempt for entry in self.ledger.entries(open_only=True)}
        self.client = OpenpayClient(web or reactor, f"{place.openpay}/v1", place.account, place.private_key)
        self.cashier = Cashier(
            OpenpayAcquirer(self.client, clock),
            self.ledger,
            clock,
            account=place.account,
            journal=self.journal,
            now=clock.now,
        )
        names = (f"{attempts}-{n}" for n in range(1, 100))
        self.shop = Shop(
            name=SHOP,
            keys=AuthorizerClient(reactor, place.authorizer, place.user, place.password),
            acquirer=self.cashier,
            today=lambda: TODAY,
            new_attempt=lambda: next(names),
            card_allowed=lambda number: number.is_one_of(card.number for card in TEST_CARDS),
        )

    def entries(self) -> list[LedgerEntry]:
        return self.ledger.entries(account=self.account, order_id=ORDER)

    async def settled(self, reactor: Any) -> list[tuple[str | None, ChargeReconciled]]:
        """Wait until what was found open is settled, and told to the journal: each event with its call."""
        while not self._left <= {event.attempt for _, event in self.reconciled()}:
            await deferLater(reactor, 0.002)
        assert not self.ledger.entries(open_only=True)
        return self.reconciled()

    def reconciled(self) -> list[tuple[str | None, ChargeReconciled]]:
        return [(r.call, r.event) for r in self.records if isinstance(r.event, ChargeReconciled)]

    async def stop(self) -> None:
        await self.cashier.stop()
        self.ledger.close()

    async def serve(self, name: str, **answers: str) -> Ending:
        """A person calls, and pays the order if they may."""
        person = Person(CallJournal(self.journal, name, lambda: 0.0), answers)
        ending = await take_payment(person, self.shop)
        person.journal.emit(CallEnded(outcome=ending.outcome, cause=ending.cause, by="ivr"))
        return ending

    def told(self, call: str) -> list[tuple[str, dict[str, str]]]:
        return told(r.event for r in self.records if r.call == call)


def told(events: Iterable[Event]) -> list[tuple[str, dict[str, str]]]:
    """What a caller was told of the charge: phrases and their parameters."""
    return [(e.name, dict(e.params)) for e in events if isinstance(e, PromptStarted) and e.name in RESULTS]


class Person(Call):
    """A caller who listens to everything, and answers at once."""

    def __init__(self, journal: CallJournal, answers: dict[str, str]) -> None:
        self._journal = journal
        self._answers = {
            "ask_key": KEY, "ask_accept": "1", "ask_card": "4111111111111111", "ask_expiry": "1230",
            "ask_cvv": "123", "ask_another_card": "2",
        } | answers  # fmt: skip

    @property
    def journal(self) -> CallJournal:
        return self._journal

    async def say(self, *phrases: Phrase, interruptible: bool = True) -> None:
        for said in phrases:
            self._journal.emit(
                PromptStarted(name=said.name, params={k: str(v) for k, v in said.params.items()})
            )

    async def collect(self, *phrases: Phrase, **_: Any) -> Entry:  # type: ignore[override]
        await self.say(*phrases)
        return Entry(Typed(self._answers[phrases[-1].name]), "complete")

    def flush(self) -> None:
        """Nothing is ever typed ahead."""

    async def hang_up(self) -> None:
        """Nobody holds the line."""


def open_merchant(reactor: Any, folder: Path) -> Merchant:
    """A merchant whose services listen, with one payment key and its order."""
    fresh = not folder.exists()
    merchant = Merchant(reactor, folder, now=local_now, seed="faults")
    merchant.start()
    if fresh:
        merchant.keys.issue(AMOUNT, "Cargo IVR", ORDER, expires_in=timedelta(days=1), key=KEY)
    return merchant


def completed(merchant: Merchant) -> list[Charge]:
    """The completed charges of the order: what was really paid."""
    return [charge for charge in merchant.charges.charges(order_id=ORDER) if charge.status == "completed"]


def check_told(what: list[tuple[str, dict[str, str]]], paid: list[Charge]) -> None:
    """Whoever was told something was told what is so."""
    assert len(paid) <= 1
    for name, params in what:
        match name:
            case "approved":
                assert [charge.authorization for charge in paid] == [params["authorization"]]
            case "already_paid":
                assert paid
            case "declined" | "openpay_failed":
                assert not paid
            case _:
                assert name == "unknown_outcome"


def check_books(entries: list[LedgerEntry], merchant: Merchant) -> None:
    """The ledger knows of every charge at Openpay, and of each what came of it."""
    made = {(c.metadata or {})["attempt"]: c for c in merchant.charges.charges(order_id=ORDER)}
    assert set(made) <= {entry.attempt for entry in entries}
    for entry in entries:
        assert (entry.order_id, entry.amount) == (ORDER, AMOUNT)
        assert entry.settled is not None
        charge = made.get(entry.attempt)
        match entry.result:
            case "approved":
                assert charge is not None
                assert (charge.status, charge.id) == ("completed", entry.charge_id)
            case "declined":
                assert charge is None or charge.status == "failed"
            case "already_paid" | "failed":
                assert charge is None
            case _:
                raise AssertionError(entry)
