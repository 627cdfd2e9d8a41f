"""Datagrams that mean harm, watchers that fail, and nothing left behind."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.exchange_event import MessageRefused
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.uri import NameAddr, Uri

HUB = Address("127.0.0.1", 5060)
ACCOUNTS = {name: f"secret-{name}" for name in ("alice", "bob", "line1", "line2", "line3")}
LINES = ["line1", "line2", "line3"]


INVITE = b"INVITE sip:5000@ivr.test SIP/2.0\r\n"
REST = b"From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"


def via(branch: bytes) -> bytes:
    return b"Via: SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bK" + branch + b"\r\n"


POISON = [
    b"",
    b"\x00" * 100,
    b"\xff" * 2000,
    b"INVITE",
    INVITE + b"\r\n",
    INVITE + b"Via: SIP/2.0/UDP h\r\nContent-Length: -1\r\n\r\n",
    INVITE + via(b"") + REST + b'Contact: <<>>\r\nRoute: "\r\n\r\n',
    INVITE + via(b"c") + REST + b"Contact: <http://x>\r\n\r\n",
    INVITE + via(b"d") + REST + b'Require: "\r\nProxy-Require: ,\r\n\r\n',
    b"OPTIONS sip:ivr.test SIP/2.0\r\nCall-ID: x\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n",
    b"SIP/2.0 99999999 x\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKnone\r\n" + REST + b"\r\n",
    (INVITE + via(b"a") + REST).replace(b"INVITE", b"ACK") + b"Route: <sip:\r\n\r\n",
]


@pytest.mark.parametrize("data", POISON)
def test_one_bad_datagram_never_harms_the_next(reactor, exchange, alice, line, data):
    reactor.inject(data, Address("127.0.0.1", 5999), HUB)
    reactor.run(0.5)
    alice.set_up()
    assert line.methods() == ["INVITE", "ACK"]


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 9), st.binary(max_size=4)), max_size=12), st.data()
)
@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_mutated_datagrams_never_harm_the_next(new_phone, edits, data):
    reactor = MemoryReactor()
    exchange = Exchange(reactor, port=5060, accounts=ACCOUNTS, lines=LINES)
    exchange.start()
    line, alice = new_phone("line1", 5080, net=reactor), new_phone("alice", 5070, net=reactor)
    line.register()
    seen = [d for _, _, to, d in reactor.sent if to == HUB]
    for at, cut, new in edits:
        mutated = bytearray(data.draw(st.sampled_from(seen)))
        mutated[at : at + cut] = new
        reactor.inject(bytes(mutated), Address("127.0.0.1", 5999), HUB)
    reactor.run(40)
    alice.set_up()
    exchange.stop()


def test_bad_datagrams_are_told_of(reactor, exchange, events):
    reactor.inject(b"rubbish", Address("127.0.0.1", 5999), HUB)
    assert events[1:] == [
        MessageRefused(source=Address("127.0.0.1", 5999), status=400, reason="No end of headers")
    ]


def test_a_watcher_that_fails_harms_nobody(reactor, new_phone):
    def watch(event):
        raise RuntimeError("a bug of the watcher")

    exchange = Exchange(reactor, port=5060, accounts=ACCOUNTS, lines=LINES, on_event=watch)
    exchange.start()
    assert new_phone("alice", 5070).register().status == 200
    exchange.stop()


def test_stop_leaves_nothing_behind(reactor, new_phone):
    exchange = Exchange(reactor, port=5060, accounts=ACCOUNTS, lines=LINES)
    exchange.start()
    line, alice = new_phone("line1", 5080), new_phone("alice", 5070)
    line.register()
    line.answer = "ring"
    alice.call()
    reactor.run(0.5)
    stopped = []
    exchange.stop().addCallback(stopped.append)
    assert len(stopped) == 1
    for phone in (line, alice):
        phone.layer.close()
    reactor.run(0.1)
    assert reactor.getDelayedCalls() == []


def test_uris_of_the_phones_quirks(reactor, exchange, line, new_phone):
    """baresip's contact user is not its account, linphone's contact has parameters and instance."""
    alice = new_phone("alice", 5070)
    for contact in (
        "<sip:alice-0x55d0c1a0@127.0.0.1:5070>",
        '<sip:alice@127.0.0.1:5070;transport=udp>;+sip.instance="<urn:uuid:1>"',
    ):
        request = alice.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>")
        request.headers.set("Contact", contact)
        assert alice.ask(request).status == 200
        uri = NameAddr.parse(contact).uri
        assert line.ask(line.request("MESSAGE", "sip:alice@ivr.test")).status == 200
        assert alice.requests[-1].uri == uri.text
        assert Uri.parse(alice.requests[-1].uri) == uri
