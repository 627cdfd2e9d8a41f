"""What all calls send: one row of a table per call, so that a tick costs little Python per call."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media.g711 import FRAME_SAMPLES, Codec, Samples
from ivr_sim.media.rtp import HEADER, Packet

__all__ = ["Transmission"]

PACKET_SIZE = HEADER.size + FRAME_SAMPLES


class Transmission:
    """RTP packets of 20 ms for ``slots`` calls, each with a sequence, clock and SSRC of its own.

    Each tick: ``build`` for all that send audio, ``packet`` or ``event`` for each, and ``advance`` for all,
    whether they sent or not; before it ``pause`` for those that leave audio out that there was.
    """

    def __init__(self, slots: int) -> None:
        self._rows = np.zeros((slots, PACKET_SIZE), np.uint8)
        self._rows[:, 0] = 0x80
        self._views = [memoryview(row) for row in self._rows]  # type: ignore[arg-type]
        self._spoken = np.zeros(slots * FRAME_SAMPLES, np.int16)
        self._marker = np.zeros(slots, np.uint8)
        self._sequence = np.zeros(slots, np.uint16)
        self._timestamp = np.zeros(slots, np.uint32)
        self._ssrc = [0] * slots

    def open(self, slot: int) -> None:
        """A new call: random start of sequence and clock, random SSRC (RFC 3550 section 5.1)."""
        self._sequence[slot] = secrets.randbits(16)
        self._timestamp[slot] = secrets.randbits(32)
        self._ssrc[slot] = secrets.randbits(32)
        self._rows[slot, 8:12] = np.frombuffer(self._ssrc[slot].to_bytes(4), np.uint8)
        self._marker[slot] = 0

    def ssrc(self, slot: int) -> int:
        """Whom the call's packets are from."""
        return self._ssrc[slot]

    def timestamp(self, slot: int) -> int:
        """The RTP time of this tick's audio."""
        return int(self._timestamp[slot])

    def build(self, slots: Sequence[int], codec: Codec, spoken: Sequence[Samples]) -> None:
        """Make the audio packets of this tick, of calls that share a codec: int16 (160,) for each.

        Raises LocalProtocolError, and makes none, when one of them is anything else.
        """
        if not slots:
            return
        try:
            size = len(slots) * FRAME_SAMPLES
            if set(map(len, spoken)) != {FRAME_SAMPLES}:
                raise ValueError("not 20 ms")
            said = np.concatenate(spoken, out=self._spoken[:size], casting="no")
        except (TypeError, ValueError) as error:
            raise LocalProtocolError(f"what is said has to be int16 ({FRAME_SAMPLES},)") from error
        index = np.asarray(slots, np.intp)
        self._rows[index, 1] = codec.payload_type | self._marker[index]
        self._marker[index] = 0
        self._rows[index, 2:4] = _big_endian(self._sequence[index], 2)
        self._rows[index, 4:8] = _big_endian(self._timestamp[index], 4)
        self._rows[index, HEADER.size :] = codec.encode_array(said).reshape(-1, FRAME_SAMPLES)
        self._sequence[index] += np.uint16(1)

    def pause(self, slots: Sequence[int]) -> None:
        """These calls leave audio out: the next packet is marked as after a pause (RFC 3551, 4.1)."""
        if slots:
            self._marker[np.asarray(slots, np.intp)] = 0x80

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
