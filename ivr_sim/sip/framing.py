"""SIP in a stream of bytes: where one message ends and the next begins (RFC 3261 section 18.3), without I/O.

    CRLF CRLF            keep-alive: a ping, to be answered by one CRLF (RFC 5626 section 4.4.1)
    head, blank line     how long the body is says Content-Length, which must be there
    body                 that many bytes

A stream that breaks these rules cannot be followed any further: its connection is to be closed.
"""

from __future__ import annotations

import re
from enum import Enum

from ivr_sim.sip.grammar import BadMessage

__all__ = ["BadFrame", "Framer", "Ping"]

MAX_HEAD = 16_384  # bytes
MAX_MESSAGE = 65_535  # bytes, as of a datagram

_LENGTH = re.compile(
    rb"\n(?:content-length|l)[ \t]*:[ \t]*(?:\r\n[ \t]+)?([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE
)


class Ping(Enum):
    """What is no message: a keep-alive, which wants a line break as its answer."""

    PING = "ping"


class BadFrame(BadMessage):
    """The stream cannot be followed; head: what there is of the message, for a refusal."""

    def __init__(self, status: int, reason: str, head: bytes) -> None:
        super().__init__(status, reason)
        self.head = head


class Framer:
    """Cuts one connection's bytes into messages.

    It holds at most ``max_head`` bytes of a head without an end, and ``max_message`` of a message.
    """

    def __init__(self, *, max_head: int = MAX_HEAD, max_message: int = MAX_MESSAGE) -> None:
        self._max_head = max_head
        self._max_message = max_message
        self._buffer = bytearray()
        self._wanted = 0  # bytes of the message that is being read, 0 while its head has no end
        self._searched = 0  # bytes that hold no end of the head: a head that trickles is not searched anew

    @property
    def waiting(self) -> bool:
        """Whether, after all was taken, a message has begun that has not ended."""
        return len(self._buffer) > 3 or not b"\r\n\r\n".startswith(bytes(self._buffer))

    def feed(self, data: bytes) -> None:
        """Take what has arrived."""
        self._buffer += data

    def take(self) -> bytes | Ping | None:
        """The next message, or a ping; None when more is needed. Raises BadFrame 400 or 513: close it."""
        if not self._wanted:
            skipped = self._skip_line_breaks()
            if skipped is not None or not self._buffer:
                return skipped
            self._wanted = self._measure()
        if not self._wanted or len(self._buffer) < self._wanted:
            return None
        message = bytes(self._buffer[: self._wanted])
        del self._buffer[: self._wanted]
        self._wanted = self._searched = 0
        return message

    def _skip_line_breaks(self) -> Ping | None:
        if self._buffer.startswith(b"\r\n\r\n"):
            del self._buffer[:4]
            return Ping.PING
        if self._buffer.startswith(b"\r\n") and bytes(self._buffer[2:4]) not in (b"", b"\r"):
            del self._buffer[:2]  # an answer to a ping, or a stray line break (RFC 3261 section 7.5)
        return None

    def _measure(self) -> int:
        """How many bytes the message has, 0 while that cannot be known."""
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        self._searched = len(self._buffer)
        if end < 0 and len(self._buffer) <= self._max_head:
            return 0
        if end < 0 or end > self._max_head:
            raise BadFrame(513, "Message Too Large", bytes(self._buffer[: self._max_head]))
        head = bytes(self._buffer[: end + 4])
        lengths = set(_LENGTH.findall(head))
        if not lengths:
            raise BadFrame(400, "Content-Length is required over a connection", head)
        length = lengths.pop()
        if lengths or not re.fullmatch(rb"[0-9]{1,9}", length):
            raise BadFrame(400, "Malformed Content-Length", head)
        if end + 4 + int(length) > self._max_message:
            raise BadFrame(513, "Message Too Large", head)
        return end + 4 + int(length)
