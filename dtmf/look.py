"""The second look: five blocks around what passed the screen, in windows of 20 ms every 5 ms.

All functions take many looks at once: J of them, each with SPAN samples and FRAMES windows, at one key each.
What is told of two tones has two rows, the low one's and the high one's. Times are in samples since the
look's first.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, LOW_BAND, NULLED, QUARTERS, RATE, TURNS, WINDOW, Floats

__all__ = [
    "BLOCKS",
    "FRAMES",
    "FRAME_START",
    "SPAN",
    "Complex",
    "Keys",
    "Windows",
    "squared",
    "third_peak",
    "tones_of",
    "window_loss",
    "windows",
    "windows_nulled",
]

BLOCKS = 5
SPAN = BLOCKS * WINDOW
FRAMES = (SPAN - WINDOW) // HOP + 1
FRAME_START = np.arange(FRAMES, dtype=np.float32) * HOP  # samples since the look's first
_QUARTERS = SPAN // HOP
_IN_WINDOW = np.arange(FRAMES)[:, None] + np.arange(WINDOW // HOP)

Complex = npt.NDArray[np.complex64]
Keys = npt.NDArray[np.int8]


class Windows(NamedTuple):
    """What the windows of J looks hold of one key each.

    tones: (2, J, FRAMES) complex amplitudes, their phase relative to the nominal frequency; squares: (2, J,
    FRAMES) of their absolute values. power: (J, FRAMES) mean square, DC left out; if ``low_band`` (J, FRAMES)
    tells that part, without it.
    """

    tones: Complex
    squares: Floats
    power: Floats
    low_band: Floats | None = None

    def at(self, index: npt.NDArray[np.intp]) -> Windows:
        """Some of the looks."""
        low_band = None if self.low_band is None else self.low_band[index]
        return Windows(self.tones[:, index], self.squares[:, index], self.power[index], low_band)


_TONES = np.stack([np.arange(16) >> 2, 4 + (np.arange(16) & 3)]).astype(np.int8)


def tones_of(key: Keys) -> npt.NDArray[np.int8]:
    """(2, J): the tones of keys, as the matrices count them."""
    return _TONES[:, key]


def squared(tones: Complex) -> Floats:
    """Squares of absolute values."""
    squares: Floats = np.square(tones.real)
    squares += np.square(tones.imag)
    return squares


def windows(sound: Floats, key: Keys) -> Windows:
    """Measure looks (J, SPAN) for a key each: quarters of windows, turned and added up four by four."""
    quarters = sound.reshape(-1, _QUARTERS, HOP)
    # A product per look: the same samples give the same bits, however many looks are taken together.
    parts = np.matmul(quarters, QUARTERS)
    power: Floats = _four(np.einsum("jqs,jqs->jq", quarters, quarters))
    power *= np.float32(1 / WINDOW)
    power -= np.square(_four(parts[:, :, 16]))
    tones = _four(_tones(parts, key, TURNS[:, :_QUARTERS]))
    return Windows(tones, squared(tones), power)


def windows_nulled(sound: Floats, key: Keys) -> Windows:
    """The same, deaf to hum and dial tones: every window by itself, at five times the price."""
    quarters = sound.reshape(len(sound), _QUARTERS, HOP)
    every = quarters.take(_IN_WINDOW, axis=1).reshape(len(sound), FRAMES, WINDOW)
    low_band = np.matmul(every, LOW_BAND)
    low_power = np.einsum("jfl,jfl->jf", low_band, low_band) * np.float32(1 / WINDOW)
    power: Floats = np.einsum("jfs,jfs->jf", every, every) * np.float32(1 / WINDOW) - low_power
    np.maximum(power, np.float32(1e-12), out=power)
    tones = _tones(np.matmul(every, NULLED), key, TURNS[:, :FRAMES])
    return Windows(tones, squared(tones), power, low_power)


def _tones(parts: Floats, key: Keys, turns: Complex) -> Complex:
    """The phasors (2, J, n) of the keys' tones, turned, from their parts (J, n, 16 or more)."""
    tone, look = tones_of(key), np.arange(len(key))
    phasors = np.empty((2, *parts.shape[:2]), np.complex64)
    phasors.real = parts[look, :, tone]
    phasors.imag = parts[look, :, tone + 8]
    np.conjugate(phasors, out=phasors)
    phasors *= turns[tone]
    return phasors


def window_loss(off_hz: Floats) -> Floats:
    """What a window loses of a tone's power that is so many Hz off."""
    turn = np.maximum(np.abs(off_hz) * np.float32(np.pi * WINDOW / RATE), np.float32(1e-3))
    loss: Floats = np.square(np.sin(turn) / turn)
    return loss


Number = TypeVar("Number", np.float32, np.complex64)


def _four(quarters: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Sums of four neighbours along the last axis."""
    pairs = quarters[..., :-1] + quarters[..., 1:]
    return pairs[..., :-2] + pairs[..., 2:]


# The third peak: a Hann window of 32 ms, every 31.25 Hz where speech has its formants.
_PEAK_SPAN = 256
_PEAK_HZ = np.arange(531.25, 3500, 31.25, dtype=np.float32)
_PEAK_AWAY_HZ = np.float32(75)


def _peak_matrix() -> Floats:
    hann = np.hanning(_PEAK_SPAN + 2)[1:-1]
    angle = 2 * np.pi * (np.arange(_PEAK_SPAN) - (_PEAK_SPAN - 1) / 2)[:, None] / RATE * _PEAK_HZ
    waves = np.concatenate([np.cos(angle), np.sin(angle)], axis=1) * hann[:, None] * (2 / hann.sum())
    return np.ascontiguousarray(waves, dtype=np.float32)


_PEAKS = _peak_matrix()


def third_peak(sound: Floats, middle: Floats, hz: Floats) -> Floats:
    """Squared amplitude of the strongest that sounds beside two tones, 520-3,500 Hz; (J,).

    sound: (J, samples), 256 or more. middle: (J,) of the tones, in samples; hz: (2, J) their frequencies.
    """
    count, length = sound.shape
    start = np.minimum(np.maximum(middle - _PEAK_SPAN / 2, 0), length - _PEAK_SPAN).astype(np.intp)
    start += length * np.arange(count)
    waves = sound.ravel()[start[:, None] + np.arange(_PEAK_SPAN)] @ _PEAKS
    waves *= waves
    half = len(_PEAK_HZ)
    power = waves[:, :half] + waves[:, half:]
    for tone in hz:
        power *= np.abs(_PEAK_HZ - tone[:, None]) >= _PEAK_AWAY_HZ
    strongest: Floats = power.max(axis=1)
    return strongest
