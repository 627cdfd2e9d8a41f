"""Whole sound files in one call: samples from a file of any format, and to a WAV."""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.recording import Recording

__all__ = ["read_wav", "write_wav"]

_MOST_BYTES = 0xFFFFFFFF - 36  # of samples: the length of the whole is written in 32 bits


def read_wav(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.float32], int]:
    """The samples (n, channels) of a sound file, float32 in [-1, 1], and its rate in Hz.

    Any format that :class:`dtmf.recording.Recording` reads. Raises DtmfError, saying why, for what cannot be
    read; the message goes on where the file's name ends.
    """
    with Recording(path) as recording:
        parts: list[npt.NDArray[np.float32]] = [np.zeros((0, recording.channels), np.float32)]
        for piece in recording.pieces():
            scale = np.float32(1 / 32768 if piece.dtype == np.int16 else 1)
            parts.append(np.multiply(piece, scale, dtype=np.float32))
        try:
            return np.concatenate(parts), recording.rate
        except MemoryError as error:
            raise DtmfError("is too long to be held in memory") from error


def write_wav(path: str | os.PathLike[str], samples: npt.ArrayLike, rate: int) -> None:
    """Write a WAV of 16 bits: samples (n,) or (n, channels), int16 or floats in [-1, 1]; rate in Hz.

    Floats beyond full scale are clipped. Raises DtmfError if it cannot be written.
    """
    array: npt.NDArray[Any] = np.asarray(samples)
    if array.dtype != np.int16:
        if array.dtype.kind != "f":
            raise DtmfError(f"samples of type {array.dtype}; give int16, or floats in [-1, 1]")
        array = np.round(np.clip(np.nan_to_num(array, posinf=1, neginf=-1), -1, 1) * 32767).astype(np.int16)
    if array.ndim not in (1, 2):
        raise DtmfError(f"samples of shape {array.shape}; give (n,) or (n, channels)")
    channels = array.shape[1] if array.ndim == 2 else 1
    if not 1 <= channels <= 0xFFFF // 2 or array.nbytes > _MOST_BYTES:
        raise DtmfError(f"{os.fspath(path)}: no WAV holds samples of shape {array.shape}")
    try:
        form = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    except struct.error:
        raise DtmfError(f"a sampling rate of {rate!r}; give a whole number of Hz") from None
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", array.nbytes)
    head = b"RIFF" + struct.pack("<I", len(body) + array.nbytes) + body
    try:
        with open(path, "wb") as file:
            file.write(head)
            file.write(np.ascontiguousarray(array, "<i2").data)
    except (OSError, ValueError) as error:
        raise DtmfError(f"{os.fspath(path)}: cannot be written ({error})") from error
