"""Calls that we place, against a scripted callee, in memory: each test is one page of a protocol trace."""

from __future__ import annotations

from typing import Any

import pytest

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import MediaEngine
from ivr_sim.sip import digest, sdp
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import response_to
from ivr_sim.sip.user_agent import CallFailed, Ended, SessionState, UserAgent

OFFER_PCMU = (
    b"v=0\r\no=them 5 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
)


def test_placing_a_call(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    offer: bytes,
    listener: Any,
    answer_with: Any,
    dial: Any,
    outcome: Any,
) -> None:
    ear = listener()
    session, invite = dial(ear)
    assert (invite.uri, str(invite.to)) == ("sip:5000@127.0.0.1", "<sip:5000@127.0.0.1>")
    assert sdp.parse(invite.body).media[0].formats == ("0", "8", "101")
    assert (session.incoming, session.caller, session.dialled) == (False, "ivr", "5000")
    states = [session.state]
    answered, ended = outcome(session.answered), outcome(session.ended)
    for status in (100, 180, 183, 200):
        answer_with(invite, status, body=offer if status in (183, 200) else b"")
        states.append(session.state)
    assert [s.value for s in states] == ["dialing", "dialing", "ringing", "ringing", "answered"]
    assert answered == [None]
    assert (session.codec, session.user_agent) == ("PCMA", "Line/2")
    ack = peer.take("ACK")
    assert (ack.uri, ack.to.tag, ack.cseq) == ("sip:line@127.0.0.1:5060", "them", (1, "ACK"))
    assert ack.top_via.branch != invite.top_via.branch
    answer_with(invite, 200, body=offer)  # its ACK was lost
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
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    listener: Any,
    status: int,
    engine: MediaEngine,
    answer_with: Any,
    dial: Any,
    outcome: Any,
) -> None:
    session, invite = dial(listener())
    answered, ended = outcome(session.answered), outcome(session.ended)
    answer_with(invite, status)
    assert peer.take("ACK").top_via.branch == invite.top_via.branch
    assert (ended[0].by, ended[0].status) == ("remote", status)
    assert str(status) in str(answered[0])
    assert engine.streams == ()


def test_nobody_answers_the_invite(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, dial: Any, outcome: Any
) -> None:
    session, _ = dial(listener())
    ended = outcome(session.ended)
    net.run(33)
    assert ended == [Ended("remote", 408, "Request Timeout")]


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_to_an_invite(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    listener: Any,
    offer: bytes,
    status: int,
    answer_with: Any,
    dial: Any,
) -> None:
    session, bare = dial(listener())
    asks = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
    challenge = (asks, digest.challenge("ivr.test", "n1"))
    peer.send(response_to(bare, status, headers=[challenge]), ("127.0.0.1", agent.port))
    net.run(0.1)
    peer.take("ACK")
    credible = peer.take("INVITE")
    assert (credible.cseq, credible.call_id, credible.from_) == ((2, "INVITE"), bare.call_id, bare.from_)
    assert credible.top_via.branch != bare.top_via.branch
    answer_with(credible, 200, body=offer)
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
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, dial: Any, outcome: Any
) -> None:
    session, invite = dial(listener())
    for _ in range(2):
        challenge = ("Proxy-Authenticate", digest.challenge("ivr.test", "n1"))
        peer.send(response_to(invite, 407, headers=[challenge]), ("127.0.0.1", agent.port))
        net.run(0.1)
        if peer.has("INVITE"):
            invite = peer.take("INVITE")
    assert outcome(session.ended)[0].status == 407


def test_cancelling_waits_for_a_provisional_response(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, answer_with: Any, dial: Any, outcome: Any
) -> None:
    session, invite = dial(listener())
    session.hang_up()
    assert outcome(session.ended) == [Ended("local", 487, "cancelled")]
    net.run(0.1)
    assert not peer.has("CANCEL")
    answer_with(invite, 180)
    cancel = peer.take("CANCEL")
    assert cancel.top_via.branch == invite.top_via.branch
    peer.send(response_to(cancel, 200), ("127.0.0.1", agent.port))
    answer_with(invite, 487)
    peer.take("ACK")


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, offer: bytes, answer_with: Any, dial: Any
) -> None:
    session, invite = dial(listener())
    answer_with(invite, 180)
    session.hang_up()
    answer_with(invite, 200, body=offer)
    assert peer.take("ACK").to.tag == "them"
    assert peer.take("BYE").to.tag == "them"
    assert session.state is SessionState.ENDED


