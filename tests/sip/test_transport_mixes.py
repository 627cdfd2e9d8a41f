"""Calls through the exchange in every mix of transports, on virtual time; TLS is real, over memory."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.endpoint import SipEndpoint
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.exchange_event import Registered
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Headers, Request
from ivr_sim.sip.registration import RegistrationRefused
from ivr_sim.sip.states import SessionState
from ivr_sim.sip.tls import Tls, self_signed
from ivr_sim.sip.transactions import TransactionLayer

HOST = "127.0.0.1"
HUB = {
    "UDP": Address(HOST, 5060),
    "TCP": Address(HOST, 5060, "TCP"),
    "TLS": Address(HOST, 5061, "TLS"),
}
TODAY = datetime.date(2026, 11, 23)
PASSWORDS = {user: f"secret-{user}" for user in ("ivr", "ana")}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), ["ivr.test", HOST, "::1"], TODAY)


@pytest.fixture
def events() -> list[Any]:
    return []


@pytest.fixture
def exchange(net: MemoryReactor, certificate: tuple[Path, Path], events: list[Any]) -> Iterator[Exchange]:
    made = Exchange(
        net,
        port=5060,
        accounts=PASSWORDS,
        lines=["ivr"],
        on_event=events.append,
        tls=Tls(5061, *certificate),
    )
    made.start()
    yield made
    made.stop()
    net.run(0.1)


@pytest.fixture
def on(net: MemoryReactor, exchange: Exchange, new_agent: Callable[..., Any], certificate: Any) -> Any:
    """A user agent that is registered by a transport."""

    def make(user: str, transport: str) -> Any:
        agent = new_agent(user, server=HUB[transport], tls=Tls(trust=certificate[0]))
        done = agent.start()
        net.run(2, until=lambda: done.called)
        assert agent.registered
        return agent

    return make


@pytest.mark.parametrize(
    ("caller", "line", "who"), [(*mix, who) for mix in itertools.product(HUB, HUB) for who in ("ana", "ivr")]
)
def test_a_call_in_every_mix(net, on, events, listener, caller, line, who) -> None:
    ivr, ana = on("ivr", line), on("ana", caller)
    sources = {e.user: e.source.transport for e in events if isinstance(e, Registered)}
    assert sources == {"ana": caller, "ivr": line}
    call = ana.dial("5000", listener())
    net.run(2, until=lambda: bool(ivr.calls))
    [answered] = ivr.calls
    answered.answer(listener())
    net.run(1)
    assert (call.state, answered.state) == (SessionState.ANSWERED, SessionState.ANSWERED)
    assert not answered.unconfirmed  # the ACK has come
    (call if who == "ana" else answered).hang_up()
    net.run(1)
    assert (call.state, answered.state) == (SessionState.ENDED, SessionState.ENDED)


def test_over_connections_alone_no_datagram_is_sent(net, on, listener) -> None:
    ivr, ana = on("ivr", "TCP"), on("ana", "TLS")
    call = ana.dial("5000", listener())
    net.run(2, until=lambda: bool(ivr.calls))
    ivr.calls[0].answer(listener())
    net.run(1)
    call.hang_up()
    net.run(1)
    assert call.state is SessionState.ENDED
    sip = {5060, ivr.port, ana.port}
    assert [data for _, _, to, data in net.sent if to.port in sip] == []


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_a_caller_who_calls_off(net, on, listener, transport) -> None:
    ivr, ana = on("ivr", "TCP"), on("ana", transport)
    call = ana.dial("5000", listener())
    net.run(2, until=lambda: bool(ivr.calls))
    call.hang_up()
    net.run(1)
    assert (call.state, ivr.calls[0].state) == (SessionState.ENDED, SessionState.ENDED)


def requests_seen(net: MemoryReactor, port: int) -> tuple[SipEndpoint, list[tuple[str, Request]]]:
    """An endpoint that answers nothing, and what came there, by which transport."""
    seen: list[tuple[str, Request]] = []
    endpoint = SipEndpoint(net, port=port, tcp=True)
    endpoint.on_message = lambda message, source: seen.append((source.transport, message))
    endpoint.start()
    return endpoint, seen


def request(method: str, body: bytes = b"") -> Request:
    headers = Headers([("From", "<sip:a@h>;tag=1"), ("To", "<sip:b@h>"), ("Call-ID", "c"),
                       ("CSeq", f"1 {method}"), ("Max-Forwards", "70")])  # fmt: skip
    return Request(method, "sip:b@127.0.0.1:5060", headers, body)


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_over_a_connection_a_request_is_sent_once(net, method) -> None:
    there, seen = requests_seen(net, 5060)
    endpoint = SipEndpoint(net, port=5070, tcp=True)
    endpoint.start()
    layer = TransactionLayer(net, endpoint, lambda server, request, source: None)
    late: list[float] = []
    layer.request(request(method), HUB["TCP"], lambda response: None, lambda: late.append(net.seconds()))
    net.run(40)
    assert [(by, got.method, got.top_via.transport) for by, got in seen] == [("TCP", method, "TCP")]
    assert late == [pytest.approx(32)]
    assert len(layer) == 0
    for each in (endpoint, there):
        each.stop()
    net.run(0.1)
    assert net.getDelayedCalls() == []


def test_what_is_long_goes_by_tcp_where_a_connection_is_there(net) -> None:
    there, seen = requests_seen(net, 5060)
    endpoint = SipEndpoint(net, port=5070)
    endpoint.start()
    layer = TransactionLayer(net, endpoint, lambda server, request, source: None)

    def sent(body: bytes) -> tuple[str, str]:
        seen.clear()
        layer.request(request("OPTIONS", body), HUB["UDP"], lambda response: None)
        net.run(0.1)
        return seen[0][0], seen[0][1].top_via.transport

    assert sent(bytes(1300)) == ("UDP", "UDP")
    layer.send(request("OPTIONS"), HUB["TCP"])
    net.run(0.1)
    assert sent(bytes(1300)) == ("TCP", "TCP")
    assert sent(b"") == ("UDP", "UDP")
    layer.close()
    for each in (endpoint, there):
        each.stop()


def test_an_answer_whose_connection_is_gone_goes_to_the_port_of_the_via(net) -> None:
    caller, seen = requests_seen(net, 5070)
    answering = SipEndpoint(net, port=5060, tcp=True)
    answering.start()
    asked: list[Any] = []
    TransactionLayer(net, answering, lambda server, request, source: asked.append(server))
    ready = request("OPTIONS")
    ready.headers.prepend("Via", "SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bKgone;rport")
    caller.send(ready, HUB["TCP"])
    net.run(0.1)
    for connection in tuple(caller._connections["TCP"]._coming):
        connection.abort()
    net.run(0.1)
    [server] = asked
    assert not answering.connected(server.source)
    server.reply(200)
    net.run(0.1)
    [(by, response)] = seen
    assert (by, response.status) == ("TCP", 200)
    for each in (answering, caller):
        each.stop()


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_nobody_listens(net, new_agent, certificate, transport) -> None:
    """A connection that is refused ends the request at once, not after 32 s."""
    agent = new_agent("ana", server=HUB[transport], tls=Tls(trust=certificate[0]))
    failed: list[Any] = []
    agent.start().addErrback(failed.append)
    net.run(0.5)
    [failure] = failed
    assert failure.check(RegistrationRefused)
    assert failure.value.status == 503


def test_a_certificate_that_is_not_trusted(net, exchange, new_agent, tmp_path) -> None:
    other, _ = self_signed(tmp_path, [HOST], TODAY)
    agent = new_agent("ana", server=HUB["TLS"], tls=Tls(trust=other))
    failed: list[Any] = []
    agent.start().addErrback(failed.append)
    net.run(0.5)
    assert failed[0].value.status == 503
    assert "ana" not in exchange.registrations


@pytest.mark.parametrize(
    ("name", "taken"), [("ivr.test", True), ("IVR.test", True), ("pbx.example.com", False), ("::2", False)]
)
def test_a_server_by_name_must_have_it_in_its_certificate(
    net, exchange, certificate, new_agent, name, taken
) -> None:
    agent = new_agent("ana", server=HUB["TLS"], tls=Tls(trust=certificate[0], name=name))
    agent.start().addErrback(lambda failure: None)
    net.run(0.5)
    assert agent.registered is ("ana" in exchange.registrations) is taken


def test_a_connection_that_is_lost_is_opened_anew(net, on, exchange, listener) -> None:
    ivr, ana = on("ivr", "TCP"), on("ana", "TCP")
    for table in (ivr, ana):
        for connection in tuple(table._endpoint._connections["TCP"]._coming):
            connection.abort()
    net.run(0.1)
    assert ana.dial("5000", listener()).state is not SessionState.ENDED
    net.run(6, until=lambda: bool(ivr.calls))  # by the contact, since its connection is gone
    assert len(ivr.calls) == 1
