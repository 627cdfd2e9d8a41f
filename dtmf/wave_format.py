"""Sound as a WAV file's bytes, in the codings that telephone systems keep."""

from __future__ import annotations

import operator
import struct
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.g711 import encoded

__all__ = ["CODINGS", "Coding", "wav_bytes"]

Coding = Literal["pcm8", "pcm16", "pcm24", "pcm32", "float", "mulaw", "alaw"]

_PCM, _FLOAT, _ALAW, _MULAW = 1, 3, 6, 7  # format tags of Microsoft's mmreg.h
#: Format tag and bits per sample.
_FORMATS: dict[Coding, tuple[int, int]] = {
    "pcm8": (_PCM, 8),
    "pcm16": (_PCM, 16),
    "pcm24": (_PCM, 24),
    "pcm32": (_PCM, 32),
    "float": (_FLOAT, 32),
    "mulaw": (_MULAW, 8),
    "alaw": (_ALAW, 8),
}
CODINGS = tuple(_FORMATS)
_PIECE = 1 << 18  # samples coded at once: what lies between takes little memory


def wav_bytes(samples: npt.ArrayLike, rate: int, coding: Coding = "pcm16") -> bytes:
    """A WAV file: samples (n,) or (n, channels), int16 or floats in [-1, 1]; rate in Hz.

    coding: pcm8 (unsigned, as WAV has it), pcm16, pcm24, pcm32, float (32 bits), mulaw or alaw (ITU-T
    G.711). Integers are the samples times 2^(bits - 1), rounded; what exceeds their range is clipped.
    Raises DtmfError for other samples and rates, and for more than the 4 GB that a WAV can hold.
    """
    array: npt.NDArray[Any] = np.asarray(samples)
    if array.dtype != np.int16 and array.dtype.kind != "f":
        raise DtmfError(f"samples of type {array.dtype}; give int16, or floats in [-1, 1]")
    if array.ndim not in (1, 2):
        raise DtmfError(f"samples of shape {array.shape}; give (n,) or (n, channels)")
    try:
        rate = operator.index(rate)
        tag, bits = _FORMATS[coding]
    except TypeError:
        raise DtmfError(f"a sampling rate of {rate!r}; give a whole number of Hz") from None
    except KeyError:
        raise DtmfError(f"a coding of {coding!r}; there are {', '.join(CODINGS)}") from None
    channels = array.shape[1] if array.ndim == 2 else 1
    size = channels * bits // 8
    if not 0 < size < 1 << 16 or len(array) * size > (1 << 32) - 100:
        raise DtmfError(f"no WAV holds samples of shape {array.shape}")
    if not 0 < rate * size < 1 << 32:
        raise DtmfError(f"a sampling rate of {rate} Hz; a WAV cannot have that")
    if not np.isfinite(array).all():
        raise DtmfError("samples that are not finite")
    rows = _PIECE // channels or 1
    pieces = (array[first : first + rows].ravel() for first in range(0, len(array), rows))
    data = b"".join(_coded(piece, coding, bits) for piece in pieces)
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * size, size, bits)
    extra = b"" if tag == _PCM else _chunk(b"fact", struct.pack("<I", len(array)))
    if tag != _PCM:
        form += struct.pack("<H", 0)  # no more of the format follows
    body = b"WAVE" + _chunk(b"fmt ", form) + extra + _chunk(b"data", data)
    return _chunk(b"RIFF", body)


def _coded(array: npt.NDArray[Any], coding: Coding, bits: int) -> bytes:
    if array.dtype == np.int16:
        array = array / 32768
    if coding == "float":
        return array.astype("<f4").tobytes()
    if coding == "mulaw" or coding == "alaw":
        sixteen = _integers(array, 16).astype(np.int16)
        return encoded(coding)[sixteen.view(np.uint16)].tobytes()
    integers = _integers(array, bits)
    if bits == 8:
        return (integers + 128).astype(np.uint8).tobytes()
    if bits == 24:
        return integers.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return integers.astype(f"<i{bits // 8}").tobytes()


def _integers(array: npt.NDArray[np.floating], bits: int) -> npt.NDArray[np.int64]:
    full = 1 << (bits - 1)
    return np.clip(np.rint(array.astype(np.float64) * full), -full, full - 1).astype(np.int64)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
