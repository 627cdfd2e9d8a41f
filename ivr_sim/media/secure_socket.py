"""Sockets of a stream whose packets are encrypted: outside SRTP, inside what it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ivr_sim.media.rtp import BadPacket
from ivr_sim.media.srtp import SrtpSession

__all__ = ["SecureSocket", "secured", "secured_reports"]


class SecureSocket:
    """A UDP socket behind ``protect`` and ``unprotect``.

    What ``unprotect`` refuses is received as an empty datagram, which is a bad one to whoever reads it, and
    has the source that it came from. Everything else is the socket's own.
    """

    def __init__(
        self, inner: Any, protect: Callable[[bytes], bytes], unprotect: Callable[[bytes], bytes]
    ) -> None:
        self.inner = inner
        self._protect = protect
        self._unprotect = unprotect

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def sendto(self, data: bytes | memoryview, address: Any) -> int:
        """Send one packet, encrypted. Raises OSError."""
        return int(self.inner.sendto(self._protect(bytes(data)), address))

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        """The next packet, opened, and its source. Raises OSError."""
        data, source = self.inner.recvfrom(size)
        try:
            return self._unprotect(data), source
        except BadPacket:
            return b"", source


def secured(inner: Any, session: SrtpSession | None) -> Any:
    """The socket of a stream's audio, as it is without a session."""
    return inner if session is None else SecureSocket(inner, session.protect, session.unprotect)


def secured_reports(inner: Any, session: SrtpSession | None) -> Any:
    """The socket of its reports."""
    return inner if session is None else SecureSocket(inner, session.protect_report, session.unprotect_report)
