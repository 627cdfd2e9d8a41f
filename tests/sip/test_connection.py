"""What a connection may do, and may not: framing, keep-alives, patience, and peers that do not read."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection

from ivr_sim.sip.address import Address
from ivr_sim.sip.connection import Connection, Limits
from ivr_sim.sip.connections import Connections
from ivr_sim.sip.endpoint import SipEndpoint
from ivr_sim.sip.memory import MemoryReactor

PEER = Address("192.0.2.9", 40_000, "TCP")
LIMITS = Limits()
OPTIONS = (
    b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bKa\r\n"
    b"From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class Transport(StringTransportWithDisconnection):
    """A peer that reads only when it is told to, once it was told to stop."""

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
        self.keeps_alive = enabled

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """As it is."""

    def abortConnection(self) -> None:  # noqa: N802
        self.loseConnection()


class Bench:
    def __init__(self, **more: Any) -> None:
        self.clock = Clock()
        self.frames: list[bytes] = []
        self.ended: list[Connection] = []
        self.tls: list[tuple[Address, int]] = []
        self.connection = Connection(
            self.clock,
            PEER,
            LIMITS,
            ours=False,
            on_frame=lambda data, peer: self.frames.append(data),
            on_open=lambda connection: None,
            on_end=lambda connection, reason: self.ended.append(connection),
            on_tls=lambda peer, port: self.tls.append((peer, port)),
        )
        self.transport = Transport(hostAddress=IPv4Address("TCP", "192.0.2.1", 5060))
        self.transport.protocol = self.connection
        self.connection.makeConnection(self.transport)

    def sent(self) -> bytes:
        data: bytes = self.transport.value()
        self.transport.clear()
        return data


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_messages_and_keep_alives(bench: Bench) -> None:
    bench.connection.dataReceived(OPTIONS + b"\r\n\r\n" + OPTIONS[:20])
    assert bench.frames == [OPTIONS]
    assert bench.sent() == b"\r\n"
    bench.connection.dataReceived(OPTIONS[20:])
    assert bench.frames == [OPTIONS] * 2
    assert bench.transport.keeps_alive


def test_one_message_that_fails_costs_no_other(bench: Bench) -> None:
    def fail_once(data: bytes, peer: Address) -> None:
        bench.connection._on_frame = lambda data, peer: bench.frames.append(data)
        raise RuntimeError

    bench.connection._on_frame = fail_once
    bench.connection.dataReceived(OPTIONS * 2)
    assert bench.frames == [OPTIONS]


def test_without_a_length_it_is_refused_and_closed(bench: Bench) -> None:
    bench.connection.dataReceived(OPTIONS.replace(b"Content-Length: 0\r\n", b"") + OPTIONS)
    assert bench.sent().startswith(b"SIP/2.0 400 Content-Length is required over a connection\r\n")
    assert bench.frames == []
    assert bench.ended


def test_tls_where_it_is_not_spoken(bench: Bench) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01" + bytes(600)
    bench.connection.dataReceived(hello)
    assert bench.sent() == b"\x15\x03\x01\x00\x02\x02\x28"
    assert bench.tls == [(PEER, 5060)]
    assert bench.ended


@pytest.mark.parametrize("said", [b"", OPTIONS[:30], b"\r\n"])
def test_one_that_says_nothing_is_cut(bench: Bench, said: bytes) -> None:
    bench.connection.dataReceived(said)
    bench.clock.advance(LIMITS.patience)
    assert bench.ended
    assert bench.clock.getDelayedCalls() == []


def test_a_header_that_trickles_is_cut(bench: Bench) -> None:
    bench.connection.dataReceived(OPTIONS)
    for n in range(100):
        bench.connection.dataReceived(OPTIONS[n : n + 1])
        bench.clock.advance(0.2)
        if bench.ended:
            break
    assert bench.clock.seconds() == pytest.approx(LIMITS.patience, abs=0.3)


def test_one_that_has_spoken_may_be_silent_for_a_registration(bench: Bench) -> None:
    bench.connection.dataReceived(OPTIONS)
    bench.clock.advance(3600)
    bench.connection.dataReceived(b"\r\n\r\n")
    bench.clock.advance(3600)
    assert not bench.ended
    bench.clock.advance(LIMITS.idle)
    assert bench.ended


def test_a_peer_that_does_not_read_is_cut(bench: Bench) -> None:
    bench.connection.dataReceived(OPTIONS)
    bench.connection.pauseProducing()
    for _ in range(LIMITS.backlog // 1000 + 1):
        bench.connection.send(bytes(1000))
    assert bench.ended
    assert len(bench.sent()) <= LIMITS.backlog
    bench.connection.send(b"more")
    assert bench.sent() == b""
    assert bench.clock.getDelayedCalls() == []


def test_nor_may_it_take_its_time(bench: Bench) -> None:
    bench.connection.dataReceived(OPTIONS)
    bench.connection.pauseProducing()
    bench.clock.advance(LIMITS.unread - 1)
    bench.connection.resumeProducing()
    bench.clock.advance(2)
    assert not bench.ended
    bench.connection.pauseProducing()
    bench.clock.advance(LIMITS.unread)
    assert bench.ended


# --- the table ----------------------------------------------------------------------------------------


@pytest.fixture
def table() -> Callable[..., Connections]:
    def make(**limits: int) -> Connections:
        return Connections(
            MemoryReactor(),
            "TCP",
            limits=Limits(**limits),
            on_frame=lambda data, peer: None,
            on_lost=lambda peer: None,
        )

    return make


def test_connections_per_host_and_in_all(table: Callable[..., Connections]) -> None:
    few = table(per_host=2, total=5)
    assert [few.accept("192.0.2.1", n) is not None for n in range(3)] == [True, True, False]
    assert [few.accept("127.0.0.1", n) is not None for n in range(4)] == [True, True, True, False]
    assert len(few) == 5


def test_a_thousand_that_come_and_go_leave_nothing() -> None:
    net = MemoryReactor()
    server, client = SipEndpoint(net, port=5060, tcp=True), SipEndpoint(net, port=5070)
    server.start()
    got: list[object] = []
    server.on_message = lambda message, source: got.append(message)
    there = Address("127.0.0.1", 5060, "TCP")
    for endpoint in (server, client):
        endpoint.on_lost = lambda peer: None
    client.start()
    for _ in range(1000):
        client.send(OPTIONS, there)
        net.run(0.01)
        for connection in tuple(client._connections["TCP"]._coming):
            connection.abort()
        net.run(0.01)
    assert len(got) == 1000
    for endpoint in (server, client):
        held = endpoint._connections["TCP"]
        assert (len(held), held._open, held._per_host, held._connectors) == (0, {}, {}, {})
        endpoint.stop()
    assert net.getDelayedCalls() == []


def test_a_message_in_the_middle_of_which_the_connection_is_reset() -> None:
    net = MemoryReactor()
    server, client = SipEndpoint(net, port=5060, tcp=True), SipEndpoint(net, port=5070)
    got: list[object] = []
    lost: list[Address] = []
    server.on_message = lambda message, source: got.append(message)
    server.on_lost = lost.append
    server.start()
    client.start()
    there = Address("127.0.0.1", 5060, "TCP")
    client.send(OPTIONS[:50], there)
    net.run(0.01)
    assert client.connected(there)
    client.stop()
    net.run(0.01)
    assert (got, len(lost)) == ([], 1)
    server.stop()


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("no label")]
)
def test_an_address_that_nobody_can_connect_to_is_as_good_as_nobody_there(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Twisted raises at once for an IPv6 address of an interface that is not here."""
    reactor = MemoryReactor()
    lost: list[Address] = []
    table = Connections(reactor, "TCP", limits=LIMITS, on_frame=lambda data, peer: None, on_lost=lost.append)
    nowhere = Address("fe80::1%nosuch", 5060, "TCP")

    def raises(*args: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(reactor, "connectTCP", raises)
    for count in (1, 2):  # nothing waits for it afterwards
        table.send(OPTIONS, nowhere)
        assert len(lost) == count - 1
        reactor.run(0.1)
        assert lost == [nowhere] * count
    assert len(table) == 0
