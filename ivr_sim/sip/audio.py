"""Sound in pyVoIP's form, handed between the reactor's thread and another one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from ivr_sim.media import FRAME_SAMPLES, Samples

__all__ = ["Audio"]

SILENCE = b"\x80"  # of unsigned 8-bit PCM
KEPT = 60 * 8000  # bytes heard that wait for a reader; the oldest give way


class Audio:
    """A StreamListener of unsigned 8-bit PCM at 8 kHz; ``on_key`` gets each key when it goes down.

    ``write``, ``read`` and ``close`` may be called on any thread.
    """

    def __init__(self, on_key: Callable[[str], None]) -> None:
        self._on_key = on_key
        self._changed = threading.Condition()
        self._heard = bytearray()
        self._spoken: deque[bytes] = deque()
        self._first = 0  # bytes of the first piece that were spoken already
        self._over = False

    def tick(self, heard: Samples) -> Samples | None:
        """20 ms each way, on the reactor's thread."""
        with self._changed:
            self._heard += ((heard >> 8) + 128).astype(np.uint8).tobytes()
            del self._heard[:-KEPT]
            self._changed.notify_all()
            frame = self._next_frame()
        if not frame:
            return None
        return ((np.frombuffer(frame, np.uint8).astype(np.int16) - 128) << 8).astype(np.int16)

    def key_down(self, digit: str, method: str, start: float) -> None:
        """A key, as soon as it is certain."""
        self._on_key(digit)

    def key_up(
        self,
        digit: str,
        method: str,
        start: float,
        duration_ms: int,
        level_dbm0: float | None,
        twist_db: float | None = None,
    ) -> None:
        """Of no interest here."""

    def write(self, data: bytes) -> None:
        """Say this after what is waiting."""
        with self._changed:
            if data and not self._over:
                self._spoken.append(bytes(data))

    def read(self, length: int, wait: bool) -> bytes:
        """The next bytes heard; ``wait`` until they are there or the call is over. Filled up with silence."""
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: len(self._heard) >= length or self._over)
            data = bytes(self._heard[:length])
            del self._heard[:length]
        return data.ljust(length, SILENCE)

    def close(self) -> None:
        """The call is over: nobody waits any longer."""
        with self._changed:
            self._over = True
            self._spoken.clear()
            self._changed.notify_all()

    def _next_frame(self) -> bytes:
        frame = b""
        while self._spoken and len(frame) < FRAME_SAMPLES:
            piece = self._spoken[0]
            part = piece[self._first : self._first + FRAME_SAMPLES - len(frame)]
            frame += part
            self._first += len(part)
            if self._first == len(piece):
                self._spoken.popleft()
                self._first = 0
        return frame.ljust(FRAME_SAMPLES, SILENCE) if frame else b""
