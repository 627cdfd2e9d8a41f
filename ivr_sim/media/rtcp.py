"""RTCP packets: what each side of a stream reports of what it sends and receives (RFC 3550 section 6).

A datagram is a compound of packets, the first of which is a report::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |V=2|P|  count  |  200 SR, 201 RR, 202 |  length in words, less 1 |
    |               |  SDES, 203 BYE, ...  |                         |
    |                      SSRC of the sender                        |
    |  SR only: NTP time (64), RTP time, packets, octets             |
    |  count times: SSRC, fraction lost (8), lost (24), highest      |
    |    sequence number, jitter, last SR, delay since it (32 each)  |
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media.rtp import BadPacket

__all__ = [
    "Goodbye",
    "ReceiverReport",
    "Report",
    "ReportBlock",
    "SenderReport",
    "SourceDescription",
    "parse_compound",
    "serialise_compound",
]

SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, GOODBYE = 200, 201, 202, 203
TYPES = range(192, 224)  # RFC 5761 section 4: of the second byte of RTCP, and of no RTP that is in use
CNAME = 1
MOST = 31  # of anything that the five bits count

_HEADER = struct.Struct("!BBH")
_SENDER = struct.Struct("!QIII")
_BLOCK = struct.Struct("!IIIIII")
_WORD = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one source's packets arrive.

    fraction_lost: of 256 since the last report; lost: since the beginning, below zero when more came than
    were sent; highest: extended sequence number; jitter: in units of the RTP clock; last_report: the middle
    32 bits of the NTP time of the last sender report, 0 for none; delay: since it, in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int = 0
    lost: int = 0
    highest: int = 0
    jitter: int = 0
    last_report: int = 0
    delay: int = 0


@dataclass(frozen=True, slots=True)
class SenderReport:
    """Of one who sends: ntp in 1/2**32 s and rtp tell the same moment; packets and octets since the start."""

    ssrc: int
    ntp: int
    rtp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """Of one who has sent nothing since the last report."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """The canonical name of a source, 255 bytes of UTF-8 at most; other items are left out."""

    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Sources that end."""

    ssrcs: tuple[int, ...]


Report = SenderReport | ReceiverReport | SourceDescription | Goodbye


def parse_compound(data: bytes) -> list[Report]:
    """Read one datagram (RFC 3550 appendix A.2); kinds that are not known are left out.

    Raises BadPacket, and never anything else, also for a compound that does not begin with a report.
    """
    reports: list[Report] = []
    at = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            raise BadPacket(f"RTCP header cut short: {len(data) - at} bytes")
        first, kind, words = _HEADER.unpack_from(data, at)
        end = at + 4 * (words + 1)
        if first >> 6 != 2:
            raise BadPacket(f"RTCP version {first >> 6}, not 2")
        if at == 0 and (kind not in (SENDER_REPORT, RECEIVER_REPORT) or first & 0x20):
            raise BadPacket(f"RTCP begins with a packet of type {kind}, not with a report")
        if kind not in TYPES:
            raise BadPacket(f"no RTCP packet type: {kind}")
        if end > len(data):
            raise BadPacket(f"RTCP packet of {4 * (words + 1)} bytes in {len(data) - at}")
        body = data[at + _HEADER.size : end]
        if first & 0x20:
            body = _without_padding(body, last=end == len(data))
        reports += _parse(kind, first & 0x1F, body)
        at = end
    if not reports:
        raise BadPacket("RTCP without a report")
    return reports


def serialise_compound(*reports: Report) -> bytes:
    """One datagram of these, the first of which is a sender's or a receiver's report.

    Raises LocalProtocolError when it is not, or when a field does not fit.
    """
    if not reports or not isinstance(reports[0], SenderReport | ReceiverReport):
        raise LocalProtocolError("an RTCP compound begins with a report")
    try:
        return b"".join(map(_serialise, reports))
    except (struct.error, ValueError) as error:
        raise LocalProtocolError(f"an RTCP field does not fit: {error}") from None


