"""From blocks to key presses: one state machine for a telephone line and for an hour of a recording.

Work is cut into stretches of blocks around what passed the screen: the lines in a tick, or the four thousand
digits of an hour. All of them are stepped side by side, by the same rules and so with the same result; blocks
in which nothing happens may be left out.

    state       block                                      next
    ---------   ----------------------------------------   -------------------------------------------
    idle        the one before is a candidate              looked at: is it a key?  (judgement.py)
    looked at   the next                                   down if taken; looked at while it may become one
    down        steady: its tones as loud as before        down
                fades, or another                          open: it may be over
                louder                                     looked at: has it begun anew?
    open        the next                                   looked at: is it over?
    any         the third in a row that did not pass       idle; all is forgotten

The last row bounds what a stretch depends on: it is why an hour can be cut at its pauses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import FULL_SCALE_DBM0, HOP, WINDOW, Floats
from dtmf.judgement import ACCEPT, WAIT, Judge
from dtmf.look import BLOCKS, FRAME_START, FRAMES, SPAN, Keys, window_loss, windows, windows_nulled
from dtmf.piece import fall, several
from dtmf.screen import Seen

__all__ = ["AT_ONCE", "DOWN", "LOUDER", "QUIET", "UP", "Change", "Machine", "Slots", "Step", "happens"]

QUIET = 3  # blocks that cannot hold a key; then all is forgotten
UP, DOWN, LOUDER = 0, 1, 2

Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.int64]
Times = npt.NDArray[np.float64]

AT_ONCE = 512  # looks: what they need stays in the cache
_STEADY = np.float32(0.8), np.float32(1.6)  # power relative to the height: no edge in the block
_LOUDER = 2.8  # amplitude, 9 dB
_LONG_AGO = -1e9


class Slots:
    """The states of n stretches.

    key: the one that is down, or -1; start: where it began; low, high: its tones' amplitudes; open: it may
    have ended, the next block tells; deaf: hum or a dial tone is louder. pending: the key that is looked at,
    or -1; since: where that began. after: where the last tone ended. quiet: blocks that did not pass.
    """

    def __init__(self, n: int) -> None:
        self.key = np.full(n, -1, np.int8)
        self.start = np.zeros(n)
        self.low = np.ones(n, np.float32)
        self.high = np.ones(n, np.float32)
        self.open = np.zeros(n, bool)
        self.deaf = np.zeros(n, bool)
        self.pending = np.full(n, -1, np.int8)
        self.since = np.full(n, np.inf)
        self.after = np.full(n, _LONG_AGO)
        self.quiet = np.full(n, QUIET, np.int8)

    def take(self, other: Slots, here: Indices, there: Indices) -> None:
        """Copy states."""
        for name, values in vars(self).items():
            values[here] = getattr(other, name)[there]

    def forget(self, at: Indices) -> None:
        """Idle; nothing is down there."""
        self.pending[at] = -1
        self.since[at] = np.inf
        self.after[at] = _LONG_AGO


@dataclass(frozen=True)
class Step:
    """One block of k stretches, and what was before it.

    at: (k,) the stretches' slots; number: (k,) of the block in its line; seen: (k,) what the screen saw in
    it; candidate: (k,) the key that the one before may hold, or -1; forced: (k,) whether all is forgotten.
    sound: gives the BLOCKS blocks (j, SPAN) that end with some numbers, of some slots.
    """

    at: Indices
    number: Numbers
    seen: Seen
    candidate: Keys
    forced: Bools
    sound: Callable[[Indices, Numbers], Floats]


def happens(slots: Slots, at: Indices, seen: Seen, candidate: Keys) -> Bools:
    """Whether a block tells anything new of a stretch; of any shape. Where not, it need not be taken."""
    key, pending = slots.key[at], slots.pending[at]
    anew: Bools = (candidate >= 0) & (candidate != key)
    return anew | (pending >= 0) | ((key >= 0) & ~_goes_on(slots, at, seen))


def _goes_on(slots: Slots, at: Indices, seen: Seen) -> Bools:
    """Whether nothing has ended or begun in a block of a key that is down."""
    steady: Bools = (seen.key == slots.key[at]) & ~slots.open[at]
    for square, height in ((seen.low, slots.low), (seen.high, slots.high)):
        power = np.square(height[at])
        steady &= (square > _STEADY[0] * power) & (square < _STEADY[1] * power)
    return steady


def _grows(slots: Slots, at: Indices, seen: Seen) -> Bools:
    """Whether a key that is down has become louder."""
    louder: Bools = seen.key == slots.key[at]
    louder &= (seen.low > _STEADY[1] * slots.low[at] ** 2) & (seen.high > _STEADY[1] * slots.high[at] ** 2)
    return louder


class Change(NamedTuple):
    """Something certain about n slots: (n,) each; times in samples of the line, levels in dB.

    kind: UP, DOWN, or LOUDER, the key that is down once more and on top of itself. begun: the onset was
    seen. Only kind, slot, number and time mean anything of an UP.
    """

    slot: Indices
    number: Numbers
    kind: Keys
    key: Keys
    time: Times
    level: Floats
    twist: Floats
    begun: Bools


class Machine:
    """Takes blocks; what becomes certain by them is in ``changes``, in order for each slot."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.changes: list[Change] = []

    def step(self, slots: Slots, step: Step) -> None:
        """Take one block of some slots."""
        at, forced = step.at, step.forced
        i = ((slots.key[at] >= 0) & ~_goes_on(slots, at, step.seen)).nonzero()[0]
        # What fades may have ended, but for how long, only the next block tells.
        fades = ~(slots.open[at[i]] | forced[i] | _grows(slots, at[i], step.seen.at(i)))
        slots.open[at[i[fades]]] = True
        i = i[~fades]
        for part in _parts(i):
            self._follow(slots, at[part], step.number[part], forced[part], step.sound)
        pending = slots.pending[at]
        i = (((step.candidate >= 0) | (pending >= 0)) & ~forced).nonzero()[0]
        if len(i):
            key = np.where(step.candidate[i] >= 0, step.candidate[i], pending[i])
            new = (key >= 0) & (key != slots.key[at[i]])
            # The rest of a tone that has ended is no other one yet.
            new &= (step.number[i] + 1) * WINDOW - slots.after[at[i]] >= self.judge.shortest
            i, key = i[new], key[new]
            for part in _parts(np.arange(len(i))):
                self._look(slots, at[i[part]], step.number[i[part]], key[part], step.sound)
        slots.forget(at[forced])

    def _look(
        self, slots: Slots, slot: Indices, number: Numbers, key: Keys, sound: Callable[..., Floats]
    ) -> None:
        """Is it a key that has begun?"""
        origin = (number - (BLOCKS - 1)) * float(WINDOW)
        after = (slots.after[slot] - origin).astype(np.float32)
        said = self.judge.judge(sound(slot, number), key, after)
        was_pending = slots.pending[slot]
        found, measured = said.found, said.measured
        carried = ~found.begun & (was_pending == key) & (slots.since[slot] < np.inf)
        start = np.where(carried, slots.since[slot], origin + found.start)
        slots.pending[slot] = np.where(said.verdict == WAIT, key, -1)
        slots.since[slot] = start
        taken = (said.verdict == ACCEPT).nonzero()[0]
        if not len(taken):
            return
        its = slot[taken]
        replaced = taken[slots.key[its] >= 0]
        self._up(slot[replaced], number[replaced], start[replaced])
        low, high = measured.squares[:, taken]
        self._down(
            DOWN, its, number[taken], key[taken], start[taken], low, high, (found.begun | carried)[taken]
        )
        slots.key[its] = key[taken]
        slots.start[its] = start[taken]
        # As the windows see it, which is less for a tone off its frequency.
        as_seen = measured.squares[:, taken] * window_loss(measured.off[:, taken])
        slots.low[its], slots.high[its] = np.sqrt(as_seen)
        slots.deaf[its] = said.deaf[taken]
        slots.open[its] = found.over[taken]
        ended = taken[found.silent[taken] >= self.judge.hole]
        if len(ended):
            self._end(
                slots, slot[ended], number[ended], np.asarray(origin[ended] + found.end[ended], np.float64)
            )

    def _follow(
        self, slots: Slots, slot: Indices, number: Numbers, forced: Bools, sound: Callable[..., Floats]
    ) -> None:
        """Is the key that is down still down?"""
        origin = (number - (BLOCKS - 1)) * float(WINDOW)
        key = slots.key[slot]
        heard = sound(slot, number)
        seen = windows(heard, key)
        squares = seen.squares
        deaf = slots.deaf[slot].nonzero()[0]
        if len(deaf):
            squares[:, deaf] = windows_nulled(heard[deaf], key[deaf]).squares
        low, high = np.sqrt(squares)
        heights = np.minimum(low / slots.low[slot][:, None], high / slots.high[slot][:, None])
        # Windows that began before the tone show what was before it.
        heights[(slots.start[slot] - origin - WINDOW / 2)[:, None] > FRAME_START] = 1
        end, over = _end_of(heights, self.judge.hole)
        over |= forced
        slots.open[slot] = heights[:, -1] < 0.5
        ended = over.nonzero()[0]
        if len(ended):
            time = np.minimum(origin[ended] + end[ended], (number[ended] + 1) * WINDOW)
            self._end(slots, slot[ended], number[ended], time)
        rose = (~over & (heights[:, -3:].min(axis=1) > _LOUDER)).nonzero()[0]
        if len(rose):
            # The same key on top of its own late echo.
            its, full = slot[rose], heights[rose]
            time = origin[rose] + (full > full[:, -1:] / 2).argmax(axis=1) * HOP + WINDOW / 2
            low_now, high_now = low[rose, -1], high[rose, -1]
            begun = np.ones(len(rose), bool)
            self._down(LOUDER, its, number[rose], key[rose], time, low_now**2, high_now**2, begun)
            slots.low[its], slots.high[its], slots.start[its] = low_now, high_now, time
        still = (~over & (heights[:, -1] >= 0.5)).nonzero()[0]
        if len(still):  # levels may drift; edges are steeper than what this follows
            slots.low[slot[still]] += (low[still, -1] - slots.low[slot[still]]) / 4
            slots.high[slot[still]] += (high[still, -1] - slots.high[slot[still]]) / 4

    def _down(
        self,
        kind: int,
        slot: Indices,
        number: Numbers,
        key: Keys,
        time: Times,
        low: Floats,
        high: Floats,
        begun: Bools,
    ) -> None:
        level = 10 * np.log10((low + high) / 2) + np.float32(FULL_SCALE_DBM0)
        twist = 10 * np.log10(high / low)
        kinds = np.full(len(slot), kind, np.int8)
        self.changes.append(Change(slot, number, kinds, key, time, level, twist, begun))

    def _up(self, slot: Indices, number: Numbers, time: Times) -> None:
        none, nothing = np.zeros(len(slot), np.int8), np.zeros(len(slot), np.float32)
        self.changes.append(Change(slot, number, none, none, time, nothing, nothing, none.astype(bool)))

    def _end(self, slots: Slots, slot: Indices, number: Numbers, time: Times) -> None:
        self._up(slot, number, time)
        slots.key[slot] = -1
        slots.after[slot] = time


