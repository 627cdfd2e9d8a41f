"""A gap in a key's tone: whether the tone went on while packets were lost, and what it was then.

Silence in the place of lost packets makes two keys of one, or none. When the same two tones sound at the
same levels right up to the gap and right after it, they sounded in between: a pause that short, which
happened to be lost whole, is far less likely than a key that goes on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.keypad import HIGH_HZ, LOW_HZ
from ivr_sim.media.g711 import SAMPLE_RATE, Samples

__all__ = ["EDGE", "LONGEST", "bridge"]

EDGE = 160  # samples that are looked at on either side: 20 ms, or half of that where a key begins or ends
LONGEST = 480  # samples of a gap: three packets
PURE = 0.7  # of the power of each half of an edge is that of two tones, at the least
APART_DB = 3.0  # between the levels of a tone on either side, at the most
QUIETEST = 30.0  # root mean square: about -57 dBm0
OFF = 0.03  # a tone's frequency is off by this share at the most

_Floats = npt.NDArray[np.float64]
_Complex = npt.NDArray[np.complex128]


class _Tones:
    """Two tones: as measured over an edge, and as they are at any time from its beginning on.

    hz: nominal and measured; levels: of both; pure: whether they are all that there is, and a key's. Only
    such have levels and a sound.
    """

    def __init__(self, edge: _Floats) -> None:
        self._size, half = len(edge), len(edge) // 2
        strength = np.abs(_probes(len(edge)) @ edge)
        low, high = int(strength[:4].argmax()), int(strength[4:].argmax())
        self.nominal = np.array([LOW_HZ[low], HIGH_HZ[high]])
        # Each half alone tells phases; what they went on by beyond what was expected tells frequencies.
        halves = edge.reshape(2, half)
        first, second = _amplitudes(halves @ _inverse(low, high, half))
        drift = np.angle(second * np.conj(first * _turned(self.nominal, half)))
        self.hz = self.nominal + drift * SAMPLE_RATE / (2 * np.pi * half)
        self.pure = bool((np.abs(self.hz / self.nominal - 1) <= OFF).all())
        if not self.pure:
            return
        basis = _basis(self.hz, half)
        found = np.linalg.solve(basis.T @ basis, (halves @ basis).T).T
        rest = ((halves - found @ basis.T) ** 2).sum(axis=1)
        first, second = _amplitudes(found)
        # Both halves say what it was in the middle of the edge.
        self._middle = (first * _turned(self.hz, half) + second) / 2
        self.levels = np.abs(self._middle)
        enough = rest < (1 - PURE) * (halves**2).sum(axis=1)
        self.pure = bool(enough.all()) and float(self.levels.min()) > 0

    def sound(self, at: _Floats) -> _Floats:
        """The samples at these places, counted from the edge's beginning."""
        turned = _turned(self.hz, at[:, None] - self._size // 2)
        return np.asarray((turned @ self._middle).real)


def bridge(before: Samples, gap: int, after: Samples) -> Samples:
    """What fills a gap, int16 (gap,): a key's tones that go on, or silence.

    before, after: the ``EDGE`` samples on either side of it.
    """
    silence = np.zeros(gap, np.int16)
    if gap > LONGEST:
        return silence
    past = _pure(before, -1)
    future = _pure(after, 1) if past is not None else None
    if past is None or future is None or (past[0].nominal != future[0].nominal).any():
        return silence
    (was, size), (will_be, _) = past, future
    if np.abs(20 * np.log10(was.levels / will_be.levels)).max() > APART_DB:
        return silence
    place = np.arange(gap, dtype=np.float64)
    coming = (place + 1) / (gap + 1)
    sound = (1 - coming) * was.sound(size + place) + coming * will_be.sound(place - gap)
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16)


def _pure(samples: Samples, side: int) -> tuple[_Tones, int] | None:
    """The tones right before (-1) or after (1) a gap, and how many samples of them were looked at."""
    for size in (EDGE, EDGE // 2):
        if len(samples) >= size:
            edge = (samples[-size:] if side < 0 else samples[:size]).astype(np.float64)
            if float((edge**2).mean()) >= QUIETEST**2 and (tones := _Tones(edge)).pure:
                return tones, size
    return None


def _turned(hz: _Floats, samples: _Floats | float) -> _Complex:
    return np.asarray(np.exp(2j * np.pi * hz * samples / SAMPLE_RATE))


@lru_cache
def _probes(samples: int) -> _Complex:
    """The four low tones and the four high ones, turned back, (8, samples)."""
    return np.asarray(np.exp(-2j * np.pi * np.outer([*LOW_HZ, *HIGH_HZ], np.arange(samples)) / SAMPLE_RATE))


def _basis(hz: _Floats, samples: int) -> _Floats:
    """What two tones are made of, (samples, 4): two cosines, and two sines turned over."""
    turns = 2 * np.pi * np.outer(np.arange(samples), hz) / SAMPLE_RATE
    return np.hstack([np.cos(turns), -np.sin(turns)])


@lru_cache
def _inverse(low: int, high: int, samples: int) -> _Floats:
    """What sound has to be multiplied by, (samples, 4), to tell how much of each is in it."""
    return np.asarray(np.linalg.pinv(_basis(np.array([LOW_HZ[low], HIGH_HZ[high]]), samples)).T, np.float64)


def _amplitudes(found: npt.NDArray[np.floating[Any]]) -> _Complex:
    """The complex amplitudes of two tones at the beginning: (n, 4) to (n, 2)."""
    return np.asarray(found[:, :2] + 1j * found[:, 2:])
