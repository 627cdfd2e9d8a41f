"""What a tone is like inside: levels, frequencies, how steady it is, and how little else sounds.

Windows that lie inside give the levels, and by how much the phase turns from one to the next the frequencies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, RATE, WINDOW, Floats
from dtmf.look import FRAME_START, Complex, Windows, window_loss
from dtmf.piece import Pieces

__all__ = ["LAG", "Measured", "measure", "off_hz"]

LAG = 2  # windows; 10 ms of phase
_SLACK = np.float32(RATE // 1000)  # edges are known to a millisecond
_FRAME = FRAME_START / HOP


class Measured(NamedTuple):
    """A tone's inside; (J,) each but for what is told of both tones, (2, J).

    squares: amplitudes, put right for how far the tones are off. off: Hz off nominal. power: mean square of
    all that counts. steadiness: 1 when the phases advance evenly. low_band: share of all power that the low
    band had. number: of windows. error: of the amplitudes, from those of a tone with such edges; root mean
    square, relative to the tone.
    """

    squares: Floats
    off: Floats
    power: Floats
    steadiness: Floats
    low_band: Floats
    number: Floats
    error: Floats

    def at(self, index: npt.NDArray[np.intp]) -> Measured:
        """Those of some looks."""
        return Measured(*(values[..., index] for values in self))

    def put(self, index: npt.NDArray[np.intp], measured: Measured) -> None:
        """Write those of some looks."""
        for values, new in zip(self, measured, strict=True):
            values[..., index] = new

    @property
    def pair(self) -> Floats:
        """The power of the two tones."""
        power: Floats = (self.squares[0] + self.squares[1]) / 2
        return power


def off_hz(turned: Complex) -> Floats:
    """How far a tone is off, Hz, whose phasor turns so within LAG windows."""
    off: Floats = np.arctan2(turned.imag, turned.real)
    off *= np.float32(RATE / (2 * np.pi * LAG * HOP))
    return off


def measure(seen: Windows, found: Pieces, heard: npt.NDArray[np.bool_]) -> Measured:
    """Levels, frequencies and the rest, from the windows that lie inside the longest piece; heard: (J,
    FRAMES) those that count at all.
    """
    first = np.ceil((found.piece_from - _SLACK) / HOP)
    last = np.floor((found.piece_to + _SLACK - WINDOW) / HOP)
    narrow = (last < first).nonzero()[0]
    if len(narrow):
        first[narrow] = last[narrow] = _middle(found, narrow)
    inside = _between(first, last)
    count = np.maximum(inside.sum(axis=1), np.float32(1))
    mean = np.einsum("tjf,jf->tj", seen.squares, inside) / count + np.float32(1e-20)
    power = np.einsum("jf,jf->j", seen.power, inside) / count
    share = np.zeros(len(power), np.float32)
    if seen.low_band is not None:
        band = np.einsum("jf,jf->j", seen.low_band, inside) / count
        share = band / (band + power)
    away = np.sqrt(seen.squares / mean[:, :, None])
    away -= found.shape
    away *= heard
    error = np.einsum("tjf,tjf->tj", away, away).sum(axis=0)
    error /= 2 * np.maximum(np.add.reduce(heard, axis=1, dtype=np.float32), np.float32(1))
    # Windows that the tone does not fill tell its phase a little wrong: they serve only where few others are.
    earliest, latest = first + LAG, last
    few = count < 4
    if few.any():
        earliest = np.where(few, np.maximum(first - 1, found.first) + LAG, earliest)
        latest = np.where(few, np.minimum(last + 1, found.last), last)
    steps = seen.tones[:, :, LAG:] * seen.tones[:, :, :-LAG].conj()
    steps *= _between(earliest, latest)[:, LAG:]
    whole = steps.sum(axis=2)
    steady = np.abs(whole) / np.maximum(np.abs(steps).sum(axis=2), np.float32(1e-20))
    off = off_hz(whole)
    steady = steady.min(axis=0)
    return Measured(mean / window_loss(off), off, power, steady, share, count, np.sqrt(error))


def _middle(found: Pieces, at: npt.NDArray[np.intp]) -> Floats:
    """The window in the middle of some pieces, which no window lies inside of."""
    middle = np.rint((found.piece_from[at] + found.piece_to[at] - WINDOW) / (2 * HOP))
    return np.minimum(np.maximum(middle, found.first[at]), found.last[at]).astype(np.float32)


def _between(first: npt.NDArray[np.floating], last: npt.NDArray[np.floating]) -> Floats:
    """1 for the windows (J, FRAMES) from one to another, else 0."""
    return ((first[:, None] <= _FRAME) & (last[:, None] >= _FRAME)).astype(np.float32)
