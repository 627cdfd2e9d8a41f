"""Connections of the network in memory: bytes in order, after a latency, and ends that close."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.python.failure import Failure

from ivr_sim.sip.address import Address

__all__ = ["Connector", "StreamPort", "host_address"]


def host_address(address: Address) -> IPv4Address | IPv6Address:
    """An address in Twisted's own form."""
    kind: Literal["UDP", "TCP"] = "UDP" if address.transport == "UDP" else "TCP"
    return (IPv6Address if ":" in address.host else IPv4Address)(kind, address.host, address.port)


class StreamPort:
    """A port that takes connections; ``ports`` is all of them, which it leaves when it is closed."""

    def __init__(self, ports: dict[Address, StreamPort], address: Address, factory: Any) -> None:
        self._ports = ports
        self._address = address
        self.factory = factory

    def getHost(self) -> IPv4Address | IPv6Address:  # noqa: N802  Twisted's name
        return host_address(self._address)

    def stopListening(self) -> Deferred[None]:  # noqa: N802
        if self._ports.pop(self._address, None) is not None:
            self.factory.doStop()
        return succeed(None)


class Connector:
    """A connection on its way."""

    def __init__(self, reactor: Any, here: Address, there: Address, factory: Any) -> None:
        self._reactor = reactor
        self._here = here
        self._there = there
        self._factory = factory
        self._end: _End | None = None
        self._given_up = False

    def connect(self, ports: dict[Address, StreamPort]) -> None:
        """Reach the port, or be refused."""
        port = ports.get(self._there)
        accepted = None
        if port is not None and not self._given_up:
            accepted = port.factory.buildProtocol(host_address(self._here))
            if accepted is None:  # as a system does that accepts first: connected, and cut
                accepted = _Nobody()
        if accepted is None:
            self._factory.clientConnectionFailed(self, Failure(ConnectionRefusedError()))
            self._factory.doStop()
            return
        protocol = self._factory.buildProtocol(host_address(self._there))
        near = _End(self._reactor, self._here, self._there, protocol)
        far = _End(self._reactor, self._there, self._here, accepted)
        near.other, far.other = far, near
        self._end = near
        accepted.makeConnection(far)
        protocol.makeConnection(near)

    def disconnect(self) -> None:
        """Give up, or close."""
        self._given_up = True
        if self._end is not None:
            self._end.loseConnection()


class _Nobody:
    def makeConnection(self, end: _End) -> None:  # noqa: N802
        end.abortConnection()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """It knows."""


class _End:
    """One end: a transport."""

    disconnecting = False
    other: _End

    def __init__(self, reactor: Any, here: Address, there: Address, protocol: Any) -> None:
        self._reactor = reactor
        self._here = here
        self._there = there
        self._protocol = protocol
        self._open = True

    def write(self, data: bytes) -> None:
        if self._open:
            self._reactor.callLater(self._reactor.latency, self.other.receive, data)

    def writeSequence(self, pieces: Iterable[bytes]) -> None:  # noqa: N802
        self.write(b"".join(pieces))

    def receive(self, data: bytes) -> None:
        """What the other end wrote."""
        if self._open:
            self._protocol.dataReceived(data)

    def loseConnection(self) -> None:  # noqa: N802
        self._close(ConnectionDone())

    def abortConnection(self) -> None:  # noqa: N802
        self._close(ConnectionLost())

    def _close(self, reason: Exception) -> None:
        if self._open:
            self.disconnecting = True
            self._open = False
            self._reactor.callLater(0, self._protocol.connectionLost, Failure(ConnectionDone()))
            self._reactor.callLater(self._reactor.latency, self.other.ended, reason)

    def ended(self, reason: Exception) -> None:
        """The other end closed."""
        if self._open:
            self._open = False
            self._protocol.connectionLost(Failure(reason))

    def getHost(self) -> IPv4Address | IPv6Address:  # noqa: N802
        return host_address(self._here)

    def getPeer(self) -> IPv4Address | IPv6Address:  # noqa: N802
        return host_address(self._there)

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        """There is always room."""

    def unregisterProducer(self) -> None:  # noqa: N802
        """There was always room."""

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """There is no delay."""

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
        """Nobody vanishes."""
