"""Faults at the authorizer and at Openpay: real HTTP to the real services, and time that stands still.

The clock of the clients and of the faults is put forward by the test alone, so that 4.9 seconds are in time
and 5.1 are not on any machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from ivr_sim.cards import Card, CardNumber, Expiry, SecurityCode
from ivr_sim.clients import AuthorizerClient, Cashier, OpenpayAcquirer, OpenpayClient
from ivr_sim.dialogue.services import (
    AcquirerFailed,
    AlreadyPaid,
    Approved,
    AuthorizerFailed,
    Declined,
    Payable,
)
from ivr_sim.harness.fault_services import way_to_authorizer, way_to_openpay
from ivr_sim.harness.faults import DECLINES, FAULTS, Faults
from ivr_sim.ledger import Ledger
from ivr_sim.merchant import Merchant

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
KEY, ORDER, AMOUNT = "123456", "ord-1", Decimal("200.00")
PAYABLE = Payable(key=KEY, amount=AMOUNT, order_id=ORDER, description="Cargo IVR")
AUTHORIZER = sorted(name for name in FAULTS if name.startswith("authorizer_"))
OPENPAY = sorted(name for name, named in FAULTS.items() if named.faults.asked_for[0].startswith("openpay"))
# A client that is refused looks for another address of the host, for so many seconds.
STEPS = {"authorizer_down": 0.05, "openpay_down": 0.05}


class Frozen:
    """The running reactor, but for its clock, which stands."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.seconds = self.clock.seconds
        self.callLater = self.clock.callLater

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    async def waits(self, seconds: float) -> None:
        """Until something waits for so long, from now on."""
        while not any(
            abs(call.getTime() - self.seconds() - seconds) < 1e-6 for call in self.clock.getDelayedCalls()
        ):
            self.clock.advance(0)
            await deferLater(reactor, 0.001)  # type: ignore[arg-type]

    async def outcome(
        self, coroutine: Coroutine[Any, Any, Any], *, waits: float = 0, skip: float = 0, step: float = 0
    ) -> Any:
        """What a coroutine returns or raises.

        As soon as something waits for ``waits`` seconds, time is put forward by ``skip``; then by ``step``,
        again and again.
        """
        outcome: Deferred[Any] = Deferred.fromCoroutine(coroutine)
        outcome.addErrback(lambda failure: failure.value)
        if waits:
            await self.waits(waits)
            self.clock.advance(skip)
        while not outcome.called:
            self.clock.advance(step)
            await deferLater(reactor, 0.001)  # type: ignore[arg-type]
        return await outcome


def card(number: str = "4111111111111111") -> Card:
    digits = CardNumber(number)
    return Card(digits, Expiry.keyed("1230", date(2026, 11, 23)), SecurityCode("123", digits.brand))


@pytest.fixture
def under(on_reactor: Callable[..., Any], tmp_path: Path) -> Callable[..., None]:
    """Runs a test with a merchant under faults, and the clients that the IVR has."""

    def run(faults: Faults, test: Callable[[SimpleNamespace], Awaitable[None]]) -> None:
        async def play() -> None:
            time = Frozen()
            merchant = Merchant(
                reactor,
                tmp_path,
                now=lambda: NOW,
                seed="faults",
                to_authorizer=way_to_authorizer(time, faults),
                to_openpay=way_to_openpay(time, faults),
            )
            merchant.start()
            merchant.keys.issue(AMOUNT, "Cargo IVR", ORDER, expires_in=timedelta(days=1), key=KEY)
            ledger = Ledger("sqlite://", now=lambda: NOW)
            openpay = OpenpayClient(
                time, merchant.openpay_url, merchant.merchant_id, merchant.private_key, own=True
            )
            cashier = Cashier(
                OpenpayAcquirer(openpay, time, between_looks=0),
                ledger,
                time,
                account=merchant.merchant_id,
                journal=SimpleNamespace(emit=lambda event, call=None: None),  # type: ignore[arg-type]
                now=lambda: NOW,
            )
            keys = AuthorizerClient(time, merchant.authorizer_url, merchant.user, merchant.password)
            await cashier.start()
            try:
                await test(
                    SimpleNamespace(time=time, merchant=merchant, ledger=ledger, cashier=cashier, keys=keys)
                )
            finally:
                await cashier.stop()
                ledger.close()
                await merchant.stop()

        on_reactor(play)

    return run


@pytest.mark.parametrize("name", AUTHORIZER)
def test_the_authorizer(under: Any, name: str) -> None:
    named = FAULTS[name]

    async def test(scene: SimpleNamespace) -> None:
        delay = named.faults.authorizer_delay
        drip = 0.1 if named.faults.authorizer == "dripping" else 0.0
        answer = await scene.time.outcome(
            scene.keys.look_up(KEY), waits=delay or drip, skip=delay or drip, step=STEPS.get(name, drip)
        )
        if named.outcome == "approved":
            assert isinstance(answer, Payable)
            assert (answer.amount, answer.order_id) == (AMOUNT, ORDER)
            assert answer.ms == 1000 * named.faults.authorizer_delay
        else:
            assert isinstance(answer, AuthorizerFailed)
            assert answer.cause == named.cause
            assert answer.status == {"status": 500, "not_json": 200, "bad_fields": 200}.get(answer.cause)
            if answer.cause == "timeout":
                assert 5000 <= answer.ms <= 5100

    under(named.faults, test)


