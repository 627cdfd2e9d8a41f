"""The first look: blocks of 20 ms, end to end, of all lines in one matrix product.

A tone of 40 ms or more fills at least one block, wherever it starts. A block may hold a key if one tone of
each group outweighs the rest of its group, both are loud enough and not too unlike each other, and the pair
is a fair part of all that sounds. The matrix is deaf to hum and dial tones: here those cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, LOW_BAND, NULLED, RATE, TONES_HZ, TURNS, WINDOW, Floats, amplitude

__all__ = ["AROUND", "Limits", "Screened", "cleaned", "goes_on", "in_a_run", "same_pair", "screen"]

_PRODUCT = 1024  # blocks per product: what it reads and writes stays in the nearest cache
_CHUNK = 8192  # blocks that are judged together: theirs in the next
_LOUDEST = 1e3  # squared amplitude; what exceeds it is no sound, and is put right before it is judged
_STEP = np.float32(1 / 32768)  # of 16 bits
_NULLED_16 = NULLED * _STEP
# Of 40 ms, one of the two neighbours of the block that the tone fills holds 10 ms: half of its amplitude.
_BESIDE = np.float32(0.18)  # of the power
_IN_GROUP = np.float32(0.35)  # of the strongest of its group there


@dataclass(frozen=True)
class Limits:
    """What a block must hold to pass.

    weakest_dbm0: of each tone. share_of_group: of a group's power, in its strongest tone (a tone 2 % off
    its frequency keeps more). twist_db: the high tone's level minus the low one's, from and to; the
    judgement is stricter, but the edges of a tone are not even. share: of all power but the low band's,
    in the pair.
    """

    weakest_dbm0: float = -50.0
    share_of_group: float = 0.69
    twist_db: tuple[float, float] = (-12.5, 9.0)
    share: float = 0.32


@dataclass(frozen=True)
class Screened:
    """squares: (8, n) squared amplitudes of the eight tones. key: (n,) the key that may sound, or -1."""

    squares: Floats
    key: npt.NDArray[np.int8]


def cleaned(samples: npt.NDArray[Any]) -> Floats:
    """Samples as float32 in [-1, 1]: int16 is scaled, floats are clipped, NaN is silence."""
    if samples.dtype == np.int16:
        scaled: Floats = np.multiply(samples, _STEP, dtype=np.float32)
        return scaled
    clipped: Floats = np.clip(samples, -1, 1).astype(np.float32, copy=False)
    clipped[np.isnan(clipped)] = 0
    return clipped


def screen(blocks: npt.NDArray[Any], limits: Limits) -> Screened:
    """Look at blocks (n, 160), int16 or floats in [-1, 1]."""
    count = len(blocks)
    squares = np.empty((8, count), np.float32)
    key = np.full(count, -1, np.int8)
    size = min(_CHUNK, count)
    found = np.empty((8, size), np.float32)
    parts = np.empty((min(_PRODUCT, count), 16), np.float32)
    floats = None if blocks.dtype == np.float32 else np.empty((len(parts), WINDOW), np.float32)
    matrix = _NULLED_16 if blocks.dtype == np.int16 else NULLED
    # Samples that are no numbers, or far too large, are put right by _judge.
    with np.errstate(invalid="ignore", over="ignore"):
        for first in range(0, count, _CHUNK):
            chunk = blocks[first : first + _CHUNK]
            if len(chunk) < size:
                found = np.empty((8, len(chunk)), np.float32)
            for start in range(0, len(chunk), _PRODUCT):
                sound = chunk[start : start + _PRODUCT]
                if floats is not None:
                    np.copyto(floats[: len(sound)], sound, casting="same_kind")
                    sound = floats[: len(sound)]
                part = np.matmul(sound, matrix, out=parts[: len(sound)])
                np.square(part, out=part)
                np.add(part[:, :8].T, part[:, 8:].T, out=found[:, start : start + len(sound)])
            _judge(chunk, found, limits, key[first : first + len(chunk)])
            squares[:, first : first + len(chunk)] = found
    return Screened(squares, key)


def _judge(blocks: npt.NDArray[Any], squares: Floats, limits: Limits, key: npt.NDArray[np.int8]) -> None:
    """Which of some blocks pass: written into ``key``."""
    low, high = squares[:4], squares[4:]
    low_sum, high_sum = low.sum(axis=0), high.sum(axis=0)
    wild = np.flatnonzero(~(low_sum + high_sum < _LOUDEST))
    if len(wild):
        part = np.square(cleaned(blocks[wild]) @ NULLED)
        squares[:, wild] = (part[:, :8] + part[:, 8:]).T
        low_sum, high_sum = low.sum(axis=0), high.sum(axis=0)
    best_low, best_high = low.max(axis=0), high.max(axis=0)
    weakest = np.float32(amplitude(limits.weakest_dbm0) ** 2)
    may = best_low > limits.share_of_group * low_sum
    may &= best_high > limits.share_of_group * high_sum
    may &= best_low > weakest
    may &= best_high > weakest
    may &= best_high > best_low * np.float32(10 ** (limits.twist_db[0] / 10))
    may &= best_high < best_low * np.float32(10 ** (limits.twist_db[1] / 10))
    at = np.flatnonzero(may)
    if not len(at):
        return
    sound = cleaned(blocks[at])
    power = np.einsum("bs,bs->b", sound, sound)
    enough = (best_low[at] + best_high[at]) * np.float32(WINDOW / 2 / limits.share)
    poor = np.flatnonzero(enough <= power)
    if len(poor):
        band = sound[poor] @ LOW_BAND
        power[poor] -= np.einsum("bl,bl->b", band, band)
    at = at[enough > power]
    key[at] = 4 * low[:, at].argmax(axis=0) + high[:, at].argmax(axis=0)


def same_pair(
    squares: Floats,
    key: npt.NDArray[np.int8],
    at: npt.NDArray[np.intp],
    beside: Floats,
    beside_at: npt.NDArray[np.intp],
) -> npt.NDArray[np.bool_]:
    """Whether blocks beside some that passed have enough of the same two tones.

    squares[:, at]: those that passed, with their keys (n,); beside[:, beside_at]: their neighbours.
    """
    row, column = key >> 2, 4 + (key & 3)
    near = beside[:, beside_at]
    place = np.arange(len(key))
    low, high = near[row, place], near[column, place]
    same: npt.NDArray[np.bool_] = low > _BESIDE * squares[row, at]
    same &= high > _BESIDE * squares[column, at]
    same &= low > _IN_GROUP * near[:4].max(axis=0)
    same &= high > _IN_GROUP * near[4:].max(axis=0)
    return same


def in_a_run(
    squares: Floats,
    key: npt.NDArray[np.int8],
    at: npt.NDArray[np.intp],
    earlier: Floats,
    earlier_key: npt.NDArray[np.int8],
    earlier_at: npt.NDArray[np.intp],
) -> npt.NDArray[np.bool_]:
    """Whether the block before one that passed did so too, with the same key, as loud."""
    row, column = key >> 2, 4 + (key & 3)
    run: npt.NDArray[np.bool_] = earlier_key == key
    for tone in (row, column):
        ratio = earlier[tone, earlier_at] / (squares[tone, at] + np.float32(1e-20))
        run &= (ratio > 0.5) & (ratio < 2)
    return run


AROUND = 2 * WINDOW  # samples: a block, and half of one on either side
_OFF = np.float32(0.032)  # of its frequency, by which a tone may seem to be off in 30 ms of noise
_EVEN = np.float32(0.22)  # of the power: a hole may follow
_STRONG = np.float32(0.5)  # of its group's power


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
