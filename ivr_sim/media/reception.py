"""What one call receives: datagrams in; audio to hear, audio to search for tones, and keys out.

All times of keys are on the clock of the audio heard: a tone that begins in the frame of tick n begins at
n / 50 seconds, although packets wait 40 ms before they are heard. So a recording is masked where its tones
are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivr_sim.media.arrivals import ArrivalQueue
from ivr_sim.media.comfort_noise import PAYLOAD_TYPE, noise_level
from ivr_sim.media.g711 import CODECS, FRAME_SAMPLES, SAMPLE_RATE, Samples
from ivr_sim.media.jitter import SPAN, Held, PlayoutBuffer
from ivr_sim.media.keys import KeyDown, KeyMerger, KeyUp
from ivr_sim.media.peer import Address, Peer
from ivr_sim.media.rtp import BadPacket, Packet, SequenceWindow, timestamp_delta
from ivr_sim.media.telephone_event import EventEnded, EventReceiver, EventStarted

__all__ = ["STARVED_TICKS", "TICKS_PER_SECOND", "Next", "Passed", "Reception"]

TICKS_PER_SECOND = 50
Keys = list[KeyDown | KeyUp]

LONGEST_PAYLOAD = 1600  # 200 ms (RFC 3551 section 4.2 has receivers take as much)
STARVED_TICKS = 5  # without packets, until the caller counts as silent
SILENCE_TICKS = 10  # of silence are enough to end any tone
_NOTHING = np.zeros(0, np.int16)
_SILENCE = np.zeros(FRAME_SAMPLES, np.int16)
JITTER_SHARE = 16  # RFC 3550 section 6.4.1


class Next(NamedTuple):
    """What the next packet of a stream looks like that runs smoothly.

    waited: the ticks since the last one; late: by how many it would come late, came it now, measured against
    the last one; jitter_ms: so far; listens: whether tones matter; held: what of the packets before is still
    to be heard.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    waited: int
    late: float
    jitter_ms: float
    listens: bool
    held: Held


class Passed(NamedTuple):
    """What went by while others took a stream's packets: each as expected, and nothing else.

    end: the RTP time behind the last one; ticks, on_time: frames heard, and the ticks settled on time; since:
    those after the last packet; searched, searched_to: frames searched for tones, and the RTP time behind the
    last of these; held: what is still to be heard.
    """

    packets: int
    end: int
    ticks: int
    on_time: int
    since: int
    searched: int
    searched_to: int
    jitter_ms: float
    held: Held


