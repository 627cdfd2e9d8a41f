"""The file edge: sound files of any format that libsndfile reads.

soundfile is loaded at the first call: whoever has no files to read does without it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError

__all__ = ["read_wav", "write_wav"]


def read_wav(path: str | os.PathLike[str]) -> tuple[npt.NDArray[np.float32], int]:
    """The samples (n, channels) of a sound file, float32 in [-1, 1], and its rate in Hz.

    Any container, rate and coding that libsndfile knows: WAV of 8 to 32 bits, float, mu-law, A-law, GSM,
    and FLAC, Ogg, AIFF beside it. Raises DtmfError, saying why, for what cannot be read.
    """
    import soundfile

    file = Path(path)
    if file.is_dir():
        raise DtmfError("is a directory")
    try:
        with file.open("rb"):
            pass
        if file.is_file() and file.stat().st_size == 0:
            raise DtmfError("is empty")
        samples, rate = soundfile.read(os.fspath(file), dtype="float32", always_2d=True)
    except OSError as error:
        raise DtmfError(error.strerror or str(error)) from error
    except soundfile.LibsndfileError as error:
        raise DtmfError(f"no sound file that libsndfile reads ({error.error_string})") from error
    except (RuntimeError, TypeError, ValueError, MemoryError) as error:
        raise DtmfError(f"cannot be read ({error or type(error).__name__})") from error
    return samples, int(rate)


def write_wav(path: str | os.PathLike[str], samples: npt.ArrayLike, rate: int) -> None:
    """Write a WAV of 16 bits: samples (n,) or (n, channels), int16 or floats in [-1, 1]; rate in Hz.

    Floats beyond full scale are clipped. Raises DtmfError if it cannot be written.
    """
    import soundfile

    array: npt.NDArray[Any] = np.asarray(samples)
    if array.dtype != np.int16:
        if array.dtype.kind != "f":
            raise DtmfError(f"samples of type {array.dtype}; give int16, or floats in [-1, 1]")
        array = np.round(np.clip(np.nan_to_num(array, posinf=1, neginf=-1), -1, 1) * 32767).astype(np.int16)
    if array.ndim not in (1, 2):
        raise DtmfError(f"samples of shape {array.shape}; give (n,) or (n, channels)")
    try:
        soundfile.write(os.fspath(path), array, rate, subtype="PCM_16", format="WAV")
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise DtmfError(f"{os.fspath(path)}: cannot be written ({error})") from error
