"""Near misses: two tones that a person would call a key, and that the receiver did not take for one.

A key that is not taken leaves whoever pressed it without a clue. So beside the receiver, and without any
say in what it takes, blocks are screened by wider limits; what passes is kept until it is over, and is
then looked at once, as a whole:

    blocks    . . . # # # . . .      an episode: from the first block that passes until QUIET do not
    judged                    ^      not at all, if the receiver took a key in it

Whatever passes the receiver's own screen passes this one, and after QUIET blocks the receiver has nothing
left to say of an episode: so what is told depends on the sound alone, in whatever chunks it comes.

Speech has to stay silent here, so a near miss is held to what speech is not: nearly pure, steady, and
short ones alone. It is known which limit was missed, and by how much; which key it was is not told.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import FULL_SCALE_DBM0, LOW_BAND, RATE, TONES_HZ, WINDOW, Floats, amplitude
from dtmf.keypad import key_index
from dtmf.keypress import KeyDown, KeyUp
from dtmf.machine import QUIET
from dtmf.standards import Decision

__all__ = ["CONTEXT", "Reason", "Refusals", "Refused"]

Reason = Literal["too_short", "too_weak", "twist", "frequency", "purity", "echo"]

PER_SECOND = 5  # of one line; what there is beyond that says nothing new
CONTEXT = 2  # blocks that are kept from before an episode
KEPT = 14  # blocks of sound that are looked at; how much longer it lasts is known to a block
STEP = 20  # samples, 2.5 ms, between two windows

# What passes; in everything wider than the receiver's screen.
SHARE = 0.40
WIDEST_TWIST_DB = 16.0  # beyond that it is one tone, and what goes with it
FAINTEST_DBM0 = -60.0  # of the weaker tone
WIDEST_OFFSET = 0.043  # half way between two tones of the low group

PURE = 0.85  # the two tones' share of all power; a window that a tone fills by less has less
MAY_BE_PURE = 0.5  # the same, of windows that are looked at
EXACT = 0.008  # off their frequencies at most, where they are not pure
LONG = round(0.06 * RATE)  # where they are not pure, or off their frequencies
STEADINESS = 0.95  # how straight the phase advances
ALONE = 0.3  # of its power, all that sounds right before and after a short one
_ECHO_S = 0.3
_CHUNK = 1024  # blocks screened at once

# A tone 3 % off is where a window of 20 ms is all but deaf to the nominal one: so each is asked for thrice.
_OFFSETS = (1.0, 0.97, 1.03)
_HZ = (TONES_HZ[:, None] * np.array(_OFFSETS)).ravel()


def _waves(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(WINDOW, 2 n): cosines, then sines, around the middle."""
    angle = 2 * np.pi * (np.arange(WINDOW) - (WINDOW - 1) / 2)[:, None] / RATE * hz
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def _matrix(deaf_to: npt.NDArray[np.float64]) -> Floats:
    """(WINDOW, 48): the tones and their neighbours; deaf_to: orthonormal columns."""
    waves = _waves(_HZ)
    deaf = waves - deaf_to @ (deaf_to.T @ waves)
    return np.ascontiguousarray(deaf / np.einsum("st,st->t", waves, deaf), dtype=np.float32)


_NULLED = _matrix(LOW_BAND.astype(np.float64))
_PLAIN = _matrix(np.full((WINDOW, 1), WINDOW**-0.5))


@dataclass(frozen=True)
class Refused:
    """Two tones that were heard and not taken for a key.

    reason: too_short, too_weak, twist, frequency (beyond the receiver's limits), purity (too much else
    sounds), echo (the same key, much weaker, right after it).
    start_s, end_s: seconds since the start of the line, to some 3 ms, of long ones to 20 ms; nothing
    shorter than 20 ms is told apart. level_dbm0, twist_db: as a Tone's.
    """

    line: int
    reason: Reason
    start_s: float
    end_s: float
    level_dbm0: float
    twist_db: float


