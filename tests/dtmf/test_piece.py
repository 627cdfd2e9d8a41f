"""Edges, holes and pauses of tones within five blocks."""

from __future__ import annotations

import numpy as np
import pytest

from dtmf.goertzel import HOP, WINDOW
from dtmf.keypad import key_tones
from dtmf.look import FRAMES, SPAN, windows
from dtmf.piece import pieces

HOLE = 188.0
NEVER = np.float32(-1e9)
T = np.arange(SPAN) / 8000


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


@pytest.mark.parametrize("start", range(160, 330, 13))
@pytest.mark.parametrize("length", [200, 283, 400])
def test_edges_of_a_tone(start: int, length: int) -> None:
    low, high = key_tones("6")
    sound = (0.2 * (np.sin(2 * np.pi * low * T + 0.4) + np.sin(2 * np.pi * high * T + 2.1))).astype(
        np.float32
    )
    sound[:start] = sound[start + length :] = 0
    seen = windows(sound[None], np.array([6], np.int8))
    heights = np.sqrt(seen.squares.min(axis=0)) / 0.2
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


def test_some_looks_are_chosen_and_put_back() -> None:
    found = pieces(np.stack([filled([(100.0, 500.0)]), filled([(300.0, 600.0)])]), HOLE, np.full(2, NEVER))
    second = found.at(np.array([1]))
    assert second.start[0] == found.start[1]
    second.start[0] = 7
    found.put(np.array([1]), second)
    assert found.start[1] == 7
    assert found.start[0] != 7
