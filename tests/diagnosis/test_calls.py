"""Calls in which something is amiss: what stream, session and journal come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from dtmf.refusal import Reason
from ivr_sim.diagnosis.calls import AUDIO_BY, CONFIRMED_BY, GATHER, CallWatch
from ivr_sim.diagnosis.teller import Teller
from ivr_sim.journal import (
    CallAnswered,
    CallJournal,
    EntryRefused,
    Event,
    Finding,
    KeyPressed,
    KeyRefused,
)
from ivr_sim.media import StreamStats
from ivr_sim.sip.states import SessionState

PHONE = "192.0.2.9"
HEARD = StreamStats(received=150)


@dataclass
class Line:
    """A session, as far as it is looked at; all is well with it."""

    state: SessionState = SessionState.ANSWERED
    codec: str | None = "PCMU"
    key_methods: tuple[str, ...] = ("rfc4733", "info", "inband")
    hears: bool = True
    unconfirmed: bool = False
    remote_media: tuple[str, int] | None = (PHONE, 4000)
    source_host: str | None = PHONE
    stream: Any = field(
        default_factory=lambda: SimpleNamespace(stats=StreamStats(received=150), stranger=None, ticks=150)
    )


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def call(clock, journal, line):
    """Takes the call's events, as the journal tells them; ``over`` ends it."""
    watch = CallWatch(clock, Teller(clock, journal), line, "0007", "16384-32766")
    writer = CallJournal(journal, "0007", lambda: 1.0)
    journal.subscribe(lambda record: None if isinstance(record.event, Finding) else watch.read(record))

    def emit(event: Event) -> None:
        writer.emit(event)

    emit.over = watch.over  # type: ignore[attr-defined]
    emit(CallAnswered(codec="PCMU", key_methods=("rfc4733", "info", "inband")))
    yield emit
    watch.over()
    assert clock.getDelayedCalls() == []


def pressed(method: str = "inband") -> KeyPressed:
    return KeyPressed(method=method, start=1.0, duration_ms=100, level_dbm0=-10.0)  # type: ignore[arg-type]


def refused(reason: str, duration_ms: int = 22, level: float = -20.0, twist: float = 0.0) -> KeyRefused:
    return KeyRefused(
        method="inband", start=1.0, duration_ms=duration_ms, reason=reason, level_dbm0=level, twist_db=twist
    )


def test_a_good_call(call, clock, found) -> None:
    call(pressed())
    clock.advance(100)
    assert found() == []


AMISS: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    ({"stats": StreamStats()}, {}, "no_rtp", "3 s after the answer"),
    ({"stats": StreamStats()}, {"remote_media": ("10.8.0.2", 1)}, "no_rtp_other_address", "names 10.8.0.2"),
    ({"stats": StreamStats(bad=9), "stranger": "10.8.0.2"}, {}, "rtp_from_stranger", "comes from 10.8.0.2"),
    ({"stats": StreamStats(bad=90)}, {}, "rtp_unusable", "90 packets have come in the 3 s"),
    ({"stats": StreamStats()}, {"remote_media": ("127.0.0.2", 1), "source_host": "127.0.0.1"}, "no_rtp", ""),
]


@pytest.mark.parametrize(("stream", "session", "code", "said"), AMISS)
def test_audio_that_does_not_come(call, line, clock, journal, stream, session, code, said) -> None:
    vars(line.stream).update(stream)
    for name, value in session.items():
        setattr(line, name, value)
    clock.advance(AUDIO_BY - 0.1)
    assert journal.of(Finding) == []
    clock.advance(20)
    [finding] = journal.of(Finding)
    assert finding.code == code
    assert said in finding.what
    [record] = [r for r in journal.records if r.event is finding]
    assert (record.call, record.t) == ("0007", 3.0)


@pytest.mark.parametrize(
    "session",
    [
        {"hears": False},  # on hold, or it only listens
        {"state": SessionState.ENDED},
        {"remote_media": None, "codec": None},  # the offer is still to come, with the ACK
    ],
)
def test_no_audio_is_expected(call, line, clock, found, session) -> None:
    line.stream.stats = StreamStats()
    for name, value in session.items():
        setattr(line, name, value)
    clock.advance(20)
    assert found() == []


