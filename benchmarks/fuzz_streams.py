"""Hostile connections: what ``mutation.py`` makes, as streams, whole and torn, by TCP."""

from __future__ import annotations

import random
import re
import socket
from contextlib import suppress

__all__ = ["Streams"]

OPEN = 8  # connections at a time
PATIENCE = 5.0  # seconds for a connection, or for bytes to be taken


class Streams:
    """Connections to one port, opened and closed at random, the same for the same seed.

    opened: how many there were; refused: how many the other side closed, as it may after what is no SIP.
    """

    def __init__(self, at: tuple[str, int], seed: int) -> None:
        self.opened = 0
        self.refused = 0
        self._at = at
        self._random = random.Random(seed)
        self._sockets: list[socket.socket | None] = [None] * OPEN

    def send(self, message: bytes, garbage: bytes) -> None:
        """Send one message by one of the connections: as it is, framed, torn, half, twice, or after
        garbage. Raises OSError: the port takes no connections, or no bytes."""
        at = self._random.randrange(OPEN)
        where = self._sockets[at]
        if where is None or not self._heard(where):
            self._close(at)
            self.opened += 1
            where = self._sockets[at] = socket.create_connection(self._at, timeout=PATIENCE)
        half = self._random.randrange(len(message) + 1)
        way = self._random.choice(
            ("as it is", "framed", "framed", "framed", "torn", "half", "twice", "after")
        )
        whole = framed(message)
        pieces = {
            "as it is": [message],
            "framed": [whole],
            "torn": [whole[:half], whole[half:]],
            "half": [whole[:half]],
            "twice": [b"\r\n\r\n" + whole + whole],
            "after": [garbage + whole],
        }[way]
        try:
            for piece in pieces:
                where.sendall(piece)
        except ConnectionError:
            self.refused += 1
            self._close(at)
            return
        if way == "half" or self._random.random() < 0.1:
            self._close(at, abruptly=self._random.random() < 0.5)

    def ask(self, data: bytes) -> bytes:
        """What comes back to a message by a connection of its own. Raises OSError."""
        with socket.create_connection(self._at, timeout=PATIENCE) as asked:
            asked.sendall(b"\r\n\r\n" + data)
            came = b""
            while b"SIP/2.0 " not in came or not came.endswith(b"\r\n\r\n"):
                more = asked.recv(65_536)
                if not more:
                    break
                came += more
        return came

    def close(self) -> None:
        """Close them all."""
        for at in range(OPEN):
            self._close(at)

    def _heard(self, where: socket.socket) -> bool:
        """Take what has come; says whether the connection is still there."""
        where.setblocking(False)
        try:
            while where.recv(65_536):
                pass
        except BlockingIOError:
            where.settimeout(PATIENCE)
            return True
        except ConnectionError:
            pass
        self.refused += 1
        return False

    def _close(self, at: int, *, abruptly: bool = False) -> None:
        where, self._sockets[at] = self._sockets[at], None
        if where is not None:
            if abruptly:  # a reset
                with suppress(OSError):
                    where.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            where.close()


def framed(message: bytes) -> bytes:
    """The message with the Content-Length that its body has, as a stream wants it."""
    head, blank, body = message.partition(b"\r\n\r\n")
    head = re.sub(rb"\r\n(?:content-length|l)[ \t]*:[^\r\n]*", b"", head, flags=re.IGNORECASE)
    return head + b"\r\nContent-Length: %d" % len(body) + (blank or b"\r\n\r\n") + body
