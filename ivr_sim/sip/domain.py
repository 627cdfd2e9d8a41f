"""The names that an exchange goes by: its domain, its addresses, and its own entries in a Route."""

from __future__ import annotations

import ipaddress

from ivr_sim.sip.address import Address, in_brackets
from ivr_sim.sip.endpoint import SipEndpoint
from ivr_sim.sip.message import Request
from ivr_sim.sip.transport import WILDCARDS, is_of_this_machine
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = ["Domain", "is_loopback"]


class Domain:
    """Whether a host name or URI means the exchange behind an endpoint.

    name: that of the domain; host: what is listened on.
    """

    def __init__(self, name: str, host: str, endpoint: SipEndpoint) -> None:
        self.name = name
        self._host = host
        self._endpoint = endpoint
        self._told: set[str] = set()  # addresses of ours that peers were told

    def local(self, peer: Address) -> Address:
        """Our address as this peer knows it."""
        local = self._endpoint.local_address(peer)
        self._told.add(local[0])
        return local

    def has(self, host: str, peer: Address) -> bool:
        """Whether a host name means this exchange or its domain."""
        host = host.strip("[]").lower()
        names = (self.name.lower(), self._host, self.local(peer)[0], "localhost", *self._told)
        return host in names or (self._host in WILDCARDS and is_of_this_machine(host))

    def means(self, uri: Uri, peer: Address) -> bool:
        """Whether a URI means this exchange or its domain; a port that is not named is any."""
        return self.has(uri.host, peer) and uri.port in (None, self._endpoint.port, self._endpoint.tls_port)

    def pop_routes(self, request: Request, source: Address) -> None:
        """Take our own entries off the Route (section 16.4), also where a strict router put one into the
        Request-URI."""
        routes = request.headers.get_all("Route")
        uri = Uri.parse(request.uri)
        if routes and uri.user is None and uri.param("lr") is not None and self.means(uri, source):
            request.uri = NameAddr.parse(routes.pop()).uri.text
            request.headers.remove("Route")
            for route in routes:
                request.headers.add("Route", route)
        while routes and self.means(NameAddr.parse(routes[0]).uri, source):
            request.headers.pop_first("Route")
            del routes[0]

    def record_routes(self, *peers: Address) -> list[str]:
        """Our entries for a call between two peers: one for both, or one for each where their transports
        differ (RFC 5658)."""
        ways = [self.local(peer) for peer in peers]
        if len({way.transport for way in ways}) == 1:
            # Of the two ends one may be on this machine, and reach us by the other's way; not so the reverse.
            ways = [next((way for way in ways if not is_loopback(way.host)), ways[0])]
        return [_record_route(way) for way in ways]

    def drop_credentials(self, request: Request) -> None:
        """Credentials for our realm are for us alone (section 22.3)."""
        values = request.headers.get_all("Proxy-Authorization")
        if values:
            request.headers.remove("Proxy-Authorization")
            for value in values:
                if f'realm="{self.name}"' not in value:
                    request.headers.add("Proxy-Authorization", value)


def is_loopback(host: str) -> bool:
    """Whether a host is an address of loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _record_route(way: Address) -> str:
    transport = f";transport={way.transport.lower()}" if way.reliable else ""
    return f"<sip:{in_brackets(way.host)}:{way.port}{transport};lr>"