class _Episode:
    """A stretch of blocks that passed, with the sound around it."""

    def __init__(self, first: int, before: Floats) -> None:
        self.first = first  # number of its first block
        self.last = first  # of the last that passed
        self.sound = [before]  # CONTEXT blocks from before it, then its own


class _Line:
    """What is known of a line: the keys taken, in the order of time, and what is to be told."""

    def __init__(self) -> None:
        self.episode: _Episode | None = None
        self.keys: list[int] = []
        self.starts: list[float] = []
        self.ends: list[float] = []
        self.echoes: deque[Refused] = deque()
        self.told: deque[float] = deque(maxlen=PER_SECOND)  # when near misses began

    def took(self, event: KeyDown | KeyUp) -> None:
        """A key is no near miss."""
        if isinstance(event, KeyDown):
            self.keys.append(key_index(event.digit))
            self.starts.append(event.start_s)
            self.ends.append(math.inf)
        else:
            self.ends[-1] = event.tone.end_s

    def forget(self, before_s: float) -> None:
        """The keys let go before that."""
        old = bisect_left(self.ends, before_s)
        del self.keys[:old], self.starts[:old], self.ends[:old]

    def taken(self, begin: float, end: float) -> bool:
        """Whether a key was down between two times."""
        before = bisect_left(self.starts, end)
        return before > 0 and self.ends[before - 1] > begin

    def just_let_go(self, at: float) -> frozenset[int]:
        """The keys whose echo may sound."""
        return frozenset(self.keys[bisect_left(self.ends, at - _ECHO_S) : bisect_left(self.starts, at)])


class Refusals:
    """Watches lines for near misses of a Decision; ``keys``: the indices of keys that are listened for."""

    def __init__(self, lines: int, keys: frozenset[int], decision: Decision) -> None:
        self._keys = keys
        self._decision = decision
        self._lines: dict[int, _Line] = {}
        self._active = np.zeros(lines, bool)  # in an episode
        self._found: list[Refused] = []

    def found(self) -> list[Refused]:
        """What was found since the last time."""
        found, self._found = self._found, []
        return found

    def reset(self, line: int) -> None:
        """A new call on this line."""
        self._lines.pop(line, None)
        self._active[line] = False

    def take(
        self,
        lines: npt.NDArray[np.intp],
        before: Floats,
        blocks: Floats,
        number: npt.NDArray[np.int64],
        events: list[KeyDown | KeyUp],
        echoes: list[Refused],
    ) -> None:
        """Take whole blocks (m, count, WINDOW) of lines, and what the receiver said of them.

        before: (m, CONTEXT, WINDOW), what came before; number: (m,) of the first block. A key that was
        taken is no near miss; an echo of one is known as such.
        """
        for event in events:
            self._lines.setdefault(event.line, _Line()).took(event)
        for echo in echoes:
            self._lines.setdefault(echo.line, _Line()).echoes.append(echo)
        count = blocks.shape[1]
        passed = _screened(blocks.reshape(-1, WINDOW)).reshape(-1, count)
        for row in np.flatnonzero(passed.any(axis=1) | self._active[lines]).tolist():
            index = int(lines[row])
            line = self._lines.setdefault(index, _Line())
            sound = np.concatenate([before[row], blocks[row]])
            for at in _busy(passed[row], line.episode):
                block = sound[at : at + CONTEXT + 1]
                self._follow(index, line, int(number[row]) + at, bool(passed[row, at]), block)
            self._active[index] = line.episode is not None
        for index, first in zip(lines.tolist(), number.tolist(), strict=True):
            known = self._lines.get(index)
            if known is not None and known.episode is None:
                known.forget((first + count - KEPT) * WINDOW / RATE - _ECHO_S)

    def _follow(self, index: int, line: _Line, number: int, hit: bool, sound: Floats) -> None:
        """One block of a line: its number, whether it passed, and CONTEXT + 1 blocks that end with it."""
        if line.episode is None:
            if not hit:
                return
            line.episode = _Episode(number, sound[:CONTEXT].copy())
        episode = line.episode
        if len(episode.sound) < KEPT:
            episode.sound.append(sound[CONTEXT:].copy())
        if hit:
            episode.last = number
        elif number - episode.last == QUIET:
            line.episode = None
            self._end(index, line, episode)

    def _end(self, index: int, line: _Line, episode: _Episode) -> None:
        begin, end = (episode.first - 1) * WINDOW / RATE, (episode.last + 1) * WINDOW / RATE
        while line.echoes and line.echoes[0].start_s < end:
            self._tell(line, line.echoes.popleft())
        if not line.taken(begin, end):
            refused = _judge(index, episode, self._keys - line.just_let_go(begin), self._decision)
            if refused is not None:
                self._tell(line, refused)

    def _tell(self, line: _Line, refused: Refused) -> None:
        """Unless enough of them were told within this second."""
        if len(line.told) < PER_SECOND or refused.start_s - line.told[0] >= 1:
            line.told.append(refused.start_s)
            self._found.append(refused)


