"""What the harness is for: a defect anywhere in the house turns a green call red, and says where.

Each defect is put into the running product or into what a file expects; the call is then held again. It must
fail at the step that the table names, and tell what was heard instead. All calls are green without a defect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twisted.internet import reactor

from ivr_sim import cards
from ivr_sim.call import Phrase
from ivr_sim.clients import AuthorizerClient, Cashier, OpenpayAcquirer
from ivr_sim.dialogue import entry, payment
from ivr_sim.dialogue.services import Approved, Declined, Payable, Unknown
from ivr_sim.harness import Replayer, read_scenario
from ivr_sim.harness.replay import Manner
from ivr_sim.harness.scenario import Case
from ivr_sim.legs import collector
from ivr_sim.legs.leg_call import LegCall
from ivr_sim.legs.speech import Speech
from ivr_sim.prompts import Library
from ivr_sim.reports.verdict import CallVerdict

FIXTURES = Path(__file__).parents[2] / "fixtures"
RECORDED = ("approved", "declined-then-another-card", "rejected", "wrong-entries", "barge-in", "typing-ahead")
SCENARIOS = ("approved", "declined", "corrects", "barge-in", "rejected-in-a-hurry", "typing-ahead")

Patch = pytest.MonkeyPatch
Defect = Callable[[Patch], None]
Edit = Callable[[Case], Case]


def recorded(name: str) -> Case:
    return read_scenario(FIXTURES / "calls" / f"{name}.call.yaml")[0]


def scenario(name: str) -> Case:
    return read_scenario(FIXTURES / "scenarios" / f"{name}.call.yaml")[0]


@pytest.fixture(scope="module")
def hold(on_reactor: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    replayer = Replayer(reactor, Manner(data=tmp_path_factory.mktemp("data")))

    def hold(case: Case) -> CallVerdict:
        return on_reactor(replayer.verdict, case)

    yield hold
    on_reactor(replayer.stop)


# What a file expects or is given ------------------------------------------------------------------


def expecting(**changes: Any) -> Edit:
    def edit(case: Case) -> Case:
        expect = case.scenario.expect.model_copy(update=changes)
        return replace(case, scenario=case.scenario.model_copy(update={"expect": expect}))

    return edit


def given(**changes: Any) -> Edit:
    def edit(case: Case) -> Case:
        there = case.scenario.given.model_copy(update=changes)
        return replace(case, scenario=case.scenario.model_copy(update={"given": there}))

    return edit


def on(day: date) -> Edit:
    return lambda case: replace(case, scenario=case.scenario.model_copy(update={"recorded_on": day}))


# Defects of the product ---------------------------------------------------------------------------


def plays(change: Callable[[Phrase, np.ndarray], np.ndarray]) -> Defect:
    """Something else is played than was rendered and announced."""

    def defect(patch: Patch) -> None:
        begin = Speech.begin

        def other(self: Speech, sounds: Any, *, interruptible: bool) -> None:
            begin(self, [(p, change(p, s)) for p, s in sounds], interruptible=interruptible)

        patch.setattr(Speech, "begin", other)

    return defect


def silent(name: str) -> Defect:
    return plays(lambda phrase, sound: np.zeros_like(sound) if phrase.name == name else sound)


def half_lost(name: str) -> Defect:
    def change(phrase: Phrase, sound: np.ndarray) -> np.ndarray:
        if phrase.name == name:
            sound = sound.copy()
            sound[len(sound) // 2 :] = 0
        return sound

    return plays(change)


def other_amount(patch: Patch) -> None:
    """The journal tells one amount, the caller hears another."""
    rendered = Library.sound

    async def sound(self: Library, phrase: Phrase) -> Any:
        if phrase.name == "amount":
            await rendered(self, phrase)
            return await rendered(self, Phrase("amount", {**phrase.params, "amount": Decimal("210.00")}))
        return await rendered(self, phrase)

    patch.setattr(Library, "sound", sound)


def never_says(name: str) -> Defect:
    def defect(patch: Patch) -> None:
        say = LegCall.say

        async def some(self: LegCall, *phrases: Phrase, interruptible: bool = True) -> None:
            await say(self, *(p for p in phrases if p.name != name), interruptible=interruptible)

        patch.setattr(LegCall, "say", some)

    return defect


def says_instead(name: str, other: str) -> Defect:
    def defect(patch: Patch) -> None:
        say = LegCall.say

        async def some(self: LegCall, *phrases: Phrase, interruptible: bool = True) -> None:
            said = [Phrase(other, {}) if p.name == name else p for p in phrases]
            await say(self, *said, interruptible=interruptible)

        patch.setattr(LegCall, "say", some)

    return defect


def late_barge_in(patch: Patch) -> None:
    """A key cuts the prompt in the journal at once, and in the ear 0.3 s later."""
    stop, frame, steady = Speech.stop, Speech.frame, Speech.steady
    left: dict[int, list[np.ndarray]] = {}

    def late(self: Speech, cut_by: Any) -> None:
        left[id(self)] = [f for f in (frame(self) for _ in range(15)) if f is not None]
        stop(self, cut_by)

    def still(self: Speech) -> Any:
        rest = left.get(id(self))
        return rest.pop(0) if rest else frame(self)

    patch.setattr(Speech, "stop", late)
    patch.setattr(Speech, "frame", still)
    patch.setattr(Speech, "steady", property(lambda self: 0 if left.get(id(self)) else steady.fget(self)))


def no_barge_in(patch: Patch) -> None:
    begin = Speech.begin
    patch.setattr(
        Speech, "begin", lambda self, sounds, *, interruptible: begin(self, sounds, interruptible=False)
    )


def charging(change: Callable[[Any, Any, Any, dict[str, Any]], Awaitable[Any]]) -> Defect:
    """``change(really, payable, card, more)`` instead of the cashier's charge."""

    def defect(patch: Patch) -> None:
        charge = Cashier.charge

        async def other(self: Cashier, payable: Payable, card: Any, **more: Any) -> Any:
            async def really(payable: Payable = payable, card: Any = card) -> Any:
                return await charge(self, payable, card, **more)

            return await change(really, payable, card, more)

        patch.setattr(Cashier, "charge", other)

    return defect


