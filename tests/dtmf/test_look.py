"""The second look: what its windows hold, and what sounds beside the pair."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.goertzel import HOP, NULLED, TONES_HZ, WINDOW
from dtmf.keypad import key_tones
from dtmf.look import FRAMES, SPAN, third_peak, windows, windows_nulled

ALL = np.arange(16, dtype=np.int8)
T = np.arange(SPAN) / 8000


def test_windows_are_the_tones_in_20_ms() -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, (16, SPAN)).astype(np.float32)
    plain, nulled = windows(sound, ALL), windows_nulled(sound, ALL)
    assert plain.low_band is None
    assert nulled.low_band is not None
    t = (np.arange(WINDOW) - (WINDOW - 1) / 2) / 8000
    for key in (0, 6, 15):
        for frame in (0, 7, FRAMES - 1):
            window = sound[key, frame * HOP : frame * HOP + WINDOW]
            wave = np.exp(-2j * np.pi * TONES_HZ[key // 4] * t) * 2 / WINDOW
            assert abs(plain.tones[0, key, frame]) == pytest.approx(abs(window @ wave), rel=1e-3)
            parts = window @ NULLED
            high = np.hypot(parts[4 + key % 4], parts[12 + key % 4])
            assert abs(nulled.tones[1, key, frame]) == pytest.approx(high, rel=1e-3)
            assert nulled.squares[1, key, frame] == pytest.approx(high**2, rel=1e-3)
            assert plain.power[key, frame] == pytest.approx(window.var(), rel=1e-3)
            whole = nulled.power[key, frame] + nulled.low_band[key, frame]
            assert whole == pytest.approx(np.mean(window**2), rel=1e-3)


@pytest.mark.parametrize("look", [windows, windows_nulled])
def test_the_same_bits_however_many_looks(look: type) -> None:
    """What is told of a line must not depend on how busy the others are."""
    sound = np.random.default_rng(2).normal(0, 0.1, (40, SPAN)).astype(np.float32)
    key = np.arange(40, dtype=np.int8) % 16
    together = look(sound, key)
    for some in (slice(0, 1), slice(3, 5), slice(20, 37)):
        apart = look(sound[some].copy(), key[some])
        for values, those in zip(apart, together.at(np.arange(40)[some]), strict=True):
            if values is not None:
                np.testing.assert_array_equal(values, those)


@pytest.mark.parametrize("hz", [600, 1050, 1900, 2500, 3300])
def test_the_third_peak(hz: float) -> None:
    low, high = key_tones("5")
    sound = (0.2 * (np.sin(2 * np.pi * low * T) + np.sin(2 * np.pi * high * T))).astype(np.float32)
    third = 0.05 * np.sin(2 * np.pi * hz * T).astype(np.float32)
    both = np.stack([sound, sound + third])
    hz = np.array([[low, low], [high, high]], np.float32)
    without, with_it = third_peak(both, np.full(2, SPAN / 2, np.float32), hz)
    assert without < 0.01**2
    assert 10 * np.log10(with_it / 0.05**2) == pytest.approx(0, abs=2)