def _busy(passed: npt.NDArray[np.bool_], episode: _Episode | None) -> list[int]:
    """The blocks of a line that matter: those that passed, and as many after each as end an episode."""
    near = passed.copy()
    for late in range(1, QUIET + 1):
        near[late:] |= passed[:-late]
    if episode is not None:
        near[:QUIET] = True
    blocks: list[int] = np.flatnonzero(near).tolist()
    return blocks


def _screened(blocks: Floats) -> npt.NDArray[np.bool_]:
    """Which of some blocks (n, WINDOW) hold two tones, one of each group: (n,)."""
    passed = np.zeros(len(blocks), bool)
    faintest, widest = np.float32(amplitude(FAINTEST_DBM0 - 4) ** 2), np.float32(_ratio(WIDEST_TWIST_DB + 1))
    for first in range(0, len(blocks), _CHUNK):
        chunk = blocks[first : first + _CHUNK]
        parts = chunk @ _NULLED
        squares = np.square(parts[:, :24]) + np.square(parts[:, 24:])
        low, high = squares[:, :12].max(axis=1), squares[:, 12:].max(axis=1)
        may = np.minimum(low, high) > np.maximum(faintest, np.maximum(low, high) / widest)
        at = np.flatnonzero(may)
        sound = chunk[at]
        power = np.einsum("bs,bs->b", sound, sound)
        enough = (low[at] + high[at]) * np.float32(WINDOW / 2 / SHARE)
        poor = np.flatnonzero(enough <= power)
        power[poor] -= np.square(sound[poor] @ LOW_BAND).sum(axis=1)
        passed[first + at[enough > power]] = True
    return passed