async def _approved_without(really: Any, payable: Payable, card: Any, more: Any) -> Any:
    return Approved(charge_id="trq3wo1", authorization="801585")


async def _declined_is_approved(really: Any, payable: Payable, card: Any, more: Any) -> Any:
    result = await really()
    return Approved(charge_id="trq3wo1", authorization="801585") if isinstance(result, Declined) else result


async def _approved_is_declined(really: Any, payable: Payable, card: Any, more: Any) -> Any:
    await really()
    return Declined(error_code=3001)


async def _nobody_knows(really: Any, payable: Payable, card: Any, more: Any) -> Any:
    await really()
    return Unknown()


async def _a_cent_more(really: Any, payable: Payable, card: Any, more: Any) -> Any:
    return await really(replace(payable, amount=payable.amount + Decimal("0.01")))


async def _another_order(really: Any, payable: Payable, card: Any, more: Any) -> Any:
    return await really(replace(payable, order_id=payable.order_id + "0"))


async def _fails(really: Any, payable: Payable, card: Any, more: Any) -> Any:
    raise RuntimeError("a defect")


def charged_twice(patch: Patch) -> None:
    """Under another order, for Openpay charges none twice."""
    charge = OpenpayAcquirer.charge

    async def twice(self: OpenpayAcquirer, payable: Payable, card: Any, **more: Any) -> Any:
        await charge(self, replace(payable, order_id=f"{payable.order_id}-again"), card, **more)
        return await charge(self, payable, card, **more)

    patch.setattr(OpenpayAcquirer, "charge", twice)


def looks_up(**changes: Any) -> Defect:
    """The line misreads what the authorizer answered."""

    def defect(patch: Patch) -> None:
        look_up = AuthorizerClient.look_up

        async def other(self: AuthorizerClient, key: str) -> Any:
            return replace(await look_up(self, key), **changes)

        patch.setattr(AuthorizerClient, "look_up", other)

    return defect


def asks_twice(patch: Patch) -> None:
    look_up = AuthorizerClient.look_up

    async def twice(self: AuthorizerClient, key: str) -> Any:
        await look_up(self, key)
        return await look_up(self, key)

    patch.setattr(AuthorizerClient, "look_up", twice)


def asks_nobody(patch: Patch) -> None:
    async def made_up(self: AuthorizerClient, key: str) -> Any:
        return Payable(key=key, amount=Decimal("200.00"), order_id="ord-1", description="Cargo IVR")

    patch.setattr(AuthorizerClient, "look_up", made_up)


