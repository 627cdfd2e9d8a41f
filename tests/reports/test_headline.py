"""What a report says first of calls that somebody left, and of whose move it is."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest

from dtmf.refusal import Reason
from ivr_sim import journal as j
from ivr_sim.reports.headline import TONES, advice, headline, refused_tones

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
ASKED = j.PromptStarted(name="ask_key", params={})
REFUSED = j.AuthorizerReplied(cause="refused", status=200, ms=4)
KEYED = j.EntryAccepted(field="payment_key", length=6, value="999999")
WRONG = j.EntryRefused(field="card_number", reason="luhn")
LEFT = j.CallEnded(outcome="abandoned", cause="hung_up", by="caller")


def told(*events: j.Event) -> str:
    return headline([j.Record(n, "0001", float(n), AT, event) for n, event in enumerate(events)])


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((ASKED, KEYED, REFUSED, ASKED, LEFT), "the authorizer had refused the payment key"),
        ((ASKED, WRONG, ASKED, LEFT), "the card number was not taken: luhn"),
    ],
)
def test_who_leaves_after_a_refusal(events, said):
    assert said in told(*events)
    assert "the caller hung up" in told(*events)


@pytest.mark.parametrize("reason", get_args(Reason))
def test_why_a_tone_was_not_taken_is_told_in_words(reason):
    tone = j.KeyRefused(method="inband", start=1, duration_ms=80, reason=reason, level_dbm0=-12, twist_db=1)
    said = refused_tones([tone])
    assert (
        said == f"1 tone was heard but not taken for a key: {TONES[reason]} (80 ms, -12 dBm0, twist 1.0 dB)"
    )


def test_who_leaves_for_no_reason():
    assert "Before that" not in told(ASKED, KEYED, ASKED, LEFT)


def test_who_is_cut_off_did_not_hang_up():
    text = told(ASKED, j.CallEnded(outcome="abandoned", cause="cut_off", by="ivr"))
    assert "we cut the call off" in text
    assert "hung up" not in text


def test_a_declined_card_is_nobodys_fault_here():
    ended = j.CallEnded(outcome="declined", cause="code_3001", by="ivr")
    sent = j.ChargeSent(attempt="a", order_id="o-1", amount=Decimal("1.00"))
    assert "bank" in advice([sent, ended])