def test_no_telephone_event(call, line, clock, found) -> None:
    line.key_methods = ("info", "inband")
    clock.advance(0)
    assert found() == ["no_telephone_event"]
    clock.advance(20)
    assert found() == ["no_telephone_event"]


def test_no_telephone_event_in_an_offer_that_came_late(call, line, clock, found) -> None:
    line.key_methods, line.codec = ("info", "inband"), None
    clock.advance(1)
    assert found() == []
    line.codec = "PCMA"
    clock.advance(AUDIO_BY)
    assert found() == ["no_telephone_event"]


def test_no_ack(call, line, clock, found) -> None:
    line.unconfirmed = True
    clock.advance(CONFIRMED_BY)
    assert found() == ["no_ack"]


def test_tones_that_are_refused_are_told_together(call, clock, journal) -> None:
    for duration in (20, 26, 22):
        call(refused("too_short", duration_ms=duration))
        clock.advance(0.5)
    call(refused("too_weak", level=-54.4))
    call(refused("too_weak", level=-51.6))
    assert journal.of(Finding) == []
    clock.advance(GATHER)
    short, weak = journal.of(Finding)
    assert (short.code, weak.code) == ("keys_too_short", "keys_too_weak")
    assert short.what.startswith("3 key tones were too short, 20 to 26 ms;")
    assert weak.what == "2 key tones were too weak, -53 dBm0."
    call(refused("too_short"))
    call(refused("too_short"))
    clock.advance(20)
    assert len(journal.of(Finding)) == 2


def test_the_end_of_the_call_ends_the_gathering(call, clock, journal) -> None:
    call(refused("twist", twist=10.2))
    call(refused("frequency"))
    call.over()
    twist, other = journal.of(Finding)
    assert (twist.code, other.code) == ("keys_twist", "keys_frequency")
    assert "10 dB" in twist.what
    assert other.what.startswith("1 key tones were off their frequencies")


@pytest.mark.parametrize("reason", sorted(set(get_args(Reason)) - {"echo"}))
def test_there_is_advice_for_every_reason(call, journal, reason) -> None:
    call(refused(reason))
    call(refused(reason))
    call.over()
    [told] = journal.of(Finding)
    assert told.code == f"keys_{reason}"
    assert "2 key tones" in told.what


def test_an_echo_is_no_trouble(call, found) -> None:
    call(pressed())
    call(refused("echo"))
    call(refused("echo"))
    call.over()
    assert found() == []


def test_a_few_bad_tones_among_good_ones_are_no_matter(call, clock, found) -> None:
    for _ in range(9):
        call(pressed())
    call(refused("too_short"))
    call(refused("too_short"))
    clock.advance(GATHER)
    assert found() == []
    call(refused("too_short"))
    clock.advance(GATHER)
    assert found() == ["keys_too_short"]


@pytest.mark.parametrize("method", ["rfc4733", "info"])
def test_tones_do_not_matter_where_keys_come_otherwise(call, clock, found, method) -> None:
    call(pressed(method))
    for _ in range(9):
        call(refused("too_weak"))
    clock.advance(20)
    assert found() == []


class TestSilence:
    SILENT = EntryRefused(field="payment_key", reason="silence")

    def test_audio_without_keys(self, call, clock, found) -> None:
        for _ in range(3):
            call(self.SILENT)
            clock.advance(1)
        assert found() == ["no_keys"]

    def test_it_is_told_after_what_it_is_about(self, call, clock, journal) -> None:
        call(self.SILENT)
        assert isinstance(journal.records[-1].event, EntryRefused)
        clock.advance(0)
        assert isinstance(journal.records[-1].event, Finding)

    @pytest.mark.parametrize("before", [pressed(), refused("too_short")])
    def test_keys_that_came_before(self, call, clock, found, before) -> None:
        call(before)
        call(self.SILENT)
        clock.advance(0)
        assert found() == []

    def test_without_audio_that_is_told_instead(self, call, line, clock, found) -> None:
        line.stream.stats = StreamStats()
        call(self.SILENT)
        clock.advance(AUDIO_BY)
        assert found() == ["no_rtp"]

    def test_another_mistake(self, call, clock, found) -> None:
        call(EntryRefused(field="card_number", reason="luhn"))
        clock.advance(0)
        assert found() == []
