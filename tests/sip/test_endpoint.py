"""Endpoints on real sockets: both families, all transports, one port number."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory

from ivr_sim.sip.address import Address
from ivr_sim.sip.endpoint import SipEndpoint
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.identifiers import new_call_id
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Headers, Request, Response
from ivr_sim.sip.tls import Tls, self_signed
from ivr_sim.sip.transactions import TransactionLayer
from ivr_sim.sip.transport import CannotListen

TODAY = datetime.date(2026, 11, 23)


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def options() -> Request:
    headers = Headers(
        [
            ("From", "<sip:a@ivr.test>;tag=1"),
            ("To", "<sip:ivr.test>"),
            ("Call-ID", new_call_id("x")),
            ("CSeq", "1 OPTIONS"),
            ("Max-Forwards", "70"),
        ]
    )
    return Request("OPTIONS", "sip:ivr.test", headers)


class Stage:
    """An exchange, and who asks it; ``ask`` gives the answer."""

    def __init__(self, reactor: Any, on_reactor: Callable[..., Any], folder: Path) -> None:
        self.reactor = reactor
        self.run = on_reactor
        self.certificate = self_signed(folder, ["127.0.0.1", "::1"], TODAY)
        self.closing: list[Callable[[], Any]] = []

    def exchange(self, host: str) -> Exchange:
        made = Exchange(
            self.reactor, host=host, accounts={"ivr": "x"}, lines=["ivr"], tls=Tls(0, *self.certificate)
        )
        self.run(made.start)
        self.closing.append(made.stop)
        return made

    def ask(self, exchange: Exchange, host: str, transport: str) -> Response:
        port = exchange._endpoint.tls_port if transport == "TLS" else exchange.port
        there = Address(host, port, transport)  # type: ignore[arg-type]
        endpoint = SipEndpoint(self.reactor, host, tls=Tls(trust=self.certificate[0]))
        layer = TransactionLayer(self.reactor, endpoint, lambda server, request, source: None)

        def send() -> Deferred[Response]:
            endpoint.start()
            answer: Deferred[Response] = Deferred()
            layer.request(options(), there, answer.callback)
            return answer.addTimeout(5, self.reactor)

        def close() -> Any:
            layer.close()
            return endpoint.stop()

        try:
            response: Response = self.run(send)
            return response
        finally:
            self.run(close)


@pytest.fixture
def stage(on_reactor: Callable[..., Any], tmp_path: Path) -> Iterator[Stage]:
    from twisted.internet import reactor

    made = Stage(reactor, on_reactor, tmp_path)
    yield made
    for close in made.closing:
        on_reactor(close)


@pytest.mark.parametrize(
    ("bound", "hosts"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        pytest.param("::1", ["::1"], marks=needs_ipv6),
        pytest.param("0.0.0.0", ["127.0.0.1", "::1"], marks=needs_ipv6),  # noqa: S104
    ],
)
def test_every_transport_of_both_families(stage: Stage, bound: str, hosts: list[str]) -> None:
    exchange = stage.exchange(bound)
    for host in hosts:
        for transport in ("UDP", "TCP", "TLS"):
            answer = stage.ask(exchange, host, transport)
            via = answer.top_via
            assert (answer.status, via.transport, via.host.strip("[]")) == (200, transport, host)


def test_a_port_that_is_taken_is_told() -> None:
    net = MemoryReactor()
    SipEndpoint(net, port=5060, tcp=True).start()
    with pytest.raises(CannotListen, match=r"127\.0\.0\.1:5060"):
        SipEndpoint(net, port=5060).start()


def test_any_port_is_one_that_is_free_by_udp_and_tcp() -> None:
    net = MemoryReactor()
    net.listenTCP(20_002, ServerFactory())  # the first that would be given
    endpoint = SipEndpoint(net, tcp=True)
    endpoint.start()
    assert endpoint.port == endpoint._connections["TCP"].port == 20_004
    endpoint.stop()


def test_a_tcp_port_that_is_taken_leaves_nothing_open(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        other = SipEndpoint(stage.reactor, port=port, tcp=True)
        with pytest.raises(CannotListen, match=f"by TCP on 127.0.0.1:{port}"):
            stage.run(other.start)
        stage.run(other.stop)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", port))


def test_a_number_whose_tcp_is_taken_is_passed_over(on_reactor, monkeypatch) -> None:
    """By a connection of somebody's, say: any number was asked for."""
    taken: list[int] = []

    def first_is_not(host: str, number: int, kind: socket.SocketKind) -> bool:
        taken.append(number)
        return len(taken) > 1

    monkeypatch.setattr("ivr_sim.sip.endpoint.is_free", first_is_not)

    async def listen() -> int:
        from twisted.internet import reactor

        endpoint = SipEndpoint(reactor, tcp=True)
        endpoint.start()
        port = endpoint.port
        await endpoint.stop()
        return port

    assert on_reactor(listen) == taken[-1]
    assert len(taken) >= 2
