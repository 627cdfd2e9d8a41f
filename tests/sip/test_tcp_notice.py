"""Who tries TCP or TLS is told, and nothing that comes there does any harm."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from ivr_sim.sip.message import Response, parse
from ivr_sim.sip.tcp_notice import (
    FAREWELL,
    MAX_CONNECTIONS,
    PATIENCE,
    TLS_ALERT,
    Knock,
    TcpNotice,
)

PEER = IPv4Address("TCP", "192.0.2.9", 40000)
US = IPv4Address("TCP", "192.0.2.1", 5060)
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


def request(method: str = "REGISTER", branch: str = "z9hG4bK1", length: int = 0) -> bytes:
    return (
        f"{method} sip:ivr.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9;branch={branch}\r\n"
        "From: <sip:1001@ivr.test>;tag=a\r\nTo: <sip:1001@ivr.test>\r\nCall-ID: x\r\n"
        f"CSeq: 7 {method}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


class Transport(StringTransport):
    """A connection that remembers how it ended."""

    protocol = None

    def abortConnection(self) -> None:  # noqa: N802
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(ConnectionDone()))


class Bench:
    def __init__(self) -> None:
        self.clock = MemoryReactorClock()
        self.knocks: list[Knock] = []
        self.notice = TcpNotice(self.clock, self.knocks.append)

    def connect(self):
        protocol = self.notice.buildProtocol(PEER)
        if protocol is None:
            return None
        transport = Transport(hostAddress=US, peerAddress=PEER)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def tell(self, *data: bytes) -> Transport:
        transport = self.connect()
        for part in data:
            transport.protocol.dataReceived(part)
        return transport


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_sip_over_tcp_is_refused_with_a_reason_that_telephones_show(bench) -> None:
    transport = bench.tell(b"\r\n\r\n", request()[:40], request()[40:])
    answer = parse(transport.value())
    assert isinstance(answer, Response)
    assert (answer.status, answer.reason) == (503, "TCP is not served here: set the transport to UDP")
    assert answer.cseq == (7, "REGISTER")
    assert answer.to.tag
    assert bench.knocks == [Knock("192.0.2.9", "tcp", 5060)]
    transport.protocol.dataReceived(request() * 100)
    assert len(bench.knocks) == 1
    bench.clock.advance(FAREWELL)
    assert not transport.connected
    assert bench.clock.getDelayedCalls() == []


def test_tls_gets_an_alert(bench) -> None:
    transport = bench.tell(HELLO[:1], HELLO[1:])
    assert transport.value() == TLS_ALERT
    assert bench.knocks == [Knock("192.0.2.9", "tls", 5060)]


@pytest.mark.parametrize(
    ("branch", "length", "too_long"),
    [("z9hG4bKPjab", 1400, True), ("z9hG4bKPjab", 200, False), ("z9hG4bKab", 1400, False)],
)
def test_pjsip_turns_to_tcp_when_its_request_is_long(bench, branch, length, too_long) -> None:
    bench.tell(request("INVITE", branch, length))
    assert [knock.too_long for knock in bench.knocks] == [too_long]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", request("ACK"), b"A" * 20_000])
def test_what_else_comes_is_cut(bench, data) -> None:
    transport = bench.tell(data)
    assert not transport.connected
    assert (transport.value(), bench.knocks) == (b"", [])


def test_who_says_nothing_is_cut_after_a_while(bench) -> None:
    transport = bench.connect()
    bench.clock.advance(PATIENCE - 0.1)
    assert transport.connected
    bench.clock.advance(0.1)
    assert not transport.connected


def test_a_flood_of_connections(bench) -> None:
    held = [bench.connect() for _ in range(3 * MAX_CONNECTIONS)]
    assert sum(transport is not None for transport in held) == MAX_CONNECTIONS
    bench.clock.advance(PATIENCE)
    assert bench.connect() is not None


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([request(), HELLO, b"\r\n"]), max_size=6))
def test_any_bytes(data: list[bytes]) -> None:
    bench = Bench()
    transport = bench.tell(*data)
    assert len(bench.knocks) <= 1
    bench.clock.advance(PATIENCE + FAREWELL)
    assert not transport.connected
    assert bench.clock.getDelayedCalls() == []
    assert not bench.notice.connections


def test_where_tls_is_expected_is_listened_as_well(bench) -> None:
    bench.notice.listen("127.0.0.1", 5060)
    bench.notice.listen("127.0.0.1", 15060)
    assert [(port, host) for port, _, _, host in bench.clock.tcpServers] == [
        (5060, "127.0.0.1"),
        (5061, "127.0.0.1"),
        (15060, "127.0.0.1"),
    ]


def test_a_port_that_is_taken_is_left_alone(bench, monkeypatch) -> None:
    def taken(port: int, *args: object, **more: object) -> None:
        raise CannotListenError("", port, OSError("in use"))

    monkeypatch.setattr(bench.clock, "listenTCP", taken)
    bench.notice.listen("127.0.0.1", 5060)
    assert not bench.notice.listening


def test_closing_cuts_and_pausing_lets_answers_be_read(bench) -> None:
    bench.notice.listen("127.0.0.1", 15060)
    answered = bench.tell(request())
    bench.notice.pause()
    assert (bench.notice.listening, answered.connected) == (False, True)
    bench.notice.close()
    assert not answered.connected
    assert bench.clock.getDelayedCalls() == []


def test_who_comes_after_a_pause_finds_the_port_closed(on_reactor) -> None:
    """In the same turn of the reactor: telephones are quicker than the next one."""

    async def come() -> list[int]:
        from twisted.internet import reactor

        notice = TcpNotice(reactor, lambda knock: None)
        notice.listen("127.0.0.1", 0)
        [port] = notice._ports
        found, address = [], ("127.0.0.1", port.getHost().port)
        with socket.socket() as early, socket.socket() as late:
            late.bind(("127.0.0.1", 0))  # or its own port might be the one that it connects to
            found.append(early.connect_ex(address))
            closed = notice.pause()
            found.append(late.connect_ex(address))
        await closed
        notice.listen(*address)
        with socket.socket() as again:
            found.append(again.connect_ex(address) if notice.listening else 0)
        await notice.close()
        return found

    assert on_reactor(come) == [0, errno.ECONNREFUSED, 0]
