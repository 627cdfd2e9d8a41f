"""One request, one deadline: in virtual time against a memory transport, and over loopback."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import (
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
)
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer  # type: ignore[import-untyped]

from ivr_sim.clients.http import MAX_REPLY, Body, Credentials, HttpClient, HttpFailed, Reply, checked_url
from ivr_sim.errors import ConfigurationError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\n"


@implementer(IAgentEndpointFactory)
class InMemory:
    """Every address is the memory reactor's."""

    def __init__(self, reactor: MemoryReactorClock) -> None:
        self.reactor = reactor

    def endpointForURI(self, uri: Any) -> TCP4ClientEndpoint:  # noqa: N802
        return TCP4ClientEndpoint(self.reactor, "127.0.0.1", uri.port, timeout=3600)


class Line:
    """A request under way over a connection that the test plays the server of."""

    def __init__(self, **request: Any) -> None:
        self.reactor = MemoryReactorClock()
        pool = HTTPConnectionPool(self.reactor, persistent=False)
        agent = Agent.usingEndpointFactory(self.reactor, InMemory(self.reactor), pool)
        client = HttpClient(self.reactor, timeout=5.0, agent=agent)
        self.deferred = Deferred.fromCoroutine(
            client.request("POST", "http://127.0.0.1:81/a", body=Body('{"a":1}'), **request)
        )
        self.outcome: Reply | BaseException | None = None
        self.deferred.addCallbacks(self._keep, lambda failure: self._keep(failure.value))

    def _keep(self, outcome: Any) -> None:
        self.outcome = outcome

    def connect(self) -> Line:
        factory = self.reactor.tcpClients[0][2]
        self.protocol = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        return self

    def send(self, data: bytes) -> Line:
        self.protocol.dataReceived(data)
        return self

    def wait(self, seconds: float) -> Line:
        self.reactor.advance(seconds)
        return self

    @property
    def failed(self) -> HttpFailed:
        assert isinstance(self.outcome, HttpFailed), self.outcome
        return self.outcome


def test_the_request_on_the_wire() -> None:
    line = Line(headers={"Cache-Control": "no-cache"}, credentials=Credentials("usr", "pwd")).connect()
    head, body = line.transport.value().split(b"\r\n\r\n", 1)
    assert head.split(b"\r\n")[0] == b"POST /a HTTP/1.1"
    assert set(head.split(b"\r\n")[1:]) == {
        b"Host: 127.0.0.1:81",
        b"Authorization: Basic dXNyOnB3ZA==",
        b"Cache-Control: no-cache",
        b"Content-Length: 7",
        b"Connection: close",
    }
    assert body == b'{"a":1}'


def test_a_whole_reply() -> None:
    line = Line().connect().wait(0.25).send(OK + b"ok")
    assert line.outcome == Reply(200, {"x-a": "1"}, b"ok", 250)
    assert line.reactor.getDelayedCalls() == []
    assert line.transport.disconnecting


def test_an_answer_at_4_9_seconds_is_in_time() -> None:
    line = Line().connect().wait(4.9).send(OK + b"ok")
    assert isinstance(line.outcome, Reply)
    assert line.outcome.ms == 4900


def test_an_answer_at_5_1_seconds_is_late() -> None:
    line = Line().connect().wait(5.1).send(OK + b"ok")
    assert (line.failed.cause, line.failed.sent, line.failed.status) == ("timeout", True, None)
    assert line.transport.disconnecting


def test_a_body_that_drips_past_5_seconds_is_late() -> None:
    line = Line().connect().send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(49):
        line.wait(0.1).send(b"x")
        assert line.outcome is None
    line.wait(0.2)
    assert (line.failed.cause, line.failed.status, line.failed.ms) == ("timeout", 200, 5100)
    assert line.transport.disconnecting


def test_a_connection_that_is_not_made_in_time() -> None:
    line = Line().wait(5.0)
    assert (line.failed.cause, line.failed.sent) == ("timeout", False)


def test_time_to_connect_counts() -> None:
    line = Line().wait(4.0).connect().wait(0.5).send(OK).wait(0.6)
    assert line.failed.cause == "timeout"


def test_when_the_reactor_was_busy_the_clock_decides() -> None:
    line = Line().connect()
    line.reactor.rightNow += 5.2  # the reply is read before the timer had its turn
    line.send(OK + b"ok")
    assert line.failed.cause == "timeout"


