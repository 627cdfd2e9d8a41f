"""The acquirer: what is made of every answer to a charge, of none, and of many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Response, request
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock

from ivr_sim.clients import OpenpayAcquirer, OpenpayClient, OpenpayRefused, OpenpayUnreachable
from ivr_sim.dialogue.services import AcquirerFailed, AlreadyPaid, Approved, Declined, Payable, Unknown
from ivr_sim.openpay import Charge

Run = Callable[..., Any]

LOST = OpenpayUnreachable("timeout", sent=True)
NOT_SENT = OpenpayUnreachable("connect", sent=False)
NONE: list[Charge] = []


def found(status: str, attempt: str | None = "a-1", **more: Any) -> Charge:
    metadata = None if attempt is None else {"attempt": attempt}
    fields: dict[str, Any] = {"id": "tr1", "authorization": "801585", "order_id": "ord-234"}
    return Charge(status=status, amount=Decimal("200.00"), metadata=metadata, **fields | more)  # type: ignore[arg-type]


class Scripted:
    """An Openpay client whose answers are prepared; an exception is raised."""

    def __init__(self) -> None:
        self.token: Any = SimpleNamespace(id="k1")
        self.charge: Any = found("completed")
        self.looks: list[Any] = []
        self.looked_at: list[float] = []
        self.charged: list[tuple[Any, ...]] = []
        self.clock = Clock()

    async def create_token(self, card: Any, holder_name: str) -> Any:
        return self._give(self.token)

    async def create_charge(self, *args: Any, **kwargs: Any) -> Any:
        self.charged.append((args, kwargs))
        return self._give(self.charge)

    async def list_charges(self, *, order_id: str, limit: int) -> Any:
        assert order_id == "ord-234"
        self.looked_at.append(self.clock.seconds())
        return self._give(self.looks.pop(0))

    @staticmethod
    def _give(answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def openpay_says() -> Scripted:
    return Scripted()


@pytest.fixture
def attempt(openpay_says: Scripted, now_or_later: Any, make_card: Any, payable: Payable) -> Callable[[], Any]:
    """Charges once, lets a minute pass, and returns what came of it."""

    def attempt_() -> Any:
        acquirer = OpenpayAcquirer(openpay_says, openpay_says.clock)  # type: ignore[arg-type]
        outcome = now_or_later(acquirer.charge(payable, make_card(), attempt="a-1"))
        openpay_says.clock.pump([1.0] * 60)
        assert outcome.done
        assert openpay_says.looks == []
        return outcome.error or outcome.result

    return attempt_


def test_approved(openpay_says: Scripted, attempt: Any) -> None:
    assert attempt() == Approved(charge_id="tr1", authorization="801585")
    assert openpay_says.charged == [
        (
            ("k1", Decimal("200.00"), "Cargo IVR", "ord-234"),
            {"metadata": {"attempt": "a-1"}, "currency": "MXN"},
        )
    ]


@pytest.mark.parametrize("step", ["token", "charge"])
@pytest.mark.parametrize(
    ("status", "code"),
    [(402, 3001), (402, 3003), (412, 3008), (422, 2004), (400, 2005), (412, 2009), (402, 1007)],
)
def test_declined(openpay_says: Scripted, attempt: Any, step: str, status: int, code: int) -> None:
    setattr(openpay_says, step, OpenpayRefused(status, code))
    assert attempt() == Declined(error_code=code)


def test_declined_without_a_word(openpay_says: Scripted, attempt: Any) -> None:
    openpay_says.charge = OpenpayRefused(402, None)
    assert attempt() == Declined(error_code=3001)
    openpay_says.charge = found("failed", error_code=3004)
    assert attempt() == Declined(error_code=3004, charge_id="tr1")


@pytest.mark.parametrize(
    "refusal", [(401, 1002), (403, 1010), (404, 1005), (422, 1003), (400, 1001), (413, 1009), (423, 1008),
                (429, None), (302, None)]
)  # fmt: skip
@pytest.mark.parametrize("step", ["token", "charge"])
def test_refused_for_other_reasons(openpay_says: Scripted, attempt: Any, step: str, refusal: Any) -> None:
    setattr(openpay_says, step, OpenpayRefused(*refusal))
    if (step, refusal[1]) == ("charge", 1003):
        openpay_says.looks = [NONE, NONE, NONE]
    failed = attempt()
    assert isinstance(failed, AcquirerFailed)
    assert failed.error_code == refusal[1]
    assert str(refusal[0]) in failed.cause


@pytest.mark.parametrize("failure", [NOT_SENT, LOST, OpenpayRefused(503, 1004), OpenpayRefused(500, None)])
def test_without_a_token_nothing_is_charged(openpay_says: Scripted, attempt: Any, failure: Any) -> None:
    openpay_says.token = failure
    assert isinstance(attempt(), AcquirerFailed)
    assert openpay_says.charged == []


def test_a_charge_that_never_left(openpay_says: Scripted, attempt: Any) -> None:
    openpay_says.charge = NOT_SENT
    failed = attempt()
    assert isinstance(failed, AcquirerFailed)
    assert failed.cause == "connect"
    assert openpay_says.looked_at == []


@pytest.mark.parametrize(
    "silence",
    [LOST, OpenpayUnreachable("bad_reply", sent=True), OpenpayRefused(504, 1015), OpenpayRefused(503, 1017),
     OpenpayRefused(500, 1000), OpenpayRefused(502, None), OpenpayRefused(408, None), found("in_progress")],
)  # fmt: skip
class TestNoAnswer:
    """The charge left, and nobody said what came of it."""

    def test_it_was_completed(self, openpay_says: Scripted, attempt: Any, silence: Any) -> None:
        openpay_says.charge, openpay_says.looks = silence, [[found("completed", "a-2"), found("completed")]]
        assert isinstance(attempt(), Approved)
        assert len(openpay_says.charged) == 1

    def test_it_is_completed_later(self, openpay_says: Scripted, attempt: Any, silence: Any) -> None:
        openpay_says.charge = silence
        openpay_says.looks = [NONE, [found("in_progress")], [found("completed")]]
        assert attempt() == Approved(charge_id="tr1", authorization="801585", ms=30_000)
        assert openpay_says.looked_at == [0.0, 15.0, 30.0]

    def test_it_failed(self, openpay_says: Scripted, attempt: Any, silence: Any) -> None:
        openpay_says.charge = silence
        openpay_says.looks = [[found("failed", error_code=3003), found("failed", "a-0", error_code=3001)]]
        assert attempt() == Declined(error_code=3003, charge_id="tr1")

    def test_three_looks_find_nothing(self, openpay_says: Scripted, attempt: Any, silence: Any) -> None:
        openpay_says.charge, openpay_says.looks = silence, [NONE, [found("failed", "a-0")], NONE]
        failed = attempt()
        assert isinstance(failed, AcquirerFailed)
        assert failed.ms == 30_000
        assert openpay_says.looked_at == [0.0, 15.0, 30.0]

    @pytest.mark.parametrize("unseen", range(3))
    def test_two_looks_prove_nothing(
        self, openpay_says: Scripted, attempt: Any, silence: Any, unseen: int
    ) -> None:
        openpay_says.charge, openpay_says.looks = silence, [NONE, NONE, NONE]
        openpay_says.looks[unseen] = OpenpayRefused(500, 1000) if unseen else NOT_SENT
        assert attempt() == Unknown(ms=30_000)

    def test_it_stays_under_way(self, openpay_says: Scripted, attempt: Any, silence: Any) -> None:
        openpay_says.charge, openpay_says.looks = silence, [NONE, NONE, [found("in_progress")]]
        assert attempt() == Unknown(ms=30_000)

    @pytest.mark.parametrize("other", ["a-0", None])
    def test_another_try_had_paid(
        self, openpay_says: Scripted, attempt: Any, silence: Any, other: str | None
    ) -> None:
        openpay_says.charge, openpay_says.looks = silence, [[found("completed", other, id="tr0")]]
        assert attempt() == AlreadyPaid(charge_id="tr0")


PAID_NOW = Approved(charge_id="tr1", authorization="801585")
PAID_BEFORE = AlreadyPaid(charge_id="tr0")


@pytest.mark.parametrize(
    ("looks", "outcome"),
    [
        ([[found("completed", "a-0", id="tr0")]], PAID_BEFORE),
        ([[found("completed", None, id="tr0")]], PAID_BEFORE),
        ([[found("completed")]], PAID_NOW),
        ([[found("failed", error_code=3003)]], Declined(error_code=3003, charge_id="tr1")),
        # It may be this very charge, or another one that fails after all: "nothing was charged now" and
        # "it is paid" are both said only when Openpay's list says so.
        ([NOT_SENT, LOST, [found("completed")]], PAID_NOW),
        ([[found("charge_pending", "a-0")], NOT_SENT, [found("completed", "a-0", id="tr0")]], PAID_BEFORE),
        ([NOT_SENT, NOT_SENT, NOT_SENT], Unknown()),
        ([[found("charge_pending", "a-0")]] * 3, Unknown()),
        ([NONE, NONE, NONE], Unknown()),
    ],
)
def test_the_order_has_a_charge(openpay_says: Scripted, attempt: Any, looks: Any, outcome: Any) -> None:
    openpay_says.charge, openpay_says.looks = OpenpayRefused(409, 1006), list(looks)
    assert replace(attempt(), ms=0) == outcome


@pytest.mark.parametrize(
    ("looks", "outcome"),
    [
        ([[found("completed")]], PAID_NOW),
        ([LOST, [found("completed")]], PAID_NOW),
        ([[found("failed", error_code=3003)]], Declined(error_code=3003, charge_id="tr1")),
        ([LOST, NONE, NONE], Unknown()),
    ],
)
def test_the_token_is_used_because_the_request_came_twice(
    openpay_says: Scripted, attempt: Any, looks: Any, outcome: Any
) -> None:
    openpay_says.charge, openpay_says.looks = OpenpayRefused(422, 1003), list(looks)
    assert replace(attempt(), ms=0) == outcome


def test_looks_without_a_pause(openpay_says: Scripted, now_or_later: Any, payable: Payable) -> None:
    openpay_says.looks = [NONE, LOST, [found("completed")]]
    acquirer = OpenpayAcquirer(openpay_says, openpay_says.clock, between_looks=0)  # type: ignore[arg-type]
    outcome = now_or_later(acquirer.find(payable.order_id, "a-1"))
    openpay_says.clock.pump([0, 0])
    assert isinstance(outcome.result, Approved)
    assert openpay_says.looked_at == [0.0, 0.0, 0.0]


# ------------------------------------------------------------------------------- over loopback, for real


@pytest.fixture
def acquirer(openpay: SimpleNamespace) -> OpenpayAcquirer:
    client = OpenpayClient(reactor, openpay.url, openpay.merchant_id, openpay.private_key)
    return OpenpayAcquirer(client, reactor)


def test_a_charge_at_the_stand_in(
    acquirer: OpenpayAcquirer, openpay: SimpleNamespace, reactor_run: Run, make_card: Any, payable: Payable
) -> None:
    declined = reactor_run(lambda: acquirer.charge(payable, make_card("4222222222222220"), attempt="a-1"))
    approved = reactor_run(lambda: acquirer.charge(payable, make_card(), attempt="a-2"))
    again = reactor_run(lambda: acquirer.charge(payable, make_card(), attempt="a-3"))
    assert isinstance(declined, Declined)
    assert declined.error_code == 3001
    assert isinstance(approved, Approved)
    assert len(approved.authorization) == 6
    assert isinstance(again, AlreadyPaid)
    assert again.charge_id == approved.charge_id
    kept = openpay.store.charges(order_id="ord-234")
    assert [(c.status, c.metadata["attempt"]) for c in kept] == [("completed", "a-2"), ("failed", "a-1")]
    assert kept[0].id == approved.charge_id
    assert kept[0].amount == Decimal("200.00")


def test_a_card_that_is_no_test_card(
    acquirer: OpenpayAcquirer, openpay: SimpleNamespace, reactor_run: Run, make_card: Any, payable: Payable
) -> None:
    declined = reactor_run(lambda: acquirer.charge(payable, make_card("4012888888881881"), attempt="a-1"))
    assert isinstance(declined, Declined)
    assert declined.error_code == 2007
    assert openpay.store.charges() == []


def test_an_answer_that_is_lost_is_found_again(
    acquirer: OpenpayAcquirer, openpay: SimpleNamespace, reactor_run: Run, make_card: Any, payable: Payable
) -> None:
    @openpay.app.after_request
    def lose(response: Response) -> Response:
        if request.method == "POST" and request.path.endswith("/charges"):
            return Response("<html>502 Bad Gateway</html>", 502)
        return response

    outcome = reactor_run(lambda: acquirer.charge(payable, make_card(), attempt="a-1"))
    assert isinstance(outcome, Approved)
    assert [c.id for c in openpay.store.charges()] == [outcome.charge_id]


def test_of_two_hundred_charges_of_one_order_one_is_made(
    acquirer: OpenpayAcquirer, openpay: SimpleNamespace, reactor_run: Run, make_card: Any, payable: Payable
) -> None:
    async def crowd() -> Any:
        tries = [
            Deferred.fromCoroutine(acquirer.charge(payable, make_card(), attempt=f"a-{n}"))
            for n in range(200)
        ]
        return await gatherResults(tries)

    outcomes = reactor_run(crowd)
    approved = [o for o in outcomes if isinstance(o, Approved)]
    assert len(approved) == 1
    assert [o for o in outcomes if not isinstance(o, Approved | AlreadyPaid)] == []
    kept = openpay.store.charges(order_id="ord-234", limit=1000)
    assert [(c.status, c.id) for c in kept] == [("completed", approved[0].charge_id)]