class Reception:
    """The receiving side of one stream, in ticks of 20 ms.

    Each tick: ``datagram`` for each that has arrived, ``settle``, ``tones`` until there is no more, and
    ``hear``, which ends the tick. Ticks that are caught up, because we were late, follow each other at
    once: that nothing arrives in one of them does not mean that the caller has fallen silent.

    Packets are taken from whom ``peer`` admits; host, remote, signalling: see there.

    ``jitter_ms`` is that of RFC 3550 section 6.4.1, with ticks for a clock: packets that come once in every
    tick have none. ring: see ``PlayoutBuffer``. While others take the packets of a stream that runs smoothly,
    from ``next`` to ``went_on``, none of the above is called but for what only concerns keys.
    """

    def __init__(
        self,
        host: str,
        remote: Address,
        event_payload_type: int | None,
        signalling: str | None = None,
        *,
        ring: Samples | None = None,
    ) -> None:
        self.ticks = 0
        self.peer = Peer(host, remote, signalling)
        self.event_payload_type = event_payload_type
        self.bad = 0
        self.jitter_ms = 0.0
        self.merger = KeyMerger()
        self._ssrc: int | None = None
        self._window = SequenceWindow()
        self._playout = PlayoutBuffer(ring)
        self._payload_type = 0  # of the last audio
        self._transit: int | None = None  # of the last audio: when it came less its RTP time
        self._arrivals = ArrivalQueue()
        self._events = EventReceiver()
        self._waited = 0  # ticks on time: the network had its 20 ms in each
        self._last_packet = 0  # of those, when the last packet was taken
        self._searched = 0  # samples handed out to be searched for tones
        self._searched_to = 0  # the RTP time behind them
        self._tone_start = 0.0
        self._event_start = 0.0

    @property
    def received(self) -> int:
        """Packets taken, doubles not counted."""
        return self._window.received

    @property
    def lost(self) -> int:
        """Packets missing from the sequence so far."""
        return self._window.lost

    @property
    def duplicated(self) -> int:
        """Packets that had come before."""
        return self._window.duplicated

    @property
    def reordered(self) -> int:
        """Packets that came after one that was sent later."""
        return self._window.reordered

    @property
    def ssrc(self) -> int | None:
        """Whom the audio is from."""
        return self._ssrc

    @property
    def highest(self) -> int:
        """The extended sequence number of the newest packet."""
        return self._window.newest or 0

    @property
    def late(self) -> int:
        """Packets that came too late to be heard."""
        return self._playout.late

    @property
    def now(self) -> float:
        """Seconds of the stream's clock."""
        return self.ticks / TICKS_PER_SECOND

    def datagram(self, data: bytes, source: Address) -> Keys:
        """Take one datagram; the keys that it brought. What cannot be used is counted in ``bad``."""
        if not self.peer.admits(source, self._waited - self._last_packet):
            self.bad += 1
            return []
        try:
            packet = Packet.parse(data)
            keys = self._take(packet)
        except BadPacket:
            self.bad += 1
            return []
        self.peer.source = source
        self._last_packet = self._waited
        return keys

    def settle(self, *, on_time: bool = True) -> Keys:
        """All datagrams of this tick were given; the keys that ended because nothing more came of them.

        on_time: false in a tick that is caught up.
        """
        self._arrivals.settle(self._waited)
        if not on_time:
            return []
        silent = self._waited - self._last_packet
        if STARVED_TICKS <= silent < STARVED_TICKS + SILENCE_TICKS:
            self._arrivals.starve()
        keys = self._merged(self._events.tick(self._waited))
        self._waited += 1
        return keys

    def tones(self) -> Samples | None:
        """The next 20 ms to be searched for tones, if there are any and tones matter."""
        if not self.merger.listens_inband:
            self._arrivals.discard()
            return None
        taken = self._arrivals.take()
        if taken is None:
            return None
        frame, self._searched_to = taken
        self._searched += FRAME_SAMPLES
        return frame

    def tone_down(self, digit: str, start_s: float) -> Keys:
        """A tone began, in seconds of the audio searched."""
        self._tone_start = self.tone_time(start_s)
        return self.merger.down(digit, "inband", self._tone_start)

    def tone_up(self, digit: str, duration_s: float, level_dbm0: float, twist_db: float) -> Keys:
        """The tone ended."""
        milliseconds = round(1000 * duration_s)
        return self.merger.up(digit, "inband", self._tone_start, milliseconds, level_dbm0, twist_db)

    def tone_time(self, start_s: float) -> float:
        """When a tone is heard, on the stream's clock, that begins so far into the audio searched."""
        began = round(start_s * SAMPLE_RATE) - self._searched  # samples from now on: below zero
        return self._heard_at(self._searched_to + began)

    def hear(self) -> Samples | None:
        """The 20 ms to be heard in this tick, None for silence; the next tick begins."""
        frame = self._playout.get()
        self.ticks += 1
        return frame

    def next(self) -> Next | None:
        """What comes next if the stream runs smoothly now, between two ticks; None if it does not.

        It does when its last packets were audio of 20 ms, all there in their order, when as much of it as
        is to be heard is whole frames, and when no key is down by telephone-events.
        """
        waited = self._waited - self._last_packet
        newest = self._window.newest
        if self.peer.source is None or self._ssrc is None or waited >= STARVED_TICKS or self._events.busy:
            return None
        known = self._arrivals.caught_up()
        if known is None or newest is None or known[0] != newest:
            return None
        held = self._playout.held(*known)
        if held is None:
            return None
        return Next(
            self._payload_type,
            (newest + 1) & 0xFFFF,
            known[1],
            self._ssrc,
            waited,
            self._lateness(known[1]) / FRAME_SAMPLES,
            self.jitter_ms,
            self.merger.listens_inband,
            held,
        )

    def went_on(self, passed: Passed, *, by_hand: bool) -> None:
        """The stream ran smoothly all the while; by_hand: from now on its packets come here again."""
        self.ticks += passed.ticks
        self._waited += passed.on_time
        self._last_packet = self._waited - passed.since
        self._searched += passed.searched * FRAME_SAMPLES
        if passed.searched:
            self._searched_to = passed.searched_to
        self._window.went_on(passed.packets)
        self._playout.went_on(passed.packets, passed.held)
        self._arrivals.went_on(passed.packets, self._playout.past(passed.end) if by_hand else _NOTHING)
        if passed.packets:
            self.jitter_ms = passed.jitter_ms
            self._transit = self._last_packet * FRAME_SAMPLES - (passed.end - FRAME_SAMPLES)
        if by_hand:
            self._playout.tidy(passed.held.depth)

    def forget(self) -> None:
        """The stream is over: leave nothing of its sound in the ring."""
        self._playout.forget()

    def _take(self, packet: Packet) -> Keys:
        is_event = packet.payload_type == self.event_payload_type
        # Both laws are taken whichever was agreed upon: around a change, packets of either kind fly.
        codec = None if is_event else CODECS.get(packet.payload_type)
        noise = packet.payload_type == PAYLOAD_TYPE and not is_event
        if not is_event and not noise and codec is None:
            raise BadPacket(f"RTP payload type {packet.payload_type} was not agreed upon")
        if len(packet.payload) > LONGEST_PAYLOAD:
            raise BadPacket(f"RTP payload of {len(packet.payload)} bytes")
        level = noise_level(packet.payload) if noise else 0
        if self._ssrc is None or (packet.ssrc != self._ssrc and not is_event):
            self._another_sender(packet.ssrc)
        # Events that come under another SSRC than the audio have a sequence of their own.
        number = self._window.accept(packet.sequence) if packet.ssrc == self._ssrc else None
        if is_event:
            if number is not None:
                self._arrivals.put(number, packet.timestamp, _NOTHING, self._waited)
            told = self._events.receive(
                packet.ssrc, packet.timestamp, packet.payload, self._waited, marker=packet.marker
            )
            return self._merged(told)
        if codec is None and number is not None:
            self._playout.quiet(number, level)
            self._arrivals.put(number, packet.timestamp, _SILENCE, self._waited)
        elif codec is not None and number is not None:
            samples = codec.decode(packet.payload)
            self._payload_type = packet.payload_type
            self._arrived(packet.timestamp)
            self._playout.put(number, packet.timestamp, samples)
            self._arrivals.put(number, packet.timestamp, samples, self._waited)
        return []

    def _lateness(self, timestamp: int) -> int:
        """By how many samples a packet comes later, now, than the last one let expect."""
        now = self._waited * FRAME_SAMPLES
        return timestamp_delta(now - timestamp, self._transit or 0)

    def _arrived(self, timestamp: int) -> None:
        if self._transit is not None:
            apart = abs(self._lateness(timestamp))
            if apart <= SPAN:  # or the sender's clock has jumped
                self.jitter_ms += (1000 / SAMPLE_RATE * apart - self.jitter_ms) / JITTER_SHARE
        self._transit = self._waited * FRAME_SAMPLES - timestamp

    def _another_sender(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._transit = None
        self._window.restart()
        self._playout.reset()
        self._arrivals.reset()

    def _merged(self, told: list[EventStarted | EventEnded]) -> Keys:
        keys: Keys = []
        for event in told:
            if isinstance(event, EventStarted):
                # The clocks of two senders cannot be compared.
                same = event.ssrc == self._ssrc
                self._event_start = self._heard_at(event.timestamp) if same else self.now
                keys += self.merger.down(event.digit, "rfc4733", self._event_start)
            else:
                keys += self.merger.up(
                    event.digit, "rfc4733", self._event_start, event.duration_ms, event.level_dbm0
                )
        return keys

    def _heard_at(self, timestamp: int) -> float:
        """When audio of this RTP time is heard; now, if that cannot be told."""
        head = self._playout.head
        ahead = 0 if head is None else timestamp_delta(timestamp, head)
        if abs(ahead) > SPAN:
            ahead = 0
        return max(self.ticks * FRAME_SAMPLES + ahead, 0) / SAMPLE_RATE
