"""The inside of a tone: levels and frequencies."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.keypad import KEYS_16, key_tones
from dtmf.look import FRAMES, SPAN, windows
from dtmf.measurement import measure
from dtmf.piece import pieces

HOLE = 188.0
NEVER = np.float32(-1e9)
T = np.arange(SPAN) / 8000


def pair(key: str, off: tuple[float, float] = (0, 0), level: float = 0.2, twist_db: float = 0) -> np.ndarray:
    low, high = key_tones(key)
    sound = np.sin(2 * np.pi * low * (1 + off[0]) * T + 0.4) * 10 ** (-twist_db / 40)
    sound += np.sin(2 * np.pi * high * (1 + off[1]) * T + 2.1) * 10 ** (twist_db / 40)
    return (level * sound).astype(np.float32)


@pytest.mark.parametrize("key", KEYS_16)
@pytest.mark.parametrize("off", [(0, 0), (0.018, -0.018), (-0.018, 0), (0.01, 0.018)])
def test_frequencies_and_levels(key: str, off: tuple[float, float]) -> None:
    sound = pair(key, off, twist_db=3)
    sound[:200] = sound[640:] = 0
    seen = windows(sound[None], np.array([KEYS_16.index(key)], np.int8))
    heights = np.sqrt((seen.squares / seen.squares.max(axis=2, keepdims=True)).min(axis=0))
    found = pieces(heights, HOLE, np.array([NEVER]))
    measured = measure(seen, found, np.ones((1, FRAMES), bool))
    low, high = key_tones(key)
    assert measured.off[0, 0] == pytest.approx(off[0] * low, abs=2.5)
    assert measured.off[1, 0] == pytest.approx(off[1] * high, abs=2.5)
    assert 10 * np.log10(measured.squares[1, 0] / measured.squares[0, 0]) == pytest.approx(3, abs=0.7)
    assert np.sqrt(measured.squares[:, 0].prod()) == pytest.approx(0.04, rel=0.1)
    assert measured.steadiness[0] > 0.95
    assert measured.pair[0] == measured.squares[:, 0].mean()
    again = measured.at(np.array([0, 0]))
    assert again.off.tolist() == [[off, off] for off in measured.off[:, 0].tolist()]
