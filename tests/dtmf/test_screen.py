"""The first look: which blocks pass, and what is never a sound."""

from __future__ import annotations

import numpy as np
import pytest

import dtmf
from dtmf.goertzel import WINDOW
from dtmf.keypad import KEYS_16, key_tones
from dtmf.screen import Seen, cleaned, joined, nothing, screen

T = (np.arange(WINDOW) - (WINDOW - 1) / 2) / 8000


def block(
    key: str, level: float = 0.1, phase: float = 0.4, twist_db: float = 0.0, off: float = 1.0
) -> np.ndarray:
    low, high = key_tones(key)
    wave = np.cos(2 * np.pi * low * off * T + phase) * 10 ** (-twist_db / 40)
    wave += np.cos(2 * np.pi * high * off * T - phase) * 10 ** (twist_db / 40)
    return (level * wave).astype(np.float32)


def keys(*blocks: np.ndarray) -> list[int]:
    """What passes in each block, -1 for nothing."""
    key = np.full(len(blocks), -1)
    at, passed = screen(np.array(blocks))
    key[at] = passed.key
    seen: list[int] = key.tolist()
    return seen


def assert_alike(one: Seen, other: Seen) -> None:
    """The same, but for roundings."""
    np.testing.assert_array_equal(one.key, other.key)
    np.testing.assert_allclose(one.low, other.low, rtol=1e-3)
    np.testing.assert_allclose(one.high, other.high, rtol=1e-3)


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
    _, passed = screen(np.array([block("1", 0.2, twist_db=6)]))
    [low], [high] = passed.low, passed.high
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


@pytest.mark.parametrize("layout", ["packed", "odd start", "every second row", "columns"])
def test_int16_is_float32(layout: str) -> None:
    """However its samples lie in memory."""
    rng = np.random.default_rng(2)
    sounds = [block(KEYS_16[i % 16], 0.3) + rng.normal(0, 0.05, WINDOW) for i in range(70)]
    whole = np.round(np.array(sounds) * 32767).astype(np.int16)
    laid = {
        "packed": whole,
        "odd start": np.concatenate([[0], whole.ravel()]).astype(np.int16)[1:].reshape(-1, WINDOW),
        "every second row": np.repeat(whole, 2, axis=0)[::2],
        "columns": np.asfortranarray(whole),
    }[layout]
    at, passed = screen(laid)
    assert at.tolist() == list(range(70))
    assert_alike(passed, screen((whole / 32768).astype(np.float32))[1])


@pytest.mark.parametrize("snr_db", [15.0, 9.0])
def test_half_of_the_samples_miss_no_key(snr_db: float) -> None:
    """What noise above 2 kHz is folded onto the tones hides none, however they are off and unlike."""
    rng = np.random.default_rng(3)
    sounds = []
    for i in range(320):
        key = block(
            KEYS_16[i % 16],
            0.1,
            rng.uniform(0, 6),
            rng.choice([-8.0, 0.0, 6.0]),
            1 + rng.choice([-0.015, 0.015]),
        )
        sounds.append(key + rng.normal(0, np.sqrt(np.mean(key**2) / 10 ** (snr_db / 10)), WINDOW))
    at, passed = screen(np.array(sounds, np.float32))
    assert len(at) >= (319 if snr_db == 15 else 300)
    np.testing.assert_array_equal(passed.key, at % 16)


def test_what_lies_above_2_khz_is_no_key() -> None:
    """To half of the samples it is a key, but not to the receiver."""
    t = np.arange(4000) / 8000
    folded = [np.cos(2 * np.pi * (4000 - hz) * t) for hz in key_tones("5")]
    assert dtmf.decode(0.2 * (folded[0] + folded[1]), 8000) == []


@pytest.mark.parametrize("count", [1, 511, 512, 513, 4097, 5000])
def test_many_blocks_as_one_by_one(count: int) -> None:
    place = np.arange(count)
    sounds = np.array([block(key) for key in KEYS_16])[place % 16] * (place % 3 > 0)[:, None]
    assert keys(*sounds.astype(np.float32)) == np.where(place % 3 > 0, place % 16, -1).tolist()
    assert len(screen(np.zeros((count, WINDOW), np.float32))[0]) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -3e38])
@pytest.mark.parametrize("where", [slice(7, 8), slice(None)])
def test_what_is_no_sound(bad: float, where: slice) -> None:
    """No warning, and nothing of it in the blocks beside."""
    sounds = np.array([block("5"), block("5"), block("9")])
    sounds[1, where] = bad
    first, second, third = keys(*sounds)
    assert (first, third) == (KEYS_16.index("5"), KEYS_16.index("9"))
    assert second in (-1, KEYS_16.index("5"))


def test_cleaned() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 2.0, -0.5, 1e-40], np.float32)
    np.testing.assert_array_equal(cleaned(odd), np.array([0, 1, -1, 1, -0.5, 1e-40], np.float32))
    assert np.isnan(odd[0])  # what was given is left alone
    whole = cleaned(np.array([-32768, 0, 32767], np.int16))
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, np.array([-1, 0, 32767 / 32768], np.float32))


def test_what_was_seen_is_chosen_put_and_joined() -> None:
    all_ = nothing(4)
    _, fives = screen(np.array([block("5"), block("5", 0.2)]))
    all_.put(np.array([3, 1]), fives)
    assert all_.key.tolist() == [-1, 5, -1, 5]
    assert all_.at(np.array([3])).low[0] == fives.low[0] < fives.low[1]
    assert joined([all_, fives]).key.tolist() == [-1, 5, -1, 5, 5, 5]
