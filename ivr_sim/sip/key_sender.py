"""Keys that we send by SIP INFO, one after the other, so that none overtakes another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import structlog

from ivr_sim.errors import LocalProtocolError
from ivr_sim.sip import info
from ivr_sim.sip.message import Response

__all__ = ["KeySender"]

log = structlog.get_logger(__name__)

MAX_QUEUED = 64


class KeySender:
    """The keys of one call that wait to be sent.

    send: sends an INFO with this content type and body, and gives the function its responses. gone: is told
    of an answer that says that the dialog is no more (RFC 3261 section 12.2.1.2).
    """

    def __init__(
        self,
        send: Callable[[str, bytes, Callable[[Response], None]], None],
        gone: Callable[[Response], None],
    ) -> None:
        self._send = send
        self._gone = gone
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._sending = False

    def put(self, digit: str, duration_ms: int) -> None:
        """Send a key once those before it are answered. Raises LocalProtocolError: no such key, too many."""
        written = info.write_key(digit, duration_ms)
        if len(self._waiting) >= MAX_QUEUED:
            raise LocalProtocolError(f"{MAX_QUEUED} keys are waiting already; the other side is silent")
        self._waiting.append(written)
        self._next()

    def stop(self) -> None:
        """Forget the keys that wait."""
        self._waiting.clear()

    def _next(self) -> None:
        if not self._sending and self._waiting:
            self._sending = True
            self._send(*self._waiting.popleft(), self._answered)

    def _answered(self, response: Response) -> None:
        if response.status < 200:
            return
        self._sending = False
        if response.status in (408, 481):
            self.stop()
            self._gone(response)
            return
        if response.status >= 300:
            log.warning("a key by INFO was refused", status=response.status)
        self._next()