def _parts(at: Indices) -> list[Indices]:
    return [at[first : first + AT_ONCE] for first in range(0, len(at), AT_ONCE)]


def _end_of(heights: Floats, hole: float) -> tuple[Floats, Bools]:
    """Where tones ended, in samples since the looks' first, and whether that is certain; (j,) each."""
    on = heights >= 0.5
    look = np.arange(len(heights))
    last = FRAMES - 1 - on[:, ::-1].argmax(axis=1)
    end, fell = fall(heights, look, last)
    gone = ~on.any(axis=1)
    end[gone] = 0
    silent = SPAN - WINDOW * np.minimum(heights[:, -1], np.float32(0.5)) - end
    over = (fell & (silent >= hole)) | gone
    for j in several(on, on.argmax(axis=1), last):
        pause = _first_pause(heights[j].tolist(), hole)
        if pause is not None:
            end[j], over[j] = pause, True
    return end, over


def _first_pause(heights: list[float], hole: float) -> float | None:
    """Where the first silence begins that is no hole, and is over again."""
    fell: float | None = None
    for f in range(1, FRAMES):
        before, now = heights[f - 1], heights[f]
        middle = f * HOP + WINDOW / 2
        if now < 0.5 <= before:
            fell = middle - HOP * (0.5 - now) / (before - now)
        elif before < 0.5 <= now and fell is not None:
            if middle - HOP * (now - 0.5) / (now - before) - fell >= hole:
                return fell
            fell = None
    return None
