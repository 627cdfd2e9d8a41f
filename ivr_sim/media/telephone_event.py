"""Telephone events: keys sent as packets beside the audio (RFC 4733).

A key of 100 ms looks like this; the timestamp stays, the duration grows, and the end is said three times::

    ms       0    20    40    60    80   100   120
    seq      n   n+1   n+2   n+3   n+4   n+5   n+6
    marker   1     0     0     0     0     0     0
    time     t     t     t     t     t     t     t
    dur    160   320   480   640   800   800   800
    end      0     0     0     0     1     1     1

Any of these packets may be lost, doubled or late. So the receiver knows a key by its sender, its timestamp
and its code alone: the marker is not needed, nor is the end.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media.rtp import BadPacket, timestamp_delta

__all__ = [
    "EVENT_SIZE",
    "KEYS",
    "EventEnded",
    "EventQueue",
    "EventReceiver",
    "EventSender",
    "EventStarted",
    "event_payload",
]

KEYS = "0123456789*#ABCD"  # the event code is the index (RFC 4733 table 3)
TICK = 160  # timestamp units in 20 ms
LONGEST = 0xFFFF  # a longer event goes on in a segment of its own (RFC 4733 section 2.5.1.3)
END_PACKETS = 3  # RFC 4733 section 2.5.1.4
# Updates come every 20 to 50 ms; after three of the longest the sender has gone or its ends are lost.
SILENT_TICKS = 8
REMEMBERED = 16
PAUSE_TICKS = 5
MAX_EVENTS = 8  # in one packet (RFC 4733 section 2.5.1.5); who sends more sends no keys

_PAYLOAD = struct.Struct("!BBH")
EVENT_SIZE = _PAYLOAD.size


@dataclass(frozen=True, slots=True)
class EventStarted:
    """A key went down; timestamp: the RTP time of its onset."""

    digit: str = field(repr=False)
    ssrc: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class EventEnded:
    """The key that was down went up, after ``duration_ms``; level_dbm0: 0 to -63 per RFC 4733."""

    digit: str = field(repr=False)
    ssrc: int
    timestamp: int
    duration_ms: int
    level_dbm0: float


def event_payload(event: int, duration: int, *, end: bool = False, volume: int = 10) -> bytes:
    """The four bytes of a named event (RFC 4733 section 2.3); duration in timestamp units."""
    return _PAYLOAD.pack(event, end << 7 | volume & 0x3F, duration)


@dataclass(slots=True)
class _Open:
    digit: str = field(repr=False)
    ssrc: int
    timestamp: int  # of the first segment
    segment: int  # timestamp of the present segment
    before: int  # duration of the segments before it
    duration: int
    volume: int
    tick: int  # when its last packet came

    def ended(self) -> EventEnded:
        return EventEnded(
            self.digit, self.ssrc, self.timestamp, (self.before + self.duration) // 8, -float(self.volume)
        )


class EventReceiver:
    """Turns the event packets of one call into keys going down and up, each exactly once.

    A key ends by its end bit, by the next key, or when no packet of it came for 160 ms; what comes of it
    after that is no second key. Events above 15 (flash, tones, modems) are no keys and are ignored.
    """

    def __init__(self) -> None:
        self._open: _Open | None = None
        self._ended: deque[tuple[int, int, str]] = deque(maxlen=REMEMBERED)  # ssrc, timestamp, digit
        self._silenced: tuple[int, int, str] | None = None  # that of a key whose end never came

    @property
    def busy(self) -> bool:
        """Whether a key is down."""
        return self._open is not None

    def receive(
        self, ssrc: int, timestamp: int, payload: bytes, tick: int, *, marker: bool = False
    ) -> list[EventStarted | EventEnded]:
        """Take one packet's payload, at the given tick. Raises BadPacket when it is too short.

        Of several events in one packet each begins where the one before it ended (RFC 4733 section
        2.5.1.5); what follows an event that goes on, or one of no duration, is filling.
        """
        if len(payload) < _PAYLOAD.size:
            raise BadPacket(f"telephone-event of {len(payload)} bytes, not {_PAYLOAD.size}")
        out: list[EventStarted | EventEnded] = []
        for at in range(0, min(len(payload) // _PAYLOAD.size, MAX_EVENTS) * _PAYLOAD.size, _PAYLOAD.size):
            code, flags, duration = _PAYLOAD.unpack_from(payload, at)
            if at and not duration:
                break
            if code < len(KEYS):
                out += self._receive(KEYS[code], flags, duration, (ssrc, timestamp), tick, marker=marker)
            if not flags & 0x80:
                break
            timestamp, marker = (timestamp + duration) & 0xFFFFFFFF, False
        return out

    def tick(self, tick: int) -> list[EventStarted | EventEnded]:
        """Time has come to this tick: end a key that has fallen silent."""
        key = self._open
        if key is None or tick - key.tick < SILENT_TICKS:
            return []
        ended = self._close(key)
        self._silenced = self._ended[-1]
        return [ended]

    def _receive(
        self, digit: str, flags: int, duration: int, when: tuple[int, int], tick: int, *, marker: bool
    ) -> list[EventStarted | EventEnded]:
        ssrc, timestamp = when
        this = (ssrc, timestamp, digit)
        if this in self._ended:
            return []
        if self._silenced is not None and _follows(self._silenced, this, marker=marker):
            self._silenced = this  # a long key, of which nothing came where one segment became the next
            self._ended.append(this)
            return []
        out: list[EventStarted | EventEnded] = []
        key = self._open
        if key is not None and this != (key.ssrc, key.segment, key.digit):
            if ssrc == key.ssrc and timestamp_delta(timestamp, key.segment) < 0:
                return []  # late, of a segment or a key gone by
            if _follows((key.ssrc, key.segment, key.digit), this, marker=marker):
                self._ended.append((key.ssrc, key.segment, key.digit))
                key.before += LONGEST
                key.segment, key.duration = timestamp, 0
            else:
                out.append(self._close(key))
                key = None
        if key is None:
            key = _Open(digit, ssrc, timestamp, timestamp, 0, 0, 0, tick)
            self._open = key
            out.append(EventStarted(digit, ssrc, timestamp))
        key.duration = max(key.duration, duration)
        key.volume = flags & 0x3F
        key.tick = tick
        if flags & 0x80:
            out.append(self._close(key))
        return out

    def _close(self, key: _Open) -> EventEnded:
        self._ended.append((key.ssrc, key.segment, key.digit))
        self._open = None
        return key.ended()


def _follows(before: tuple[int, int, str], this: tuple[int, int, str], *, marker: bool) -> bool:
    """Whether this is the next segment of the same key."""
    (ssrc, segment, digit), (its_ssrc, timestamp, its_digit) = before, this
    same = (ssrc, digit) == (its_ssrc, its_digit)
    return same and not marker and timestamp == (segment + LONGEST) & 0xFFFFFFFF


class EventSender:
    """The packets of one key, one for every tick of 20 ms.

    digit: one of ``0-9 * # A-D``; duration_ms: 20 to 8,000; volume: level below 0 dBm0, 0 to 63. Raises
    LocalProtocolError for anything else.
    """

    def __init__(self, digit: str, duration_ms: int = 100, *, volume: int = 10) -> None:
        if len(digit) != 1 or digit not in KEYS:
            raise LocalProtocolError(f"no key on a telephone; use one of {KEYS}")
        if not 20 <= duration_ms <= 8000:
            raise LocalProtocolError(f"a key of {duration_ms} ms; send one of 20 to 8,000 ms")
        if not 0 <= volume <= 63:
            raise LocalProtocolError(f"volume {volume}; RFC 4733 has 0 to 63")
        self._event = KEYS.index(digit)
        self._duration = 8 * duration_ms
        self._volume = volume
        self._sent = 0
        self._ends = 0

    @property
    def first(self) -> bool:
        """Whether the next packet is the first one, which bears the marker."""
        return self._sent == 0

    @property
    def done(self) -> bool:
        """Whether the key has been sent whole."""
        return self._ends == END_PACKETS

    def next(self) -> bytes:
        """The payload to send now. Raises LocalProtocolError when the key has been sent whole."""
        if self.done:
            raise LocalProtocolError("this key has been sent")
        self._sent += 1
        duration = min(self._sent * TICK, self._duration)
        end = duration == self._duration
        self._ends += end
        return event_payload(self._event, duration, end=end, volume=self._volume)


class EventQueue:
    """Keys to be sent one after the other, with 100 ms between two."""

    def __init__(self) -> None:
        self._waiting: deque[EventSender] = deque()
        self._sender: EventSender | None = None
        self._timestamp = 0
        self._pause = 0

    @property
    def busy(self) -> bool:
        """Whether a key is waiting, on its way, or just over."""
        return bool(self._waiting or self._sender or self._pause)

    def put(self, sender: EventSender) -> None:
        """Send this key after those that wait."""
        self._waiting.append(sender)

    def next(self, timestamp: int) -> tuple[bytes, int, bool] | None:
        """What to send in this tick, whose RTP time is given: payload, the key's RTP time, marker.

        None when no key is on its way: the tick belongs to the audio.
        """
        if self._sender is not None and self._sender.done:
            self._sender, self._pause = None, PAUSE_TICKS
        if self._pause:
            self._pause -= 1
        elif self._sender is None and self._waiting:
            self._sender, self._timestamp = self._waiting.popleft(), timestamp
        if self._sender is None:
            return None
        first = self._sender.first
        return self._sender.next(), self._timestamp, first
