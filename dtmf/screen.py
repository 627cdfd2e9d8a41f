"""The first look: blocks of 20 ms, end to end, of all lines at once.

A tone of 40 ms or more fills at least one block, wherever it starts. A block may hold a key if one tone of
each group outweighs the rest of its group, both are loud enough and not too unlike each other, and the pair
is a fair part of all that sounds. The matrices are deaf to hum and dial tones: here those cost nothing.

Nearly all blocks hold nothing like it, and half of their samples tell: what sounds above 2 kHz is then
folded onto the tones, so the limits are wider. Of the others all samples tell, unless the half of them held
next to nothing but a pair; whether that was folded, the second look sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HALVED, LOW_BAND, NULLED, WINDOW, Floats, amplitude

__all__ = ["Seen", "cleaned", "joined", "nothing", "screen"]

_PRODUCT = 512  # blocks per product: what it reads and writes stays in the nearest cache
_CHUNK = 4096  # blocks that are judged together: theirs in the next
_STEP = np.float32(1 / 32768)  # of 16 bits
# Two samples of 16 bits are one number of 32: the later one, scaled, and noise of less than one step.
_HALVED_16 = HALVED * np.float32(2.0**-31)


class _Limits(NamedTuple):
    """What a block must hold to pass.

    weakest: squared amplitude of each tone. share_of_group: of a group's power, in its strongest tone (a tone
    2 % off its frequency keeps more). twist: power of the high tone relative to the low one's, from and to;
    the judgement is stricter, but the edges of a tone are not even. share: of all power but the low band's,
    in the pair.
    """

    weakest: np.float32
    share_of_group: np.float32
    twist: tuple[np.float32, np.float32]
    share: np.float32


def _limits(
    weakest_dbm0: float, share_of_group: float, twist_db: tuple[float, float], share: float
) -> _Limits:
    low, high = (np.float32(10 ** (db / 10)) for db in twist_db)
    weakest = np.float32(amplitude(weakest_dbm0) ** 2)
    return _Limits(weakest, np.float32(share_of_group), (low, high), np.float32(share))


_OF_ALL = _limits(-50.0, 0.69, (-12.5, 9.0), 0.32)
_OF_HALF = _limits(-53.0, 0.60, (-14.5, 11.0), 0.26)
_PURE = np.float32(0.9)  # of the power: all samples would tell the same
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
        scaled: Floats = np.multiply(samples, _STEP, dtype=np.float32)
        return scaled
    clipped: Floats = np.clip(samples, -1, 1).astype(np.float32, copy=False)
    clipped[np.isnan(clipped)] = 0
    return clipped


def screen(blocks: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], Seen]:
    """Which of some blocks (n, 160), int16 or floats in [-1, 1], may hold a key, in order, and what."""
    at, squares, share = _looked_at(blocks)
    passed = np.flatnonzero(_alike(squares, _OF_ALL) & (share > _OF_ALL.share))
    squares = squares[:, passed]
    low, high = squares[:4].argmax(axis=0), squares[4:].argmax(axis=0)
    place = np.arange(len(passed))
    key = (4 * low + high).astype(np.int8)
    return at[passed], Seen(key, squares[low, place], squares[4 + high, place], share[passed] > _ALONE)


def _looked_at(blocks: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], Floats, Floats]:
    """Which blocks half of their samples let pass; squared amplitudes (8, n), the pairs' shares (n,)."""
    count = len(blocks)
    whole_numbers = blocks.dtype == np.int16
    if whole_numbers and blocks.strides[1] != blocks.itemsize:
        blocks = np.ascontiguousarray(blocks)
    half = blocks.view(np.int32) if whole_numbers else blocks[:, 1::2]
    matrix = _HALVED_16 if whole_numbers else HALVED
    size = min(_PRODUCT, count)
    floats, parts = np.empty((size, WINDOW // 2), np.float32), np.empty((size, 16), np.float32)
    tones = np.empty((16, min(_CHUNK, count)), np.float32)
    found = [(np.zeros(0, np.intp), np.empty((8, 0), np.float32), np.zeros(0, np.float32))]
    for first in range(0, count, _CHUNK):
        chunk = half[first : first + _CHUNK]
        waves = tones[:, : len(chunk)]
        for start in range(0, len(chunk), _PRODUCT):
            some = chunk[start : start + _PRODUCT]
            sound = floats[: len(some)]
            np.copyto(sound, some if whole_numbers else cleaned(some), casting="same_kind")
            waves[:, start : start + len(some)] = np.matmul(sound, matrix, out=parts[: len(some)]).T
        np.square(waves, out=waves)
        squares = np.add(waves[:8], waves[8:], out=waves[:8])
        at = np.flatnonzero(_alike(squares, _OF_HALF))
        if len(at):
            squares = squares[:, at]
            at += first
            found.append((at, squares, _share(blocks[at], squares)))
    return (
        np.concatenate([part[0] for part in found]),
        np.concatenate([part[1] for part in found], axis=1),
        np.concatenate([part[2] for part in found]),
    )


def _share(blocks: npt.NDArray[Any], squares: Floats) -> Floats:
    """The share of the power that the pair has; unless that is nearly all, ``squares`` are measured anew."""
    sound = cleaned(blocks)
    power = np.einsum("bs,bs->b", sound, sound) * np.float32(2 / WINDOW)
    pair = squares[:4].max(axis=0) + squares[4:].max(axis=0)
    poor = np.flatnonzero(pair < _POOR * power)
    if len(poor):
        band = sound[poor] @ LOW_BAND
        power[poor] -= np.einsum("bl,bl->b", band, band) * np.float32(2 / WINDOW)
    doubt = np.flatnonzero((pair > _OF_HALF.share * power) & (pair < _PURE * power))
    if len(doubt):
        waves = np.square(sound[doubt] @ NULLED)
        anew = np.ascontiguousarray((waves[:, :8] + waves[:, 8:]).T)
        squares[:, doubt] = anew
        pair[doubt] = anew[:4].max(axis=0) + anew[4:].max(axis=0)
    share: Floats = pair / np.maximum(power, np.float32(1e-12))
    return share


def _alike(squares: Floats, limits: _Limits) -> npt.NDArray[np.bool_]:
    """Whether one tone of each group (8, n) outweighs the rest of it, both loud and like each other."""
    low, high = squares[:4], squares[4:]
    best_low, best_high = low.max(axis=0), high.max(axis=0)
    work = low.sum(axis=0)
    work *= limits.share_of_group
    may: npt.NDArray[np.bool_] = best_low > work
    np.sum(high, axis=0, out=work)
    work *= limits.share_of_group
    may &= best_high > work
    may &= np.minimum(best_low, best_high, out=work) > limits.weakest
    may &= best_high > np.multiply(best_low, limits.twist[0], out=work)
    may &= best_high < np.multiply(best_low, limits.twist[1], out=work)
    return may
