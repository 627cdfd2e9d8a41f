"""Key presses as sound.

Whatever may differ from one key press to the next (length, pause, level, twist, frequency, phase, hole) is
a number for all of them or a sequence with one for each: a table of limits becomes one tape. Nothing here
is random; what a line does to the sound is in ``impairment``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.goertzel import amplitude
from dtmf.keypad import HIGH_HZ, LOW_HZ, key_index
from dtmf.resample import checked_rate

__all__ = ["PairPerDigit", "PerDigit", "generate"]

Doubles = npt.NDArray[np.float64]

#: A number for every digit, or a sequence with one for each.
PerDigit = float | Sequence[float] | npt.NDArray[np.floating]
#: A number for both tones of every digit, a tuple (low, high) for every digit, or a list or array with a
#: number or a pair for each digit. A tuple of two numbers is always a pair.
PairPerDigit = (
    float | tuple[float, float] | Sequence[float] | Sequence[tuple[float, float]] | npt.NDArray[np.floating]
)

_LONGEST = 24 * 3600 * 8000  # samples: a day at 8 kHz, 2.8 GB
_HIGHEST_DBM0 = 20.0
_WIDEST_TWIST_DB = 100.0
_PIECE = 1 << 18  # samples of tone made at once: what lies between stays in the cache


def generate(
    digits: str,
    *,
    rate: int = 8000,
    tone_ms: PerDigit = 100,
    gap_ms: PerDigit = 100,
    level_dbm0: PerDigit = -10.0,
    twist_db: PerDigit = 0.0,
    offset: PairPerDigit = 0.0,
    offset_hz: PairPerDigit = 0.0,
    phase: PairPerDigit = 0.0,
    ramp_ms: PerDigit = 0.0,
    hole: PairPerDigit | None = None,
    lead_ms: float = 0,
    tail_ms: float = 0,
) -> npt.NDArray[np.float32]:
    """The sound of pressed keys: float32 (n,) in [-1, 1].

    digits: of 0-9 * # A-D; rate in Hz. Each tone lasts ``tone_ms``; after each but the last there are
    ``gap_ms`` of silence, before the first ``lead_ms``, after the last ``tail_ms``. level_dbm0: the mean
    power of the two tones, each alone (a sine of full scale has +3.14 dBm0, ITU-T G.711); twist_db: the
    high tone's level minus the low one's. What exceeds full scale is clipped, as on a line.

    offset: by what share of it a tone is off its frequency (0.015: 1.5 % too high); offset_hz: hertz added
    to that; phase: in radians, of the tones' sines where they begin. ramp_ms: how long a tone rises, and
    falls, within its length (raised cosine; 0: it is switched, as a keypad's). hole: (after_ms, ms), an
    interruption in each tone, through which its phase runs on.

    tone_ms, gap_ms, level_dbm0, twist_db and ramp_ms are each a number or a sequence with one per digit (of
    the gaps, the last digit's is not used). offset, offset_hz and phase are a number for both tones, a tuple
    (low, high), or a list or array of one such per digit; hole is one pair as a tuple, or a list or array of
    them. Raises DtmfError for anything that makes no sense.
    """
    rate = checked_rate(rate)
    keys = np.array([key_index(digit) for digit in digits], np.intp)
    count = len(keys)
    tone = _each("tone_ms", tone_ms, count, least=0)
    gap = _each("gap_ms", gap_ms, count, least=0)
    level = _each("level_dbm0", level_dbm0, count, most=_HIGHEST_DBM0)
    twist = _each("twist_db", twist_db, count, least=-_WIDEST_TWIST_DB, most=_WIDEST_TWIST_DB)
    ramp = _each("ramp_ms", ramp_ms, count, least=0)
    lead, tail = (
        float(_each(name, ms, 1, least=0)[0]) for name, ms in (("lead_ms", lead_ms), ("tail_ms", tail_ms))
    )
    if not tone.all() or (not count and np.ndim(tone_ms) == 0 and not tone_ms):
        raise DtmfError("tones of 0 ms cannot be heard")
    if (2 * ramp > tone).any():
        raise DtmfError("a tone rises and falls within its length: ramp_ms is at most half of tone_ms")
    hz = np.stack([np.array(LOW_HZ)[keys // 4], np.array(HIGH_HZ)[keys % 4]], axis=1)
    hz = hz * (1 + _pairs("offset", offset, count)) + _pairs("offset_hz", offset_hz, count)
    if not ((hz > 0) & (hz < rate / 2)).all():
        raise DtmfError(f"tones must be between 0 and {rate / 2:g} Hz; these are at {_span(hz)} Hz")
    begin = _pairs("phase", phase, count)
    holes = np.zeros((count, 2)) if hole is None else _pairs("hole", hole, count, numbers=False)
    if (holes < 0).any() or (holes.sum(axis=1) > tone * (1 + 1e-12)).any():
        raise DtmfError("a hole is (after_ms, ms), both 0 or more, and ends before its tone does")

    # All from the beginning, in fractions of samples: roundings do not add up.
    starts = lead + np.concatenate([[0.0], np.cumsum(tone + gap)[:-1]])[:count]
    ends = starts + tone
    whole = (ends[-1] if count else lead) + tail
    if whole * rate / 1000 > _LONGEST:
        raise DtmfError(
            f"{whole / 1000:.0f} s of sound at {rate} Hz; the most is {_LONGEST / rate:.0f} s at that rate"
        )

    def at(ms: Doubles) -> npt.NDArray[np.int64]:
        return np.round(ms * rate / 1000).astype(np.int64)

    first, lengths = at(starts), at(ends) - at(starts)
    hole_from, hole_to = (at(starts + after) - first for after in (holes[:, 0], holes.sum(axis=1)))
    power = amplitude(0.0) ** 2 * 10 ** (level / 10)
    ratio = 10 ** (twist / 10)
    heights = np.sqrt(2 * power / (1 + ratio))[:, None] * np.stack([np.ones(count), np.sqrt(ratio)], axis=1)
    steps = 2 * np.pi * hz / rate
    rises = ramp * rate / 1000

    sound = np.zeros(round(whole * rate / 1000), np.float32)
    # The tones' samples, end to end and without the pauses between them, are made in even pieces, each of
    # the ends of two digits and all those between.
    until = np.cumsum(lengths)
    for made in range(0, int(lengths.sum()), _PIECE):
        end = min(made + _PIECE, int(until[-1]))
        some = np.arange(np.searchsorted(until, made, "right"), np.searchsorted(until, end, "left") + 1)
        of = np.repeat(some, np.minimum(until[some], end) - np.maximum(until[some] - lengths[some], made))
        t = np.arange(made, end) - (until - lengths)[of]
        piece = np.zeros(end - made)
        for group in (0, 1):
            piece += heights[of, group] * np.sin(steps[of, group] * t + begin[of, group])
        if ramp.any():
            near = np.minimum(t + 0.5, lengths[of] - t - 0.5) / np.maximum(rises[of], 0.5)
            piece *= np.sin(np.pi / 2 * np.minimum(near, 1)) ** 2
        if hole is not None:
            piece[(t >= hole_from[of]) & (t < hole_to[of])] = 0
        sound[first[of] + t] = piece
    return np.clip(sound, -1, 1, out=sound)


def _numbers(name: str, value: object) -> Doubles:
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise DtmfError(f"{name} of {value!r}; give numbers") from None
    if not np.isfinite(array).all():
        raise DtmfError(f"{name} of {value!r}; give finite numbers")
    return array


def _each(
    name: str, value: object, count: int, *, least: float = -math.inf, most: float = math.inf
) -> Doubles:
    """One number per digit: (count,)."""
    array = _numbers(name, value)
    if array.ndim and array.shape != (count,):
        raise DtmfError(f"{name} of shape {array.shape}; give one number, or one for each of {count} digits")
    if ((array < least) | (array > most)).any():
        limits = [f"{least:g} or more"] * math.isfinite(least) + [f"{most:g} or less"] * math.isfinite(most)
        raise DtmfError(f"{name} of {_span(array)}; give {' and '.join(limits)}")
    return np.broadcast_to(array, (count,))


def _pairs(name: str, value: object, count: int, *, numbers: bool = True) -> Doubles:
    """Two numbers per digit: (count, 2); ``numbers``: one may stand for both."""
    array = _numbers(name, value)
    pair = isinstance(value, tuple) and array.shape == (2,)
    if not pair and array.shape == (count,) and numbers:
        array = array[:, None]
    elif not (pair or array.shape == (count, 2) or (array.ndim == 0 and numbers)):
        single = "a number, " if numbers else ""
        raise DtmfError(
            f"{name} of shape {array.shape}; give {single}a tuple of two, or a list of {count}, one per digit"
        )
    return np.broadcast_to(array, (count, 2))


def _span(array: Doubles) -> str:
    low, high = float(array.min()), float(array.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
