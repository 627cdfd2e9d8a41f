"""The first look: blocks of 20 ms, end to end, of all lines at once.

A tone of 40 ms or more fills at least one block, wherever it starts. A block may hold a key if one tone of
each group outweighs the rest of its group, both are loud enough and not too unlike each other, and the pair
is a fair part of all that sounds. The matrices are deaf to hum and dial tones: here those cost nothing.

Nearly all blocks hold nothing like it, and half of their samples tell: what sounds above 2 kHz is then
folded onto the tones, so the limits are wider. Of the others all samples tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HALVED, LOW_BAND, NULLED, WINDOW, Floats, amplitude

__all__ = ["Seen", "cleaned", "joined", "nothing", "screen"]

_PRODUCT = 768  # blocks per product: what it reads and writes stays in the nearest cache
_CHUNK = 7680  # blocks that are judged together: theirs in the next
_FEW = 1024  # blocks all of whose samples are looked at together
_STEP = np.float32(1 / 32768)  # of 16 bits
# Two samples of 16 bits are one number of 32: the later one, scaled, and noise of less than one step.
_HALVED_16 = HALVED * np.float32(2.0**-31)


class _Limits(NamedTuple):
    """What a block must hold to pass.

    weakest: squared amplitude of each tone. share_of_group: of a group's power, in its strongest tone (a tone
    2 % off its frequency keeps more). twist: power of the high tone relative to the low one's, from and to;
    the judgement is stricter, but the edges of a tone are not even.
    """

    weakest: np.float32
    share_of_group: np.float32
    twist: tuple[np.float32, np.float32]


def _limits(weakest_dbm0: float, share_of_group: float, twist_db: tuple[float, float]) -> _Limits:
    low, high = (np.float32(10 ** (db / 10)) for db in twist_db)
    return _Limits(np.float32(amplitude(weakest_dbm0) ** 2), np.float32(share_of_group), (low, high))


_OF_ALL = _limits(-50.0, 0.69, (-12.5, 9.0))
_OF_HALF = _limits(-53.0, 0.60, (-14.5, 11.0))
_SHARE = np.float32(0.32)  # of all power but the low band's must be in the pair
_ALONE = np.float32(0.7)  # of the power: little else sounds; a tone off its frequency shows no more
_POOR = np.float32(0.42)  # of it, the low band's with it: that is left out


class Seen(NamedTuple):
    """What n blocks may hold: (n,) each.

    key: the key, or -1; low, high: the squared amplitudes of its tones; pure: little else sounds.
    """

    key: npt.NDArray[np.int8]
    low: Floats
    high: Floats
    pure: npt.NDArray[np.bool_]

    def at(self, index: npt.NDArray[np.intp] | slice) -> Seen:
        """Some of them."""
        return Seen(self.key[index], self.low[index], self.high[index], self.pure[index])

    def put(self, index: npt.NDArray[np.intp], seen: Seen) -> None:
        """Write some of them."""
        self.key[index], self.low[index], self.high[index], self.pure[index] = seen


def nothing(count: int) -> Seen:
    """Blocks that did not pass."""
    low, high = np.ones((2, count), np.float32)
    return Seen(np.full(count, -1, np.int8), low, high, np.zeros(count, bool))


def joined(parts: Sequence[Seen]) -> Seen:
    """All of them."""
    key, low, high, pure = zip(*parts, strict=True)
    return Seen(np.concatenate(key), np.concatenate(low), np.concatenate(high), np.concatenate(pure))


def cleaned(samples: npt.NDArray[Any]) -> Floats:
    """Samples as float32 in [-1, 1]: int16 is scaled, floats are clipped, NaN is silence."""
    if samples.dtype == np.int16:
        scaled = samples.astype(np.float32)
        scaled *= _STEP
        return scaled
    clipped: Floats = np.clip(samples, -1, 1).astype(np.float32, copy=False)
    clipped[np.isnan(clipped)] = 0
    return clipped


def screen(blocks: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], Seen]:
    """Which of some blocks (n, 160), int16 or floats in [-1, 1], may hold a key, in order, and what."""
    places = _by_half(blocks)
    parts = [_by_all(blocks, places[first : first + _FEW]) for first in range(0, len(places), _FEW)]
    if not parts:
        return places, nothing(0)
    at, seen = zip(*parts, strict=True)
    return np.concatenate(at), joined(seen)


def _by_half(blocks: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Which blocks half of their samples let pass."""
    count = len(blocks)
    whole_numbers = blocks.dtype == np.int16
    half = np.ascontiguousarray(blocks).view(np.int32) if whole_numbers else blocks[:, 1::2]
    matrix = _HALVED_16 if whole_numbers else HALVED
    size = min(_PRODUCT, count)
    floats, parts = np.empty((size, WINDOW // 2), np.float32), np.empty((size, 16), np.float32)
    tones = np.empty((16, min(_CHUNK, count)), np.float32)
    found = [np.zeros(0, np.intp)]
    for first in range(0, count, _CHUNK):
        chunk = half[first : first + _CHUNK]
        waves = tones[:, : len(chunk)]
        for start in range(0, len(chunk), size):
            some = chunk[start : start + size]
            sound = floats[: len(some)]
            np.copyto(sound, some if whole_numbers else cleaned(some), casting="same_kind")
            waves[:, start : start + size] = np.matmul(sound, matrix, out=parts[: len(some)]).T
        np.square(waves, out=waves)
        squares = np.add(waves[:8], waves[8:], out=waves[:8])
        found.append(_alike(squares, _best(squares), _OF_HALF).nonzero()[0] + first)
    return np.concatenate(found)


def _by_all(blocks: npt.NDArray[Any], places: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Seen]:
    """Which of some blocks all of their samples let pass, and what they hold."""
    sound = cleaned(blocks[places])
    waves = np.ascontiguousarray((sound @ NULLED).T)
    np.square(waves, out=waves)
    squares = np.add(waves[:8], waves[8:], out=waves[:8])
    best = _best(squares)
    alike = _alike(squares, best, _OF_ALL).nonzero()[0]
    sound, pair = sound[alike], best[:, alike].sum(axis=0)
    power = np.einsum("bs,bs->b", sound, sound) * np.float32(2 / WINDOW)
    poor = (pair < _POOR * power).nonzero()[0]
    band = sound[poor] @ LOW_BAND
    power[poor] -= np.einsum("bl,bl->b", band, band) * np.float32(2 / WINDOW)
    kept = (pair > _SHARE * power).nonzero()[0]
    passed = alike[kept]
    low, high = squares[:4, passed].argmax(axis=0), squares[4:, passed].argmax(axis=0)
    key = (4 * low + high).astype(np.int8)
    low_best, high_best = best[:, passed]
    return places[passed], Seen(key, low_best, high_best, pair[kept] > _ALONE * power[kept])


def _best(squares: Floats) -> Floats:
    """The strongest of each group, (2, n) of (8, n)."""
    best: Floats = squares.reshape(2, 4, -1).max(axis=1)
    return best


def _alike(squares: Floats, best: Floats, limits: _Limits) -> npt.NDArray[np.bool_]:
    """Whether one tone of each group (8, n) outweighs the rest of it, both loud and like each other."""
    group = squares.reshape(2, 4, -1).sum(axis=1)
    group *= limits.share_of_group
    outweighs = best > group
    may: npt.NDArray[np.bool_] = outweighs[0] & outweighs[1]
    low, high = best
    work = group[0]
    may &= np.minimum(low, high, out=work) > limits.weakest
    may &= high > np.multiply(low, limits.twist[0], out=work)
    may &= high < np.multiply(low, limits.twist[1], out=work)
    return may