def test_cancelling_closes_the_connection() -> None:
    for line in (Line().connect(), Line().connect().send(OK)):
        line.deferred.cancel()
        assert isinstance(line.outcome, HttpFailed | CancelledError)
        assert line.transport.disconnecting
        assert line.reactor.getDelayedCalls() == []


def test_a_reply_over_the_limit() -> None:
    body = b"x" * (MAX_REPLY + 1)
    line = Line().connect().send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert line.failed.cause == "too_large"
    endless = Line().connect().send(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(70):
        endless.send(b"x" * 1024)
    assert endless.failed.cause == "too_large"
    assert endless.transport.disconnecting


def test_a_reply_of_just_the_limit() -> None:
    body = b"x" * MAX_REPLY
    line = Line().connect().send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    assert isinstance(line.outcome, Reply)
    assert line.outcome.body == body


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Le", None),
    ],
)
def test_a_connection_lost_halfway(sent: bytes, status: int | None) -> None:
    line = Line().connect().send(sent)
    line.protocol.connectionLost(Failure(ConnectionLost()))
    assert (line.failed.cause, line.failed.sent, line.failed.status) == ("broken", True, status)


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-x\r\n", b"HTTP/1.1 twohundred OK\r\n\r\n", b"\x00\xff\r\n\r\n"]
)
def test_what_is_not_http(garbage: bytes) -> None:
    line = Line().connect().send(garbage)
    line.protocol.connectionLost(Failure(ConnectionLost()))
    assert line.failed.cause == "broken"


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    line = Line().connect().send(b"HTTP/1.0 200 OK\r\n\r\nok")
    line.protocol.connectionLost(Failure(ConnectionLost()))
    assert isinstance(line.outcome, Reply)
    assert line.outcome.body == b"ok"


def test_a_redirect_is_not_followed() -> None:
    line = (
        Line()
        .connect()
        .send(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:82/\r\nContent-Length: 0\r\n\r\n")
    )
    assert isinstance(line.outcome, Reply)
    assert line.outcome.status == 302
    assert len(line.reactor.tcpClients) == 1


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DNSLookupError(), "dns"),
        (ConnectionRefusedError(), "connect"),
        (NoRouteError(), "connect"),
    ],
)
def test_what_happens_before_a_connection(error: Exception, cause: str) -> None:
    class Nowhere:
        def request(self, *args: Any) -> Deferred[Any]:
            return fail(error)

    client = HttpClient(MemoryReactorClock(), timeout=5.0, agent=Nowhere())
    body = Body("{}")
    failure: list[Any] = []
    Deferred.fromCoroutine(client.request("POST", "http://a/", body=body)).addErrback(failure.append)
    assert (failure[0].value.cause, failure[0].value.sent) == (cause, False)


def test_secrets_are_masked() -> None:
    body, credentials = Body('{"cvv2":"739"}'), Credentials("user-x", "word-y")
    for shown in (repr(body), str(body), f"{body}", repr(credentials), str(credentials), f"{credentials}"):
        assert "739" not in shown
        assert "user-x" not in shown
        assert "word-y" not in shown
        assert "dXNlci14" not in shown


def test_credentials_are_utf_8_and_have_one_colon() -> None:
    assert Credentials("usr", "pwd").header() == b"Basic dXNyOnB3ZA=="
    assert Credentials("ñ", "é:x").header() == b"Basic w7E6w6k6eA=="
    with pytest.raises(ConfigurationError, match="colon"):
        Credentials("a:b", "c")


@pytest.mark.parametrize(
    "url",
    ["", "a", "ftp://a/", "http://", "http:///x", "http://a:0/", "http://a:99999/", "http://a:x/",
     "http://u:geheim@a/", "http://a/#f", "http://a/ b", "http://[::1/", "http://ñ/", "http://a..b/",
     "http://" + "a" * 64 + "/"],
)  # fmt: skip
def test_urls_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        checked_url(url, "the")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://a", "https://a.b:8443/c?d=e", "http://[::1]:81/", "http://127.0.0.1/", "http://a_b./"]
)
def test_urls_that_can_be_used(url: str) -> None:
    assert checked_url(url, "the") == url
