"""Messages in a stream, however it is cut."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr_sim.sip.framing import BadFrame, Framer, Ping

ONE = b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 5\r\nVia: x\r\n\r\nhello"
TWO = b"SIP/2.0 200 OK\r\nl:0\r\n\r\n"
PING = b"\r\n\r\n"
STREAM = PING + ONE + b"\r\n" + TWO + PING + PING + ONE
FOUND = [Ping.PING, ONE, TWO, Ping.PING, Ping.PING, ONE]


def all_of(framer: Framer) -> list[bytes | Ping]:
    found = []
    while (frame := framer.take()) is not None:
        found.append(frame)
    return found


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_where_a_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    framer, found = Framer(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in itertools.pairwise(edges):
        framer.feed(STREAM[start:end])
        found += all_of(framer)
    assert found == FOUND
    assert not framer.waiting


def test_byte_by_byte() -> None:
    framer, found = Framer(), []
    for byte in STREAM:
        framer.feed(bytes([byte]))
        found += all_of(framer)
    assert found == FOUND


def test_the_answer_to_a_ping_is_nothing() -> None:
    framer = Framer()
    framer.feed(b"\r\n")
    assert framer.take() is None
    framer.feed(ONE)
    assert framer.take() == ONE


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"OPTIONS sip:a@h SIP/2.0\r\nVia: x\r\n\r\n", 400),
        (b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\n", 400),
        (b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: -1\r\n\r\n", 400),
        (b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 9999999999\r\n\r\n", 400),
        (b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 66000\r\n\r\n", 513),
        (b"x" * 20_000, 513),
        (b"x" * 20_000 + PING, 513),
    ],
)
def test_a_stream_that_cannot_be_followed(data: bytes, status: int) -> None:
    framer = Framer()
    framer.feed(data)
    with pytest.raises(BadFrame) as caught:
        framer.take()
    assert caught.value.status == status


def test_the_same_length_twice_is_one() -> None:
    framer = Framer()
    framer.feed(b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 0\r\nContent-Length:  0\r\n\r\n")
    assert framer.take() is not None


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_noise_raises_nothing_else(pieces: list[bytes]) -> None:
    framer = Framer(max_head=200, max_message=400)
    with suppress(BadFrame):
        for piece in pieces:
            framer.feed(piece)
            all_of(framer)
            assert len(framer._buffer) <= 400 + 300
