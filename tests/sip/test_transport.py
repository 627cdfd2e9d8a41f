"""The UDP endpoint: refuses what it cannot parse, and nothing that comes in stops it."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from ivr_sim.errors import LocalProtocolError
from ivr_sim.sip.address import Address
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Request
from ivr_sim.sip.transport import CannotListen, UdpEndpoint

HERE, THERE = Address("127.0.0.1", 5060), Address("127.0.0.1", 5070)
OPTIONS = (
    b"OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=f\r\n"
    b"To: <sip:h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
)


@pytest.fixture
def reactor():
    return MemoryReactor()


def test_messages_in_and_out(reactor):
    got = []
    traced = []
    endpoint = UdpEndpoint(reactor, port=5060, trace=lambda *line: traced.append(line))
    endpoint.on_message = lambda message, source: got.append((message, source))
    endpoint.start()
    assert endpoint.port == 5060
    assert endpoint.local_address(THERE) == HERE
    reactor.inject(OPTIONS, THERE, HERE)
    reactor.inject(b"\r\n\r\n", THERE, HERE)
    message, source = got.pop()
    assert isinstance(message, Request)
    assert source == THERE
    assert got == []
    endpoint.send(message, THERE)
    endpoint.send(b"raw", Address("localhost", 5070))
    assert [(d, p) for _, _, p, d in reactor.sent] == [(message.to_bytes(), THERE), (b"raw", THERE)]
    assert [(direction, peer) for direction, _, peer in traced] == [
        ("received", THERE), ("received", THERE), ("sent", THERE), ("sent", THERE),
    ]  # fmt: skip


def test_bad_messages_are_refused_and_told_of(reactor):
    bad = []
    endpoint = UdpEndpoint(
        reactor, port=5060, on_bad=lambda error, source: bad.append((error.status, source))
    )
    endpoint.start()
    reactor.inject(OPTIONS.replace(b"CSeq: 1", b"CSeq: x"), THERE, HERE)
    reactor.inject(b"garbage", THERE, HERE)
    assert [d.split(b"\r\n")[0] for _, _, _, d in reactor.sent] == [b"SIP/2.0 400 Malformed CSeq"]
    assert bad == [(400, THERE), (400, THERE)]


def test_a_handler_that_fails_does_not_deafen(reactor):
    got = []

    def handle(message, source):
        got.append(message)
        raise RuntimeError("a bug")

    endpoint = UdpEndpoint(reactor, port=5060)
    endpoint.on_message = handle
    endpoint.start()
    for _ in range(3):
        reactor.inject(OPTIONS, THERE, HERE)
    assert len(got) == 3


def test_taken_port_is_said_plainly(reactor):
    UdpEndpoint(reactor, port=5060).start()
    with pytest.raises(CannotListen, match=r"cannot listen for SIP on 127\.0\.0\.1:5060"):
        UdpEndpoint(reactor, port=5060).start()


def test_before_and_after(reactor):
    endpoint = UdpEndpoint(reactor, port=5060)
    with pytest.raises(LocalProtocolError):
        _ = endpoint.port
    fired = []
    stopped: Deferred[None] = endpoint.stop()
    stopped.addCallback(fired.append)
    assert fired == [None]
    endpoint.start()
    endpoint.stop().addCallback(fired.append)
    assert fired == [None, None]
    endpoint.send(OPTIONS, THERE)
    assert reactor.sent == []
    endpoint.start()
    assert endpoint.port == 5060


def test_a_wildcard_endpoint_gives_the_address_that_the_peer_sees(reactor):
    endpoint = UdpEndpoint(reactor, "0.0.0.0", 5060)  # noqa: S104  in memory
    endpoint.start()
    assert endpoint.local_address(Address("127.0.0.1", 9)) == HERE


def test_a_network_error_is_a_loss(reactor):
    endpoint = UdpEndpoint(reactor, port=5060)
    endpoint.start()

    def fail(data, peer):
        raise OSError("network is unreachable")

    endpoint.transport.write = fail
    endpoint.send(OPTIONS, THERE)
    assert reactor.sent == []
