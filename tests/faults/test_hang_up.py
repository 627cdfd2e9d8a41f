"""Callers who hang up while they are being charged, and a node that is stopped then. Real calls over SIP.

A charge that has left is awaited, whoever is still there to hear of it; journal and ledger say what came
of it. All callers of the scene call at once, and each hangs up at a moment of its own.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

import ivr_sim.openpay.app as stand_in
from ivr_sim.harness import Caller, Script
from ivr_sim.journal import CallEnded, CallOffered, ChargeSent, ChargeSettled, Journal, PromptStarted, Record
from ivr_sim.ledger import Ledger
from ivr_sim.merchant import Merchant
from ivr_sim.node import LEDGER, MERCHANT_KEYS, Node, local_now

pytestmark = pytest.mark.sip

VISA, DECLINED = "4111111111111111", "4222222222222220"


@dataclass
class Leaver:
    """One caller: at which event they hang up, how much later, and whether Openpay waits for that."""

    at: type[Any]
    name: str | None = None
    card: str = VISA
    held: bool = False
    later: float = 0.0
    gate: threading.Event = field(default_factory=threading.Event)


def leavers(chance: random.Random) -> dict[str, Leaver]:
    return {
        "before": Leaver(PromptStarted, "one_moment", later=chance.uniform(0.0, 2.0)),
        "leaving": Leaver(ChargeSent),
        "soon": Leaver(ChargeSent, later=chance.uniform(0.0, 0.03)),
        "held": Leaver(ChargeSent, held=True, later=chance.uniform(0.05, 0.5)),
        "declined": Leaver(ChargeSent, card=DECLINED, held=True, later=chance.uniform(0.05, 0.5)),
        "told": Leaver(PromptStarted, "approved", later=chance.uniform(0.0, 1.0)),
        "stopped": Leaver(CallEnded, held=True),  # does not hang up: the node is stopped meanwhile
    }


def order_of(user: str) -> str:
    return f"ord-{user}"


class House:
    """A merchant, a node, and callers who leave."""

    def __init__(self, folder: Path) -> None:
        self.leavers = leavers(random.Random(3))
        self.records: list[Record] = []
        self.journal = Journal(local_now)
        self.journal.subscribe(self.records.append)
        self.journal.subscribe(self.watch)
        self.merchant = Merchant(reactor, folder / "services", now=local_now)
        self.node = Node(reactor, self.merchant, self.journal, data=folder, accounts=tuple(self.leavers))
        self.ledger = folder / LEDGER
        self.sessions: dict[str, Any] = {}
        self.calls: dict[str | None, str] = {}
        self.awaited: set[str] = set()

    def watch(self, record: Record) -> None:
        """Hang up when it is time."""
        event = record.event
        if record.call is None:
            return  # a telephone registers
        if isinstance(event, CallOffered):
            self.calls[record.call] = event.from_
        user = self.calls[record.call]
        leaver = self.leavers[user]
        if isinstance(event, leaver.at) and leaver.name in (None, getattr(event, "name", None)):
            reactor.callLater(leaver.later, self.sessions[user].hang_up)  # type: ignore[attr-defined]

    def of(self, user: str, kind: type[Any]) -> list[Any]:
        return [r.event for r in self.records if self.calls.get(r.call) == user and isinstance(r.event, kind)]

    async def call(self, user: str) -> None:
        leaver = self.leavers[user]
        key = self.merchant.keys.issue(
            Decimal("200.00"), "Cargo IVR", order_of(user), expires_in=timedelta(hours=1)
        )
        phone = self.node.phone(user)
        await phone.start()
        dial = phone.dial

        def dialled(*args: Any) -> Any:
            self.sessions[user] = dial(*args)
            return self.sessions[user]

        phone.dial = dialled  # type: ignore[method-assign]
        answers = {
            "welcome": [f"{key.key}#"], "amount": ["1"], "ask_card": [leaver.card],
            "ask_expiry": ["1230"], "ask_cvv": ["123"],
        }  # fmt: skip
        script = Script(answers=answers, by="rfc4733", barge_in=True, delay=0.1, key_ms=50)
        try:
            await Caller(phone, self.journal).call(MERCHANT_KEYS, script)
            if leaver.held:  # and only now does Openpay make the charge
                await self.is_awaited(user)
                leaver.gate.set()
        finally:
            leaver.gate.set()
            await phone.stop()

    async def is_awaited(self, user: str) -> None:
        """The caller has gone, and the call goes on; its charge is in the ledger, open."""
        for _ in range(10):  # turns of the reactor, in which what was sent arrives, however slow they are
            await deferLater(reactor, 0.01)  # type: ignore[arg-type]
        book = Ledger(f"sqlite:///{self.ledger}", now=local_now)
        [entry] = book.entries(order_id=order_of(user))
        book.close()
        if entry.settled is None and not self.of(user, CallEnded):
            self.awaited.add(user)

    async def stop(self) -> None:
        await self.node.stop()
        await self.merchant.stop()


@pytest.fixture(scope="module")
def scene(on_reactor: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    create_charge = stand_in.create_charge
    house = House(tmp_path_factory.mktemp("house"))

    def held(store: Any, merchant: Any, asked: Any, *args: Any, **named: Any) -> Any:
        leaver = house.leavers[asked.order_id.removeprefix("ord-")]
        if leaver.held:
            assert leaver.gate.wait(30)
        return create_charge(store, merchant, asked, *args, **named)

    async def play() -> SimpleNamespace:
        house.merchant.start()
        await house.node.start()
        calls = {user: Deferred.fromCoroutine(house.call(user)) for user in house.leavers}
        stopped = calls.pop("stopped")
        try:
            await gatherResults(list(calls.values()))
            while not house.of("stopped", ChargeSent):
                await deferLater(reactor, 0.02)  # type: ignore[arg-type]
            stopping = Deferred.fromCoroutine(house.node.stop())
            await gatherResults([stopped, stopping])
        finally:
            for leaver in house.leavers.values():
                leaver.gate.set()
            await house.stop()
        book = Ledger(f"sqlite:///{house.ledger}", now=local_now)
        entries = book.entries()
        book.close()
        return SimpleNamespace(house=house, entries=entries)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand_in, "create_charge", held)
        yield on_reactor(play, seconds=60)


@pytest.mark.parametrize(
    ("user", "outcome", "by"),
    [
        ("leaving", "approved", "caller"),
        ("soon", "approved", "caller"),
        ("held", "approved", "caller"),
        ("declined", "declined", "caller"),
        ("told", "approved", "caller"),
        ("stopped", "approved", "ivr"),
    ],
)
def test_the_charge_is_awaited(scene: SimpleNamespace, user: str, outcome: str, by: str) -> None:
    house = scene.house
    [ended] = house.of(user, CallEnded)
    assert (ended.outcome, ended.by) == (outcome, by)
    [sent], [settled] = house.of(user, ChargeSent), house.of(user, ChargeSettled)
    assert (settled.attempt, settled.result) == (sent.attempt, outcome)
    [entry] = [e for e in scene.entries if e.order_id == order_of(user)]
    assert (entry.attempt, entry.result, entry.charge_id) == (sent.attempt, outcome, settled.charge_id)
    told = [e.name for e in house.of(user, PromptStarted) if e.name in ("approved", "declined")]
    if house.leavers[user].held:
        assert told == []
    else:  # Openpay may be faster than who leaves
        assert told in ([], [outcome])


def test_who_has_gone_is_charged_though_openpay_takes_its_time(scene: SimpleNamespace) -> None:
    """The call waits for it, and so does the node that is stopped."""
    assert scene.house.awaited == {"held", "declined", "stopped"}


def test_who_leaves_before_the_charge_is_not_charged(scene: SimpleNamespace) -> None:
    house = scene.house
    [ended] = house.of("before", CallEnded)
    assert (ended.outcome, ended.cause, ended.by) == ("abandoned", "hung_up", "caller")
    assert house.of("before", ChargeSent) == []
    assert "ord-before" not in {entry.order_id for entry in scene.entries}
