"""Calls that come in, against a scripted caller, in memory: each test is one page of a protocol trace."""

from __future__ import annotations

import re
import socket
from itertools import pairwise
from typing import Any

import pytest

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import SrtpKey, SrtpPair
from ivr_sim.media.rtp import Packet
from ivr_sim.media.srtp import SrtpSession
from ivr_sim.sip import sdp
from ivr_sim.sip.crypto import Crypto
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import response_to
from ivr_sim.sip.user_agent import CallFailed, Ended, SessionState, UserAgent

OFFER_PCMU = (
    b"v=0\r\no=them 5 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
)


def test_a_call_from_ringing_to_the_callers_bye(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    offer: bytes,
    listener: Any,
    in_dialog: Any,
    outcome: Any,
    place: Any,
) -> None:
    session = place(offer, "User-Agent: Peer/1.0")
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
    in_dialog("ACK", ok.to.tag)
    net.run(1)
    assert not peer.has(200)
    assert len(ear.heard) >= 50
    in_dialog("BYE", ok.to.tag, number=2)
    assert peer.take(200).cseq == (2, "BYE")
    assert ended == [Ended("remote", None, "hung up")]
    assert session.state is SessionState.ENDED
    assert session.stream.closed
    assert agent.sessions == ()
    assert outcome(session.ended) == ended
    assert outcome(session.answered) == [None]


def test_the_number_dialled_is_that_of_the_request_unless_a_proxy_put_ours_there(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, place: Any
) -> None:
    here = f"127.0.0.1:{agent.port}"
    assert place(offer, call_id="a", dialled="5001").dialled == "5001"
    direct = place(offer, call_id="b", dialled="5001", uri=f"sip:5009@{here}")
    assert direct.dialled == "5009"
    assert place(offer, call_id="c", dialled="5001", uri=f"sip:{here}").dialled == "5001"


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


def test_an_invite_that_comes_late_by_another_way_does_not_ring(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, place: Any
) -> None:
    """The caller is further by then: answered, and with a higher number in use."""
    session = place(offer)
    session.answer(listener())
    net.run(0.1)
    tag = peer.take(200).to.tag
    in_dialog("ACK", tag)
    in_dialog("INFO", tag, number=2)
    net.run(0.1)
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer)
    net.run(0.1)
    assert peer.take(482).call_id == "call-1"
    assert agent.calls == [session]  # type: ignore[attr-defined]
    assert session.state is SessionState.ANSWERED


def test_the_200_is_repeated_until_its_ack(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, place: Any
) -> None:
    session = place(offer)
    session.answer(listener())
    seen = []
    for _ in range(80):
        net.run(0.1)
        while peer.has(200):
            seen.append(round(net.seconds(), 1))
            tag = peer.take(200).to.tag
    gaps = [round(b - a, 1) for a, b in pairwise(seen)]
    assert gaps == pytest.approx([0.5, 1.0, 2.0, 4.0], abs=0.11)
    in_dialog("ACK", tag)
    net.run(40)
    assert not peer.has(200)
    assert session.state is SessionState.ANSWERED


def test_without_any_ack_the_call_ends_after_32_seconds(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, outcome: Any, place: Any
) -> None:
    session = place(offer)
    ended = outcome(session.ended)
    session.answer(listener())
    net.run(31)
    assert ended == []
    net.run(2)
    assert ended == [Ended("local", 408, "no ACK came")]
    assert peer.take("BYE").to.tag == "them"


def test_pyvoip_s_ack_with_a_tag_of_its_own_making_is_taken(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, place: Any
) -> None:
    session = place(offer)
    session.answer(listener())
    net.run(0.1)
    in_dialog("ACK", "made-up")
    net.run(40)
    assert session.state is SessionState.ANSWERED


def test_a_bye_of_ours_waits_for_the_ack(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, place: Any
) -> None:
    """RFC 3261 section 15: the callee sends no BYE before its 200 is acknowledged."""
    session = place(offer)
    session.answer(listener())
    session.hang_up()
    assert session.state is SessionState.ENDED
    net.run(1)
    assert not peer.has("BYE")
    tag = peer.take(200).to.tag
    in_dialog("ACK", tag)
    bye = peer.take("BYE")
    assert (bye.uri, bye.from_.tag, bye.to.tag) == ("sip:ana@127.0.0.1:5060", tag, "them")
    peer.send(response_to(bye, 200), ("127.0.0.1", agent.port))


def test_cancel_while_it_rings(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, outcome: Any, place: Any
) -> None:
    session = place(offer, branch="z9hG4bKx")
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
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, place: Any
) -> None:
    session = place(offer, branch="z9hG4bKx")
    session.answer(listener())
    peer.request("CANCEL", ("127.0.0.1", agent.port), branch="z9hG4bKx")
    net.run(0.1)
    assert session.state is SessionState.ANSWERED


