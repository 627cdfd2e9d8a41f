"""The rules: what is a key at once, what has to wait, and what is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dtmf.goertzel import amplitude
from dtmf.judgement import ACCEPT, REFUSE, WAIT, Judge, Said
from dtmf.keypad import KEYS_16, key_tones
from dtmf.look import SPAN
from dtmf.standards import DEFAULT, PROFILES, Profile

T = np.arange(SPAN) / 8000
NEVER = np.array([-1e9], np.float32)


def look(
    key: str,
    start: int,
    end: int,
    *,
    level: float = -10.0,
    twist: float = 0.0,
    off: tuple[float, float] = (0, 0),
) -> np.ndarray:
    """Five blocks in which a key sounds from one sample to another."""
    low, high = (hz * (1 + by) for hz, by in zip(key_tones(key), off, strict=True))
    sound = amplitude(level - twist / 2) * np.sin(2 * np.pi * low * T + 0.4)
    sound += amplitude(level + twist / 2) * np.sin(2 * np.pi * high * T + 2.1)
    sound[:start] = sound[end:] = 0
    return sound.astype(np.float32)


def said(sound: np.ndarray, key: str, profile: Profile = DEFAULT) -> Said:
    """What is said of one look."""
    index = np.array([KEYS_16.index(key)], np.int8)
    return Judge(profile.decision).judge(sound[None].astype(np.float32), index, NEVER)


def verdict(sound: np.ndarray, key: str = "5", profile: Profile = DEFAULT) -> int:
    return int(said(sound, key, profile).verdict[0])


@pytest.mark.parametrize("key", KEYS_16)
def test_a_clean_key_is_taken_as_soon_as_it_is_long_enough(key: str) -> None:
    """And not before; that it goes on does not matter."""
    for start in range(480, SPAN - 255, 20):
        assert verdict(look(key, start, SPAN), key) == ACCEPT
    for start in range(SPAN - 230, SPAN - 160, 20):
        assert verdict(look(key, start, SPAN), key) == WAIT


@pytest.mark.parametrize("key", KEYS_16)
def test_a_short_key_is_refused_when_it_is_over(key: str) -> None:
    for start in range(200, 360, 20):
        assert verdict(look(key, start, start + 200), key) == REFUSE
        assert verdict(look(key, start, start + 320), key) == ACCEPT


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_limits_of_each_profile(profile: Profile) -> None:
    limits = profile.decision

    def at(**given: Any) -> int:
        return verdict(look("5", 150, 550, **given), profile=profile)

    assert at(twist=limits.twist_db[0] + 0.6) == at(twist=limits.twist_db[1] - 0.6) == ACCEPT
    assert at(twist=limits.twist_db[0] - 0.6) == at(twist=limits.twist_db[1] + 0.6) == REFUSE
    assert at(level=limits.weakest_dbm0 + 0.7) == ACCEPT
    assert at(level=limits.weakest_dbm0 - 0.7) != ACCEPT
    for off in (0.0185, -0.0185):
        assert at(off=(off, 0)) == at(off=(0, off)) == ACCEPT
    for off in (0.03, -0.03, 0.035, -0.035):
        assert at(off=(off, 0)) != ACCEPT
        assert at(off=(0, off)) != ACCEPT


@pytest.mark.parametrize("key", "15#D")
def test_beneath_hum_and_a_dial_tone(key: str) -> None:
    """As loud as the key: it is heard in windows that are deaf to them."""
    sound = look(key, 150, 600)
    hum = 0.2 * np.sin(2 * np.pi * 50 * T)
    dial = 0.2 * (np.sin(2 * np.pi * 350 * T) + np.sin(2 * np.pi * 440 * T))
    for beneath in (hum, dial):
        heard = said(sound + beneath, key)
        assert heard.verdict[0] == ACCEPT
        assert heard.deaf[0]
        assert heard.found.start[0] == pytest.approx(150, abs=24)


@pytest.mark.parametrize("hz", [1050, 1800, 2500])
def test_with_a_third_tone_it_is_no_key(hz: float) -> None:
    third = 0.2 * np.sin(2 * np.pi * hz * T)
    assert verdict(look("5", 150, 600) + third) != ACCEPT
    assert verdict(look("5", 150, 600) + 0.01 * third) == ACCEPT


def test_noise_and_silence() -> None:
    rng = np.random.default_rng(3)
    assert verdict(np.zeros(SPAN)) != ACCEPT
    for _ in range(50):
        assert verdict(rng.normal(0, 0.1, SPAN)) != ACCEPT


def test_noise_15_db_below_a_key() -> None:
    rng = np.random.default_rng(4)
    for key in KEYS_16:
        sound = look(key, 100, 600)
        noise = rng.normal(0, np.sqrt(np.mean(sound[100:600] ** 2) / 10**1.5), SPAN)
        assert verdict(sound + noise, key) == ACCEPT


def test_many_looks_as_one_by_one() -> None:
    rng = np.random.default_rng(5)
    keys = rng.integers(0, 16, 60).astype(np.int8)
    sounds = np.array([look(KEYS_16[key], 100 + 9 * i, 420 + 9 * i) for i, key in enumerate(keys)])
    sounds += (rng.normal(0, 1, sounds.shape) * rng.choice([0, 0.02, 0.1], (60, 1))).astype(np.float32)
    judge = Judge(DEFAULT.decision)
    after = np.where(np.arange(60) % 5, -1e9, 150).astype(np.float32)
    together = judge.judge(sounds.copy(), keys, after)
    assert {ACCEPT, WAIT} <= set(together.verdict.tolist())
    for i in range(60):
        alone = judge.judge(sounds[i : i + 1].copy(), keys[i : i + 1], after[i : i + 1])
        assert alone.verdict[0] == together.verdict[i]
        for name in ("start", "end", "length"):
            assert getattr(alone.found, name)[0] == getattr(together.found, name)[i]
