"""Two orders of the packets of one call: as they are heard, and as they arrive.

:class:`PlayoutBuffer` holds audio back for 40 ms, so that packets that came late or in another order find
their place: this is what is heard and recorded. :class:`ArrivalQueue` hands audio on at once, with silence
where packets are missing: tones are found in that, sooner, and whatever the network's jitter.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from ivr_sim.media.g711 import FRAME_SAMPLES, Samples
from ivr_sim.media.rtp import timestamp_delta

__all__ = ["ArrivalQueue", "PlayoutBuffer"]

SPAN = 50 * FRAME_SAMPLES  # the ring holds one second
DELAY = 2 * FRAME_SAMPLES
STARVED = 5  # empty frames in a row, after which a stream counts as beginning anew
# The buffer is deeper than it need be when it held this much ahead at every tick of a second.
TOO_DEEP = DELAY + 3 * FRAME_SAMPLES
PATIENCE = 50

MAX_FILL = 8 * FRAME_SAMPLES  # silence that ends any tone; a longer gap need not be filled
MAX_PENDING = SPAN

_MISSING = bytes(FRAME_SAMPLES)
_PRESENT = b"\x01"


class PlayoutBuffer:
    """A ring of one second of audio, written by timestamp and read in frames of 20 ms.

    The delay is 40 ms at the start. It grows when the newest packet there is comes too late to be heard,
    and shrinks by a frame a second while it is deeper than need be; that follows the clocks of sender and
    listener apart, too. Never holds more than the ring.
    """

    def __init__(self) -> None:
        self.head: int | None = None  # the RTP time of the next sample to be heard
        self.late = 0
        self._ring = np.zeros(SPAN, np.int16)
        self._filled = bytearray(SPAN)
        self._at = 0  # where in the ring the head is: a multiple of a frame, so that frames never wrap
        self._newest = -1
        self._end = 0  # the RTP time behind the newest audio
        self._empty = 0
        self._shallowest = SPAN
        self._ticks = 0

    def put(self, number: int, timestamp: int, samples: Samples) -> None:
        """Take one packet's audio; number: its extended sequence number."""
        if not len(samples):
            return
        if self.head is None:
            self._begin(timestamp - DELAY)
        newest = number > self._newest
        offset = timestamp_delta(timestamp, self._begun)
        if newest:
            if offset < 0:
                # Nothing newer is to be had, so play it: with all the delay after a pause, else at once.
                self._begin(timestamp - (DELAY if self._empty >= STARVED else 0))
            elif offset + len(samples) > SPAN:
                self._begin(timestamp - DELAY)  # the sender's clock has jumped
            offset = timestamp_delta(timestamp, self._begun)
            self._newest = number
            self._end = timestamp + len(samples)
        elif offset < 0:
            self.late += 1
            samples, offset = samples[-offset:], 0
        elif offset + len(samples) > SPAN:
            return  # reordered across a jump of the sender's clock
        first = (self._at + offset) % SPAN
        for start, part in ((first, samples[: SPAN - first]), (0, samples[SPAN - first :])):
            if len(part):
                self._ring[start : start + len(part)] = part
                self._filled[start : start + len(part)] = _PRESENT * len(part)

    def get(self) -> Samples | None:
        """The next 20 ms to be heard, int16 (160,), silent where parts are lost; None when all is."""
        if self.head is None:
            return None
        self._adapt()
        at = self._at
        frame = None
        if self._filled.count(1, at, at + FRAME_SAMPLES):
            frame = self._ring[at : at + FRAME_SAMPLES].copy()
        self._empty = 0 if frame is not None else self._empty + 1
        self._advance()
        return frame

    def reset(self) -> None:
        """Another sender has begun: the next packet starts the buffer anew."""
        self.head = None
        self._newest = -1

    @property
    def _begun(self) -> int:
        assert self.head is not None
        return self.head

    def _begin(self, timestamp: int) -> None:
        self.head = timestamp & 0xFFFFFFFF
        self._at = 0
        self._ring[:] = 0
        self._filled[:] = bytes(SPAN)
        self._ticks, self._shallowest = 0, SPAN

    def _advance(self) -> None:
        at = self._at
        self._ring[at : at + FRAME_SAMPLES] = 0
        self._filled[at : at + FRAME_SAMPLES] = _MISSING
        self._at = (at + FRAME_SAMPLES) % SPAN
        self.head = (self._begun + FRAME_SAMPLES) & 0xFFFFFFFF

    def _adapt(self) -> None:
        self._shallowest = min(self._shallowest, timestamp_delta(self._end, self._begun))
        self._ticks += 1
        if self._ticks == PATIENCE:
            if self._shallowest >= TOO_DEEP:
                self._advance()
            self._ticks, self._shallowest = 0, SPAN


class ArrivalQueue:
    """Audio in the order of arrival, cut into frames of 20 ms, with silence for what was lost.

    Packets that came between two ticks are put into their order first; one that comes later than that is
    left out, since silence was handed on in its place.
    """

    def __init__(self) -> None:
        self._fresh: list[tuple[int, int, Samples]] = []
        self._parts: deque[Samples] = deque()
        self._pending = 0
        self._newest = -1
        self._end = 0  # the RTP time behind the last sample queued
        self._joined = False  # whether that time says anything about the next packet's

    def put(self, number: int, timestamp: int, samples: Samples) -> None:
        """Take one packet's audio; number: its extended sequence number."""
        if len(samples):
            self._fresh.append((number, timestamp, samples))

    def settle(self) -> None:
        """All that has arrived by this tick was put."""
        if len(self._fresh) > 1:
            self._fresh.sort(key=lambda packet: packet[0])
        for number, timestamp, samples in self._fresh:
            if number <= self._newest:
                continue
            gap = timestamp_delta(timestamp, self._end) if self._joined else FRAME_SAMPLES
            if gap > 0:
                self._append(np.zeros(min(gap, MAX_FILL), np.int16))
            self._append(samples)
            self._end = (timestamp + len(samples)) & 0xFFFFFFFF
            self._newest, self._joined = number, True
        self._fresh.clear()

    def starve(self) -> None:
        """Nothing has come for so long that the caller counts as silent for one more frame."""
        self._append(np.zeros(FRAME_SAMPLES, np.int16))
        self._end = (self._end + FRAME_SAMPLES) & 0xFFFFFFFF

    def take(self) -> tuple[Samples, int] | None:
        """The next 20 ms, int16 (160,), with the RTP time behind them; None when there are not so many."""
        if self._pending < FRAME_SAMPLES:
            return None
        self._pending -= FRAME_SAMPLES
        frame = self._parts.popleft()
        if len(frame) != FRAME_SAMPLES:
            pieces, size = [frame], len(frame)
            while size < FRAME_SAMPLES:
                pieces.append(self._parts.popleft())
                size += len(pieces[-1])
            whole = np.concatenate(pieces)
            frame = whole[:FRAME_SAMPLES]
            if size > FRAME_SAMPLES:
                self._parts.appendleft(whole[FRAME_SAMPLES:])
        return frame, (self._end - self._pending) & 0xFFFFFFFF

    def reset(self) -> None:
        """Another sender has begun, whose clock has nothing to do with the last one's."""
        self._joined = False

    def _append(self, samples: Samples) -> None:
        if self._pending + len(samples) <= MAX_PENDING:
            self._parts.append(samples)
            self._pending += len(samples)
