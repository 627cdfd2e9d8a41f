"""The first look: which blocks pass, and what is never a sound."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.goertzel import WINDOW
from dtmf.keypad import KEYS_16, key_tones
from dtmf.screen import Limits, cleaned, same_pair, screen

T = (np.arange(WINDOW) - (WINDOW - 1) / 2) / 8000


def block(
    key: str, level: float = 0.1, phase: float = 0.4, twist_db: float = 0.0, off: float = 1.0
) -> np.ndarray:
    low, high = key_tones(key)
    wave = np.cos(2 * np.pi * low * off * T + phase) * 10 ** (-twist_db / 40)
    wave += np.cos(2 * np.pi * high * off * T - phase) * 10 ** (twist_db / 40)
    return (level * wave).astype(np.float32)


def keys(*blocks: np.ndarray) -> list[int]:
    seen: list[int] = screen(np.array(blocks), Limits()).key.tolist()
    return seen


@pytest.mark.parametrize("key", KEYS_16)
def test_each_key_passes_and_is_named(key: str) -> None:
    phases = [block(key, phase=phase) for phase in np.linspace(0, 6, 7)]
    limits = [block(key, twist_db=-8), block(key, twist_db=6), block(key, 0.004)]
    off = [block(key, off=1.019), block(key, off=0.981)]
    assert keys(*phases, *limits, *off) == [KEYS_16.index(key)] * 12


@pytest.mark.parametrize("key", KEYS_16)
def test_beneath_hum_and_dial_tones(key: str) -> None:
    """Ten times louder than the key; the matrix is deaf to them."""
    hum = np.cos(2 * np.pi * 50 * T) + np.cos(2 * np.pi * 100 * T + 1)
    dial = np.cos(2 * np.pi * 350 * T) + np.cos(2 * np.pi * 440 * T + 1)
    under = [(0.3 * sound + block(key, 0.03)).astype(np.float32) for sound in (hum, dial, np.ones(WINDOW))]
    assert keys(*under) == [KEYS_16.index(key)] * 3


def test_squares_are_the_tones_amplitudes() -> None:
    seen = screen(np.array([block("1", 0.2, twist_db=6)]), Limits())
    low, high = seen.squares[[0, 4], 0]
    assert 10 * np.log10(high / low) == pytest.approx(6, abs=1)
    assert np.sqrt(low * high) == pytest.approx(0.04, rel=0.1)


def test_what_does_not_pass() -> None:
    rng = np.random.default_rng(1)
    low_only = 0.1 * np.cos(2 * np.pi * 697 * T)
    two_rows = 0.1 * (np.cos(2 * np.pi * 697 * T) + np.cos(2 * np.pi * 852 * T))
    under_noise = block("5", 0.02) + rng.normal(0, 0.1, WINDOW)
    many = sum((block(key) for key in "159D"), np.zeros(WINDOW))
    constant = np.full(WINDOW, 0.9)
    sounds = [np.zeros(WINDOW), low_only, two_rows, block("5", 1e-4), under_noise, many, constant]
    assert keys(*np.array(sounds, np.float32)) == [-1] * 7


@pytest.mark.parametrize("twist_db", [-20.0, 18.0])
def test_one_tone_is_no_pair(twist_db: float) -> None:
    assert keys(block("5", twist_db=twist_db)) == [-1]


def test_int16_is_float32() -> None:
    rng = np.random.default_rng(2)
    sounds = [block(KEYS_16[i % 16], 0.3) + rng.normal(0, 0.05, WINDOW) for i in range(70)]
    whole = np.round(np.array(sounds) * 32767).astype(np.int16)
    a, b = screen(whole, Limits()), screen((whole / 32768).astype(np.float32), Limits())
    np.testing.assert_array_equal(a.key, b.key)
    np.testing.assert_allclose(a.squares, b.squares, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 2500])
def test_many_blocks_as_one_by_one(count: int) -> None:
    place = np.arange(count)
    sounds = np.array([block(key) for key in KEYS_16])[place % 16] * (place % 3 > 0)[:, None]
    seen = screen(sounds.astype(np.float32), Limits())
    assert seen.squares.shape == (8, count)
    np.testing.assert_array_equal(seen.key, np.where(place % 3 > 0, place % 16, -1))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -3e38])
@pytest.mark.parametrize("where", [slice(7, 8), slice(None)])
def test_what_is_no_sound(bad: float, where: slice) -> None:
    """No warning, and nothing of it in the blocks beside."""
    sounds = np.array([block("5"), block("5"), block("9")])
    sounds[1, where] = bad
    seen = screen(sounds, Limits())
    assert seen.key[[0, 2]].tolist() == [KEYS_16.index("5"), KEYS_16.index("9")]
    assert seen.key[1] in (-1, KEYS_16.index("5"))
    np.testing.assert_array_equal(seen.squares[:, [0, 2]], screen(sounds, Limits()).squares[:, [0, 2]])


def test_cleaned() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 2.0, -0.5, 1e-40], np.float32)
    np.testing.assert_array_equal(cleaned(odd), np.array([0, 1, -1, 1, -0.5, 1e-40], np.float32))
    assert np.isnan(odd[0])  # what was given is left alone
    whole = cleaned(np.array([-32768, 0, 32767], np.int16))
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, np.array([-1, 0, 32767 / 32768], np.float32))


def test_the_same_pair_beside() -> None:
    full, half, tenth = block("5"), 0.45 * block("5"), 0.1 * block("5")
    other, fifth = block("9"), block("4")
    seen = screen(np.array([full, half, tenth, other, fifth]), Limits())
    key = np.full(5, KEYS_16.index("5"), np.int8)
    at = np.zeros(5, np.intp)
    same = same_pair(seen.squares, key, at, seen.squares, np.arange(5))
    assert same.tolist() == [True, True, False, False, False]
