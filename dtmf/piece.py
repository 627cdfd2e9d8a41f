"""Where a tone stood in a look: its edges, and the holes in it.

    samples   ......................############################......................
    amplitude                  .  /---------------------------\\  .
                                 ^ start                       ^ end

A window half filled by a tone shows half of its amplitude: so an edge lies where the weaker tone's crosses
half of its height, at the window's middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import HOP, WINDOW, Floats
from dtmf.look import FRAME_START, FRAMES, SPAN

__all__ = ["Pieces", "fall", "pieces", "several"]

Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_HALF = np.float32(0.5)
_FULL = np.float32(0.97)


class Pieces(NamedTuple):
    """The newest stretch of tone in each look, its holes bridged; (J,) each.

    start: its first edge; begun: whether that is seen, and not older than the look. end: its last edge, or
    how far it reaches in the newest window; over: whether that is an edge; silent: for how long it has not
    been heard since. length: without holes. first, last: windows in which its longest piece stands above
    half height; piece_from, piece_to: that piece's edges. shape: (J, FRAMES) how much of each window tones
    with such edges fill.
    """

    start: Floats
    begun: Bools
    end: Floats
    over: Bools
    silent: Floats
    length: Floats
    piece_from: Floats
    piece_to: Floats
    first: Indices
    last: Indices
    shape: Floats

    def at(self, index: Indices) -> Pieces:
        """Those of some looks."""
        columns: Iterator[Any] = (values[index] for values in self)
        return Pieces(*columns)

    def put(self, index: Indices, found: Pieces) -> None:
        """Write those of some looks."""
        columns: Iterable[tuple[Any, Any]] = zip(self, found, strict=True)
        for values, new in columns:
            values[index] = new


def pieces(heights: Floats, hole: float, after: Floats) -> Pieces:
    """Where a tone stood: heights (J, FRAMES), relative to its full height; hole: what is bridged, samples.

    Windows that began before ``after`` (J,) are not looked at: another tone was in them.
    """
    on = heights >= _HALF
    on &= after[:, None] <= FRAME_START
    look = np.arange(len(heights))
    first = on.argmax(axis=1)
    last = FRAMES - 1 - on[:, ::-1].argmax(axis=1)
    there = on[look, first]
    start, begun = _rise(heights, look, first, after)
    end, over = fall(heights, look, last)
    start *= there
    end *= there
    # A tone that has come back fills less than half of the newest window.
    silent = SPAN - WINDOW * np.minimum(heights[:, -1], _HALF) - end
    silent *= over
    result = Pieces(
        start, begun, end, over, silent, end - start, start.copy(), end.copy(), first, last,
        _filled(start, begun, end, over),
    )  # fmt: skip
    broken = several(on, first, last)
    if broken:
        found = [_newest(result, heights[j].tolist(), float(after[j]), j, hole) for j in broken]
        each = np.repeat(np.array(broken), [len(one) for one in found])
        starts, begins, ends, overs, _, _ = (
            np.array(c) for c in zip(*(p for f in found for p in f), strict=True)
        )
        result.shape[broken] = 0
        filled = _filled(starts.astype(np.float32), begins, ends.astype(np.float32), overs)
        np.add.at(result.shape, each, filled)
    return result


def several(on: Bools, first: Indices, last: Indices) -> list[int]:
    """The looks whose windows stand above half height in more than one piece."""
    count = np.add.reduce(on, axis=1, dtype=np.intp)
    broken: list[int] = ((count > 0) & (count < last - first + 1)).nonzero()[0].tolist()
    return broken


def _rise(heights: Floats, look: Indices, at: Indices, after: Floats) -> tuple[Floats, Bools]:
    """The edges before windows ``at``, the first that are on; and whether they are seen."""
    now, before = heights[look, at], heights[look, np.maximum(at - 1, 0)]
    begin = FRAME_START[at]
    part = (now - _HALF) / np.maximum(now - before, np.float32(1e-6))
    edge = begin + np.float32(WINDOW / 2) - HOP * part
    if not (after > 0).any():
        return edge * (at > 0), at > 0
    # The first window after another tone: this one began as it does, or while that was still in it.
    next_to = begin - HOP < after
    filled = np.where(now > _FULL, after, begin + WINDOW * (1 - np.minimum(now, np.float32(1))))
    edge = np.where(next_to, filled, edge)
    seen = (at > 0) | (next_to & (after > 0))
    return edge * seen, seen


def fall(heights: Floats, look: Indices, at: Indices) -> tuple[Floats, Bools]:
    """The edges after windows ``at``, the last that are on; and whether they are seen."""
    seen = at < FRAMES - 1
    now, after = heights[look, at], heights[look, np.minimum(at + 1, FRAMES - 1)]
    past = (now - _HALF) / np.maximum(now - after, np.float32(1e-6))
    reach = SPAN - WINDOW * (1 - np.minimum(now, np.float32(1)))
    return np.where(seen, FRAME_START[at] + np.float32(WINDOW / 2) + HOP * past, reach), seen


def _newest(
    result: Pieces, heights: list[float], after: float, j: int, hole: float
) -> list[tuple[float, bool, float, bool, int, int]]:
    """The same for one look with more than one piece: the newest, and those before it, hole by hole.

    In plain Python: for one look, that is ten times as fast.
    """
    found: list[tuple[float, bool, float, bool, int, int]] = []
    earliest = max(math.ceil(after / HOP), 0)
    at = FRAMES - 1
    while at >= earliest:
        if heights[at] < 0.5:
            at -= 1
            continue
        last = at
        while at > earliest and heights[at - 1] >= 0.5:
            at -= 1
        now = heights[at]
        if at == earliest:
            begun = after > 0
            start = after if now > 0.97 else at * HOP + WINDOW * (1 - min(now, 1.0))
            start = start if begun else 0.0
        else:
            begun = True
            start = at * HOP + WINDOW / 2 - HOP * (now - 0.5) / (now - heights[at - 1])
        now = heights[last]
        over = last < FRAMES - 1
        if over:
            end = last * HOP + WINDOW / 2 + HOP * (now - 0.5) / (now - heights[last + 1])
        else:
            end = SPAN - WINDOW * (1 - min(now, 1.0))
        if found and found[-1][0] - end >= hole:
            break
        found.append((start, begun, end, over, at, last))
        at -= 1
    longest = max(found, key=lambda piece: piece[2] - piece[0])
    result.start[j], result.begun[j] = found[-1][:2]
    result.length[j] = sum(piece[2] - piece[0] for piece in found)
    result.piece_from[j], _, result.piece_to[j], _, result.first[j], result.last[j] = longest
    return found


def _filled(start: Floats, begun: Bools, end: Floats, over: Bools) -> Floats:
    """The share of each window between two edges; an edge that is not seen is beyond the look."""
    begin = np.where(begun, start, np.float32(-SPAN))[:, None]
    stop = np.where(over, end, np.float32(2 * SPAN))[:, None]
    filled: Floats = np.minimum(FRAME_START + np.float32(WINDOW), stop)
    filled -= np.maximum(FRAME_START, begin)
    filled *= np.float32(1 / WINDOW)
    np.maximum(filled, np.float32(0), out=filled)
    return np.minimum(filled, np.float32(1), out=filled)
