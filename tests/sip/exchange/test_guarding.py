"""An exchange off loopback among strangers: who guesses, floods or asks without a password."""

from __future__ import annotations

import pytest
from twisted.internet.protocol import ClientFactory, Protocol

from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange_event import BanEnded, MessageRefused, Registered, SourceBanned
from ivr_sim.sip.guard import Guard

HUB = Address("192.0.2.1", 5060)
NAT = "203.0.113.7"
SCANNER = Address(NAT, 5555)


@pytest.fixture
def outside(new_exchange, events):
    made = new_exchange(host=HUB.host, on_event=events.append)
    yield made
    made.stop()


@pytest.fixture
def phone(new_phone, outside):
    """A registered phone behind the NAT that the scanner is behind too."""
    made = new_phone("alice", 40_001, host=NAT, hub=HUB)
    assert made.register().status == 200
    return made


def ask(method: str, user: str, n: int, *extra: str) -> bytes:
    target = "192.0.2.1" if method == "REGISTER" else f"{user}@192.0.2.1"
    lines = [
        f"{method} sip:{target} SIP/2.0",
        f"Via: SIP/2.0/UDP 10.0.0.9:5555;branch=z9hG4bK{n};rport",
        "Max-Forwards: 70",
        f"From: <sip:{user}@192.0.2.1>;tag=s{n}",
        f"To: <sip:{user}@192.0.2.1>",
        f"Call-ID: {n}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:{user}@10.0.0.9:5555>",
        *extra,
        "Content-Length: 0",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def answers(reactor, to: Address) -> list[bytes]:
    return [data for _, _, destination, data in reactor.sent if destination[:2] == to[:2]]


def scan(reactor, times: int, *extra: str) -> int:
    """How many of so many REGISTERs for users that nobody has are answered."""
    before = len(answers(reactor, SCANNER))
    for n in range(times):
        reactor.inject(ask("REGISTER", f"x{n}", n, *extra), SCANNER, HUB)
    return len(answers(reactor, SCANNER)) - before


def test_a_scanner_is_not_heard_any_more(reactor, outside, phone, events):
    del events[:]
    assert scan(reactor, 100) == 21
    (ban,) = [event for event in events if isinstance(event, SourceBanned)]
    assert (ban.source, ban.reason, ban.seconds) == (NAT, "unknown_user", 60.0)
    assert ban.until == reactor.seconds() + 60
    del events[:]
    reactor.inject(b"rubbish", SCANNER, HUB)
    assert events == []  # not even parsed
    reactor.run(60)
    assert events == [BanEnded(source=NAT)]
    assert scan(reactor, 1) == 1


def test_who_says_that_he_is_a_scanner_is_heard_less(reactor, outside):
    assert scan(reactor, 100, "User-Agent: friendly-scanner") == 5


def test_a_registered_phone_behind_the_same_nat_goes_on(reactor, outside, phone, new_phone, events):
    line = new_phone("line1", 5080, host="192.0.2.1", hub=HUB)
    line.register()
    scan(reactor, 100)
    invite = phone.request("INVITE", "sip:5000@192.0.2.1")
    assert phone.ask(invite).status == 200
    line.server.acknowledged()
    assert phone.register().status == 200
    newcomer = new_phone("bob", 40_002, host=NAT, hub=HUB)
    newcomer.send(newcomer.request("REGISTER", "sip:ivr.test", to="<sip:bob@ivr.test>"))
    reactor.run(1)
    assert not any(isinstance(event, Registered) and event.user == "bob" for event in events)
    reactor.run(60)
    assert newcomer.register().status == 200


def test_a_phone_that_has_gone_is_nobody_special(reactor, outside, phone):
    assert phone.unregister().status == 200
    scan(reactor, 100)
    phone.send(phone.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>"))
    seen = len(answers(reactor, Address(NAT, 40_001)))
    reactor.run(1)
    assert len(answers(reactor, Address(NAT, 40_001))) == seen


def test_guesses_of_passwords_are_counted(reactor, outside, events):
    guess = 'Authorization: Digest username="alice", realm="ivr.test", nonce="n", uri="sip:x", response="0"'
    for n in range(60):
        reactor.inject(ask("REGISTER", "alice", n, guess), SCANNER, HUB)
    assert len(answers(reactor, SCANNER)) == 21
    assert [event.reason for event in events if isinstance(event, SourceBanned)] == ["wrong_password"]


def test_what_is_no_sip_is_forgiven_longer(reactor, outside, events):
    for _ in range(200):
        reactor.inject(b"jaK", SCANNER, HUB)
    assert sum(isinstance(event, MessageRefused) for event in events) == 101
    assert [event.reason for event in events if isinstance(event, SourceBanned)] == ["no_sip"]


def test_a_flood_is_cut_off(reactor, new_exchange, events):
    made = new_exchange(host=HUB.host, guard=Guard(rate=20, burst=50), on_event=events.append)
    for n in range(200):
        reactor.inject(ask("OPTIONS", "1001", n % 7, "Proxy-Require: x"), SCANNER, HUB)
    assert len(answers(reactor, SCANNER)) == 50
    assert [event.reason for event in events if isinstance(event, SourceBanned)] == ["flood"]
    made.stop()


def test_loopback_is_spared_unless_told_otherwise(reactor, new_exchange, new_phone, events):
    made = new_exchange(guard=Guard(loopback=True, failures=3), on_event=events.append)
    phone = new_phone("mallory", 5099)
    for _ in range(5):
        phone.send(phone.request("REGISTER", "sip:ivr.test", to="<sip:mallory@ivr.test>"))
        reactor.run(1)
    assert [event.source for event in events if isinstance(event, SourceBanned)] == ["127.0.0.1"]
    made.stop()


def test_stopped_in_mid_ban_it_leaves_no_timer(reactor, outside):
    scan(reactor, 100)
    outside.stop()
    reactor.run(0.1)
    assert reactor.getDelayedCalls() == []
    outside.start()


# What strangers cost --------------------------------------------------------------------------------

UNKNOWN = 'Authorization: Digest username="nobody", realm="ivr.test", nonce="n", uri="sip:x", response="0"'
STRANGE = {
    "REGISTER": ("REGISTER", ()),
    "guess": ("REGISTER", (UNKNOWN,)),
    "OPTIONS": ("OPTIONS", ()),
    "INVITE": ("INVITE", ()),
    "INVITE as somebody": ("INVITE", (UNKNOWN.replace("Auth", "Proxy-Auth"),)),
    "INVITE that loops": ("INVITE", ("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx",)),
    "INVITE with demands": ("INVITE", ("Proxy-Require: gold",)),
    "MESSAGE": ("MESSAGE", ()),
    "BYE": ("BYE", ()),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_stranger_gets_one_answer_hardly_longer_than_what_he_sent(reactor, outside, kind):
    """Or else whoever forges a sender has us send him more than he sends us."""
    method, extra = STRANGE[kind]
    data = ask(method, "x", 1, *extra)
    reactor.inject(data, SCANNER, HUB)
    (answer,) = answers(reactor, SCANNER)
    assert len(answer) <= len(data) + 150
    reactor.run(60)
    assert len(answers(reactor, SCANNER)) == 1
    assert len(outside._layer) == 0


def test_unauthenticated_requests_cost_no_memory(reactor, outside):
    for n in range(100):
        reactor.inject(ask("INVITE", "1001", n), Address("198.51.100.1", n + 1), HUB)
        reactor.inject(ask("REGISTER", "alice", n), Address("198.51.100.2", n + 1), HUB)
    assert len(outside._layer) == 0
    assert len(outside._calls) == 0


def test_unknown_users_and_wrong_passwords_are_answered_alike(reactor, outside):
    """Nobody learns by the answer which users there are."""
    shapes = set()
    for n, user in enumerate(("alice", "nobody")):
        for extra in ((), (UNKNOWN.replace("nobody", user),)):
            source = Address("198.51.100.7", 6000 + n)
            reactor.inject(ask("REGISTER", user, 50 + n, *extra), source, HUB)
            shapes.add((bool(extra), answers(reactor, source)[-1].split(b"\r\n")[0]))
    assert shapes == {(False, b"SIP/2.0 401 Unauthorized"), (True, b"SIP/2.0 403 Forbidden")}


def test_a_connection_of_a_banned_host_is_closed(reactor, outside):
    class Client(Protocol):
        lost = False

        def connectionLost(self, reason=None):  # noqa: N802
            self.lost = True

    client = Client()
    factory = ClientFactory.forProtocol(lambda: client)
    reactor.connectTCP(HUB.host, HUB.port, factory, bindAddress=(NAT, 0))
    reactor.run(0.1)
    scan(reactor, 100)
    client.transport.write(ask("OPTIONS", "x", 1))
    reactor.run(0.1)
    assert client.lost
