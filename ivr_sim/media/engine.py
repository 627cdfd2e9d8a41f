"""The media engine: one object for all calls of a process, one tick of 20 ms for all of them.

Each tick empties every socket, searches all calls for tones at once, lets every listener hear and speak,
and sends. Ticks are due at start + n * 20 ms whatever the last one took: late ones are caught up, and
nothing drifts. Sockets are not registered with the reactor; they are looked at in the tick, which costs
less than an event for each packet.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import structlog

import dtmf
from ivr_sim.errors import ConfigurationError, IvrSimError, LocalProtocolError, place
from ivr_sim.media.g711 import Codec
from ivr_sim.media.stream import MediaStream, StreamListener
from ivr_sim.media.transmission import Transmission

__all__ = ["TICK", "MediaEngine", "MediaStream", "NoPortFree", "StreamListener"]

log = structlog.get_logger(__name__)

TICK = 0.020
CATCH_UP = 50  # ticks; after a longer standstill (a laptop asleep) the beat is taken up anew
SOON = 1e-6  # seconds: sums of floating point numbers may fall short of a tick by so much
ROUNDS = 8  # frames of one call searched for tones in one tick, when several have piled up


class NoPortFree(IvrSimError):
    """All ports of the range are taken, or the engine holds as many streams as it can."""


class MediaEngine:
    """Carries the media of all calls of a process.

    clock: the reactor, or another IReactorTime. host: the IPv4 address of all streams. ports: the first and
    the last that may be used, of which the even ones are (RFC 3550 section 11). detect_inband: whether
    tones are searched for. keys: which of them (the fewer, the less is speech taken for one). max_streams:
    how many there may be at a time. through: puts each socket behind a bad network, for tests of it. Raises
    ConfigurationError when that makes no sense.
    """

    def __init__(
        self,
        clock: Any,
        *,
        host: str = "127.0.0.1",
        ports: tuple[int, int] = (16384, 32766),
        detect_inband: bool = True,
        keys: str = dtmf.KEYS_16,
        max_streams: int = 1024,
        through: Callable[[socket.socket], Any] | None = None,
    ) -> None:
        first, last = ports[0] + ports[0] % 2, ports[1]
        if not 0 < first <= last <= 65535:
            raise ConfigurationError(
                f"no even port in {ports[0]}-{ports[1]}; give a range such as 16384-32766"
            )
        self.host = host
        self._clock = clock
        self._through = through
        self._ports = range(first, last + 1, 2)
        self._transmission = Transmission(max_streams)
        self._receiver = dtmf.Receiver(max_streams, keys=keys, refusals=True) if detect_inband else None
        self._free = list(range(max_streams - 1, -1, -1))
        self._streams: dict[int, MediaStream] = {}  # by slot
        self._next: Any = None  # the beat to come, an IDelayedCall
        self._running = False
        self._started_at = 0.0
        self._ticks = 0  # since the start

    @property
    def streams(self) -> tuple[MediaStream, ...]:
        """The streams that are open."""
        return tuple(self._streams.values())

    def start(self) -> None:
        """Begin to tick. Raises LocalProtocolError when it ticks already."""
        if self._running:
            raise LocalProtocolError("the media engine runs already")
        self._running = True
        self._started_at, self._ticks = self._clock.seconds(), 0
        self._schedule()

    def stop(self) -> None:
        """Close all streams and tick no more."""
        self._running = False
        for stream in self.streams:
            stream.close()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def open(self) -> MediaStream:
        """A stream on a free even port, found from a random one on upwards. Raises NoPortFree."""
        if not self._free:
            raise NoPortFree(f"{len(self._streams)} calls have media, and no more are allowed")
        sock = self._bind() if self._through is None else self._through(self._bind())
        slot = self._free.pop()
        self._transmission.open(slot)
        if self._receiver is not None:
            self._receiver.reset(slot)
        stream = MediaStream(slot, sock, self._transmission, self._closed)
        self._streams[slot] = stream
        return stream

    def _bind(self) -> socket.socket:
        begin = random.randrange(len(self._ports))
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for port in (*self._ports[begin:], *self._ports[:begin]):
            try:
                sock.bind((self.host, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    continue
                sock.close()
                raise ConfigurationError(f"RTP cannot use the address {self.host}: {error}") from error
            sock.setblocking(False)
            return sock
        sock.close()
        raise NoPortFree(f"no UDP port free on {self.host} in {self._ports[0]}-{self._ports[-1]}")

    def _closed(self, stream: MediaStream) -> None:
        del self._streams[stream.slot]
        self._free.append(stream.slot)

    def _schedule(self) -> None:
        wait = self._started_at + (self._ticks + 1) * TICK - self._clock.seconds()
        self._next = self._clock.callLater(max(wait - SOON / 2, 0), self._beat)

    def _beat(self) -> None:
        self._next = None
        due = int((self._clock.seconds() - self._started_at + SOON) / TICK)
        if due - self._ticks > CATCH_UP:
            log.warning("media stood still", seconds=round((due - self._ticks) * TICK, 1))
            self._ticks = due - 1
        while self._running and self._ticks < due:
            self._ticks += 1
            try:
                self._tick(on_time=self._ticks == due)
            except Exception as error:
                log.error("a media tick failed", error=type(error).__name__, at=place(error))
        if self._running:
            self._schedule()

    def _tick(self, *, on_time: bool) -> None:
        streams = [stream for stream in self._streams.values() if stream.started]
        for stream in streams:
            stream.receive(on_time=on_time)
        if self._receiver is not None:
            self._search(self._receiver, streams)
        speaking: dict[Codec, list[int]] = {}
        audible = set()
        for stream in streams:
            codec = stream.converse()
            if codec is not None:
                speaking.setdefault(codec, []).append(stream.slot)
                audible.add(stream.slot)
        for codec, slots in speaking.items():
            self._transmission.build(slots, codec)
        for stream in streams:
            if not stream.closed:
                stream.send(audio=stream.slot in audible)
        self._transmission.advance([stream.slot for stream in streams])

    def _search(self, receiver: dtmf.Receiver, streams: list[MediaStream]) -> None:
        """Look for tones in what has arrived, one frame of every call at a time."""
        for _ in range(ROUNDS):
            frames = [(stream, frame) for stream in streams if (frame := stream.tones()) is not None]
            if not frames:
                return
            streams = [stream for stream, _ in frames]
            by_slot = {stream.slot: stream for stream in streams}
            for event in receiver.feed(np.stack([frame for _, frame in frames]), list(by_slot)):
                stream = by_slot[event.line]
                if isinstance(event, dtmf.KeyDown):
                    stream.tone_down(event.digit, event.start_s)
                else:
                    tone = event.tone
                    stream.tone_up(tone.digit, tone.end_s - tone.start_s, tone.level_dbm0, tone.twist_db)
            for miss in receiver.refused():
                by_slot[miss.line].tone_refused(miss)
