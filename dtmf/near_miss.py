"""Two tones that are nearly a key: which blocks may hold them, and which limit they missed.

A tone 3 % off its frequency is where a window of 20 ms is all but deaf to the nominal one: so each is asked
for thrice. Then the two that are there are measured as they are: a least-squares fit of both at once, at
their own frequencies, of windows that nothing is taken out of.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import FULL_SCALE_DBM0, LOW_BAND, RATE, TONES_HZ, WINDOW, Floats, amplitude
from dtmf.standards import Decision

__all__ = ["NearMiss", "Reason", "judge", "may_hold"]

Reason = Literal["too_short", "too_weak", "twist", "frequency", "purity", "echo"]

STEP = 20  # samples, 2.5 ms, between two windows

SHARE = 0.42  # the two tones' share of all power, in a block that passes
SHARE_OF_GROUP = 0.5  # each tone's share of its group's power; 4 % off its frequency it keeps more
WIDEST_TWIST_DB = 16.0  # beyond that it is one tone, and what goes with it
FAINTEST_DBM0 = -60.0  # of the weaker tone
WIDEST_OFFSET = 0.043  # half way between two tones of the low group

PURE = 0.85  # the two tones' share of all power; a window that a tone fills by less has less
CLEAN = 0.95  # with less it may have been refused for that
FAIR = 0.62  # with less it is speech as often as a key
EXACT = 0.008  # off their frequencies at most, where they are not pure
LONG = round(0.06 * RATE)  # at least, where they are not pure or off their frequencies
MAY_BE_PURE = 0.5  # the two tones' share in windows that are looked at
STEADINESS = 0.95  # how straight the phase advances
ALONE = 0.3  # of its power, all that sounds right before and after a short one
_CHUNK = 1024  # blocks screened at once

_OFFSETS = (1.0, 0.97, 1.03)
_HZ = (TONES_HZ[:, None] * np.array(_OFFSETS)).ravel()


def _waves(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(WINDOW, 2 n): cosines, then sines, around the middle."""
    angle = 2 * np.pi * (np.arange(WINDOW) - (WINDOW - 1) / 2)[:, None] / RATE * hz
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def _matrix(deaf_to: npt.NDArray[np.float64]) -> Floats:
    """(WINDOW, 48): the tones and their neighbours; deaf_to: orthonormal columns."""
    waves = _waves(_HZ)
    deaf = waves - deaf_to @ (deaf_to.T @ waves)
    return np.ascontiguousarray(deaf / np.einsum("st,st->t", waves, deaf), dtype=np.float32)


_NULLED = _matrix(LOW_BAND.astype(np.float64))
_PLAIN = _matrix(np.full((WINDOW, 1), WINDOW**-0.5))


class NearMiss(NamedTuple):
    """What two tones were. start, end: samples since the sound's first; the levels are as a Tone's."""

    reason: Reason
    start: float
    end: float
    level_dbm0: float
    twist_db: float


