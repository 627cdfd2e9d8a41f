"""The matrices: what each tone, and what is not a tone, comes to in them."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.goertzel import (
    FULL_SCALE_DBM0,
    HOP,
    LOW_BAND,
    NULLED,
    QUARTERS,
    TONES_HZ,
    TURNS,
    WINDOW,
    amplitude,
)

T = (np.arange(WINDOW) - (WINDOW - 1) / 2) / 8000


def wave(hz: float, phase: float = 0.0) -> np.ndarray:
    """A window of a sine of amplitude 1; its phase is that of a cosine in the middle."""
    return np.cos(2 * np.pi * hz * T + phase).astype(np.float32)


def test_amplitude_of_full_scale() -> None:
    assert amplitude(FULL_SCALE_DBM0) == pytest.approx(1)
    assert amplitude(FULL_SCALE_DBM0 - 20) == pytest.approx(0.1)


@pytest.mark.parametrize("tone", range(8))
@pytest.mark.parametrize("phase", [0.0, 0.7, -2.5])
def test_amplitude_and_phase_of_each_tone(tone: int, phase: float) -> None:
    parts = 0.25 * wave(TONES_HZ[tone], phase) @ NULLED
    seen = parts[tone] - 1j * parts[8 + tone]
    assert abs(seen) == pytest.approx(0.25, rel=0.03)
    assert np.angle(seen) == pytest.approx(phase, abs=0.03)


@pytest.mark.parametrize("tone", range(8))
@pytest.mark.parametrize("phase", [0.0, 0.7, -2.5])
def test_four_quarters_are_a_window(tone: int, phase: float) -> None:
    """Turned by TURNS, the quarters of a nominal tone have one phase, and add up to its amplitude."""
    parts = (0.25 * wave(TONES_HZ[tone], phase)).reshape(-1, HOP) @ QUARTERS
    quarters = (parts[:, tone] - 1j * parts[:, 8 + tone]) * TURNS[tone, : len(parts)]
    assert abs(quarters.sum()) == pytest.approx(0.25, rel=0.02)
    assert np.ptp(np.unwrap(np.angle(quarters))) < 0.35
    assert parts[:, 16].sum() == pytest.approx(0.25 * wave(TONES_HZ[tone], phase).mean(), abs=1e-6)


def test_the_low_band_is_orthonormal() -> None:
    np.testing.assert_allclose(LOW_BAND.T @ LOW_BAND, np.eye(LOW_BAND.shape[1]), atol=1e-5)
    assert np.abs(LOW_BAND.T @ NULLED).max() < 1e-5


@pytest.mark.parametrize("hz", [0, 50, 60, 100, 120, 150, 180, 350, 400, 425, 440, 450])
def test_hum_and_dial_tones_are_nulled(hz: float) -> None:
    """By 49 dB and more, whatever their phase: relative to a tone of the same amplitude."""
    for phase in np.linspace(0, np.pi, 5):
        sound = wave(hz, phase)
        parts = sound @ NULLED
        assert (np.hypot(parts[:8], parts[8:]) < 10 ** (-49 / 20)).all()
        power = sound @ sound
        if power > 1:
            left = power - np.square(sound @ LOW_BAND).sum()
            assert left < 10 ** (-4.9) * WINDOW / 2


def test_the_low_band_has_little_of_a_tone() -> None:
    shares = [np.square(wave(hz) @ LOW_BAND).sum() / (WINDOW / 2) for hz in TONES_HZ]
    assert max(shares) < 0.12


def test_tones_are_told_apart() -> None:
    """From one tone to the next of its group at least 9 dB are left out, from one group to the other 14."""
    response = np.array([wave(hz) @ NULLED for hz in TONES_HZ])
    heights = np.hypot(response[:, :8], response[:, 8:])
    others = heights - np.diag(np.diag(heights))
    assert others[:4, :4].max() < 10 ** (-9 / 20)
    assert others[4:, 4:].max() < 10 ** (-9 / 20)
    assert max(others[:4, 4:].max(), others[4:, :4].max()) < 10 ** (-14 / 20)
