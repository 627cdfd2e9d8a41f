"""The table of what all calls send."""

import numpy as np
import pytest

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media.g711 import PCMA, PCMU
from ivr_sim.media.rtp import Packet, sequence_delta, timestamp_delta
from ivr_sim.media.transmission import Transmission

SILENCE = np.zeros(160, np.int16)


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
    table.build([1, 3], PCMU, [sound, SILENCE])
    table.build([2], PCMA, [SILENCE])
    assert (sent(table, 1).payload_type, sent(table, 1).payload) == (0, PCMU.encode(sound))
    assert (sent(table, 2).payload_type, sent(table, 2).payload) == (8, b"\xd5" * 160)


def test_sequence_and_time_go_on_over_their_wraps(table):
    table._sequence[0], table._timestamp[0] = 65534, 2**32 - 200
    packets = []
    for _ in range(4):
        table.build([0], PCMU, [SILENCE])
        packets.append(sent(table, 0))
        table.advance([0])
    assert [p.sequence for p in packets] == [65534, 65535, 0, 1]
    assert [p.timestamp for p in packets] == [2**32 - 200, 2**32 - 40, 120, 280]
    assert len({p.ssrc for p in packets}) == 1


def test_time_passes_while_nothing_is_sent(table):
    table.build([0], PCMU, [SILENCE])
    first = sent(table, 0)
    for _ in range(10):
        table.advance([0])
    table.build([0], PCMU, [SILENCE])
    second = sent(table, 0)
    assert sequence_delta(second.sequence, first.sequence) == 1
    assert timestamp_delta(second.timestamp, first.timestamp) == 1600


def test_events_share_the_sequence_and_ssrc_of_the_audio(table):
    table.build([0], PCMU, [SILENCE])
    audio = sent(table, 0)
    onset = table.timestamp(0)
    event = Packet.parse(table.event(0, 101, b"abcd", onset, marker=True))
    table.build([0], PCMU, [SILENCE])
    assert (event.payload_type, event.payload, event.marker) == (101, b"abcd", True)
    assert event.ssrc == audio.ssrc
    assert sequence_delta(event.sequence, audio.sequence) == 1
    assert sequence_delta(sent(table, 0).sequence, audio.sequence) == 2


def test_every_call_begins_somewhere_else():
    table, begun = Transmission(1), set()
    for _ in range(20):
        table.open(0)
        table.build([0], PCMU, [SILENCE])
        packet = sent(table, 0)
        begun |= {("sequence", packet.sequence), ("time", packet.timestamp), ("ssrc", packet.ssrc)}
    assert len(begun) > 50  # 60 random numbers: of 16 bits some may meet


@pytest.mark.parametrize(
    "wrong",
    [
        SILENCE[:80],
        SILENCE.astype(np.float32),
        SILENCE.astype(np.int32),
        SILENCE[:, None],
        bytes(160),
        7,
    ],
    ids=lambda wrong: f"{type(wrong).__name__} {getattr(wrong, 'dtype', '')} {getattr(wrong, 'shape', '')}",
)
def test_what_is_no_frame_is_refused_and_nothing_is_made(table, wrong):
    before = bytes(table.packet(0)), bytes(table.packet(1))
    with pytest.raises(LocalProtocolError, match=r"has to be int16 \(160,\)"):
        table.build([0, 1], PCMU, [SILENCE, wrong])
    assert (bytes(table.packet(0)), bytes(table.packet(1))) == before


def test_halves_do_not_make_up_for_each_other(table):
    with pytest.raises(LocalProtocolError):
        table.build([0, 1], PCMU, [SILENCE[:80], np.zeros(240, np.int16)])


def test_the_first_packet_after_a_pause_is_marked(table):
    marked = []
    for n in range(4):
        if n == 1:
            table.pause([0])
        else:
            table.build([0], PCMU, [SILENCE])
            marked.append(sent(table, 0).marker)
        table.advance([0])
    assert marked == [False, True, False]


def test_nobody_speaking_is_nothing_to_do(table):
    table.build([], PCMU, [])
    table.advance([])
    assert table.timestamp(0) == int(table._timestamp[0])
