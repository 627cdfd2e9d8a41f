from __future__ import annotations

import numpy as np
import pytest

from dtmf.goertzel import FULL_SCALE_DBM0, PER_BLOCK, USUAL, WINDOW, amplitude, measure, screen
from dtmf.keypad import HIGH_HZ, KEYS_16, LOW_HZ, key_tones

T = (np.arange(WINDOW) - (WINDOW - 1) / 2) / 8000


def block(key: str, level: float = 0.1, phase: float = 0.4) -> np.ndarray:
    low, high = key_tones(key)
    wave = np.cos(2 * np.pi * low * T + phase) + np.cos(2 * np.pi * high * T + phase)
    return (level * wave).astype(np.float32)


def four(block: np.ndarray) -> np.ndarray:
    """The same window PER_BLOCK times: what ``measure`` takes for one block."""
    return np.repeat(block[None, None], PER_BLOCK, axis=1)


def test_amplitude_of_full_scale() -> None:
    assert amplitude(FULL_SCALE_DBM0) == pytest.approx(1)
    assert amplitude(FULL_SCALE_DBM0 - 20) == pytest.approx(0.1)


@pytest.mark.parametrize("tone", range(8))
def test_amplitude_and_phase_of_each_tone(tone: int) -> None:
    hz = (LOW_HZ + HIGH_HZ)[tone]
    window = (0.25 * np.cos(2 * np.pi * hz * T + 0.7)).astype(np.float32)
    seen = measure(four(window))
    assert abs(seen.tones[0, tone]) == pytest.approx(0.25, rel=0.02)
    assert np.angle(seen.tones[0, tone]) == pytest.approx(0.7, abs=0.02)
    assert seen.power[0] == pytest.approx(0.25**2 / 2, rel=0.02)


@pytest.mark.parametrize("key", KEYS_16)
def test_each_key_passes_and_is_named(key: str) -> None:
    assert screen(block(key)[None], USUAL)[0].tolist() == [True]
    assert measure(four(block(key))).keys.tolist() == [KEYS_16.index(key)] * PER_BLOCK


def test_constants_are_not_heard() -> None:
    plain, lifted = measure(four(block("5"))), measure(four(block("5") + np.float32(0.3)))
    np.testing.assert_allclose(lifted.tones, plain.tones, atol=1e-5)
    np.testing.assert_allclose(lifted.power, plain.power, rtol=1e-3)
    assert screen(np.full((1, WINDOW), 0.9, np.float32), USUAL)[0].tolist() == [False]


def test_what_does_not_pass() -> None:
    rng = np.random.default_rng(1)
    low_only = 0.1 * np.cos(2 * np.pi * 697 * T)
    two_rows = block("1") + block("7")
    under_noise = block("5", 0.02) + rng.normal(0, 0.1, WINDOW)
    blocks = np.array([np.zeros(WINDOW), low_only, two_rows, block("5", 1e-4), under_noise], np.float32)
    assert screen(blocks, USUAL)[0].tolist() == [False] * 5


def test_many_blocks_as_one_by_one() -> None:
    rng = np.random.default_rng(2)
    blocks = np.array([block(KEYS_16[i % 16]) for i in range(1500)])
    blocks *= rng.integers(0, 2, (1500, 1))
    np.testing.assert_array_equal(screen(blocks, USUAL)[0], blocks.any(axis=1))
    windows = rng.normal(0, 0.1, (40, PER_BLOCK, WINDOW)).astype(np.float32)
    together = measure(windows)
    for i in range(40):
        alone = measure(windows[i : i + 1])
        span = slice(PER_BLOCK * i, PER_BLOCK * (i + 1))
        np.testing.assert_array_equal(alone.tones, together.tones[span])
        np.testing.assert_array_equal(alone.power, together.power[span])
