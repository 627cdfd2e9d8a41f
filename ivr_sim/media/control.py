"""The reports of one stream: sent every five seconds or so, and what the other side's tell (RFC 3550 6)."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ivr_sim.media.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialise_compound,
)

__all__ = ["ControlSession", "Receiving", "Sending"]

INTERVAL = 5.0  # seconds (RFC 3550 section 6.2), drawn from half of it to one and a half times it
COMPENSATION = 1.21828  # appendix A.7: what reconsidering takes from the mean, e - 3/2
LONGEST_ROUND_TRIP = 60.0  # seconds; more is a report that makes no sense
ROUNDING = 0.02


@dataclass(frozen=True, slots=True)
class Sending:
    """What we have sent: packets and octets of payload since the start, and the RTP time of now."""

    ssrc: int
    packets: int
    octets: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Receiving:
    """What has come of one sender: packets, doubles not counted; highest extended number; jitter in ms."""

    ssrc: int
    received: int
    lost: int
    highest: int
    jitter_ms: float


class ControlSession:
    """One stream's reports: bytes and times in, bytes out.

    now: seconds of a clock that only goes forward, which serves for NTP's, too (section 4: a clock of one's
    own may); chance: gives the intervals.
    """

    def __init__(self, cname: str, now: float, chance: random.Random) -> None:
        self.remote_lost: int | None = None  # of our packets
        self.round_trip_ms: float | None = None
        self._cname = cname
        self._chance = chance
        self._due = now + self._interval() / 2  # section 6.2: the first one comes sooner
        self._sent_packets = 0  # ours, when we reported last
        self._expected = self._received = 0  # theirs, when we reported last
        self._reporter = 0  # whose sender report came last, what it called its time, and when it came
        self._last_report = 0
        self._last_report_at = 0.0

    def receive(self, data: bytes, now: float, ssrc: int) -> None:
        """Take a datagram of the other side; ssrc: ours. Raises BadPacket."""
        for report in parse_compound(data):
            if isinstance(report, SenderReport):
                self._reporter = report.ssrc
                self._last_report, self._last_report_at = report.ntp >> 16 & 0xFFFFFFFF, now
            if isinstance(report, SenderReport | ReceiverReport):
                for block in report.blocks:
                    if block.ssrc == ssrc:
                        self._told(block, now)

    def due(self, now: float) -> bool:
        """Whether it is time to report; to be asked once a second or so."""
        return now >= self._due

    def report(self, now: float, sending: Sending, receiving: Receiving | None) -> bytes:
        """What is to be sent now, receiving: None before anything came. The next one is due in a while."""
        self._due = now + self._interval()
        blocks = () if receiving is None else (self._block(now, receiving),)
        report: SenderReport | ReceiverReport = ReceiverReport(sending.ssrc, blocks)
        if sending.packets != self._sent_packets:
            ntp = round(now * 2**32) & 0xFFFFFFFFFFFFFFFF
            packets, octets = sending.packets & 0xFFFFFFFF, sending.octets & 0xFFFFFFFF
            report = SenderReport(sending.ssrc, ntp, sending.timestamp, packets, octets, blocks)
        self._sent_packets = sending.packets
        return serialise_compound(report, SourceDescription(sending.ssrc, self._cname))

    def goodbye(self, ssrc: int) -> bytes:
        """The last report: the stream ends."""
        return serialise_compound(
            ReceiverReport(ssrc), SourceDescription(ssrc, self._cname), Goodbye((ssrc,))
        )

    def _block(self, now: float, receiving: Receiving) -> ReportBlock:
        """Appendix A.3, on counts that know doubles."""
        expected = receiving.received + receiving.lost
        expected_since, received_since = expected - self._expected, receiving.received - self._received
        self._expected, self._received = expected, receiving.received
        fraction = 0
        if expected_since > 0:
            fraction = min(max(expected_since - received_since, 0) * 256 // expected_since, 255)
        known = self._last_report and self._reporter == receiving.ssrc
        delay = min(round((now - self._last_report_at) * 65536), 0xFFFFFFFF) if known else 0
        return ReportBlock(
            receiving.ssrc,
            fraction,
            receiving.lost,
            receiving.highest & 0xFFFFFFFF,
            round(receiving.jitter_ms * 8),
            self._last_report if known else 0,
            delay,
        )

    def _told(self, block: ReportBlock, now: float) -> None:
        self.remote_lost = max(block.lost, 0)
        if block.last_report:
            # Section 6.4.1: our time of now, less when we said it, less how long it lay there.
            units = (round(now * 65536) - block.last_report - block.delay) & 0xFFFFFFFF
            seconds = ((units ^ 0x80000000) - 0x80000000) / 65536
            # Both clocks round: a way there and back of nothing may come out a little below it.
            if -ROUNDING <= seconds <= LONGEST_ROUND_TRIP:
                self.round_trip_ms = round(1000 * max(seconds, 0), 1)

    def _interval(self) -> float:
        return INTERVAL * self._chance.uniform(0.5, 1.5) / COMPENSATION
