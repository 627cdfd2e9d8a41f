"""What one call receives, without a socket: datagrams in, audio and keys out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.media.concealment import BLEND
from ivr_sim.media.g711 import PCMA, PCMU
from ivr_sim.media.keys import KeyDown, KeyUp
from ivr_sim.media.peer import LATCH_TICKS
from ivr_sim.media.reception import Reception
from ivr_sim.media.rtp import Packet
from ivr_sim.media.telephone_event import EventSender, event_payload

PEER = ("127.0.0.1", 4000)
EVENTS = 101


class Peer:
    """A sender of RTP that counts for itself."""

    def __init__(self, codec=PCMU, ssrc=0xABCD, sequence=65530, timestamp=0xFFFFFF00):
        self.codec, self.ssrc, self.sequence, self.timestamp = codec, ssrc, sequence, timestamp

    def audio(self, samples) -> bytes:
        packet = self.packet(self.codec.payload_type, self.codec.encode(samples), self.timestamp)
        self.timestamp = (self.timestamp + len(samples)) & 0xFFFFFFFF
        return packet

    def packet(self, payload_type, payload, timestamp, *, ssrc=None) -> bytes:
        self.sequence = (self.sequence + 1) & 0xFFFF
        return Packet(
            payload_type, self.sequence, timestamp, self.ssrc if ssrc is None else ssrc, payload
        ).serialise()


@pytest.fixture
def reception():
    return Reception("127.0.0.1", PEER, EVENTS)


@pytest.fixture
def peer():
    return Peer()


def tick(reception, *datagrams, source=PEER):
    """One tick: the keys, the audio to search, the frame heard."""
    keys = [key for data in datagrams for key in reception.datagram(data, source)]
    keys += reception.settle()
    tones = []
    while (frame := reception.tones()) is not None:
        tones.append(frame)
    return keys, tones, reception.hear()


LOUD = np.full(160, 8031, np.int16)


class TestAudio:
    @pytest.mark.parametrize("codec", [PCMU, PCMA], ids=lambda c: c.name)
    def test_both_laws_are_understood(self, reception, codec):
        peer = Peer(codec)
        frames = [tick(reception, peer.audio(LOUD))[2] for _ in range(4)]
        assert frames[:2] == [None, None]
        assert np.array_equal(frames[2], codec.decode(codec.encode(LOUD)))
        assert reception.bad == 0

    def test_it_is_searched_for_tones_in_the_tick_that_it_comes(self, reception, peer):
        _, tones, heard = tick(reception, peer.audio(LOUD))
        assert [bool(frame.any()) for frame in tones] == [False, True]  # silence, then the packet
        assert heard is None

    def test_counts(self, reception, peer):
        sent = [peer.audio(LOUD) for _ in range(6)]
        tick(reception, sent[0], sent[1], sent[1])
        tick(reception, sent[4])
        tick(reception, sent[3])
        tick(reception, sent[0], b"\x80")
        tick(reception)
        tick(reception, sent[2])  # its turn was one tick ago
        assert (reception.received, reception.lost, reception.late, reception.bad) == (5, 0, 1, 1)

    def test_another_ssrc_is_another_stream(self, reception, peer):
        for _ in range(5):
            tick(reception, peer.audio(LOUD))
        other = Peer(ssrc=1, sequence=7, timestamp=123456)
        heard = [tick(reception, other.audio(-LOUD))[2] for _ in range(4)]
        assert all((frame > 0).all() for frame in heard[:2])  # made up of what was heard last
        assert (heard[2][BLEND:] < 0).all()
        assert (heard[3] < 0).all()
        assert reception.lost == 0

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x80" * 11,
            Packet(13, 1, 1, 0xABCD, b"").serialise(),  # comfort noise without a level
            Packet(34, 1, 1, 0xABCD, bytes(160)).serialise(),  # video
            Packet(0, 1, 1, 0xABCD, bytes(1601)).serialise(),
            Packet(EVENTS, 1, 1, 0xABCD, b"\x05\x0a").serialise(),
        ],
    )
    def test_what_cannot_be_used_is_counted(self, reception, data):
        keys, _, heard = tick(reception, data)
        assert (keys, heard) == ([], None)
        assert (reception.bad, reception.received) == (1, reception.received)


class TestSource:
    def test_sends_to_where_packets_come_from(self, reception, peer):
        assert reception.peer.source is None
        tick(reception, peer.audio(LOUD), source=("127.0.0.1", 9999))
        assert reception.peer.source == ("127.0.0.1", 9999)

    def test_a_second_source_is_a_stranger(self, reception, peer):
        tick(reception, peer.audio(LOUD))
        tick(reception, Peer().audio(LOUD), source=("127.0.0.1", 6666))
        assert reception.peer.source == PEER
        assert (reception.received, reception.bad) == (1, 1)

    def test_an_invalid_packet_wins_no_stream(self, reception):
        tick(reception, b"not RTP", source=("127.0.0.1", 6666))
        assert reception.peer.source is None

    def test_off_loopback_only_the_described_host_may_send(self, peer):
        reception = Reception("192.0.2.1", ("192.0.2.7", 4000), EVENTS)
        tick(reception, peer.audio(LOUD), source=("192.0.2.8", 4000))
        assert (reception.received, reception.bad) == (0, 1)
        tick(reception, peer.audio(LOUD), source=("192.0.2.7", 5555))
        assert reception.peer.source == ("192.0.2.7", 5555)

    def test_the_host_that_signals_may_send_though_another_is_described(self, peer):
        reception = Reception("192.0.2.1", ("10.0.0.9", 4000), EVENTS, "192.0.2.7")
        reception.datagram(peer.audio(LOUD), ("192.0.2.66", 4000))
        assert (reception.peer.source, reception.peer.stranger) == (None, "192.0.2.66")
        reception.datagram(peer.audio(LOUD), ("192.0.2.7", 4008))
        assert (reception.peer.source, reception.received) == (("192.0.2.7", 4008), 1)

    def test_a_second_port_of_a_known_host_is_no_stranger(self, peer):
        reception = Reception("192.0.2.1", ("192.0.2.7", 4000), EVENTS)
        for port in (4000, 4002):
            reception.datagram(peer.audio(LOUD), ("192.0.2.7", port))
        assert (reception.bad, reception.peer.stranger) == (1, None)

    def test_after_silence_another_port_may_take_over(self, reception, peer):
        tick(reception, peer.audio(LOUD))
        for _ in range(LATCH_TICKS):
            tick(reception)
        tick(reception, peer.audio(LOUD), source=("127.0.0.1", 7777))
        assert reception.peer.source == ("127.0.0.1", 7777)

    def test_a_new_description_opens_the_stream_again(self, reception, peer):
        tick(reception, peer.audio(LOUD))
        reception.peer.describe(PEER)
        assert reception.peer.source == PEER
        reception.peer.describe(("127.0.0.1", 7000))
        assert reception.peer.source is None
        tick(reception, peer.audio(LOUD), source=("127.0.0.1", 7000))
        assert reception.peer.source == ("127.0.0.1", 7000)


def event_packets(peer, digit, duration_ms=100, **where):
    sender, timestamp = EventSender(digit, duration_ms), peer.timestamp
    while not sender.done:
        yield peer.packet(EVENTS, sender.next(), timestamp, **where)
        peer.timestamp = (peer.timestamp + 160) & 0xFFFFFFFF


class TestKeys:
    def test_start_when_the_audio_of_that_time_is_heard(self, reception, peer):
        for _ in range(10):
            tick(reception, peer.audio(LOUD))
        keys = [key for data in event_packets(peer, "5") for key in tick(reception, data)[0]]
        # The event begins in tick 10; audio of that tick is heard 40 ms later.
        assert keys == [KeyDown("5", "rfc4733", 0.24), KeyUp("5", "rfc4733", 0.24, 100, -10.0)]

    def test_without_any_audio(self, reception, peer):
        for _ in range(10):
            tick(reception)
        keys = [key for data in event_packets(peer, "5") for key in tick(reception, data)[0]]
        assert keys == [KeyDown("5", "rfc4733", 0.2), KeyUp("5", "rfc4733", 0.2, 100, -10.0)]

    def test_under_an_ssrc_of_their_own(self, reception, peer):
        tick(reception, peer.audio(LOUD))
        keys = [key for data in event_packets(peer, "5", ssrc=99) for key in tick(reception, data)[0]]
        assert [key.digit for key in keys] == ["5", "5"]
        tick(reception, peer.audio(LOUD))
        assert reception.late == 0

    def test_end_without_a_packet_when_nothing_more_comes(self, reception, peer):
        tick(reception, peer.packet(EVENTS, event_payload(5, 160), peer.timestamp))
        keys = [key for _ in range(20) for key in tick(reception)[0]]
        assert [(key.digit, key.duration_ms) for key in keys] == [("5", 20)]

    def test_events_of_another_payload_type_are_bad(self, reception, peer):
        reception.event_payload_type = 96
        for data in event_packets(peer, "5"):
            assert tick(reception, data)[0] == []
        assert reception.bad == 7

    def test_audio_is_not_searched_once_events_were_seen(self, reception, peer):
        for data in event_packets(peer, "5"):
            tick(reception, data)
        assert [tick(reception, peer.audio(LOUD))[1] for _ in range(5)] == [[]] * 5

    def test_silence_is_searched_when_packets_stop_so_that_a_tone_ends(self, reception, peer):
        tick(reception, peer.audio(LOUD))
        frames = [frame for _ in range(100) for frame in tick(reception)[1]]
        assert 5 <= len(frames) <= 15
        assert not np.any(frames)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=60)
            | st.builds(
                lambda pt, seq, ts, ssrc, payload: Packet(pt, seq, ts, ssrc, payload).serialise(),
                st.sampled_from([0, 8, EVENTS, 13]),
                st.integers(0, 0xFFFF),
                st.integers(0, 2**32 - 1),
                st.integers(0, 2),
                st.binary(max_size=400),
            ),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_any_datagrams_give_frames_and_keys_in_turn(datagrams):
    reception, keys = Reception("127.0.0.1", PEER, EVENTS), []
    for data, ends_tick in datagrams:
        keys += reception.datagram(data, PEER)
        if ends_tick:
            got, tones, heard = tick(reception)
            keys += got
            assert all(frame.shape == (160,) for frame in tones)
            assert heard is None or heard.shape == (160,)
    for down, up in zip(keys[::2], keys[1::2], strict=False):
        assert (type(down), type(up)) == (KeyDown, KeyUp)
        assert (down.digit, down.start) == (up.digit, up.start)
