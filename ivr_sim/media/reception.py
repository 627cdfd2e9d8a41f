"""What one call receives: datagrams in; audio to hear, audio to search for tones, and keys out.

All times of keys are on the clock of the audio heard: a tone that begins in the frame of tick n begins at
n / 50 seconds, although packets wait 40 ms before they are heard. So a recording is masked where its tones
are.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from ivr_sim.media.g711 import CODECS, FRAME_SAMPLES, SAMPLE_RATE, Samples
from ivr_sim.media.jitter import SPAN, ArrivalQueue, PlayoutBuffer
from ivr_sim.media.keys import KeyDown, KeyMerger, KeyUp
from ivr_sim.media.rtp import BadPacket, Packet, SequenceWindow, timestamp_delta
from ivr_sim.media.telephone_event import EventEnded, EventReceiver, EventStarted

__all__ = ["TICKS_PER_SECOND", "Address", "Reception"]

TICKS_PER_SECOND = 50
Address = tuple[str, int]
Keys = list[KeyDown | KeyUp]

LONGEST_PAYLOAD = 1600  # 200 ms (RFC 3551 section 4.2 has receivers take as much)
LATCH_TICKS = 100  # a sender that was silent for 2 s may come back from another port
STARVED_TICKS = 5  # without packets, until the caller counts as silent
SILENCE_TICKS = 10  # of silence are enough to end any tone


class Reception:
    """The receiving side of one stream, in ticks of 20 ms.

    Each tick: ``datagram`` for each that has arrived, ``settle``, ``tones`` until there is no more, and
    ``hear``, which ends the tick. Ticks that are caught up, because we were late, follow each other at
    once: that nothing arrives in one of them does not mean that the caller has fallen silent.

    Packets are taken from one source only (symmetric RTP): the first that sends a valid packet from the
    host that the session description names or, on a loopback address, from any port of this machine.
    ``source`` is where to send to, then. It is forgotten after two seconds of silence, and when the
    description changes. signalling: the host that the call itself came from, as good as the one described:
    a telephone behind NAT, or with several addresses, describes one that its packets do not come from.
    ``stranger`` is the host of the last packet that was from neither.
    """

    def __init__(
        self, host: str, remote: Address, event_payload_type: int | None, signalling: str | None = None
    ) -> None:
        self.ticks = 0
        self.remote = remote
        self.event_payload_type = event_payload_type
        self.source: Address | None = None
        self.stranger: str | None = None
        self.bad = 0
        self._signalling = signalling
        self.merger = KeyMerger()
        self._anyone = IPv4Address(host).is_loopback
        self._ssrc: int | None = None
        self._window = SequenceWindow()
        self._playout = PlayoutBuffer()
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
    def late(self) -> int:
        """Packets that came too late to be heard."""
        return self._playout.late

    @property
    def now(self) -> float:
        """Seconds of the stream's clock."""
        return self.ticks / TICKS_PER_SECOND

    def describe(self, remote: Address) -> None:
        """The session description names this address from now on."""
        if remote != self.remote:
            self.remote = remote
            self.source = None

    def datagram(self, data: bytes, source: Address) -> Keys:
        """Take one datagram; the keys that it brought. What cannot be used is counted in ``bad``."""
        if source != self.source and not self._admits(source):
            self.bad += 1
            return []
        try:
            packet = Packet.parse(data)
            keys = self._take(packet)
        except BadPacket:
            self.bad += 1
            return []
        self.source = source
        self._last_packet = self._waited
        return keys

    def settle(self, *, on_time: bool = True) -> Keys:
        """All datagrams of this tick were given; the keys that ended because nothing more came of them.

        on_time: false in a tick that is caught up.
        """
        self._arrivals.settle()
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
        taken = self._arrivals.take()
        if taken is None or not self.merger.listens_inband:
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

    def forget(self) -> None:
        """The stream is over: forget the last keys, which were known until now to tell doubles."""
        self.merger = KeyMerger()
        self._events = EventReceiver()

    def _admits(self, source: Address) -> bool:
        if not (self._anyone or source[0] in (self.remote[0], self._signalling)):
            self.stranger = source[0]
            return False
        return self.source is None or self._waited - self._last_packet >= LATCH_TICKS

    def _take(self, packet: Packet) -> Keys:
        is_event = packet.payload_type == self.event_payload_type
        # Both laws are taken whichever was agreed upon: around a change, packets of either kind fly.
        codec = None if is_event else CODECS.get(packet.payload_type)
        if not is_event and codec is None:
            raise BadPacket(f"RTP payload type {packet.payload_type} was not agreed upon")
        if len(packet.payload) > LONGEST_PAYLOAD:
            raise BadPacket(f"RTP payload of {len(packet.payload)} bytes")
        if self._ssrc is None or (packet.ssrc != self._ssrc and not is_event):
            self._another_sender(packet.ssrc)
        # Events that come under another SSRC than the audio have a sequence of their own.
        number = self._window.accept(packet.sequence) if packet.ssrc == self._ssrc else None
        if codec is None:
            told = self._events.receive(
                packet.ssrc, packet.timestamp, packet.payload, self._waited, marker=packet.marker
            )
            return self._merged(told)
        if number is not None:
            samples = codec.decode(packet.payload)
            self._playout.put(number, packet.timestamp, samples)
            self._arrivals.put(number, packet.timestamp, samples)
        return []

    def _another_sender(self, ssrc: int) -> None:
        self._ssrc = ssrc
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
