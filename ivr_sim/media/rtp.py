"""RTP packets (RFC 3550 section 5.1), and the arithmetic of numbers that wrap.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    |                           timestamp                           |
    |                             SSRC                              |
    |                     CSRC, CC of them                          |
    |   profile's own, if X         |  length in 32-bit words       |
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from ivr_sim.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["BadPacket", "Packet", "SequenceWindow", "sequence_delta", "timestamp_delta"]

HEADER = struct.Struct("!BBHII")
MAX_DROPOUT = 3000  # RFC 3550 appendix A.1
WINDOW = 64  # packets behind the newest that can still be told from duplicates: 1.28 s of 20 ms


class BadPacket(RemoteProtocolError):
    """What arrived is no RTP packet, or not one that can be used."""


def sequence_delta(a: int, b: int) -> int:
    """How far ``a`` lies ahead of ``b`` on the circle of 16 bits: -32768 to 32767."""
    return ((a - b + 0x8000) & 0xFFFF) - 0x8000


def timestamp_delta(a: int, b: int) -> int:
    """How far ``a`` lies ahead of ``b`` on the circle of 32 bits: -2**31 to 2**31 - 1."""
    return ((a - b + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet.

    extension: the profile's 16 bits and the values behind them, a multiple of four bytes; padding: how many
    bytes of it follow the payload, its own count included.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = field(default=b"", repr=False)  # that of a telephone-event is a key
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    padding: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Packet:
        """Read one datagram. Raises BadPacket, and never anything else."""
        size = len(data)
        if size < HEADER.size:
            raise BadPacket(f"RTP header cut short: {size} bytes of {HEADER.size}")
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        if first >> 6 != 2:
            raise BadPacket(f"RTP version {first >> 6}, not 2")
        if first == 0x80:  # the ordinary packet: no padding, extension or contributing sources
            return cls(second & 0x7F, sequence, timestamp, ssrc, data[12:], second > 0x7F)
        at, end = HEADER.size, size
        count = first & 0x0F
        if at + 4 * count > size:
            raise BadPacket(f"RTP list of {count} contributing sources cut short")
        csrcs = struct.unpack_from(f"!{count}I", data, at)
        at += 4 * count
        extension = None
        if first & 0x10:
            if at + 4 > size:
                raise BadPacket("RTP header extension cut short")
            profile, words = struct.unpack_from("!HH", data, at)
            at += 4
            if at + 4 * words > size:
                raise BadPacket(f"RTP header extension of {words} words cut short")
            extension = (profile, data[at : at + 4 * words])
            at += 4 * words
        padding = 0
        if first & 0x20:
            padding = data[-1] if at < size else 0
            if not 0 < padding <= size - at:
                raise BadPacket(f"RTP padding of {padding} bytes in {size - at}")
            end -= padding
        return cls(
            second & 0x7F, sequence, timestamp, ssrc, data[at:end], second > 0x7F, csrcs, extension, padding
        )

    def serialise(self) -> bytes:
        """The packet as bytes. Raises LocalProtocolError when a field does not fit."""
        for name, value, bits in (
            ("payload_type", self.payload_type, 7),
            ("sequence", self.sequence, 16),
            ("timestamp", self.timestamp, 32),
            ("ssrc", self.ssrc, 32),
            ("number of csrcs", len(self.csrcs), 4),
            ("padding", self.padding, 8),
        ):
            if not 0 <= value < 1 << bits:
                raise LocalProtocolError(f"RTP {name} {value} does not fit into {bits} bits")
        first = 0x80 | len(self.csrcs)
        tail = b""
        if self.extension is not None:
            profile, values = self.extension
            if len(values) % 4 or len(values) > 4 * 0xFFFF or not 0 <= profile <= 0xFFFF:
                raise LocalProtocolError(f"RTP header extension of {len(values)} bytes, profile {profile}")
            first |= 0x10
            tail = struct.pack("!HH", profile, len(values) // 4) + values
        padding = b""
        if self.padding:
            first |= 0x20
            padding = bytes(self.padding - 1) + bytes((self.padding,))
        return (
            HEADER.pack(first, self.payload_type | self.marker << 7, self.sequence, self.timestamp, self.ssrc)
            + struct.pack(f"!{len(self.csrcs)}I", *self.csrcs)
            + tail
            + self.payload
            + padding
        )


class SequenceWindow:
    """Tells new packets from late and doubled ones, and counts the lost (RFC 3550 appendix A.1).

    Numbers of 16 bits are extended to ones that never wrap, so that others may simply compare them. A jump
    of more than 3,000 packets, or far back, counts only when a second packet follows in sequence: the
    sender has started anew. One stray packet is forgotten.
    """

    def __init__(self) -> None:
        self.received = 0
        self.duplicated = 0
        self.reordered = 0
        self._lost = 0
        self._floor = 0  # where the extended numbers of the next beginning start
        self._newest: int | None = None
        self._seen = 0  # bit n: number (newest - n) has arrived
        self._restart_at: int | None = None

    @property
    def lost(self) -> int:
        """Packets that were sent, to all appearances, and did not arrive (so far)."""
        return max(self._lost, 0)

    def accept(self, sequence: int) -> int | None:
        """The extended number of a packet; None when it is doubled, too old, or astray."""
        if self._newest is None:
            return self._begin(sequence)
        delta = sequence_delta(sequence, self._newest & 0xFFFF)
        if 0 < delta <= MAX_DROPOUT:
            self._newest += delta
            self._seen = (self._seen << delta | 1) & ((1 << WINDOW) - 1)
            self._lost += delta - 1
            number = self._newest
        elif -WINDOW < delta <= 0:
            if self._seen >> -delta & 1:
                self.duplicated += 1
                return None
            self.reordered += 1
            self._seen |= 1 << -delta
            self._lost -= 1
            number = self._newest + delta
        elif sequence == self._restart_at:
            self.restart()
            return self._begin(sequence)
        else:
            self._restart_at = (sequence + 1) & 0xFFFF
            return None
        self._restart_at = None
        self.received += 1
        return number

    @property
    def newest(self) -> int | None:
        """The extended number of the newest packet; None before the first."""
        return self._newest

    def went_on(self, packets: int) -> None:
        """So many packets came, each in its turn. Not before the first."""
        if packets:
            assert self._newest is not None
            self._newest += packets
            new = min(packets, WINDOW)
            self._seen = (self._seen << new | (1 << new) - 1) & ((1 << WINDOW) - 1)
            self._restart_at = None
            self.received += packets

    def restart(self) -> None:
        """The sender is another one: whatever number comes next is its first."""
        if self._newest is not None:
            # Extended numbers go on growing, so that what is new never looks old.
            self._floor = (self._newest | 0xFFFF) + 1
        self._newest = None
        self._restart_at = None

    def _begin(self, sequence: int) -> int:
        self._newest = self._floor + sequence
        self._seen = 1
        self.received += 1
        return self._newest
