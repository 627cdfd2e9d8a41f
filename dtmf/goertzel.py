"""The eight tones measured in windows of 20 ms: all lines and all windows in one matrix product.

Goertzel's recursion, unrolled: its result is the product of a window with one cosine and one sine of the
tone. Written as a matrix it takes the tones' exact frequencies (no rounding to bins of N), and thousands
of windows cost one call. Two looks share that matrix:

``screen``   blocks of 160 samples, end to end, of every line: which could hold a key at all? A tone of
             40 ms or more fills at least one such block, wherever it starts.
``measure``  windows that start every 40 samples, only around blocks that passed the screen: complex
             amplitudes, whose steps in phase give the frequency, and the power of all that sounds.

Samples are float32, 1.0 = full scale, at 8 kHz. Neither look has a state, and both are blind to DC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.keypad import HIGH_HZ, LOW_HZ

__all__ = [
    "FULL_SCALE_DBM0",
    "HOP",
    "PER_BLOCK",
    "RATE",
    "USUAL",
    "WINDOW",
    "Limits",
    "Windows",
    "amplitude",
    "measure",
    "screen",
    "spectra",
]

Floats = npt.NDArray[np.float32]

RATE = 8000
WINDOW = 160  # 20 ms: resolves the low group's 73 Hz, and half of the shortest tone that must be heard
HOP = 40  # 5 ms: edges to a millisecond; at 10 ms short gaps are lost
PER_BLOCK = WINDOW // HOP

FULL_SCALE_DBM0 = 3.14  # a sine that just fills 16 bits (ITU-T G.711, A-law; mu-law's 3.17 is as good)

# A tone up to 2 % off its nominal frequency keeps more than this share of its group's power.
_SHARE_OF_GROUP = 0.69
_WEAKEST_DBM0 = -50.0
_CHUNK = 1024  # blocks per product: intermediate results stay in the cache


def amplitude(dbm0: float) -> float:
    """The amplitude of a sine of a level in dBm0, 1.0 = full scale."""
    return float(10 ** ((dbm0 - FULL_SCALE_DBM0) / 20))


_WEAKEST = np.float32(amplitude(_WEAKEST_DBM0) ** 2)


class Limits(NamedTuple):
    """What a block must hold to pass the screen.

    weakest_dbm0: of each tone. share_of_group: of a group's power, in its strongest tone. twist_db: the
    high tone's level minus the low one's, from and to. share: of all power, in the pair.
    """

    weakest_dbm0: float
    share_of_group: float
    twist_db: tuple[float, float]
    share: float


# The judge is stricter about twist; the edges of a tone are not.
USUAL = Limits(_WEAKEST_DBM0, _SHARE_OF_GROUP, (-12.5, 9.0), 0.34)


def _matrix() -> Floats:
    """(16, 160): rows are the tones' cosines, then their sines, around the window's middle.

    A sine of amplitude a at a tone's frequency gives a·cos and -a·sin of its phase in the middle of the
    window. The mean of each row is taken out, so that a constant gives nothing.
    """
    t = (np.arange(WINDOW) - (WINDOW - 1) / 2) / RATE
    angle = 2 * np.pi * np.array(LOW_HZ + HIGH_HZ)[:, None] * t
    rows = np.concatenate([np.cos(angle), np.sin(angle)])
    rows -= rows.mean(axis=1, keepdims=True)
    rows *= 2 / WINDOW
    return np.ascontiguousarray(rows, dtype=np.float32)


_TONES = _matrix()
_TONES_AND_MEAN = np.ascontiguousarray(
    np.concatenate([_TONES, np.full((1, WINDOW), 1 / WINDOW, np.float32)]).T
)  # (160, 17)


def screen(blocks: Floats, *limits: Limits) -> list[npt.NDArray[np.bool_]]:
    """Which blocks may hold a key, by each of some limits: blocks (n, 160), results (n,).

    A block passes if one tone of each group outweighs the rest of its group, both are loud enough and
    not too unlike each other, and the pair is a fair part of all that sounds.
    """
    passed = [np.zeros(len(blocks), bool) for _ in limits]
    for first in range(0, len(blocks), _CHUNK):
        chunk = blocks[first : first + _CHUNK]
        parts = _TONES @ chunk.T
        np.multiply(parts, parts, out=parts)
        squares = parts[:8]
        squares += parts[8:]
        low, high = squares[:4], squares[4:]
        best_low, best_high = low.max(axis=0), high.max(axis=0)
        sums: tuple[Floats, Floats] | None = None
        for result, limit in zip(passed, limits, strict=True):
            weakest = np.float32(amplitude(limit.weakest_dbm0) ** 2)
            may = best_low > weakest
            may &= best_high > weakest
            if not may.any():
                continue
            if sums is None:
                sums = low.sum(axis=0), high.sum(axis=0)
            may &= best_low > limit.share_of_group * sums[0]
            may &= best_high > limit.share_of_group * sums[1]
            may &= best_high > best_low * 10 ** (limit.twist_db[0] / 10)
            may &= best_high < best_low * 10 ** (limit.twist_db[1] / 10)
            chosen = np.flatnonzero(may)
            if len(chosen):
                pair = (best_low[chosen] + best_high[chosen]) / 2
                result[first + chosen] = pair > limit.share * chunk[chosen].var(axis=1)
    return passed


def spectra(windows: Floats) -> tuple[npt.NDArray[np.complex64], Floats]:
    """Complex amplitudes (n, 8) of the eight tones, and the power without DC (n,), of windows (n, 160)."""
    parts = windows @ _TONES.T
    return (parts[:, :8] - 1j * parts[:, 8:]).astype(np.complex64), windows.var(axis=1)


@dataclass(frozen=True)
class Windows:
    """What windows hold.

    tones: complex amplitudes of the eight tones, low group first, phase at the window's middle, (n, 8).
    power: mean square of everything but DC, (n,).
    keys: index of the key whose pair stands out, or -1, (n,).
    """

    tones: npt.NDArray[np.complex64]
    power: Floats
    keys: npt.NDArray[np.intp]


def measure(windows: Floats) -> Windows:
    """Look closely at windows (blocks, PER_BLOCK, 160); the results are flat, (blocks * PER_BLOCK, ...).

    The product is made block by block (matmul over a stack): the same samples give the same bits,
    however many blocks are measured together.
    """
    parts = np.matmul(windows, _TONES_AND_MEAN).reshape(-1, 17)
    power = np.einsum("bwn,bwn->bw", windows, windows).ravel() / WINDOW - parts[:, 16] ** 2
    tones = parts[:, :8] - 1j * parts[:, 8:16]
    squares = parts[:, :8] ** 2 + parts[:, 8:16] ** 2
    low, high = squares[:, :4], squares[:, 4:]
    row, column = low.argmax(axis=1), high.argmax(axis=1)
    best_low, best_high = low.max(axis=1), high.max(axis=1)
    clear = best_low > 0.28 * _WEAKEST
    clear &= best_high > 0.28 * _WEAKEST
    clear &= best_low > _SHARE_OF_GROUP * low.sum(axis=1)
    clear &= best_high > _SHARE_OF_GROUP * high.sum(axis=1)
    clear &= best_low + best_high > 0.4 * power
    return Windows(tones.astype(np.complex64), power, np.where(clear, 4 * row + column, -1))
