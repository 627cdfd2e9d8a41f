"""The callers' media: sockets, looked at every 5 ms, and packets that were made before.

It stands where a telephone's ``MediaEngine`` stands, and does next to nothing, so that hundreds of callers
leave room on a core: a packet costs a system call, and what is heard is counted and thrown away.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from tapes import STEPS

__all__ = ["CallerMedia", "CallerStream"]

STEP = 0.005


class CallerStream:
    """One call's socket, with what a session asks of its media."""

    def __init__(self, media: CallerMedia) -> None:
        self._media = media
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.local_host, self.local_port = self.socket.getsockname()
        self.on_error: Callable[[Exception], None] | None = None
        self.on_started: Callable[[], None] = lambda: None
        self.on_step: Callable[[int], None] = lambda packet: None
        self.steps: Sequence[Sequence[bytes]] = ()
        self.every_step = False
        self.started = self.closed = False
        self.codec: Any = None
        self.remote: tuple[str, int] = ("", 0)
        self.began = 0
        self.received = 0
        self.heard_last = 0
        self.longest_gap = 0  # steps

    def start(self, listener: object, codec: Any, remote: Any, event_payload_type: object, **_: Any) -> None:
        """The call was answered."""
        self.codec = codec
        self.remote = (remote[0], remote[1])
        self.started = True
        self.began = self.heard_last = self._media.step
        self._media.join(self)
        self.on_started()

    def update(self, **_: Any) -> None:
        """Nothing changes in these calls."""

    def close(self) -> None:
        """The call is over."""
        if not self.closed:
            self.closed = True
            self._media.leave(self)
            self.socket.close()


class CallerMedia:
    """All callers' media. clock: IReactorTime. late: steps of 5 ms that began 5 ms late or more."""

    host = "127.0.0.1"

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._groups: list[set[CallerStream]] = [set() for _ in range(STEPS)]
        self._every: set[CallerStream] = set()
        self._buffer = bytearray(2048)
        self._origin = 0.0
        self._running = False
        self.step = 0
        self.late = 0
        self.prepared: Callable[[CallerStream], None] = lambda stream: None

    def start(self) -> None:
        """Begin to step."""
        self._running = True
        self._origin = self._clock.seconds()
        self._clock.callLater(STEP, self._beat)

    def stop(self) -> None:
        """Step no more."""
        self._running = False

    def open(self) -> CallerStream:
        """A socket for a call."""
        stream = CallerStream(self)
        self.prepared(stream)
        return stream

    def join(self, stream: CallerStream) -> None:
        """A stream begins in this step."""
        (self._every if stream.every_step else self._groups[self.step % STEPS]).add(stream)

    def leave(self, stream: CallerStream) -> None:
        """A stream is over."""
        self._every.discard(stream)
        for group in self._groups:
            group.discard(stream)

    def _beat(self) -> None:
        if not self._running:
            return
        due = int((self._clock.seconds() - self._origin) / STEP + 1e-6)
        self.late += due - self.step > 1
        while self.step < due:
            self.step += 1
            for stream in tuple(self._groups[self.step % STEPS]):
                self._pass(stream, (self.step - stream.began) // STEPS)
            for stream in tuple(self._every):
                self._pass(stream, self.step - stream.began)
        wait = self._origin + (self.step + 1) * STEP - self._clock.seconds()
        self._clock.callLater(max(wait, 0), self._beat)

    def _pass(self, stream: CallerStream, at: int) -> None:
        sock = stream.socket
        if at < len(stream.steps):
            for packet in stream.steps[at]:
                sock.sendto(packet, stream.remote)
        came = 0
        try:
            while True:
                sock.recv_into(self._buffer)
                came += 1
        except BlockingIOError:
            pass
        if came:
            stream.received += came
            stream.longest_gap = max(stream.longest_gap, self.step - stream.heard_last)
            stream.heard_last = self.step
        stream.on_step((self.step - stream.began) // STEPS)
