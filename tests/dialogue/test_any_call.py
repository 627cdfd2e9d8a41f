"""Whatever a caller keys and whatever the services answer: what must hold of every call."""

from __future__ import annotations

import json
import re
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from ivr_sim.dialogue import Limits, Outcome
from ivr_sim.dialogue.services import (
    AcquirerFailed,
    AlreadyPaid,
    Approved,
    AuthorizerFailed,
    Declined,
    Refusal,
    Unknown,
)
from ivr_sim.journal import (
    ChargeSent,
    ChargeSettled,
    EntryAccepted,
    EntryRefused,
    KeyPressed,
    PromptEnded,
    PromptStarted,
)

from .conftest import PAYABLE, Stage

VISA, AMEX = "4111111111111111", "371449635398431"
CARDS = {VISA, AMEX}
# No digit run of these stands anywhere in a journal by chance: its numbers are shorter.
SECRETS = (VISA, AMEX, "0930", "7391")
RESULT = {"approved": "approved", "declined": "declined", "already_paid": "key_refused", "unknown": "unknown"}
SAID = {"approved": "approved", "already_paid": "already_paid", "unknown": "unknown_outcome",
        "failed": "openpay_failed", "declined": "declined"}  # fmt: skip
SETTLED = {"approved", "already_paid", "unknown", "failed"}

keys = st.text("0123456789*#AD!", max_size=24)
GOOD = {
    "welcome": st.just(""),
    "ask_key": st.sampled_from(["123456#", "123456", "999999#", "12*123456#", VISA + "#", "123456#1"]),
    "amount": st.just(""),
    "ask_accept": st.sampled_from(["1", "1#", "3", "2", "1" + VISA + "0930" + "739"]),
    "ask_card": st.sampled_from(
        [VISA, VISA + "#", AMEX, AMEX + "0930" + "7391", "4111111111111112", "4A11#"]
    ),
    "ask_expiry": st.sampled_from(["0930", "0930#", "0930739", "0125"]),
    "ask_cvv": st.sampled_from(["739", "7391", "739#"]),
    "one_moment": st.sampled_from(["", "", "5", "!"]),
    "approved": st.sampled_from(["", "", "5", "!"]),
    "declined": st.sampled_from(["", "", "5", "!"]),
    "ask_another_card": st.sampled_from(["1", "1", "2"]),
}


@st.composite
def callers(draw) -> dict[str, list[str]]:
    """What is keyed at each prompt, time by time: mostly what was asked for."""
    often = draw(st.integers(0, 9))
    script = {}
    for prompt, sensible in GOOD.items():
        turns = draw(st.integers(2, 4))
        script[prompt] = [draw(keys if draw(st.integers(0, 39)) < often else sensible) for _ in range(turns)]
    return script


charged = st.one_of(
    st.just(Approved(charge_id="trx", authorization="801585")),
    st.just(Approved(charge_id="trx", authorization="801585")),
    st.builds(Declined, error_code=st.sampled_from([2007, 3001, 3003, 9999])),
    st.just(AlreadyPaid(charge_id="trx")),
    st.just(Unknown()),
    st.just(AcquirerFailed("connect")),
    st.builds(lambda: RuntimeError(f"leak {VISA}")),
)
looked_up = st.one_of(
    st.just(PAYABLE),
    st.just(PAYABLE),
    st.just(PAYABLE),
    st.builds(Refusal, code=st.integers(1, 9), description=st.text(max_size=20)),
    st.just(AuthorizerFailed("timeout", ms=5000)),
)


@settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    script=callers(),
    results=st.lists(charged, min_size=3, max_size=3),
    answer=looked_up,
    on_start=st.booleans(),
    delay=st.sampled_from([0.02, 0.1, 0.3, 1.7, 7.9]),
    slow=st.sampled_from([None, None, None, 0.5, 0.5, 4.9, 4.9, 620.0]),
    key_length=st.sampled_from([None, 6]),
)
def test_any_call(new_journal, script, results, answer, on_start, delay, slow, key_length):
    journal = new_journal()
    stage = Stage(journal, today=date(2026, 11, 23), limits=Limits(key_length=key_length))
    stage.keys.answers["123456"] = answer
    stage.acquirer.results = list(results)
    stage.on_start, stage.delay = on_start, delay
    if slow is not None:
        stage.acquirer.pending, stage.service_seconds = Deferred(), slow
        stage.keys.pending = Deferred() if slow < 5 else None
    stage.allowed = lambda number: number.is_one_of(CARDS)

    ending = stage.play(script, max_seconds=2000)  # fails when the call does not end, or ends by an error

    settled = [e.result for e in journal.of(ChargeSettled)]
    heard = [(r.event, r.t) for r in journal.records if isinstance(r.event, PromptStarted | PromptEnded)]
    said = [e.name for e, _ in heard if isinstance(e, PromptStarted)]

    # One ending, over for good.
    assert ending.outcome in set(Outcome)
    assert stage.call.gone in ("caller", "ivr")
    assert not stage.call.waiting

    # One charge that counts; after it no other; each is settled; what it came to is the outcome.
    attempts = [e.attempt for e in journal.of(ChargeSent)]
    assert attempts == stage.acquirer.attempts == [e.attempt for e in journal.of(ChargeSettled)]
    assert len(set(attempts)) == len(attempts) <= 3
    assert set(settled[:-1]) <= {"declined"}
    if settled and settled[-1] == "failed":
        assert ending.outcome == "openpay_failed"
    elif settled and settled[-1] in SETTLED:
        assert ending.outcome == RESULT[settled[-1]]
    else:
        assert ending.outcome not in ("approved", "unknown", "openpay_failed")

    # Nothing is said that is not so, and what is so is said, if anybody is there to hear it.
    for word, name in SAID.items():
        assert said.count(name) <= settled.count(word)
    if settled and stage.call.gone == "ivr":
        assert SAID[settled[-1]] in said
    assert "one_moment" not in said[: said.index("amount") if "amount" in said else None]

    # Only after the amount began to be said and a 1 was keyed behind that.
    accepted = [
        journal.time_of(e) for e in journal.of(EntryAccepted) if e.field == "accept" and e.value == "1"
    ]
    if attempts:
        amount = max(t for e, t in heard if isinstance(e, PromptStarted) and e.name == "amount")
        assert accepted
        assert amount < accepted[0]

    # No time-out comes early: silence from the end of the prompt on, or of the last key.
    for refused in (e for e in journal.of(EntryRefused) if e.reason == "silence"):
        at = journal.time_of(refused)
        first = 15 if refused.field in ("card_number", "expiry", "cvv") else 8
        quiet = [t for e, t in heard if isinstance(e, PromptEnded) and t <= at]
        assert at - quiet[-1] >= first - 1e-9

    # What may not be interrupted by a key was not.
    for event in journal.of(PromptEnded):
        if event.name in ("one_moment", "approved", "declined", "already_paid", "unknown_outcome", "goodbye"):
            assert event.cut_by in (None, "hangup")

    # No secret in the journal, and no tone published but those of published entries.
    lines = [json.dumps({**r.as_json(), "at": ""}) for r in journal.records]
    written = "\n".join(lines)
    for secret in SECRETS:
        assert not re.search(rf"(?<![0-9.]){secret}(?![0-9])", written)
    assert not {e.field: e.value for e in journal.of(EntryAccepted) if e.value is not None}.keys() - {
        "payment_key", "accept", "another_card",
    }  # fmt: skip
    assert all(len(e.value) <= 12 for e in journal.of(EntryAccepted) if e.value is not None)
    secret, published = stage.call.key_spans()
    shown = sum(len(e.value) for e in journal.of(EntryAccepted) if e.value is not None)
    assert shown <= len(published) <= shown + 2 * len(journal.of(EntryAccepted))
    assert len(secret) + len(published) >= len(journal.of(KeyPressed))


@pytest.fixture
def new_journal(journal):
    """Makes journals: one for each call."""
    return type(journal)
