"""Calls through the engine: real sockets on loopback, on a clock that the test moves."""

import socket
from itertools import pairwise

import numpy as np
import pytest
from structlog.testing import capture_logs
from twisted.internet.task import Clock

from ivr_sim.errors import ConfigurationError, LocalProtocolError
from ivr_sim.media import PCMA, PCMU, MediaEngine, NoPortFree, StreamStats
from ivr_sim.media.concealment import BLEND
from ivr_sim.media.rtp import Packet, sequence_delta, timestamp_delta
from ivr_sim.media.telephone_event import EventQueue, EventSender

HERE = "127.0.0.1"


def snr_db(heard, spoken, *, skip=0):
    """Signal to noise of what was heard against what was said, in the best alignment by whole frames."""
    best = -100.0
    for delay in range(10):
        part = heard[160 * delay + skip :][: len(spoken) - skip].astype(float)
        said = spoken[skip : skip + len(part)].astype(float)
        noise = ((part - said) ** 2).sum()
        best = max(best, 10 * np.log10((said**2).sum() / max(noise, 1e-9)))
    return best


class Phone:
    """A telephone that is only a socket."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HERE, 0))
        self.socket.setblocking(False)
        self.address = self.socket.getsockname()

    def packets(self):
        out = []
        while True:
            try:
                out.append(Packet.parse(self.socket.recv(2048)))
            except BlockingIOError:
                return out

    def send(self, packet, port):
        self.socket.sendto(packet if isinstance(packet, bytes) else packet.serialise(), (HERE, port))


@pytest.fixture
def phone():
    phone = Phone()
    yield phone
    phone.socket.close()


class TestTwoStreams:
    @pytest.mark.parametrize("codec", [PCMU, PCMA], ids=lambda codec: codec.name)
    def test_audio_both_ways(self, two_streams, ticks, sine, codec):
        left, right = sine(4, 440), sine(4, 1000, 3000)
        call = two_streams(left, right, codec=codec)
        ticks(205)
        assert snr_db(call.b_hears.heard, left) > 35
        assert snr_db(call.a_hears.heard, right) > 35

    def test_no_drift_after_a_thousand_ticks(self, two_streams, ticks, sine):
        speech = sine(20, 440) + np.arange(160000, dtype=np.int16) // 80  # nowhere like itself
        call = two_streams(speech, speech)
        ticks(1000)
        assert (call.a.ticks, call.b.ticks) == (1000, 1000)
        assert len(call.a_hears.frames) == len(call.b_hears.frames) == 1000
        assert snr_db(call.b_hears.heard, speech) > 35
        assert call.a.stats.sent == call.b.stats.sent == 1000
        # The last packet of the one that is served later is still on its way.
        assert {call.a.stats.received, call.b.stats.received} <= {999, 1000}
        assert (call.a.stats.lost, call.a.stats.bad, call.a.stats.late) == (0, 0, 0)

    def test_tones(self, two_streams, ticks, tones):
        call = two_streams(tones("0123456789*#ABCD", tone_ms=60, gap_ms=60, lead_ms=100), tones("77#"))
        ticks(120)
        assert call.b_hears.downs == call.b_hears.ups == "0123456789*#ABCD"
        assert call.a_hears.downs == call.a_hears.ups == "77#"
        ups = [event for event in call.b_hears.events if event[0] == "up"]
        assert {event[2] for event in ups} == {"inband"}
        assert all(55 <= event[4] <= 65 for event in ups)
        assert all(abs(event[5] + 10) < 0.5 for event in ups)

    def test_tones_begin_where_the_audio_heard_has_them(self, two_streams, ticks, tones):
        call = two_streams(tones("5", lead_ms=333))
        ticks(60)
        [start] = [event[3] for event in call.b_hears.events if event[0] == "down"]
        onset = np.flatnonzero(np.abs(call.b_hears.heard) > 500)[0] / 8000
        assert abs(start - onset) < 0.005

    def test_telephone_events(self, two_streams, ticks):
        call = two_streams()
        for digit in "0123456789*#ABCD":
            call.a.press(digit, 60)
        assert call.a.pressing
        ticks(16 * 12)
        assert not call.a.pressing
        assert call.b_hears.downs == call.b_hears.ups == "0123456789*#ABCD"
        ups = [event for event in call.b_hears.events if event[0] == "up"]
        assert {event[2] for event in ups} == {"rfc4733"}
        assert {event[4] for event in ups} == {60}
        starts = [event[3] for event in ups]
        assert all(later - earlier >= 0.120 for earlier, later in pairwise(starts))
        assert call.a_hears.events == []

    def test_info(self, two_streams, ticks):
        call = two_streams()
        ticks(50)
        call.a.info_key("5", 160)
        assert call.a_hears.events == [("down", "5", "info", 1.0), ("up", "5", "info", 1.0, 160, None)]

    def test_the_same_key_by_three_ways_is_one(self, two_streams, ticks, tones):
        call = two_streams(tones("5", lead_ms=200, tail_ms=400))
        ticks(8)
        call.b.info_key("5", 100)
        ticks(40)
        assert call.b_hears.downs == "5"
        call.a.press("6")
        ticks(40)
        assert call.b_hears.downs == call.b_hears.ups == "56"

    def test_listeners_hear_only_while_the_stream_is_open(self, two_streams, ticks, sine):
        call = two_streams(sine(1))
        ticks(10)
        call.b.close()
        ticks(10)
        assert len(call.b_hears.frames) == 10
        call.b.info_key("5", 100)
        assert call.b_hears.events == []
        assert len(call.a_hears.frames) == 20


class TestBeat:
    def test_ticks_missed_are_caught_up(self, two_streams, clock, sine):
        speech = sine(2)
        call = two_streams(speech)
        for step in (0.02, 0.031, 0.009, 0.2, 0.0001, 0.0199, 0.5, 0.22):
            clock.advance(step)
        assert call.a.ticks == 50
        assert call.b.ticks == 50

    @pytest.mark.parametrize("held_up", [6, 15, 45])
    @pytest.mark.parametrize("by", ["inband", "rfc4733"])
    def test_a_standstill_of_ours_neither_cuts_keys_nor_audio(
        self, engine, clock, ticks, listener, phone, tones, by, held_up
    ):
        """Packets wait in the kernel meanwhile, and come at once: their sender was never silent."""
        tone, keys = tones("159", tone_ms=100, gap_ms=100, lead_ms=800, tail_ms=1000), EventQueue()
        stream, heard = engine.open(), listener()
        stream.start(heard, PCMU, phone.address, 101)
        last = 53  # of the packets that wait: in the middle of the second key
        for n in range(100):
            if n == 40:
                for digit in "159":
                    keys.put(EventSender(digit))
            key = keys.next(160 * n) if by == "rfc4733" else None
            if key is not None:
                payload, timestamp, marker = key
                packet = Packet(101, n, timestamp, 1, payload, marker)
            else:
                audio = tone[160 * n : 160 * n + 160] if by == "inband" else np.zeros(160, np.int16)
                packet = Packet(0, n, 160 * n, 1, PCMU.encode(audio))
            phone.send(packet, stream.local_port)
            if n == last:
                clock.advance(0.02 * held_up)
            elif not last - held_up < n < last:
                clock.advance(0.02)
        ticks(10)
        assert heard.downs == heard.ups == "159"
        lengths = [event[4] for event in heard.events if event[0] == "up"]
        assert lengths == pytest.approx([100] * 3, abs=2)
        assert (stream.stats.lost, stream.stats.late) == (0, 0)
        if by == "inband":
            assert snr_db(heard.heard, tone) > 30

    def test_after_a_long_standstill_the_beat_is_taken_up_anew(self, two_streams, clock, ticks):
        call = two_streams()
        with capture_logs() as logs:
            clock.advance(3600)
        assert [entry["event"] for entry in logs] == ["media stood still"]
        assert call.a.ticks == 1
        ticks(10)
        assert call.a.ticks == 11

    def test_nothing_ticks_before_start_and_after_stop(self, make_engine, clock, listener, phone):
        engine = make_engine()
        heard = listener()
        stream = engine.open()
        stream.start(heard, PCMU, phone.address, None)
        clock.advance(1)
        assert heard.frames == []
        engine.start()
        clock.advance(0.1)
        assert len(heard.frames) == 5
        engine.stop()
        clock.advance(0.1)
        assert len(heard.frames) == 5
        assert engine.streams == ()
        assert clock.getDelayedCalls() == []

    def test_it_starts_once(self, engine):
        with pytest.raises(LocalProtocolError, match="runs already"):
            engine.start()

    def test_it_starts_again_after_stop(self, make_engine, clock, listener, phone):
        engine = make_engine()
        engine.start()
        engine.stop()
        clock.advance(5)
        engine.start()
        heard = listener()
        engine.open().start(heard, PCMU, phone.address, None)
        clock.advance(0.04)
        assert len(heard.frames) == 2


class TestOnTheWire:
    def test_silence_from_the_start_on_every_20_ms(self, engine, ticks, listener, phone):
        engine.open().start(listener(), PCMA, phone.address, None)
        ticks(50)
        packets = phone.packets()
        assert len(packets) == 50
        assert {p.payload for p in packets} == {bytes([PCMA.silence]) * 160}
        assert {p.payload_type for p in packets} == {8}
        assert len({p.ssrc for p in packets}) == 1
        for one, next_one in pairwise(packets):
            assert sequence_delta(next_one.sequence, one.sequence) == 1
            assert timestamp_delta(next_one.timestamp, one.timestamp) == 160

    def test_a_key_of_100_ms(self, engine, ticks, listener, phone):
        stream = engine.open()
        stream.start(listener(), PCMU, phone.address, 96)
        ticks(2)
        stream.press("#")
        ticks(12)
        packets = phone.packets()
        events = [p for p in packets if p.payload_type == 96]
        audio = [p for p in packets if p.payload_type == 0]
        assert [p.payload.hex() for p in events] == [
            "0b0a00a0", "0b0a0140", "0b0a01e0", "0b0a0280", "0b8a0320", "0b8a0320", "0b8a0320",
        ]  # fmt: skip
        assert [p.marker for p in events] == [True] + [False] * 6
        assert {p.timestamp for p in events} == {events[0].timestamp}
        # No audio between the events, and its clock went on.
        assert [p.payload_type for p in packets] == [0] * 2 + [96] * 7 + [0] * 5
        assert timestamp_delta(events[0].timestamp, audio[1].timestamp) == 160
        assert timestamp_delta(audio[2].timestamp, audio[1].timestamp) == 8 * 160
        numbers = [p.sequence for p in packets]
        assert all(sequence_delta(b, a) == 1 for a, b in pairwise(numbers))

    def test_hold_and_resume(self, engine, ticks, listener, phone):
        stream, heard = engine.open(), listener()
        stream.start(heard, PCMU, phone.address, None, sending=False)
        ticks(5)
        assert phone.packets() == []
        stream.update(sending=True)
        ticks(5)
        assert len(phone.packets()) == 5
        stream.update(remote=("0.0.0.0", phone.address[1]))  # noqa: S104
        ticks(5)
        assert phone.packets() == []
        stream.update(remote=phone.address, codec=PCMA)
        ticks(5)
        assert {p.payload_type for p in phone.packets()} == {8}
        stream.update(remote=(HERE, 0))
        ticks(5)
        assert phone.packets() == []
        assert len(heard.frames) == 25
        assert stream.stats.sent == 10

    def test_what_is_sent_goes_to_where_packets_come_from(self, engine, ticks, listener, phone):
        described = Phone()
        try:
            stream = engine.open()
            stream.start(listener(), PCMU, described.address, None)
            ticks(2)
            assert len(described.packets()) == 2
            phone.send(Packet(0, 1, 160, 1, bytes(160)), stream.local_port)
            ticks(2)
            assert len(phone.packets()) == 2
            assert described.packets() == []
        finally:
            described.socket.close()

    def test_what_came_before_the_start_is_not_heard(self, engine, ticks, listener, phone):
        stream, heard = engine.open(), listener()
        for n in range(20):
            phone.send(Packet(0, n, 160 * n, 1, b"\x00" * 160), stream.local_port)
        stream.start(heard, PCMU, phone.address, None)
        ticks(10)
        assert stream.stats == StreamStats(sent=10)
        assert not heard.heard.any()

    @pytest.mark.parametrize(
        "garbage", [b"", b"\x80", b"\x00" * 200, b"\xff" * 2000, b"\x90" + b"\xff" * 40], ids=len
    )
    def test_garbage_is_counted_and_the_call_goes_on(self, two_streams, ticks, sine, phone, garbage):
        speech = sine(1)
        call = two_streams(speech, speech)
        ticks(5)
        phone.send(garbage, call.b.local_port)
        call.a._socket.sendto(garbage, (HERE, call.b.local_port))  # from the peer's own address
        ticks(40)
        assert call.b.stats.bad == 2
        assert snr_db(call.b_hears.heard[: 40 * 160], speech[: 40 * 160]) > 35

    def test_a_flood_costs_a_bounded_part_of_a_tick(self, engine, ticks, listener, phone):
        stream = engine.open()
        stream.start(listener(), PCMU, phone.address, None)
        for _ in range(100):
            phone.send(b"flood", stream.local_port)
        ticks(1)
        assert 0 < stream.stats.bad <= 32
        ticks(1)
        assert stream.stats.bad <= 64

    def test_lost_doubled_and_swapped(self, engine, ticks, listener, phone, sine):
        speech = sine(2)
        stream, heard = engine.open(), listener()
        stream.start(heard, PCMU, phone.address, None)
        loss_pattern = [1, 1, 2, 1, 0, 1, 1, 1, 1, 1]  # copies of each packet; one of ten is lost
        for n in range(90):
            packet = Packet(0, n, 160 * n, 1, PCMU.encode(speech[160 * n : 160 * n + 160]))
            for _ in range(loss_pattern[n % 10]):
                phone.send(packet, stream.local_port)
            ticks(1)
        assert (stream.stats.lost, stream.stats.received) == (9, 81)
        frames = heard.heard[320:].reshape(-1, 160)
        said = PCMU.decode(PCMU.encode(speech)).reshape(-1, 160)
        made_up = [n for n, frame in enumerate(frames) if not np.array_equal(frame[BLEND:], said[n][BLEND:])]
        assert made_up == list(range(4, 88, 10))
        assert all(frame.any() for frame in frames)

    def test_keys_through_loss(self, engine, ticks, listener, phone):
        stream, heard = engine.open(), listener()
        stream.start(heard, PCMU, phone.address, 101)
        sender = engine.open()
        sender.start(listener(), PCMU, phone.address, 101)
        for digit in "4111":
            sender.press(digit)
        for n in range(60):
            ticks(1)
            for packet in phone.packets():
                if packet.ssrc == sender_ssrc(sender) and n % 3:  # every third packet is lost
                    phone.send(packet, stream.local_port)
        assert heard.downs == heard.ups == "4111"


def sender_ssrc(stream):
    return stream._transmission._ssrc[stream.slot]


class TestListenersThatFail:
    @pytest.mark.parametrize("where", ["tick", "key_down", "key_up"])
    def test_lose_their_own_stream_only(self, two_streams, engine, ticks, listener, phone, where):
        call = two_streams()
        bad, errors = listener(), []

        def broken(*_):
            raise RuntimeError("broken listener")

        setattr(bad, where, broken)
        stream = engine.open()
        stream.on_error = errors.append
        stream.start(bad, PCMU, phone.address, None)
        with capture_logs() as logs:
            ticks(3)
            stream.info_key("1", 100)
            ticks(3)
        assert stream.closed
        assert [str(error) for error in errors] == ["broken listener"]
        assert call.a.ticks == call.b.ticks == 6
        [entry] = logs
        assert (entry["event"], entry["error"]) == ("a media stream failed", "RuntimeError")
        assert "test_engine.py" in entry["at"]
        assert "broken listener" not in str(entry)

    @pytest.mark.parametrize(
        "spoken", [np.zeros(80, np.int16), np.zeros(160), np.zeros((160, 1), np.int16), b"x" * 160]
    )
    def test_speaking_what_is_no_frame_is_a_failure(self, engine, ticks, listener, phone, spoken):
        bad, errors = listener(), []
        bad.tick = lambda heard: spoken
        stream = engine.open()
        stream.on_error = errors.append
        stream.start(bad, PCMU, phone.address, None)
        with capture_logs() as logs:
            ticks(1)
        assert stream.closed
        assert len(errors) == len(logs) == 1

    def test_one_that_closes_others_and_opens_new_ones(self, engine, ticks, listener, phone):
        others = [engine.open() for _ in range(3)]
        for other in others:
            other.start(listener(), PCMU, phone.address, None)
        wild, opened = listener(), []

        def tick(heard):
            for stream in engine.streams:
                stream.close()
            opened.append(engine.open())
            opened[-1].start(listener(), PCMU, phone.address, None)

        wild.tick = tick
        engine.open().start(wild, PCMU, phone.address, None)
        ticks(3)
        assert engine.streams == (opened[0],)
        assert opened[0].ticks == 2

    def test_one_that_stops_the_engine(self, engine, clock, listener, phone):
        last = listener()
        last.tick = lambda heard: engine.stop()
        engine.open().start(last, PCMU, phone.address, None)
        clock.advance(0.2)
        assert engine.streams == ()
        assert clock.getDelayedCalls() == []


class TestPorts:
    def test_are_even_and_of_the_range(self, make_engine):
        engine = make_engine(ports=(20001, 20100))
        ports = [engine.open().local_port for _ in range(10)]
        assert len(set(ports)) == 10
        assert all(port % 2 == 0 and 20002 <= port <= 20100 for port in ports)

    def test_are_free_again_after_close(self, make_engine, phone):
        port = even_free_port()
        engine = make_engine(ports=(port, port + 1))
        for _ in range(3):
            stream = engine.open()
            assert stream.local_port == port
            stream.close()
            stream.close()

    def test_one_that_is_taken_is_passed_over(self, make_engine):
        port = even_free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((HERE, port))
            with pytest.raises(NoPortFree, match=f"no UDP port free on {HERE} in {port}-{port}"):
                make_engine(ports=(port, port)).open()

    def test_no_more_streams_than_allowed(self, make_engine):
        engine = make_engine(max_streams=2)
        engine.open(), engine.open()
        with pytest.raises(NoPortFree, match="2 calls have media"):
            engine.open()
        engine.streams[0].close()
        assert engine.open().local_port > 0

    @pytest.mark.parametrize("ports", [(2, 1), (0, 0), (65537, 70000), (-4, 10), (20001, 20001)])
    def test_ranges_that_make_no_sense_are_refused(self, ports):
        with pytest.raises(ConfigurationError, match="no even port"):
            MediaEngine(Clock(), ports=ports)

    def test_an_address_of_another_machine_is_refused(self, make_engine):
        with pytest.raises(ConfigurationError, match=r"RTP cannot use the address 192\.0\.2\.1"):
            make_engine(host="192.0.2.1").open()


def even_free_port():
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((HERE, 0))
            port = probe.getsockname()[1]
        if port % 2 == 0:
            return port


class TestMisuse:
    def test_a_stream_starts_once(self, engine, listener, phone):
        stream = engine.open()
        stream.start(listener(), PCMU, phone.address, None)
        with pytest.raises(LocalProtocolError, match="started before"):
            stream.start(listener(), PCMU, phone.address, None)

    def test_a_closed_stream_does_not_start(self, engine, listener, phone):
        stream = engine.open()
        stream.close()
        with pytest.raises(LocalProtocolError, match="closed before"):
            stream.start(listener(), PCMU, phone.address, None)

    def test_nothing_is_updated_before_the_start(self, engine):
        with pytest.raises(LocalProtocolError, match="has not been started"):
            engine.open().update(sending=False)

    @pytest.mark.parametrize(
        "remote", [("example.com", 4000), ("::1", 4000), ("", 4000), (HERE, 70000), (HERE, -1)]
    )
    def test_rtp_goes_to_addresses_only(self, engine, listener, phone, remote):
        stream = engine.open()
        with pytest.raises(LocalProtocolError):
            stream.start(listener(), PCMU, remote, None)
        stream.start(listener(), PCMU, phone.address, None)
        with pytest.raises(LocalProtocolError):
            stream.update(remote=remote)

    def test_keys_need_telephone_events(self, engine, listener, phone):
        stream = engine.open()
        with pytest.raises(LocalProtocolError, match="no telephone-events"):
            stream.press("1")
        stream.start(listener(), PCMU, phone.address, None)
        with pytest.raises(LocalProtocolError, match="no telephone-events"):
            stream.press("1")
        stream.update(event_payload_type=101)
        stream.press("1")
        assert stream.pressing

    @pytest.mark.parametrize("digit", ["", "12", "x", "é"])
    def test_what_is_no_key_is_refused(self, two_streams, digit):
        call = two_streams()
        with pytest.raises(LocalProtocolError, match="no key on a telephone"):
            call.a.info_key(digit, 100)
        with pytest.raises(LocalProtocolError, match="no key on a telephone"):
            call.a.press(digit)

    def test_a_stream_shows_no_more_than_its_port(self, engine):
        stream = engine.open()
        assert repr(stream) == f"<MediaStream port {stream.local_port}, 0 ticks>"
