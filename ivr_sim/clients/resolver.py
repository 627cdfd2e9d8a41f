"""Host names looked up outside of the reactor's thread pool.

The pool has ten threads, and a lookup that nobody answers holds one for half a minute: ten of them would
hold up every request of the process, to hosts with addresses for names too, and the end of the process.
Here an address is its own answer, and each name is looked up in a daemon thread of its own, of which there
are no more than there are requests under way.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from threading import Thread
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from zope.interface import implementer  # type: ignore[import-untyped]

__all__ = ["ResolvingReactor"]

Found = list[IPv4Address | IPv6Address]


@implementer(IReactorPluggableNameResolver)
class ResolvingReactor:
    """A reactor as it is, but for how the endpoints that are given it look up names."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.nameResolver = _Resolver(reactor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IHostnameResolver)
class _Resolver:
    """Looks up TCP addresses of either family."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_: Any) -> None:  # noqa: N802, N803
        """Tell the receiver of each address, best first; of none when there is no such name."""

        def tell(found: Found) -> None:
            for address in found:
                receiver.addressResolved(address)
            receiver.resolutionComplete()

        def look_up() -> None:
            self._reactor.callFromThread(tell, _looked_up(name, portNumber))

        literal = _literal(name, portNumber)
        if literal is not None:
            tell([literal])
        else:
            Thread(target=look_up, name="name lookup", daemon=True).start()


def _literal(host: str, port: int) -> IPv4Address | IPv6Address | None:
    try:
        version = ip_address(host).version
    except ValueError:
        return None
    return (IPv4Address if version == 4 else IPv6Address)("TCP", host, port)


def _looked_up(host: str, port: int) -> Found:
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    kinds = {socket.AF_INET: IPv4Address, socket.AF_INET6: IPv6Address}
    return [kinds[family]("TCP", *where[:4]) for family, _, _, _, where in rows if family in kinds]