def test_the_second_branch_of_a_fork_is_hung_up(
    net: MemoryReactor, peer: Any, agent: UserAgent, listener: Any, offer: bytes, answer_with: Any, dial: Any
) -> None:
    session, invite = dial(listener())
    answer_with(invite, 200, body=offer, tag="one")
    answer_with(invite, 200, body=offer, tag="two")
    assert [peer.take("ACK").to.tag for _ in range(2)] == ["one", "two"]
    assert peer.take("BYE").to.tag == "two"
    assert not peer.has("BYE")
    assert session.state is SessionState.ANSWERED


@pytest.mark.parametrize("body", [b"", b"garbage", b"v=0\r\no=x\r\nm=audio 0 RTP/AVP 0\r\n"])
def test_an_answer_that_cannot_be_used_is_acknowledged_and_hung_up(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    listener: Any,
    body: bytes,
    answer_with: Any,
    dial: Any,
    outcome: Any,
) -> None:
    session, invite = dial(listener())
    answered, ended = outcome(session.answered), outcome(session.ended)
    answer_with(invite, 200, body=body)
    peer.take("ACK")
    peer.take("BYE")
    assert (ended[0].by, ended[0].status) == ("local", 488)
    assert isinstance(answered[0], CallFailed)


def test_keys_by_info_do_not_overtake(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    listener: Any,
    offer: bytes,
    answer_with: Any,
    dial: Any,
    outcome: Any,
) -> None:
    session, invite = dial(listener())
    with pytest.raises(LocalProtocolError):
        session.send_info_key("1")
    answer_with(invite, 200, body=offer)
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


# --- before the answer ---------------------------------------------------------------------------------

RELIABLE = ("Require", "100rel")


def test_a_redirection_is_told_and_not_followed(
    peer: Any, dial: Any, answer_with: Any, listener: Any, outcome: Any
) -> None:
    session, invite = dial(listener())
    answer_with(invite, 302, ("Contact", "Bob <sip:bob@10.0.0.1>;q=0.5"))
    (ended,) = outcome(session.ended)
    assert (ended.by, ended.status) == ("remote", 302)
    assert "to sip:line@127.0.0.1:5060 or sip:bob@10.0.0.1, which is not followed" in ended.reason
    assert not peer.has("INVITE")


@pytest.mark.parametrize("status", [180, 183, 199])
def test_a_reliable_response_gets_its_prack(
    net: MemoryReactor, peer: Any, agent: UserAgent, dial: Any, answer_with: Any, listener: Any, status: int
) -> None:
    """RFC 3262 section 4: each once, in order, in the early dialog."""
    session, invite = dial(listener())
    assert "100rel" in invite.headers.get_all("Supported")
    answer_with(invite, status, RELIABLE, ("RSeq", "7"))
    prack = peer.take("PRACK")
    assert prack.headers.get("RAck") == "7 1 INVITE"
    assert (prack.uri, prack.to.tag, prack.cseq) == ("sip:line@127.0.0.1:5060", "them", (2, "PRACK"))
    peer.send(response_to(prack, 200), ("127.0.0.1", agent.port))
    for number in ("7", "9", "6", "x", "99999999999", "0"):  # a copy, ahead of its turn, behind it, none
        answer_with(invite, status, RELIABLE, ("RSeq", number))
        assert not peer.has("PRACK")
    answer_with(invite, status, RELIABLE, ("RSeq", "8"))
    assert peer.take("PRACK").headers.get("RAck") == "8 1 INVITE"
    assert session.state is SessionState.RINGING


def test_the_numbers_go_on_after_prack(
    net: MemoryReactor, peer: Any, dial: Any, answer_with: Any, listener: Any, offer: bytes
) -> None:
    session, invite = dial(listener())
    answer_with(invite, 180, RELIABLE, ("RSeq", "1"))
    assert peer.take("PRACK").cseq[0] == 2
    answer_with(invite, 200, body=offer)
    assert peer.take("ACK").cseq == (1, "ACK")
    session.hang_up()
    net.run(0.1)
    assert peer.take("BYE").cseq == (3, "BYE")


@pytest.mark.parametrize("status", [180, 183])
def test_the_answer_may_come_before_the_call_is_taken(
    peer: Any, dial: Any, answer_with: Any, listener: Any, outcome: Any, offer: bytes, status: int
) -> None:
    ear = listener()
    session, invite = dial(ear)
    answered = outcome(session.answered)
    answer_with(invite, status, RELIABLE, ("RSeq", "1"), body=offer)
    assert (answered, session.codec, ear.heard) == ([], None, [])
    answer_with(invite, 200)
    peer.take("ACK")
    assert (answered, session.codec) == ([None], "PCMA")


