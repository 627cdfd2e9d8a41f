"""How folders are kept: on a clock, without telephones."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import copy_context
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from ivr_sim import journal as j
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.reports import CallFolders

PHONE, LINE = ("192.0.2.7", 5060), ("127.0.0.1", 40000)


class Drawn:
    """Pictures that are drawn at once, or not."""

    def __init__(self, why: str | None = None) -> None:
        self.why = why
        self.asked: list[Path] = []
        self.stopped = False

    def draw(self, journal: Path, recording: Path, picture: Path) -> Deferred[str | None]:
        self.asked.append(picture)
        if self.why is None:
            picture.write_bytes(b"png")
        return succeed(self.why)

    def stop(self) -> Deferred[None]:
        self.stopped = True
        return succeed(None)


class Calls:
    def __init__(self, root: Path, journal: Any, why: str | None = None, **options: Any) -> None:
        self.root, self.journal, self.clock = root, journal, Clock()
        self.pictures = Drawn(why)
        pictures: Any = self.pictures
        options = {"words": lambda name, params: name, "pictures": pictures, **options}
        self.folders = CallFolders(root, journal, self.clock, **options)

    def call(self, *events: j.Event, call_id: str | None = None) -> str:
        name = self.folders.new()
        self.journal.emit(j.CallOffered(from_="1001", to="5000", leg="sip", call_id=call_id), call=name)
        for event in events:
            self.journal.emit(event, call=name, t=1.0)
        return name

    def text(self, name: str, file: str) -> str:
        return (self.root / name / file).read_text()

    def sip(self, direction: str, start: str, peer: Any, call_id: str = "c1", cseq: str = "1 INVITE") -> None:
        head = f"Via: SIP/2.0/UDP x\r\nFrom: <sip:1001@x>;tag=a\r\nTo: <sip:5000@x>\r\nCall-ID: {call_id}\r\n"
        self.folders.sip(direction, f"{start}\r\n{head}CSeq: {cseq}\r\n\r\n".encode(), peer)


@pytest.fixture
def calls(tmp_path, journal) -> Calls:
    return Calls(tmp_path / "calls", journal)


ENDED = j.CallEnded(outcome="approved", cause=None, by="ivr")
ANSWERED = j.CallAnswered(codec="PCMU", key_methods=("rfc4733", "inband"))


def test_numbers_go_on_for_ever(calls, journal):
    assert [calls.folders.new(), calls.folders.new()] == ["0001", "0002"]
    (calls.root / "notes").mkdir()
    (calls.root / "0041").mkdir()
    assert Calls(calls.root, journal).folders.new() == "0042"
    (calls.root / "0003").mkdir()  # another process
    assert calls.folders.new() == "0004"


def test_written_a_second_after_the_recording(calls):
    name = calls.call(ANSWERED, ENDED)
    assert [p.name for p in (calls.root / name).iterdir()] == ["journal.jsonl"]
    calls.clock.advance(5)
    calls.journal.emit(j.RecordingWritten(path="x"), call=name)
    calls.clock.advance(0.9)
    assert not (calls.root / name / "summary.md").exists()
    calls.clock.advance(0.2)
    assert "The payment was approved" in calls.text(name, "summary.md")
    assert calls.clock.getDelayedCalls() == []


def test_without_a_recording_it_is_not_waited_for_ever(calls):
    name = calls.call(ANSWERED, ENDED)
    calls.clock.advance(41)
    assert "- recording.wav: **missing** (none was written)" in calls.text(name, "summary.md")


def test_a_call_under_way_is_written_when_all_stops(calls):
    name = calls.call(ANSWERED)
    Deferred.fromCoroutine(calls.folders.stop())
    assert "The call is not over" in calls.text(name, "summary.md")
    assert calls.pictures.stopped
    assert calls.clock.getDelayedCalls() == []
    calls.journal.emit(ENDED, call=name)  # nobody reads it any longer
    assert "CallEnded" not in calls.text(name, "journal.jsonl")


def test_what_fails_is_named_and_costs_nothing_else(calls, capsys):
    name = calls.call(ANSWERED, ENDED)
    (calls.root / name / "ladder.txt").mkdir()
    calls.clock.advance(41)
    summary = calls.text(name, "summary.md")
    assert "- ladder.txt: **missing** (Is a directory)" in summary
    assert "- http.txt\n" in summary + "\n"
    assert "a call's file could not be written" in capsys.readouterr().out


def test_a_picture_that_cannot_be_drawn_is_named(tmp_path, journal):
    calls = Calls(tmp_path, journal, why="no font")
    name = calls.call(ANSWERED, ENDED)
    calls.clock.advance(41)
    assert "- picture.png: **missing** (no font)" in calls.text(name, "summary.md")


def test_a_broken_disk_harms_nobody(tmp_path, journal, capsys):
    (tmp_path / "calls").write_text("a file where the folder should be")
    calls = Calls(tmp_path / "calls", journal)
    names = [calls.call(ANSWERED, ENDED), calls.call(ANSWERED, ENDED)]
    calls.clock.advance(41)
    assert names == ["0001", "0002"]
    assert len(journal.of(j.CallEnded)) == 2
    assert calls.pictures.asked == []
    assert "could not be written" in capsys.readouterr().out


def test_a_full_disk_in_mid_call(calls):
    """What /dev/full is: every write fails, and nothing else is lost by it."""
    name = calls.folders.new()
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (calls.root / name / "journal.jsonl").symlink_to("/dev/full")
    calls.journal.emit(j.CallOffered(from_="1001", to="5000", leg="sip"), call=name)
    for event in (ANSWERED, ENDED):
        calls.journal.emit(event, call=name, t=1.0)
    calls.clock.advance(41)
    summary = calls.text(name, "summary.md")
    assert "- journal.jsonl: **missing** (No space left on device)" in summary
    assert "The payment was approved" in summary


def test_requests_belong_to_the_call_in_whose_context_they_are_made(calls):
    def exchange(order: str) -> HttpExchange:
        return HttpExchange(
            service="openpay",
            method="GET",
            url=f"http://x/{order}",
            sent_headers={},
            sent="",
            status=200,
            ms=5,
        )

    one, two = copy_context(), copy_context()
    first, second = one.run(calls.call, ANSWERED), two.run(calls.call, ANSWERED)
    two.run(calls.folders.http, exchange("two"))
    one.run(calls.folders.http, exchange("one"))
    calls.folders.http(exchange("nobody's"))
    for name in (first, second):
        calls.journal.emit(ENDED, call=name)
    calls.clock.advance(41)
    one.run(calls.folders.http, exchange("too-late"))
    told = [calls.text(name, "http.txt") for name in (first, second)]
    assert ["one" in told[0], "two" in told[0], "one" in told[1], "two" in told[1]] == [
        True,
        False,
        False,
        True,
    ]


def test_a_payment_key_is_shown_where_it_was_published(calls):
    name = calls.call(ANSWERED)
    for _ in range(2):
        calls.folders.http(
            HttpExchange(
                service="authorizer",
                method="POST",
                url="http://x/",
                sent_headers={},
                status=200,
                sent='{"ivr_key": (the payment key)}',
            )
        )
    for value in (None, "123456"):
        calls.journal.emit(j.EntryAccepted(field="payment_key", length=6, value=value), call=name)
    calls.journal.emit(ENDED, call=name)
    calls.clock.advance(41)
    sent = [line for line in calls.text(name, "http.txt").splitlines() if "ivr_key" in line]
    assert sent == [
        '{"ivr_key": (the payment key)}   <- not shown: it could be a card\'s', '{"ivr_key": 123456}',
    ]  # fmt: skip


def test_messages_of_a_call_and_of_nobody_else(calls):
    calls.sip("received", "INVITE sip:5000@x SIP/2.0", PHONE)
    calls.sip("received", "INVITE sip:5000@x SIP/2.0", PHONE, call_id="other")
    calls.sip("received", "REGISTER sip:x SIP/2.0", PHONE, call_id="reg", cseq="1 REGISTER")
    name = calls.call(ANSWERED, call_id="c1")
    calls.sip("received", "BYE sip:5000@x SIP/2.0", PHONE, cseq="2 BYE")
    calls.journal.emit(ENDED, call=name)
    calls.clock.advance(41)
    ladder = calls.text(name, "ladder.txt")
    assert [ladder.count(word) for word in ("INVITE sip", "BYE sip", "other", "REGISTER")] == [1, 1, 0, 0]


def test_a_flood_of_messages_is_bounded(calls):
    for n in range(2000):
        calls.sip("received", "INVITE sip:5000@x SIP/2.0", PHONE, call_id=f"flood{n}")
        calls.sip("received", "INVITE sip:5000@x SIP/2.0", PHONE, call_id="flood1999")
    assert len(calls.folders._strangers) <= 64
    assert max(map(len, calls.folders._strangers.values())) <= 400
    calls.sip("sent", "SIP/2.0 404 Not Found", PHONE, call_id="flood1999")
    calls.clock.advance(10)
    assert not calls.root.exists()


@pytest.mark.parametrize(
    "junk", [b"", b"\0" * 50, b"Call-ID:\r\n\r\n", b"INVITE \xff\r\nCall-ID: \xff\xfe\r\n\r\n"]
)
def test_garbage_is_survived(calls, junk):
    calls.folders.sip("received", junk, PHONE)
    calls.folders.sip("sent", junk, PHONE)


def test_a_call_called_off_before_the_ivr_heard_of_it(calls, journal):
    calls.sip("received", "INVITE sip:5000@x SIP/2.0", PHONE)
    calls.sip("sent", "INVITE sip:ivr@127.0.0.1:40000 SIP/2.0", LINE)
    calls.sip("received", "CANCEL sip:5000@x SIP/2.0", PHONE, cseq="1 CANCEL")
    calls.sip("sent", "SIP/2.0 200 OK", PHONE, cseq="1 CANCEL")
    calls.sip("sent", "SIP/2.0 487 Request Terminated", PHONE)
    calls.sip("sent", "SIP/2.0 487 Request Terminated", PHONE)
    calls.clock.advance(0.5)
    calls.sip("received", "ACK sip:5000@x SIP/2.0", PHONE, cseq="1 ACK")
    calls.clock.pump([1.0] * 3)
    assert journal.of(j.CallOffered) == [j.CallOffered(from_="1001", to="5000", leg="sip", call_id="c1")]
    assert journal.of(j.CallFailed) == [j.CallFailed(status=487, reason="Request Terminated")]
    assert "487 Request Terminated" in calls.text("0001", "summary.md").splitlines()[0]
    assert calls.text("0001", "ladder.txt").count("(CANCEL)") == 1
    assert "ACK" in calls.text("0001", "ladder.txt")
    assert calls.clock.getDelayedCalls() == []


@pytest.mark.parametrize("target", ["1002", None])
def test_what_is_no_call_of_ours_leaves_nothing(calls, journal, target):
    calls.sip("received", "INVITE sip:5000@x SIP/2.0", PHONE)
    if target is not None:
        calls.sip("sent", f"INVITE sip:{target}@127.0.0.1:40000 SIP/2.0", LINE)
    calls.sip("sent", "SIP/2.0 486 Busy Here", PHONE)
    calls.clock.pump([1.0] * 5)
    assert journal.records == []
    assert not calls.root.exists()


def test_a_refusal_that_the_ivr_tells_of_itself_is_told_once(calls, journal):
    calls.sip("received", "INVITE sip:5000@x SIP/2.0", PHONE)
    calls.sip("sent", "INVITE sip:ivr@127.0.0.1:40000 SIP/2.0", LINE)
    calls.sip("sent", "SIP/2.0 488 Not Acceptable Here", PHONE)
    name = calls.call(j.CallFailed(status=488, reason="Not Acceptable Here"), call_id="c1")
    calls.clock.advance(10)
    assert len(journal.of(j.CallFailed)) == 1
    assert "488" in calls.text(name, "ladder.txt")


def test_findings_first_then_those_of_no_call(calls, journal):
    old = j.Finding(code="old", what="Long ago.", advice="Nothing.")
    journal.emit(old)
    calls.clock.advance(100)
    journal.emit(j.Finding(code="no_register", what="REGISTER refused.", advice="Check the password."))
    finding = j.Finding(code="no_rtp", what="No RTP for 3 s.", advice="Open the firewall | please.")
    name = calls.call(ANSWERED, finding, ENDED)
    calls.clock.advance(41)
    summary = calls.text(name, "summary.md")
    assert summary.splitlines()[1].startswith("**No RTP for 3 s.** Open the firewall")
    assert "- `no_register`: REGISTER refused. **Check the password.**" in summary
    assert "Long ago" not in summary


def test_why_a_call_was_refused_is_found_before_it_is_a_call(calls, journal):
    journal.emit(j.Finding(code="no_codec", what="Only Opus was offered.", advice="Enable PCMU or PCMA."))
    calls.sip("received", "INVITE sip:5000@x SIP/2.0", PHONE)
    calls.sip("sent", "INVITE sip:ivr@127.0.0.1:40000 SIP/2.0", LINE)
    calls.sip("sent", "SIP/2.0 488 Not Acceptable Here", PHONE)
    calls.clock.pump([1.0] * 3)
    lines = calls.text("0001", "summary.md").splitlines()
    assert "488 Not Acceptable Here" in lines[0]
    assert lines[1] == "**Only Opus was offered.** Enable PCMU or PCMA."


def test_secrets_in_settings(tmp_path, journal):
    settings = {
        "openpay_private_key": "sk_1",
        "authorizer": "https://x/a?token=s3cret",
        "key_length": 6,
        "pbx": None,
    }
    calls = Calls(tmp_path, journal, settings=settings)
    name = calls.call(j.CallFailed(status=500, reason="no"))
    calls.clock.advance(2)
    summary = calls.text(name, "summary.md")
    assert (
        "- openpay_private_key = (not shown)\n- authorizer = https://x/a?(not shown)\n- key_length = 6\n"
        in summary
    )


def test_packets(calls):
    name = calls.call(ANSWERED)
    calls.journal.emit(ENDED, call=name)
    calls.journal.emit(
        j.MediaReported(
            sent=512, received=498, lost=3, duplicated=0, reordered=1, late=2, bad=0, jitter_ms=4.2,
            remote_lost=None, round_trip_ms=None,
        ),
        call=name,
    )  # fmt: skip
    calls.clock.advance(41)
    counts = "sent 512, received 498, lost 3, duplicated 0, reordered 1, late 2, bad 0, jitter_ms 4.2"
    assert f"- RTP packets of the line: {counts}\n" in calls.text(name, "summary.md")


def test_a_charge_settled_later_is_added(calls):
    name = calls.call(ANSWERED, j.CallEnded(outcome="unknown", cause=None, by="ivr"))
    calls.clock.advance(41)
    settled = j.ChargeReconciled(
        attempt="a", order_id="o", amount=Decimal("5.00"), result="approved", charge_id="t", error_code=None
    )
    calls.journal.emit(settled, call=name)
    calls.journal.emit(settled, call="7777")  # of a call whose folder is gone
    last = json.loads(calls.text(name, "journal.jsonl").splitlines()[-1])
    assert (last["event"], last["result"]) == ("ChargeReconciled", "approved")
    assert not (calls.root / "7777").exists()


def told(*events: j.Event, words: Callable[..., str] = lambda name, params: name) -> list[str]:
    """The first two lines of a summary."""
    from datetime import UTC, datetime

    from ivr_sim.reports.summary import CallStory, summary

    offered = j.CallOffered(from_="1001", to="5000", leg="sip", user_agent="Linphone|<b>")
    at = datetime(2026, 11, 23, tzinfo=UTC)
    records = [
        j.Record(n, "0001", float(n), at, event) for n, event in enumerate((offered, ANSWERED, *events))
    ]
    text = summary(CallStory("0001", records), words)
    assert text.endswith("\n")
    return text.splitlines()[:2]


def over(outcome: str, cause: str | None = None, by: Any = "ivr") -> j.CallEnded:
    return j.CallEnded(outcome=outcome, cause=cause, by=by)


LATE = j.AuthorizerReplied(cause="timeout", status=None, ms=5001)
SILENCE = [j.EntryRefused(field="payment_key", reason="silence")] * 3
SHORT = [
    j.KeyRefused(
        method="inband", start=n, duration_ms=20 + n, reason="too_short", level_dbm0=-12.0, twist_db=1.0
    )
    for n in range(3)
]


@pytest.mark.parametrize(
    ("events", "first", "second"),
    [
        ([over("approved")], "The payment was approved.", "called 5000"),
        ([over("tried", "hung_up")], "The telephone was tried out at 5000. No key was heard.", "1001"),
        ([over("rejected")], "pressed 2, which rejects it", "1001"),
        ([over("key_refused", "already_paid")], "this order is paid already", "http.txt"),
        ([over("key_refused", "code_404")], "refused the payment key (response_code 404)", "http.txt"),
        (
            [LATE, over("authorizer_failed", "timeout")],
            "the authorizer failed: it gave no whole answer in time (5 s are allowed); it took 5001 ms",
            "See what the authorizer does meanwhile",
        ),
        (
            [j.AuthorizerReplied(cause="status", status=500, ms=9), over("authorizer_failed", "status")],
            "it answered HTTP 500",
            "Look into the authorizer's log",
        ),
        ([over("openpay_failed", "connect")], "Openpay failed (connect)", "http.txt"),
        ([over("unknown")], "is not known", "called"),
        ([*SILENCE, over("no_input", "payment_key")], "no key was heard", "they could come by RFC 4733"),
        (
            [*SILENCE, *SHORT, over("no_input", "payment_key")],
            "no key was heard; 3 tones were heard but not taken for a key: too short (20 to 22 ms, -12 dBm0",
            "3 tones were heard",
        ),
        (
            [j.EntryRefused(field="card_number", reason="luhn")] * 3 + [over("no_input", "card_number")],
            "the card number was asked for until the tries were used up: the last entries were refused as",
            "1001",
        ),
        ([over("no_input", "time_limit")], "time limit", "1001"),
        ([j.PromptStarted(name="ask_card", params={}), over("abandoned", "hung_up", "caller")],
         'the caller hung up (abandoned). The last prompt was "ask_card". No key was heard.', "«ask_card»"),
        ([over("abandoned", "no_voice")], "a prompt has no sound", "1001"),
        ([over("abandoned", "internal_error_KeyError")], "by a defect of ivr-sim", "1001"),
        ([j.CallFailed(status=488, reason="No")], "refused before it was answered: 488 No", "ladder.txt"),
        ([], "not over", "1001"),
    ],
)  # fmt: skip
def test_two_lines_tell_what_went_wrong(events, first, second):
    lines = told(*events)
    assert first in lines[0]
    assert second in lines[1]


def test_steps_tell_what_was_expected_and_what_came(calls):
    name = calls.call(
        ANSWERED,
        j.PromptStarted(name="welcome", params={}),
        j.PromptEnded(name="welcome", cut_by="key"),
        j.KeyPressed(method="info", start=0.5, duration_ms=90, level_dbm0=None),
        j.KeyPressed(method="inband", start=0.8, duration_ms=100, level_dbm0=-9.0),
        j.EntryAccepted(field="payment_key", length=6, value="123456"),
        j.AuthorizerReplied(cause="status", status=500, ms=12),
        j.PromptStarted(name="ask_card", params={}),
        j.PromptEnded(name="ask_card", cut_by=None),
        j.EntryRefused(field="card_number", reason="silence"),
        ENDED,
    )
    calls.clock.advance(41)
    rows = [line for line in calls.text(name, "summary.md").splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        "| 1.00 | welcome (cut) | a payment key, 4 to 12 digits and # | 2 keys by SIP INFO, in-band tones, "
        "90 to 100 ms, -9 dBm0; payment_key: 123456 |",
        "| 1.00 | authorizer asked for the payment key | an answer in 5 s | **HTTP 500, status, 12 ms** |",
        "| 1.00 | ask_card: «ask_card» | a card number | **card_number refused: silence** |",
        "| 1.00 |  |  | ended by the ivr: approved |",
    ]


def test_a_declined_card_in_two_lines():
    lines = told(
        j.ChargeSent(attempt="a", order_id="ord-1", amount=Decimal("200.00")),
        j.ChargeSettled(attempt="a", result="declined", charge_id="tr1", error_code=3001, ms=9),
        j.PromptStarted(name="declined", params={"code": "3001"}),
        j.PromptStarted(name="ask_another_card", params={}),
        over("declined", "code_3001"),
    )
    assert "the card was declined with error 3001, 200.00 for order ord-1, charge tr1." in lines[0]
    assert "«declined»" in lines[1]


def test_a_phrase_that_is_not_known_any_longer_is_named():
    def words(name: str, params: Any) -> str:
        raise KeyError(name)

    assert (
        "«old_phrase»"
        in told(j.PromptStarted(name="old_phrase", params={}), over("approved"), words=words)[1]
    )


def test_what_a_telephone_says_of_itself_is_no_markdown():
    assert "Linphone\\|\\<b\\>" in told(over("approved"))[1]
