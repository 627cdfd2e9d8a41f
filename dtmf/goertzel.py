"""The tones as matrices: Goertzel's recursion, unrolled, for windows and for quarters of them.

Goertzel's result for one tone is the product of a window with one cosine and one sine. Written as a matrix
it takes the tones' exact frequencies (no rounding to bins), and thousands of windows cost one call.

Samples are at 8 kHz, 1.0 = full scale. A sine of amplitude a at a tone's frequency gives a·cos and
-a·sin of its phase in the middle of the window.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dtmf.keypad import HIGH_HZ, LOW_HZ

__all__ = [
    "FULL_SCALE_DBM0",
    "HALVED",
    "HOP",
    "LOW_BAND",
    "NULLED",
    "QUARTERS",
    "RATE",
    "TONES_HZ",
    "TURNS",
    "WINDOW",
    "Floats",
    "amplitude",
]

Floats = npt.NDArray[np.float32]

RATE = 8000
WINDOW = 160  # 20 ms: resolves the low group's 73 Hz, and half of the shortest tone that must be heard
HOP = 40  # 5 ms: edges to a millisecond; at 10 ms short gaps are lost
FULL_SCALE_DBM0 = 3.14  # a sine that just fills 16 bits (ITU-T G.711, A-law; mu-law's 3.17 is as good)
TONES_HZ = np.array(LOW_HZ + HIGH_HZ)


def amplitude(dbm0: float) -> float:
    """The amplitude of a sine of a level in dBm0, 1.0 = full scale."""
    return float(10 ** ((dbm0 - FULL_SCALE_DBM0) / 20))


def _waves(hz: npt.NDArray[np.float64], samples: int) -> npt.NDArray[np.float64]:
    """(samples, 2 n): cosines, then sines, around the middle."""
    t = (np.arange(samples) - (samples - 1) / 2) / RATE
    angle = 2 * np.pi * t[:, None] * hz
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def _low_band(every: int) -> npt.NDArray[np.float64]:
    """(WINDOW / every, 25): an orthonormal basis of what DC, hum and dial tones can be in a window.

    A window knows frequencies some 25 Hz apart, so a few between 0 and 186 and between 343 and 458 Hz
    stand for all of them: what is left of any is 49 dB down, of the usual ones 60 dB and more.
    """
    waves = _waves(np.concatenate([np.linspace(0, 186, 8), np.linspace(343, 458, 5)]), WINDOW)[::every]
    waves = np.delete(waves, waves.shape[1] // 2, axis=1)  # the sine of 0 Hz
    return np.asarray(np.linalg.qr(waves)[0])


def _nulled(low_band: npt.NDArray[np.float64], every: int) -> npt.NDArray[np.float64]:
    """(WINDOW / every, 16): the tones, deaf to the low band; a tone's own amplitude is right all the same."""
    waves = _waves(TONES_HZ, WINDOW)[::every]
    deaf = waves - low_band @ (low_band.T @ waves)
    return np.asarray(deaf / np.einsum("st,st->t", waves, deaf))


def _float32(matrix: npt.NDArray[np.float64]) -> Floats:
    return np.ascontiguousarray(matrix, dtype=np.float32)


_LOW = _low_band(1)
LOW_BAND = _float32(_LOW)
NULLED = _float32(_nulled(_LOW, 1))
HALVED = _float32(_nulled(_low_band(2), 2))  # the same for every second sample of a window
# (HOP, 17): a quarter of a window, and its mean. Four, turned to one phase and added, make a window's.
QUARTERS = _float32(
    np.concatenate([_waves(TONES_HZ, HOP) * 2 / WINDOW, np.full((HOP, 1), 1 / WINDOW)], axis=1)
)
# (8, 20): what turns a tone's phase back by one HOP after the other; only its deviation from nominal is left.
TURNS = np.exp(-2j * np.pi * TONES_HZ[:, None] * HOP * np.arange(20) / RATE).astype(np.complex64)
