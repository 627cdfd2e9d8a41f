"""Blocks that passed the screen, and which of them are worth a second look.

A block that holds little else than its pair is a candidate if the one before it or after it has the same key,
as loud. Of any other block half of one on either side is heard, too: the pair must go on into one of them, on
its frequencies; and what else sounds must not be so loud as it is in speech, where a pair is two harmonics of
many. A block that only the start of a tone is in is none: so little is no key yet, and the next block is
filled. Nor is one that only the end of a tone is in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, LOW_BAND, NULLED, TONES_HZ, TURNS, WINDOW, Floats
from dtmf.look import Keys, squared, third_peak, tones_of, window_loss
from dtmf.measurement import off_hz
from dtmf.screen import Seen

__all__ = ["AROUND", "is_an_edge", "is_promising", "is_sure"]

AROUND = 2 * WINDOW  # samples: a block, and half of one on either side
_HALF = WINDOW // 2
_EVERY = np.arange(3)[:, None] + np.arange(2)  # halves of the windows around, 10 ms apart
_START = np.float32(3.3)  # power of the next block: it is filled, and little more than half of this one
_END = np.float32(2)  # the same of the block before
_AS_LOUD = np.float32(2)  # power, at most so many times
_EVEN = np.float32(0.22)  # of the power: a hole may follow
_STRONG = np.float32(0.5)  # of its group's power
_OFF = 1.15  # limits, that 30 ms of noise may seem to be off
_TWIST = np.float32(0.05), np.float32(11)
_BAND = np.float32(0.12)  # of the power, in the low band: then hum or a dial tone is heard
_HOPE = np.float32(0.40)  # of the power must be in the pair
_OF_THE_REST = np.float32(0.6)  # of what is no hum, where there is more of that
_UNDER_IT = np.float32(0.3)  # the same, where that drowns all: what is left of it counts as well
_PURE = np.float32(0.9)  # of the power: there is no room for a third peak
_TOO_LOUD = np.float32(0.56)  # a third peak, relative to the weaker tone's power: -2.5 dB
_HZ = TONES_HZ.astype(np.float32)
_TURN = TURNS[:, _HALF // HOP]  # half a block is as long as what off_hz counts by

Bools = npt.NDArray[np.bool_]


def is_sure(now: Seen, before: Seen) -> Bools:
    """Whether blocks that follow each other hold the same key, as loud, and both little else."""
    same: Bools = (now.key == before.key) & now.pure & before.pure
    for here, there in ((now.low, before.low), (now.high, before.high)):
        same &= (here < _AS_LOUD * there) & (there < _AS_LOUD * here)
    return same


def is_an_edge(now: Seen, before: Seen, after: Seen) -> Bools:
    """Whether blocks hold but the end of what those before them hold, or the start of what is after them."""
    edge = np.zeros(len(now.key), bool)
    for beside, more in ((before, _END), (after, _START)):
        edge |= (beside.key == now.key) & (beside.low > more * now.low) & (beside.high > more * now.high)
    return edge


def is_promising(sound: Floats, key: Keys, offset: float) -> Bools:
    """Whether a pair goes on, and little enough sounds beside it.

    sound: (n, AROUND), a block that passed with half of one on either side; key: (n,); offset: share of its
    frequency by which a tone may be off. A tone of 40 ms that fills a block fills the half block on one side
    of it too: there the pair is as loud, and its phase tells the frequencies.
    """
    count, look, tone = len(key), np.arange(len(key)), tones_of(key)
    every = sound.reshape(count, 4, _HALF).take(_EVERY, axis=1).reshape(-1, WINDOW)
    parts = (every @ NULLED).reshape(count, 3, 16)
    tones = np.empty((count, 3, 8), np.complex64)
    tones.real, tones.imag = parts[:, :, :8], parts[:, :, 8:]  # turned the other way round
    groups = squared(tones).reshape(count, 3, 2, 4).sum(axis=3)
    phasors = tones[look, :, tone]  # (2, n, 3)
    pairs = squared(phasors)
    powers = pairs[0] + pairs[1]
    beside = np.where(powers[:, 0] > powers[:, 2], 0, 2)
    there, here = pairs[:, look, beside], pairs[:, :, 1]
    good = (there > _EVEN * here) & (here > _EVEN * there) & (there > _STRONG * groups[look, beside].T)
    turned = phasors[:, :, 1].conj() * phasors[:, look, beside]
    turned.imag *= 1 - beside  # from the earlier of the two to the later
    off = off_hz(turned * _TURN[tone])
    good &= np.abs(off) < np.float32(_OFF * offset) * _HZ[tone]
    promising: Bools = good[0] & good[1]
    at = promising.nonzero()[0]
    if len(at):
        pair = here[:, at] / window_loss(np.minimum(np.abs(off[:, at]), np.float32(30)))
        hz = _HZ[tone[:, at]] + off[:, at]
        promising[at] = _is_alone(sound[at], every[3 * at + 1], pair, hz)
    return promising


def _is_alone(sound: Floats, block: Floats, pair: Floats, hz: Floats) -> Bools:
    """Whether little enough sounds beside tones (2, n) of some squared amplitudes and frequencies."""
    low, high = pair
    power = np.maximum(np.einsum("bs,bs->b", block, block) * np.float32(2 / WINDOW), np.float32(1e-12))
    share = (low + high) / power
    alone: Bools = (high > _TWIST[0] * low) & (high < _TWIST[1] * low)
    doubt = (alone & (share < _PURE)).nonzero()[0]
    if len(doubt):
        parts = block[doubt] @ LOW_BAND
        band = np.einsum("bl,bl->b", parts, parts) * np.float32(2 / WINDOW) / power[doubt]
        rest = np.where(band < _BAND, np.float32(1), np.maximum(1 - band, np.float32(1e-6)))
        need = np.where(band < _BAND, _HOPE, np.where(band < 0.95, _OF_THE_REST, _UNDER_IT))
        alone[doubt] = share[doubt] > need * rest
        doubt = doubt[alone[doubt]]
    if len(doubt):
        peak = third_peak(sound[doubt], np.full(len(doubt), WINDOW, np.float32), hz[:, doubt])
        alone[doubt] = peak < _TOO_LOUD * np.minimum(low, high)[doubt]
    return alone