def _judge(line: int, episode: _Episode, keys: frozenset[int], limits: Decision) -> Refused | None:
    """What an episode was, if it was a near miss."""
    sound = np.concatenate(episode.sound).ravel()
    begin = (episode.first - CONTEXT) * WINDOW  # samples of the line, where the sound kept begins
    windows = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::STEP]
    parts = windows @ _PLAIN
    power = windows.var(axis=1)
    squares = np.square(parts[:, :24]) + np.square(parts[:, 24:])
    row, column = squares[:, :12].argmax(axis=1), 12 + squares[:, 12:].argmax(axis=1)
    at = np.arange(len(squares))
    pair = squares[at, row] + squares[at, column]
    pure = pair / 2 >= MAY_BE_PURE * power
    if not pure.any():
        return None
    best = int(np.where(pure, pair, 0).argmax())
    both = [int(row[best]), int(column[best])]
    nominal = TONES_HZ[[tone // 3 for tone in both]]
    if 4 * (both[0] // 3) + both[1] // 3 - 4 not in keys:
        return None

    # Half of its amplitude marks an edge, as everywhere in the receiver.
    pair = squares[:, both].sum(axis=1)
    height = float(pair[best])
    loud = pair >= height / 4
    first = best - int(np.argmin(loud[best::-1])) + 1 if not loud[: best + 1].all() else 0
    last = best + int(np.argmin(loud[best:])) - 1 if not loud[best:].all() else len(loud) - 1
    cut = len(episode.sound) == KEPT and last == len(loud) - 1
    middle = begin + WINDOW / 2
    start, end = middle + (first - 0.5) * STEP, middle + (last + 0.5) * STEP
    if cut:
        end = (episode.last + 1) * WINDOW
    short = end - start < limits.shortest_ms * RATE / 1000
    if short and not _alone(power, first, last, height / 2):
        return None

    windows, power = windows[first : last + 1], power[first : last + 1]
    hz = _HZ[both]
    tones = _fitted(windows, hz)
    heights = np.square(np.abs(tones)).sum(axis=1)
    inside = heights >= 0.85 * heights[best - first]
    steps = inside[2:] & inside[:-2]
    if steps.any():
        for _ in range(2):  # what leaks from one tone into the other is gone when the frequencies are right
            turns = (tones[2:] * tones[:-2].conj())[steps] * np.exp(-2j * np.pi * hz * 2 * STEP / RATE)
            whole = turns.sum(axis=0)
            if (np.abs(whole) < STEADINESS * np.abs(turns).sum(axis=0)).any():
                return None
            hz = hz + np.angle(whole) * RATE / (2 * np.pi * 2 * STEP)
            tones = _fitted(windows, hz)
        off = float(np.abs(hz / nominal - 1).max())
    elif short:
        off = 0.0  # too short to tell
    else:
        return None
    low, high = np.square(np.abs(tones[inside])).mean(axis=0).tolist()
    if min(low, high) < amplitude(FAINTEST_DBM0) ** 2 or off > WIDEST_OFFSET:
        return None
    twist = 10 * math.log10(high / low)
    share = (low + high) / 2 / float(power[inside].mean())
    reason = _reason(limits, share, end - start, off, min(low, high), twist)
    if reason is None or abs(twist) > WIDEST_TWIST_DB:
        return None
    level = 10 * math.log10((low + high) / 2) + FULL_SCALE_DBM0
    start = max(start, 0)
    return Refused(
        line, reason, round(start / RATE, 4), round(end / RATE, 4), round(level, 2), round(twist, 2)
    )


def _reason(
    limits: Decision, share: float, length: float, off: float, weaker: float, twist: float
) -> Reason | None:
    """The limit that was missed. share: of all power; length in samples; weaker: a squared amplitude."""
    short = length < limits.shortest_ms * RATE / 1000
    weak = weaker < amplitude(limits.weakest_dbm0) ** 2
    if share < PURE:
        # Speech is like that too, but seldom on two frequencies at once, and for so long.
        return None if weak or off > EXACT or length < LONG else "purity"
    if short:
        return "too_short"
    if off > limits.offset:
        return "frequency" if length >= LONG else None
    if weak:
        return "too_weak"
    if not limits.twist_db[0] <= twist <= limits.twist_db[1]:
        return "twist"
    return None  # it lies so near a limit that the receiver measured it otherwise


def _alone(power: Floats, first: int, last: int, height: float) -> bool:
    """Whether little else sounds in the windows that end where a tone starts, and start where it ends."""
    reach = WINDOW // STEP // 2 + 1
    around = power[[i for i in (first - reach, last + reach) if 0 <= i < len(power)]]
    return bool((around <= ALONE * height).all())


def _fitted(windows: Floats, hz: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """Complex amplitudes (n, 2) of two tones and a constant that windows (n, WINDOW) are nearest to.

    Their phase advances from one window to the next by that of ``hz``.
    """
    waves = np.concatenate([_waves(hz), np.ones((WINDOW, 1))], axis=1)
    parts = windows @ np.linalg.pinv(waves).T
    return np.asarray(parts[:, :2] - 1j * parts[:, 2:4])


def _ratio(db: float) -> float:
    return float(10 ** (db / 10))
