"""RTP packets and sequence numbers."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ivr_sim.errors import LocalProtocolError, RemoteProtocolError
from ivr_sim.media.rtp import BadPacket, Packet, SequenceWindow, sequence_delta, timestamp_delta

words = st.binary(max_size=40).map(lambda data: data[: len(data) // 4 * 4])
packets = st.builds(
    Packet,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=200),
    marker=st.booleans(),
    csrcs=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15).map(tuple),
    extension=st.none() | st.tuples(st.integers(0, 0xFFFF), words),
    padding=st.integers(0, 255),
)


class TestPacket:
    def test_layout_of_an_ordinary_packet(self):
        packet = Packet(0, 0x0102, 0x03040506, 0x0708090A, b"abc", marker=True)
        assert packet.serialise().hex() == "80800102030405060708090a616263"

    def test_layout_with_everything(self):
        packet = Packet(
            101, 1, 2, 3, b"\xaa\xbb", False, csrcs=(4, 5), extension=(0xBEDE, b"wxyz"), padding=3
        )
        assert packet.serialise().hex() == (
            "b265000100000002000000030000000400000005bede00017778797aaabb000003"
        )

    @settings(deadline=None)
    @given(packets)
    def test_what_was_serialised_parses_to_the_same(self, packet):
        assert Packet.parse(packet.serialise()) == packet

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\xb3" + tail))
    @example(b"")
    @example(b"\x90" + bytes(11))
    def test_garbage_parses_or_is_bad_and_nothing_else(self, data):
        try:
            packet = Packet.parse(data)
        except BadPacket:
            return
        again = Packet.parse(packet.serialise())
        assert again == packet

    @settings(deadline=None)
    @given(packets, st.data())
    def test_a_packet_cut_short_never_grows(self, packet, data):
        whole = packet.serialise()
        cut = data.draw(st.integers(0, len(whole) - 1))
        try:
            parsed = Packet.parse(whole[:cut])
        except BadPacket:
            return
        assert len(parsed.payload) <= cut - 12

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "RTP header cut short: 0 bytes of 12"),
            (b"\x80\x00\x00", "RTP header cut short: 3 bytes of 12"),
            (b"\x40" + bytes(11), "RTP version 1, not 2"),
            (b"\x82" + bytes(15), "RTP list of 2 contributing sources cut short"),
            (b"\x90" + bytes(13), "RTP header extension cut short"),
            (
                b"\x90" + bytes(11) + b"\xbe\xde\x00\x02" + bytes(7),
                "RTP header extension of 2 words cut short",
            ),
            (b"\xa0" + bytes(11), "RTP padding of 0 bytes in 0"),
            (b"\xa0" + bytes(11) + b"ab\x00", "RTP padding of 0 bytes in 3"),
            (b"\xa0" + bytes(11) + b"ab\x04", "RTP padding of 4 bytes in 3"),
            # The last byte belongs to the list of sources: there is no payload to hold padding.
            (b"\xa1" + bytes(14) + b"\x01", "RTP padding of 0 bytes in 0"),
        ],
    )
    def test_what_is_wrong_is_said(self, data, message):
        with pytest.raises(BadPacket) as caught:
            Packet.parse(data)
        assert str(caught.value) == message
        assert isinstance(caught.value, RemoteProtocolError)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"payload_type": 128},
            {"sequence": 65536},
            {"timestamp": 1 << 32},
            {"ssrc": -1},
            {"csrcs": (0,) * 16},
            {"padding": 256},
            {"extension": (1, b"abc")},
            {"extension": (0x10000, b"")},
        ],
    )
    def test_fields_that_do_not_fit_are_refused(self, wrong):
        fields = {"payload_type": 0, "sequence": 0, "timestamp": 0, "ssrc": 0} | wrong
        with pytest.raises(LocalProtocolError):
            Packet(**fields).serialise()


@pytest.mark.parametrize(
    ("a", "b", "delta"),
    [(1, 0, 1), (0, 1, -1), (0, 65535, 1), (65535, 0, -1), (32767, 0, 32767), (32768, 0, -32768), (5, 5, 0)],
)
def test_sequence_numbers_wrap(a, b, delta):
    assert sequence_delta(a, b) == delta


@pytest.mark.parametrize(
    ("a", "b", "delta"),
    [(160, 0, 160), (0, 0xFFFFFFFF, 1), (0xFFFFFF60, 0, -160), (1 << 31, 0, -(1 << 31)), (7, 7, 0)],
)
def test_timestamps_wrap(a, b, delta):
    assert timestamp_delta(a, b) == delta


class TestSequenceWindow:
    def numbers(self, window, sequences):
        return [window.accept(s) for s in sequences]

    def test_in_order_over_the_wrap(self):
        window = SequenceWindow()
        assert self.numbers(window, [65534, 65535, 0, 1]) == [65534, 65535, 65536, 65537]
        assert (window.received, window.lost) == (4, 0)

    def test_lost_until_they_come_late(self):
        window = SequenceWindow()
        assert self.numbers(window, [10, 13]) == [10, 13]
        assert window.lost == 2
        assert self.numbers(window, [11]) == [11]
        assert window.lost == 1

    def test_doubles_are_told(self):
        window = SequenceWindow()
        assert self.numbers(window, [10, 10, 12, 11, 11, 12]) == [10, None, 12, 11, None, None]
        assert (window.received, window.lost) == (3, 0)

    def test_late_over_the_wrap(self):
        window = SequenceWindow()
        assert self.numbers(window, [65535, 1, 0]) == [65535, 65537, 65536]

    def test_a_stray_packet_is_forgotten(self):
        window = SequenceWindow()
        assert self.numbers(window, [100, 40000, 101]) == [100, None, 101]
        assert (window.received, window.lost) == (2, 0)

    def test_two_in_sequence_are_a_new_start(self):
        window = SequenceWindow()
        first, astray, second, third = self.numbers(window, [100, 40000, 40001, 40002])
        assert astray is None
        assert first < second < third
        assert window.lost == 0

    def test_numbers_grow_over_a_restart(self):
        window = SequenceWindow()
        before = window.accept(60000)
        window.restart()
        assert window.accept(5) > before

    def test_earlier_than_the_first_is_late_not_lost(self):
        window = SequenceWindow()
        assert self.numbers(window, [5, 4, 6]) == [5, 4, 6]
        assert (window.received, window.lost) == (3, 0)

    @settings(deadline=None)
    @given(st.lists(st.integers(0, 0xFFFF), max_size=200))
    def test_no_number_is_given_twice(self, sequences):
        window = SequenceWindow()
        given_out = [n for n in self.numbers(window, sequences) if n is not None]
        assert len(given_out) == len(set(given_out)) == window.received
        assert window.lost >= 0
