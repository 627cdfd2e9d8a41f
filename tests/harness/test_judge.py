"""The verdict: each way a call can differ from its label, named by step and by what was heard."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from ivr_sim import journal as j
from ivr_sim.harness.judge import judge
from ivr_sim.harness.scenario import Case, Scenario
from ivr_sim.harness.story import Story

LABEL = {
    "version": "1",
    "wav": "x.wav",
    "recorded_on": "2026-11-23",
    "given": {"key": "123456", "amount": "200.00", "order_id": "ord-1", "description": "Cargo IVR"},
    "expect": {
        "outcome": "approved",
        "entries": {"payment_key": "123456", "accept": "1"},
        "prompts": ["welcome", "ask_key", "amount", "approved"],
    },
}


def story(**changes) -> Story:
    said = {"key": ["123456"], "accept": ["1"], "amount": "200.00", "outcome": "approved",
            "prompts": ["welcome", "ask_key", "amount", "ask_accept", "approved"]} | changes  # fmt: skip
    events: list[j.Event] = []
    for name in said["prompts"]:
        params = {"amount": said["amount"]} if name == "amount" else {}
        events += [j.PromptStarted(name=name, params=params), j.PromptEnded(name=name, cut_by=None)]
    events += [j.EntryAccepted(field="payment_key", length=6, value=k) for k in said["key"]]
    events += [j.EntryAccepted(field="accept", length=1, value=k) for k in said["accept"]]
    events.append(j.EntryAccepted(field="cvv", length=3, value=None))
    events.append(j.CallEnded(outcome=said["outcome"], cause="why", by="ivr"))
    return Story(j.Record(n, "1", n / 10, None, e) for n, e in enumerate(events))


def label(**expect) -> Case:
    given = expect.pop("given", {})
    data = LABEL | {"given": LABEL["given"] | given, "expect": LABEL["expect"] | expect}
    return Case("x", Scenario.model_validate(data), Path("x.call.yaml"))


def test_a_call_as_labelled():
    assert judge(label(), story()) is None


@pytest.mark.parametrize(
    ("label_", "story_", "step", "expected", "heard"),
    [
        (label(entries={"payment_key": "123457"}), story(), "entry payment_key", "123457", "123456"),
        (label(), story(accept=[]), "entry accept", "1", "nothing"),
        (label(entries={"accept": ["3", "1"]}), story(), "entry accept", "3, 1", "1"),
        (label(given={"key": "123457"}, entries={}), story(outcome="key_refused"), "entry payment_key",
         "123457", "123456"),
        (label(given={"amount": "200.01"}), story(), "prompt amount", "200.01", "200.00"),
        (label(), story(outcome="declined"), "outcome", "approved", "declined (why)"),
        (label(), story(prompts=["welcome", "amount", "approved"]), "prompt ask_key",
         "ask_key after welcome", "amount, approved"),
        (label(prompts=["approved", "welcome"]), story(), "prompt welcome", "welcome after approved",
         "nothing"),
    ],
)  # fmt: skip
def test_every_difference_is_named(label_, story_, step, expected, heard):
    failure = judge(label_, story_)
    assert (failure.step, failure.expected, failure.heard) == (step, expected, heard)
    assert f"expected {expected}, heard {heard}" in str(failure)


def test_an_amount_counts_by_its_value():
    assert judge(label(given={"amount": Decimal("200")}), story()) is None


def test_the_last_entry_counts_unless_all_are_listed():
    heard = story(key=["999999", "123456"])
    assert judge(label(), heard) is None
    assert judge(label(entries={"payment_key": ["999999", "123456"]}), heard) is None


def test_a_call_without_an_end():
    unended = Story([j.Record(1, "1", 0.5, None, j.PromptStarted(name="welcome", params={}))])
    assert unended.outcome == "none"
    assert judge(label(entries={}), unended).heard == "no end of the call; welcome"


def test_cut_prompts_are_told():
    cut = Story(
        [
            j.Record(1, "1", 0.5, None, j.PromptStarted(name="welcome", params={})),
            j.Record(2, "1", 0.9, None, j.PromptEnded(name="welcome", cut_by="key")),
        ]
    )
    assert [(p.name, p.start_s, p.cut) for p in cut.prompts] == [("welcome", 0.5, "key")]
