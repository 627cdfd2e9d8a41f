"""Where a SIP message comes from and goes to: host, port, and by which transport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = ["DEFAULT_PORTS", "TRANSPORTS", "Address", "Transport", "in_brackets"]

Transport = Literal["UDP", "TCP", "TLS"]
TRANSPORTS: Mapping[str, Transport] = {"UDP": "UDP", "TCP": "TCP", "TLS": "TLS"}
DEFAULT_PORTS: Mapping[Transport, int] = {"UDP": 5060, "TCP": 5060, "TLS": 5061}


def in_brackets(host: str) -> str:
    """A host as it is written in URIs and in Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


class Address(NamedTuple):
    """One end of SIP: a host (IPv6 without brackets, or a name), a port 1-65535, and the transport.

    Written ``host:port``, and what is not UDP with its ``;transport=``.
    """

    host: str
    port: int
    transport: Transport = "UDP"

    @property
    def reliable(self) -> bool:
        """Whether the transport repeats by itself what is lost."""
        return self.transport != "UDP"

    def __str__(self) -> str:
        text = f"{in_brackets(self.host)}:{self.port}"
        return f"{text};transport={self.transport.lower()}" if self.reliable else text