def may_hold(blocks: Floats, screened: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of some blocks (n, WINDOW) may hold a tone of each group, or passed the receiver's screen."""
    passed = screened.copy()
    faintest, widest = np.float32(amplitude(FAINTEST_DBM0 - 4) ** 2), np.float32(_ratio(WIDEST_TWIST_DB + 1))
    for first in range(0, len(blocks), _CHUNK):
        chunk = blocks[first : first + _CHUNK]
        parts = np.square(chunk @ _NULLED)
        squares = (parts[:, :24] + parts[:, 24:]).reshape(-1, 8, 3).max(axis=2)
        low, high = squares[:, :4].max(axis=1), squares[:, 4:].max(axis=1)
        may = np.minimum(low, high) > np.maximum(faintest, np.maximum(low, high) / widest)
        may &= low > SHARE_OF_GROUP * squares[:, :4].sum(axis=1)
        may &= high > SHARE_OF_GROUP * squares[:, 4:].sum(axis=1)
        at = np.flatnonzero(may)
        sound = chunk[at]
        power = np.einsum("bs,bs->b", sound, sound)
        enough = (low[at] + high[at]) * np.float32(WINDOW / 2 / SHARE)
        poor = np.flatnonzero(enough <= power)
        power[poor] -= np.square(sound[poor] @ LOW_BAND).sum(axis=1)
        passed[first + at[enough > power]] = True
    return passed


def judge(sound: Floats, keys: frozenset[int], limits: Decision) -> NearMiss | None:
    """What a sound (n,) was, if it was a near miss of one of some keys. It begins with what was before."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::STEP]
    if _purest(*_squares(windows[::4])) is None:  # what most of speech is done with
        return None
    squares, power = _squares(windows)
    best = _purest(squares, power)
    if best is None:
        return None
    both = [int(squares[best, :12].argmax()), 12 + int(squares[best, 12:].argmax())]
    nominal = TONES_HZ[[tone // 3 for tone in both]]
    if 4 * (both[0] // 3) + both[1] // 3 - 4 not in keys:
        return None

    # Half of its amplitude marks an edge, as everywhere in the receiver.
    pair = squares[:, both].sum(axis=1)
    height = float(pair[best])
    loud = pair >= height / 4
    first = best - int(np.argmin(loud[best::-1])) + 1 if not loud[: best + 1].all() else 0
    last = best + int(np.argmin(loud[best:])) - 1 if not loud[best:].all() else len(loud) - 1
    start, end = (WINDOW / 2 + (edge * STEP) for edge in (first - 0.5, last + 0.5))
    short = end - start < limits.shortest_ms * RATE / 1000
    if short and not _alone(power, first, last, height / 2):
        return None

    windows, power = windows[first : last + 1], power[first : last + 1]
    hz = _HZ[both]
    tones = _fitted(windows, hz)
    heights = np.square(np.abs(tones)).sum(axis=1)
    # A short one fills one window, if any, and is too short to tell its frequencies.
    inside = heights >= (1 if short else 0.85) * heights.max()
    steps = inside[2:] & inside[:-2]
    off = 0.0
    if steps.any():
        for _ in range(2):  # what leaks from one tone into the other is gone when the frequencies are right
            turns = (tones[2:] * tones[:-2].conj())[steps] * np.exp(-2j * np.pi * hz * 2 * STEP / RATE)
            whole = turns.sum(axis=0)
            if (np.abs(whole) < STEADINESS * np.abs(turns).sum(axis=0)).any():
                return None
            hz = hz + np.angle(whole) * RATE / (2 * np.pi * 2 * STEP)
            tones = _fitted(windows, hz)
        off = float(np.abs(hz / nominal - 1).max())
    elif not short:
        return None
    low, high = np.square(np.abs(tones[inside])).mean(axis=0).tolist()
    if min(low, high) < amplitude(FAINTEST_DBM0) ** 2 or off > WIDEST_OFFSET:
        return None
    twist = 10 * math.log10(high / low)
    share = (low + high) / 2 / float(power[inside].mean())
    reason = _reason(limits, share, end - start, off, min(low, high), twist)
    if reason is None or abs(twist) > WIDEST_TWIST_DB:
        return None
    level = 10 * math.log10((low + high) / 2) + FULL_SCALE_DBM0
    return NearMiss(reason, start, end, level, twist)


def _squares(windows: Floats) -> tuple[Floats, Floats]:
    """Squared amplitudes (n, 24) of the tones and their neighbours, and the power (n,) of all but DC."""
    parts = np.square(windows @ _PLAIN)
    power = np.einsum("ws,ws->w", windows, windows) / WINDOW - windows.mean(axis=1) ** 2
    return parts[:, :24] + parts[:, 24:], power


def _purest(squares: Floats, power: Floats) -> int | None:
    """The window in which a pair is loudest, of those in which little else sounds."""
    pair = squares[:, :12].max(axis=1) + squares[:, 12:].max(axis=1)
    pure = pair / 2 >= MAY_BE_PURE * power
    return int(np.where(pure, pair, 0).argmax()) if pure.any() else None


def _reason(
    limits: Decision, share: float, length: float, off: float, weaker: float, twist: float
) -> Reason | None:
    """The limit that was missed. share: of all power; length in samples; weaker: a squared amplitude."""
    weak = weaker < amplitude(limits.weakest_dbm0) ** 2
    exact = off <= EXACT and length >= LONG and not weak
    if share < PURE:
        return "purity" if share >= FAIR and exact else None
    if length < limits.shortest_ms * RATE / 1000:
        return "too_short"
    if off > limits.offset:
        return "frequency" if length >= LONG else None
    if weak:
        return "too_weak"
    if not limits.twist_db[0] <= twist <= limits.twist_db[1]:
        return "twist"
    # Otherwise it lies so near a limit that the receiver measured it otherwise.
    return "purity" if share < CLEAN and exact else None


def _alone(power: Floats, first: int, last: int, height: float) -> bool:
    """Whether little else sounds in the windows that end where a tone starts, and start where it ends."""
    reach = WINDOW // STEP // 2 + 1
    around = power[[i for i in (first - reach, last + reach) if 0 <= i < len(power)]]
    return bool((around <= ALONE * height).all())


def _fitted(windows: Floats, hz: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """Complex amplitudes (n, 2) of two tones and a constant that windows (n, WINDOW) are nearest to.

    Their phase advances from one window to the next by that of ``hz``.
    """
    waves = np.concatenate([_waves(hz), np.ones((WINDOW, 1))], axis=1)
    parts = windows @ np.linalg.pinv(waves).T
    return np.asarray(parts[:, :2] - 1j * parts[:, 2:4])


def _ratio(db: float) -> float:
    return float(10 ** (db / 10))
