"""The table of what all calls send."""

import numpy as np
import pytest

from ivr_sim.media.g711 import PCMA, PCMU
from ivr_sim.media.rtp import Packet, sequence_delta, timestamp_delta
from ivr_sim.media.transmission import Transmission


@pytest.fixture
def table():
    table = Transmission(4)
    for slot in range(4):
        table.open(slot)
    return table


def sent(table, slot):
    return Packet.parse(bytes(table.packet(slot)))


def test_a_packet_holds_what_was_spoken(table):
    sound = (np.arange(160) * 50).astype(np.int16)
    table.spoken(1, sound)
    table.spoken(2, None)
    table.build([1], PCMU)
    table.build([2], PCMA)
    assert (sent(table, 1).payload_type, sent(table, 1).payload) == (0, PCMU.encode(sound))
    assert (sent(table, 2).payload_type, sent(table, 2).payload) == (8, b"\xd5" * 160)


def test_sequence_and_time_go_on_over_their_wraps(table):
    table._sequence[0], table._timestamp[0] = 65534, 2**32 - 200
    packets = []
    for _ in range(4):
        table.build([0], PCMU)
        packets.append(sent(table, 0))
        table.advance([0])
    assert [p.sequence for p in packets] == [65534, 65535, 0, 1]
    assert [p.timestamp for p in packets] == [2**32 - 200, 2**32 - 40, 120, 280]
    assert len({p.ssrc for p in packets}) == 1


def test_time_passes_while_nothing_is_sent(table):
    table.build([0], PCMU)
    first = sent(table, 0)
    for _ in range(10):
        table.advance([0])
    table.build([0], PCMU)
    second = sent(table, 0)
    assert sequence_delta(second.sequence, first.sequence) == 1
    assert timestamp_delta(second.timestamp, first.timestamp) == 1600


def test_events_share_the_sequence_and_ssrc_of_the_audio(table):
    table.build([0], PCMU)
    audio = sent(table, 0)
    onset = table.timestamp(0)
    event = Packet.parse(table.event(0, 101, b"abcd", onset, marker=True))
    table.build([0], PCMU)
    assert (event.payload_type, event.payload, event.marker) == (101, b"abcd", True)
    assert event.ssrc == audio.ssrc
    assert sequence_delta(event.sequence, audio.sequence) == 1
    assert sequence_delta(sent(table, 0).sequence, audio.sequence) == 2


def test_every_call_begins_somewhere_else():
    table, begun = Transmission(1), set()
    for _ in range(20):
        table.open(0)
        table.build([0], PCMU)
        packet = sent(table, 0)
        begun |= {("sequence", packet.sequence), ("time", packet.timestamp), ("ssrc", packet.ssrc)}
    assert len(begun) > 50  # 60 random numbers: of 16 bits some may meet


def test_a_new_call_does_not_repeat_the_last_ones_words(table):
    table.spoken(0, np.full(160, 1000, np.int16))
    table.open(0)
    table.build([0], PCMU)
    assert sent(table, 0).payload == b"\xff" * 160


def test_nobody_speaking_is_nothing_to_do(table):
    table.build([], PCMU)
    table.advance([])
    assert table.timestamp(0) == int(table._timestamp[0])
