"""Sound as numbers that can be drawn: levels by time and frequency, and the range of a waveform.

Both take the loudest of what falls into one column of a picture, so that a key of 50 ms is seen in an hour.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["HEAT", "WINDOW", "coloured", "envelope", "levels"]

Floats = npt.NDArray[np.float32]

WINDOW = 256  # samples: at 8 kHz 32 ms, which tells the tones of the low group (73 Hz apart) from each other
_SILENCE = 1e-6  # -120 dB
_FRAMES = 2048  # transformed at a time
# Dark to light, evenly for the eye.
HEAT = np.array(
    [
        (0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99),
        (212, 72, 66), (245, 125, 21), (250, 193, 39), (252, 255, 164),
    ],
    float,
)  # fmt: skip


def levels(samples: Floats, columns: int, per_column: float, *, bins: int = WINDOW // 2 + 1) -> Floats:
    """The levels of the first ``bins`` frequencies, from 0 up in steps of rate / WINDOW: (bins, columns).

    samples: (n,), full scale 1, from half a window before the first column on; what is missing at the end is
    silence. per_column: samples that one column stands for. dB below a sine of full scale, at least -120. A
    column is the loudest of the windows (Hann's) around its places, at least every half window.
    """
    looks = max(1, math.ceil(per_column / (WINDOW // 2)))  # in a column
    places = (np.arange(columns * looks) * (per_column / looks)).astype(np.int64)
    samples = np.pad(samples, (0, max(0, int(places[-1]) + WINDOW - len(samples))))
    shape = np.hanning(WINDOW).astype(np.float32)
    loudest = np.zeros((columns, bins), np.float32)
    step = max(1, _FRAMES // looks)
    for first in range(0, columns, step):
        part = places[first * looks : (first + step) * looks]
        frames = samples[part[:, None] + np.arange(WINDOW)] * shape
        heights = np.abs(np.fft.rfft(frames, axis=1)[:, :bins]) * (2 / shape.sum())
        loudest[first : first + step] = heights.reshape(-1, looks, bins).max(axis=1)
    decibels: Floats = 20 * np.log10(np.maximum(loudest.T, np.float32(_SILENCE)))
    return decibels


def coloured(decibels: Floats, floor: float, top: float) -> npt.NDArray[np.uint8]:
    """Levels (bins, columns) as a picture (bins, columns, 3) of red, green and blue, low frequencies below.

    floor, top: what is black, and what is brightest, dB.
    """
    bright = np.clip((decibels[::-1] - floor) / (top - floor), 0, 1) * (len(HEAT) - 1)
    below = np.minimum(bright.astype(int), len(HEAT) - 2)
    share = (bright - below)[..., None]
    colours: npt.NDArray[np.uint8] = (HEAT[below] * (1 - share) + HEAT[below + 1] * share).astype(np.uint8)
    return colours


def envelope(samples: Floats, columns: int) -> tuple[Floats, Floats]:
    """The highest and the lowest sample of each column: two arrays (columns,).

    samples, columns: at least one. A column reaches to the first sample of the next, so that what is drawn
    hangs together where there are fewer samples than columns.
    """
    edges = np.linspace(0, len(samples), columns, endpoint=False).astype(int)
    highest, lowest = np.maximum.reduceat(samples, edges), np.minimum.reduceat(samples, edges)
    following = samples[edges[1:]]
    np.maximum(highest[:-1], following, out=highest[:-1])
    np.minimum(lowest[:-1], following, out=lowest[:-1])
    return highest, lowest