def keys(change: Callable[[Any, str], list[str]]) -> Defect:
    """What a key that was let go becomes."""

    def defect(patch: Patch) -> None:
        key_up = LegCall.key_up

        def other(self: LegCall, digit: str, *given: Any) -> None:
            for one in change(self, digit):
                key_up(self, one, *given)

        patch.setattr(LegCall, "key_up", other)

    return defect


def _third_is_lost(call: Any, digit: str) -> list[str]:
    return [] if digit == "3" else [digit]


def _two_is_five(call: Any, digit: str) -> list[str]:
    return ["5" if digit == "2" else digit]


def _sixes_twice(call: Any, digit: str) -> list[str]:
    return [digit] * (2 if digit == "6" else 1)


def star_is_ignored(patch: Patch) -> None:
    take = collector.Collector.take
    patch.setattr(
        collector.Collector, "take", lambda self, key: None if key.digit == "*" else take(self, key)
    )


def no_luhn(patch: Patch) -> None:
    patch.setattr(cards, "luhn", lambda digits: True, raising=True)
    patch.setattr(payment, "card_number", _any_card(entry.card_number))


def _any_card(question: Any) -> Any:
    def any_card(shop: Any) -> Any:
        return question(replace(shop, card_allowed=lambda number: True))

    return any_card


def two_is_one(patch: Patch) -> None:
    """2 accepts the amount, too."""
    choice = payment.choice

    def other(*given: Any) -> Any:
        question = choice(*given)
        return replace(question, check=lambda typed: "1")

    patch.setattr(payment, "choice", other)


def hangs_up_early(patch: Patch) -> None:
    """The call ends where the card is to be asked for."""

    async def none(call: Any, *_: Any) -> Any:
        await call.hang_up()
        raise payment.CallerHungUp("gone")

    patch.setattr(payment, "_take_card", none)


@dataclass(frozen=True)
class Mutation:
    """A defect, the call that must find it, the step of its failure, and what it must say was heard."""

    name: str
    call: Callable[[], Case]
    step: str
    heard: str
    defect: Defect | None = None
    edit: Edit | None = None


def in_recording(name: str, call: str, step: str, heard: str, **more: Any) -> Mutation:
    return Mutation(name, lambda: recorded(call), step, heard, **more)


def in_scenario(name: str, call: str, step: str, heard: str, **more: Any) -> Mutation:
    return Mutation(name, lambda: scenario(call), step, heard, **more)


