"""A way to an HTTP service on loopback on which things go wrong, as whoever is in charge of it says.

One connection carries one exchange: a request and its answer. Both are read whole before anything is passed
on, so that what is done about them is exact. All waiting is the reactor's.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import deferLater

from ivr_sim.errors import LocalProtocolError, place

__all__ = ["Detour", "Exchange", "HttpMessage", "Nobody"]

log = structlog.get_logger(__name__)
How = Literal["FIN", "RST"]
HOST = "127.0.0.1"
END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class HttpMessage:
    """A request or an answer, whole: its first line, its header lines, its body. Shows none of it."""

    start: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"HttpMessage(<{len(self.body)} bytes>)"

    @classmethod
    def parse(cls, data: bytes) -> HttpMessage:
        """Of all bytes that came."""
        head, _, body = data.partition(END_OF_HEAD)
        start, *lines = head.split(b"\r\n")
        headers = (line.partition(b":") for line in lines)
        return cls(start, tuple((name, value.strip()) for name, _, value in headers), body)

    @classmethod
    def answer(cls, status: int, reason: str, kind: str, body: bytes) -> HttpMessage:
        """An answer of one's own; kind: its Content-Type."""
        start = f"HTTP/1.1 {status} {reason}".encode()
        return cls(start, ((b"Content-Type", kind.encode()), (b"Connection", b"close")), b"").with_body(body)

    @property
    def method(self) -> str:
        """A request's method."""
        return self.start.split(b" ")[0].decode("latin-1")

    @property
    def path(self) -> str:
        """A request's path, without its query."""
        return self.start.split(b" ")[1].partition(b"?")[0].decode("latin-1")

    def header(self, name: str) -> str | None:
        """The value of a header, None without it."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), None)

    def with_header(self, name: str, value: str) -> HttpMessage:
        """The same with this header instead of what it was."""
        unwanted = name.lower().encode()
        others = tuple((key, other) for key, other in self.headers if key.lower() != unwanted)
        return replace(self, headers=(*others, (name.encode(), value.encode("latin-1"))))

    def with_body(self, body: bytes) -> HttpMessage:
        """The same with another body and its length."""
        return replace(self.with_header("Content-Length", str(len(body))), body=body)

    def to_bytes(self) -> bytes:
        """As it goes over the wire."""
        lines = [self.start, *(name + b": " + value for name, value in self.headers)]
        return b"\r\n".join(lines) + END_OF_HEAD + self.body


class Detour(Factory):
    """Listens beside a service, and hands each connection to ``handle`` as an Exchange.

    It is called when the connection is made; what it raises ends the connection by a reset. An exchange
    whose asker is gone goes on, but waits for nothing any more.
    """

    noisy = False

    def __init__(self, reactor: Any, handle: Callable[[Exchange], Awaitable[None]]) -> None:
        self.reactor = reactor
        self._handle = handle
        self._upstream: int | None = None
        self._listening: Any = None
        self._open: set[Exchange] = set()

    @property
    def port(self) -> int:
        """Where it listens. Raises LocalProtocolError before ``start``."""
        if self._listening is None:
            raise LocalProtocolError("a detour has no port before start()")
        return int(self._listening.getHost().port)

    def start(self, upstream: int) -> None:
        """Listen, on any free port, for the service on this one."""
        self._upstream = upstream
        self._listening = self.reactor.listenTCP(0, self, interface=HOST)

    async def stop(self) -> None:
        """Listen no more; what is under way is cut off."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stopListening()
        for exchange in tuple(self._open):
            exchange.end(how="RST")

    async def ask(self, request: bytes) -> bytes:
        """The service's whole answer to a request; empty when it gave none."""
        answered: Deferred[bytes] = Deferred()
        self.connect(lambda addr: _Far(request, answered))
        return await answered

    def buildProtocol(self, addr: object) -> Protocol:  # noqa: N802
        """Called for each connection."""
        return Exchange(self).near

    def begin(self, exchange: Exchange) -> None:
        """Called by an exchange whose connection is made."""
        self._open.add(exchange)
        done = Deferred.fromCoroutine(self._serve(exchange))
        done.addErrback(lambda failure: exchange.end(how="RST"))

    def over(self, exchange: Exchange) -> None:
        """Called by an exchange whose connection is gone."""
        self._open.discard(exchange)

    def connect(self, build: Callable[[object], Protocol]) -> None:
        """Connect to the service."""
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = build  # type: ignore[method-assign, assignment]
        factory.clientConnectionFailed = (  # type: ignore[method-assign]
            lambda connector, reason: build(None).connectionLost(reason)
        )
        self.reactor.connectTCP(HOST, self._upstream, factory)

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._handle(exchange)
        except (ConnectionError, CancelledError):
            raise  # whoever asked is gone, or the service is
        except Exception as error:
            # Where it happened, and nothing of what was carried.
            log.error("a detour broke", error=type(error).__name__, at=place(error))
            raise


