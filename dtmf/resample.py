"""Any rate to 8 kHz: the one place that needs scipy, and loads it only then."""

from __future__ import annotations

import math
import operator

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.goertzel import RATE

__all__ = ["HIGHEST_RATE", "LOWEST_RATE", "checked_rate", "to_8k"]

LOWEST_RATE = 4000  # below it the keypad's highest tone, 1633 Hz with its tolerance, is lost
HIGHEST_RATE = 384_000


def checked_rate(rate: int) -> int:
    """A sampling rate in Hz, if it is one that the keypad can be heard at. Raises DtmfError."""
    try:
        rate = operator.index(rate)
    except TypeError:
        raise DtmfError(f"a sampling rate of {rate!r}; give a whole number of Hz") from None
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise DtmfError(f"a sampling rate of {rate} Hz; it must be from {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    return rate


def to_8k(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    """Samples (n,) of any rate in Hz at 8 kHz, in time with the original, by a polyphase FIR.

    What lies above 4 kHz is filtered out. Raises DtmfError for rates that cannot be.
    """
    rate = checked_rate(rate)
    if rate == RATE or not len(samples):
        return samples
    from scipy.signal import resample_poly

    common = math.gcd(RATE, rate)
    return np.asarray(resample_poly(samples, RATE // common, rate // common), np.float32)
