"""A network in memory, on virtual time: SIP end to end without a socket, and lost datagrams at will.

A :class:`MemoryReactor` is handed to whatever takes a reactor for UDP, TCP and time. Nothing happens
until its clock is advanced; then everything happens in the same order each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock

from ivr_sim.sip.address import Address
from ivr_sim.sip.memory_stream import Connector, StreamPort, host_address

__all__ = ["MemoryReactor"]


class MemoryReactor(Clock):
    """A clock with UDP: all ports opened by ``listenUDP`` of one reactor reach each other.

    latency: seconds that a datagram is on its way. loss: which of the datagrams are lost, in the order in
    which they are sent (``[False, True]`` loses the second); when the list has ended, none. ``sent`` keeps
    every datagram as (time, source, destination, data), the lost ones too.
    """

    def __init__(self, *, latency: float = 0.001, loss: Iterable[bool] = ()) -> None:
        super().__init__()
        self.latency = latency
        self.sent: list[tuple[float, Address, Address, bytes]] = []
        self._loss: Iterator[bool] = iter(loss)
        self._ports: dict[Address, _Port] = {}
        self._stream_ports: dict[Address, StreamPort] = {}
        self._next_port = 20_000

    def lose(self, pattern: Iterable[bool]) -> None:
        """Lose datagrams by another pattern from now on."""
        self._loss = iter(pattern)

    def listenUDP(  # noqa: N802  Twisted's name
        self,
        port: int,
        protocol: Any,
        interface: str = "",
        maxPacketSize: int = 8192,  # noqa: N803
    ) -> _Port:
        """Open a port; 0 takes a free one. Raises CannotListenError when it is taken."""
        if port == 0:
            self._next_port += 2
            port = self._next_port
        address = Address(interface or "127.0.0.1", port)
        if address in self._ports:
            raise CannotListenError(interface, port, OSError("address already in use"))
        self._ports[address] = opened = _Port(self, address, protocol)
        protocol.makeConnection(opened)
        return opened

    def listenTCP(  # noqa: N802  Twisted's name
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> StreamPort:
        """Take connections. Raises CannotListenError when the port is taken."""
        if port == 0:
            self._next_port += 2
            port = self._next_port
        address = Address(interface or "127.0.0.1", port, "TCP")
        if address in self._stream_ports:
            raise CannotListenError(interface, port, OSError("address already in use"))
        factory.doStart()
        self._stream_ports[address] = opened = StreamPort(self._stream_ports, address, factory)
        return opened

    def connectTCP(  # noqa: N802  Twisted's name
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,  # noqa: N803
    ) -> Connector:
        """Connect; refused when nobody listens there."""
        self._next_port += 2
        here = Address(bindAddress[0] if bindAddress else "127.0.0.1", self._next_port, "TCP")
        factory.doStart()
        connector = Connector(self, here, Address(host, port, "TCP"), factory)
        self.callLater(self.latency, connector.connect, self._stream_ports)
        return connector

    def resolve(self, name: str, timeout: Iterable[int] = ()) -> Deferred[str]:
        """Every name is this machine."""
        return succeed("127.0.0.1")

    def carry(self, data: bytes, source: Address, destination: Address) -> None:
        """Take a datagram on its way."""
        self.sent.append((self.seconds(), source, destination, data))
        if not next(self._loss, False):
            self.callLater(self.latency, self._deliver, data, source, destination)

    def inject(self, data: bytes, source: Address, destination: Address) -> None:
        """Deliver a datagram at once, from any address."""
        self._deliver(data, Address(*source), Address(*destination))

    def _deliver(self, data: bytes, source: Address, destination: Address) -> None:
        port = self._ports.get(destination)
        if port is not None:
            port.protocol.datagramReceived(data, source[:2])

    def run(self, seconds: float, *, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass in steps of a latency; stops early, and returns True, when ``until`` holds."""
        end = self.seconds() + seconds
        while True:
            if until is not None and until():
                return True
            due = [call.getTime() for call in self.getDelayedCalls()]  # type: ignore[misc]
            step = min([end, *due]) - self.seconds()
            if step <= 0 and not any(time <= self.seconds() for time in due):
                return until is None
            self.advance(max(step, 0.0))

    def close(self, address: Address) -> None:
        """Called by a port that was closed."""
        self._ports.pop(address, None)


class _Port:
    """An open port: Twisted's listening port and transport in one."""

    def __init__(self, reactor: MemoryReactor, address: Address, protocol: Any) -> None:
        self._reactor = reactor
        self._address = address
        self.protocol = protocol

    def write(self, data: bytes, addr: tuple[str, int]) -> None:
        self._reactor.carry(data, self._address, Address(*addr))

    def getHost(self) -> IPv4Address | IPv6Address:  # noqa: N802  Twisted's name
        return host_address(self._address)

    def stopListening(self) -> Deferred[None]:  # noqa: N802  Twisted's name
        self._reactor.close(self._address)
        self.protocol.doStop()
        return succeed(None)
