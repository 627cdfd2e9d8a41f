"""Our re-INVITEs: hold and resume, and two sides that have something to say at once (RFC 3261 section 14)."""

from __future__ import annotations

from typing import Any

import pytest

from ivr_sim.errors import LocalProtocolError
from ivr_sim.sip import digest, sdp
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Request, response_to
from ivr_sim.sip.user_agent import Session, SessionState, UserAgent


def direction(body: bytes) -> str | None:
    return sdp.parse(body).media[0].direction


@pytest.fixture
def call(dial: Any, answer_with: Any, peer: Any, listener: Any, offer: bytes) -> Session:
    """One that we placed."""
    session: Session
    session, invite = dial(listener())
    answer_with(invite, 200, body=offer)
    peer.take("ACK")
    return session


def test_hold_and_resume_by_us(
    net: MemoryReactor, peer: Any, call: Session, answer_with: Any, offer: bytes
) -> None:
    held_answer = offer + b"a=recvonly\r\n"
    versions = []
    for held, said, answer in ((True, "sendonly", held_answer), (False, "sendrecv", offer)):
        call.hold(held)
        call.hold(held)
        net.run(0.1)
        invite = peer.take("INVITE")
        assert not peer.has("INVITE")
        assert direction(invite.body) == said
        assert sdp.parse(invite.body).media[0].formats == ("8", "0", "101")  # what is in use comes first
        versions.append(sdp.parse(invite.body).origin.split()[1:3])
        assert (invite.uri, invite.to.tag) == ("sip:line@127.0.0.1:5060", "them")
        answer_with(invite, 200, body=answer)
        assert peer.take("ACK").cseq[0] == invite.cseq[0]
        answer_with(invite, 200, body=answer)  # the ACK was lost
        assert peer.take("ACK").cseq[0] == invite.cseq[0]
        assert call.hears is not held
    assert versions[0][0] == versions[1][0]
    assert [int(v) for _, v in versions] == [2, 3]


def test_while_we_hold_an_offer_of_the_peer_s_is_answered_so(
    net: MemoryReactor, peer: Any, call: Session, answer_with: Any, in_dialog: Any, offer: bytes
) -> None:
    call.hold()
    net.run(0.1)
    invite = peer.take("INVITE")
    answer_with(invite, 200, body=offer + b"a=recvonly\r\n")
    in_dialog("INVITE", invite.from_.tag, number=7, body=offer, call_id=call.call_id)
    assert direction(peer.take(200).body) == "sendonly"


def test_only_a_call_that_talks_is_held(peer: Any, dial: Any, listener: Any) -> None:
    session, _ = dial(listener())
    with pytest.raises(LocalProtocolError, match="cannot be held"):
        session.hold()


@pytest.mark.parametrize(("incoming", "least", "most"), [(False, 2.1, 4.0), (True, 0.0, 2.0)])
def test_a_491_is_tried_again_after_a_while(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    request: pytest.FixtureRequest,
    listener: Any,
    offer: bytes,
    talk: Any,
    incoming: bool,
    least: float,
    most: float,
) -> None:
    session = talk(offer, listener())[0] if incoming else request.getfixturevalue("call")
    session.hold()
    net.run(0.1)
    first = peer.take("INVITE")
    peer.send(response_to(first, 491), ("127.0.0.1", agent.port))
    began = net.seconds()
    assert net.run(5, until=lambda: peer.has("INVITE"))
    assert least <= net.seconds() - began <= most + 0.01
    again = peer.take("INVITE")
    assert again.cseq[0] == first.cseq[0] + 1
    assert direction(again.body) == "sendonly"
    # What it says is the same, so its version is.
    assert sdp.parse(again.body).origin == sdp.parse(first.body).origin


