"""SIP over UDP: datagrams in and out of one port, and nothing that a datagram can do to stop it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError, InvalidAddressError
from twisted.internet.protocol import DatagramProtocol

from ivr_sim.errors import ConfigurationError, LocalProtocolError, place
from ivr_sim.sip import info
from ivr_sim.sip.address import Address
from ivr_sim.sip.message import BadMessage, Message, bad_request_reply, parse

__all__ = ["Address", "CannotListen", "Endpoint", "UdpEndpoint", "is_of_this_machine", "local_host"]

log = structlog.get_logger(__name__)

WILDCARDS = ("0.0.0.0", "", "::")  # noqa: S104  compared, not bound
LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"
# Nobody has this address (RFC 5737): the way to it is the way to a name that is not asked for.
ANYWHERE = "192.0.2.1"
ANYWHERE_6 = "2001:db8::1"  # the same of IPv6 (RFC 3849)


class CannotListen(ConfigurationError):
    """The port is taken, or the address is not ours."""


class Endpoint(Protocol):
    """What the transaction layer needs of a transport."""

    on_message: Callable[[Message, Address], None]
    on_lost: Callable[[Address], None]  # a connection that is not there any more, or could not be had

    def local_address(self, peer: Address) -> Address:
        """Our host and port as this peer should write to us."""
        ...

    def send(self, message: Message | bytes, peer: Address) -> None:
        """Send one message by ``peer.transport``: a connection that is there is used, or a new one opened."""
        ...

    def connected(self, peer: Address) -> bool:
        """Whether a connection to this peer is open; of UDP there is none."""
        ...


def local_host(bound: str, peer: str, advertise: str | None = None) -> str:
    """The address by which a peer reaches a socket bound to ``bound``.

    When that is all addresses: for a peer off loopback ``advertise``, if given, otherwise the address that
    the kernel's route to it has.
    """
    if bound not in WILDCARDS:
        return bound
    six = isIPv6Address(peer) or (bound == "::" and not isIPAddress(peer))
    if not isIPAddress(peer) and not isIPv6Address(peer):
        peer = ANYWHERE_6 if six else ANYWHERE
    loopback = LOOPBACK_6 if six else LOOPBACK
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, 9))  # sends nothing
            route = str(probe.getsockname()[0])
        except OSError:
            route = loopback
    near = route.startswith("127.") or route == LOOPBACK_6
    # What is advertised is an address of one family: no way for a peer of the other.
    return advertise if advertise and not near and (":" in advertise) == six else route


def is_of_this_machine(address: str) -> bool:
    """Whether an address, IPv4 or IPv6, is one of this machine's: only of those can a socket be had."""
    if not isIPAddress(address) and not isIPv6Address(address):
        return False
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


class UdpEndpoint(DatagramProtocol):
    """One bound UDP socket that speaks SIP.

    host, port: where to listen, port 0 for any free one. ``on_message(message, source)`` gets what could
    be parsed; a request that could not is refused here, and ``on_bad(error, source)`` hears of it.
    ``trace(direction, data, peer)`` sees every datagram, direction being "received" or "sent"; of bodies it
    sees session descriptions only, since others may be keys. ``advertise`` is the address that peers off
    loopback are told when all addresses are listened on, instead of the one that their route has.
    ``admits(source)`` is asked before a message is read.
    """

    noisy = False

    def __init__(
        self,
        reactor: Any,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        on_bad: Callable[[BadMessage, Address], None] | None = None,
        trace: Callable[[str, bytes, Address], None] | None = None,
        advertise: str | None = None,
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._advertise = advertise
        self._on_bad = on_bad
        self._trace = trace
        self._listening: Any = None
        self.transport: Any = None
        self.on_message: Callable[[Message, Address], None] = lambda message, source: None
        self.on_lost: Callable[[Address], None] = lambda peer: None
        self.admits: Callable[[Address], bool] = lambda source: True

    def start(self) -> None:
        """Listen. Raises CannotListen."""
        try:
            self._listening = self._reactor.listenUDP(
                self._port, self, interface=self._host, maxPacketSize=65_535
            )
        except CannotListenError as error:
            raise CannotListen(
                f"cannot listen for SIP on {self._host}:{self._port}: {error.socketError}; "
                "is another program using the port?"
            ) from error

    def stop(self) -> Deferred[None]:
        """Close the socket; fires when it is closed, at once when it was not open."""
        listening, self._listening = self._listening, None
        return maybeDeferred(listening.stopListening if listening is not None else lambda: None)

    @property
    def port(self) -> int:
        """The port that is listened on. Raises LocalProtocolError before ``start``."""
        if self._listening is None:
            raise LocalProtocolError("the SIP endpoint is not listening; call start() first")
        return int(self._listening.getHost().port)

    def local_address(self, peer: Address) -> Address:
        """The address bound to; when that is all of them, see ``local_host``."""
        return Address(local_host(self._host, peer.host, self._advertise), self.port)

    def send(self, message: Message | bytes, peer: Address) -> None:
        """Send one message to an address or host name; what cannot be sent is as good as lost on the way."""
        data = message if isinstance(message, bytes) else message.to_bytes()
        if isIPAddress(peer.host) or isIPv6Address(peer.host):
            self._write(data, peer)
        elif self._listening is not None:
            found = self._reactor.resolve(peer.host)
            found.addCallback(lambda host: self._write(data, peer._replace(host=host)))
            found.addErrback(lambda failure: log.warning("host not found", host=peer.host))

    def connected(self, peer: Address) -> bool:
        """Never: datagrams have no connections."""
        return False

    def _write(self, data: bytes, peer: Address) -> None:
        if self._listening is None or self.transport is None:
            return  # closed: a timer that still had something to say
        if self._trace is not None:
            self._trace("sent", info.masked(data), peer)
        try:
            self._send_datagram(data, peer)
        except (OSError, InvalidAddressError) as error:
            log.warning("datagram not sent", peer=str(peer), error=str(error))

    def _send_datagram(self, data: bytes, peer: Address) -> None:
        self.transport.write(data, peer[:2])

    def _turn_away(self, source: Address) -> None:
        """What comes from there is not read; of UDP that is all."""

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:  # noqa: N802  Twisted's name
        """Parse one datagram and hand it on; whatever it does to us, the next one finds us listening."""
        source = Address(addr[0], addr[1])
        try:
            self._receive(datagram, source)
        except Exception as error:
            log.error(
                "a SIP message could not be handled",
                source=str(source),
                error=type(error).__name__,
                at=place(error),
            )

    def _receive(self, data: bytes, source: Address) -> None:
        if not self.admits(source):
            self._turn_away(source)
            return
        if self._trace is not None:
            self._trace("received", info.masked(data), source)
        try:
            message = parse(data)
        except BadMessage as error:
            reply = bad_request_reply(data, error)
            if reply is not None:
                self._write(reply, source)
            if self._on_bad is not None:
                self._on_bad(error, source)
            return
        if message is not None:
            self.on_message(message, source)
