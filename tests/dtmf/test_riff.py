from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dtmf import DtmfError
from dtmf.riff import WavLayout, read_layout

PCM = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)


def chunk(name: bytes, content: bytes, size: int | None = None, order: str = "<") -> bytes:
    size = len(content) if size is None else size
    return name + struct.pack(order + "I", size & 0xFFFFFFFF) + content + bytes(len(content) % 2)


def riff(*chunks: bytes, kind: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack(">I" if kind == b"RIFX" else "<I", len(body)) + body


def opened(content: bytes) -> tuple[WavLayout | None, io.BufferedReader]:
    file = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    return read_layout(file.read(12), file), file


def layout_of(content: bytes) -> WavLayout:
    layout, _ = opened(content)
    assert layout is not None
    return layout


@pytest.mark.parametrize(
    "coding", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]
)
@pytest.mark.parametrize(
    ("kind", "endian"), [("WAV", "FILE"), ("WAV", "BIG"), ("WAVEX", "FILE"), ("RF64", "FILE")]
)
def test_every_coding_as_libsndfile_reads_it(kind: str, endian: str, coding: str) -> None:
    sound = np.random.default_rng(1).uniform(-1, 1, (1001, 3))
    file = io.BytesIO()
    soundfile.write(file, sound, 44100, format=kind, subtype=coding, endian=endian)
    file.seek(0)
    reference, _ = soundfile.read(file)
    layout, rest = opened(file.getvalue())
    assert layout is not None
    assert (layout.rate, layout.channels) == (44100, 3)
    samples = layout.samples(np.frombuffer(rest.read(layout.length), np.uint8))
    if samples.dtype == np.int16:
        np.testing.assert_array_equal(samples / 32768, reference)
    else:
        np.testing.assert_allclose(samples, reference, rtol=0, atol=2**-24)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("width", [3, 4, 5, 6, 8])
def test_integers_lie_at_the_upper_end_of_their_bytes(width: int, order: str) -> None:
    form = struct.pack(order + "HHIIHH", 1, 1, 8000, 8000 * width, width, 8 * width - 4)
    values = [0.5, -0.25, 0.0, -1.0]
    data = b"".join(
        int(value * 2 ** (8 * width - 1)).to_bytes(width, "little" if order == "<" else "big", signed=True)
        for value in values
    )
    layout, rest = opened(
        riff(
            chunk(b"fmt ", form, order=order),
            chunk(b"data", data, order=order),
            kind=b"RIFX" if order == ">" else b"RIFF",
        )
    )
    assert layout is not None
    assert layout.samples(np.frombuffer(rest.read(layout.length), np.uint8)).ravel().tolist() == values


def test_floats_that_are_no_sound() -> None:
    form = struct.pack("<HHIIHH", 3, 1, 8000, 32000, 4, 32)
    data = np.array([np.nan, np.inf, -np.inf, 7, -0.5], "<f4")
    data[:1].view(np.uint32)[0] = 0x7F800001  # a signalling NaN
    layout = layout_of(riff(chunk(b"fmt ", form), chunk(b"data", b"")))
    assert layout.samples(data.view(np.uint8)).ravel().tolist() == [0, 1, -1, 1, -0.5]


@pytest.mark.parametrize(
    ("claimed", "after", "length"),
    [
        (6, b"", 6),
        (-1, b"", None),
        (0x7FFFF000, b"", 0x7FFFF000),
        (0, b"abcdef", None),
        (0, b"", None),
        (0, chunk(b"LIST", b"INFO"), 0),
        (0, chunk(b"id3 ", b"x"), 0),
    ],
)
def test_what_a_length_is_worth(claimed: int, after: bytes, length: int | None) -> None:
    layout, rest = opened(riff(chunk(b"fmt ", PCM), chunk(b"data", b"", claimed)) + after)
    assert layout is not None
    assert layout.length == length
    assert rest.read() == after


def test_where_the_length_stands() -> None:
    content = riff(chunk(b"JUNK", bytes(7)), chunk(b"fmt ", PCM), chunk(b"data", b"", 0x12345678))
    at = layout_of(content).length_at
    assert content[at : at + 4] == struct.pack("<I", 0x12345678)


