"""Which blocks are worth a second look: those whose pair goes on, without much else."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.candidate import AROUND, is_an_edge, is_promising, is_sure
from dtmf.keypad import KEYS_16, key_tones
from dtmf.screen import Seen, nothing
from dtmf.standards import DEFAULT

T = np.arange(AROUND) / 8000
OFFSET = DEFAULT.decision.offset


def around(key: str, first: int, last: int, off: float = 1.0) -> np.ndarray:
    """A block and half of one on either side, in which a key sounds from one sample to another."""
    low, high = key_tones(key)
    sound = np.sin(2 * np.pi * low * off * T + 0.3) + np.sin(2 * np.pi * high * off * T + 2)
    sound[:first] = sound[last:] = 0
    return (0.1 * sound).astype(np.float32)


def asked(*sounds: np.ndarray, key: str = "5") -> list[bool]:
    keys = np.full(len(sounds), KEYS_16.index(key), np.int8)
    answer: list[bool] = is_promising(np.array(sounds, np.float32), keys, OFFSET).tolist()
    return answer


@pytest.mark.parametrize("key", KEYS_16)
@pytest.mark.parametrize("off", [0.982, 1.0, 1.018])
def test_40_ms_go_on_before_or_after(key: str, off: float) -> None:
    """Wherever they lie, as long as they fill the block in the middle."""
    sounds = [around(key, first, first + AROUND, off) for first in range(0, 81, 8)]
    sounds += [around(key, 0, last, off) for last in range(240, 321, 8)]
    assert all(asked(*sounds, key=key))


def test_what_does_not_go_on() -> None:
    """A click of a key; or where another is beside it, or it is louder there, or off its frequencies."""
    other, louder = around("5", 80, 240), around("5", 0, 320)
    other[:80], other[240:] = around("7", 0, 80)[:80], around("A", 240, 320)[240:]
    louder[:80] *= 8
    louder[240:] *= 8
    assert asked(around("5", 110, 210), other, louder, around("5", 0, 320, 1.05)) == [False] * 4


@pytest.mark.parametrize("key", KEYS_16)
def test_beside_other_sounds(key: str) -> None:
    """Noise 3 dB below the key, hum and a dial tone hide none; what has a third tone as loud is none."""
    rng = np.random.default_rng(KEYS_16.index(key))
    sound = around(key, 0, AROUND)
    noise = rng.normal(0, 0.07, (20, AROUND))
    hum, dial = (sum(np.sin(2 * np.pi * hz * T + hz) for hz in pair) for pair in ((50, 150), (350, 440)))
    assert all(asked(*(sound + noise), key=key))
    assert asked(sound + 0.5 * hum, sound + 0.5 * dial, key=key) == [True, True]
    third = 0.1 * np.sin(2 * np.pi * np.array([[580], [1075], [2000], [3000]]) * T)
    assert asked(*(sound + third), key=key) == [False] * 4
    assert all(asked(*(sound + third / 3), key=key))


def test_what_is_sure() -> None:
    """The same key, as loud, twice, and little else."""
    loud = np.full(6, 0.1, np.float32)
    before = Seen(np.array([5, 5, 5, 5, -1, 5], np.int8), loud, loud, np.arange(6) < 5)
    now = Seen(
        np.array([5, 6, 5, 5, 5, 5], np.int8),
        np.array([0.19, 0.1, 0.21, 0.1, 0.1, 0.1], np.float32),
        np.array([0.06, 0.1, 0.1, 0.04, 0.1, 0.1], np.float32),
        np.ones(6, bool),
    )
    assert is_sure(now, before).tolist() == [True, False, False, False, False, False]
    assert is_sure(now, now._replace(pure=np.zeros(6, bool))).tolist() == [False] * 6


def test_the_edges_of_a_tone() -> None:
    """Less than half of the tone that is in the block before or after."""
    quiet, loud = np.full(4, 0.01, np.float32), np.array([0.1, 0.1, 0.015, 0.1], np.float32)
    here = Seen(np.array([5, 5, 5, 5], np.int8), quiet, quiet, np.ones(4, bool))
    there = Seen(np.array([5, 6, 5, -1], np.int8), loud, loud, np.ones(4, bool))
    assert is_an_edge(here, there, nothing(4)).tolist() == [True, False, False, False]
    assert is_an_edge(here, nothing(4), there).tolist() == [True, False, False, False]
