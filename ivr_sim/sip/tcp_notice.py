"""Who tries SIP over TCP or TLS, where only UDP is served: it is told so, and so are we.

    SIP over TCP        503 with a reason that telephones show
    TLS                 a fatal alert, so that the telephone gives up at once
    anything else       the connection is cut

A telephone that finds the port closed shows no more than "cannot connect", and we would see nothing at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from ivr_sim.sip.message import BadMessage, bad_request_reply

__all__ = ["PJSIP_BRANCH", "Knock", "TcpNotice"]

log = structlog.get_logger(__name__)

SIP, SIPS = 5060, 5061  # who takes TLS and is told no port takes the second one
REASON = "TCP is not served here: set the transport to UDP"
TLS_HANDSHAKE = b"\x16\x03"
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x28"  # fatal: handshake_failure (RFC 5246 section 7.2)
PJSIP_BRANCH = "z9hG4bKPj"  # how the branches of all telephones built on PJSIP begin
PJSIP_LIMIT = 1300  # bytes: what is longer they send by TCP, if somebody takes it (RFC 3261 section 18.1.1)

MAX_CONNECTIONS = 32
MAX_HEAD = 16_384  # bytes
PATIENCE = 10.0  # seconds that a connection has to say what it wants
FAREWELL = 1.0  # seconds for it to read the answer

_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,6})[ \t]*\r\n", re.IGNORECASE)
_BRANCH = re.compile(rb"\r\n(?:via|v)[ \t]*:[^\r\n]*;[ \t]*branch=" + PJSIP_BRANCH.encode(), re.IGNORECASE)


@dataclass(frozen=True)
class Knock:
    """Somebody tried: from which host, by what, on which port of ours.

    too_long: it is a telephone that turned to TCP because its request is longer than 1300 bytes; where
    nobody takes TCP, it sends the same by UDP.
    """

    host: str
    by: Literal["tcp", "tls"]
    port: int
    too_long: bool = False


class TcpNotice(ServerFactory):
    """Listens for TCP beside a UDP port; at most 32 connections at a time, each for some seconds.

    reactor: IReactorTCP and IReactorTime. on_knock is called with each attempt that was recognised.
    """

    noisy = False

    def __init__(self, reactor: Any, on_knock: Callable[[Knock], None]) -> None:
        self.clock = reactor
        self.on_knock = on_knock
        self.connections: set[_Connection] = set()
        self._ports: list[Any] = []

    @property
    def listening(self) -> bool:
        """Whether somebody who tries is told."""
        return bool(self._ports)

    def listen(self, host: str, port: int) -> None:
        """Open the port, and with 5060 also 5061, where TLS is expected; one that is taken is left alone."""
        for number in (port, SIPS) if port == SIP else (port,):
            try:
                self._ports.append(self.clock.listenTCP(number, self, backlog=16, interface=host))
            except CannotListenError as error:
                log.info("no notice for SIP over TCP", port=number, error=str(error.socketError))

    def pause(self) -> Deferred[Any]:
        """Close the ports, until ``listen`` opens them again: from now on nobody can connect.

        It fires when Twisted has done with them.
        """
        ports, self._ports = self._ports, []
        done = [maybeDeferred(port.stopListening) for port in ports]
        for port in ports:
            # Twisted closes the socket in the reactor's next turn. Until then the system would take
            # connections for it, only to reset them: a telephone whose call went that way has lost it.
            listening = getattr(port, "socket", None)  # those of the reactors in memory have none
            if listening is not None:
                listening.close()
        return DeferredList(done)

    def close(self) -> Deferred[Any]:
        """Close the ports and all connections; fires when the ports are closed."""
        for connection in tuple(self.connections):
            connection.cut()
        return self.pause()

    def buildProtocol(self, addr: Any) -> _Connection | None:  # noqa: N802  Twisted's name
        """A connection, unless there are too many."""
        return _Connection(self, addr.host) if len(self.connections) < MAX_CONNECTIONS else None


class _Connection(Protocol):
    transport: Any

    def __init__(self, notice: TcpNotice, host: str) -> None:
        self._notice = notice
        self._host = host
        self._head = b""
        self._told = False
        self._timer: Any = None

    def connectionMade(self) -> None:  # noqa: N802
        self._notice.connections.add(self)
        self._cut_after(PATIENCE)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        self._notice.connections.discard(self)
        if self._timer.active():
            self._timer.cancel()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if self._told:
            return
        self._head = (self._head + data).lstrip(b"\r\n")  # line breaks only keep a connection alive
        if self._head.startswith(TLS_HANDSHAKE):
            self._tell(Knock(self._host, "tls", self._port), TLS_ALERT)
        elif b"\r\n\r\n" in self._head:
            head = self._head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            answer = bad_request_reply(head, BadMessage(503, REASON))
            if answer is None:
                self.cut()
                return
            length = _LENGTH.search(head)
            size = len(head) + (int(length[1]) if length else 0)
            too_long = size > PJSIP_LIMIT and _BRANCH.search(head) is not None
            self._tell(Knock(self._host, "tcp", self._port, too_long), answer)
        elif len(self._head) > MAX_HEAD:
            self.cut()

    def cut(self) -> None:
        """Close at once."""
        self._told = True
        self._head = b""
        if self.transport is not None:
            self.transport.abortConnection()

    @property
    def _port(self) -> int:
        return int(self.transport.getHost().port)

    def _tell(self, knock: Knock, answer: bytes) -> None:
        """Answer; the connection stays open until that is read, or the rest of the request would cut it."""
        self._told = True
        self._head = b""
        self.transport.write(answer)
        self._cut_after(FAREWELL)
        self._notice.on_knock(knock)

    def _cut_after(self, seconds: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._notice.clock.callLater(seconds, self.cut)