@pytest.mark.parametrize("kind", [b"RF64", b"BW64"])
def test_lengths_of_64_bits(kind: bytes) -> None:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, 5 << 32, 0, 0))
    assert layout_of(riff(sizes, chunk(b"fmt ", PCM), chunk(b"data", b"", -1), kind=kind)).length == 5 << 32
    none = chunk(b"ds64", bytes(28))
    assert layout_of(riff(none, chunk(b"fmt ", PCM), chunk(b"data", b"", -1), kind=kind)).length is None


def test_chunks_before_the_samples() -> None:
    before = chunk(b"JUNK", b"abc") + chunk(b"LIST", b"INFO" * 30_000) + chunk(b"bext", b"")
    forgotten = b"odd " + struct.pack("<I", 3) + b"abc"  # no byte to make it even
    layout, rest = opened(riff(before, chunk(b"fmt ", PCM), forgotten, chunk(b"data", b"wxyz")))
    assert layout is not None
    assert (layout.length, rest.read(4)) == (4, b"wxyz")


def test_no_wav() -> None:
    for content in (b"", b"fLaC", bytes(100), b"OggS" + bytes(30)):
        assert opened(content)[0] is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"RIFF", "ends before"),
        (b"RIFF\0\0\0\0AVI LIST", "another kind"),
        (riff(chunk(b"data", b"ab")), "before their format"),
        (riff(chunk(b"fmt ", PCM)), "ends before"),
        (riff(chunk(b"fmt ", PCM[:14]), chunk(b"data", b"")), "format is cut short"),
        (riff(chunk(b"fmt ", PCM), chunk(b"LIST", b"", 1 << 31)), "ends before"),
        (
            riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 0, 8000, 0, 0, 16)), chunk(b"data", b"")),
            "0 channels",
        ),
        (
            riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 999, 8000, 0, 0, 16)), chunk(b"data", b"")),
            "999 chan",
        ),
        (riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 0, 0, 0)), chunk(b"data", b"")), "0 bits"),
        (riff(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 0, 9, 72)), chunk(b"data", b"")), "72 bits"),
        (riff(chunk(b"fmt ", struct.pack("<HHIIHH", 3, 1, 8000, 0, 2, 16)), chunk(b"data", b"")), "16 bits"),
        (riff(chunk(b"fmt ", PCM), *[chunk(b"cue ", b"")] * 20_000), "10000 chunks"),
    ],
)
def test_headers_that_make_no_sense(content: bytes, problem: str) -> None:
    with pytest.raises(DtmfError, match=problem):
        opened(content)


def test_a_frame_size_that_is_wrong() -> None:
    form = struct.pack("<HHIIHH", 1, 2, 8000, 0, 0, 16)
    assert layout_of(riff(chunk(b"fmt ", form), chunk(b"data", b""))).width == 2


def test_a_header_cut_anywhere() -> None:
    whole = riff(chunk(b"JUNK", b"abc"), chunk(b"fmt ", PCM), chunk(b"data", b""))
    for length in range(4, len(whole)):
        with pytest.raises(DtmfError):
            opened(whole[:length])


@settings(deadline=None, max_examples=150)
@given(
    head=st.sampled_from([b"RIFF\0\0\0\0WAVE", b"RIFX\0\0\0\0WAVE", b"RF64\xff\xff\xff\xffWAVE"]),
    chunks=st.lists(
        st.tuples(
            st.sampled_from([b"fmt ", b"data", b"ds64", b"LIST", b"\0\0\0\0"]),
            st.integers(0, 0xFFFFFFFF) | st.integers(0, 60),
            st.binary(max_size=60) | st.just(PCM),
        ),
        max_size=6,
    ),
    data=st.binary(max_size=400),
)
def test_garbage(head: bytes, chunks: list[tuple[bytes, int, bytes]], data: bytes) -> None:
    content = head + b"".join(name + struct.pack("<I", size) + inside for name, size, inside in chunks) + data
    try:
        layout = layout_of(content)
    except DtmfError:
        return
    if layout.coding != "other":
        frame = layout.channels * layout.width
        samples = layout.samples(np.frombuffer(data[: len(data) // frame * frame], np.uint8))
        assert samples.shape == (len(data) // frame, layout.channels)
        assert samples.dtype == np.int16 or (np.abs(samples) <= 1).all()
