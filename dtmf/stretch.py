"""Many blocks of some lines at once: cut into stretches that do not depend on each other.

Blocks that passed the screen belong together unless QUIET others lie between two of them, for then the
machine forgets everything. So groups of them can be taken side by side; only the first of a line may go on
with what the line was at before, and only the last leaves something behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import WINDOW, Floats
from dtmf.look import BLOCKS, SPAN
from dtmf.machine import AT_ONCE, QUIET, Bools, Indices, Keys, Machine, Numbers, Slots, Step
from dtmf.screen import AROUND, cleaned, goes_on, in_a_run, same_pair

__all__ = ["Blocks", "take"]

_BEFORE = BLOCKS - 1


@dataclass(frozen=True)
class Blocks:
    """Blocks of m lines, and what the screen saw in them.

    sound: (m, count, WINDOW). past: (m, BLOCKS - 1, WINDOW), the blocks before. number: (m,) of the first.
    squares: (8, m, count + 2) and key: (m, count + 2) begin with those of the last two blocks before.
    candidate: (m,) the key that the second last block before was a candidate for, or -1.
    """

    sound: npt.NDArray[Any]
    past: Floats
    number: Numbers
    squares: Floats
    key: Keys
    candidate: Keys

    @property
    def count(self) -> int:
        """Blocks of each line."""
        return int(self.sound.shape[1])


@dataclass(frozen=True)
class _Stretches:
    """row: of the line; first, last: block; goes_on: from the line's state."""

    row: Indices
    first: Indices
    last: Indices
    goes_on: Bools


def take(machine: Machine, slots: Slots, blocks: Blocks) -> tuple[Indices, Keys]:
    """Let the machine take the blocks of lines that are in ``slots``; those are then as at the end.

    slots: one for each line. Gives the row of each slot that the machine's changes name, and the candidate
    that the second last block was for each line.
    """
    cut, candidate, keeps = _cut(slots, blocks)
    # The longest first: those that are at their end leave the others in one piece.
    order = np.argsort(cut.first - cut.last, kind="stable")
    row, first, last = cut.row[order], cut.first[order], cut.last[order]
    states = Slots(len(row))
    states.quiet[:] = 0
    old = np.flatnonzero(cut.goes_on[order])
    states.take(slots, old, row[old])
    states.quiet[first > 0] = 0
    _run(machine, states, blocks, candidate, row, first, last)

    quiet = np.full(len(slots.key), QUIET, np.int8)
    for back in range(min(QUIET, blocks.count) - 1, -1, -1):
        quiet[blocks.key[:, -1 - back] >= 0] = back
    none = (blocks.key[:, 2:] < 0).all(axis=1)
    quiet[none] = np.minimum(slots.quiet[none] + min(blocks.count, QUIET), QUIET)
    fresh = np.flatnonzero(~keeps | (quiet >= QUIET))
    slots.take(Slots(1), fresh, np.zeros(len(fresh), np.intp))
    unfinished = np.flatnonzero(last == blocks.count - 1)
    slots.take(states, row[unfinished], unfinished)
    slots.quiet[:] = quiet
    return row, candidate.reshape(-1, blocks.count + 2)[:, -1]


def _run(
    machine: Machine,
    states: Slots,
    blocks: Blocks,
    candidate: Keys,
    row: Indices,
    first: Indices,
    last: Indices,
) -> None:
    """Block by block, all stretches in step; they are sorted by length, the longest first."""
    width = blocks.count + 2
    squares, key = blocks.squares.reshape(8, -1), blocks.key.ravel()
    place = row * width + first + 2
    number = blocks.number[row] + first
    length = last - first + 1
    sound = _Sound(blocks, row)
    active = len(row)
    step = 0
    while active:
        at = np.arange(active)
        here = place[:active] + step
        machine.step(
            states,
            Step(
                at,
                number[:active] + step,
                key[here],
                squares[:, here],
                candidate[here],
                sound,
            ),
        )
        step += 1
        while active and length[active - 1] <= step:
            active -= 1


class _Sound:
    """The BLOCKS blocks that end with a block of a stretch."""

    def __init__(self, blocks: Blocks, row: Indices) -> None:
        self._row = row
        self._number = blocks.number[row]
        lines = len(blocks.sound)
        samples = blocks.sound.reshape(lines, -1)
        self._begin = np.lib.stride_tricks.sliding_window_view(_begin(blocks), SPAN, axis=1)
        self._rest = (
            np.lib.stride_tricks.sliding_window_view(samples, SPAN, axis=1)
            if blocks.count >= BLOCKS
            else None
        )

    def __call__(self, slot: Indices, number: Numbers) -> Floats:
        """(j, SPAN) of some slots and numbers of blocks."""
        row, block = self._row[slot], number - self._number[slot]
        early = block < _BEFORE
        if self._rest is None or early.all():
            begin: Floats = self._begin[row, block * WINDOW]
            return begin
        if not early.any():
            return cleaned(self._rest[row, (block - _BEFORE) * WINDOW])
        sound = np.empty((len(slot), SPAN), np.float32)
        sound[early] = self._begin[row[early], block[early] * WINDOW]
        sound[~early] = cleaned(self._rest[row[~early], (block[~early] - _BEFORE) * WINDOW])
        return sound


