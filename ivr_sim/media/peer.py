"""The other side of a stream: its addresses, as sockets and session descriptions give them."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from ivr_sim.errors import LocalProtocolError

__all__ = ["Address", "Peer", "checked", "named"]

Address = tuple[str, int]

NOWHERE = ("0.0.0.0", "::")  # noqa: S104 - hold, in the old style
LATCH_TICKS = 100  # a sender that was silent for 2 s may come back from another port


class Peer:
    """Whose packets a stream takes, and where its own go (symmetric RTP).

    Packets are taken from one ``source`` only: the first that sends a valid packet from the host that the
    session description names or, on a loopback address, from any port of this machine. It is forgotten after
    two seconds of silence, and when the description changes. ``stranger`` is the last host that was refused.

    host: ours. remote: what the session description names. signalling: the host that the call itself came
    from, as good as the one described: a telephone behind NAT, or with several addresses, describes one that
    its packets do not come from.
    """

    def __init__(self, host: str, remote: Address, signalling: str | None = None) -> None:
        self.remote = remote
        self.source: Address | None = None
        self.stranger: str | None = None
        self._signalling = signalling
        self._anyone = ip_address(host).is_loopback

    @property
    def hosts(self) -> tuple[str | None, ...]:
        """Whom to believe about this stream."""
        return (self.remote[0], self._signalling) if self.source is None else (self.source[0],)

    @property
    def destination(self) -> Address | None:
        """Where to send to: where packets come from, else where the description says; None on hold."""
        held = self.remote[0] in NOWHERE or self.remote[1] == 0
        return None if held else self.source or self.remote

    def describe(self, remote: Address) -> None:
        """The session description names this address from now on."""
        if remote != self.remote:
            self.remote = remote
            self.source = None

    def admits(self, source: Address, silent: int) -> bool:
        """Whether a packet from here may be the stream's; silent: ticks since its last one."""
        if source == self.source:
            return True
        if not (self._anyone or source[0] in (self.remote[0], self._signalling)):
            self.stranger = source[0]
            return False
        return self.source is None or silent >= LATCH_TICKS


def named(source: Any) -> Address:
    """A source as the socket names it: of IPv6, with the scope as part of the address."""
    host, port = source[:2]
    scope = source[3] if len(source) > 2 else 0
    return (f"{host}%{scope}" if scope else host), port


def checked(remote: Address, local_host: str) -> Address:
    """An address that can be sent to without asking anybody where it is. Raises LocalProtocolError."""
    host, port = remote[:2]
    wanted = 6 if ":" in local_host else 4
    try:
        known = ip_address(host).version == wanted
    except ValueError:
        known = False
    if not known:
        raise LocalProtocolError(f"RTP from {local_host} goes to an IPv{wanted} address, not to {host!r}")
    if not 0 <= port <= 65535:
        raise LocalProtocolError(f"no UDP port: {port}")
    return host, port
