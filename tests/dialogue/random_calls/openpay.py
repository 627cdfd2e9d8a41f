"""A model of Openpay: a truth of its own, and lines to it on which any request may go wrong.

What a request does at Openpay and what its sender gets to know of it are drawn apart from each other:

    fault          done there                       what the sender sees
    none           at once, or within 20 s          the answer
    not_sent       never                            no connection: it certainly was not sent
    lost           never                            nothing
    answer_lost    yes                              nothing, or nothing readable
    late           up to 30 s after it was given up nothing, or a 5xx
    before, after  never, yes                       a 5xx or 408
    refused        never                            a refusal that is not about the card
    twice          yes                              1006, about this very charge
    in_progress    begun, decided within 2 minutes  the charge, in progress
    crash          perhaps                          an exception that nobody foresaw
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from twisted.internet.task import deferLater

from ivr_sim.cards import Card
from ivr_sim.clients.openpay import OpenpayRefused, OpenpayUnreachable
from ivr_sim.openpay.models import Charge, Token, TokenCard

from .clock import TickClock

TIMEOUT = 20.0  # seconds that a client waits for an answer
LATEST = 29.9  # seconds after a request was given up until it may still be carried out
UNHURRIED = 120.0  # seconds that a charge in progress may stay so
CODES = (1007, 2004, 2005, 2009, 3001, 3002, 3003, 3004, 3005)
REFUSALS = (
    (400, 1001),
    (401, 1002),
    (403, 1010),
    (404, 1005),
    (412, 1018),
    (422, 1003),
    (423, 1008),
    (400, None),
)
FAULTS = {
    "token": ("not_sent", "lost", "answer_lost", "before", "refused", "declined", "crash"),
    "charge": (
        "not_sent", "lost", "answer_lost", "late", "late", "late", "before", "after", "refused", "twice",
        "in_progress", "crash",
    ),
    "look": ("not_sent", "lost", "answer_lost", "before", "refused"),
}  # fmt: skip


@dataclass
class Standing:
    """A charge as Openpay has it."""

    id: str
    order_id: str
    attempt: str
    amount: Decimal
    status: str
    authorization: str | None = None
    error_code: int | None = None

    def as_charge(self) -> Charge:
        return Charge.model_construct(
            id=self.id,
            order_id=self.order_id,
            amount=self.amount,
            status=self.status,
            authorization=self.authorization,
            error_code=self.error_code,
            metadata={"attempt": self.attempt},
        )


class Openpay:
    """What is so: charges, at most one per order that did not fail.

    clock: Openpay's own, which goes on whatever happens to whoever asks. declines: how often a bank
    refuses, from 0 to 1.
    """

    def __init__(self, chance: Random, clock: TickClock, declines: float) -> None:
        self.clock = clock
        self.charges: list[Standing] = []
        self._chance = chance
        self._declines = declines

    def completed(self, order_id: str) -> list[Standing]:
        """What was paid for an order."""
        return [c for c in self.charges if c.order_id == order_id and c.status == "completed"]

    def paid_by(self, attempt: str) -> Standing | None:
        """The completed charge of one attempt."""
        return next((c for c in self.charges if c.attempt == attempt and c.status == "completed"), None)

    def charge(self, order_id: str, attempt: str, amount: Decimal, *, unhurried: bool = False) -> Standing:
        """Carry a request out, now. Raises OpenpayRefused."""
        if any(c.order_id == order_id and c.status != "failed" for c in self.charges):
            raise OpenpayRefused(409, 1006, "The order_id has already been processed")
        # Numbers of ones, zeros, sevens to nines only: no card has six such digits in a row.
        number = "".join(self._chance.choice("01789") for _ in range(6))
        made = Standing(f"tr{number}x{len(self.charges)}", order_id, attempt, amount, "in_progress")
        self.charges.append(made)
        if unhurried:
            self.clock.callLater(self._chance.uniform(0, UNHURRIED), self._decide, made, number)
        else:
            self._decide(made, number)
        return made

    def _decide(self, charge: Standing, number: str) -> None:
        if self._chance.random() < self._declines:
            charge.status, charge.error_code = "failed", self._chance.choice(CODES)
        else:
            charge.status, charge.authorization = "completed", number


class Line:
    """One process's view of Openpay, as ``OpenpayClient`` has it.

    clock: the process's. faults: how often a request goes wrong, from 0 to 1. leaves: called with an
    attempt's name when the request for its charge leaves. ``told``: attempts about which this process
    was told something final, and at what second it was first.
    """

    def __init__(
        self, openpay: Openpay, chance: Random, clock: TickClock, faults: float, leaves: Callable[[str], None]
    ) -> None:
        self._openpay = openpay
        self._chance = chance
        self._clock = clock
        self._leaves = leaves
        self._card = ""
        self.faults = faults
        self.told: dict[str, float] = {}
        self.crashed: set[str] = set()
        self.met: Counter[str] = Counter()

    async def create_token(self, card: Card, holder_name: str) -> Token:
        """A token, or what became of it."""
        self._card = card.number.reveal()
        fault = self._fault("token")
        await self._pass(self._slowness())
        match fault:
            case None:
                return Token(id="tok", card=TokenCard(card_number="XXXX"))
            case "declined":
                raise OpenpayRefused(402, self._chance.choice(CODES))
            case _:
                await self._goes_wrong(fault)
        raise AssertionError(fault)

    async def create_charge(
        self,
        source_id: str,
        amount: Decimal,
        description: str,
        order_id: str,
        *,
        metadata: Mapping[str, str] | None = None,
        currency: str = "MXN",
    ) -> Charge:
        """A charge, or what became of it."""
        attempt = (metadata or {})["attempt"]
        self._leaves(attempt)
        fault = self._fault("charge")
        answer: list[Standing | OpenpayRefused] = []
        arrival, answering = self._slowness() / 2, self._slowness() / 2
        given_up = arrival + answering
        if fault == "late":
            arrival = given_up + self._chance.uniform(0, LATEST)
        done = fault in (None, "answer_lost", "late", "after", "twice", "in_progress")
        if done or (fault == "crash" and self._chance.random() < 0.5):
            slow = fault == "in_progress"
            self._openpay.clock.callLater(arrival, self._do, answer, order_id, attempt, amount, slow)
        await self._pass(given_up)
        match fault:
            case None | "in_progress":
                return self._answered(attempt, answer[0])
            case "twice":
                raise OpenpayRefused(409, 1006)
            case "crash":
                self.crashed.add(attempt)
            case "not_sent" | "refused":
                self._tell(attempt)
        await self._goes_wrong(fault)
        raise AssertionError(fault)

    async def list_charges(self, *, order_id: str, limit: int) -> list[Charge]:
        """The charges of an order, as they are when the request arrives."""
        fault = self._fault("look")
        found: list[Charge] = []
        on_way = self._slowness() / 2
        self._openpay.clock.callLater(on_way, self._look, found, order_id)
        await self._pass(on_way + self._slowness() / 2)
        if fault is not None:
            await self._goes_wrong(fault)
        if any(charge.status == "completed" for charge in found):
            self._tell(*(c.attempt for c in self._openpay.charges if c.order_id == order_id))
        self._tell(*(c.metadata["attempt"] for c in found if c.status in ("completed", "failed")))
        return found

    def _tell(self, *attempts: str) -> None:
        for attempt in attempts:
            self.told.setdefault(attempt, self._clock.seconds())

    def _do(self, answer: list[Any], order_id: str, attempt: str, amount: Decimal, slow: bool) -> None:
        try:
            answer.append(self._openpay.charge(order_id, attempt, amount, unhurried=slow))
        except OpenpayRefused as refused:
            answer.append(refused)

    def _look(self, found: list[Charge], order_id: str) -> None:
        found += [c.as_charge() for c in reversed(self._openpay.charges) if c.order_id == order_id]

    def _answered(self, attempt: str, answer: Standing | OpenpayRefused) -> Charge:
        if isinstance(answer, OpenpayRefused):
            raise answer
        if answer.status != "in_progress":
            self._tell(attempt)
        if answer.status == "failed":
            raise OpenpayRefused(402, answer.error_code)
        return answer.as_charge()

    def _fault(self, request: str) -> str | None:
        fault = None
        # Where no token comes, nothing is learned of charges.
        if self._chance.random() < self.faults * (0.2 if request == "token" else 1.0):
            fault = self._chance.choice(FAULTS[request])
        self.met[f"{request}: {fault or 'none'}"] += 1
        return fault

    def _slowness(self) -> float:
        """Seconds that a request takes; never as long as a client waits."""
        return (
            self._chance.uniform(0.02, 0.6) if self._chance.random() < 0.85 else self._chance.uniform(1, 19.9)
        )

    async def _pass(self, seconds: float) -> None:
        await deferLater(self._clock, seconds)

    async def _goes_wrong(self, fault: str | None) -> None:
        pick = self._chance.choice
        match fault:
            case "not_sent":
                raise OpenpayUnreachable(pick(("dns", "connect", "tls", "timeout")), sent=False)
            case "lost":
                raise OpenpayUnreachable(pick(("timeout", "broken")), sent=True)
            case "answer_lost":
                raise OpenpayUnreachable(pick(("timeout", "broken", "too_large", "bad_reply")), sent=True)
            case "late" | "before" | "after":
                if fault == "late" and self._chance.random() < 0.5:
                    raise OpenpayUnreachable(pick(("timeout", "broken")), sent=True)
                raise OpenpayRefused(*pick(((500, 1000), (502, None), (503, 1004), (504, 1015), (408, None))))
            case "refused":
                raise OpenpayRefused(*pick(REFUSALS))
            case "crash":
                raise RuntimeError(f"a leak, if it is shown: {self._card}")