class Exchange:
    """One connection of somebody who asks."""

    def __init__(self, detour: Detour) -> None:
        self.near = _Near(self)
        self._detour = detour
        self._asked: Deferred[bytes] = Deferred()
        self._awaited = False
        self._waits: set[Deferred[None]] = set()

    async def request(self) -> bytes:
        """The whole request. Raises ConnectionError when it never came."""
        if not (self.near.open or self._asked.called):
            raise ConnectionError("the request never came")
        self._awaited = True
        return await self._asked

    async def ask(self, request: bytes) -> bytes:
        """The service's whole answer to a request; empty when it gave none."""
        return await self._detour.ask(request)

    async def wait(self, seconds: float) -> None:
        """Let time pass. Raises ConnectionError as soon as nobody waits for the answer any more."""
        if not self.near.open:
            raise ConnectionError("nobody waits for the answer")
        wait: Deferred[None] = deferLater(self._detour.reactor, seconds)
        self._waits.add(wait)
        try:
            await wait
        except CancelledError:
            raise ConnectionError("nobody waits for the answer") from None
        finally:
            self._waits.discard(wait)

    def send(self, part: bytes) -> None:
        """Send a part of the answer."""
        if self.near.open:
            self.near.transport.write(part)

    def end(self, part: bytes = b"", *, how: How = "FIN") -> None:
        """Send the last part of the answer and end the connection, in order or by a reset."""
        if not self.near.open:
            return
        if part and how == "RST":
            # What is only queued would be dropped with the connection: the socket takes so little at once.
            self.near.transport.getHandle().send(part)
            part = b""
        if part:
            self.near.transport.write(part)
        if how == "RST":
            self.near.transport.abortConnection()
        else:
            self.near.transport.loseConnection()

    def begin(self) -> None:
        """Called when the connection is made."""
        self._detour.begin(self)

    def came(self, request: bytes) -> None:
        """Called with the whole request, once."""
        self._asked.callback(request)

    def gone(self) -> None:
        """Called when the connection is over."""
        self._detour.over(self)
        for wait in tuple(self._waits):
            wait.cancel()
        if self._awaited and not self._asked.called:
            self._asked.errback(ConnectionError("the request never came"))


class Nobody:
    """A port on which nobody listens, though it is taken: who connects is refused."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((HOST, 0))
        self.port = int(self._socket.getsockname()[1])

    def start(self, upstream: int) -> None:
        """Nothing begins."""

    async def stop(self) -> None:
        """Give the port back."""
        self._socket.close()


class _Near(Protocol):
    """The side of who asks."""

    transport: Any

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._request: bytearray | None = bytearray()
        self.open = False

    def connectionMade(self) -> None:  # noqa: N802
        self.open = True
        self._exchange.begin()

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802
        self.open = False
        self._exchange.gone()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if self._request is None:
            return  # a second request on this connection, which was told to close
        self._request += data
        head, found, body = bytes(self._request).partition(END_OF_HEAD)
        if found and len(body) >= _length(head):
            request, self._request = bytes(self._request), None
            self._exchange.came(request)


class _Far(Protocol):
    """The side of the service, which ends the connection when it has answered."""

    transport: Any

    def __init__(self, request: bytes, answered: Deferred[bytes]) -> None:
        self._request = HttpMessage.parse(request).with_header("Connection", "close").to_bytes()
        self._answered = answered
        self._answer = bytearray()

    def connectionMade(self) -> None:  # noqa: N802
        self.transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self._answer += data

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802
        self._answered.callback(bytes(self._answer))


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0
