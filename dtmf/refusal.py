"""Near misses: two tones that a person would call a key, and that the receiver did not take for one.

A key that is not taken leaves whoever pressed it without a clue. So beside the receiver, and without any
say in what it takes, blocks are screened by wider limits; what passes is kept until it is over, and is
then looked at once, as a whole:

    blocks    . . . # # # . .        an episode: from the first block that passes until two do not
    judged              ^            not at all, if the receiver took a key in it

Speech has to stay silent here, so a near miss is held to what speech is not: nearly pure, steady, and
short ones alone. It is known which limit was missed, and by how much; which key it was is not told.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import FULL_SCALE_DBM0, RATE, WINDOW, Limits, amplitude, spectra
from dtmf.keypad import HIGH_HZ, LOW_HZ, key_index
from dtmf.keypress import ECHO_TIME, OFF_FREQUENCY, SHORTEST, STEADINESS, TWIST_DB, WEAKEST, KeyDown, KeyUp

__all__ = ["WIDE", "Reason", "Refusals", "Refused"]

Floats = npt.NDArray[np.float32]
Reason = Literal["too_short", "too_weak", "twist", "frequency"]

PER_SECOND = 5  # of one line; what there is beyond that says nothing new
CONTEXT = 2  # blocks that are kept from before an episode
QUIET = 2  # blocks that do not pass end it
KEPT = 14  # blocks of sound that are looked at; how much longer it lasts is known to a block
STEP = 20  # samples, 2.5 ms, between two windows
PURE = 0.85  # the two tones' share of all power; a window that a tone fills by less has less
MAY_BE_PURE = 0.5  # the same, of tones that are off their frequencies
ALONE = 0.3  # of its power, all that sounds right before and after a short one
WIDE = Limits(weakest_dbm0=-64.0, share_of_group=0.55, twist_db=(-17.0, 17.0), share=0.42)
FAINTEST = amplitude(-60.0)  # of the weaker tone
WIDEST_TWIST_DB = 16.0  # beyond that, the weaker tone drowns in what leaks from the other
_TONES_HZ = LOW_HZ + HIGH_HZ


@dataclass(frozen=True)
class Refused:
    """Two tones that were heard and not taken for a key.

    reason: too_short (under 31 ms), too_weak, twist, frequency (both beyond the receiver's limits).
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
        self.quiet = 0


class Refusals:
    """Watches lines for near misses; ``keys``: the indices of keys that the receiver listens for."""

    def __init__(self, lines: int, keys: frozenset[int]) -> None:
        self._keys = keys
        self._episodes: dict[int, _Episode] = {}
        self._active = np.zeros(lines, bool)
        self._taken: dict[int, deque[tuple[float, float, int]]] = {}  # by line: from, to, and which key
        self._told: dict[int, deque[float]] = {}  # by line: when near misses began
        self._found: list[Refused] = []

    def found(self) -> list[Refused]:
        """What was found since the last time."""
        found, self._found = self._found, []
        return found

    def reset(self, line: int) -> None:
        """A new call on this line."""
        self._episodes.pop(line, None)
        self._taken.pop(line, None)
        self._told.pop(line, None)
        self._active[line] = False

    def took(self, event: KeyDown | KeyUp) -> None:
        """The receiver took a key: it is no near miss, nor is its echo."""
        spans = self._taken.setdefault(event.line, deque(maxlen=8))
        if isinstance(event, KeyDown):
            spans.append((event.start_s, math.inf, key_index(event.digit)))
        else:
            tone = event.tone
            spans[-1] = (tone.start_s, tone.end_s, key_index(tone.digit))

    def concerned(self, lines: npt.NDArray[np.intp], passed: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
        """Which rows of ``lines`` must be given to :meth:`take`; passed: (m, count), by ``WIDE``."""
        return np.flatnonzero(passed.any(axis=1) | self._active[lines])

    def take(
        self,
        lines: npt.NDArray[np.intp],
        sound: Floats,
        passed: npt.NDArray[np.bool_],
        done: npt.NDArray[np.int64],
    ) -> None:
        """Take whole blocks of lines: sound (m, CONTEXT + count, WINDOW), passed (m, count).

        The sound has CONTEXT blocks before those that are new; done: how many blocks each line had.
        """
        for row, line in enumerate(lines.tolist()):
            for block, hit in enumerate(passed[row].tolist()):
                self._follow(line, int(done[row]) + block, hit, sound[row, block : block + CONTEXT + 1])
            self._active[line] = line in self._episodes

    def _follow(self, line: int, number: int, hit: bool, sound: Floats) -> None:
        """One block of a line: its number, whether it passed, and CONTEXT + 1 blocks that end with it."""
        episode = self._episodes.get(line)
        if episode is None:
            if not hit:
                return
            episode = self._episodes[line] = _Episode(number, sound[:CONTEXT].copy())
        if len(episode.sound) < KEPT:
            episode.sound.append(sound[CONTEXT:].copy())
        if hit:
            episode.last, episode.quiet = number, 0
            return
        episode.quiet += 1
        if episode.quiet == QUIET:
            del self._episodes[line]
            self._end(line, episode)

    def _end(self, line: int, episode: _Episode) -> None:
        begin, end = (episode.first - 1) * WINDOW / RATE, (episode.last + 2) * WINDOW / RATE
        taken = self._taken.get(line, ())
        if any(start < end and begin < until for start, until, _ in taken):
            return
        told = self._told.setdefault(line, deque(maxlen=PER_SECOND))
        if len(told) == PER_SECOND and begin - told[0] < 1:
            return
        echoes = {key for _, until, key in taken if begin < until + ECHO_TIME / RATE}
        refused = _judge(line, episode, self._keys - echoes)
        if refused is not None:
            told.append(begin)
            self._found.append(refused)


def _judge(line: int, episode: _Episode, keys: frozenset[int]) -> Refused | None:
    """What an episode was, if it was a near miss."""
    sound = np.concatenate(episode.sound).ravel()
    begin = (episode.first - CONTEXT) * WINDOW  # samples of the line, where the sound kept begins
    tones, power = spectra(np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::STEP])
    squares = np.abs(tones) ** 2
    row, column = squares[:, :4].argmax(axis=1), 4 + squares[:, 4:].argmax(axis=1)
    at = np.arange(len(squares))
    pair = squares[at, row] + squares[at, column]
    pure = pair / 2 >= MAY_BE_PURE * power
    if not pure.any():
        return None
    best = int(np.where(pure, pair, 0).argmax())
    low, high = int(row[best]), int(column[best])
    if 4 * low + high - 4 not in keys:
        return None

    # Half of its amplitude marks an edge, as everywhere in the receiver.
    height = float(pair[best])
    loud = squares[:, low] + squares[:, high] >= height / 4
    first = best - int(np.argmin(loud[best::-1])) + 1 if not loud[: best + 1].all() else 0
    last = best + int(np.argmin(loud[best:])) - 1 if not loud[best:].all() else len(loud) - 1
    cut = len(episode.sound) == KEPT and last == len(loud) - 1
    middle = begin + WINDOW / 2
    start, end = middle + (first - 0.5) * STEP, middle + (last + 0.5) * STEP
    if cut:
        end = (episode.last + 1) * WINDOW
    inside = np.arange(first, last + 1)
    inside = inside[pair[inside] >= 0.85 * height]
    short = end - start < SHORTEST
    if short and not _alone(power, first, last, height / 2):
        return None

    off = [_off(tones[:, tone], inside, _TONES_HZ[tone]) for tone in (low, high)]
    if any(map(math.isnan, off)):
        return None
    low_power, high_power = (
        float(squares[inside, tone].mean() / np.sinc(share * _TONES_HZ[tone] * WINDOW / RATE) ** 2)
        for tone, share in zip((low, high), off, strict=True)
    )
    twist = 10 * math.log10(high_power / low_power)
    if (low_power + high_power) / 2 < PURE * power[inside].mean():
        return None
    if min(low_power, high_power) < FAINTEST**2 or abs(twist) > WIDEST_TWIST_DB:
        return None
    reason: Reason
    if short:
        reason = "too_short"
    elif max(map(abs, off)) > OFF_FREQUENCY:
        reason = "frequency"
    elif min(low_power, high_power) < WEAKEST**2:
        reason = "too_weak"
    elif not TWIST_DB[0] <= twist <= TWIST_DB[1]:
        reason = "twist"
    else:
        return None  # it lies so near a limit that the receiver measured it otherwise
    level = 10 * math.log10((low_power + high_power) / 2) + FULL_SCALE_DBM0
    start = max(start, 0)
    return Refused(
        line, reason, round(start / RATE, 4), round(end / RATE, 4), round(level, 2), round(twist, 2)
    )


def _alone(power: Floats, first: int, last: int, height: float) -> bool:
    """Whether little else sounds in the windows that end where a tone starts, and start where it ends."""
    reach = WINDOW // STEP // 2 + 1
    around = power[[i for i in (first - reach, last + reach) if 0 <= i < len(power)]]
    return bool((around <= ALONE * height).all())


def _off(tone: npt.NDArray[np.complex64], inside: npt.NDArray[np.intp], hz: float) -> float:
    """By what share of it a tone is off its frequency; NaN if its phase does not advance steadily."""
    lag = 2
    pairs = inside[inside - lag >= inside[0]]
    if not len(pairs):
        return 0.0  # too short to tell
    turns = tone[pairs] * tone[pairs - lag].conj() * np.exp(-2j * math.pi * hz * lag * STEP / RATE)
    whole = turns.sum()
    if abs(whole) < STEADINESS * np.abs(turns).sum():
        return math.nan
    return float(np.angle(whole)) / (2 * math.pi * lag * STEP / RATE) / hz
