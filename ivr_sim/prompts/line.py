"""What came over a line: where it sounds, how loud, and what is missing of a prompt that was followed."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from ivr_sim.media.g711 import FRAME_SAMPLES, Samples
from ivr_sim.prompts.matched_filter import Signal, Track, Wanted, band_limited

__all__ = ["QUIET", "Line", "holes", "powers", "runs"]

QUIET = 100.0**2  # power: -50 dBFS
OVER_FLOOR = 4.0
SOUNDING = 3  # frames in a row: what is shorter is a click
NO_KEYS = 0.1  # of the power, outside the tones of keys: less is left of keys alone
WINDOW = 10  # frames: what is missing of a prompt is judged over 200 ms
HOLE = 5  # such windows in a row, if there is silence instead: 280 ms, which are no lost packets
WRONG = 4  # frames in it that should be heard, if there is another sound instead
DEAD = 0.1  # of the power that is due: next to nothing
PRESENT = 0.4  # of what should be heard in them


class Line:
    """What came over the line, filtered only when that is needed."""

    def __init__(self, sound: Samples) -> None:
        self.raw = np.asarray(sound)

    @cached_property
    def heard(self) -> Signal:
        """The sound as it is compared."""
        return band_limited(self.raw)

    @cached_property
    def powers(self) -> npt.NDArray[np.float32]:
        """Power per 20 ms."""
        return powers(self.heard)

    @cached_property
    def quiet(self) -> float:
        """The power up to which nothing sounds: over that of the line's own noise."""
        floor = float(np.percentile(self.powers, 10)) if len(self.powers) else 0.0
        return max(QUIET, OVER_FLOOR * floor)

    def sounding(self, first: int, last: int) -> list[tuple[int, int]]:
        """Where something but the tones of keys sounds between two samples: spans of at least 60 ms."""
        start, end = -(-max(first, 0) // FRAME_SAMPLES), max(last, 0) // FRAME_SAMPLES
        before = powers(self.raw[start * FRAME_SAMPLES : end * FRAME_SAMPLES].astype(np.float32))
        loud = self.powers[start:end] > np.maximum(self.quiet, NO_KEYS * before)
        loud &= before > QUIET  # elsewhere, the filter rings
        return [
            ((start + begin) * FRAME_SAMPLES, (start + end) * FRAME_SAMPLES)
            for begin, end in runs(loud)
            if end - begin >= SOUNDING
        ]


def holes(wanted: Wanted, track: Track, due: int) -> list[tuple[int, int, bool]]:
    """What is missing of a prompt, of which so many samples are due: first, last, whether silence is there.

    Judged over 200 ms, in which it counts how loud a frame should be, not how powerful: one lost packet
    in the middle of a vowel is no hole.
    """
    sought, there = wanted.signal[:due], track.aligned[:due]
    frames = len(sought) // FRAME_SAMPLES
    if frames < WINDOW or track.gain <= 0:
        return []
    energy = _sums(sought * sought, frames)
    other = _sums(there * there, frames)
    loud = np.sqrt(energy)
    found = np.clip(_sums(sought * there, frames) / np.maximum(track.gain * energy, 1.0), -1, 1)
    loudness = _windows(loud)
    missing = (loudness > 0.3 * loudness.mean()) & (_windows(loud * found) < PRESENT * loudness)
    found_missing = []
    for first, last in runs(missing):
        span = slice(first, last + WINDOW - 1)
        unheard = loud[span] * (found[span] < PRESENT)
        dead = other[span] < DEAD * track.gain**2 * energy[span]
        louder = (unheard * dead).sum() < 0.5 * unheard.sum()
        wrong = np.count_nonzero(unheard > 0.3 * loud.mean())
        if wrong >= WRONG if louder else last - first >= HOLE:
            found_missing.append((first * FRAME_SAMPLES, (last + WINDOW - 1) * FRAME_SAMPLES, not louder))
    return found_missing


def powers(signal: Signal) -> npt.NDArray[np.float32]:
    """Power per 20 ms, of whole ones."""
    whole = len(signal) // FRAME_SAMPLES * FRAME_SAMPLES
    return np.asarray(np.square(signal[:whole]).reshape(-1, FRAME_SAMPLES).mean(axis=1))


def _sums(signal: Signal, frames: int) -> npt.NDArray[np.float64]:
    """Sums over each of so many frames."""
    each = signal[: frames * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return np.asarray(each.sum(axis=1, dtype=np.float64))


def _windows(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over every ten frames in a row."""
    total = np.concatenate([[0.0], np.cumsum(frames)])
    return np.asarray(total[WINDOW:] - total[:-WINDOW])


def runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and behind-the-last index of each run of true ones."""
    steps = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]