@pytest.mark.parametrize(
    ("status", "told"), [(486, "Busy Here"), (603, "Decline"), (480, "Temporarily Unavailable")]
)
def test_rejecting(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    offer: bytes,
    status: int,
    told: str,
    outcome: Any,
    place: Any,
) -> None:
    session = place(offer)
    ended = outcome(session.ended)
    session.reject(status)
    net.run(0.1)
    assert peer.take(status).reason == told
    assert ended == [Ended("local", status, told)]
    with pytest.raises(LocalProtocolError):
        session.reject()


def test_hanging_up_while_it_rings_rejects(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, place: Any
) -> None:
    session = place(offer)
    session.hang_up()
    session.hang_up()
    net.run(0.1)
    assert peer.take(480).cseq == (1, "INVITE")


def test_an_invite_without_an_offer_gets_ours_and_answers_it_in_the_ack(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, in_dialog: Any, outcome: Any, place: Any
) -> None:
    session = place(b"")
    answered, ear = outcome(session.answered), listener()
    session.answer(ear)
    net.run(0.1)
    ok = peer.take(200)
    assert sdp.parse(ok.body).media[0].formats == ("0", "8", "101")
    assert answered == []
    assert session.codec is None
    in_dialog("ACK", ok.to.tag, body=OFFER_PCMU)
    assert answered == [None]
    assert (session.codec, session.key_methods) == ("PCMU", ("info", "inband"))
    assert ear.heard


@pytest.mark.parametrize("body", [b"", b"garbage", b"v=0\r\no=x\r\nm=audio 0 RTP/AVP 0\r\n"])
def test_an_ack_without_a_usable_answer_ends_the_call(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    listener: Any,
    body: bytes,
    in_dialog: Any,
    outcome: Any,
    place: Any,
) -> None:
    session = place(b"")
    answered = outcome(session.answered)
    session.answer(listener())
    net.run(0.1)
    in_dialog("ACK", peer.take(200).to.tag, body=body)
    assert peer.take("BYE").call_id == "call-1"
    assert session.state is SessionState.ENDED
    assert isinstance(answered[0], CallFailed)


# --- what an INVITE may ask for ------------------------------------------------------------------------


def test_a_bye_that_comes_before_the_ack_ends_the_call(
    net: MemoryReactor, peer: Any, place: Any, in_dialog: Any, outcome: Any, listener: Any, offer: bytes
) -> None:
    session = place(offer)
    session.answer(listener())
    net.run(0.1)
    tag = peer.take(200).to.tag
    in_dialog("BYE", tag, number=2)
    assert peer.take(200).cseq == (2, "BYE")
    assert outcome(session.ended) == [Ended("remote", None, "hung up")]
    net.run(5)
    assert not peer.has(200)  # the 200 to the INVITE is repeated no more
    in_dialog("BYE", tag, number=3)  # it did not hear us
    assert peer.take(200).cseq == (3, "BYE")


def test_our_bye_is_repeated_until_it_is_answered(
    net: MemoryReactor, peer: Any, agent: UserAgent, talk: Any, listener: Any, offer: bytes
) -> None:
    session, _ = talk(offer, listener())
    session.hang_up()
    began = net.seconds()
    seen = []
    for _ in range(100):
        net.run(0.1)
        while peer.has("BYE"):
            bye = peer.take("BYE")
            seen.append(round(net.seconds() - began, 1))
        if len(seen) == 4:
            break
    assert seen == pytest.approx([0.1, 0.6, 1.6, 3.6], abs=0.11)
    peer.send(response_to(bye, 481), ("127.0.0.1", agent.port))
    net.run(8)
    assert not peer.has("BYE")


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ((), 180),
        (("Require: timer", "Supported: timer", "Session-Expires: 1800"), 180),
        (("Require: Timer, 100rel",), 420),
        (("Supported: 100rel, replaces, path, outbound, gruu",), 180),
        (("Accept: application/sdp;level=1, text/plain",), 180),
        (("Accept: */*",), 180),
        (("Accept:",), 180),
        (("Accept: text/nobodyKnowsThis",), 406),
        (("Session-Expires: soon",), 400),
        (("Expires: 120", "Allow-Events: talk", "P-Asserted-Identity: <sip:ana@h>", "Replaces: x"), 180),
    ],
)
def test_headers_that_matter_and_those_that_do_not(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, extra: tuple[str, ...], status: int
) -> None:
    peer.request("INVITE", ("127.0.0.1", agent.port), *extra, body=offer)
    net.run(0.1)
    answer = peer.take(status)
    if status == 420:
        assert answer.headers.get_all("Unsupported") == ["100rel"]


@pytest.mark.parametrize(
    ("uri", "status"),
    [("tel:5000", 180), ("sips:5000@ivr.test", 180), ("soap.beep://5000@ivr.test", 416)],
)
def test_request_uris(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, uri: str, status: int
) -> None:
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer, uri=uri)
    net.run(0.1)
    assert peer.take(status).cseq == (1, "INVITE")


