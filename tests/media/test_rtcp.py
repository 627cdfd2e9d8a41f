"""RTCP on the wire, byte for byte, and whatever else comes to its port."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialise_compound,
)
from ivr_sim.media.rtp import BadPacket

BLOCK = ReportBlock(0x11223344, 12, -5, 0x00010002, 80, 0xAABBCCDD, 65536)
# A sender report with one block, a description whose name is followed by a note, and a goodbye with a reason.
COMPOUND = bytes.fromhex(
    "81c8000c" "deadbeef" "0000000100000002" "00000003" "00000004" "00000280"
    "11223344" "0cfffffb" "00010002" "00000050" "aabbccdd" "00010000"
    "81ca0004" "deadbeef" "0103614062" "0702" "6f6b" "000000"
    "81cb0002" "deadbeef" "03627965"
)  # fmt: skip

u32 = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(
    st.builds(
        ReportBlock, u32, st.integers(0, 255), st.integers(-0x800000, 0x7FFFFF), u32, u32, u32, u32
    ),
    max_size=31,
).map(tuple)  # fmt: skip
heads = st.builds(SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, blocks) | st.builds(
    ReceiverReport, u32, blocks
)
tails = st.builds(
    SourceDescription, u32, st.text(st.characters(codec="utf-8"), max_size=60)
) | st.builds(Goodbye, st.lists(u32, max_size=31).map(tuple))  # fmt: skip


def test_a_compound_is_read():
    assert parse_compound(COMPOUND) == [
        SenderReport(0xDEADBEEF, 1 << 32 | 2, 3, 4, 640, (BLOCK,)),
        SourceDescription(0xDEADBEEF, "a@b"),
        Goodbye((0xDEADBEEF,)),
    ]


def test_a_compound_is_written():
    report = SenderReport(0xDEADBEEF, 1 << 32 | 2, 3, 4, 640, (BLOCK,))
    written = serialise_compound(report, SourceDescription(1, "ab"), Goodbye((2,)))
    assert written[:52] == COMPOUND[:52]
    assert written[52:].hex() == "81ca000300000001010261620000000081cb000100000002"


@settings(deadline=None, max_examples=150)
@given(heads, st.lists(tails, max_size=3))
def test_what_was_written_is_read_again(head, others):
    assert parse_compound(serialise_compound(head, *others)) == [head, *others]


def test_kinds_that_are_not_known_are_left_out():
    receiver = serialise_compound(ReceiverReport(1))
    application = bytes.fromhex("80cc0003000000016e616d6500000000")
    feedback = bytes.fromhex("81ce00020000000100000002")
    assert parse_compound(receiver + application + feedback) == [ReceiverReport(1)]


def test_the_last_packet_may_be_padded():
    receiver = serialise_compound(ReceiverReport(1))
    padded = bytes.fromhex("a1cb00020000000900000004")
    assert parse_compound(receiver + padded) == [ReceiverReport(1), Goodbye((9,))]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "without a report"),
        ("80c9", "cut short: 2 bytes"),
        ("40c9000100000001", "version 1"),
        ("a0c9000100000001", "not with a report"),
        ("80ca0000", "type 202, not with a report"),
        ("80c9000200000001", "12 bytes in 8"),
        ("80c90000", "4 with|0 bytes for a count of 0"),
        ("81c9000100000001", "count of 1"),
        ("80c8000100000001", "count of 0"),
        ("80c90001000000018000000000000000", "no RTCP packet type: 0"),
        ("80c900010000000181ca00020000000101ff6162", "description cut short"),
        ("80c900010000000182ca00020000000101006162", "description cut short|count of 2"),
        ("80c900010000000181cb0000", "count of 1"),
        ("80c9000100000001a1cb000100000003", "padding of 3"),
        ("80c9000100000001a1cb000100000008", "padding of 8"),
        ("80c9000100000001a0cb0000", "padding of 0"),
        ("80c9000100000001a1cb00010000000480cb0000", "padding"),
    ],
)
def test_what_is_broken_says_how(data, why):
    with pytest.raises(BadPacket, match=why):
        parse_compound(bytes.fromhex(data))


@settings(deadline=None, max_examples=400)
@given(
    st.binary(max_size=100)
    | st.tuples(
        st.integers(0, len(COMPOUND)), st.integers(0, len(COMPOUND)), st.binary(max_size=8)
    ).map(lambda cut: COMPOUND[: cut[0]] + cut[2] + COMPOUND[cut[1] :])
)  # fmt: skip
def test_garbage_is_read_or_bad_and_nothing_else(data):
    try:
        reports = parse_compound(data)
    except BadPacket:
        return
    assert isinstance(reports[0], SenderReport | ReceiverReport)


@pytest.mark.parametrize(
    "reports",
    [
        (),
        (Goodbye((1,)),),
        (ReceiverReport(2**32),),
        (ReceiverReport(1, (BLOCK,) * 32),),
        (ReceiverReport(1), Goodbye((1,) * 32)),
        (ReceiverReport(1), SourceDescription(1, "x" * 256)),
        (ReceiverReport(1, (ReportBlock(1, 256),)),),
    ],
)
def test_what_does_not_fit_is_not_written(reports):
    with pytest.raises(LocalProtocolError, match="RTCP"):
        serialise_compound(*reports)


def test_a_count_of_losses_beyond_24_bits_stays_at_the_bound():
    [report] = parse_compound(serialise_compound(ReceiverReport(1, (ReportBlock(2, lost=10**9),))))
    assert report.blocks[0].lost == 0x7FFFFF
