"""The streaming receiver: many lines, any chunks, the same key presses.

Samples of a line are cut into blocks of 20 ms from its own start, whatever chunks they come in, and
everything is decided at the ends of blocks: so the events depend on the samples alone. All blocks that a
call of ``feed`` completes, on all lines, are screened together (screen.py); of those that pass, candidates
(candidate.py) are looked at more closely (machine.py). A telephone line is fed a block at a time, a recording
as many as there are: the more at once, the less each costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.candidate import AROUND, is_an_edge, is_promising, is_sure
from dtmf.errors import DtmfError
from dtmf.goertzel import RATE, WINDOW, Floats, amplitude
from dtmf.judgement import Judge
from dtmf.keypad import KEYS_16, check_keys
from dtmf.keypress import KeyDown, KeyUp, Tone
from dtmf.look import BLOCKS, SPAN
from dtmf.machine import QUIET, Bools, Indices, Machine, Numbers, Slots, Step
from dtmf.presses import Presses
from dtmf.refusal import CONTEXT, Refusals, Refused
from dtmf.screen import Seen, cleaned, joined, nothing, screen
from dtmf.standards import DEFAULT, Profile
from dtmf.stretch import Blocks, take

__all__ = ["Receiver", "as_samples"]

Samples = npt.NDArray[Any]  # int16 or float32

_LAST = np.arange(1 - BLOCKS, 1)  # blocks, up to the newest
_SILENT = amplitude(-66)  # no tone, and no near miss, can be in sound that stays below it
_MOST = 1 << 18  # blocks of all lines in one go: 87 minutes of one; it bounds the memory


def as_samples(samples: npt.ArrayLike) -> Samples:
    """Samples as int16 or float32, whichever they are nearer to. Raises DtmfError for other types."""
    array: npt.NDArray[Any] = np.asarray(samples)
    if array.dtype in (np.int16, np.float32):
        return array
    if array.size == 0:
        return array.astype(np.float32)
    if array.dtype.kind != "f":
        raise DtmfError(f"samples of type {array.dtype}; give int16, or floats in [-1, 1]")
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


class Receiver:
    """Listens to ``lines`` telephone lines at 8 kHz for the keys in ``keys``, by a profile's limits.

    A KeyDown comes with the first block of 20 ms that ends 31 ms or more after the onset (so at most
    51 ms after it; 40 and 60 where something else sounds), a KeyUp some 25 to 45 ms after the end. Within
    a press holes of less than 23.5 ms are bridged; a longer pause makes two presses of it. With
    ``refusals`` it also watches for tones that it does not take for keys; see :meth:`refused`. Raises
    DtmfError for a number of lines or for keys that make no sense.
    """

    def __init__(
        self,
        lines: int = 1,
        *,
        keys: str = KEYS_16,
        profile: Profile = DEFAULT,
        refusals: bool = False,
    ) -> None:
        if lines < 1:
            raise DtmfError(f"a receiver for {lines} lines; it takes at least one")
        listened = check_keys(keys)
        self._deaf_to = np.array([key not in listened for key in range(16)])
        self._all = np.arange(lines)
        self._machine = Machine(Judge(profile.decision))
        self._presses = Presses()
        self._refusals = Refusals(lines, listened, profile.decision) if refusals else None
        # Samples that do not fill a block yet, and the newest blocks: block b of a line lies at b % BLOCKS.
        # Both are int16 until floats are fed.
        self._pending: Samples = np.zeros((lines, WINDOW), np.int16)
        self._past: Samples = np.zeros((BLOCKS, lines, WINDOW), np.int16)
        self._filled = np.zeros(lines, np.intp)
        self._number = np.zeros(lines, np.int64)  # of the next block
        # What the screen saw in the newest two blocks, older first.
        self._seen = nothing(lines), nothing(lines)
        self._slots = Slots(lines)
        self._passed: npt.NDArray[np.bool_] | None = None  # of the blocks just taken; None of silence

    def feed(
        self, samples: npt.ArrayLike, lines: int | Sequence[int] | npt.NDArray[Any] | None = None
    ) -> list[KeyDown | KeyUp]:
        """Take the next samples of some lines; what became certain by them, each line's in the order of time.

        samples: int16, or floats in [-1, 1]; (n,) for one line, (m, n) for m, any n. lines: the index, or
        the m indices, of the lines fed; default all. Lines that are not fed stand still. Raises DtmfError
        for shapes that do not fit, indices out of range or given twice.
        """
        array = as_samples(samples)
        if array.ndim == 1:
            array = array[None, :]
        chosen = self._all if lines is None else self._checked(lines)
        if array.ndim != 2 or len(array) != len(chosen):
            raise DtmfError(
                f"samples of shape {np.shape(samples)} for {len(chosen)} lines; give (lines, n) or (n,)"
            )
        if not len(chosen):
            return []
        filled = self._filled[chosen]
        if len(chosen) == 1 or (filled == filled[0]).all():
            return self._append(chosen, array, int(filled[0]))
        events: list[KeyDown | KeyUp] = []
        for fill in np.unique(filled).tolist():
            rows = (filled == fill).nonzero()[0]
            events += self._append(chosen[rows], array[rows], fill)
        return events

    def refused(self) -> list[Refused]:
        """The near misses found since this was asked last, some 50 ms after each was over: tones too
        short, too weak, with too much twist, off their frequencies, not pure, a line's echo. At most five
        per line and second; none without ``refusals``.
        """
        return [] if self._refusals is None else self._refusals.found()

    def flush(self, line: int) -> list[KeyDown | KeyUp]:
        """The recording on this line ended: the last events of it; the line is reset."""
        self._checked(line)
        end = (int(self._number[line]) * WINDOW + int(self._filled[line])) / RATE
        # Silence follows: enough to complete the last block, and to be sure of a tone that ended in it.
        events = self.feed(np.zeros((QUIET + 1) * WINDOW, np.int16), [line])
        self.reset(line)
        return [_cut(event, end) for event in events]

    def reset(self, line: int) -> None:
        """A new call on this line: its time starts at 0 again, and what was heard is forgotten."""
        at = self._checked(line)
        self._filled[at] = 0
        self._number[at] = 0
        self._past[:, at] = 0
        for seen in self._seen:
            seen.key[at] = -1
        self._slots.take(Slots(1), at, np.zeros(1, np.intp))
        self._presses.reset(line)
        if self._refusals is not None:
            self._refusals.reset(line)

    def _checked(self, lines: int | Sequence[int] | npt.NDArray[Any]) -> Indices:
        """Indices of lines as an array."""
        chosen = np.atleast_1d(np.asarray(lines))
        if chosen.size == 0:
            return chosen.astype(np.intp)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise DtmfError(f"lines {lines!r}; give indices")
        for index in (int(chosen.min()), int(chosen.max())):
            if not 0 <= index < len(self._all):
                raise DtmfError(f"line {index} of a receiver whose lines are 0 to {len(self._all) - 1}")
        if len(chosen) > 1 and np.bincount(chosen).max() > 1:
            raise DtmfError("a line is fed twice in one call")
        return chosen.astype(np.intp, copy=False)

    def _append(self, lines: Indices, samples: Samples, filled: int) -> list[KeyDown | KeyUp]:
        """Add samples (m, n) to lines that all have ``filled`` samples pending."""
        if samples.dtype == np.float32 and self._pending.dtype == np.int16:
            self._pending, self._past = cleaned(self._pending), cleaned(self._past)
        events: list[KeyDown | KeyUp] = []
        if filled:
            head = samples[:, : WINDOW - filled]
            self._pending[lines, filled : filled + head.shape[1]] = self._kept(head)
            samples = samples[:, head.shape[1] :]
            filled += head.shape[1]
            if filled == WINDOW:
                filled = 0
                events += self._take(lines, self._pending[lines][:, None])
        count, rest = divmod(samples.shape[1], WINDOW)
        most = max(_MOST // len(lines), 1)
        for first in range(0, count, most):
            part = samples[:, first * WINDOW : min(first + most, count) * WINDOW]
            events += self._take(lines, part.reshape(len(lines), -1, WINDOW))
        if rest:
            self._pending[lines, :rest] = self._kept(samples[:, count * WINDOW :])
            filled = rest
        self._filled[lines] = filled
        return events

    def _take(self, lines: Indices, blocks: Samples) -> list[KeyDown | KeyUp]:
        """Take whole blocks (m, count, WINDOW) of lines."""
        number, count = self._number[lines], blocks.shape[1]
        watched = self._refusals is not None
        before = self._before(lines, number, CONTEXT) if watched else None
        slots = self._tick(lines, blocks[:, 0], number) if count == 1 else self._many(lines, blocks, number)
        self._number[lines] = number + count
        changes, self._machine.changes = self._machine.changes, []
        if not changes and not watched:
            return []
        events = self._presses.take([change._replace(slot=slots[change.slot]) for change in changes])
        if self._refusals is not None and before is not None:
            echoes, self._presses.echoes = self._presses.echoes, []
            if self._passed is not None or events or echoes or self._refusals.busy(lines):
                self._refusals.take(lines, before, cleaned(blocks), self._passed, number, events, echoes)
        return events

    def _tick(self, lines: Indices, block: Samples, number: Numbers) -> Indices:
        """One block of each line: what the machine's changes name as slots."""
        block, slots = self._kept(block), self._slots
        every = lines is self._all
        if every and (number == number[0]).all():
            self._past[number[0] % BLOCKS] = block
        else:
            self._past[number % BLOCKS, lines] = block
        index = slice(None) if every else lines
        older, newer = self._seen
        earlier, before = older.at(index), newer.at(index)
        at = ((before.key >= 0) | (slots.key[index] >= 0) | (slots.pending[index] >= 0)).nonzero()[0]
        seen, self._passed = nothing(len(lines)), None
        silent = _SILENT if block.dtype == np.float32 else _SILENT * 32768
        if len(at) or block.max() >= silent or block.min() <= -silent:
            seen.put(*self._screened(block))
        quiet = np.where(
            seen.key >= 0, np.int8(0), np.minimum(slots.quiet[index] + np.int8(1), np.int8(QUIET))
        )
        forgotten = (quiet == QUIET) & (slots.quiet[index] < QUIET)
        slots.quiet[index] = quiet
        if len(at):
            its, before, now = lines[at], before.at(at), seen.at(at)
            is_one = self._candidates(its, number[at], earlier.at(at), before, now)
            candidate = np.where(is_one, before.key, np.int8(-1))
            step = Step(its, number[at], now, candidate, forgotten[at], self._sound)
            self._machine.step(slots, step)
        slots.forget(lines[forgotten])
        if every:
            self._seen = newer, seen
        else:
            older.put(lines, newer.at(lines))
            newer.put(lines, seen)
        return self._all

    def _many(self, lines: Indices, blocks: Samples, number: Numbers) -> Indices:
        """Several blocks of each line: the lines that the machine's changes name as slots."""
        count, slots = blocks.shape[1], Slots(len(lines))
        slots.take(self._slots, self._all[: len(lines)], lines)
        place, seen = self._screened(blocks.reshape(-1, WINDOW))
        row, block = np.divmod(place, count)
        # With those of the two blocks before; where the one before these was the last that passed, with that.
        known = [(newest.key[lines] >= 0).nonzero()[0] for newest in self._seen]
        olds = [newest.at(lines[at]) for newest, at in zip(self._seen, known, strict=True)]
        amid = (slots.quiet == QUIET - 1).nonzero()[0]
        row = np.concatenate([amid, *known, row])
        befores = [np.full(len(at), -3 + i) for i, at in enumerate((amid, *known))]
        block = np.concatenate([*befores, block])
        seen = joined([nothing(len(amid)), *olds, seen])
        if len(lines) > 1:
            order = np.argsort(row * (count + 3) + block, kind="stable")
            row, block, seen = row[order], block[order], seen.at(order)
        past = self._before(lines, number, BLOCKS - 1)
        whole = Blocks(blocks, past, number, row, block, seen)
        rows = take(self._machine, slots, whole)
        self._slots.take(slots, lines, self._all[: len(lines)])
        for newest, back in zip(self._seen, (2, 1), strict=True):
            newest.key[lines] = -1
            at = (block == count - back).nonzero()[0]
            newest.put(lines[row[at]], seen.at(at))
        for back in range(min(BLOCKS, count), 0, -1):
            self._past[(number + count - back) % BLOCKS, lines] = self._kept(blocks[:, count - back])
        return lines[rows]

    def _candidates(
        self, lines: Indices, number: Numbers, earlier: Seen, before: Seen, newest: Seen
    ) -> Bools:
        """Whether the blocks before the newest are candidates; earlier: those before them."""
        passed = before.key >= 0
        candidate = passed & (is_sure(before, earlier) | is_sure(newest, before))
        asked = (passed & ~candidate & ~is_an_edge(before, earlier, newest)).nonzero()[0]
        if len(asked):
            # From the middle of the block before that one to the middle of the newest.
            first = (BLOCKS - 2) * WINDOW - WINDOW // 2
            around = self._sound(lines[asked], number[asked])[:, first : first + AROUND]
            candidate[asked] = is_promising(around, before.key[asked], self._machine.judge.offset)
        return candidate

    def _screened(self, blocks: Samples) -> tuple[Indices, Seen]:
        """The blocks (n, WINDOW) that pass, and with what: with none of the keys that nobody listens for."""
        at, seen = screen(blocks)
        listened = (~self._deaf_to[seen.key]).nonzero()[0]
        at, seen = at[listened], seen.at(listened)
        if self._refusals is not None:
            self._passed = np.zeros(len(blocks), bool)
            self._passed[at] = True
        return at, seen

    def _kept(self, samples: Samples) -> Samples:
        """Samples as they are kept."""
        return samples if self._past.dtype == np.int16 else cleaned(samples)

    def _before(self, lines: Indices, number: Numbers, count: int) -> Floats:
        """The last blocks before some numbers: (m, count, WINDOW)."""
        at = number[:, None] + np.arange(-count, 0)
        return cleaned(self._past[at % BLOCKS, lines[:, None]])

    def _sound(self, lines: Indices, number: Numbers) -> Floats:
        """The blocks of lines that end with their newest: (m, SPAN)."""
        return cleaned(self._past[(number[:, None] + _LAST) % BLOCKS, lines[:, None]]).reshape(-1, SPAN)


def _cut(event: KeyDown | KeyUp, end_s: float) -> KeyDown | KeyUp:
    """No tone lasts beyond the end of its recording."""
    if isinstance(event, KeyDown) or event.tone.end_s <= end_s:
        return event
    tone = event.tone
    last = max(end_s, tone.start_s + 1 / RATE)
    whole = Tone(tone.digit, tone.start_s, last, tone.level_dbm0, tone.twist_db)
    return KeyUp(event.line, whole, event.known_s)
