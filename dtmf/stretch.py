"""Many blocks of some lines at once: cut into stretches that do not depend on each other.

Blocks that passed the screen belong together unless QUIET others lie between two of them, for then the
machine forgets everything. So groups of them can be taken side by side; only the first of a line may go on
with what the line was at before, and only the last leaves something behind. In each stretch the blocks in
which nothing can happen are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.candidate import AROUND, is_an_edge, is_promising, is_sure
from dtmf.goertzel import WINDOW, Floats
from dtmf.look import BLOCKS, SPAN, Keys
from dtmf.machine import AT_ONCE, QUIET, Bools, Indices, Machine, Numbers, Slots, Step, happens
from dtmf.screen import Seen, cleaned, nothing

__all__ = ["Blocks", "take"]

_BEFORE = BLOCKS - 1
_AHEAD = np.arange(8)  # blocks that are searched at once for the next in which something happens


@dataclass(frozen=True)
class Blocks:
    """Blocks of m lines, and what the screen saw in them.

    sound: (m, count, WINDOW). past: (m, BLOCKS - 1, WINDOW), the blocks before. number: (m,) of the first.
    row, block: (n,) the blocks that passed, in this order, and seen what was in them; with those of the last
    two blocks before, -2 and -1.
    """

    sound: npt.NDArray[Any]
    past: Floats
    number: Numbers
    row: Indices
    block: Indices
    seen: Seen

    @property
    def count(self) -> int:
        """Blocks of each line."""
        return int(self.sound.shape[1])


class _Stretches(NamedTuple):
    """k stretches: row of the line; first and last block; goes_on: from the line's state; ends: all is
    forgotten in the last block.

    Their blocks are laid end to end, so many before each: seen, and candidate, the key that the block before
    may hold, or -1.
    """

    row: Indices
    first: Indices
    last: Indices
    goes_on: Bools
    ends: Bools
    before: Indices
    seen: Seen
    candidate: Keys


def take(machine: Machine, slots: Slots, blocks: Blocks) -> Indices:
    """Let the machine take the blocks of lines that are in ``slots``; those are then as at the end.

    slots: one for each line. Gives the row of each slot that the machine's changes name.
    """
    cut, keeps = _cut(slots, blocks, _candidates(blocks, machine.judge.offset))
    states = Slots(len(cut.row))
    old = cut.goes_on.nonzero()[0]
    states.take(slots, old, cut.row[old])
    _run(machine, states, blocks, cut)

    here = blocks.block >= 0
    quiet = np.minimum(slots.quiet + min(blocks.count, QUIET), QUIET).astype(np.int8)
    quiet[blocks.row[here]] = np.minimum(blocks.count - 1 - blocks.block[here], QUIET)  # of each its last
    fresh = (~keeps | (quiet >= QUIET)).nonzero()[0]
    slots.take(Slots(1), fresh, np.zeros(len(fresh), np.intp))
    unfinished = (~cut.ends).nonzero()[0]
    slots.take(states, cut.row[unfinished], unfinished)
    slots.quiet[:] = quiet
    return cut.row


def _candidates(blocks: Blocks, offset: float) -> Bools:
    """Which of the blocks that passed are candidates; of the last of a line nobody knows yet."""
    row, block, seen = blocks.row, blocks.block, blocks.seen
    place = np.arange(len(row))
    beside = (row[1:] == row[:-1]) & (block[1:] == block[:-1] + 1)
    before, after = seen.at(place - 1), seen.at((place + 1) % max(len(row), 1))
    before.key[np.append(True, ~beside)[: len(row)]] = -1
    after.key[np.append(~beside, True)[: len(row)]] = -1
    candidates = is_sure(seen, before) | is_sure(after, seen)
    known = (block >= -1) & (block < blocks.count - 1)
    at = (known & ~candidates & ~is_an_edge(seen, before, after)).nonzero()[0]
    candidates[at] = _promising(blocks, at, offset)
    return candidates & known


def _promising(blocks: Blocks, at: Indices, offset: float) -> Bools:
    """Whether some of the blocks that passed are promising; they have another after them."""
    sound = _Sound(blocks, AROUND)
    result = np.zeros(len(at), bool)
    for some in (slice(i, i + AT_ONCE) for i in range(0, len(at), AT_ONCE)):
        its = at[some]
        first = WINDOW * blocks.block[its] - WINDOW // 2
        result[some] = is_promising(sound.since(blocks.row[its], first), blocks.seen.key[its], offset)
    return result


def _cut(slots: Slots, blocks: Blocks, candidate: Bools) -> tuple[_Stretches, Bools]:
    """The stretches, and the lines that are still in the group that they were in before."""
    row, block, count = blocks.row, blocks.block, blocks.count
    keeps = np.zeros(len(slots.key), bool)
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (block[1:] - block[:-1] > QUIET)
    group = np.cumsum(new) - 1
    begin = new.nonzero()[0]
    end = np.append(begin[1:], len(row))[: len(begin)] - 1
    old = block[begin] < 0
    final = np.ones(len(begin), bool)
    final[:-1] = row[begin[1:]] != row[begin[:-1]]
    keeps[row[begin[final & old]]] = True

    # Work begins with the first candidate, or goes on.
    first = np.full(len(begin), count)
    at = (candidate & (block >= -1)).nonzero()[0]
    np.minimum.at(first, group[at], block[at] + 1)
    busy = (slots.key >= 0) | (slots.pending >= 0)
    first[old & busy[row[begin]]] = 0
    some = (first < count).nonzero()[0]
    first, end = first[some], block[end[some]] + QUIET
    last = np.minimum(end, count - 1)
    length = last + 1 - first
    before = np.cumsum(length) - length
    # The blocks of all stretches, end to end.
    total = int(length.sum())
    seen = nothing(total)
    key = np.full(total, -1, np.int8)
    number = np.full(len(begin), -1)
    number[some] = np.arange(len(some))
    its = number[group]
    of = (its >= 0).nonzero()[0]
    its = its[of]
    place, until = before[its] + block[of] - first[its], block[of] >= first[its]
    seen.put(place[until], blocks.seen.at(of[until]))
    next_to = candidate[of] & (block[of] >= first[its] - 1)
    key[place[next_to] + 1] = blocks.seen.key[of[next_to]]
    stretches = _Stretches(row[begin[some]], first, last, old[some], end < count, before, seen, key)
    return stretches, keeps


def _run(machine: Machine, states: Slots, blocks: Blocks, cut: _Stretches) -> None:
    """All stretches side by side, each with its next block in which something happens."""
    sound = _Sound(blocks, SPAN)
    first = blocks.number[cut.row] + cut.first
    final = cut.before + cut.last - cut.first

    def heard(slot: Indices, number: Numbers) -> Floats:
        row = cut.row[slot]
        return sound.since(row, WINDOW * (number - blocks.number[row] - _BEFORE))

    at, here = _next(states, cut, final, np.arange(len(cut.row)), cut.before)
    while len(at):
        forced = cut.ends[at] & (here == final[at])
        number = first[at] + here - cut.before[at]
        machine.step(states, Step(at, number, cut.seen.at(here), cut.candidate[here], forced, heard))
        at, here = _next(states, cut, final, at, here + 1)


def _next(
    states: Slots, cut: _Stretches, final: Indices, at: Indices, here: Indices
) -> tuple[Indices, Indices]:
    """The stretches in which something will happen yet, and where next, from some places on."""
    found: list[tuple[Indices, Indices]] = []
    while len(at):
        left = here <= final[at]
        at, here = at[left], here[left]
        places = np.minimum(here[:, None] + _AHEAD, final[at][:, None])
        may = happens(states, at[:, None], cut.seen.at(places), cut.candidate[places])
        ahead = may.argmax(axis=1)
        some = may[np.arange(len(at)), ahead]
        found.append((at[some], np.minimum(here + ahead, final[at])[some]))
        at, here = at[~some], here[~some] + len(_AHEAD)
    if not found:
        return at, here
    at, here = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return at, here


class _Sound:
    """Parts of the lines' sound, so many samples each."""

    def __init__(self, blocks: Blocks, length: int) -> None:
        lines = len(blocks.sound)
        early = cleaned(blocks.sound[:, :_BEFORE])
        begin = np.concatenate([blocks.past.reshape(lines, -1), early.reshape(lines, -1)], axis=1)
        self._begin = np.lib.stride_tricks.sliding_window_view(begin, length, axis=1)
        samples = blocks.sound.reshape(lines, -1)
        self._rest = (
            np.lib.stride_tricks.sliding_window_view(samples, length, axis=1)
            if samples.shape[1] >= length
            else None
        )

    def since(self, row: Indices, first: Indices) -> Floats:
        """(j, samples), float32, from some samples of some rows on; those before the first block are < 0."""
        begin = first + _BEFORE * WINDOW
        early = begin < self._begin.shape[1]
        if early.all():
            sound: Floats = self._begin[row, begin]
            return sound
        assert self._rest is not None
        if not early.any():
            return cleaned(self._rest[row, first])
        sound = np.empty((len(row), self._begin.shape[2]), np.float32)
        sound[early] = self._begin[row[early], begin[early]]
        sound[~early] = cleaned(self._rest[row[~early], first[~early]])
        return sound
