"""Challenges: one realm or several, one algorithm or several, refused or only stale (RFC 3261 section 22)."""

from __future__ import annotations

from typing import Any

import pytest

from ivr_sim.sip import digest
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Request, Response, response_to
from ivr_sim.sip.session import Session
from ivr_sim.sip.user_agent import SessionState, UserAgent

PROXY, SERVER = ("Proxy-Authenticate", "Proxy-Authorization"), ("WWW-Authenticate", "Authorization")


def gate(realm: str, *algorithms: str) -> digest.DigestGate:
    accounts = {"ivr": "secret-ivr"}
    return digest.DigestGate(realm, accounts, realm.encode(), algorithms=algorithms or ("MD5",))


@pytest.fixture
def asked(net: MemoryReactor, peer: Any, agent: UserAgent, dial: Any, listener: Any) -> Any:
    """Dials, answers each INVITE by what is given, and returns the INVITEs and the session."""

    def ask(*responses: Any) -> tuple[list[Request], Session]:
        session, invite = dial(listener())
        invites = [invite]
        for each in responses:
            status, challenges = each(invites[-1])
            peer.send(response_to(invites[-1], status, headers=challenges), ("127.0.0.1", agent.port))
            net.run(0.1)
            if peer.has("INVITE"):
                invites.append(peer.take("INVITE"))
        return invites, session

    return ask


def challenge(gate: digest.DigestGate, status: int = 407, **more: Any) -> Any:
    asks = PROXY if status == 407 else SERVER
    return lambda request: (status, [(asks[0], value) for value in gate.challenges(0.0, **more)])


def test_two_proxies_and_a_server_ask_in_turn(asked: Any) -> None:
    near, far, end = gate("near"), gate("far"), gate("end", "SHA-256")
    invites, session = asked(challenge(near), challenge(far), challenge(end, 401))
    last: Request = invites[-1]
    assert [invite.cseq[0] for invite in invites] == [1, 2, 3, 4]
    assert near.check(last, 0.0, proxy=True).cause == "ok"
    assert far.check(last, 0.0, proxy=True).cause == "ok"
    assert end.check(last, 0.0).cause == "ok"
    assert session.state is SessionState.DIALING


def test_two_proxies_ask_at_once(asked: Any) -> None:
    near, far = gate("near"), gate("far")
    invites, _ = asked(lambda request: (407, [(PROXY[0], g.challenges(0.0)[0]) for g in (near, far)]))
    assert [g.check(invites[1], 0.0, proxy=True).cause for g in (near, far)] == ["ok", "ok"]


def test_of_one_realm_s_challenges_the_first_that_we_can_is_answered(asked: Any) -> None:
    realm = gate("r", "SHA-256", "MD5")
    offered = [
        (SERVER[0], 'Digest realm="r", nonce="x", algorithm=SHA-512-256, qop="auth"'),
        (SERVER[0], 'Bearer realm="r"'),
        *((SERVER[0], value) for value in realm.challenges(0.0)),
    ]
    invites, _ = asked(lambda request: (401, offered))
    (given,) = invites[1].headers.get_all("Authorization")
    assert digest.parse(given)["algorithm"] == "SHA-256"
    assert realm.check(invites[1], 0.0).cause == "ok"


def test_a_stale_nonce_is_answered_anew_and_a_refusal_is_not(asked: Any) -> None:
    realm = gate("r")
    invites, session = asked(challenge(realm), challenge(realm, stale=True), challenge(realm))
    assert len(invites) == 3
    assert len(invites[2].headers.get_all("Proxy-Authorization")) == 1
    assert realm.check(invites[2], 0.0, proxy=True).cause == "ok"
    assert session.state is SessionState.ENDED


def test_one_realm_that_refuses_spoils_what_another_asks(asked: Any) -> None:
    near, far = gate("near"), gate("far")
    both = [(PROXY[0], g.challenges(0.0)[0]) for g in (near, far)]
    invites, session = asked(challenge(near), lambda request: (407, both))
    assert len(invites) == 2
    assert session.state is SessionState.ENDED


def test_whoever_asks_for_ever_is_not_answered_for_ever(asked: Any) -> None:
    realm = gate("r")
    invites, session = asked(*[challenge(realm, stale=True)] * 8)
    assert len(invites) == 5
    assert session.state is SessionState.ENDED


@pytest.mark.parametrize(
    "value", ["", "Digest", "Basic realm=x", 'Digest realm="r", nonce="n", qop="auth-int"']
)
def test_a_challenge_that_cannot_be_answered_ends_the_call(asked: Any, outcome: Any, value: str) -> None:
    invites, session = asked(lambda request: (401, [(SERVER[0], value)] if value else []))
    assert len(invites) == 1
    assert outcome(session.ended)[0].status == 401


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "INVITE", "PRACK"])
@pytest.mark.parametrize("status", [401, 407])
def test_every_request_of_ours_may_be_challenged(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    dial: Any,
    answer_with: Any,
    listener: Any,
    offer: bytes,
    method: str,
    status: int,
) -> None:
    session, invite = dial(listener())
    if method == "PRACK":
        answer_with(invite, 183, ("Require", "100rel"), ("RSeq", "9"))
    else:
        timer = [("Session-Expires", "90;refresher=uac"), ("Allow", method)]
        answer_with(invite, 200, *(timer if method == "UPDATE" else []), body=offer)
        peer.take("ACK")
    if method == "BYE":
        session.hang_up()
    elif method == "INFO":
        session.send_info_key("5")
    elif method == "INVITE":
        session.hold()
    assert net.run(46, until=lambda: peer.has(method))
    bare: Request = peer.take(method)
    realm = gate("r")
    asks, answers = PROXY if status == 407 else SERVER
    refusal: Response = response_to(bare, status, headers=[(asks, realm.challenges(0.0)[0])])
    peer.send(refusal, ("127.0.0.1", agent.port))
    net.run(0.1)
    credible: Request = peer.take(method)
    assert credible.cseq[0] == bare.cseq[0] + 1
    assert credible.body == bare.body
    assert realm.check(credible, 0.0, proxy=status == 407).cause == "ok"
    assert answers in credible.headers
    peer.send(response_to(credible, 200 if method != "INVITE" else 488), ("127.0.0.1", agent.port))
    net.run(0.1)
