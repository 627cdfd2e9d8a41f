"""UDP ports for RTP, two by two: audio on an even one, reports on the odd one above (RFC 3550, 11)."""

from __future__ import annotations

import errno
import random
import socket

from ivr_sim.errors import ConfigurationError, IvrSimError

__all__ = ["NoPortFree", "PortPairs"]

TAKEN = (errno.EADDRINUSE, errno.EACCES)


class NoPortFree(IvrSimError):
    """All ports of the range are taken, or the engine holds as many streams as it can."""


class PortPairs:
    """The ports of one host.

    host: an IPv4 or IPv6 address. first, last: of the audio's ports, of which the even ones are used; each
    pair's second is one above. Raises ConfigurationError for a range without an even port.
    """

    def __init__(self, host: str, first: int, last: int) -> None:
        even = first + first % 2
        if not 0 < even <= last <= 65535:
            raise ConfigurationError(f"no even port in {first}-{last}; give a range such as 16384-32766")
        self._host = host
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._ports = range(even, last + 1, 2)

    def open(self) -> tuple[socket.socket, socket.socket]:
        """Two sockets that do not block, for audio and for reports: the first pair free from a random one on.

        Raises NoPortFree, and ConfigurationError for an address that is not this machine's.
        """
        begin = random.randrange(len(self._ports))
        for port in (*self._ports[begin:], *self._ports[:begin]):
            audio = self._bound(port)
            if audio is None:
                continue
            reports = self._bound(port + 1)
            if reports is not None:
                return audio, reports
            audio.close()
        raise NoPortFree(f"no UDP port free on {self._host} in {self._ports[0]}-{self._ports[-1]}")

    def _bound(self, port: int) -> socket.socket | None:
        sock = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            sock.bind((self._host, port))
        except OSError as error:
            sock.close()
            if error.errno in TAKEN:
                return None
            raise ConfigurationError(f"RTP cannot use the address {self._host}: {error}") from error
        sock.setblocking(False)
        return sock
