"""Whole sound files in one call: samples from a file of any format, and to a WAV."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.recording import Recording
from dtmf.riff import clean
from dtmf.wave_format import wav_bytes

__all__ = ["read_wav", "write_wav"]


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

    Floats beyond full scale are clipped, NaN is silence. Raises DtmfError if it cannot be written.
    """
    array: npt.NDArray[Any] = np.asarray(samples)
    content = wav_bytes(clean(array) if array.dtype.kind == "f" else array, rate)
    try:
        with open(path, "wb") as file:
            file.write(content)
    except (OSError, ValueError) as error:
        raise DtmfError(f"{os.fspath(path)}: cannot be written ({error})") from error
