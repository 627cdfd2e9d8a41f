"""Where SIP is spoken: one host and port number, by UDP and TCP, and by TLS at a port of its own.

    UDP      a datagram is a message
    TCP      listened on at the same number, by those who take connections
    TLS      at a number of its own; who only opens connections listens nowhere

Where all addresses are listened on (``0.0.0.0``), those of IPv6 are too.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from errno import EADDRINUSE
from os import strerror
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorSocket
from twisted.internet.protocol import DatagramProtocol

from ivr_sim.ports import is_free
from ivr_sim.sip import info
from ivr_sim.sip.address import DEFAULT_PORTS, Address
from ivr_sim.sip.connection import Limits
from ivr_sim.sip.connections import Connections
from ivr_sim.sip.message import BadMessage, Message
from ivr_sim.sip.tls import Tls
from ivr_sim.sip.transport import CannotListen, UdpEndpoint

__all__ = ["SipEndpoint"]

ATTEMPTS = 20  # port numbers tried until one is free for UDP and TCP
ALL = ("0.0.0.0", "")  # noqa: S104  compared, not bound


class SipEndpoint(UdpEndpoint):
    """One endpoint that speaks SIP by all transports; the peer's address says by which.

    reactor: IReactorUDP, IReactorTCP and IReactorTime. tcp: take connections, at the number of the UDP port.
    tls: speak TLS, and take it at ``tls.port``, if there is one. ``on_tls(peer, port)`` hears of those who
    try it where it is not spoken; beside 5060 that is at 5061 too, where telephones look for it. The rest is
    ``UdpEndpoint``'s.
    """

    def __init__(
        self,
        reactor: Any,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        tcp: bool = False,
        tls: Tls | None = None,
        limits: Limits | None = None,
        on_bad: Callable[[BadMessage, Address], None] | None = None,
        on_tls: Callable[[Address, int], None] = lambda peer, port: None,
        trace: Callable[[str, bytes, Address], None] | None = None,
        advertise: str | None = None,
    ) -> None:
        super().__init__(reactor, host, port, on_bad=on_bad, trace=trace, advertise=advertise)
        self._tcp = tcp
        self._tls = tls
        self._udp6: _Sixth | None = None
        shared: dict[str, Any] = {
            "limits": limits or Limits(),
            "source": None if host in (*ALL, "::") else host,
            "on_frame": self._receive,
            "on_lost": lambda peer: self.on_lost(peer),
        }
        self._connections = {"TCP": Connections(reactor, "TCP", on_tls=on_tls, **shared)}
        if tls is not None:
            self._connections["TLS"] = Connections(
                reactor,
                "TLS",
                server_tls=None if tls.port is None else tls.server_options(),
                client_tls=tls.client_options,
                **shared,
            )

    def start(self) -> None:
        """Listen. Raises CannotListen."""
        wanted = self._port
        for attempt in range(ATTEMPTS):
            try:
                # A socket is closed later than it is told to, and until then we cannot have another one: so
                # a number that is free for all comes first.
                self._port = wanted or self._free_number()
                super().start()
                self._start_connections()
            except CannotListen:
                self._stop_all()
                if wanted != 0 or attempt == ATTEMPTS - 1:
                    raise
            else:
                return
            finally:
                self._port = wanted

    def _free_number(self) -> int:
        """A number that nobody listens at by UDP or TCP; 0, any, where that makes no difference."""
        if not self._tcp or not IReactorSocket.providedBy(self._reactor):
            return 0
        for _ in range(ATTEMPTS):
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind((self._host, 0))
                except OSError:
                    return 0  # listening will say why
                number = int(probe.getsockname()[1])
            if is_free(self._host, number, socket.SOCK_STREAM):
                return number
        return 0

    def _start_connections(self) -> None:
        number = self.port
        if self._host in ALL:
            self._listen_to_six(number)
        if self._tcp:
            self._listen("TCP", number)
            if number == DEFAULT_PORTS["TCP"] and self._tls is None:
                with suppress(CannotListenError):
                    self._connections["TCP"].listen(self._host, DEFAULT_PORTS["TLS"])
        if self._tls is not None and self._tls.port is not None:
            self._listen("TLS", self._tls.port)

    def _listen(self, transport: str, number: int) -> None:
        table = self._connections[transport]
        # Looked at first: a socket that Twisted cannot bind it leaves open.
        real = number and IReactorSocket.providedBy(self._reactor)
        try:
            if real and not is_free(self._host, number, socket.SOCK_STREAM):
                raise CannotListenError(self._host, number, OSError(EADDRINUSE, strerror(EADDRINUSE)))
            number = table.listen(self._host, number)
        except CannotListenError as error:
            raise CannotListen(
                f"cannot listen for SIP by {transport} on {self._host}:{number}: {error.socketError}; "
                "is another program using the port?"
            ) from error
        if self._host in ALL:
            with suppress(OSError):  # no IPv6 here
                table.listen_to_six(number)

    def _listen_to_six(self, number: int) -> None:
        """The same port at all addresses of IPv6, where the machine has any."""
        if not IReactorSocket.providedBy(self._reactor):
            return
        self._udp6 = _Sixth(self.datagramReceived)
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
                six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                six.setblocking(False)
                six.bind(("::", number))
                self._udp6.listening = self._reactor.adoptDatagramPort(
                    six.fileno(), socket.AF_INET6, self._udp6, maxPacketSize=65_535
                )
        except OSError:
            self._udp6 = None

    def stop(self) -> Deferred[Any]:
        """Close all ports and connections; fires when the ports are closed."""
        return self._stop_all()

    def _stop_all(self) -> Deferred[Any]:
        waiting = [table.stop() for table in self._connections.values()]
        sixth, self._udp6 = self._udp6, None
        if sixth is not None:
            waiting.append(sixth.listening.stopListening())
        return DeferredList([super().stop(), *waiting])

    @property
    def tls_port(self) -> int | None:
        """The port that TLS is taken at, None where it is not."""
        return self._connections["TLS"].port if "TLS" in self._connections else None

    def local_address(self, peer: Address) -> Address:
        """Our host and port as this peer should write to us, by the transport that it speaks.

        Where no connections are taken, the port is that of UDP: a name for what comes over connections that
        are there.
        """
        table = self._connections.get(peer.transport)
        port = (table.port if table is not None else None) or self.port
        return super().local_address(peer)._replace(port=port, transport=peer.transport)

    def send(self, message: Message | bytes, peer: Address) -> None:
        """Send one message; over a connection that is there, or that is opened for it."""
        if not peer.reliable:
            super().send(message, peer)
        elif self._listening is not None:
            self._write(message if isinstance(message, bytes) else message.to_bytes(), peer)

    def connected(self, peer: Address) -> bool:
        """Whether a connection to this peer is open; of UDP there is none."""
        table = self._connections.get(peer.transport)
        return table is not None and table.connected(peer)

    def _write(self, data: bytes, peer: Address) -> None:
        if not peer.reliable:
            super()._write(data, peer)
            return
        table = self._connections.get(peer.transport)
        if table is None:  # TLS, which is not set up: as good as nobody there
            self._reactor.callLater(0, self.on_lost, peer)
            return
        if self._trace is not None:
            self._trace("sent", info.masked(data), peer)
        table.send(data, peer)

    def _turn_away(self, source: Address) -> None:
        if source.reliable:
            self._connections[source.transport].drop(source)

    def _send_datagram(self, data: bytes, peer: Address) -> None:
        if ":" in peer.host and self._udp6 is not None:
            self._udp6.transport.write(data, peer[:2])
        else:
            super()._send_datagram(data, peer)


class _Sixth(DatagramProtocol):
    """The IPv6 half of an endpoint that listens on all addresses."""

    noisy = False
    transport: Any

    def __init__(self, received: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._received = received
        self.listening: Any = None

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:  # noqa: N802  Twisted's name
        self._received(datagram, addr)
