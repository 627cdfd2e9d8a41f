"""One connection that carries SIP: framed, bounded in bytes and time, closed when it breaks the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from ivr_sim.errors import place
from ivr_sim.sip.address import Address
from ivr_sim.sip.framing import BadFrame, Framer, Ping
from ivr_sim.sip.message import bad_request_reply

__all__ = ["Connection", "Limits"]

log = structlog.get_logger(__name__)

TLS_HANDSHAKE = b"\x16\x03"
TLS_ALERT = b"\x15\x03\x01\x00\x02\x02\x28"  # fatal: handshake_failure (RFC 5246 section 7.2)


@dataclass(frozen=True)
class Limits:
    """What connections may cost; loopback is spared ``per_host``. Seconds, bytes, counts.

    patience: for the first message, and from a message's first byte to its last. idle: without a message
    or a keep-alive; longer than a registration, which the connection carries. unread: how long, and backlog:
    of how many bytes, a peer may leave unread what we send. connect: for a connection of ours to be there.
    """

    patience: float = 10.0
    idle: float = 3_900.0
    unread: float = 20.0
    backlog: int = 262_144
    connect: float = 4.0
    total: int = 1_000
    per_host: int = 32


class Connection(Protocol):
    """One connection. ``peer`` is its far end; messages go to ``on_frame(data, peer)``, the end to
    ``on_end(connection, reason)``; of telephones that begin with TLS where it is not spoken hears ``on_tls``.
    ours: we opened it, and have no first message to wait for.
    """

    transport: Any

    def __init__(
        self,
        clock: Any,
        peer: Address,
        limits: Limits,
        *,
        ours: bool,
        on_frame: Callable[[bytes, Address], None],
        on_open: Callable[[Connection], None],
        on_end: Callable[[Connection, Failure], None],
        on_tls: Callable[[Address, int], None],
    ) -> None:
        self.peer = peer
        self.names = {peer}  # addresses that it is known by
        self._clock = clock
        self._limits = limits
        self._ours = ours
        self._on_frame = on_frame
        self._on_open = on_open
        self._on_end = on_end
        self._on_tls = on_tls
        self._framer = Framer()
        self._timer: Any = None
        self._unread: Any = None  # runs while the peer does not read
        self._backlog = 0
        self._closed = False

    def connectionMade(self) -> None:  # noqa: N802  Twisted's name
        self.transport.setTcpKeepAlive(True)  # a peer that vanished without a word is found out
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._wait(self._limits.idle if self._ours else self._limits.patience)
        self._on_open(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        self._closed = True
        for timer in (self._timer, self._unread):
            if timer is not None and timer.active():
                timer.cancel()
        self._on_end(self, reason)

    # --- what comes -----------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if self._closed:
            return
        had_begun = self._framer.waiting
        if data.startswith(TLS_HANDSHAKE) and not had_begun and self.peer.transport == "TCP":
            self.transport.write(TLS_ALERT)
            self._on_tls(self.peer, int(self.transport.getHost().port))
            self.close()
            return
        self._framer.feed(data)
        try:
            done = self._take_all(data)
        except BadFrame as error:
            self._refuse(error)
            return
        if self._closed:
            return
        if not self._framer.waiting:
            if done:
                self._wait(self._limits.idle)
        elif done or not had_begun:
            self._wait(self._limits.patience)

    def _take_all(self, data: bytes) -> bool:
        """Hand on all messages that are complete; whether there was anything."""
        done = False
        while not self._closed and (frame := self._framer.take()) is not None:
            done = True
            if frame is Ping.PING:
                self.send(b"\r\n")
                continue
            try:
                self._on_frame(frame, self.peer)
            except Exception as error:
                log.error("a SIP message could not be handled", source=str(self.peer),
                          error=type(error).__name__, at=place(error))  # fmt: skip
        return done

    def _refuse(self, error: BadFrame) -> None:
        reply = bad_request_reply(error.head, error)
        if reply is not None:
            self.transport.write(reply)
        log.info("a SIP connection was closed", peer=str(self.peer), reason=error.reason)
        self.close()

    # --- what goes ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send; a peer that leaves too much unread is cut off."""
        if self._closed:
            return
        if self._unread is not None:
            self._backlog += len(data)
            if self._backlog > self._limits.backlog:
                log.warning("a SIP connection was cut: its peer does not read", peer=str(self.peer))
                self.abort()
                return
        self.transport.write(data)

    def pauseProducing(self) -> None:  # noqa: N802
        """Called by the transport: what was written is not being read."""
        if self._unread is None and not self._closed:
            self._unread = self._clock.callLater(self._limits.unread, self.abort)

    def resumeProducing(self) -> None:  # noqa: N802
        """Called by the transport: all was read."""
        self._backlog = 0
        if self._unread is not None and self._unread.active():
            self._unread.cancel()
        self._unread = None

    def stopProducing(self) -> None:  # noqa: N802
        """Called by the transport: the connection ends."""

    def close(self) -> None:
        """Send what is to be sent, then close."""
        if not self._closed:
            self._closed = True
            self.transport.unregisterProducer()
            self.transport.loseConnection()
            self._wait(self._limits.unread)

    def abort(self) -> None:
        """Close at once."""
        self._closed = True
        self.transport.abortConnection()

    def _wait(self, seconds: float) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self.abort)
