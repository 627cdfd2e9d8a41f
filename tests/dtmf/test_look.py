"""The second look: edges, holes, levels and frequencies of tones within five blocks."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.goertzel import HOP, NULLED, TONES_HZ, WINDOW
from dtmf.keypad import KEYS_16, key_tones
from dtmf.look import (
    FRAMES,
    SPAN,
    chosen,
    measure,
    pieces,
    put,
    third_peak,
    windows,
    windows_nulled,
)

HOLE = 188.0
NEVER = np.float32(-1e9)
ALL = np.arange(16, dtype=np.int8)
T = np.arange(SPAN) / 8000


def pair(key: str, off: tuple[float, float] = (0, 0), level: float = 0.2, twist_db: float = 0) -> np.ndarray:
    low, high = key_tones(key)
    sound = np.sin(2 * np.pi * low * (1 + off[0]) * T + 0.4) * 10 ** (-twist_db / 40)
    sound += np.sin(2 * np.pi * high * (1 + off[1]) * T + 2.1) * 10 ** (twist_db / 40)
    return (level * sound).astype(np.float32)


def filled(intervals: list[tuple[float, float]]) -> np.ndarray:
    """How much of each window tones fill: what their amplitude in it is."""
    heights = np.zeros(FRAMES, np.float32)
    for frame in range(FRAMES):
        for start, end in intervals:
            both = min(end, frame * HOP + WINDOW) - max(start, frame * HOP)
            heights[frame] += max(both, 0) / WINDOW
    return heights


def newest(intervals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The intervals since the newest pause that is no hole."""
    found = intervals[-1:]
    for interval in reversed(intervals[:-1]):
        if found[0][0] - interval[1] >= HOLE:
            break
        found.insert(0, interval)
    return found


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
            assert abs(plain.low[key, frame]) == pytest.approx(abs(window @ wave), rel=1e-3)
            parts = window @ NULLED
            high = np.hypot(parts[4 + key % 4], parts[12 + key % 4])
            assert abs(nulled.high[key, frame]) == pytest.approx(high, rel=1e-3)
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
        for name, values in vars(apart).items():
            if values is not None:
                np.testing.assert_array_equal(values, getattr(together, name)[some])


@pytest.mark.parametrize("start", range(160, 330, 13))
@pytest.mark.parametrize("length", [200, 283, 400])
def test_edges_of_a_tone(start: int, length: int) -> None:
    sound = pair("6")
    sound[:start] = sound[start + length :] = 0
    seen = windows(sound[None], np.array([6], np.int8))
    heights = np.minimum(abs(seen.low), abs(seen.high)) / 0.2
    found = pieces(heights.astype(np.float32), HOLE, np.array([NEVER]))
    assert found.begun[0]
    assert abs(found.start[0] - start) < 16
    if start + length < SPAN - WINDOW:
        assert found.over[0]
        assert abs(found.end[0] - start - length) < 16


@pytest.mark.parametrize("seed", range(60))
def test_holes_are_bridged_and_pauses_are_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    intervals, at = [], int(rng.integers(90, 300))
    while at < 560:
        end = min(at + int(rng.integers(200, 300)), SPAN - WINDOW - HOP)
        intervals.append((float(at), float(end)))
        at = end + int(rng.choice([rng.integers(100, 170), rng.integers(205, 260)]))
    intervals = [(start, end) for start, end in intervals if end - start >= WINDOW]
    found = pieces(filled(intervals)[None], HOLE, np.array([NEVER]))
    wanted = newest(intervals)
    assert abs(found.start[0] - wanted[0][0]) < 25
    assert abs(found.end[0] - wanted[-1][1]) < 25
    assert abs(found.length[0] - sum(end - start for start, end in wanted)) < 40
    longest = max(wanted, key=lambda interval: interval[1] - interval[0])
    assert found.piece_to[0] - found.piece_from[0] >= longest[1] - longest[0] - 40


def test_a_tone_that_fills_the_look_has_no_edges() -> None:
    found = pieces(np.ones((1, FRAMES), np.float32), HOLE, np.array([NEVER]))
    assert (bool(found.begun[0]), bool(found.over[0]), found.silent[0]) == (False, False, 0)
    assert found.length[0] == SPAN


def test_silence_has_no_pieces() -> None:
    found = pieces(np.zeros((2, FRAMES), np.float32), HOLE, np.array([NEVER, NEVER]))
    assert (found.length <= 0).all()


def test_what_began_before_is_left_out() -> None:
    """Another tone was in those windows: this one begins where that ended."""
    heights = filled([(0.0, 800.0)])[None]
    found = pieces(heights, HOLE, np.array([310.0], np.float32))
    assert found.begun[0]
    assert found.start[0] == pytest.approx(310, abs=16)


@pytest.mark.parametrize("key", KEYS_16)
@pytest.mark.parametrize("off", [(0, 0), (0.018, -0.018), (-0.018, 0), (0.01, 0.018)])
def test_frequencies_and_levels(key: str, off: tuple[float, float]) -> None:
    sound = pair(key, off, twist_db=3)
    sound[:200] = sound[640:] = 0
    seen = windows(sound[None], np.array([KEYS_16.index(key)], np.int8))
    heights = np.minimum(abs(seen.low) / abs(seen.low).max(), abs(seen.high) / abs(seen.high).max())
    found = pieces(heights.astype(np.float32), HOLE, np.array([NEVER]))
    measured = measure(seen, found, np.ones((1, FRAMES), bool))
    low, high = key_tones(key)
    assert measured.low_off[0] == pytest.approx(off[0] * low, abs=2.5)
    assert measured.high_off[0] == pytest.approx(off[1] * high, abs=2.5)
    assert 10 * np.log10(measured.high[0] / measured.low[0]) == pytest.approx(3, abs=0.7)
    assert np.sqrt(measured.high[0] * measured.low[0]) == pytest.approx(0.04, rel=0.1)
    assert measured.steadiness[0] > 0.95


@pytest.mark.parametrize("hz", [600, 1050, 1900, 2500, 3300])
def test_the_third_peak(hz: float) -> None:
    sound = pair("5")
    third = 0.05 * np.sin(2 * np.pi * hz * T).astype(np.float32)
    both = np.stack([sound, sound + third])
    found = pieces(np.ones((2, FRAMES), np.float32), HOLE, np.array([NEVER, NEVER]))
    low, high = (np.full(2, tone, np.float32) for tone in key_tones("5"))
    without, with_it = third_peak(both, found, low, high)
    assert without < 0.01**2
    assert 10 * np.log10(with_it / 0.05**2) == pytest.approx(0, abs=2)


def test_some_looks_are_chosen_and_put_back() -> None:
    found = pieces(np.stack([filled([(100.0, 500.0)]), filled([(300.0, 600.0)])]), HOLE, np.full(2, NEVER))
    second = chosen(found, np.array([1]))
    assert second.start[0] == found.start[1]
    second.start[0] = 7
    put(found, np.array([1]), second)
    assert found.start[1] == 7
    assert found.start[0] != 7