MUTATIONS = [
    # What is written
    in_recording(
        "a digit changed in the label",
        "approved",
        "entry payment_key",
        "123456",
        edit=expecting(entries={"payment_key": "123457"}),
    ),
    in_recording(
        "an entry that nobody made",
        "rejected",
        "entry another_card",
        "nothing",
        edit=expecting(entries={"another_card": "1"}),
    ),
    in_recording("another outcome", "rejected", "outcome", "rejected", edit=expecting(outcome="approved")),
    in_recording(
        "a prompt too many", "rejected", "prompt declined", "", edit=expecting(prompts=["amount", "declined"])
    ),
    in_recording(
        "prompts in another order",
        "approved",
        "prompt amount",
        "",
        edit=expecting(prompts=["ask_card", "amount"]),
    ),
    in_recording(
        "a card that has expired since", "approved", "outcome", "expiry", edit=on(date(2031, 1, 15))
    ),
    in_scenario(
        "an event that never comes",
        "declined",
        "event EntryRefused",
        "EntryRefused",
        edit=expecting(journal=[{"event": "EntryRefused", "field": "cvv"}]),
    ),
    in_scenario(
        "a request too few",
        "rejected-in-a-hurry",
        "requests to authorizer",
        "1",
        edit=expecting(
            requests=scenario("rejected-in-a-hurry").scenario.expect.requests.model_copy(
                update={"authorizer": 2}
            )
        ),
    ),
    in_recording(
        "a key that is cancelled", "approved", "outcome", "payment_key", edit=given(state="cancelled")
    ),
    # What is said
    in_recording(
        "another amount spoken than announced", "rejected", "hearing", "210.00", defect=other_amount
    ),
    in_recording(
        "another amount announced than given",
        "rejected",
        "prompt amount",
        "200.01",
        defect=looks_up(amount=Decimal("200.01")),
    ),
    in_recording(
        "another description",
        "rejected",
        "prompt amount",
        "Otra cosa",
        defect=looks_up(description="Otra cosa"),
    ),
    in_recording(
        "a prompt that is announced and not played",
        "rejected",
        "hearing",
        "silence",
        defect=silent("ask_accept"),
    ),
    in_recording("half of a prompt lost", "rejected", "hearing", "", defect=half_lost("welcome")),
    in_recording("a prompt that is left out", "rejected", "prompt goodbye", "", defect=never_says("goodbye")),
    in_recording(
        "the wrong prompt",
        "approved",
        "prompt approved",
        "rejected",
        defect=says_instead("approved", "rejected"),
    ),
    in_scenario("a late barge-in", "barge-in", "barge-in", "ms", defect=late_barge_in),
    in_scenario("no barge-in", "barge-in", "barge-in", "none was cut", defect=no_barge_in),
    # What is charged
    in_recording(
        "a declined card treated as approved",
        "declined-then-another-card",
        "entry another_card",
        "nothing",
        defect=charging(_declined_is_approved),
    ),
    in_recording(
        "a charge that was never made",
        "approved",
        "charges of order ord-1",
        "no completed charge",
        defect=charging(_approved_without),
    ),
    in_recording("a charge made twice", "approved", "charges", "ord-1-again", defect=charged_twice),
    in_recording(
        "a cent too much",
        "approved",
        "charges of order ord-1",
        "no completed charge",
        defect=charging(_a_cent_more),
    ),
    in_recording(
        "another order charged",
        "approved",
        "charges of order ord-1",
        "no completed charge",
        defect=charging(_another_order),
    ),
    in_recording(
        "an approved card told as declined",
        "approved",
        "outcome",
        "declined",
        defect=charging(_approved_is_declined),
    ),
    in_recording(
        "a known result told as unknown", "approved", "outcome", "unknown", defect=charging(_nobody_knows)
    ),
    in_recording("charging breaks", "approved", "outcome", "unknown", defect=charging(_fails)),
    in_scenario(
        "a rejection taken for an acceptance",
        "rejected-in-a-hurry",
        "hear rejected",
        "ask_card",
        defect=two_is_one,
    ),
    # Who is asked
    in_scenario(
        "the authorizer asked twice", "rejected-in-a-hurry", "requests to authorizer", "2", defect=asks_twice
    ),
    in_scenario(
        "the authorizer not asked", "rejected-in-a-hurry", "requests to authorizer", "0", defect=asks_nobody
    ),
    # What is keyed
    in_recording("a digit lost", "approved", "entry payment_key", "12456", defect=keys(_third_is_lost)),
    in_recording("a digit mistaken", "approved", "entry payment_key", "153456", defect=keys(_two_is_five)),
    in_recording("a digit doubled", "approved", "entry payment_key", "1234566", defect=keys(_sixes_twice)),
    in_scenario("a correction ignored", "corrects", "entry payment_key", "", defect=star_is_ignored),
    in_recording(
        "a wrong card number accepted", "wrong-entries", "outcome", "declined (code_2004)", defect=no_luhn
    ),
    in_recording(
        "the call cut where the card is asked for", "approved", "outcome", "abandoned", defect=hangs_up_early
    ),
]


@pytest.mark.parametrize("name", RECORDED)
def test_green_without_a_defect(hold: Any, name: str) -> None:
    verdict = hold(recorded(name))
    assert (verdict.verdict, verdict.failure) == ("pass", None)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_green_without_a_defect(hold: Any, name: str) -> None:
    verdict = hold(scenario(name))
    assert (verdict.verdict, verdict.failure) == ("pass", None)


def test_thirty_and_more() -> None:
    assert len(MUTATIONS) >= 30
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name.replace(" ", "-"))
def test_a_defect_turns_a_call_red(hold: Any, monkeypatch: Patch, mutation: Mutation) -> None:
    case = mutation.call()
    if mutation.edit is not None:
        case = mutation.edit(case)
    if mutation.defect is not None:
        mutation.defect(monkeypatch)
    verdict = hold(case)
    assert verdict.verdict == "fail"
    failure = verdict.failure
    assert failure is not None
    assert mutation.step in failure.step
    assert mutation.heard in failure.heard
    assert failure.heard
    assert failure.expected != failure.heard
    assert failure.file == str(case.path)
    assert failure.line is not None
