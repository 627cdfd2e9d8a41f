"""The user agent as a whole: what it takes and what it refuses, how it starts and stops, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import MediaEngine
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import BadMessage
from ivr_sim.sip.user_agent import Ended, Session, SessionState, UserAgent

Maker = Callable[..., UserAgent]
OFFER_PCMU = (
    b"v=0\r\no=them 5 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
)


def test_stopping_takes_the_contact_away(
    net: MemoryReactor, peer: Any, agent: UserAgent, outcome: Any
) -> None:
    done = outcome(agent.stop())
    net.run(0.1)
    assert done == [None]
    assert peer.registers[-1].headers.get("Expires") == "0"
    assert not agent.registered
    assert outcome(agent.stop()) == [None]


def test_stopping_waits_two_seconds_at_most(
    net: MemoryReactor, peer: Any, agent: UserAgent, outcome: Any
) -> None:
    peer.on_register = lambda request: None
    done = outcome(agent.stop())
    net.run(1.9)
    assert done == []
    net.run(0.2)
    assert done == [None]


def test_it_does_not_run_before_it_is_started(new_agent: Maker, listener: Any) -> None:
    agent = new_agent()
    with pytest.raises(LocalProtocolError):
        agent.dial("5000", listener())
    with pytest.raises(LocalProtocolError):
        _ = agent.port


def test_who_gives_up_waiting_takes_nothing_from_the_others(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, outcome: Any, place: Any
) -> None:
    session = place(offer)
    impatient, patient = session.ended, outcome(session.ended)
    given_up = outcome(impatient)
    impatient.cancel()
    assert isinstance(given_up[0], CancelledError)
    session.reject()
    assert patient == [Ended("local", 486, "Busy Here")]


def test_without_an_application_calls_are_refused(
    net: MemoryReactor, peer: Any, new_agent: Maker, offer: bytes, started: Any
) -> None:
    agent = started(new_agent(on_call=None))
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer)
    net.run(0.1)
    assert peer.take(486).to.tag


def test_an_application_that_raises_costs_its_call_and_no_other(
    net: MemoryReactor, peer: Any, new_agent: Maker, offer: bytes, engine: MediaEngine, started: Any
) -> None:
    def fail(session: Session) -> None:
        raise RuntimeError("application")

    agent = started(new_agent(on_call=fail))
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer)
    net.run(0.1)
    assert peer.take(500).cseq == (1, "INVITE")
    assert agent.sessions == ()
    assert engine.streams == ()


BAD_INVITES = {
    "no codec in common": (b"v=0\r\no=x\r\nc=IN IP4 127.0.0.1\r\nm=audio 4000 RTP/AVP 9\r\n", (), 488),
    "no SDP at all in it": (b"hello", (), 400),
    "another type": (b"hello", ("Content-Type: text/plain",), 415),
    "packed": (OFFER_PCMU, ("Content-Type: application/sdp", "Content-Encoding: gzip"), 415),
    "an extension we lack": (OFFER_PCMU, ("Require: 100rel, foo",), 420),
}


@pytest.mark.parametrize(("body", "extra", "status"), BAD_INVITES.values(), ids=BAD_INVITES)
def test_what_cannot_be_taken_is_refused_before_it_rings(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    engine: MediaEngine,
    body: bytes,
    extra: tuple[str, ...],
    status: int,
) -> None:
    peer.request("INVITE", ("127.0.0.1", agent.port), *extra, body=body)
    net.run(0.1)
    refused = peer.take(status)
    assert not peer.has(180)
    assert agent.calls == []  # type: ignore[attr-defined]
    assert engine.streams == ()
    if status == 415:
        assert refused.headers.get_all("Accept") == ["application/sdp", "multipart/mixed"]
    if status == 420:
        assert refused.headers.get_all("Unsupported") == ["100rel", "foo"]


def test_a_type_with_parameters_is_the_type(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, place: Any
) -> None:
    place(offer, "Content-Type: Application/SDP; charset=utf-8")


def test_an_invite_without_contact_is_bad(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes
) -> None:
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer, contact=False)
    net.run(0.1)
    assert peer.take(400).cseq == (1, "INVITE")


def test_no_port_for_media_is_busy(net: MemoryReactor, peer: Any, offer: bytes, started: Any) -> None:
    small = MediaEngine(net, max_streams=1)
    small.start()
    agent = started(UserAgent(net, small, server=peer.address, username="ivr", password="x", on_call=print))
    agent.on_call = lambda session: None
    place_id = ("127.0.0.1", agent.port)
    peer.request("INVITE", place_id, body=offer, call_id="a")
    peer.request("INVITE", place_id, body=offer, call_id="b", from_tag="other")
    net.run(0.1)
    assert peer.take(486).call_id == "b"
    assert peer.take(180).call_id == "a"
    agent.stop()
    net.run(3)
    small.stop()


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("OPTIONS", 200), ("PRACK", 405), ("REFER", 405), ("MESSAGE", 405),
        ("SUBSCRIBE", 405), ("NOTIFY", 405), ("FROBNICATE", 501),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inside", [True, False])
def test_what_we_do_not_do_is_answered(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    offer: bytes,
    listener: Any,
    method: str,
    status: int,
    inside: bool,
    talk: Any,
) -> None:
    tag = talk(offer, listener())[1] if inside else None
    peer.request(method, ("127.0.0.1", agent.port), to_tag=tag, number=2)
    net.run(0.1)
    answer = peer.take(status)
    assert "INVITE" in answer.headers.get_all("Allow")


@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE", "OPTIONS", "UPDATE"])
def test_a_dialog_that_we_do_not_know(
    net: MemoryReactor, peer: Any, agent: UserAgent, method: str, in_dialog: Any
) -> None:
    in_dialog(method, "nobody", number=9)
    assert peer.take(481).cseq == (9, method)


@pytest.mark.parametrize("method", ["BYE", "INFO"])
def test_a_dialog_that_is_none(net: MemoryReactor, peer: Any, agent: UserAgent, method: str) -> None:
    peer.request(method, ("127.0.0.1", agent.port), number=9)
    net.run(0.1)
    assert peer.take(481).cseq == (9, method)


def test_dialling_what_cannot_be_dialled(agent: UserAgent, listener: Any, engine: MediaEngine) -> None:
    for target in ("sip:", "sip:a b@h", "sip:@h", "sip:a@h\r\n", "", "tel:5000", "sips:5000@h"):
        with pytest.raises((BadMessage, LocalProtocolError)):
            agent.dial(target, listener())
    assert engine.streams == ()


def test_stopping_hangs_up_whatever_is_there(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    offer: bytes,
    listener: Any,
    engine: MediaEngine,
    answer_with: Any,
    dial: Any,
    outcome: Any,
    place: Any,
    talk: Any,
) -> None:
    talk(offer, listener(), call_id="talk")
    place(offer, call_id="ring")
    _, invite = dial(listener())
    unacknowledged = place(offer, call_id="late")
    unacknowledged.answer(listener())
    done = outcome(agent.stop())
    net.run(0.1)
    byes = {peer.take("BYE").call_id for _ in range(2)}
    assert byes == {"talk", "late"}
    assert peer.take(480).call_id == "ring"
    answer_with(invite, 180)
    peer.take("CANCEL")
    net.run(2)
    assert done == [None]
    assert engine.streams == ()
    assert all(not s.sessions for s in [agent])


def test_two_agents_hear_each_other_through_lost_datagrams(
    net: MemoryReactor, engine: MediaEngine, new_agent: Maker, listener: Any, outcome: Any, started: Any
) -> None:
    """Signalling only is lost; each request and answer is repeated until it gets through."""
    from ivr_sim.sip.exchange import Exchange

    exchange = Exchange(net, port=5060, accounts={"ivr": "secret-ivr", "ana": "secret-ana"}, lines=["ivr"])
    exchange.start()
    ears = {"ivr": listener(level=8000), "ana": listener(level=4000)}
    line = started(new_agent("ivr", on_call=lambda session: session.answer(ears["ivr"])))
    ana = started(new_agent("ana"))
    net.lose([True, False, False, True, False, True, False, False, True, False] * 3)
    session = ana.dial("5000", ears["ana"])
    assert net.run(20, until=lambda: session.state is SessionState.ANSWERED)
    net.run(1)
    session.stream.press("7")
    session.send_info_key("8")
    net.run(8)
    assert abs(ears["ana"].loudest() - 8000) < 400
    assert abs(ears["ivr"].loudest() - 4000) < 200
    assert sorted(key[:2] for key in ears["ivr"].keys) == [("7", "rfc4733"), ("8", "info")]
    (answered,) = line.sessions
    assert answered.dialled == "5000"
    assert answered.caller == "ana"
    ended = outcome(answered.ended)
    session.hang_up()
    net.run(8)
    assert ended == [Ended("remote", None, "hung up")]
    for user_agent in (ana, line):
        user_agent.stop()
    net.run(3)
    exchange.stop()
