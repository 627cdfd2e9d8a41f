"""Near misses: two tones that a person would call a key, and that the receiver did not take for one.

A key that is not taken leaves whoever pressed it without a clue. So beside the receiver, and without any
say in what it takes, blocks are screened by wider limits; what passes is kept until it is over, and is
then looked at once, as a whole:

    blocks    . . . # # # . . .      an episode: from the first block that passes until QUIET do not
    judged                    ^      not at all, if the receiver took a key in it

What passes the receiver's own screen belongs to an episode too, and after QUIET blocks the receiver has
nothing left to say of it: so what is told depends on the sound alone, in whatever chunks it comes.

Speech has to stay silent here, so a near miss is held to what speech is not: nearly pure, steady, and
short ones alone. It is known which limit was missed, and by how much; which key it was is not told.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import RATE, WINDOW, Floats
from dtmf.keypad import key_index
from dtmf.keypress import KeyDown, KeyUp
from dtmf.machine import QUIET
from dtmf.near_miss import NearMiss, Reason, judge, may_hold
from dtmf.standards import Decision

__all__ = ["CONTEXT", "Reason", "Refusals", "Refused"]

PER_SECOND = 5  # of one line; what there is beyond that says nothing new
CONTEXT = 2  # blocks that are kept from before an episode
KEPT = 14  # blocks of sound that are looked at; how much longer it lasts is known to a block
_ECHO_S = 0.3


@dataclass(frozen=True)
class Refused:
    """Two tones that were heard and not taken for a key.

    reason: too_short, too_weak, twist, frequency (beyond the receiver's limits), purity (too much else
    sounds), echo (the same key, much weaker, right after it).
    start_s, end_s: seconds since the start of the line, to some 3 ms, of long ones to 20 ms; nothing
    shorter than 20 ms is told apart. level_dbm0, twist_db: as a Tone's; known_s: as a KeyDown's.
    """

    line: int
    reason: Reason
    start_s: float
    end_s: float
    level_dbm0: float
    twist_db: float
    known_s: float


class _Episode:
    """A stretch of blocks that passed, with the sound around it."""

    def __init__(self, first: int, before: Floats) -> None:
        self.first = first  # number of its first block
        self.last = first  # of the last that passed
        self.sound = [before]  # CONTEXT blocks from before it, then its own

    def refused(self, line: int, miss: NearMiss, known_s: float) -> Refused:
        """What it was, in seconds of the line."""
        begin = (self.first - CONTEXT) * WINDOW
        start, end = max(begin + miss.start, 0), begin + miss.end
        if len(self.sound) > KEPT and miss.end > (CONTEXT + KEPT - 1) * WINDOW:  # it lasted longer
            end = (self.last + 1) * WINDOW
        level, twist = round(miss.level_dbm0, 2), round(miss.twist_db, 2) + 0.0  # no -0.0
        return Refused(line, miss.reason, round(start / RATE, 4), round(end / RATE, 4), level, twist, known_s)


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

    def busy(self, lines: npt.NDArray[np.intp]) -> bool:
        """Whether silence on these lines would end something."""
        return bool(self._active[lines].any())

    def take(
        self,
        lines: npt.NDArray[np.intp],
        before: Floats,
        blocks: Floats,
        screened: npt.NDArray[np.bool_] | None,
        number: npt.NDArray[np.int64],
        events: list[KeyDown | KeyUp],
        echoes: list[Refused],
    ) -> None:
        """Take whole blocks (m, count, WINDOW) of lines, and what the receiver said of them.

        before: (m, CONTEXT, WINDOW), what came before; screened: (m * count,) which of them passed the
        receiver's screen, None if all are silent; number: (m,) of the first block. A key that was taken is
        no near miss; an echo of one is known as such.
        """
        for event in events:
            self._lines.setdefault(event.line, _Line()).took(event)
        for echo in echoes:
            self._lines.setdefault(echo.line, _Line()).echoes.append(echo)
        if screened is None:
            passed = np.zeros(blocks.shape[:2], bool)
        else:
            passed = may_hold(blocks.reshape(-1, WINDOW), screened).reshape(blocks.shape[:2])
        near = passed.copy()
        for late in range(1, QUIET + 1):
            near[:, late:] |= passed[:, :-late]
        near[self._active[lines], :QUIET] = True
        rows, places = np.nonzero(near)
        for row, at, hit in zip(rows.tolist(), places.tolist(), passed[rows, places].tolist(), strict=True):
            index = int(lines[row])
            line = self._lines.get(index) or self._lines.setdefault(index, _Line())
            if hit and line.episode is None:
                context = np.concatenate([before[row], blocks[row, max(at - CONTEXT, 0) : at]])
                line.episode = _Episode(int(number[row]) + at, context[-CONTEXT:])
                self._active[index] = True
            if line.episode is not None:
                self._follow(index, line, line.episode, int(number[row]) + at, hit, blocks[row, at])

    def _follow(
        self, index: int, line: _Line, episode: _Episode, number: int, hit: bool, block: Floats
    ) -> None:
        """One block of a line in an episode: its number, and whether it passed."""
        if len(episode.sound) <= KEPT:
            episode.sound.append(block[None].copy())
        if hit:
            episode.last = number
        elif number - episode.last == QUIET:
            line.episode = None
            self._active[index] = False
            self._end(index, line, episode, (number + 1) * WINDOW / RATE)

    def _end(self, index: int, line: _Line, episode: _Episode, known_s: float) -> None:
        begin, end = (episode.first - 1) * WINDOW / RATE, (episode.last + 1) * WINDOW / RATE
        while line.echoes and line.echoes[0].start_s < end:
            self._tell(line, replace(line.echoes.popleft(), known_s=known_s))
        if not line.taken(begin, end):
            keys = self._keys - line.just_let_go(begin)
            miss = judge(np.concatenate(episode.sound).ravel(), keys, self._decision)
            if miss is not None:
                self._tell(line, episode.refused(index, miss, known_s))
        line.forget(begin - _ECHO_S)

    def _tell(self, line: _Line, refused: Refused) -> None:
        """Unless enough of them were told within this second."""
        if len(line.told) < PER_SECOND or refused.start_s - line.told[0] >= 1:
            line.told.append(refused.start_s)
            self._found.append(refused)
