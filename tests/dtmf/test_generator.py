from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dtmf import KEYS_16, DtmfError, generate
from dtmf.keypad import key_tones


def test_lengths() -> None:
    sound = generate("12", tone_ms=50, gap_ms=30, lead_ms=10, tail_ms=20)
    assert sound.dtype == np.float32
    assert len(sound) == 8 * (10 + 50 + 30 + 50 + 20)
    heard = np.abs(sound) > 0
    assert not heard[:80].any()
    assert not heard[480:720].any()
    assert not heard[1120:].any()
    assert heard[81:480].mean() > 0.95
    assert heard[721:1120].mean() > 0.95


def test_roundings_do_not_add_up() -> None:
    sound = generate("1" * 1000, rate=11025, tone_ms=40.03, gap_ms=40.03)
    assert len(sound) == round(1999 * 40.03 * 11.025)


@pytest.mark.parametrize("key", KEYS_16)
def test_frequencies_levels_and_twist(key: str) -> None:
    sound = generate(key, tone_ms=1000, level_dbm0=-13, twist_db=3)
    low, high = (
        abs(sound @ np.exp(-2j * np.pi * hz * np.arange(8000) / 8000)) / 4000 for hz in key_tones(key)
    )
    assert 20 * np.log10(high / low) == pytest.approx(3, abs=0.01)
    assert 10 * np.log10((low**2 + high**2) / 2) + 3.14 == pytest.approx(-13, abs=0.01)
    assert np.mean(sound.astype(float) ** 2) == pytest.approx((low**2 + high**2) / 2, rel=1e-3)


def test_nothing_to_say() -> None:
    assert generate("").shape == (0,)
    assert generate("", lead_ms=10).tolist() == [0.0] * 80


def test_full_scale_clips() -> None:
    assert np.abs(generate("5", level_dbm0=0)).max() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"digits": "12E"},
        {"rate": 0},
        {"rate": 8000.5},
        {"rate": 10**9},
        {"tone_ms": 0},
        {"tone_ms": -1},
        {"gap_ms": float("nan")},
        {"lead_ms": float("inf")},
        {"tail_ms": 1e12},
        {"level_dbm0": float("nan")},
        {"level_dbm0": 1e6},
        {"twist_db": float("inf")},
    ],
    ids=str,
)
def test_what_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(DtmfError):
        generate(**({"digits": "1"} | wrong))
