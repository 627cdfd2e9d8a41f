"""Registrations of the user agent against a scripted registrar, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ivr_sim.sip import digest
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Request, response_to
from ivr_sim.sip.user_agent import RegistrationRefused, UserAgent

Maker = Callable[..., UserAgent]


def test_registers_and_refreshes_before_it_expires(
    net: MemoryReactor, peer: Any, new_agent: Maker, started: Any
) -> None:
    agent = started(new_agent(expires=120))
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
    net: MemoryReactor, peer: Any, new_agent: Maker, started: Any
) -> None:
    def answer(request: Request) -> Any:
        ours = request.headers.get("Contact")
        contacts = [("Contact", "<sip:ivr@10.0.0.9>;expires=9000"), ("Contact", f"{ours};expires=60")]
        return response_to(request, 200, headers=[*contacts, ("Expires", "3600")])

    peer.on_register = answer
    started(new_agent())
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
        challenge = gate.challenges(0.0)[0]
        return response_to(
            request, status, headers=[(asks, challenge if qop else challenge.replace(', qop="auth"', ""))]
        )

    return answer


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("qop", [True, False])
def test_answers_a_challenge(
    net: MemoryReactor, peer: Any, new_agent: Maker, status: int, qop: bool, started: Any
) -> None:
    peer.on_register = challenged("ivr.test", "secret-ivr", status, qop)
    started(new_agent())
    bare, credible = peer.registers
    assert credible.cseq[0] == bare.cseq[0] + 1
    assert credible.top_via.branch != bare.top_via.branch


def test_a_wrong_password_is_refused_after_one_try(
    net: MemoryReactor, peer: Any, new_agent: Maker, outcome: Any
) -> None:
    peer.on_register = challenged("ivr.test", "another")
    ready = outcome(new_agent().start())
    net.run(1)
    (error,) = ready
    assert isinstance(error, RegistrationRefused)
    assert (error.status, error.reason) == (401, "Unauthorized")
    assert "password" in str(error)
    assert len(peer.registers) == 2


def test_a_stale_nonce_is_answered_anew(
    net: MemoryReactor, peer: Any, new_agent: Maker, started: Any
) -> None:
    answers = iter(["n1", "n2"])

    def answer(request: Request) -> Any:
        nonce = next(answers, None)
        if nonce is None:
            return response_to(request, 200)
        value = digest.challenge("ivr.test", nonce, stale=nonce == "n2")
        return response_to(request, 401, headers=[("WWW-Authenticate", value)])

    peer.on_register = answer
    started(new_agent())
    assert digest.parse(peer.registers[2].headers.get("Authorization"))["nonce"] == "n2"


def test_nobody_answers(net: MemoryReactor, new_agent: Maker, outcome: Any) -> None:
    ready = outcome(new_agent().start())
    net.run(31)
    assert ready == []
    net.run(2)
    assert ready[0].status == 408
    assert "127.0.0.1:5060" in str(ready[0])


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refusal_is_told(
    net: MemoryReactor, peer: Any, new_agent: Maker, status: int, outcome: Any
) -> None:
    peer.on_register = lambda request: response_to(request, status)
    ready = outcome(new_agent().start())
    net.run(1)
    assert ready[0].status == status
    net.run(600)
    assert len(peer.registers) == 1


def test_too_brief_is_asked_for_longer(net: MemoryReactor, peer: Any, new_agent: Maker, started: Any) -> None:
    peer.on_register = lambda request: (
        response_to(request, 200)
        if int(request.headers.get("Expires") or 0) >= 600
        else response_to(request, 423, headers=[("Min-Expires", "600")])
    )
    started(new_agent(expires=60))
    assert [r.headers.get("Expires") for r in peer.registers] == ["60", "600"]


def test_a_refresh_that_fails_is_tried_until_it_works(
    net: MemoryReactor, peer: Any, new_agent: Maker, started: Any
) -> None:
    agent = started(new_agent(expires=120))
    peer.on_register = lambda request: response_to(request, 503)
    net.run(111)
    assert not agent.registered
    peer.on_register = lambda request: response_to(request, 200)
    net.run(3)
    assert agent.registered


def test_stopping_while_registering_fails_the_start(
    net: MemoryReactor, new_agent: Maker, outcome: Any
) -> None:
    agent = new_agent()
    ready = outcome(agent.start())
    agent.stop()
    net.run(3)
    assert isinstance(ready[0], RegistrationRefused)
