"""What all calls send: one row of a table per call, so that a tick costs little Python per call."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

from ivr_sim.media.g711 import FRAME_SAMPLES, Codec, Samples
from ivr_sim.media.rtp import HEADER, Packet

__all__ = ["Transmission"]

PACKET_SIZE = HEADER.size + FRAME_SAMPLES


class Transmission:
    """RTP packets of 20 ms for ``slots`` calls, each with a sequence, clock and SSRC of its own.

    Each tick: ``spoken`` for each call that has something to say, ``build`` for all that send audio,
    ``packet`` or ``event`` for each, and ``advance`` for all, whether they sent or not.
    """

    def __init__(self, slots: int) -> None:
        self._rows = np.zeros((slots, PACKET_SIZE), np.uint8)
        self._rows[:, 0] = 0x80
        self._views = [memoryview(row) for row in self._rows]  # type: ignore[arg-type]
        self._spoken = np.zeros((slots, FRAME_SAMPLES), np.int16)
        self._sequence = np.zeros(slots, np.uint16)
        self._timestamp = np.zeros(slots, np.uint32)
        self._ssrc = [0] * slots

    def open(self, slot: int) -> None:
        """A new call: random start of sequence and clock, random SSRC (RFC 3550 section 5.1)."""
        self._sequence[slot] = secrets.randbits(16)
        self._timestamp[slot] = secrets.randbits(32)
        self._ssrc[slot] = secrets.randbits(32)
        self._rows[slot, 8:12] = np.frombuffer(self._ssrc[slot].to_bytes(4), np.uint8)
        self._spoken[slot] = 0

    def timestamp(self, slot: int) -> int:
        """The RTP time of this tick's audio."""
        return int(self._timestamp[slot])

    def spoken(self, slot: int, samples: Samples | None) -> None:
        """What the call says in this tick: int16 (160,); None for silence."""
        self._spoken[slot] = 0 if samples is None else samples

    def build(self, slots: Sequence[int], codec: Codec) -> None:
        """Make the audio packets of this tick, of calls that share a codec."""
        if not slots:
            return
        index = np.asarray(slots, np.intp)
        self._rows[index, 1] = codec.payload_type
        self._rows[index, 2:4] = _big_endian(self._sequence[index], 2)
        self._rows[index, 4:8] = _big_endian(self._timestamp[index], 4)
        self._rows[index, HEADER.size :] = codec.encode_array(self._spoken[index])
        self._sequence[index] += np.uint16(1)

    def packet(self, slot: int) -> memoryview:
        """The audio packet that was built last; valid until the next is."""
        return self._views[slot]

    def event(self, slot: int, payload_type: int, payload: bytes, timestamp: int, *, marker: bool) -> bytes:
        """A telephone-event packet, next in the call's sequence, at the time of the event's onset."""
        sequence = int(self._sequence[slot])
        self._sequence[slot] = (sequence + 1) & 0xFFFF
        return Packet(payload_type, sequence, timestamp, self._ssrc[slot], payload, marker).serialise()

    def advance(self, slots: Sequence[int]) -> None:
        """20 ms have passed for these calls."""
        if slots:
            self._timestamp[np.asarray(slots, np.intp)] += np.uint32(FRAME_SAMPLES)


def _big_endian(numbers: np.ndarray, size: int) -> np.ndarray:
    return numbers.astype(f">u{size}").view(np.uint8).reshape(-1, size)
