"""The streaming receiver: many lines, any chunks, the same key presses.

Samples of a line are cut into blocks of 20 ms from its own start, whatever chunks they come in, and
everything is decided at the ends of blocks: so the events depend on the samples alone. All blocks that a
call of ``feed`` completes, on all lines, are screened in one matrix product; only lines on which
something like a key is heard cost Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.goertzel import HOP, PER_BLOCK, USUAL, WINDOW, measure, screen
from dtmf.keypad import KEYS_16, check_keys
from dtmf.keypress import Frame, KeyDown, KeyUp, LineState
from dtmf.refusal import WIDE, Refusals, Refused

__all__ = ["Receiver", "as_float32"]

Floats = npt.NDArray[np.float32]

# A tone that the screen saw began in that block or the one before it, and an edge of it may fill up to
# two more without being seen there.
_BEFORE, _AFTER = 1, 2
_KEPT = 2  # blocks of the past: the windows of the block before reach into the one before that
_SPAN = np.arange(WINDOW) + HOP * np.arange(1, PER_BLOCK + 1)[:, None]  # (PER_BLOCK, WINDOW)


def as_float32(samples: npt.ArrayLike) -> Floats:
    """Samples as float32 in [-1, 1]: int16 is scaled, floats are clipped, NaN is silence.

    Raises DtmfError for other types.
    """
    array: npt.NDArray[Any] = np.asarray(samples)
    if array.dtype == np.int16:
        scaled: Floats = np.multiply(array, np.float32(1 / 32768), dtype=np.float32)
        return scaled
    if array.size == 0:
        return np.zeros(array.shape, np.float32)
    if array.dtype.kind != "f":
        raise DtmfError(f"samples of type {array.dtype}; give int16, or floats in [-1, 1]")
    clipped: Floats = np.clip(array, -1, 1).astype(np.float32)
    if np.isnan(clipped.sum()):
        clipped[np.isnan(clipped)] = 0
    return clipped


class Receiver:
    """Listens to ``lines`` telephone lines at 8 kHz for the keys in ``keys``.

    A KeyDown comes with the first block of 20 ms that ends 31 ms or more after the onset (so at most
    51 ms after it), a KeyUp with the first that ends 25 to 30 ms after the end. Within a press holes of
    less than 25 ms are bridged; a longer pause makes two presses of it. With ``refusals`` it also watches
    for tones that it does not take for keys; see :meth:`refused`. Raises DtmfError for a number of lines or
    for keys that make no sense.
    """

    def __init__(self, lines: int = 1, *, keys: str = KEYS_16, refusals: bool = False) -> None:
        if lines < 1:
            raise DtmfError(f"a receiver for {lines} lines; it takes at least one")
        self._keys = check_keys(keys)
        self._lines = lines
        self._all = np.arange(lines)
        self._pending = np.zeros((lines, WINDOW), np.float32)  # samples that do not fill a block yet
        self._filled = np.zeros(lines, np.intp)
        self._blocks = np.zeros(lines, np.int64)  # blocks completed so far
        self._past = np.zeros((_KEPT, lines, WINDOW), np.float32)  # block b of a line lies at b % _KEPT
        self._seen = np.full(lines, -1, np.int64)  # the block until which a line's windows were taken
        self._awake = np.zeros(lines, np.int64)  # the block until which its windows must be taken
        self._states = [LineState(line, self._keys) for line in range(lines)]
        self._refusals = Refusals(lines, self._keys) if refusals else None

    def feed(
        self, samples: npt.ArrayLike, lines: int | Sequence[int] | npt.NDArray[Any] | None = None
    ) -> list[KeyDown | KeyUp]:
        """Take the next samples of some lines; what became certain by them, in the order of time.

        samples: int16, or floats in [-1, 1]; (n,) for one line, (m, n) for m, any n. lines: the index, or
        the m indices, of the lines fed; default all. Lines that are not fed stand still. Raises DtmfError
        for shapes that do not fit, indices out of range or given twice.
        """
        array = as_float32(samples)
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
            found = self._append(chosen, array, int(filled[0]))
        else:
            found = []
            for fill in np.unique(filled):
                rows = filled == fill
                found += self._append(chosen[rows], array[rows], int(fill))
        found.sort(key=lambda pair: pair[0])
        return [event for _, event in found]

    def refused(self) -> list[Refused]:
        """The near misses found since this was asked last, some 50 ms after each was over: tones too
        short, too weak, with too much twist, off their frequencies. At most five per line and second;
        none without ``refusals``.
        """
        return [] if self._refusals is None else self._refusals.found()

    def flush(self, line: int) -> list[KeyDown | KeyUp]:
        """The recording on this line ended: the last events of it; the line is reset."""
        self._checked(line)
        end = int(self._blocks[line]) * WINDOW + int(self._filled[line])
        self._states[line].finish(end)
        # Silence follows: enough to complete the last block, and to be sure of a tone that ended in it.
        events = self.feed(np.zeros((_AFTER + 2) * WINDOW, np.float32), [line])
        self.reset(line)
        return events

    def reset(self, line: int) -> None:
        """A new call on this line: its time starts at 0 again, and what was heard is forgotten."""
        self._checked(line)
        self._filled[line] = 0
        self._blocks[line] = 0
        self._past[:, line] = 0
        self._seen[line] = -1
        self._awake[line] = 0
        self._states[line] = LineState(line, self._keys)
        if self._refusals is not None:
            self._refusals.reset(line)

    def _checked(self, lines: int | Sequence[int] | npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Indices of lines as an array."""
        chosen = np.atleast_1d(np.asarray(lines))
        if chosen.size == 0:
            return chosen.astype(np.intp)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise DtmfError(f"lines {lines!r}; give indices")
        for index in (int(chosen.min()), int(chosen.max())):
            if not 0 <= index < self._lines:
                raise DtmfError(f"line {index} of a receiver whose lines are 0 to {self._lines - 1}")
        if len(chosen) > 1 and np.bincount(chosen).max() > 1:
            raise DtmfError("a line is fed twice in one call")
        return chosen.astype(np.intp, copy=False)

    def _append(
        self, lines: npt.NDArray[np.intp], samples: Floats, filled: int
    ) -> list[tuple[int, KeyDown | KeyUp]]:
        """Add samples (m, n) to lines that all have ``filled`` samples pending."""
        if filled:
            samples = np.concatenate([self._pending[lines, :filled], samples], axis=1)
        count, rest = divmod(samples.shape[1], WINDOW)
        if rest:
            self._pending[lines, :rest] = samples[:, count * WINDOW :]
        self._filled[lines] = rest
        if not count:
            return []
        blocks = samples[:, : count * WINDOW].reshape(len(lines), count, WINDOW)
        return self._advance(lines, blocks)

    def _advance(self, lines: npt.NDArray[np.intp], blocks: Floats) -> list[tuple[int, KeyDown | KeyUp]]:
        """Take whole blocks (m, count, WINDOW); events, each with the number of the block that brought it."""
        count = blocks.shape[1]
        limits = (USUAL,) if self._refusals is None else (USUAL, WIDE)
        passed, *wide = (p.reshape(-1, count) for p in screen(blocks.reshape(-1, WINDOW), *limits))
        done = self._blocks[lines]
        busy = np.flatnonzero(passed.any(axis=1) | (self._awake[lines] > done))
        events: list[tuple[int, KeyDown | KeyUp]] = []
        if len(busy):
            events = self._listen(lines[busy], blocks[busy], passed[busy])
        if self._refusals is not None:
            for _, event in events:
                self._refusals.took(event)
            busy = self._refusals.concerned(lines, wide[0])
            if len(busy):
                sound = np.concatenate([self._before(lines[busy], done[busy]), blocks[busy]], axis=1)
                self._refusals.take(lines[busy], sound, wide[0][busy], done[busy])
        for back in range(min(_KEPT, count), 0, -1):
            self._past[(done + count - back) % _KEPT, lines] = blocks[:, count - back]
        self._blocks[lines] = done + count
        return events

    def _before(self, lines: npt.NDArray[np.intp], done: npt.NDArray[np.int64]) -> Floats:
        """The last _KEPT blocks of lines that have had ``done`` of them: (m, _KEPT, WINDOW)."""
        return np.stack([self._past[(done + back) % _KEPT, lines] for back in range(_KEPT)], axis=1)

    def _listen(
        self, lines: npt.NDArray[np.intp], blocks: Floats, passed: npt.NDArray[np.bool_]
    ) -> list[tuple[int, KeyDown | KeyUp]]:
        """Measure lines on which something may be heard, and let them judge it.

        In here block 0 is the first of ``blocks``, and -1 the one before it.
        """
        count = blocks.shape[1]
        done = self._blocks[lines]
        sound = np.concatenate([self._before(lines, done), blocks], axis=1).reshape(len(lines), -1)
        # What will be asked for, as far as one can know beforehand, is measured in one product.
        wanted = np.zeros((len(lines), count + _BEFORE), bool)
        for shift in range(_BEFORE + _AFTER + 1):
            part = wanted[:, shift : shift + count]
            part |= passed[:, : part.shape[1]]
        seen = self._seen[lines] - done
        wanted[:, :_BEFORE] &= seen[:, None] < -1
        wanted[:, _BEFORE] |= self._awake[lines] > done
        rows, columns = np.nonzero(wanted)
        frames = _frames(sound, rows, columns - _BEFORE, done)
        measured = dict(
            zip(zip(rows.tolist(), (columns - _BEFORE).tolist(), strict=True), frames, strict=True)
        )

        events: list[tuple[int, KeyDown | KeyUp]] = []
        for row, line in enumerate(lines.tolist()):
            state, hits = self._states[line], passed[row].tolist()
            taken, awake = int(seen[row]), int(self._awake[line] - done[row])
            for block in range(-_BEFORE, count):
                hit = block >= 0 and hits[block]
                soon = block + _BEFORE < count and hits[block + _BEFORE]
                if block <= taken or not (block < awake or hit or soon):
                    continue
                if (row, block) not in measured:
                    [measured[row, block]] = _frames(sound, np.array([row]), np.array([block]), done)
                events += [(block, event) for event in state.take(measured[row, block])]
                taken = block
                if hit:
                    awake = max(awake, block + 1 + _AFTER)
                if state.down:
                    awake = max(awake, block + 2)
            self._seen[line] = taken + done[row]
            self._awake[line] = awake + done[row]
        return events


def _frames(
    sound: Floats, rows: npt.NDArray[np.intp], blocks: npt.NDArray[np.intp], done: npt.NDArray[np.int64]
) -> list[list[Frame]]:
    """The windows that end in some blocks: per block a list of PER_BLOCK frames.

    sound: (m, samples), starting _KEPT blocks before block 0; rows, blocks: which; done: per row, the
    blocks of the line before block 0.
    """
    starts = rows * sound.shape[1] + (blocks + _KEPT - 1) * WINDOW
    windows = measure(sound.ravel()[starts[:, None, None] + _SPAN])
    ends = ((done[rows] + blocks) * WINDOW)[:, None] + HOP * np.arange(1, PER_BLOCK + 1)
    flat = list(
        map(
            Frame,
            ends.ravel().tolist(),
            windows.keys.tolist(),
            windows.tones.tolist(),
            windows.power.tolist(),
        )
    )
    return [flat[i : i + PER_BLOCK] for i in range(0, len(flat), PER_BLOCK)]
