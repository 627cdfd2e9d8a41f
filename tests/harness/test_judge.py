"""The verdict: each way a call can differ from what is expected, by step, and by what was heard instead."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ivr_sim import journal as j
from ivr_sim.harness.judge import Seen, judge, unjudged
from ivr_sim.harness.scenario import Case, Scenario
from ivr_sim.harness.story import BargeIn, Story
from ivr_sim.reports.verdict import Failure

AT = datetime(2026, 11, 23, tzinfo=UTC)
LABEL = {
    "version": "1",
    "wav": "x.wav",
    "given": {"key": "123456", "amount": "200.00", "order_id": "ord-1", "description": "Cargo IVR"},
    "expect": {
        "outcome": "approved",
        "entries": {"payment_key": "123456", "accept": "1"},
        "prompts": ["welcome", "ask_key", "amount", "approved"],
    },
}
STEPS = {"wav": None, "steps": [{"hear": "ask_key"}, {"press": "1"}]}
LINES = {
    (): 1, ("expect",): 7, ("expect", "outcome"): 8, ("expect", "entries", "accept"): 10, ("given", "key"): 5,
    ("expect", "prompts"): 12, ("expect", "prompts", 1): 13,
}  # fmt: skip


def records(*events: j.Event) -> list[j.Record]:
    """One event every tenth of a second."""
    return [j.Record(n, "1", n / 10, AT, event) for n, event in enumerate(events)]


def said(name: str, cut: str | None = None, **params: str) -> list[j.Event]:
    return [j.PromptStarted(name=name, params=params), j.PromptEnded(name=name, cut_by=cut)]


def accepted(field: str, value: str | None) -> j.EntryAccepted:
    return j.EntryAccepted(field=field, length=len(value or "..."), value=value)


def ended(outcome: str, cause: str | None = "why") -> j.CallEnded:
    return j.CallEnded(outcome=outcome, cause=cause, by="ivr")


def refused(field: str, reason: str) -> j.EntryRefused:
    return j.EntryRefused(field=field, reason=reason)


def story(*more: j.Event, **changes) -> Story:
    """A call as LABEL expects it, but for the changes; ``more`` comes before its end."""
    call = {"key": ["123456"], "accept": ["1"], "amount": "200.00", "outcome": "approved",
            "prompts": ["welcome", "ask_key", "amount", "ask_accept", "approved"]} | changes  # fmt: skip
    events: list[j.Event] = []
    for name in call["prompts"]:
        params = {"amount": call["amount"], "description": "Cargo IVR"} if name == "amount" else {}
        events += said(name, **params)
    events += [accepted("payment_key", key) for key in call["key"]]
    events += [accepted("accept", key) for key in call["accept"]]
    events += [accepted("cvv", None), *more]
    return Story(records(*events, ended(call["outcome"])))


def case(**changes) -> Case:
    """LABEL with changes to what is given and expected, and to the rest."""
    given, expect = changes.pop("given", {}), changes.pop("expect", {})
    data = LABEL | changes | {"given": LABEL["given"] | given, "expect": LABEL["expect"] | expect}
    return Case("x", Scenario.model_validate(data), Path("x.call.yaml"), LINES)


def test_a_call_as_expected():
    assert judge(case(), story()) is None
    assert judge(case(), story(), Seen(completed=1, requests={"authorizer": 1})) is None


@pytest.mark.parametrize(
    ("case_", "story_", "step", "expected", "heard"),
    [
        (case(expect={"entries": {"payment_key": "123457"}}), story(),
         "entry payment_key", "123457", "123456"),
        (case(), story(accept=[]), "entry accept", "1", "nothing"),
        (case(expect={"entries": {"accept": ["3", "1"]}}), story(), "entry accept", "3, 1", "1"),
        (case(expect={"entries": {"accept": ["3", "1"]}}), story(accept=["3"]), "entry accept", "3, 1", "3"),
        (case(expect={"entries": {"accept": []}}), story(), "entry accept", "nothing", "1"),
        (case(given={"key": "123457"}, expect={"entries": {}}), story(outcome="key_refused"),
         "entry payment_key", "123457", "123456"),
        (case(given={"amount": "200.01"}), story(), "prompt amount", "200.01", "200.00"),
        (case(given={"description": "Renta"}), story(), "prompt amount", "Renta", "Cargo IVR"),
        (case(), story(outcome="declined"), "outcome", "approved", "declined (why)"),
        (case(), story(refused("cvv", "silence"), refused("cvv", "cvv_length"), outcome="no_input"),
         "outcome", "approved", "no_input (why); refused: cvv silence, cvv cvv_length"),
        (case(), story(refused("accept", "silence"), accept=[], outcome="no_input"),
         "entry accept", "1", "nothing; refused: silence"),
        (case(expect={"entries": {"payment_key": "123456"}}), story(accepted("payment_key", None), key=[]),
         "entry payment_key", "123456", "nothing; 1 accepted but not shown"),
        (case(expect={"cause": "hung_up"}), story(), "cause", "hung_up", "why"),
        (case(expect={"cause": "null"}), story(), "cause", "null", "why"),
        (case(), story(prompts=["welcome", "amount", "approved"]), "prompt ask_key",
         "ask_key after welcome", "amount, approved"),
        (case(expect={"prompts": ["approved", "welcome"]}), story(), "prompt welcome",
         "welcome after approved", "nothing"),
        (case(expect={"prompts": ["goodbye"]}), story(), "prompt goodbye", "goodbye after the answer",
         "welcome, ask_key, amount, ask_accept, approved"),
        (case(expect={"journal": [{"event": "EntryRefused", "field": "cvv", "reason": "silence"}]}),
         story(refused("cvv", "cvv_length")), "event EntryRefused",
         "EntryRefused(field=cvv, reason=silence)", "EntryRefused(field=cvv, reason=cvv_length)"),
        (case(expect={"journal": [{"event": "CallEnded"}, {"event": "EntryRefused"}]}),
         story(refused("cvv", "silence")), "event EntryRefused", "EntryRefused()",
         "no EntryRefused after the one before"),
        (case(expect={"barge_in_ms": 60}), story(), "barge-in", "a prompt that a key cuts", "none was cut"),
    ],
)  # fmt: skip
def test_every_difference_is_named(case_, story_, step, expected, heard):
    failure = judge(case_, story_)
    assert (failure.step, failure.expected, failure.heard) == (step, expected, heard)
    assert f"expected {expected}, heard {heard}" in str(failure)
    assert failure.file == "x.call.yaml"


@pytest.mark.parametrize(
    ("case_", "story_", "line"),
    [
        (case(), story(outcome="declined"), 8),
        (case(), story(accept=["2"]), 10),
        (case(), story(prompts=["welcome", "approved"]), 13),
        (case(given={"key": "9999"}, expect={"entries": {}}), story(), 5),
        (case(expect={"cause": "x"}), story(), 7),
    ],
)
def test_the_line_is_that_of_the_expectation(case_, story_, line):
    assert judge(case_, story_).line == line


def test_an_amount_counts_by_its_value():
    assert judge(case(given={"amount": Decimal("200")}), story()) is None
    assert judge(case(), story(amount="200.0")) is None


def test_the_last_entry_counts_unless_all_are_listed():
    heard = story(key=["999999", "123456"])
    assert judge(case(), heard) is None
    assert judge(case(expect={"entries": {"payment_key": ["999999", "123456"]}}), heard) is None
    wrong = judge(case(expect={"entries": {"payment_key": ["999998", "123456"]}}), heard)
    assert (wrong.expected, wrong.heard, wrong.t) == ("999998, 123456", "999999, 123456", 1.0)


def test_what_explains_the_rest_comes_first():
    """A wrong entry, then the step, then an entry refused, the outcome, and what follows from it."""
    everything = case(
        expect={"cause": "x", "prompts": ["goodbye"], "journal": [{"event": "CallFailed"}], "charges": 2},
        **STEPS,
    )
    stuck = Failure("step 1, hear ask_key", "ask_key", "nothing", 3.0)
    seen = Seen(completed=0, step=stuck)
    wrong = {"outcome": "no_input", "prompts": []}
    assert judge(everything, story(accept=["2"], **wrong), seen).step == "entry accept"
    assert judge(everything, story(accept=[], **wrong), seen) is stuck
    seen = Seen(completed=0)
    missing = story(refused("accept", "silence"), accept=[], **wrong)
    assert judge(everything, missing, seen).step == "entry accept"
    assert judge(everything, story(accept=[], **wrong), seen).step == "outcome"
    assert judge(everything, story(accept=[], prompts=[]), seen).step == "entry accept"
    assert judge(everything, story(prompts=[]), seen).step == "cause"


def test_a_step_of_a_profile_explains_nothing_that_is_written():
    stuck = Failure("step 1", "ask_key", "nothing", 3.0)
    fast = case(wav=None, caller={"profile": "fast"})
    assert judge(fast, story(), Seen(step=stuck)) is None
    assert judge(case(**STEPS), story(), Seen(step=stuck)) is stuck


@pytest.mark.parametrize(
    ("events", "step", "heard"),
    [
        ([], "outcome", "no end of the call; no prompt at all"),
        (said("welcome"), "outcome", "no end of the call; welcome"),
        ([j.CallFailed(status=486, reason="Busy Here")], "answer", "486 Busy Here"),
    ],
)
def test_a_call_that_never_ended(events, step, heard):
    failure = judge(case(expect={"entries": {}}), Story(records(*events)))
    assert (failure.step, failure.heard) == (step, heard)


def test_a_call_without_an_end_fails_whatever_is_expected():
    only_prompts = case(expect={"outcome": None, "entries": {}, "prompts": ["welcome"]})
    assert judge(only_prompts, Story(records(*said("welcome"), ended("abandoned")))) is None
    assert judge(only_prompts, Story(records(*said("welcome")))).step == "end"
    assert Story([]).outcome == "none"


@pytest.mark.parametrize(
    ("outcome", "written", "completed", "heard"),
    [
        ("approved", None, 0, ("1 completed", "no completed charge")),
        ("approved", None, 2, ("1 completed", "2 completed")),
        ("approved", 2, 2, None),
        ("declined", None, 1, ("0 completed", "1 completed")),
        ("declined", None, 0, None),
        ("unknown", None, 0, None),
        ("unknown", None, 1, None),
        ("unknown", None, 2, ("1 completed at the most", "2 completed")),
        ("unknown", 1, 0, ("1 completed", "no completed charge")),
        ("key_refused", 1, 1, None),
        ("approved", None, None, None),
    ],
)
def test_charges_agree_with_what_the_caller_was_told(outcome, written, completed, heard):
    expect = {"outcome": outcome, "entries": {}} | ({} if written is None else {"charges": written})
    failure = judge(case(expect=expect), story(outcome=outcome), Seen(completed=completed))
    assert (failure and (failure.expected, failure.heard)) == heard
    assert failure is None or failure.step == "charges of order ord-1"


def test_requests_are_counted():
    expected = case(expect={"requests": {"authorizer": 1, "openpay": 0}})
    assert judge(expected, story(), Seen(requests={"authorizer": 1})) is None
    failure = judge(expected, story(), Seen(requests={"authorizer": 1, "openpay": 2}))
    assert (failure.step, failure.expected, failure.heard) == ("requests to openpay", "0", "2")


# A prompt begins at 1.0 s; keys at 1.5 s and 1.9 s; it is cut at 2.0 s.
CUT = [
    j.Record(1, "1", 1.0, AT, j.PromptStarted(name="ask_key", params={})),
    j.Record(2, "1", 2.0, AT, j.PromptEnded(name="ask_key", cut_by="key")),
    j.Record(3, "1", 2.0, AT, j.KeyPressed(method="inband", start=1.5, duration_ms=90, level_dbm0=-10)),
    j.Record(4, "1", 2.1, AT, j.KeyPressed(method="inband", start=1.9, duration_ms=90, level_dbm0=-10)),
    j.Record(5, "1", 3.0, AT, ended("approved")),
]  # fmt: skip


def test_a_barge_in_is_measured_from_the_first_key_into_the_prompt():
    [cut] = Story(CUT).barge_ins()
    assert (cut.prompt, cut.t, cut.ms) == ("ask_key", 2.0, pytest.approx(500))


@pytest.mark.parametrize(("limit", "measured", "heard"), [
    (500, None, None), (499, None, "500 ms"), (60, [BargeIn("amount", 2.0, 60.0)], None),
    (60, [BargeIn("amount", 2.0, 61.0)], "61 ms"), (60, [], "none was cut"),
])  # fmt: skip
def test_what_was_measured_in_the_audio_counts_before_the_journal(limit, measured, heard):
    expected = case(expect={"barge_in_ms": limit, "entries": {}, "prompts": []})
    failure = judge(expected, Story(CUT), Seen(barge_ins=measured))
    assert (failure and failure.heard) == heard


@pytest.mark.parametrize(
    "wanted",
    [
        {"event": "PromptStarted", "params": {"amount": "200.00"}},
        {"event": "PromptStarted", "params": {"amount": "200.00", "description": "Cargo IVR"}},
        {"event": "KeyPressed", "start": "0.50", "duration_ms": "90", "level_dbm0": "null"},
        {"event": "ChargeSent", "amount": "200.00"},
        {"event": "CallAnswered", "key_methods": ["info", "inband"]},
        {"event": "EntryAccepted", "field": "cvv", "value": "null"},
    ],
)
def test_fields_of_events_match_as_they_are_written(wanted):
    events = [
        j.CallAnswered(codec="PCMU", key_methods=("info", "inband")),
        j.KeyPressed(method="info", start=0.5, duration_ms=90, level_dbm0=None),
        j.ChargeSent(attempt="a", order_id="ord-1", amount=Decimal("200.00")),
    ]
    assert judge(case(expect={"journal": [wanted]}), story(*events)) is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"event": "PromptStarted", "params": {"amount": "200.01"}},
        {"event": "PromptStarted", "params": {"wages": "1"}},
        {"event": "PromptStarted", "params": "200.00"},
        {"event": "PromptStarted", "name": {"amount": "1"}},
        {"event": "EntryAccepted", "field": "payment_key", "value": "0123456"},
        {"event": "CallAnswered", "key_methods": ["info"]},
    ],
)
def test_fields_of_events_that_do_not_match(wanted):
    events = [j.CallAnswered(codec="PCMU", key_methods=("info", "inband"))]
    assert judge(case(expect={"journal": [wanted]}), story(*events)) is not None


def test_of_somebody_elses_line_only_what_was_heard_is_judged():
    everything = case(
        expect={"cause": "x", "journal": [{"event": "CallFailed"}], "requests": {"openpay": 1}, "charges": 1,
                "barge_in_ms": 60}
    )  # fmt: skip
    outside = Seen(journal=False)
    assert judge(everything, story(key=[], accept=[]), outside) is None
    assert judge(everything, story(outcome="declined"), outside).step == "outcome"
    assert judge(everything, story(amount="1.00"), outside).step == "prompt amount"
    assert unjudged(everything, outside) == [
        "expect.entries", "expect.cause", "expect.journal", "expect.barge_in_ms", "expect.requests",
        "expect.charges",
    ]  # fmt: skip
    assert unjudged(everything, Seen(completed=1, requests={})) == []


def test_cut_prompts_are_told():
    cut = Story(records(*said("welcome", "key"), *said("amount")))
    assert [(p.name, p.start_s, p.cut) for p in cut.prompts] == [
        ("welcome", 0.0, "key"),
        ("amount", 0.2, None),
    ]


def test_a_long_story_is_told_short():
    many = story(prompts=["ask_key"] * 100)
    failure = judge(case(expect={"prompts": ["goodbye"]}), many)
    assert failure.heard.endswith("and 90 more")