def test_a_reset_may_come_late(under: Any) -> None:
    async def test(scene: SimpleNamespace) -> None:
        answer = await scene.time.outcome(scene.keys.look_up(KEY), waits=3, skip=3)
        assert (answer.cause, answer.ms) == ("connect", 3000)

    under(Faults(authorizer="reset", authorizer_delay=3), test)


@pytest.mark.parametrize("name", OPENPAY)
def test_openpay(under: Any, name: str) -> None:
    """What is told is so, the ledger knows it, and whoever calls next is not charged again."""
    named = FAULTS[name]

    async def test(scene: SimpleNamespace) -> None:
        assert await scene.cashier.earlier(PAYABLE) is None
        result = await scene.time.outcome(
            scene.cashier.charge(PAYABLE, card(), attempt="a-1", call="0001"),
            waits=named.faults.openpay_delay,
            skip=20,
            step=STEPS.get(name, 0),
        )
        paid = scene.merchant.completed(ORDER, AMOUNT)
        assert len(paid) == named.charges
        [entry] = scene.ledger.entries()
        assert entry.settled is not None
        match named.outcome:
            case "approved":
                assert isinstance(result, Approved)
                assert (result.charge_id, result.authorization) == (paid[0].id, paid[0].authorization)
                assert paid[0].metadata == {"attempt": "a-1"}
                assert entry.result == "approved"
            case "declined":
                assert isinstance(result, Declined)
                assert named.cause == f"code_{result.error_code}"
                assert entry.result == "declined"
                [kept] = scene.merchant.charges.charges(order_id=ORDER)
                assert (kept.status, kept.error_code) == ("failed", result.error_code)
            case "key_refused":
                assert isinstance(result, AlreadyPaid)
                assert (result.charge_id, paid[0].metadata) == (paid[0].id, None)
                assert entry.result == "already_paid"
            case _:
                assert isinstance(result, AcquirerFailed)
                assert result.cause == named.cause
                assert entry.result == "failed"
        told = await scene.time.outcome(scene.cashier.earlier(PAYABLE), step=STEPS.get(name, 0))
        assert (told is None) == (named.outcome != "approved")
        if paid and told is None:
            again = scene.cashier.charge(PAYABLE, card(), attempt="a-2", call="0002")
            assert isinstance(await scene.time.outcome(again), AlreadyPaid)
        assert scene.ledger.entries(open_only=True) == []
        assert len(scene.merchant.completed(ORDER, AMOUNT)) == named.charges

    under(named.faults, test)


@pytest.mark.parametrize("code", DECLINES)
def test_the_bank_declines_every_card_with_a_code(under: Any, code: int) -> None:
    async def test(scene: SimpleNamespace) -> None:
        for attempt, number in (("a-1", "4111111111111111"), ("a-2", "5555555555554444")):
            result = await scene.time.outcome(
                scene.cashier.charge(PAYABLE, card(number), attempt=attempt, call="0001")
            )
            assert isinstance(result, Declined)
            assert result.error_code == code
        assert scene.merchant.completed(ORDER, AMOUNT) == []

    under(Faults(openpay=f"decline:{code}"), test)


def test_a_card_that_is_no_test_card_is_not_made_one(under: Any) -> None:
    async def test(scene: SimpleNamespace) -> None:
        result = await scene.time.outcome(
            scene.cashier.charge(PAYABLE, card("4012888888881881"), attempt="a-1", call="0001")
        )
        assert isinstance(result, Declined)
        assert result.error_code == 2007

    under(Faults(openpay="decline:3001"), test)


def test_a_charge_that_is_declined_and_comes_twice(under: Any) -> None:
    """Whatever the second answer says, what became of the first is found out."""

    async def test(scene: SimpleNamespace) -> None:
        declined = card("4222222222222220")
        result = await scene.time.outcome(scene.cashier.charge(PAYABLE, declined, attempt="a-1", call="0001"))
        assert isinstance(result, Declined)
        assert result.error_code == 3001
        assert scene.merchant.completed(ORDER, AMOUNT) == []

    under(Faults(openpay="twice"), test)


def test_without_faults_there_is_no_detour() -> None:
    faults = Faults(rtp_loss=0.1, sip_lost_ack=1)
    assert way_to_authorizer(None, faults) is None
    assert way_to_openpay(None, faults) is None
    assert way_to_authorizer(None, Faults(openpay="down")) is None
    assert way_to_openpay(None, Faults(authorizer="down")) is None
