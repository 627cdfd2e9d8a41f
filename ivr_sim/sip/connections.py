"""All connections of one endpoint by one transport: those that came, and those that we opened.

A request that came over a connection is answered over it, and what goes back to its sender goes over it too
(RFC 3261 section 18.2.2, RFC 5923); a new one is opened where none is left.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorSocket
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from ivr_sim.sip.address import Address, Transport
from ivr_sim.sip.connection import Connection, Limits

__all__ = ["Connections"]

log = structlog.get_logger(__name__)

MAX_WAITING = 64  # messages that wait for one connection to be there


class Connections:
    """The connection table.

    reactor: IReactorTCP and IReactorTime. server_tls, client_tls: what TLS takes for connections that come
    (None: none do), and, given the name of the peer, for those that we open. source: the address that ours
    are opened from, None for any. ``on_frame(data, peer)`` gets each message; ``on_lost(peer)`` hears of each
    connection that ended or could not be had, ``on_tls(peer, port)`` of TLS where it is not spoken.
    """

    def __init__(
        self,
        reactor: Any,
        transport: Transport,
        *,
        limits: Limits,
        source: str | None = None,
        server_tls: Any = None,
        client_tls: Callable[[str], Any] | None = None,
        on_frame: Callable[[bytes, Address], None],
        on_lost: Callable[[Address], None],
        on_tls: Callable[[Address, int], None] = lambda peer, port: None,
    ) -> None:
        self._reactor = reactor
        self._transport = transport
        self._limits = limits
        self._source = source
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_tls = on_tls
        self._ports: list[Any] = []
        self._open: dict[Address, Connection] = {}
        self._coming: set[Connection] = set()  # also those whose handshake is not over
        self._per_host: Counter[str] = Counter()
        self._waiting: dict[Address, list[bytes]] = {}
        self._connectors: dict[Address, Any] = {}

    def __len__(self) -> int:
        """How many connections there are, and are being opened."""
        return len(self._coming) + len(self._waiting)

    def listen(self, host: str, port: int) -> int:
        """Take connections there; returns the port. Raises CannotListenError."""
        listening = self._reactor.listenTCP(port, self._factory(), backlog=128, interface=host)
        self._ports.append(listening)
        return int(listening.getHost().port)

    def listen_to_six(self, port: int) -> None:
        """Take connections at all addresses of IPv6 too. Raises OSError: the machine has none."""
        if not IReactorSocket.providedBy(self._reactor):
            return
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as six:
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            six.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            six.setblocking(False)
            six.bind(("::", port))
            six.listen(128)
            self._ports.append(self._reactor.adoptStreamPort(six.fileno(), socket.AF_INET6, self._factory()))

    def _factory(self) -> Any:
        factory: Any = _Incoming(self)
        if self._transport == "TLS":
            factory = TLSMemoryBIOFactory(self._server_tls, False, factory, clock=self._reactor)
            factory.noisy = False
        return factory

    @property
    def port(self) -> int | None:
        """The port that is listened on, None where none is."""
        return int(self._ports[0].getHost().port) if self._ports else None

    def stop(self) -> Deferred[Any]:
        """Close ports and connections. Fires when the ports are closed."""
        ports, self._ports = self._ports, []
        for connector in tuple(self._connectors.values()):
            connector.disconnect()
        for connection in tuple(self._coming):
            connection.abort()
        return DeferredList([maybeDeferred(port.stopListening) for port in ports])

    def connected(self, peer: Address) -> bool:
        """Whether a connection to this address is open."""
        return peer in self._open

    def local_port(self, peer: Address) -> int | None:
        """Our own port of the connection to this peer, None where there is none."""
        connection = self._open.get(peer)
        return None if connection is None else int(connection.transport.getHost().port)

    def send(self, data: bytes, peer: Address) -> None:
        """Send over the connection to this address, or over one that is opened for it."""
        connection = self._open.get(peer)
        if connection is not None:
            connection.send(data)
        elif peer in self._waiting:
            if len(self._waiting[peer]) < MAX_WAITING:
                self._waiting[peer].append(data)
        elif len(self) >= self._limits.total:
            log.warning("no connection to spare", peer=str(peer))
            self._reactor.callLater(0, self._on_lost, peer)
        else:
            self._waiting[peer] = [data]
            self._connect(peer)

    def drop(self, peer: Address) -> None:
        """Close the connection to this address, if there is one, without another word."""
        connection = self._open.get(peer)
        if connection is not None:
            connection.abort()

    def _connect(self, peer: Address) -> None:
        factory: Any = _Outgoing(self, peer)
        try:
            if self._transport == "TLS":
                assert self._client_tls is not None
                factory = TLSMemoryBIOFactory(self._client_tls(peer.host), True, factory, clock=self._reactor)
                factory.noisy = False
            self._connectors[peer] = self._reactor.connectTCP(
                peer.host,
                peer.port,
                factory,
                timeout=self._limits.connect,
                bindAddress=None if self._source is None else (self._source, 0),
            )
        except (OSError, ValueError):  # an address of an interface that is not here, a name that is none
            self._reactor.callLater(0, self.failed, peer, Failure())

    # --- what the factories need ------------------------------------------------------------------------

    def accept(self, host: str, port: int) -> Connection | None:
        """A connection that came, None when there are too many."""
        crowded = self._per_host[host] >= self._limits.per_host and not _is_loopback(host)
        if crowded or len(self) >= self._limits.total:
            log.info("a SIP connection was refused: too many", host=host)
            return None
        return self._made(Address(host, port, self._transport), ours=False)

    def open(self, peer: Address) -> Connection:
        """A connection of ours that is there."""
        return self._made(peer, ours=True)

    def _made(self, peer: Address, *, ours: bool) -> Connection:
        connection = Connection(
            self._reactor,
            peer,
            self._limits,
            ours=ours,
            on_frame=self._on_frame,
            on_open=self._opened,
            on_end=self._ended,
            on_tls=self._on_tls,
        )
        self._coming.add(connection)
        self._per_host[peer.host] += 1
        return connection

    def _opened(self, connection: Connection) -> None:
        if connection not in self._coming:
            connection.abort()
            return
        there = connection.transport.getPeer()
        connection.names.add(Address(there.host, there.port, self._transport))
        for name in connection.names:
            self._open[name] = connection
        self._connectors.pop(connection.peer, None)
        for data in self._waiting.pop(connection.peer, ()):
            connection.send(data)

    def _ended(self, connection: Connection, reason: Failure) -> None:
        if reason.check(SSL.Error):
            log.warning("a TLS connection failed", peer=str(connection.peer), error=_cause(reason))
        self._coming.discard(connection)
        self._per_host[connection.peer.host] -= 1
        if self._per_host[connection.peer.host] <= 0:
            del self._per_host[connection.peer.host]
        for name in connection.names:
            if self._open.get(name) is connection:
                del self._open[name]
        self._on_lost(connection.peer)

    def failed(self, peer: Address, reason: Failure) -> None:
        """No connection could be had."""
        self._connectors.pop(peer, None)
        self._waiting.pop(peer, None)
        log.info("no SIP connection", peer=str(peer), error=str(reason.value))
        self._on_lost(peer)


class _Incoming(ServerFactory):
    noisy = False

    def __init__(self, table: Connections) -> None:
        self._table = table

    def buildProtocol(self, addr: Any) -> Connection | None:  # noqa: N802  Twisted's name
        return self._table.accept(addr.host, addr.port)


class _Outgoing(ClientFactory):
    noisy = False

    def __init__(self, table: Connections, peer: Address) -> None:
        self._table = table
        self._peer = peer

    def buildProtocol(self, addr: Any) -> Connection:  # noqa: N802  Twisted's name
        return self._table.open(self._peer)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:  # noqa: N802
        self._table.failed(self._peer, reason)


def _cause(reason: Failure) -> str:
    """What OpenSSL, or who verified a certificate, has to say."""
    error = reason.value
    if error is not None and error.args and isinstance(error.args[0], list):
        return "; ".join(str(detail[-1]) for detail in error.args[0])
    return str(error)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