def test_the_200_has_the_last_word_unless_the_answer_was_reliable(
    peer: Any, dial: Any, answer_with: Any, listener: Any, offer: bytes
) -> None:
    for headers, codec in (((), "PCMU"), ((RELIABLE, ("RSeq", "1")), "PCMA")):
        session, invite = dial(listener())
        answer_with(invite, 183, *headers, body=offer)
        answer_with(invite, 200, body=OFFER_PCMU)
        assert session.codec == codec


def test_each_place_that_rings_has_a_dialog_of_its_own(
    net: MemoryReactor, peer: Any, dial: Any, answer_with: Any, listener: Any, offer: bytes
) -> None:
    session, invite = dial(listener())
    for tag, body in (("one", offer), ("two", OFFER_PCMU), ("three", b"garbage")):
        answer_with(invite, 183, RELIABLE, ("RSeq", "5"), tag=tag, body=body)
        assert peer.take("PRACK").to.tag == tag
    for number in range(40):
        answer_with(invite, 180, tag=f"more{number}")
    answer_with(invite, 200, tag="two")
    assert (peer.take("ACK").to.tag, session.codec) == ("two", "PCMU")


def test_requests_before_the_answer(
    peer: Any, dial: Any, answer_with: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    """RFC 3311 section 5.2: no second offer before the first is answered."""
    session, invite = dial(listener())
    ours, more = invite.from_.tag, {"call_id": session.call_id}
    in_dialog("UPDATE", ours, number=1, **more)
    assert peer.take(481)  # of a dialog that is none yet
    answer_with(invite, 180)
    in_dialog("UPDATE", ours, number=5, **more)
    assert peer.take(200).headers.get("Contact")
    in_dialog("UPDATE", ours, number=6, body=offer, **more)
    assert peer.take(491).cseq == (6, "UPDATE")
    answer_with(invite, 183, RELIABLE, ("RSeq", "1"), body=offer)
    in_dialog("UPDATE", ours, number=7, body=OFFER_PCMU, **more)
    assert sdp.parse(peer.take(200).body).media[0].formats == ("0",)
    for number, method, status in (
        (3, "UPDATE", 500), (8, "INVITE", 500), (9, "OPTIONS", 200), (10, "REFER", 405), (11, "BYE", 481),
    ):  # fmt: skip
        in_dialog(method, ours, number=number, branch=f"z9hG4bKe{number}", **more)
        refused = peer.take(status)
        assert refused.cseq == (number, method)
        if method == "INVITE":
            assert refused.headers.get("Retry-After") == "2"
            in_dialog("ACK", ours, number=number, branch=f"z9hG4bKe{number}", **more)
    answer_with(invite, 200)
    assert (session.state, session.codec) == (SessionState.ANSWERED, "PCMU")
    in_dialog("BYE", ours, number=10, **more)  # older than the early dialog's last
    assert peer.take(500).cseq == (10, "BYE")
    in_dialog("BYE", ours, number=12, **more)
    assert session.state is SessionState.ENDED


def test_a_reliable_response_to_a_call_that_was_called_off(
    peer: Any, dial: Any, answer_with: Any, listener: Any
) -> None:
    session, invite = dial(listener())
    answer_with(invite, 100)
    session.hang_up()
    answer_with(invite, 183, RELIABLE, ("RSeq", "1"))
    assert not peer.has("PRACK")
    assert peer.take("CANCEL").cseq == (1, "CANCEL")
    answer_with(invite, 487)
    assert session.state is SessionState.ENDED


def test_an_answer_in_several_parts(
    peer: Any, agent: UserAgent, net: MemoryReactor, dial: Any, listener: Any, offer: bytes
) -> None:
    session, invite = dial(listener())
    body = b"--x\r\nContent-Type: application/sdp\r\n\r\n" + offer + b"\r\n--x--\r\n"
    headers = [("Contact", "<sip:l@127.0.0.1:5060>"), ("Content-Type", "multipart/mixed;boundary=x")]
    peer.send(response_to(invite, 200, to_tag="t", headers=headers, body=body), ("127.0.0.1", agent.port))
    net.run(0.1)
    assert session.codec == "PCMA"