def _begin(blocks: Blocks) -> Floats:
    """The blocks before the first, and as many from there on: (m, samples)."""
    lines = len(blocks.sound)
    early = cleaned(blocks.sound[:, :_BEFORE])
    return np.concatenate([blocks.past.reshape(lines, -1), early.reshape(lines, -1)], axis=1)


def _cut(slots: Slots, blocks: Blocks) -> tuple[_Stretches, Keys, Bools]:
    """The stretches, the candidates, and the lines that are still in the group that they were in before.

    Candidates: flat like the blocks' keys, the key that the block before each may hold, or -1.
    """
    count = blocks.count
    width = count + 2
    flat = blocks.key.ravel()
    place = np.flatnonzero(flat >= 0)
    row, block = np.divmod(place, width)
    block -= 2
    # What a line is in the middle of began with a block that passed, some blocks ago.
    amid = np.flatnonzero(slots.quiet < QUIET)
    if len(amid):
        row = np.concatenate([row, amid])
        block = np.concatenate([block, -1 - slots.quiet[amid].astype(np.intp)])
        place = np.concatenate([place, np.full(len(amid), -1)])
        order = np.lexsort((block, row))
        row, block, place = row[order], block[order], place[order]
    keeps = np.zeros(len(blocks.key), bool)
    if not len(row):
        nothing = np.zeros(0, np.intp)
        none = np.full(len(flat), -1, np.int8)
        return _Stretches(nothing, nothing, nothing, nothing.astype(bool)), none, keeps
    new = np.append(True, (row[1:] != row[:-1]) | (block[1:] - block[:-1] > QUIET))
    group = np.cumsum(new) - 1
    begin = np.flatnonzero(new)
    end = np.append(begin[1:], len(row)) - 1
    old = block[begin] < 0
    final = np.append(row[begin[1:]] != row[begin[:-1]], True)
    keeps[row[begin[final & old]]] = True

    # Work begins in a group with the first block that has the same pair beside it.
    first = np.full(len(begin), count)
    may = np.flatnonzero((place >= 0) & (block >= -1) & (block < count - 1))
    at = place[may]
    squares = blocks.squares.reshape(8, -1)
    same = same_pair(squares, flat[at], at, squares, at + 1)
    same |= same_pair(squares, flat[at], at, squares, at - 1)
    may, at = may[same], at[same]
    stays = _stays(blocks, row[may], block[may], at)
    may, at = may[stays], at[stays]
    candidate = np.full(len(flat), -1, np.int8)
    candidate[at + 1] = flat[at]
    np.minimum.at(first, group[may], block[may] + 1)
    busy = (slots.key >= 0) | (slots.pending >= 0)
    first[old & busy[row[begin]]] = 0
    some = np.flatnonzero(first < count)
    last = np.minimum(block[end[some]] + QUIET, count - 1)
    return _Stretches(row[begin[some]], first[some], last, old[some]), candidate, keeps


def _stays(blocks: Blocks, row: Indices, block: Indices, at: Indices) -> Bools:
    """Which of some blocks that passed are candidates; at: their places among the blocks' keys, in order.

    The rule of a line is that a block is one if its pair goes on, or if it is in a run with one. So a run
    whose first block is one need not be looked at further.
    """
    squares, key = blocks.squares.reshape(8, -1), blocks.key.ravel()
    run = in_a_run(squares, key[at], at, squares, key[at - 1], at - 1)
    before = np.append(-1, at[:-1]) == at - 1  # the block before is here too
    known = run & (block == -1) & (blocks.candidate[row] == key[at])
    run &= before
    head = np.flatnonzero(~run)
    chain = np.cumsum(~run) - 1
    good = known[head]
    unknown = np.flatnonzero(~good)
    doubt = head[unknown]
    good[unknown] = _goes_on(blocks, row[doubt], block[doubt], key[at[doubt]])
    stays: Bools = good[chain]
    doubt = np.flatnonzero(~stays & run)
    if len(doubt):
        own = np.zeros(len(at), bool)
        own[doubt] = _goes_on(blocks, row[doubt], block[doubt], key[at[doubt]])
        # From the first of its chain on that is one.
        count = np.cumsum(own)
        since = count - (count[head] - own[head])[chain]
        stays |= since > 0
    return stays


def _goes_on(blocks: Blocks, row: Indices, block: Indices, key: Keys) -> Bools:
    """goes_on for some blocks of some rows; the first may be -1, the last has another after it."""
    lines = len(blocks.sound)
    begin = _begin(blocks)
    early = block < _BEFORE - 1
    result = np.zeros(len(row), bool)
    first = WINDOW * (block + _BEFORE) - WINDOW // 2
    parts = np.lib.stride_tricks.sliding_window_view(begin, AROUND, axis=1)
    result[early] = goes_on(parts[row[early], first[early]], key[early])
    late = np.flatnonzero(~early)
    if len(late):
        parts = np.lib.stride_tricks.sliding_window_view(blocks.sound.reshape(lines, -1), AROUND, axis=1)
        for some in (late[i : i + AT_ONCE] for i in range(0, len(late), AT_ONCE)):
            around = cleaned(parts[row[some], first[some] - _BEFORE * WINDOW])
            result[some] = goes_on(around, key[some])
    return result
