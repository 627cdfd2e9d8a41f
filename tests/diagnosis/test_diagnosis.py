"""The whole diagnosis on a clock: the network, TCP, and which call is whose."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from ivr_sim.diagnosis import Diagnosis
from ivr_sim.diagnosis.diagnosis import SOMEBODY_BY
from ivr_sim.journal import CallAnswered, CallOffered, Finding
from ivr_sim.media import StreamStats
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange_event import HostHeard, MessageRefused, Refused, TlsTried
from ivr_sim.sip.message import BadMessage, parse
from ivr_sim.sip.states import Ended, SessionState

DESK = Address("192.0.2.9", 5060)
EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.fixture
def diagnosis(clock, journal):
    made = Diagnosis(clock, journal, domain="ivr.test", accounts=("1001",), rtp_ports=(20000, 20100))
    yield made
    made.stop()
    assert clock.getDelayedCalls() == []


class TestNetwork:
    def test_nobody_comes(self, diagnosis, clock, journal) -> None:
        diagnosis.start(EVERYWHERE, 5060, lan=("192.168.1.20",))
        diagnosis.exchange_event(HostHeard(host="127.0.0.1"))
        diagnosis.exchange_event(HostHeard(host="192.168.1.20"))
        clock.advance(SOMEBODY_BY)
        [finding] = journal.of(Finding)
        assert finding.code == "nobody_heard"
        assert "192.168.1.20, port 5060, UDP" in finding.advice
        assert "20000-20100" in finding.advice
        clock.advance(10 * SOMEBODY_BY)
        assert len(journal.of(Finding)) == 1

    def test_somebody_comes(self, diagnosis, clock, found) -> None:
        diagnosis.start(EVERYWHERE, 5060, lan=("192.168.1.20",))
        diagnosis.exchange_event(HostHeard(host="192.168.1.77"))
        clock.advance(SOMEBODY_BY)
        assert found() == []

    def test_on_loopback_nobody_is_awaited(self, diagnosis, clock, found) -> None:
        diagnosis.start("127.0.0.1", 5060)
        clock.advance(SOMEBODY_BY)
        assert found() == []

    def test_noise_is_only_counted(self, diagnosis, found) -> None:
        diagnosis.start("127.0.0.1", 5060)
        for _ in range(1000):
            diagnosis.exchange_event(MessageRefused(source=DESK, status=400, reason="No Via"))
        assert (diagnosis.noise, found()) == (1000, [])


def test_who_tries_tls_is_told_once(diagnosis, journal) -> None:
    diagnosis.start("127.0.0.1", 5060)
    for _ in range(2):
        diagnosis.exchange_event(TlsTried(source=DESK._replace(transport="TCP"), port=5061))
    [tls] = journal.of(Finding)
    assert tls.code == "tls_only"
    assert "on port 5061" in tls.what
    assert "the port to 5060" in tls.advice


class Session(SimpleNamespace):
    """A call that came in, with nothing to be heard of it."""

    def __init__(self, call_id: str) -> None:
        super().__init__(
            call_id=call_id, ended=Deferred(), state=SessionState.ANSWERED, codec="PCMU", hears=True,
            key_methods=("rfc4733", "info", "inband"), unconfirmed=False, remote_media=("192.0.2.9", 4000),
            source_host="192.0.2.9", stream=SimpleNamespace(stats=StreamStats(), stranger=None, ticks=150),
        )  # fmt: skip


class TestCalls:
    def offer(self, journal: Any, call: str, call_id: str | None) -> None:
        journal.emit(CallOffered(from_="1001", to="5000", leg="sip", call_id=call_id), call=call)
        journal.emit(CallAnswered(codec="PCMU", key_methods=()), call=call, t=0.0)

    def test_findings_go_to_the_call_that_they_are_about(self, diagnosis, clock, journal) -> None:
        diagnosis.start("127.0.0.1", 5060)
        taken: list[Any] = []
        take = diagnosis.watching(taken.append)
        mute, good = Session("x"), Session("y")
        good.stream.stats = StreamStats(received=1)
        take(mute)
        take(good)
        assert taken == [mute, good]
        self.offer(journal, "0001", "y")
        self.offer(journal, "0002", "x")
        self.offer(journal, "0003", None)  # a recording
        clock.advance(10)
        assert [(r.call, r.event.code) for r in journal.records if isinstance(r.event, Finding)] == [
            ("0002", "no_rtp")
        ]

    def test_calls_are_forgotten_when_they_end(self, diagnosis, clock, journal, found) -> None:
        diagnosis.start("127.0.0.1", 5060)
        session = Session("x")
        diagnosis.watching(lambda session: None)(session)
        self.offer(journal, "0001", "x")
        session.ended.callback(Ended("remote", None, "hung up"))
        clock.advance(10)
        assert found() == []
        assert (diagnosis._line._calls, diagnosis._line._sessions) == ({}, {})

    def test_a_call_that_cannot_be_taken(self, diagnosis, journal) -> None:
        diagnosis.start("127.0.0.1", 5060)
        invite = parse(
            b"INVITE sip:5000@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
            b"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2;received=192.0.2.9\r\nFrom: <sip:1001@x>;tag=1\r\n"
            b"To: <sip:5000@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
        )
        for _ in range(3):
            diagnosis.call_refused(invite, BadMessage(415, "Unsupported Media Type"))
        [finding] = journal.of(Finding)
        assert (finding.code, "1001" in finding.what, "415" in finding.what) == ("offer_refused", True, True)


def test_before_and_after_it_runs_nothing_is_found(diagnosis, clock, journal, found) -> None:
    refused = Refused(method="REGISTER", user="x", source=DESK, status=403, cause="unknown_user")
    diagnosis.exchange_event(refused)
    diagnosis.start("127.0.0.1", 5060)
    diagnosis.stop()
    diagnosis.exchange_event(refused)
    clock.advance(1000)
    assert found() == []
