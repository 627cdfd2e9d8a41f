"""Streams that run smoothly: one row each of a few tables, so that a tick costs little Python per call.

Most packets are what the one before let us expect: the next number, 20 ms later, from the same sender. Such
a stream's state is a row here, and all that it does in a tick is done for all rows at once. With anything
else (a packet lost, late, doubled, of another kind or length; nothing left to be heard) a stream leaves its
row, and its ``Reception`` takes the packets by hand until they run smoothly again::

    Reception   ---- enter: what comes next ------->   Rows
    (by hand)   <--- leave: what went by meanwhile --   (all at once)

Both ways give the same audio, keys and counts. Whatever is to be done about packets that are not as expected
belongs to the way by hand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ivr_sim.media.g711 import CODECS, FRAME_SAMPLES, Samples
from ivr_sim.media.jitter import (
    FAR_TOO_DEEP,
    HASTE,
    PATIENCE,
    QUEUE_FRAMES,
    SPAN_FRAMES,
    TOO_DEEP,
    Held,
)
from ivr_sim.media.reception import JITTER_SHARE, STARVED_TICKS, Next, Passed
from ivr_sim.media.rtp import HEADER

__all__ = ["MAX_DATAGRAM", "PACKET_SIZE", "Rows", "Slots", "Taken"]

MAX_DATAGRAM = 2048
PACKET_SIZE = HEADER.size + FRAME_SAMPLES
TICK_MS = 20

Slots = npt.NDArray[np.intp]

# Frames.
_DEEP = TOO_DEEP // FRAME_SAMPLES
_FAR_TOO_DEEP = FAR_TOO_DEEP // FRAME_SAMPLES


class Taken(NamedTuple):
    """What one datagram each of some rows brought.

    slots, frames: what is to be searched for tones, (n,) and int16 (n, 160); odd: the slots whose datagram
    was not the one expected, and has not been taken.
    """

    slots: Slots
    frames: Samples
    odd: list[int]


class Rows:
    """The rows of ``slots`` streams; in use are those that were entered.

    Each tick: ``take`` for each round of datagrams, one of a slot, written into ``datagrams`` before;
    ``silent``, whose slots have to leave, and ``settle``; ``unsettled``, whose slots have to leave, too, and
    ``hear``.
    """

    def __init__(self, slots: int) -> None:
        table = np.zeros((slots, MAX_DATAGRAM), np.uint8)
        self.datagrams = [memoryview(row) for row in table]  # type: ignore[arg-type]
        self._headers = table[:, : HEADER.size]
        self._payloads = table[:, HEADER.size : PACKET_SIZE]
        self._rings = np.zeros((slots, SPAN_FRAMES, FRAME_SAMPLES), np.int16)
        self._used = np.zeros(slots, bool)
        # The next packet.
        self._payload_type = np.zeros(slots, np.uint8)
        self._sequence = np.zeros(slots, np.uint16)
        self._timestamp = np.zeros(slots, np.uint32)
        self._ssrc = np.zeros(slots, np.uint32)
        # The playout buffer: see ``Held``.
        self._at = np.zeros(slots, np.int64)
        self._depth = np.zeros(slots, np.int64)
        self._shallowest = np.zeros(slots, np.int64)
        self._patience = np.zeros(slots, np.int64)
        # In ticks on time of all: the last packet; when the next one is neither early nor late.
        self._last = np.zeros(slots, np.int64)
        self._due = np.zeros(slots)
        self._jitter_ms = np.zeros(slots)
        self._listens = np.zeros(slots, bool)
        # What went by since the stream's reception was told of it.
        self._packets = np.zeros(slots, np.int64)
        self._searched = np.zeros(slots, np.int64)
        self._searched_to = np.zeros(slots, np.uint32)
        self._told = [(0, 0)] * slots  # ticks, on_time: then
        self._ticks = 0
        self._on_time = 0

    def ring(self, slot: int) -> Samples:
        """The ring of a new stream's playout buffer, empty."""
        self._rings[slot] = 0
        ring: Samples = self._rings[slot].reshape(-1)
        return ring

    def enter(self, slot: int, coming: Next) -> None:
        """A stream runs smoothly from the next tick on."""
        self._payload_type[slot] = coming.payload_type
        self._sequence[slot] = coming.sequence
        self._timestamp[slot] = coming.timestamp
        self._ssrc[slot] = coming.ssrc
        self._hold(slot, coming.held)
        self._last[slot] = self._on_time - coming.waited
        self._due[slot] = self._on_time - coming.late
        self._jitter_ms[slot] = coming.jitter_ms
        self._listens[slot] = coming.listens
        self._forget(slot)
        self._used[slot] = True

    def passed(self, slot: int) -> Passed:
        """What went by since the stream entered, or since this was asked last."""
        ticks, on_time = self._told[slot]
        passed = Passed(
            int(self._packets[slot]),
            int(self._timestamp[slot]),
            self._ticks - ticks,
            self._on_time - on_time,
            self._on_time - int(self._last[slot]),
            int(self._searched[slot]),
            int(self._searched_to[slot]),
            float(self._jitter_ms[slot]),
            Held(
                int(self._at[slot]),
                int(self._depth[slot]),
                int(self._shallowest[slot]),
                int(self._patience[slot]),
            ),
        )
        self._forget(slot)
        return passed

    def leave(self, slot: int) -> None:
        """The stream's packets are taken by hand again; what went by was asked for."""
        self._used[slot] = False

    def listen(self, slot: int, listens: bool) -> None:
        """Whether tones of this stream matter from now on."""
        self._listens[slot] = listens

    def take(self, slots: list[int]) -> Taken:
        """Take one datagram of ``PACKET_SIZE`` bytes of each of these slots, if it is the one expected."""
        at = np.array(slots, np.intp)
        header = self._headers[at]
        words = header.view(">u4")
        fits = header[:, 0] == 0x80
        fits &= header[:, 1] & 0x7F == self._payload_type[at]
        fits &= header.view(">u2")[:, 1] == self._sequence[at]
        fits &= words[:, 1] == self._timestamp[at]
        fits &= words[:, 2] == self._ssrc[at]
        fits &= self._depth[at] < QUEUE_FRAMES
        odd: list[int] = []
        if not fits.all():
            odd = at[~fits].tolist()
            at = at[fits]
        frames = self._decoded(at)
        depth = self._depth[at]
        self._rings[at, (self._at[at] + depth) % SPAN_FRAMES] = frames
        self._depth[at] = depth + 1
        self._sequence[at] += np.uint16(1)
        self._timestamp[at] += np.uint32(FRAME_SAMPLES)
        self._packets[at] += 1
        self._last[at] = self._on_time
        apart = np.abs(self._on_time - self._due[at]) * TICK_MS
        self._due[at] = self._on_time + 1
        self._jitter_ms[at] += (apart - self._jitter_ms[at]) / JITTER_SHARE
        listens = self._listens[at]
        if not listens.all():
            at, frames = at[listens], frames[listens]
        self._searched[at] += 1
        self._searched_to[at] = self._timestamp[at]
        return Taken(at, frames, odd)

    def silent(self) -> list[int]:
        """The slots from which nothing has come for so long that it has to be dealt with by hand."""
        at = np.flatnonzero(self._used)
        silent: list[int] = at[self._on_time - self._last[at] >= STARVED_TICKS].tolist()
        return silent

    def settle(self, *, on_time: bool) -> None:
        """All datagrams of this tick were taken; on_time: false in a tick that is caught up."""
        self._on_time += on_time

    def unsettled(self) -> list[int]:
        """The slots in which nothing is left to be heard, or too much, so that a frame is to be left out."""
        at = np.flatnonzero(self._used)
        depth = self._depth[at]
        patience, shallowest = self._patience[at] + 1, np.minimum(self._shallowest[at], depth)
        deep = (patience == PATIENCE) & (shallowest >= _DEEP)
        deep |= (patience >= HASTE) & (shallowest >= _FAR_TOO_DEEP)
        slots: list[int] = at[(depth == 0) | deep].tolist()
        return slots

    def hear(self) -> tuple[Slots, Samples]:
        """What is heard in this tick, which ends it: the slots (n,) in use, and int16 (n, 160)."""
        slots = np.flatnonzero(self._used)
        at, depth, patience = self._at[slots], self._depth[slots], self._patience[slots] + 1
        shallowest = np.minimum(self._shallowest[slots], depth)
        full = patience == PATIENCE
        if full.any():
            shallowest[full], patience[full] = SPAN_FRAMES, 0  # none was too deep, or it would have left
        frames: Samples = self._rings[slots, at]
        self._at[slots] = (at + 1) % SPAN_FRAMES
        self._depth[slots] = depth - 1
        self._shallowest[slots], self._patience[slots] = shallowest, patience
        self._ticks += 1
        return slots, frames

    def _decoded(self, slots: Slots) -> Samples:
        payload_type, payloads = self._payload_type[slots], self._payloads[slots]
        if not len(slots):
            return np.zeros((0, FRAME_SAMPLES), np.int16)
        first = CODECS[int(payload_type[0])]
        if (payload_type == first.payload_type).all():
            return first.decode_array(payloads)
        frames = np.empty(payloads.shape, np.int16)
        for codec in CODECS.values():
            its = payload_type == codec.payload_type
            frames[its] = codec.decode_array(payloads[its])
        return frames

    def _hold(self, slot: int, held: Held) -> None:
        self._at[slot], self._depth[slot] = held.at, held.depth
        self._shallowest[slot], self._patience[slot] = held.shallowest, held.ticks

    def _forget(self, slot: int) -> None:
        self._packets[slot] = self._searched[slot] = 0
        self._told[slot] = self._ticks, self._on_time
