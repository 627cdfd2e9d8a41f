"""Keys as packets: what the standard sends, and what the network makes of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media.rtp import BadPacket
from ivr_sim.media.telephone_event import (
    KEYS,
    SILENT_TICKS,
    EventEnded,
    EventQueue,
    EventReceiver,
    EventSender,
    EventStarted,
    event_payload,
)

SSRC = 0x1234


def payloads(digit="5", duration_ms=100, **options):
    sender = EventSender(digit, duration_ms, **options)
    out = []
    while not sender.done:
        out.append(sender.next())
    return out


def receive(packets, *, then_silence=SILENT_TICKS):
    """Feed (timestamp, payload) or None for a lost one, each in a tick of its own."""
    receiver, out = EventReceiver(), []
    for tick, packet in enumerate([*packets, *[None] * then_silence]):
        if packet is not None:
            out += receiver.receive(SSRC, *packet, tick)
        out += receiver.tick(tick)
    return out


def presses(events):
    """The keys pressed, checking that downs and ups take turns."""
    for down, up in zip(events[::2], events[1::2], strict=True):
        assert isinstance(down, EventStarted)
        assert isinstance(up, EventEnded)
        assert (down.digit, down.timestamp) == (up.digit, up.timestamp)
    return [(e.digit, e.duration_ms) for e in events if isinstance(e, EventEnded)]


class TestSender:
    def test_the_packets_of_a_key_of_100_ms(self):
        assert [p.hex() for p in payloads("5", 100)] == [
            "050a00a0",
            "050a0140",
            "050a01e0",
            "050a0280",
            "058a0320",
            "058a0320",
            "058a0320",
        ]

    @pytest.mark.parametrize("code", range(16))
    def test_every_key_has_its_code(self, code):
        assert {p[0] for p in payloads(KEYS[code])} == {code}

    @pytest.mark.parametrize(("duration_ms", "last"), [(20, 160), (50, 400), (8000, 64000)])
    def test_the_end_tells_the_exact_duration(self, duration_ms, last):
        sent = payloads("1", duration_ms)
        assert [p for p in sent if p[1] & 0x80] == [event_payload(1, last, end=True)] * 3
        assert all(p[1] & 0x80 for p in sent[-3:])

    def test_only_the_first_packet_is_marked(self):
        sender = EventSender("1")
        assert sender.first
        sender.next()
        assert not sender.first

    def test_nothing_follows_the_end(self):
        sender = EventSender("1", 20)
        for _ in range(3):
            sender.next()
        with pytest.raises(LocalProtocolError):
            sender.next()

    @pytest.mark.parametrize(
        ("digit", "options"),
        [
            ("", {}), ("12", {}), ("E", {}), ("a", {}),
            ("1", {"duration_ms": 19}), ("1", {"duration_ms": 8001}),
            ("1", {"volume": 64}), ("1", {"volume": -1}),
        ],
    )  # fmt: skip
    def test_what_cannot_be_sent_is_refused(self, digit, options):
        with pytest.raises(LocalProtocolError):
            EventSender(digit, **options)


class TestReceiver:
    @pytest.mark.parametrize("digit", KEYS)
    def test_every_key(self, digit):
        events = receive([(1000, p) for p in payloads(digit, 100)])
        assert events == [
            EventStarted(digit, SSRC, 1000),
            EventEnded(digit, SSRC, 1000, 100, -10.0),
        ]

    # Each list says which of the seven packets of a key of 100 ms arrive.
    @pytest.mark.parametrize(
        ("loss_pattern", "duration_ms"),
        [
            ([0, 1, 1, 1, 1, 1, 1], 100),  # the marker is lost
            ([0, 0, 0, 0, 1, 1, 1], 100),  # all but the ends
            ([0, 0, 0, 0, 0, 0, 1], 100),
            ([1, 1, 1, 1, 0, 0, 0], 80),  # all ends
            ([1, 0, 0, 0, 0, 0, 0], 20),  # all but the first
            ([1, 0, 1, 0, 1, 0, 1], 100),
            ([1, 0, 0, 0, 0, 0, 1], 100),
        ],
    )
    def test_losses(self, loss_pattern, duration_ms):
        sent = payloads("5", 100)
        packets = [(1000, p) if kept else None for p, kept in zip(sent, loss_pattern, strict=True)]
        assert presses(receive(packets)) == [("5", duration_ms)]

    def test_all_lost_is_nothing(self):
        assert receive([None] * 7) == []

    def test_doubles_and_any_order(self):
        sent = [(1000, p) for p in payloads("5", 100)]
        assert presses(receive([p for p in sent for _ in range(3)])) == [("5", 100)]
        assert presses(receive([sent[1], sent[0], sent[3], sent[2], *sent[4:], sent[0]])) == [("5", 100)]

    def test_the_same_key_twice_is_two_keys_even_with_no_marker_and_no_end(self):
        first = [(1000, p) for p in payloads("5", 100)[1:4]]
        second = [(2600, p) for p in payloads("5", 60)[1:]]
        assert presses(receive(first + second)) == [("5", 80), ("5", 60)]

    def test_the_key_ends_when_nothing_more_comes(self):
        receiver = EventReceiver()
        receiver.receive(SSRC, 1000, event_payload(5, 160), 100)
        assert receiver.tick(100 + SILENT_TICKS - 1) == []
        [ended] = receiver.tick(100 + SILENT_TICKS)
        assert (ended.digit, ended.duration_ms) == ("5", 20)
        # A packet of it that comes after that is no key of its own.
        assert receiver.receive(SSRC, 1000, event_payload(5, 800, end=True), 109) == []

    def test_late_ends_of_the_last_key_do_not_disturb_the_next(self):
        receiver = EventReceiver()
        out = []
        for timestamp, payload in [
            (1000, event_payload(1, 160)),
            (1000, event_payload(1, 320, end=True)),
            (2000, event_payload(2, 160)),
            (1000, event_payload(1, 320, end=True)),
            (1000, event_payload(1, 160)),
            (2000, event_payload(2, 480, end=True)),
        ]:
            out += receiver.receive(SSRC, timestamp, payload, 0)
        assert presses(out) == [("1", 40), ("2", 60)]

    def test_a_lost_end_is_made_good_by_the_next_key(self):
        packets = [(1000, event_payload(1, 160)), (1800, event_payload(2, 160, end=True))]
        assert presses(receive(packets)) == [("1", 20), ("2", 20)]

    def test_a_key_held_for_twenty_seconds_is_one_key(self):
        # Segments of 0xFFFF units, each with a timestamp of its own and no marker (RFC 4733, 2.5.1.3).
        total, packets = 20 * 8000, []
        for done in range(160, total + 1, 160):
            segment, duration = divmod(done, 0xFFFF)
            end = done == total
            packets.append(((1000 + segment * 0xFFFF) & 0xFFFFFFFF, event_payload(9, duration, end=end)))
        assert presses(receive(packets)) == [("9", 20000)]

    @pytest.mark.parametrize("lost_ms", [(8000, 8400), (8100, 8260), (16000, 16700)])
    def test_a_long_key_is_one_key_though_its_segments_meet_in_a_gap(self, lost_ms):
        receiver, out = EventReceiver(), []
        for tick in range(1, 1001):
            out += receiver.tick(tick)
            if not lost_ms[0] <= 20 * tick < lost_ms[1]:
                segment, duration = divmod(160 * tick, 0xFFFF)
                payload = event_payload(9, duration, end=tick == 1000)
                out += receiver.receive(SSRC, 1000 + segment * 0xFFFF, payload, tick)
        [(digit, duration_ms)] = presses(out)
        assert digit == "9"
        assert lost_ms[0] - 40 <= duration_ms <= 20000

    def test_a_key_whose_duration_seems_to_shrink_is_as_long_as_it_was(self):
        packets = [(1000, event_payload(1, d)) for d in (160, 480, 320)]
        assert presses(receive(packets)) == [("1", 60)]

    def test_several_events_in_a_packet_follow_each_other(self):
        both = event_payload(1, 400, end=True) + event_payload(2, 480, end=True)
        assert presses(receive([(1000, both)] * 3)) == [("1", 50), ("2", 60)]
        # The second goes on in packets of its own, from where the first ended.
        held = event_payload(1, 400, end=True) + event_payload(2, 160)
        packets = [(1000, held), (1400, event_payload(2, 320)), (1400, event_payload(2, 480, end=True))]
        assert presses(receive(packets)) == [("1", 50), ("2", 60)]

    @pytest.mark.parametrize("first", [event_payload(5, 800, end=True), event_payload(5, 800)])
    def test_what_fills_a_packet_up_is_no_key(self, first):
        assert presses(receive([(1000, first + bytes(156))])) == [("5", 100)]
        assert presses(receive([(1000, first + b"\x00\x8a")])) == [("5", 100)]

    def test_events_that_go_on_without_end_in_one_packet_are_bounded(self):
        payload = b"".join(event_payload(n % 16, 160, end=True) for n in range(400))
        assert len(presses(EventReceiver().receive(SSRC, 0, payload, 0))) == 8

    def test_another_key_at_the_same_timestamp_is_another_key(self):
        packets = [(1000, p) for p in payloads("1", 60) + payloads("2", 60) + payloads("1", 60)[-1:]]
        assert presses(receive(packets)) == [("1", 60), ("2", 60)]

    def test_the_reserved_bit_means_nothing(self):
        assert presses(receive([(1000, b"\x05\xca\x03\x20")])) == [("5", 100)]

    def test_over_the_wrap_of_timestamps(self):
        packets = [(0xFFFFFFF0, event_payload(1, 160, end=True)), (0x500, event_payload(2, 160, end=True))]
        assert presses(receive(packets)) == [("1", 20), ("2", 20)]

    def test_another_sender_with_the_same_timestamp_is_another_key(self):
        receiver = EventReceiver()
        out = receiver.receive(1, 1000, event_payload(1, 160, end=True), 0)
        out += receiver.receive(2, 1000, event_payload(1, 160, end=True), 0)
        assert presses(out) == [("1", 20), ("1", 20)]

    @pytest.mark.parametrize("code", [16, 17, 32, 255])
    def test_other_events_are_no_keys(self, code):
        assert receive([(1000, event_payload(code, 160))] * 3) == []

    @pytest.mark.parametrize("size", range(4))
    def test_short_payloads_are_bad(self, size):
        with pytest.raises(BadPacket, match=f"telephone-event of {size} bytes"):
            EventReceiver().receive(SSRC, 0, bytes(size), 0)

    def test_the_level_is_the_volume_below_zero(self):
        [_, ended] = receive([(0, event_payload(1, 160, end=True, volume=36))])
        assert ended.level_dbm0 == -36.0

    @settings(deadline=None)
    @given(
        st.text(KEYS, min_size=1, max_size=6),
        st.integers(20, 300),
        st.randoms(use_true_random=False),
        st.integers(0, 0xFFFFFFFF),
    )
    def test_any_keys_through_a_network_that_loses_and_doubles(self, digits, duration_ms, random, begin):
        packets = []
        for n, digit in enumerate(digits):
            sent = [((begin + n * 4000) & 0xFFFFFFFF, p) for p in payloads(digit, duration_ms)]
            kept = [random.choice([None, p, p, p]) for p in sent]
            if not any(kept):
                kept[random.randrange(len(kept))] = sent[0]
            packets += [p for p in kept for _ in range(random.choice([1, 1, 2]))]
        assert [digit for digit, _ in presses(receive(packets))] == list(digits)

    @settings(deadline=None, max_examples=200)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2), st.integers(0, 0xFFFFFFFF), st.binary(max_size=6), st.integers(0, 3)
            ),
            max_size=60,
        )
    )
    def test_garbage_gives_downs_and_ups_in_turn(self, packets):
        receiver, out, tick = EventReceiver(), [], 0
        for ssrc, timestamp, payload, pause in packets:
            try:
                out += receiver.receive(ssrc, timestamp, payload, tick)
            except BadPacket:
                assert len(payload) < 4
            tick += pause
            out += receiver.tick(tick)
        out += receiver.tick(tick + SILENT_TICKS)
        presses(out)


class TestQueue:
    def sent(self, queue, ticks):
        return [queue.next(1000 + 160 * n) for n in range(ticks)]

    def test_nothing_to_send(self):
        queue = EventQueue()
        assert not queue.busy
        assert self.sent(queue, 3) == [None] * 3

    def test_keys_one_after_the_other_with_a_pause(self):
        queue = EventQueue()
        queue.put(EventSender("1", 40))
        queue.put(EventSender("2", 20))
        sent = self.sent(queue, 20)
        # 40 ms are two packets, the second an end, and two more ends; then 100 ms of audio.
        assert [s is not None for s in sent] == [True] * 4 + [False] * 5 + [True] * 3 + [False] * 8
        assert [s[1] for s in sent if s] == [1000] * 4 + [1000 + 9 * 160] * 3
        assert [s[2] for s in sent if s] == [True, False, False, False, True, False, False]
        assert not queue.busy

    def test_busy_until_the_pause_is_over(self):
        queue = EventQueue()
        queue.put(EventSender("1", 20))
        assert queue.busy
        self.sent(queue, 7)
        assert queue.busy
        self.sent(queue, 1)
        assert not queue.busy