def test_a_re_invite_that_meets_ours_is_told_to_wait_and_so_is_an_update(
    net: MemoryReactor, peer: Any, call: Session, in_dialog: Any, answer_with: Any, offer: bytes
) -> None:
    call.hold()
    net.run(0.1)
    ours = peer.take("INVITE")
    for number, method in enumerate(("INVITE", "UPDATE"), 5):
        in_dialog(method, ours.from_.tag, number=number, body=offer, call_id=call.call_id)
        assert peer.take(491).cseq == (number, method)
    answer_with(ours, 200, body=offer)
    in_dialog("UPDATE", ours.from_.tag, number=8, body=offer, call_id=call.call_id)
    assert peer.take(200).body


def test_ours_waits_for_the_ack_of_theirs(
    net: MemoryReactor, peer: Any, talk: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    session, tag = talk(offer, listener())
    in_dialog("INVITE", tag, number=2, body=offer)
    session.hold()
    net.run(0.1)
    assert not peer.has("INVITE")
    in_dialog("ACK", tag, number=2)
    assert direction(peer.take("INVITE").body) == "sendonly"


@pytest.mark.parametrize("status", [488, 500, 603])
def test_a_re_invite_of_ours_that_is_refused_changes_nothing(
    peer: Any, net: MemoryReactor, call: Session, answer_with: Any, in_dialog: Any, status: int, offer: bytes
) -> None:
    call.hold()
    net.run(0.1)
    invite = peer.take("INVITE")
    answer_with(invite, status)
    peer.take("ACK")
    assert (call.state, call.codec) == (SessionState.ANSWERED, "PCMA")
    in_dialog("UPDATE", invite.from_.tag, number=8, body=offer, call_id=call.call_id)
    assert peer.take(200).body  # no offer of ours is left over


@pytest.mark.parametrize("status", [408, 481])
def test_a_dialog_that_is_gone_ends_the_call(
    peer: Any, net: MemoryReactor, call: Session, answer_with: Any, outcome: Any, status: int
) -> None:
    call.hold()
    net.run(0.1)
    answer_with(peer.take("INVITE"), status)
    assert outcome(call.ended)[0].status == status
    assert peer.take("BYE").call_id == call.call_id


def test_an_answer_that_comes_after_the_end_is_acknowledged_all_the_same(
    peer: Any, net: MemoryReactor, call: Session, answer_with: Any, offer: bytes
) -> None:
    call.hold()
    net.run(0.1)
    invite = peer.take("INVITE")
    call.hang_up()
    net.run(0.1)
    assert peer.take("BYE").cseq[0] == invite.cseq[0] + 1
    answer_with(invite, 200, body=offer)
    assert peer.take("ACK").cseq[0] == invite.cseq[0]


@pytest.mark.parametrize("body", [b"", b"garbage", b"v=0\r\no=x\r\nm=audio 0 RTP/AVP 0\r\n"])
def test_an_answer_that_cannot_be_used_ends_the_call(
    peer: Any, net: MemoryReactor, call: Session, answer_with: Any, outcome: Any, body: bytes
) -> None:
    call.hold()
    net.run(0.1)
    answer_with(peer.take("INVITE"), 200, body=body)
    peer.take("ACK")
    peer.take("BYE")
    assert outcome(call.ended)[0].status == 488


def test_a_re_invite_may_be_challenged(
    net: MemoryReactor, peer: Any, call: Session, agent: UserAgent, answer_with: Any, offer: bytes
) -> None:
    call.hold()
    net.run(0.1)
    bare = peer.take("INVITE")
    challenge = ("Proxy-Authenticate", digest.challenge("ivr.test", "n", algorithm="SHA-256"))
    peer.send(response_to(bare, 407, headers=[challenge]), ("127.0.0.1", agent.port))
    net.run(0.1)
    assert peer.take("ACK").cseq[0] == bare.cseq[0]
    credible: Request = peer.take("INVITE")
    assert credible.cseq[0] == bare.cseq[0] + 1
    answer_with(credible, 200, body=offer)
    ack = peer.take("ACK")
    assert ack.cseq[0] == credible.cseq[0]
    given = credible.headers.get("Proxy-Authorization")
    assert given is not None
    assert ack.headers.get("Proxy-Authorization") == given
    assert digest.parse(given)["algorithm"] == "SHA-256"