def test_update_while_it_rings(
    peer: Any, agent: UserAgent, net: MemoryReactor, in_dialog: Any, offer: bytes
) -> None:
    """RFC 3311 section 5.2: the offer of the INVITE is not answered yet."""
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer)
    net.run(0.1)
    tag = peer.take(180).to.tag
    in_dialog("UPDATE", tag, number=2)
    assert peer.take(200).headers.get("Contact")
    in_dialog("UPDATE", tag, number=3, body=offer)
    assert peer.take(500).headers.get("Retry-After") == "2"
    in_dialog("UPDATE", tag, number=2)
    assert peer.take(500).headers.get("Retry-After") is None  # out of order, and no use to try again


def test_an_offer_in_one_of_several_parts(
    place: Any, listener: Any, offer: bytes, peer: Any, net: MemoryReactor
) -> None:
    body = (
        b"--b\r\nContent-Type: application/isup\r\n\r\n\x01\x00"
        b"\r\n--b\r\nContent-Type: application/sdp\r\n\r\n" + offer + b"\r\n--b--\r\n"
    )
    session = place(body, "Content-Type: multipart/mixed;boundary=b")
    session.answer(listener())
    assert session.codec == "PCMA"


def test_contacts_as_telephones_write_them(
    net: MemoryReactor, peer: Any, agent: UserAgent, place: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    """What follows the angle bracket is the header's, what stands within goes back as it came."""
    contact = (
        '"A, \\"B\\" <c>" <sip:ana-0x55@127.0.0.1:5060;transport=udp;ob>;expires=299;+sip.instance="<urn:x>"'
    )
    session = place(offer, f"Contact: {contact}", contact=False)
    session.answer(listener())
    net.run(0.1)
    in_dialog("ACK", peer.take(200).to.tag)
    session.hang_up()
    net.run(0.1)
    assert peer.take("BYE").uri == "sip:ana-0x55@127.0.0.1:5060;transport=udp;ob"


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        (
            OFFER_PCMU.replace(b"AVP 0", b"AVP 9 18"),
            '305 ivr-sim "no codec in common: offered payload ',
        ),
        (OFFER_PCMU.replace(b"RTP/AVP", b"RTP/SAVP"), "302 "),
        (OFFER_PCMU.replace(b"127.0.0.1\r\nt", b"224.0.0.1\r\nt"), "330 "),
        (OFFER_PCMU.replace(b"IP4 127.0.0.1\r\nt", b"IP6 ::1\r\nt"), "301 "),
        (OFFER_PCMU.replace(b"m=audio", b"m=video"), '304 ivr-sim "video is not audio"'),
    ],
)
def test_a_488_says_why(net: MemoryReactor, peer: Any, agent: UserAgent, body: bytes, warning: str) -> None:
    peer.request("INVITE", ("127.0.0.1", agent.port), body=body)
    net.run(0.1)
    assert peer.take(488).headers.get_all("Warning")[0].startswith(warning)


@pytest.mark.parametrize("srtp", ["off", "allowed", "required"])
@pytest.mark.parametrize("keys", [False, True])
def test_secure_audio_by_setting(
    net: MemoryReactor, peer: Any, new_agent: Any, started: Any, offer: bytes, srtp: str, keys: bool
) -> None:
    agent = started(new_agent(srtp=srtp))
    key = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40 + b"\r\n"
    body = offer.replace(b"RTP/AVP", b"RTP/SAVP") + key if keys else offer
    peer.request("INVITE", ("127.0.0.1", agent.port), body=body)
    net.run(0.1)
    taken = srtp == "allowed" or keys is (srtp == "required")
    assert peer.take(180 if taken else 488).cseq == (1, "INVITE")


def test_secure_audio_is_encrypted_with_the_keys_of_both_descriptions(
    net: MemoryReactor, peer: Any, new_agent: Any, started: Any, offer: bytes, listener: Any
) -> None:
    pytest.importorskip("pylibsrtp")
    agent = started(new_agent(srtp="required"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(5)
        body = re.sub(rb"m=audio [0-9]+ RTP/AVP", b"m=audio %d RTP/SAVP" % phone.getsockname()[1], offer)
        key = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40 + b"\r\n"
        peer.request("INVITE", ("127.0.0.1", agent.port), body=body + key)
        net.run(0.1)
        agent.calls[0].answer(listener())
        net.run(0.1)
        answered = Crypto.parse(re.search(r"a=crypto:(.*?)\r", peer.take(200).body.decode())[1])
        theirs = SrtpPair(SrtpKey(answered.suite, bytes(30)), SrtpKey(answered.suite, answered.key))
        packet = Packet.parse(SrtpSession(theirs).unprotect(phone.recv(2048)))
    assert (packet.payload_type, len(packet.payload)) == (8, 160)
    assert agent.calls[0].secure
