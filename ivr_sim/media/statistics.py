"""What can be said of one stream: how its packets came, and how the other side says that ours do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StreamStats"]


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Packets of one stream, by count.

    lost: missing from the sequence; duplicated: came again; reordered: came after one that was sent later;
    late: came too late to be heard; bad: no RTP, or from a stranger. jitter_ms: RFC 3550 section 6.4.1, with
    a clock of 20 ms. By the other side's reports, None without any: remote_lost, of the packets that we
    sent; round_trip_ms, the last one measured.
    """

    sent: int = 0
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    late: int = 0
    bad: int = 0
    jitter_ms: float = 0.0
    remote_lost: int | None = None
    round_trip_ms: float | None = None
