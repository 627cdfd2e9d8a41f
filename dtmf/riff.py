"""WAV from the inside: what its header says, and its bytes as samples.

Reads what stands in front of the samples and nothing more, so that a pipe can be read as well as a file;
and believes a header only as far as it can be true: recorders that were killed, and programs that write
to a pipe, leave 0, -1 or a wish where the length should be.
"""

from __future__ import annotations

import io
import struct
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.g711 import decoded

__all__ = ["MOST_CHANNELS", "Samples", "WavLayout", "clean", "read_layout"]

Samples = npt.NDArray[np.int16] | npt.NDArray[np.float32]
Coding = Literal["integer", "float", "alaw", "mulaw", "other"]

MOST_CHANNELS = 64
_CODINGS: dict[int, Coding] = {1: "integer", 3: "float", 6: "alaw", 7: "mulaw"}
_EXTENSIBLE = 0xFFFE
_UNKNOWN = 0xFFFFFFFF  # a length of 32 bits that is not known, or stands elsewhere
_MOST_CHUNKS = 10_000  # some recorders write a chunk per marker; garbage may look like any number of them
# What may follow an empty data chunk. Anything else after a length of 0 is sound.
_LATER_CHUNKS = frozenset(
    b"LIST fact cue  plst bext iXML id3  ID3  smpl inst labl note axml _PMX JUNK PAD  FLLR PEAK"[i : i + 4]
    for i in range(0, 90, 5)
)


class WavLayout(NamedTuple):
    """What a WAV's header says of its samples.

    rate: Hz; width: bytes per sample; length: bytes of samples, None for all that follow; length_at:
    where in the file the 32 bits of that length stand. A coding of "other" is known by its tag only.
    """

    rate: int
    channels: int
    coding: Coding
    tag: int
    width: int
    big_endian: bool
    length: int | None
    length_at: int

    def samples(self, data: npt.NDArray[np.uint8]) -> Samples:
        """Bytes (n * channels * width,) as samples (n, channels): int16 where that loses nothing, else
        float32 in [-1, 1]. Floats beyond full scale are clipped, NaN is silence.
        """
        return _decoded(self, data).reshape(-1, self.channels)


def read_layout(head: bytes, file: io.BufferedReader) -> WavLayout | None:
    """Read a WAV's header up to its first sample; None, and nothing read, if the file begins otherwise.

    head: the first 12 bytes of the file, read already. RIFF, RIFX (big-endian), RF64 and BW64 (longer than
    4 GiB). Raises DtmfError for a header that is cut short or makes no sense.
    """
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return None
    if len(head) < 12:
        raise DtmfError("is a damaged WAV: it ends before its samples")
    if head[8:] != b"WAVE":
        raise DtmfError(f"is a RIFF file of another kind ({head[8:].decode('ascii', 'replace')}), no WAV")
    big = head[:4] == b"RIFX"
    number = ">I" if big else "<I"
    place, form, long_length = 12, None, None
    for _ in range(_MOST_CHUNKS):
        head = _exactly(file, 8)
        name, (size,) = head[:4], struct.unpack(number, head[4:])
        place += 8
        if name == b"data":
            if form is None:
                raise DtmfError("is a damaged WAV: its samples come before their format")
            if size == _UNKNOWN:
                length = long_length
            elif size == 0 and file.peek(4)[:4] not in _LATER_CHUNKS:
                length = None
            else:
                length = size
            return _layout(form, big, length, place - 4)
        taken = b""
        if name in (b"fmt ", b"ds64"):
            taken = _exactly(file, min(size, 40))
        if name == b"fmt " and form is None:
            form = taken
        elif name == b"ds64" and len(taken) >= 16:
            long_length = struct.unpack("<Q", taken[8:16])[0] or None
        _skip(file, size - len(taken))
        place += size
        if size % 2 and file.peek(1)[:1] == b"\0":  # some writers forget the byte that makes it even
            _exactly(file, 1)
            place += 1
    raise DtmfError(f"is a damaged WAV: no samples after {_MOST_CHUNKS} chunks")


def _exactly(file: io.BufferedReader, count: int) -> bytes:
    got = file.read(count)
    if len(got) < count:
        raise DtmfError("is a damaged WAV: it ends before its samples")
    return got


def _skip(file: io.BufferedReader, count: int) -> None:
    while count > 0:
        got = len(file.read(min(count, 1 << 16)))
        if not got:
            raise DtmfError("is a damaged WAV: it ends before its samples")
        count -= got


def _layout(form: bytes, big: bool, length: int | None, length_at: int) -> WavLayout:
    """What a format chunk says (Microsoft, Multimedia Programming Interface 1.0, WAVEFORMATEX)."""
    order = ">" if big else "<"
    if len(form) < 16:
        raise DtmfError("is a damaged WAV: its format is cut short")
    tag, channels, rate, _, frame, bits = struct.unpack(order + "HHIIHH", form[:16])
    if tag == _EXTENSIBLE and len(form) >= 28:
        tag = struct.unpack(order + "I", form[24:28])[0] & 0xFFFF  # the start of the subformat's GUID
    if not 1 <= channels <= MOST_CHANNELS:
        raise DtmfError(f"has {channels} channels; 1 to {MOST_CHANNELS} can be read")
    coding = _CODINGS.get(tag, "other")
    width = 0
    if coding != "other":
        width = -(-bits // 8)
        if frame % channels == 0 and 8 * (frame // channels) >= bits:
            width = frame // channels  # 20 bits may lie in 4 bytes, at their upper end
        widths = {"integer": range(1, 9), "float": (4, 8)}.get(coding, (1,))
        if width not in widths:
            raise DtmfError(f"is a damaged WAV: samples of {bits} bits, {coding}, in {width} bytes")
    return WavLayout(rate, channels, coding, tag, width, big, length, length_at)


def _decoded(layout: WavLayout, data: npt.NDArray[np.uint8]) -> Samples:
    order = ">" if layout.big_endian else "<"
    if layout.coding == "alaw" or layout.coding == "mulaw":
        return decoded(layout.coding)[data]
    if layout.coding == "float":
        return clean(data.view(f"{order}f{layout.width}"))
    if layout.width == 1:
        return (data.astype(np.int16) - 128) << 8
    if layout.width == 2:
        return data.view(f"{order}i2").astype(np.int16, copy=False)
    if layout.width == 4:
        whole = data.view(f"{order}i4")
    else:
        parts = data.reshape(-1, layout.width)
        if layout.big_endian:
            parts = parts[:, ::-1]
        upper = np.zeros((len(parts), 4), np.uint8)
        upper[:, max(0, 4 - layout.width) :] = parts[:, -4:]
        whole = upper.view("<i4").ravel()
    scaled: npt.NDArray[np.float32] = np.multiply(
        whole, np.float32(2**-31), dtype=np.float32, casting="unsafe"
    )
    return scaled


def clean(samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Floats as they can be heard: clipped to full scale, and NaN as silence."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        clipped: npt.NDArray[np.float32] = np.clip(samples, -1, 1).astype(np.float32)
        if np.isnan(clipped.sum()):
            clipped[np.isnan(clipped)] = 0
    return clipped
