"""The user agent against a scripted peer, in memory: each test is one page of a protocol trace."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import MediaEngine
from ivr_sim.sip import digest, sdp
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import BadMessage, Request, response_to
from ivr_sim.sip.user_agent import CallFailed, Ended, RegistrationRefused, Session, SessionState, UserAgent

Maker = Callable[..., UserAgent]
OFFER_PCMU = (
    b"v=0\r\no=them 5 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
)


def outcome(deferred: Deferred[Any]) -> list[Any]:
    """A list that will hold the result, or the exception."""
    got: list[Any] = []
    deferred.addCallbacks(got.append, lambda failure: got.append(failure.value))
    return got


def started(net: MemoryReactor, agent: UserAgent) -> UserAgent:
    ready = outcome(agent.start())
    net.run(0.1)
    assert ready == [None]
    return agent


@pytest.fixture
def agent(net: MemoryReactor, peer: Any, new_agent: Maker) -> UserAgent:
    return started(net, new_agent())


def place(net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, *extra: str, **more: Any) -> Session:
    """An INVITE that rings."""
    peer.request("INVITE", ("127.0.0.1", agent.port), *extra, body=offer, **more)
    net.run(0.1)
    peer.take(180)
    session: Session = agent.calls[-1]  # type: ignore[attr-defined]
    return session


def talk(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, ear: Any, **more: Any
) -> tuple[Session, str]:
    """An answered call, and the tag of our side."""
    session = place(net, peer, agent, offer, **more)
    session.answer(ear)
    net.run(0.1)
    tag = peer.take(200).to.tag
    in_dialog(net, peer, agent, "ACK", tag)
    return session, tag


def in_dialog(
    net: MemoryReactor, peer: Any, agent: UserAgent, method: str, tag: str, *extra: str, **more: Any
) -> Request:
    sent: Request = peer.request(method, ("127.0.0.1", agent.port), *extra, to_tag=tag, **more)
    net.run(0.1)
    return sent


# --- registration --------------------------------------------------------------------------------------


def test_registers_and_refreshes_before_it_expires(net: MemoryReactor, peer: Any, new_agent: Maker) -> None:
    agent = started(net, new_agent(expires=120))
    first = peer.registers[0]
    assert first.uri == "sip:127.0.0.1"
    assert str(first.to) == "<sip:ivr@127.0.0.1>"
    assert first.headers.get("Contact") == f"<sip:ivr@127.0.0.1:{agent.port}>"
    assert first.headers.get("Expires") == "120"
    assert agent.registered
    net.run(109)
    assert len(peer.registers) == 1
    net.run(2)
    again = peer.registers[1]
    assert again.call_id == first.call_id
    assert again.from_.tag == first.from_.tag
    assert again.cseq[0] > first.cseq[0]


def test_the_registrar_s_expiry_of_our_contact_counts(
    net: MemoryReactor, peer: Any, new_agent: Maker
) -> None:
    def answer(request: Request) -> Any:
        ours = request.headers.get("Contact")
        contacts = [("Contact", "<sip:ivr@10.0.0.9>;expires=9000"), ("Contact", f"{ours};expires=60")]
        return response_to(request, 200, headers=[*contacts, ("Expires", "3600")])

    peer.on_register = answer
    started(net, new_agent())
    net.run(49)
    assert len(peer.registers) == 1
    net.run(2)
    assert len(peer.registers) == 2


def challenged(realm: str, password: str, status: int = 401, qop: bool = True) -> Callable[[Request], Any]:
    """A registrar that wants the right digest."""
    gate = digest.DigestGate(realm, {"ivr": password}, b"k")
    asks = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"

    def answer(request: Request) -> Any:
        if gate.check(request, 0.0, proxy=status == 407).cause == "ok":
            return response_to(request, 200)
        challenge = gate.challenge(0.0)
        return response_to(
            request, status, headers=[(asks, challenge if qop else challenge.replace(', qop="auth"', ""))]
        )

    return answer


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("qop", [True, False])
def test_answers_a_challenge(net: MemoryReactor, peer: Any, new_agent: Maker, status: int, qop: bool) -> None:
    peer.on_register = challenged("ivr.test", "secret-ivr", status, qop)
    started(net, new_agent())
    bare, credible = peer.registers
    assert credible.cseq[0] == bare.cseq[0] + 1
    assert credible.top_via.branch != bare.top_via.branch


def test_a_wrong_password_is_refused_after_one_try(net: MemoryReactor, peer: Any, new_agent: Maker) -> None:
    peer.on_register = challenged("ivr.test", "another")
    ready = outcome(new_agent().start())
    net.run(1)
    (error,) = ready
    assert isinstance(error, RegistrationRefused)
    assert (error.status, error.reason) == (401, "Unauthorized")
    assert "password" in str(error)
    assert len(peer.registers) == 2


def test_a_stale_nonce_is_answered_anew(net: MemoryReactor, peer: Any, new_agent: Maker) -> None:
    answers = iter(["n1", "n2"])

    def answer(request: Request) -> Any:
        nonce = next(answers, None)
        if nonce is None:
            return response_to(request, 200)
        value = digest.challenge("ivr.test", nonce, stale=nonce == "n2")
        return response_to(request, 401, headers=[("WWW-Authenticate", value)])

    peer.on_register = answer
    started(net, new_agent())
    assert digest.parse(peer.registers[2].headers.get("Authorization"))["nonce"] == "n2"


def test_nobody_answers(net: MemoryReactor, new_agent: Maker) -> None:
    ready = outcome(new_agent().start())
    net.run(31)
    assert ready == []
    net.run(2)
    assert ready[0].status == 408
    assert "127.0.0.1:5060" in str(ready[0])


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refusal_is_told(net: MemoryReactor, peer: Any, new_agent: Maker, status: int) -> None:
    peer.on_register = lambda request: response_to(request, status)
    ready = outcome(new_agent().start())
    net.run(1)
    assert ready[0].status == status
    net.run(600)
    assert len(peer.registers) == 1


def test_too_brief_is_asked_for_longer(net: MemoryReactor, peer: Any, new_agent: Maker) -> None:
    peer.on_register = lambda request: (
        response_to(request, 200)
        if int(request.headers.get("Expires") or 0) >= 600
        else response_to(request, 423, headers=[("Min-Expires", "600")])
    )
    started(net, new_agent(expires=60))
    assert [r.headers.get("Expires") for r in peer.registers] == ["60", "600"]


def test_a_refresh_that_fails_is_tried_until_it_works(
    net: MemoryReactor, peer: Any, new_agent: Maker
) -> None:
    agent = started(net, new_agent(expires=120))
    peer.on_register = lambda request: response_to(request, 503)
    net.run(111)
    assert not agent.registered
    peer.on_register = lambda request: response_to(request, 200)
    net.run(3)
    assert agent.registered


def test_stopping_takes_the_contact_away(net: MemoryReactor, peer: Any, agent: UserAgent) -> None:
    done = outcome(agent.stop())
    net.run(0.1)
    assert done == [None]
    assert peer.registers[-1].headers.get("Expires") == "0"
    assert not agent.registered
    assert outcome(agent.stop()) == [None]


def test_stopping_waits_two_seconds_at_most(net: MemoryReactor, peer: Any, agent: UserAgent) -> None:
    peer.on_register = lambda request: None
    done = outcome(agent.stop())
    net.run(1.9)
    assert done == []
    net.run(0.2)
    assert done == [None]


def test_stopping_while_registering_fails_the_start(net: MemoryReactor, new_agent: Maker) -> None:
    agent = new_agent()
    ready = outcome(agent.start())
    agent.stop()
    net.run(3)
    assert isinstance(ready[0], RegistrationRefused)


def test_it_does_not_run_before_it_is_started(new_agent: Maker, listener: Any) -> None:
    agent = new_agent()
    with pytest.raises(LocalProtocolError):
        agent.dial("5000", listener())
    with pytest.raises(LocalProtocolError):
        _ = agent.port


# --- calls that come in --------------------------------------------------------------------------------


def test_a_call_from_ringing_to_the_callers_bye(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session = place(net, peer, agent, offer, "User-Agent: Peer/1.0")
    assert session.incoming
    assert session.state is SessionState.RINGING
    assert (session.caller, session.dialled, session.user_agent) == ("ana", "5000", "Peer/1.0")
    answered, ended = outcome(session.answered), outcome(session.ended)
    ear = listener()
    session.answer(ear)
    assert answered == [None]
    assert (session.codec, session.key_methods) == ("PCMA", ("rfc4733", "info", "inband"))
    net.run(0.1)
    ok = peer.take(200)
    described = sdp.parse(ok.body)
    assert described.media[0].formats == ("8", "101")
    assert described.media[0].port == session.stream.local_port
    in_dialog(net, peer, agent, "ACK", ok.to.tag)
    net.run(1)
    assert not peer.has(200)
    assert len(ear.heard) >= 50
    in_dialog(net, peer, agent, "BYE", ok.to.tag, number=2)
    assert peer.take(200).cseq == (2, "BYE")
    assert ended == [Ended("remote", None, "hung up")]
    assert session.state is SessionState.ENDED
    assert session.stream.closed
    assert agent.sessions == ()
    assert outcome(session.ended) == ended
    assert outcome(session.answered) == [None]


def test_the_number_dialled_is_that_of_the_request_unless_a_proxy_put_ours_there(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes
) -> None:
    here = f"127.0.0.1:{agent.port}"
    assert place(net, peer, agent, offer, call_id="a", dialled="5001").dialled == "5001"
    direct = place(net, peer, agent, offer, call_id="b", dialled="5001", uri=f"sip:5009@{here}")
    assert direct.dialled == "5009"
    assert place(net, peer, agent, offer, call_id="c", dialled="5001", uri=f"sip:{here}").dialled == "5001"


def test_an_invite_that_comes_again_rings_once(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes
) -> None:
    for _ in range(3):
        peer.request("INVITE", ("127.0.0.1", agent.port), body=offer, branch="z9hG4bKsame")
        net.run(0.1)
    assert len(agent.calls) == 1  # type: ignore[attr-defined]
    assert len({peer.take(180).to.tag for _ in range(3)}) == 1
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer, branch="z9hG4bKother")
    net.run(0.1)
    assert peer.take(482).call_id == "call-1"


def test_the_200_is_repeated_until_its_ack(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session = place(net, peer, agent, offer)
    session.answer(listener())
    seen = []
    for _ in range(80):
        net.run(0.1)
        while peer.has(200):
            seen.append(round(net.seconds(), 1))
            tag = peer.take(200).to.tag
    gaps = [round(b - a, 1) for a, b in pairwise(seen)]
    assert gaps == pytest.approx([0.5, 1.0, 2.0, 4.0], abs=0.11)
    in_dialog(net, peer, agent, "ACK", tag)
    net.run(40)
    assert not peer.has(200)
    assert session.state is SessionState.ANSWERED


def test_without_any_ack_the_call_ends_after_32_seconds(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session = place(net, peer, agent, offer)
    ended = outcome(session.ended)
    session.answer(listener())
    net.run(31)
    assert ended == []
    net.run(2)
    assert ended == [Ended("local", 408, "no ACK came")]
    assert peer.take("BYE").to.tag == "them"


def test_pyvoip_s_ack_with_a_tag_of_its_own_making_is_taken(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session = place(net, peer, agent, offer)
    session.answer(listener())
    net.run(0.1)
    in_dialog(net, peer, agent, "ACK", "made-up")
    net.run(40)
    assert session.state is SessionState.ANSWERED


def test_who_gives_up_waiting_takes_nothing_from_the_others(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes
) -> None:
    session = place(net, peer, agent, offer)
    impatient, patient = session.ended, outcome(session.ended)
    given_up = outcome(impatient)
    impatient.cancel()
    assert isinstance(given_up[0], CancelledError)
    session.reject()
    assert patient == [Ended("local", 486, "Busy Here")]


def test_a_bye_of_ours_waits_for_the_ack(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    """RFC 3261 section 15: the callee sends no BYE before its 200 is acknowledged."""
    session = place(net, peer, agent, offer)
    session.answer(listener())
    session.hang_up()
    assert session.state is SessionState.ENDED
    net.run(1)
    assert not peer.has("BYE")
    tag = peer.take(200).to.tag
    in_dialog(net, peer, agent, "ACK", tag)
    bye = peer.take("BYE")
    assert (bye.uri, bye.from_.tag, bye.to.tag) == ("sip:ana@127.0.0.1:5060", tag, "them")
    peer.send(response_to(bye, 200), ("127.0.0.1", agent.port))


def test_cancel_while_it_rings(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session = place(net, peer, agent, offer, branch="z9hG4bKx")
    answered, ended = outcome(session.answered), outcome(session.ended)
    peer.request("CANCEL", ("127.0.0.1", agent.port), branch="z9hG4bKx")
    net.run(0.1)
    assert peer.take(200).cseq == (1, "CANCEL")
    refused = peer.take(487)
    peer.request("ACK", ("127.0.0.1", agent.port), branch="z9hG4bKx", to_tag=refused.to.tag)
    net.run(40)
    assert not peer.has(487)
    assert ended == [Ended("remote", 487, "cancelled")]
    assert isinstance(answered[0], CallFailed)
    assert session.stream.closed
    with pytest.raises(LocalProtocolError):
        session.answer(listener())


def test_cancel_after_the_answer_changes_nothing(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session = place(net, peer, agent, offer, branch="z9hG4bKx")
    session.answer(listener())
    peer.request("CANCEL", ("127.0.0.1", agent.port), branch="z9hG4bKx")
    net.run(0.1)
    assert session.state is SessionState.ANSWERED


@pytest.mark.parametrize(
    ("status", "told"), [(486, "Busy Here"), (603, "Decline"), (480, "Temporarily Unavailable")]
)
def test_rejecting(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, status: int, told: str
) -> None:
    session = place(net, peer, agent, offer)
    ended = outcome(session.ended)
    session.reject(status)
    net.run(0.1)
    assert peer.take(status).reason == told
    assert ended == [Ended("local", status, told)]
    with pytest.raises(LocalProtocolError):
        session.reject()


def test_hanging_up_while_it_rings_rejects(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes
) -> None:
    session = place(net, peer, agent, offer)
    session.hang_up()
    session.hang_up()
    net.run(0.1)
    assert peer.take(480).cseq == (1, "INVITE")


def test_without_an_application_calls_are_refused(
    net: MemoryReactor, peer: Any, new_agent: Maker, offer: bytes
) -> None:
    agent = started(net, new_agent(on_call=None))
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer)
    net.run(0.1)
    assert peer.take(486).to.tag


def test_an_application_that_raises_costs_its_call_and_no_other(
    net: MemoryReactor, peer: Any, new_agent: Maker, offer: bytes, engine: MediaEngine
) -> None:
    def fail(session: Session) -> None:
        raise RuntimeError("application")

    agent = started(net, new_agent(on_call=fail))
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
        assert refused.headers.get("Accept") == "application/sdp"
    if status == 420:
        assert refused.headers.get_all("Unsupported") == ["100rel", "foo"]


def test_a_type_with_parameters_is_the_type(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes
) -> None:
    place(net, peer, agent, offer, "Content-Type: Application/SDP; charset=utf-8")


def test_an_invite_without_contact_is_bad(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes
) -> None:
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer, contact=False)
    net.run(0.1)
    assert peer.take(400).cseq == (1, "INVITE")


def test_no_port_for_media_is_busy(net: MemoryReactor, peer: Any, offer: bytes) -> None:
    small = MediaEngine(net, max_streams=1)
    small.start()
    agent = started(
        net, UserAgent(net, small, server=peer.address, username="ivr", password="x", on_call=print)
    )
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


def test_an_invite_without_an_offer_gets_ours_and_answers_it_in_the_ack(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any
) -> None:
    session = place(net, peer, agent, b"")
    answered, ear = outcome(session.answered), listener()
    session.answer(ear)
    net.run(0.1)
    ok = peer.take(200)
    assert sdp.parse(ok.body).media[0].formats == ("0", "8", "101")
    assert answered == []
    assert session.codec is None
    in_dialog(net, peer, agent, "ACK", ok.to.tag, body=OFFER_PCMU)
    assert answered == [None]
    assert (session.codec, session.key_methods) == ("PCMU", ("info", "inband"))
    assert ear.heard


@pytest.mark.parametrize("body", [b"", b"garbage", b"v=0\r\no=x\r\nm=audio 0 RTP/AVP 0\r\n"])
def test_an_ack_without_a_usable_answer_ends_the_call(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, body: bytes
) -> None:
    session = place(net, peer, agent, b"")
    answered = outcome(session.answered)
    session.answer(listener())
    net.run(0.1)
    in_dialog(net, peer, agent, "ACK", peer.take(200).to.tag, body=body)
    assert peer.take("BYE").call_id == "call-1"
    assert session.state is SessionState.ENDED
    assert isinstance(answered[0], CallFailed)


# --- in the dialog -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "host", "answered"),
    [
        ("a=sendonly", "127.0.0.1", "recvonly"),
        ("a=inactive", "127.0.0.1", "inactive"),
        ("", "0.0.0.0", "recvonly"),  # noqa: S104
    ],
)
def test_hold_and_resume(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    offer: bytes,
    listener: Any,
    line: str,
    host: str,
    answered: str,
) -> None:
    session, tag = talk(net, peer, agent, offer, listener())
    first = sdp.parse(offer)
    assert first.host == "127.0.0.1"
    held = offer.replace(b"c=IN IP4 127.0.0.1", f"c=IN IP4 {host}".encode()) + f"{line}\r\n".encode()
    origins = []
    for number, body, direction in ((2, held, answered), (3, offer, "sendrecv")):
        in_dialog(net, peer, agent, "INVITE", tag, number=number, body=body)
        ok = peer.take(200)
        assert ok.to.tag == tag
        described = sdp.parse(ok.body)
        assert described.media[0].direction == direction
        origins.append(described.origin.split())
        in_dialog(net, peer, agent, "ACK", tag, number=number)
        before = session.stream.stats.sent
        net.run(0.5)
        sent = session.stream.stats.sent - before
        assert session.on_hold is (number == 2)
        assert sent == 0 if number == 2 else sent >= 24
    assert origins[0][1] == origins[1][1]
    assert [int(o[2]) for o in origins] == [2, 3]
    assert len(agent.calls) == 1  # type: ignore[attr-defined]


def test_a_re_invite_may_change_the_codec_and_drop_events(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session, tag = talk(net, peer, agent, offer, listener())
    in_dialog(net, peer, agent, "INVITE", tag, number=2, body=OFFER_PCMU)
    in_dialog(net, peer, agent, "ACK", tag, number=2)
    assert (session.codec, session.key_methods) == ("PCMU", ("info", "inband"))
    assert session.stream.codec is not None
    assert session.stream.codec.name == "PCMU"


def test_a_re_invite_that_does_not_fit_leaves_the_call_as_it_was(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session, tag = talk(net, peer, agent, offer, listener())
    in_dialog(net, peer, agent, "INVITE", tag, number=2, body=OFFER_PCMU.replace(b"AVP 0", b"AVP 9"))
    assert peer.take(488).cseq == (2, "INVITE")
    assert (session.state, session.codec) == (SessionState.ANSWERED, "PCMA")


def test_a_re_invite_without_an_offer(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session, tag = talk(net, peer, agent, offer, listener())
    in_dialog(net, peer, agent, "INVITE", tag, number=2)
    assert sdp.parse(peer.take(200).body).media[0].formats == ("0", "8", "101")
    in_dialog(net, peer, agent, "INVITE", tag, number=3, body=OFFER_PCMU)
    assert peer.take(491).cseq == (3, "INVITE")
    in_dialog(net, peer, agent, "ACK", tag, number=2, body=OFFER_PCMU)
    assert session.codec == "PCMU"


def test_keys_by_info_in_both_types_each_once(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    ear = listener()
    _, tag = talk(net, peer, agent, offer, ear)
    relay, plain = "Content-Type: application/dtmf-relay", "Content-Type: application/dtmf"
    for number, kind, body in (
        (2, relay, b"Signal=5\r\nDuration=200\r\n"),
        (3, relay, b"Signal= *\r\nDuration= 160"),
        (4, plain, b"7"),
        (4, plain, b"7"),  # the same by another branch
        (5, plain, b"11"),
        (6, relay + " ; x=y", b"Signal=d"),
        (7, relay, b"Signal=16\r\n"),  # a flash is no key
        (8, relay, b""),
        (3, plain, b"9"),  # too late: the dialog is at 8
    ):
        in_dialog(net, peer, agent, "INFO", tag, kind, number=number, body=body)
        net.run(0.5)
        status = 500 if (number, body) == (3, b"9") else 200
        assert peer.take(status).cseq == (number, "INFO")
    assert ear.keys == [
        ("5", "info", 200),
        ("*", "info", 160),
        ("7", "info", 160),
        ("#", "info", 160),
        ("D", "info", 160),
    ]
    assert ear.downs == ["5", "*", "7", "#", "D"]


def test_info_of_another_type_is_refused_with_what_we_take(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    _, tag = talk(net, peer, agent, offer, listener())
    in_dialog(
        net, peer, agent, "INFO", tag, "Content-Type: application/media_control+xml", number=2, body=b"<x/>"
    )
    assert peer.take(415).headers.get_all("Accept") == ["application/dtmf-relay", "application/dtmf"]


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("OPTIONS", 200), ("UPDATE", 405), ("PRACK", 405), ("REFER", 405), ("MESSAGE", 405),
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
) -> None:
    tag = talk(net, peer, agent, offer, listener())[1] if inside else None
    peer.request(method, ("127.0.0.1", agent.port), to_tag=tag, number=2)
    net.run(0.1)
    answer = peer.take(status)
    assert "INVITE" in answer.headers.get_all("Allow")


@pytest.mark.parametrize("method", ["BYE", "INFO", "INVITE", "OPTIONS", "UPDATE"])
def test_a_dialog_that_we_do_not_know(net: MemoryReactor, peer: Any, agent: UserAgent, method: str) -> None:
    in_dialog(net, peer, agent, method, "nobody", number=9)
    assert peer.take(481).cseq == (9, method)


@pytest.mark.parametrize("method", ["BYE", "INFO"])
def test_a_dialog_that_is_none(net: MemoryReactor, peer: Any, agent: UserAgent, method: str) -> None:
    peer.request(method, ("127.0.0.1", agent.port), number=9)
    net.run(0.1)
    assert peer.take(481).cseq == (9, method)


def test_bye_crosses_bye_and_late_invites_make_no_ghost(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    session, tag = talk(net, peer, agent, offer, listener())
    session.hang_up()
    in_dialog(net, peer, agent, "BYE", tag, number=2)
    assert peer.take(200).cseq == (2, "BYE")
    in_dialog(net, peer, agent, "INVITE", tag, number=3, body=offer)
    assert peer.take(481).cseq == (3, "INVITE")
    assert len(agent.calls) == 1  # type: ignore[attr-defined]
    net.run(40)
    peer.inbox.clear()
    in_dialog(net, peer, agent, "BYE", tag, number=4)
    assert peer.take(481).cseq == (4, "BYE")


def test_bye_while_it_rings(net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes) -> None:
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer)
    net.run(0.1)
    tag = peer.take(180).to.tag
    session = agent.calls[0]  # type: ignore[attr-defined]
    in_dialog(net, peer, agent, "INVITE", tag, number=2, body=offer)
    assert peer.take(500).headers.get("Retry-After")
    in_dialog(net, peer, agent, "INFO", tag, number=3)
    assert peer.take(200).cseq == (3, "INFO")
    in_dialog(net, peer, agent, "BYE", tag, number=4)
    assert peer.take(200).cseq == (4, "BYE")
    assert peer.take(487).cseq == (1, "INVITE")
    assert outcome(session.ended) == [Ended("remote", 487, "hung up while ringing")]


def test_a_listener_that_raises_ends_its_call(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any
) -> None:
    class Failing(listener):  # type: ignore[misc]
        def tick(self, heard: Any) -> Any:
            raise RuntimeError("dialogue")

    session, _ = talk(net, peer, agent, offer, Failing())
    net.run(0.1)
    assert peer.take("BYE").call_id == "call-1"
    assert outcome(session.ended) == [Ended("local", None, "its media failed")]


# --- calls that we place -------------------------------------------------------------------------------


def dial(
    net: MemoryReactor, peer: Any, agent: UserAgent, ear: Any, target: str = "5000"
) -> tuple[Session, Request]:
    session = agent.dial(target, ear)
    net.run(0.1)
    return session, peer.take("INVITE")


def answer_with(
    peer: Any, agent: UserAgent, invite: Request, status: int, *, body: bytes = b"", tag: str = "them"
) -> None:
    headers = [("Contact", "<sip:line@127.0.0.1:5060>"), ("Server", "Line/2")]
    if body:
        headers.append(("Content-Type", "application/sdp"))
    peer.send(response_to(invite, status, to_tag=tag, headers=headers, body=body), ("127.0.0.1", agent.port))
    peer.net.run(0.1)


def test_placing_a_call(net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any) -> None:
    ear = listener()
    session, invite = dial(net, peer, agent, ear)
    assert (invite.uri, str(invite.to)) == ("sip:5000@127.0.0.1", "<sip:5000@127.0.0.1>")
    assert sdp.parse(invite.body).media[0].formats == ("0", "8", "101")
    assert (session.incoming, session.caller, session.dialled) == (False, "ivr", "5000")
    states = [session.state]
    answered, ended = outcome(session.answered), outcome(session.ended)
    for status in (100, 180, 183, 200):
        answer_with(peer, agent, invite, status, body=offer if status in (183, 200) else b"")
        states.append(session.state)
    assert [s.value for s in states] == ["dialing", "dialing", "ringing", "ringing", "answered"]
    assert answered == [None]
    assert (session.codec, session.user_agent) == ("PCMA", "Line/2")
    ack = peer.take("ACK")
    assert (ack.uri, ack.to.tag, ack.cseq) == ("sip:line@127.0.0.1:5060", "them", (1, "ACK"))
    assert ack.top_via.branch != invite.top_via.branch
    answer_with(peer, agent, invite, 200, body=offer)  # its ACK was lost
    assert peer.take("ACK").to.tag == "them"
    assert ear.heard
    session.hang_up()
    net.run(0.1)
    bye = peer.take("BYE")
    assert (bye.uri, bye.cseq) == ("sip:line@127.0.0.1:5060", (2, "BYE"))
    peer.send(response_to(bye, 200), ("127.0.0.1", agent.port))
    assert ended == [Ended("local", None, "hung up")]


@pytest.mark.parametrize("status", [302, 404, 480, 486, 487, 488, 500, 503, 600, 603])
def test_every_final_response_ends_the_call(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, status: int, engine: MediaEngine
) -> None:
    session, invite = dial(net, peer, agent, listener())
    answered, ended = outcome(session.answered), outcome(session.ended)
    answer_with(peer, agent, invite, status)
    assert peer.take("ACK").top_via.branch == invite.top_via.branch
    assert (ended[0].by, ended[0].status) == ("remote", status)
    assert str(status) in str(answered[0])
    assert engine.streams == ()


def test_nobody_answers_the_invite(net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any) -> None:
    session, _ = dial(net, peer, agent, listener())
    ended = outcome(session.ended)
    net.run(33)
    assert ended == [Ended("remote", 408, "Request Timeout")]


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_to_an_invite(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, offer: bytes, status: int
) -> None:
    session, bare = dial(net, peer, agent, listener())
    asks = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
    challenge = (asks, digest.challenge("ivr.test", "n1"))
    peer.send(response_to(bare, status, headers=[challenge]), ("127.0.0.1", agent.port))
    net.run(0.1)
    peer.take("ACK")
    credible = peer.take("INVITE")
    assert (credible.cseq, credible.call_id, credible.from_) == ((2, "INVITE"), bare.call_id, bare.from_)
    assert credible.top_via.branch != bare.top_via.branch
    answer_with(peer, agent, credible, 200, body=offer)
    assert peer.take("ACK").cseq == (2, "ACK")
    assert session.state is SessionState.ANSWERED
    session.hang_up()
    net.run(0.1)
    bye = peer.take("BYE")
    assert bye.cseq == (3, "BYE")
    # A BYE may be challenged too.
    peer.send(response_to(bye, status, headers=[challenge]), ("127.0.0.1", agent.port))
    net.run(0.1)
    again = peer.take("BYE")
    assert again.cseq == (4, "BYE")
    assert again.headers.get("Proxy-Authorization" if status == 407 else "Authorization")


def test_wrong_credentials_end_the_call(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any
) -> None:
    session, invite = dial(net, peer, agent, listener())
    for _ in range(2):
        challenge = ("Proxy-Authenticate", digest.challenge("ivr.test", "n1"))
        peer.send(response_to(invite, 407, headers=[challenge]), ("127.0.0.1", agent.port))
        net.run(0.1)
        if peer.has("INVITE"):
            invite = peer.take("INVITE")
    assert outcome(session.ended)[0].status == 407


def test_cancelling_waits_for_a_provisional_response(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any
) -> None:
    session, invite = dial(net, peer, agent, listener())
    session.hang_up()
    assert outcome(session.ended) == [Ended("local", 487, "cancelled")]
    net.run(0.1)
    assert not peer.has("CANCEL")
    answer_with(peer, agent, invite, 180)
    cancel = peer.take("CANCEL")
    assert cancel.top_via.branch == invite.top_via.branch
    peer.send(response_to(cancel, 200), ("127.0.0.1", agent.port))
    answer_with(peer, agent, invite, 487)
    peer.take("ACK")


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, offer: bytes
) -> None:
    session, invite = dial(net, peer, agent, listener())
    answer_with(peer, agent, invite, 180)
    session.hang_up()
    answer_with(peer, agent, invite, 200, body=offer)
    assert peer.take("ACK").to.tag == "them"
    assert peer.take("BYE").to.tag == "them"
    assert session.state is SessionState.ENDED


def test_the_second_branch_of_a_fork_is_hung_up(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, offer: bytes
) -> None:
    session, invite = dial(net, peer, agent, listener())
    answer_with(peer, agent, invite, 200, body=offer, tag="one")
    answer_with(peer, agent, invite, 200, body=offer, tag="two")
    assert [peer.take("ACK").to.tag for _ in range(2)] == ["one", "two"]
    assert peer.take("BYE").to.tag == "two"
    assert not peer.has("BYE")
    assert session.state is SessionState.ANSWERED


@pytest.mark.parametrize("body", [b"", b"garbage", b"v=0\r\no=x\r\nm=audio 0 RTP/AVP 0\r\n"])
def test_an_answer_that_cannot_be_used_is_acknowledged_and_hung_up(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, body: bytes
) -> None:
    session, invite = dial(net, peer, agent, listener())
    answered, ended = outcome(session.answered), outcome(session.ended)
    answer_with(peer, agent, invite, 200, body=body)
    peer.take("ACK")
    peer.take("BYE")
    assert (ended[0].by, ended[0].status) == ("local", 488)
    assert isinstance(answered[0], CallFailed)


def test_keys_by_info_do_not_overtake(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, offer: bytes
) -> None:
    session, invite = dial(net, peer, agent, listener())
    with pytest.raises(LocalProtocolError):
        session.send_info_key("1")
    answer_with(peer, agent, invite, 200, body=offer)
    for digit in "1#":
        session.send_info_key(digit, 120)
    with pytest.raises(LocalProtocolError):
        session.send_info_key("12")
    net.run(0.1)
    first = peer.take("INFO")
    assert first.body == b"Signal=1\r\nDuration=120\r\n"
    assert first.headers.get("Content-Type") == "application/dtmf-relay"
    assert not peer.has("INFO")
    peer.send(response_to(first, 200), ("127.0.0.1", agent.port))
    net.run(0.1)
    second = peer.take("INFO")
    assert second.body == b"Signal=#\r\nDuration=120\r\n"
    peer.send(response_to(second, 481), ("127.0.0.1", agent.port))
    net.run(0.1)
    assert outcome(session.ended)[0].status == 481


def test_dialling_what_cannot_be_dialled(agent: UserAgent, listener: Any, engine: MediaEngine) -> None:
    for target in ("sip:", "sip:a b@h", "sip:@h", "sip:a@h\r\n", "", "tel:5000", "sips:5000@h"):
        with pytest.raises((BadMessage, LocalProtocolError)):
            agent.dial(target, listener())
    assert engine.streams == ()


def test_stopping_hangs_up_whatever_is_there(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, engine: MediaEngine
) -> None:
    talk(net, peer, agent, offer, listener(), call_id="talk")
    place(net, peer, agent, offer, call_id="ring")
    _, invite = dial(net, peer, agent, listener())
    unacknowledged = place(net, peer, agent, offer, call_id="late")
    unacknowledged.answer(listener())
    done = outcome(agent.stop())
    net.run(0.1)
    byes = {peer.take("BYE").call_id for _ in range(2)}
    assert byes == {"talk", "late"}
    assert peer.take(480).call_id == "ring"
    answer_with(peer, agent, invite, 180)
    peer.take("CANCEL")
    net.run(2)
    assert done == [None]
    assert engine.streams == ()
    assert all(not s.sessions for s in [agent])


def test_two_agents_hear_each_other_through_lost_datagrams(
    net: MemoryReactor, engine: MediaEngine, new_agent: Maker, listener: Any
) -> None:
    """Signalling only is lost; each request and answer is repeated until it gets through."""
    from ivr_sim.sip.exchange import Exchange

    exchange = Exchange(net, port=5060, accounts={"ivr": "secret-ivr", "ana": "secret-ana"}, lines=["ivr"])
    exchange.start()
    ears = {"ivr": listener(level=8000), "ana": listener(level=4000)}
    line = started(net, new_agent("ivr", on_call=lambda session: session.answer(ears["ivr"])))
    ana = started(net, new_agent("ana"))
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
