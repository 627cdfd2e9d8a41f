"""Which blocks are worth a second look: those whose pair goes on."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.candidate import AROUND, goes_on, is_the_same
from dtmf.keypad import KEYS_16, key_tones
from dtmf.screen import Seen

T = np.arange(AROUND) / 8000


def around(key: str, first: int, last: int, off: float = 1.0) -> np.ndarray:
    """A block and half of one on either side, in which a key sounds from one sample to another."""
    low, high = key_tones(key)
    sound = np.sin(2 * np.pi * low * off * T + 0.3) + np.sin(2 * np.pi * high * off * T + 2)
    sound[:first] = sound[last:] = 0
    return (0.1 * sound).astype(np.float32)


def asked(*sounds: np.ndarray, key: str = "5") -> list[bool]:
    answer: list[bool] = goes_on(np.array(sounds), np.full(len(sounds), KEYS_16.index(key), np.int8)).tolist()
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


def test_as_before() -> None:
    before = Seen(np.array([5, 5, 5, 5, -1], np.int8), *(np.full(5, 0.1, np.float32) for _ in range(2)))
    now = Seen(
        np.array([5, 6, 5, 5, 5], np.int8),
        np.array([0.19, 0.1, 0.21, 0.1, 0.1], np.float32),
        np.array([0.06, 0.1, 0.1, 0.04, 0.1], np.float32),
    )
    assert is_the_same(now, before).tolist() == [True, False, False, False, False]
    assert now.at(np.array([1])).key.tolist() == [6]
