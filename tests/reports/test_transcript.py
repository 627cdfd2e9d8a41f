"""The transcript: what is shown of a call, and that no secret is."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from rich.console import Console

from ivr_sim import journal as j
from ivr_sim.reports import Transcript


@pytest.fixture
def page(journal):
    stream = io.StringIO()
    console = Console(file=stream, width=200, color_system=None)
    journal.subscribe(Transcript(console, lambda name, params: f"{name} {dict(params)}"))
    return stream


def test_a_call_line_by_line(journal, page):
    clock = iter([None, 0.0, 0.1, 1.0, 1.2, 1.4, 2.0, 2.1, 2.2, 3.0, 4.0, 5.0, 6.0, 7.0])
    call = j.CallJournal(journal, "0001", lambda: next(clock))
    call.emit(j.CallOffered(from_="1001", to="5000", leg="sip", user_agent="baresip v1.0"))
    call.emit(j.CallAnswered(codec="PCMU", key_methods=("rfc4733", "inband")))
    call.emit(j.PromptStarted(name="ask_key", params={}))
    call.emit(j.PromptEnded(name="ask_key", cut_by="key"))
    call.emit(j.KeyPressed(method="inband", start=0.9, duration_ms=100, level_dbm0=-10.2))
    call.emit(j.KeyPressed(method="inband", start=1.1, duration_ms=100, level_dbm0=-9.8))
    call.emit(j.EntryAccepted(field="payment_key", length=2, value="12"))
    call.emit(j.AuthorizerReplied(cause="ok", status=200, ms=12))
    call.emit(j.EntryRefused(field="card_number", reason="luhn"))
    call.emit(j.EntryAccepted(field="cvv", length=3, value=None))
    call.emit(j.ChargeSent(attempt="a", order_id="ord-1", amount=Decimal("200.00")))
    call.emit(j.ChargeSettled(attempt="a", result="declined", charge_id="trx", error_code=3001, ms=9))
    call.emit(j.AuthorizerReplied(cause="timeout", status=None, ms=5001))
    call.emit(j.CallEnded(outcome="declined", cause="code_3001", by="ivr"))
    assert [" ".join(line.split()) for line in page.getvalue().splitlines()] == [
        "call 1001 calls 5000 (baresip v1.0)",
        "0.00s call answered: PCMU; keys by RFC 4733, in-band tone",
        "0.10s IVR «ask_key {}»",
        "1.20s payer •• 2 keys (in-band tone, -10 dBm0)",
        "2.00s entry payment_key: 12",
        "2.10s HTTP POST authorizer → HTTP 200, ok, 12 ms",
        "2.20s entry card_number refused: luhn",
        "3.00s entry cvv: 3 digits, kept secret",
        "4.00s HTTP charge of 200.00 for order ord-1 sent to Openpay",
        "5.00s HTTP charge → declined (3001), charge trx, 9 ms",
        "6.00s HTTP POST authorizer → no answer, timeout, 5001 ms",
        "7.00s call ended by the IVR: declined (code_3001)",
    ]


def test_a_charge_of_an_earlier_call(journal, page):
    found = {"attempt": "a", "order_id": "ord-1", "amount": Decimal("200.00")}
    journal.emit(
        j.ChargeReconciled(**found, result="approved", charge_id="trx", error_code=None), call="0009"
    )
    journal.emit(j.ChargeReconciled(**found, result="declined", charge_id=None, error_code=3001), call="0009")
    assert [" ".join(line.split()) for line in page.getvalue().splitlines()] == [
        "HTTP charge of 200.00 for order ord-1 found to be approved, charge trx",
        "HTTP charge of 200.00 for order ord-1 found to be declined (3001)",
    ]


def test_a_call_that_never_was(journal, page):
    journal.emit(j.CallFailed(status=488, reason="Not Acceptable Here"), call="0002")
    assert "failed: 488 Not Acceptable Here" in page.getvalue()


def test_nothing_that_was_sent_steers_the_terminal(journal, page):
    bad = "baresip\x1b[2J\r\udce9"
    journal.emit(j.CallOffered(from_="1001\n", to="5000", leg="sip", user_agent=bad), call="0003")
    shown = page.getvalue()
    assert len(shown.splitlines()) == 1
    assert not {"\x1b", "\r", "\udce9"} & set(shown)
    assert "baresip" in shown
