"""Sound files of any kind as 8 kHz int16."""

from __future__ import annotations

import io
import math
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

from material.store import RATE

__all__ = ["samples_of", "to_8k"]

_LONGEST_S = 1800
_RAW = {".gsm": ("GSM610", 8000), ".raw": ("PCM_16", 16000)}  # what has no header, by suffix


def samples_of(path: str, content: bytes) -> npt.NDArray[np.int16] | None:
    """A sound file as 8 kHz int16 (n,), its channels averaged, its level as recorded.

    None for what libsndfile cannot read: sound banks of games hold files that are none. What is longer
    than half an hour is cut there.
    """
    kind: dict[str, Any] = {}
    raw = _RAW.get(PurePosixPath(path).suffix.lower())
    if raw is not None:
        kind = {"format": "RAW", "subtype": raw[0], "samplerate": raw[1], "channels": 1}
    try:
        with soundfile.SoundFile(io.BytesIO(content), **kind) as file:
            rate = file.samplerate
            sound = file.read(_LONGEST_S * rate, dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError):
        return None
    return to_8k(sound, rate)


def to_8k(sound: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.int16]:
    """Floats (n,) in [-1, 1] of any rate in Hz, as 8 kHz int16; what exceeds full scale is clipped."""
    if rate != RATE and len(sound):
        common = math.gcd(RATE, rate)
        sound = resample_poly(sound, RATE // common, rate // common)
    scaled: npt.NDArray[np.int16] = np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)
    return scaled
