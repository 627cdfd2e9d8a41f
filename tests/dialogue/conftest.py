"""A stage for the dialogue: the real Call on its ticks, scripted keys, services that do as told.

No reactor, no socket, no sleep: time passes by ticks only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pytest
from twisted.internet.defer import Deferred

from ivr_sim.call import Phrase
from ivr_sim.cards import Card
from ivr_sim.dialogue import Ending, Limits, Shop, take_payment
from ivr_sim.dialogue.services import AlreadyPaid, Approved, Charged, Payable, Refusal, Unknown
from ivr_sim.errors import IvrSimError
from ivr_sim.journal import PromptEnded, PromptStarted, Record
from ivr_sim.legs import LegCall
from ivr_sim.prompts import Catalogue

CATALOGUE = Catalogue()
PROMPT_SECONDS = 1.0
PAYABLE = Payable(key="123456", amount=Decimal("200.00"), order_id="ord-1", description="Cargo IVR")


@dataclass
class Sounds:
    """Every prompt is one second long; ``lost`` ones cannot be said. ``texts``: what was to be said."""

    lost: str | None = None
    lost_with_params: str | None = None
    texts: list[str] = field(default_factory=list)

    async def sound(self, phrase: Phrase) -> np.ndarray:
        text = CATALOGUE.text(phrase)
        if phrase.name == self.lost or (phrase.name == self.lost_with_params and phrase.params):
            raise IvrSimError("no voice")
        self.texts.append(text)
        return np.ones(round(PROMPT_SECONDS * 8000), np.int16)


@dataclass
class Keys:
    """Payment keys as the merchant's service would answer."""

    answers: dict[str, Payable | Refusal | Exception] = field(default_factory=lambda: {"123456": PAYABLE})
    asked: list[str] = field(default_factory=list)
    pending: Deferred[None] | None = None

    async def look_up(self, key: str) -> Payable | Refusal:
        self.asked.append(key)
        if self.pending is not None:
            await self.pending
        answer = self.answers.get(key, Refusal(code=1, description="Clave de pago inválida"))
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Acquirer:
    """Charges with the given results, one after the other; ``before``: what ``earlier`` says."""

    results: list[Charged | Exception] = field(
        default_factory=lambda: [Approved(charge_id="trx1", authorization="801585")]
    )
    attempts: list[str] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    pending: Deferred[None] | None = None
    before: AlreadyPaid | Unknown | Exception | None = None

    async def earlier(self, payable: Payable) -> AlreadyPaid | Unknown | None:
        if isinstance(self.before, Exception):
            raise self.before
        return self.before

    async def charge(self, payable: Payable, card: Card, *, attempt: str, call: str) -> Charged:
        self.attempts.append(attempt)
        self.cards.append(card)
        if self.pending is not None:
            await self.pending
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


@dataclass
class Stage:
    """Plays one caller against the dialogue.

    answers: per prompt, what the caller keys each time the prompt was heard (or started, with
    ``on_start``): keys, "" for silence, "!" to hang up. Keys are 100 ms long, 200 ms apart. A service
    with ``pending`` set answers after ``service_seconds`` of the call's time, as on a telephone.
    """

    journal: object
    keys: Keys = field(default_factory=Keys)
    acquirer: Acquirer = field(default_factory=Acquirer)
    limits: Limits = field(default_factory=Limits)
    today: object = None
    allowed: Callable[[object], bool] = lambda number: True
    on_start: bool = False
    delay: float = 0.3
    service_seconds: float = 0.0
    sounds: Sounds = field(default_factory=Sounds)
    call: LegCall = field(init=False)

    def play(self, answers: dict[str, Iterable[str] | str], *, max_seconds: float = 900) -> Ending:
        script = {k: [v] if isinstance(v, str) else list(v) for k, v in answers.items()}
        due: list[tuple[float, str, str]] = []
        attempts = iter(f"attempt-{n}" for n in range(1, 99))
        shop = Shop(
            name="Tienda Uno",
            keys=self.keys,
            acquirer=self.acquirer,
            today=lambda: self.today,
            new_attempt=lambda: next(attempts),
            card_allowed=self.allowed,
            limits=self.limits,
        )
        call = self.call = LegCall(self.journal, "call-1", self.sounds)

        def heard(record: Record) -> None:
            kind = PromptStarted if self.on_start else PromptEnded
            if not isinstance(record.event, kind) or record.event.name not in script:
                return
            if isinstance(record.event, PromptEnded) and record.event.cut_by:
                return
            turns = script[record.event.name]
            at = max(call.now + self.delay, due[-1][0] + 0.1 if due else 0.0)  # one finger
            for key in turns.pop(0) if turns else "":
                if key == "!":
                    due.append((at, "hang up", ""))
                else:
                    due.append((at, "down", key))
                    due.append((at + 0.1, "up", key))
                    at += 0.2

        stop = self.journal.subscribe(heard)
        call.answered()
        ended: list[Ending] = []
        talk = Deferred.fromCoroutine(take_payment(call, shop))
        talk.addCallback(ended.append)
        silence = np.zeros(160, np.int16)
        down: dict[str, float] = {}
        since = 0.0
        while not ended and call.now < max_seconds:
            for item in [d for d in due if d[0] <= call.now + 1e-9]:
                due.remove(item)
                _, what, key = item
                if what == "hang up":
                    call.hung_up()
                elif what == "down":
                    down[key] = call.now
                    call.key_down(key, "inband", call.now)
                else:
                    call.key_up(key, "inband", down.pop(key), 100, -10.0)
            since = call.now if call.waiting else since
            if not call.waiting and call.now >= since + self.service_seconds:
                for service in (self.keys, self.acquirer):
                    if service.pending is not None and not service.pending.called:
                        service.pending.callback(None)
            call.tick(silence)
        stop()
        talk.addErrback(lambda failure: failure.raiseException())
        assert ended, "the dialogue did not end"
        return ended[0]


@pytest.fixture
def stage(journal, today) -> Stage:
    return Stage(journal, today=today)
