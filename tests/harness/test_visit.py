"""Calls to somebody else's IVR: which key is taken, what is made of what was heard, and what is left open."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from ivr_sim.call import Phrase, phrase
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.elsewhere import Account, Elsewhere, TheirKey
from ivr_sim.harness.judge import Seen, judge
from ivr_sim.harness.keypad import Keypad
from ivr_sim.harness.reading import read_scenario
from ivr_sim.harness.scenario import Case
from ivr_sim.harness.script import ScriptedCaller
from ivr_sim.harness.story import Story
from ivr_sim.harness.visit import Ear
from ivr_sim.prompts.recogniser import PromptBegun, PromptOver
from ivr_sim.sip.states import Ended

SILENCE = np.zeros(160, np.int16)
ENDED = Ended("remote", None, "hung up")
AMOUNT = phrase("amount", amount=Decimal("200.00"), currency="MXN", description="Cargo IVR")


class Recogniser:
    """Tells its events at the frames that they are due at."""

    def __init__(self, *events: tuple[float, PromptBegun | PromptOver]) -> None:
        self._events = list(events)
        self._frames = 0

    def feed(self, frame: np.ndarray) -> list:
        self._frames += 1
        due = [event for t, event in self._events if t <= self._frames / 50]
        self._events = self._events[len(due) :]
        return due


def case(folder: Path, text: str = "steps: [{hear: welcome}]\n") -> Case:
    path = folder / "x.call.yaml"
    expect = "" if "expect" in text else "expect: {charges: 0}\n"  # which nobody can hear
    path.write_text(f"version: 1\n{text}{expect}", encoding="utf-8")
    return read_scenario(path)[0]


def listened(what: Case, *events, seconds: float = 10.0) -> tuple[Ear, ScriptedCaller]:
    caller = ScriptedCaller(what.scenario.steps, Keypad(by="info"), delay=0.2)
    ear = Ear(Recogniser(*events), caller)
    for _ in range(round(seconds * 50)):
        ear.hear(SILENCE)
        caller.tick()
    return ear, caller


def whole(name: str, start: float, known: Phrase | None = None, *, cut: bool = False) -> list:
    """A prompt of two seconds, told as late as a recogniser tells it."""
    over = PromptOver(name, known, start, start + 2, cut)
    return [(start + 0.7, PromptBegun(name, start)), (start + 2.3, over)]


def test_a_key_that_there_is_takes_the_place_of_the_scenarios_own(tmp_path):
    keys = [TheirKey("100004", Decimal("21001.00"), "Mensualidad"),
            TheirKey("100001", Decimal("200.00"), "Cargo IVR")]  # fmt: skip
    there = Elsewhere(("127.0.0.1", 5060), [Account("1001", "x")], keys=keys)
    steps = 'steps:\n  - hear: ask_key\n  - press: "{key}#"\nexpect: {entries: {payment_key: "{key}"}}\n'
    fitted = there.fitted(case(tmp_path, steps)).scenario
    assert (fitted.given.key, fitted.steps[1].press) == ("100001", "100001#")
    assert fitted.expect.entries == {"payment_key": "100001"}
    missing = case(tmp_path, "given: {state: missing}\nsteps: [{hear: welcome}]\n")
    assert there.fitted(missing) is missing
    other = case(tmp_path, 'given:\n  amount: "201.00"\nsteps: [{hear: welcome}]\n')
    with pytest.raises(ConfigurationError, match=r"yaml:3: no payment key there stands for 201\.00 'Cargo"):
        there.fitted(other)
    assert Elsewhere(there.server, there.accounts).fitted(other) is other


def test_keys_follow_the_end_of_a_prompt_as_it_was_not_as_it_was_told(tmp_path):
    what = case(
        tmp_path, 'steps:\n  - hear: ask_key\n  - press: "1"\n  - hear: amount\n    for: 1\n  - press: "2"\n'
    )
    _, caller = listened(what, *whole("ask_key", 1.0), *whole("amount", 5.0, cut=True))
    assert caller.onsets == pytest.approx([3.28, 6.0], abs=0.041)  # told at 3.3, and 1 s after 5.0


def test_an_amount_is_compared_when_it_was_heard_whole(tmp_path):
    what = case(tmp_path, "steps:\n  - hear: amount\n    with: {amount: '200'}\n  - hear: ask_accept\n")
    _, caller = listened(what, *whole("amount", 1.0, AMOUNT), *whole("ask_accept", 4.0))
    assert (caller.failure, caller.at) == (None, None)
    ear, caller = listened(what, *whole("amount", 1.0, None), *whole("ask_accept", 4.0))
    assert (caller.failure.step, caller.failure.heard) == (
        "step 1, hear amount",
        "amount (amount another one)",
    )
    story = Story(ear.records(ENDED, 10.0))
    failure = judge(what, story, Seen(journal=False))
    assert (failure.step, failure.expected, failure.heard) == ("prompt amount", "200.00", "another one")


def test_an_amount_that_was_cut_is_left_open(tmp_path):
    what = case(tmp_path)
    ear, _ = listened(what, *whole("amount", 1.0, AMOUNT, cut=True))
    assert ear.amount_cut
    assert judge(what, Story(ear.records(ENDED, 10.0)), Seen(journal=False)) is None
    ear, _ = listened(what, *whole("amount", 1.0, AMOUNT))
    assert not ear.amount_cut


def test_a_prompt_keyed_into_that_went_on_otherwise_was_cut(tmp_path):
    what = case(tmp_path, 'steps:\n  - hear: amount\n    for: 1\n  - press: "2"\n')
    ear, caller = listened(what, *whole("amount", 1.0, None), *whole("rejected", 3.0))
    assert caller.failure is None
    story = Story(ear.records(Ended("local", None, "hung up"), 6.0))
    assert [(p.name, p.start_s, p.cut) for p in story.prompts] == [
        ("amount", 1.0, "key"), ("rejected", 3.0, None),
    ]  # fmt: skip
    assert (story.outcome, story.ended.by, story.duration_s) == ("rejected", "caller", 6.0)
    assert ear.barge_ins() == []  # when it fell silent is not known


def test_how_long_a_prompt_goes_on_is_measured(tmp_path):
    what = case(tmp_path, 'steps:\n  - hear: amount\n    for: 1.5\n  - press: "2"\n')
    ear, _ = listened(what, *whole("amount", 1.0, AMOUNT, cut=True))
    (cut,) = ear.barge_ins()
    assert (cut.prompt, cut.t, cut.ms) == ("amount", pytest.approx(2.5, abs=0.03), pytest.approx(500, abs=30))


@pytest.mark.parametrize(
    ("prompts", "outcome"),
    [
        (["welcome", "ask_key"], "abandoned"),
        (["amount", "rejected", "goodbye"], "rejected"),
        (["key_refused", "ask_key", "amount"], "abandoned"),
        (["key_refused", "goodbye"], "key_refused"),
        (["one_moment", "already_paid", "goodbye"], "key_refused"),
        (["declined", "ask_another_card", "ask_card", "one_moment", "approved", "goodbye"], "approved"),
        (["declined", "ask_another_card", "too_many_tries", "goodbye"], "declined"),
        (["declined", "ask_another_card", "ask_card", "one_moment", "openpay_failed"], "openpay_failed"),
        (["approved", "time_limit"], "approved"),
        (["unknown_outcome", "goodbye"], "unknown"),
        (["bad_key", "too_many_tries", "goodbye"], "no_input"),
        (["authorizer_failed", "goodbye"], "authorizer_failed"),
    ],
)
def test_the_outcome_is_told_from_the_prompts(tmp_path, prompts, outcome):
    events = [event for n, name in enumerate(prompts) for event in whole(name, 3.0 * n)]
    ear, _ = listened(case(tmp_path), *events, seconds=3.0 * len(prompts))
    assert Story(ear.records(ENDED, 60.0)).outcome == outcome
