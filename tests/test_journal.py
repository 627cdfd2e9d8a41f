"""The journal's contract: shapes as JSON, order, and readers that fail."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ivr_sim import journal as j

AT = datetime(2026, 11, 23, 18, 30, 0, 123456, tzinfo=UTC)
EVENTS = [
    (j.CallOffered(from_="1001", to="5000", leg="sip"),
     {"from": "1001", "to": "5000", "leg": "sip", "user_agent": None, "call_id": None}),
    (j.CallAnswered(codec="PCMU", key_methods=("rfc4733", "inband")),
     {"codec": "PCMU", "key_methods": ["rfc4733", "inband"]}),
    (j.CallFailed(status=486, reason="Busy Here"), {"status": 486, "reason": "Busy Here"}),
    (j.PromptStarted(name="amount", params={"amount": "200.00"}),
     {"name": "amount", "params": {"amount": "200.00"}}),
    (j.PromptEnded(name="amount", cut_by="key"), {"name": "amount", "cut_by": "key"}),
    (j.KeyPressed(method="info", start=1.02, duration_ms=160, level_dbm0=None),
     {"method": "info", "start": 1.02, "duration_ms": 160, "level_dbm0": None}),
    (j.KeyRefused(method="inband", start=1.02, duration_ms=30, reason="too_short", level_dbm0=-9.5),
     {"method": "inband", "start": 1.02, "duration_ms": 30, "reason": "too_short", "level_dbm0": -9.5,
      "twist_db": None}),
    (j.ChargeReconciled(attempt="a-1", order_id="ord-1", amount=Decimal("200.00"), result="approved",
                        charge_id="tr1", error_code=None),
     {"attempt": "a-1", "order_id": "ord-1", "amount": "200.00", "result": "approved", "charge_id": "tr1",
      "error_code": None}),
    (j.PhoneRegistered(user="1001", source="10.0.0.7:5060", contact="sip:1001@10.0.0.7", user_agent="Zoiper",
                       expires_in=300),
     {"user": "1001", "source": "10.0.0.7:5060", "contact": "sip:1001@10.0.0.7", "user_agent": "Zoiper",
      "expires_in": 300}),
    (j.PhoneUnregistered(user="1001", contact="sip:1001@10.0.0.7"),
     {"user": "1001", "contact": "sip:1001@10.0.0.7"}),
    (j.MediaReported(sent=512, received=498, lost=3, duplicated=0, reordered=1, late=2, bad=0, jitter_ms=4.2,
                     remote_lost=1, round_trip_ms=None),
     {"sent": 512, "received": 498, "lost": 3, "duplicated": 0, "reordered": 1, "late": 2, "bad": 0,
      "jitter_ms": 4.2, "remote_lost": 1, "round_trip_ms": None}),
    (j.SourceBanned(source="203.0.113.9", reason="flood", seconds=300),
     {"source": "203.0.113.9", "reason": "flood", "seconds": 300}),
    (j.LineStarted(line="ivr-1", pid=4711), {"line": "ivr-1", "pid": 4711}),
    (j.LineEnded(line="ivr-1", why="signal 9", calls=2, again_in=0.2),
     {"line": "ivr-1", "why": "signal 9", "calls": 2, "again_in": 0.2}),
    (j.Finding(code="no_rtp", what="Nothing came.", advice="Open the port."),
     {"code": "no_rtp", "what": "Nothing came.", "advice": "Open the port."}),
    (j.EntryAccepted(field="cvv", length=3, value=None), {"field": "cvv", "length": 3, "value": None}),
    (j.EntryRefused(field="cvv", reason="silence"), {"field": "cvv", "reason": "silence"}),
    (j.AuthorizerReplied(cause="timeout", status=None, ms=5001),
     {"cause": "timeout", "status": None, "ms": 5001}),
    (j.ChargeSent(attempt="a", order_id="ord-1", amount=Decimal("200.00")),
     {"attempt": "a", "order_id": "ord-1", "amount": "200.00"}),
    (j.ChargeSettled(attempt="a", result="declined", charge_id=None, error_code=3001, ms=9),
     {"attempt": "a", "result": "declined", "charge_id": None, "error_code": 3001, "ms": 9}),
    (j.CallEnded(outcome="declined", cause="code_3001", by="ivr"),
     {"outcome": "declined", "cause": "code_3001", "by": "ivr"}),
    (j.RecordingWritten(path="x.wav"), {"path": "x.wav"}),
]  # fmt: skip


@pytest.mark.parametrize(("event", "body"), EVENTS, ids=lambda v: type(v).__name__)
def test_events_as_json(event, body):
    record = j.Record(7, "0001", 1.23456, AT, event)
    head = {"v": 1, "seq": 7, "call": "0001", "t": 1.235, "at": "2026-11-23T18:30:00.123Z"}
    assert record.as_json() == {**head, "event": type(event).__name__, **body}


def test_every_event_is_covered():
    kinds = {type(event) for event, _ in EVENTS}
    named = {getattr(j, name) for name in j.__all__}
    assert kinds == {k for k in named if isinstance(k, type) and issubclass(k, j.Event) and k is not j.Event}


def test_no_event_has_a_place_for_a_digit():
    assert {f.name for f in fields(j.KeyPressed)} == {"method", "start", "duration_ms", "level_dbm0"}


def test_json_lines_and_numbering():
    stream = io.StringIO()
    journal = j.Journal(lambda: AT)
    journal.subscribe(j.JsonLines(stream))
    for_call = j.CallJournal(journal, "0002", lambda: 3.0)
    for_call.emit(j.EntryRefused(field="payment_key", reason="leading_zero"))
    journal.emit(j.RecordingWritten(path="ñ.wav"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(x["seq"], x["call"], x["t"]) for x in lines] == [(1, "0002", 3.0), (2, None, None)]
    assert "ñ.wav" in stream.getvalue()


def test_bytes_that_are_no_text_do_not_cost_a_line(tmp_path):
    name = b"b\xe9la".decode("utf-8", "surrogateescape")  # a header as SIP brings it
    journal = j.Journal(lambda: AT)
    with (tmp_path / "journal.jsonl").open("w", encoding="utf-8") as file:
        journal.subscribe(j.JsonLines(file))
        journal.emit(j.CallOffered(from_="1001", to="5000", leg="sip", user_agent=name))
    [line] = (tmp_path / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["user_agent"] == "b?la"


def test_a_reader_that_fails_stops_nobody(caplog):
    journal = j.Journal(lambda: AT)
    seen = []

    def broken(record: j.Record) -> None:
        raise RuntimeError("full disk")

    journal.subscribe(broken)
    stop = journal.subscribe(seen.append)
    journal.emit(j.RecordingWritten(path="a"))
    stop()
    stop()
    journal.emit(j.RecordingWritten(path="b"))
    assert [r.event.path for r in seen] == ["a"]


def test_what_has_no_json_form_is_refused():
    record = j.Record(1, None, None, AT, j.PromptStarted(name="x", params={"a": object()}))
    with pytest.raises(TypeError):
        record.as_json()
