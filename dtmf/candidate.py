"""Blocks that passed the screen, and which of them are worth a second look.

A block is a candidate if the one before it or after it has the same key, as loud; or if its pair goes on
10 ms earlier or later, on its frequencies. A block that only the start of a tone is in is none: so little is
no key yet, and the next block is filled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, NULLED, RATE, TONES_HZ, TURNS, WINDOW, Floats
from dtmf.screen import Seen

__all__ = ["AROUND", "goes_on", "is_the_same", "is_the_start"]

AROUND = 2 * WINDOW  # samples: a block, and half of one on either side
_OFF = np.float32(0.032)  # of its frequency, by which a tone may seem to be off in 30 ms of noise
_EVEN = np.float32(0.22)  # of the power: a hole may follow
_STRONG = np.float32(0.5)  # of its group's power
_START = np.float32(5)  # power of the next block: it is filled, and less than half of this one
_AS_LOUD = np.float32(2)  # power, at most so many times


def is_the_same(now: Seen, before: Seen) -> npt.NDArray[np.bool_]:
    """Whether blocks have the key of those before, as loud."""
    same: npt.NDArray[np.bool_] = now.key == before.key
    for here, there in ((now.low, before.low), (now.high, before.high)):
        same &= (here < _AS_LOUD * there) & (there < _AS_LOUD * here)
    return same


def is_the_start(now: Seen, after: Seen) -> npt.NDArray[np.bool_]:
    """Whether blocks hold but the start of what those after them hold."""
    start: npt.NDArray[np.bool_] = now.key == after.key
    return start & (after.low > _START * now.low) & (after.high > _START * now.high)


def goes_on(sound: Floats, key: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Whether the pair is still there, as loud and on its frequencies, 10 ms before or after a block.

    sound: (n, AROUND), a block that passed with half of one on either side; key: (n,). A tone of 40 ms that
    fills a block fills the half block on one side of it too: there, all of this is so.
    """
    parts = np.lib.stride_tricks.sliding_window_view(sound, WINDOW, axis=1)[:, :: WINDOW // 2] @ NULLED
    squares = np.square(parts[:, :, :8]) + np.square(parts[:, :, 8:])
    at = np.arange(len(key))
    early: npt.NDArray[np.bool_] = np.ones(len(key), bool)
    late = early.copy()
    for tone, group in ((key >> 2, slice(0, 4)), (4 + (key & 3), slice(4, 8))):
        phasor = parts[at, :, tone] - 1j * parts[at, :, tone + 8]
        power = squares[at, :, tone]
        strong = power > _STRONG * squares[:, :, group].sum(axis=2)
        turns = phasor[:, 1:] * phasor[:, :-1].conj() * TURNS[tone, WINDOW // 2 // HOP][:, None]
        off = np.abs(np.angle(turns)) * np.float32(RATE / (np.pi * WINDOW))
        near = off < _OFF * TONES_HZ[tone, None]
        for side, here, beside in ((early, 0, 0), (late, 1, 2)):
            side &= near[:, here] & strong[:, beside]
            side &= power[:, beside] > _EVEN * power[:, 1]
            side &= power[:, 1] > _EVEN * power[:, beside]
    return early | late