def _parse(kind: int, count: int, body: bytes) -> list[Report]:
    try:
        if kind == SENDER_REPORT:
            (ssrc,) = _WORD.unpack_from(body)
            ntp, rtp, packets, octets = _SENDER.unpack_from(body, 4)
            return [SenderReport(ssrc, ntp, rtp, packets, octets, _blocks(body, 24, count))]
        if kind == RECEIVER_REPORT:
            (ssrc,) = _WORD.unpack_from(body)
            return [ReceiverReport(ssrc, _blocks(body, 4, count))]
        if kind == DESCRIPTION:
            return list(_descriptions(body, count))
        if kind == GOODBYE:
            return [Goodbye(struct.unpack_from(f"!{count}I", body))]
    except struct.error:
        raise BadPacket(f"RTCP packet of type {kind} with {len(body)} bytes for a count of {count}") from None
    return []


def _blocks(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for n in range(count):
        ssrc, losses, highest, jitter, last, delay = _BLOCK.unpack_from(body, at + n * _BLOCK.size)
        lost = ((losses & 0xFFFFFF) ^ 0x800000) - 0x800000
        blocks.append(ReportBlock(ssrc, losses >> 24, lost, highest, jitter, last, delay))
    return tuple(blocks)


def _descriptions(body: bytes, count: int) -> list[SourceDescription]:
    """Chunks of items of a type, a length and a text, each ended by a null, padded to a word."""
    found = []
    at = 0
    for _ in range(count):
        (ssrc,) = _WORD.unpack_from(body, at)
        at += 4
        while at < len(body) and body[at]:
            if at + 2 > len(body) or at + 2 + body[at + 1] > len(body):
                raise BadPacket("RTCP source description cut short")
            if body[at] == CNAME:
                text = body[at + 2 : at + 2 + body[at + 1]]
                found.append(SourceDescription(ssrc, text.decode("utf-8", "replace")))
            at += 2 + body[at + 1]
        at += 4 - at % 4
    return found


def _without_padding(body: bytes, *, last: bool) -> bytes:
    padding = body[-1] if body else 0
    if not last or not 0 < padding <= len(body) or padding % 4:
        raise BadPacket(f"RTCP padding of {padding} bytes in {len(body)}")
    return body[:-padding]


def _serialise(report: Report) -> bytes:
    if isinstance(report, SenderReport):
        sender = _SENDER.pack(report.ntp, report.rtp, report.packets, report.octets)
        return _packet(SENDER_REPORT, report.ssrc, sender, report.blocks)
    if isinstance(report, ReceiverReport):
        return _packet(RECEIVER_REPORT, report.ssrc, b"", report.blocks)
    if isinstance(report, SourceDescription):
        name = report.cname.encode("utf-8")
        body = _WORD.pack(report.ssrc) + struct.pack("!BB", CNAME, len(name)) + name
        return _head(DESCRIPTION, 1, body + bytes(4 - len(body) % 4))
    _bounded(report.ssrcs)
    return _head(GOODBYE, len(report.ssrcs), struct.pack(f"!{len(report.ssrcs)}I", *report.ssrcs))


def _packet(kind: int, ssrc: int, sender: bytes, blocks: tuple[ReportBlock, ...]) -> bytes:
    _bounded(blocks)
    packed = (
        _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | max(-0x800000, min(block.lost, 0x7FFFFF)) & 0xFFFFFF,
            block.highest,
            block.jitter,
            block.last_report,
            block.delay,
        )
        for block in blocks
    )
    return _head(kind, len(blocks), _WORD.pack(ssrc) + sender + b"".join(packed))


def _head(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _bounded(several: tuple[object, ...]) -> None:
    if len(several) > MOST:
        raise ValueError(f"{len(several)} where {MOST} are the most")
