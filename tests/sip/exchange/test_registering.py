"""Phones that register at the exchange, and what its watcher hears of them."""

from __future__ import annotations

import pytest

from ivr_sim.errors import ConfigurationError
from ivr_sim.sip import digest
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.exchange_event import (
    Admitted,
    Challenged,
    HostHeard,
    Refused,
    Registered,
    TurnedAway,
    Unregistered,
)

HUB = Address("127.0.0.1", 5060)
MALLORY = Address("127.0.0.1", 5099)
ACCOUNTS = {name: f"secret-{name}" for name in ("alice", "bob", "line1", "line2", "line3")}
LINES = ["line1", "line2", "line3"]


def test_register(reactor, exchange, alice, events):
    (binding,) = exchange.registrations["alice"]
    assert binding.contact.text == "sip:alice@127.0.0.1:5070"
    assert binding.source == Address("127.0.0.1", 5070)
    assert [type(event) for event in events] == [HostHeard, Challenged, Admitted, Registered]
    assert events[3:] == [
        Registered(
            user="alice",
            contact="sip:alice@127.0.0.1:5070",
            source=Address("127.0.0.1", 5070),
            expires_in=3600,
        )
    ]
    reply = alice.ask(
        alice.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>", headers=[("Expires", "0")])
    )
    assert reply.status == 200
    assert exchange.registrations == {}
    assert events[-2:] == [
        Admitted(method="REGISTER", user="alice", source=Address("127.0.0.1", 5070)),
        Unregistered(user="alice", contact="sip:alice@127.0.0.1:5070"),
    ]


def test_refused_registrations_are_told_apart(reactor, exchange, events, new_phone):
    mallory = new_phone("mallory", 5099)
    for user, password, cause in (("mallory", "x", "unknown_user"), ("alice", "guess", "wrong_password")):
        first = mallory.request("REGISTER", "sip:ivr.test", to=f"<sip:{user}@ivr.test>")
        client = mallory.send(first)
        reactor.run(1)
        name, value = digest.answer(client.answers[0], method="REGISTER", uri="sip:ivr.test", user=user,
                                    password=password, cnonce="c")  # fmt: skip
        second = mallory.request(
            "REGISTER", "sip:ivr.test", to=f"<sip:{user}@ivr.test>", headers=[(name, value)]
        )
        assert mallory.ask(second).status == 403
        assert events[-1] == Refused(
            method="REGISTER", user=user, account=user, source=MALLORY, status=403, cause=cause
        )
    assert exchange.registrations == {}


@pytest.mark.parametrize(
    ("uri", "to"), [("sip:ivr.example", "alice@ivr.test"), ("sip:127.0.0.1", "alice@ivr.example")]
)
def test_who_registers_in_another_domain_learns_it_at_once(reactor, exchange, events, uri, to, new_phone):
    mallory = new_phone("mallory", 5099)
    reply = mallory.ask(mallory.request("REGISTER", uri, to=f"<sip:{to}>"))
    assert (reply.status, reply.reason) == (403, "This exchange serves its own domain only")
    assert events[-1] == TurnedAway(method="REGISTER", user="alice", uri_user="alice", domain="ivr.example",
                                    source=MALLORY, status=403, cause="domain")  # fmt: skip


def test_calls_that_lead_nowhere_are_told_of(reactor, exchange, events, new_phone):
    mallory = new_phone("mallory", 5099)
    for uri, status, cause in (
        ("sip:5000@ivr.example", 403, "domain"),
        ("sip:bob@ivr.test", 480, "absent"),
        ("sip:5000@ivr.test", 480, "absent"),
    ):
        assert mallory.ask(mallory.request("INVITE", uri)).status == status
        user, domain = uri.removeprefix("sip:").split("@")
        assert events[-1] == TurnedAway(method="INVITE", user="mallory", uri_user=user, domain=domain,
                                        source=MALLORY, status=status, cause=cause)  # fmt: skip
    count = len(events)
    assert mallory.ask(mallory.request("MESSAGE", "sip:bob@ivr.test")).status == 480
    assert len(events) == count


def test_each_host_is_told_of_once_and_a_flood_of_them_ends(reactor, exchange, events):
    for n in range(300):
        for data in (b"rubbish", b"OPTIONS sip:ivr.test SIP/2.0\r\n\r\n"):
            reactor.inject(data, (f"198.51.{n // 250}.{n % 250}", 5060), HUB)
    heard = [e.host for e in events if isinstance(e, HostHeard)]
    assert len(heard) == len(set(heard)) == 64


def test_credentials_that_are_asked_for_and_those_of_another_realm(reactor, exchange, events, new_phone):
    mallory = new_phone("mallory", 5099)
    foreign = ("Authorization", 'Digest username="alice", realm="pbx", nonce="n", uri="u", response="r"')
    for headers, realm in (((), None), ([foreign], "pbx")):
        request = mallory.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>", headers=headers)
        mallory.send(request)
        reactor.run(1)
        assert events[-1] == Challenged(method="REGISTER", user="alice", source=MALLORY, realm=realm)


def test_the_watcher_is_told_before_the_phone_is_answered(reactor, new_phone):
    """By its answer a phone may dial at once, and what the watcher does for its call has to be done."""
    sent: list[int] = []
    told: list[tuple[str, int]] = []
    made = Exchange(
        reactor,
        port=5060,
        accounts=ACCOUNTS,
        lines=LINES,
        require_auth_for_invite=True,
        on_event=lambda event: told.append((type(event).__name__, len(sent))),
        trace=lambda direction, data, peer: sent.append(1) if direction == "sent" else None,
    )
    made.start()
    alice = new_phone("alice", 5070)
    alice.register()
    assert told[:4] == [("HostHeard", 0), ("Challenged", 0), ("Admitted", 1), ("Registered", 1)]
    del sent[:], told[:]
    alice.send(alice.request("INVITE", "sip:bob@ivr.test"))
    reactor.run(0.1)
    assert told == [("Challenged", 0)]
    made.stop()


def test_lines_need_accounts(reactor):
    with pytest.raises(ConfigurationError, match="ghost"):
        Exchange(reactor, accounts=ACCOUNTS, lines=["ghost"])
