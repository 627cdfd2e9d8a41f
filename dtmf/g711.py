"""G.711: the two laws by which telephone lines carry a sample of 16 bits in one byte, as look-up tables.

Both are exact to the bit with the reference tables (ITU-T G.711, tables 1a to 2b), for every byte and every
sample. A table is made when it is first asked for.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["LAWS", "Law", "decoded", "encoded", "there_and_back"]

Law = Literal["mulaw", "alaw"]
LAWS: tuple[Law, ...] = ("mulaw", "alaw")

_T = TypeVar("_T", bound=np.generic)

_MU_BIAS = 33
_MU_CLIP = 8159


@cache
def decoded(law: Law) -> npt.NDArray[np.int16]:
    """The sample of each byte: int16 (256,)."""
    codes = np.arange(256, dtype=np.int32)
    if law == "mulaw":
        inverted = ~codes & 0xFF
        exponent, mantissa = (inverted >> 4) & 7, inverted & 15
        magnitude = (((mantissa << 3) + 4 * _MU_BIAS) << exponent) - 4 * _MU_BIAS
        positive = inverted & 0x80 == 0
    else:
        even_bits = codes ^ 0x55
        exponent, mantissa = (even_bits >> 4) & 7, even_bits & 15
        upper = ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0)
        magnitude = np.where(exponent == 0, (mantissa << 4) + 8, upper)
        positive = even_bits & 0x80 != 0
    return _constant(np.where(positive, magnitude, -magnitude).astype(np.int16))


@cache
def encoded(law: Law) -> npt.NDArray[np.uint8]:
    """The byte of each sample, at the place of its bit pattern as uint16: uint8 (65536,)."""
    samples = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    if law == "mulaw":
        # The law is defined on 14 bits; the two bits below are dropped before the sign is taken, as the
        # reference does.
        fourteen = samples >> 2
        biased = np.minimum(np.abs(fourteen), _MU_CLIP) + _MU_BIAS
        segment = np.searchsorted((64 << np.arange(8)) - 1, biased)
        code = np.where(segment > 7, 0x7F, (segment << 4) | ((biased >> (segment + 1)) & 15))
        code ^= np.where(fourteen < 0, 0x7F, 0xFF)
    else:
        thirteen = samples >> 3
        magnitude = np.where(thirteen < 0, ~thirteen, thirteen)
        segment = np.searchsorted((32 << np.arange(8)) - 1, magnitude)
        # The two lowest segments have the same step.
        code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 15)
        code ^= np.where(thirteen < 0, 0x55, 0xD5)
    return _constant(code.astype(np.uint8))


@cache
def _through(law: Law) -> npt.NDArray[np.float32]:
    return _constant((decoded(law)[encoded(law)] / 32768).astype(np.float32))


def there_and_back(samples: npt.NDArray[np.float32], law: Law) -> npt.NDArray[np.float32]:
    """Float samples as a line with this law delivers them; what is beyond full scale is clipped."""
    sixteen = np.clip(np.round(samples * np.float32(32768)), -32768, 32767).astype(np.int16)
    return _through(law).take(sixteen.view(np.uint16))


def _constant(table: npt.NDArray[_T]) -> npt.NDArray[_T]:
    table.flags.writeable = False
    return table
