"""Packets in the order of their arrival, to be searched for tones."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np

from ivr_sim.media.bridge import EDGE, LONGEST, bridge
from ivr_sim.media.g711 import FRAME_SAMPLES, Samples
from ivr_sim.media.rtp import timestamp_delta

__all__ = ["ArrivalQueue"]

MAX_FILL = 8 * FRAME_SAMPLES  # silence that ends any tone; a longer gap need not be filled
MAX_PENDING = 50 * FRAME_SAMPLES
HOLD_TICKS = 3  # as long as packets are commonly out of order

_NOTHING = np.zeros(0, np.int16)


class Fresh(NamedTuple):
    """A packet that has not been handed on."""

    number: int
    timestamp: int
    samples: Samples
    tick: int  # when it came


class ArrivalQueue:
    """Audio as soon as it arrives, cut into frames of 20 ms, with something in the place of what was lost.

    Where a packet is missing, those behind it wait for it for 60 ms; one that comes later than that is left
    out.
    """

    def __init__(self) -> None:
        self._fresh: list[Fresh] = []
        self._parts: deque[Samples] = deque()
        self._pending = 0
        self._newest = -1
        self._end = 0  # the RTP time behind the last sample queued
        self._edge = _NOTHING  # the last samples before it
        self._joined = False  # whether that time says anything about the next packet's

    def put(self, number: int, timestamp: int, samples: Samples, tick: int) -> None:
        """Take one packet's audio, empty for one of another kind; number: its extended sequence number."""
        self._fresh.append(Fresh(number, timestamp, samples, tick))

    def settle(self, tick: int) -> None:
        """All that has arrived by this tick was put."""
        if len(self._fresh) > 1:
            self._fresh.sort(key=lambda packet: packet.number)
        for handed_on, packet in enumerate(self._fresh):
            if self._joined and packet.number > self._newest + 1:
                waiting = self._fresh[handed_on:]
                if tick - min(other.tick for other in waiting) < HOLD_TICKS:
                    self._fresh = waiting
                    return
            if packet.number > self._newest:
                self._hand_on(packet, self._fresh[handed_on + 1 :])
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

    def discard(self) -> None:
        """Nobody wants what there is."""
        self._parts.clear()
        self._pending = 0

    def reset(self) -> None:
        """Another sender has begun, whose clock has nothing to do with the last one's."""
        self._joined = False

    def caught_up(self) -> tuple[int, int] | None:
        """The newest packet's number and the RTP time behind it, if all there was has been handed on."""
        if self._pending or self._fresh or not self._joined:
            return None
        return self._newest, self._end

    def went_on(self, packets: int, edge: Samples) -> None:
        """So many packets of 20 ms came, each in its turn, and were handed on by others; edge: the last."""
        self._edge = edge
        self._newest += packets
        self._end = (self._end + packets * FRAME_SAMPLES) & 0xFFFFFFFF

    def _hand_on(self, packet: Fresh, following: list[Fresh]) -> None:
        number, timestamp, samples, _ = packet
        self._newest = number
        if not len(samples):
            return
        gap = timestamp_delta(timestamp, self._end) if self._joined else FRAME_SAMPLES
        if self._joined and 0 < gap <= LONGEST:
            short = following if len(samples) < EDGE else ()
            beyond = np.concatenate([samples, *(other.samples for other in short)])
            self._append(bridge(self._edge, gap, beyond[:EDGE]))
        elif gap > 0:
            self._append(np.zeros(min(gap, MAX_FILL), np.int16))
        self._append(samples)
        self._end = (timestamp + len(samples)) & 0xFFFFFFFF
        if len(samples) < EDGE and gap <= 0:
            samples = np.concatenate([self._edge, samples])
        self._edge = samples[-EDGE:]
        self._joined = True

    def _append(self, samples: Samples) -> None:
        if self._pending + len(samples) <= MAX_PENDING:
            self._parts.append(samples)
            self._pending += len(samples)
