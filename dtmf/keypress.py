"""From windows to key presses: the judgement of one line, a plain state machine.

A line is idle until the screen points at a block; then its windows, one every 5 ms, come in here, four
per block. Two questions are asked of them:

``_judge``   Has a key been pressed? Asked at the end of each block, of the last 120 ms as a whole, so that
             there is no half-made decision to remember. What passes is certain and is reported.
``_Press``   Is the key that is down still down? Asked window by window, of its own two tones only.

Where a tone begins and ends follows from the amplitude: a window half filled by a tone shows half of it,
so an edge lies where the weaker tone's amplitude crosses half of its height, at the window's middle.

    samples   ......................############################......................
    amplitude                  .  /---------------------------\\  .
                                 ^ start                       ^ end

Times are samples of the line at 8 kHz since its start.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import NamedTuple

from dtmf.goertzel import FULL_SCALE_DBM0, HOP, RATE, WINDOW, amplitude
from dtmf.keypad import HIGH_HZ, KEYS_16, LOW_HZ

__all__ = ["Frame", "KeyDown", "KeyUp", "LineState", "Tone"]

# The limits, between what ITU-T Q.24 and ETSI ES 201 235-3 say must be heard and what must not.
SHORTEST = round(0.031 * RATE)  # heard from 40 ms, not up to 24 ms
HOLE = round(0.025 * RATE)  # up to 20 ms is a hole in a digit, from 30 ms on a pause between two
WEAKEST = amplitude(-48.5)  # heard to -25 dBm0, and far below; not from -55 dBm0
TWIST_DB = (-10.5, 6.5)  # heard from -8 to +4, high group relative to low
OFF_FREQUENCY = 0.023  # heard to 1.5 % + 2 Hz, not from 3 %
PURITY = 0.7  # the pair's share of all power: heard 4 dB above noise; speech and music seldom get there
STEADINESS = 0.95  # how straight the phase advances
ECHO_DB, ECHO_TIME = 14.0, round(0.3 * RATE)  # the same key again, so soon and so much weaker, is its echo

_REMEMBERED = 24  # windows, 120 ms: the shortest tone, a hole and a block or two
_EDGE = RATE // 1000  # edges are known to a millisecond
_LAG = 2  # windows; 10 ms of phase
_TONES_HZ = LOW_HZ + HIGH_HZ
_TURN_BACK = [cmath.exp(-2j * math.pi * hz * _LAG * HOP / RATE) for hz in _TONES_HZ]


@dataclass(frozen=True)
class Tone:
    """A key that was pressed and let go.

    start_s, end_s: seconds since the start of the line or recording; level_dbm0: the mean power of its
    two tones (each alone, not their sum), dBm0; twist_db: the high tone's level minus the low one's.
    """

    digit: str
    start_s: float
    end_s: float
    level_dbm0: float
    twist_db: float


@dataclass(frozen=True)
class KeyDown:
    """A key is certainly down since ``start_s``; exactly one KeyUp of the same digit follows."""

    line: int
    digit: str
    start_s: float


@dataclass(frozen=True)
class KeyUp:
    """A key was let go."""

    line: int
    tone: Tone


class Frame(NamedTuple):
    """One window: the sample after its last, the key that stands out or -1, amplitudes, power without DC."""

    end: int
    key: int
    tones: list[complex]
    power: float

    def __repr__(self) -> str:
        return f"Frame(end={self.end})"  # amplitudes tell a key as plainly as its digit


class _Piece(NamedTuple):
    """A stretch of tone without a hole: its edges in samples, its first and last frame."""

    start: float
    end: float
    first: int
    last: int


class _Press:
    """A key that is down: its height, known from windows that it fills, and where it was last heard."""

    def __init__(self, key: int, start: float, inside: list[Frame], gain: tuple[float, float]) -> None:
        """gain: what to multiply the two tones' powers by, for they are off their nominal frequencies."""
        self.key = key
        self.start = start
        self.end = math.inf  # while it sounds
        self._row, self._column = key // 4, 4 + key % 4
        self._gain = gain
        self._windows = len(inside)
        self._low_power = sum(abs(f.tones[self._row]) ** 2 for f in inside)
        self._high_power = sum(abs(f.tones[self._column]) ** 2 for f in inside)
        self._low = math.sqrt(self._low_power / self._windows)
        self._high = math.sqrt(self._high_power / self._windows)
        self._before = 1.0

    def follow(self, frame: Frame) -> bool:
        """Take the next window; true when the key has been up for longer than a hole lasts."""
        low, high = abs(frame.tones[self._row]), abs(frame.tones[self._column])
        share = min(low / self._low, high / self._high)
        if share >= 0.5:
            self.end = math.inf
            if share > 0.8:
                # Levels may drift; edges are steeper than what this follows.
                self._low += (low - self._low) / 8
                self._high += (high - self._high) / 8
                self._low_power += low * low
                self._high_power += high * high
                self._windows += 1
        elif self.end == math.inf:
            past = (0.5 - share) / (self._before - share)
            self.end = _middle(frame) - HOP * past
        self._before = share
        # A tone that has come back fills `share` of the window, from its start there to the window's end.
        return self.end < math.inf and frame.end - WINDOW * share - self.end >= HOLE

    def level_db(self) -> float:
        """Mean power of the two tones, dB relative to amplitude 1."""
        low, high = self._powers()
        return 10 * math.log10((low + high) / 2)

    def tone(self, end: float) -> Tone:
        """The press, let go at ``end`` (samples)."""
        low, high = self._powers()
        start = max(round(self.start), 0)
        return Tone(
            digit=KEYS_16[self.key],
            start_s=start / RATE,
            end_s=max(round(end), start + 1) / RATE,
            level_dbm0=round(self.level_db() + FULL_SCALE_DBM0, 2),
            twist_db=round(10 * math.log10(high / low), 2) + 0.0,  # no -0.0
        )

    def _powers(self) -> tuple[float, float]:
        return (
            self._low_power / self._windows * self._gain[0],
            self._high_power / self._windows * self._gain[1],
        )


class LineState:
    """What is known of one line: its last windows, the key that is down, when keys were last let go."""

    def __init__(self, line: int, keys: frozenset[int]) -> None:
        self._line = line
        self._keys = keys
        self._frames: list[Frame] = []
        self._down: _Press | None = None
        self._let_go: dict[int, tuple[float, float]] = {}  # key: end in samples, level in dB
        self._limit = math.inf

    @property
    def down(self) -> bool:
        """Whether a key is down: then every block must be measured."""
        return self._down is not None

    def take(self, frames: list[Frame]) -> list[KeyDown | KeyUp]:
        """Take the windows of one block; what has become certain by its end."""
        events: list[KeyDown | KeyUp] = []
        if self._frames and frames[0].end != self._frames[-1].end + HOP:
            self._frames.clear()
        self._frames += frames
        del self._frames[:-_REMEMBERED]
        if self._down is not None and any(map(self._down.follow, frames)):
            events.append(self._up(self._down, self._down.end))
        for key in dict.fromkeys(frame.key for frame in frames):
            if key not in self._keys or (self._down is not None and self._down.key == key):
                continue
            press = _judge(self._frames, key, self._let_go.get(key))
            if press is None:
                continue
            if self._down is not None:
                events.append(self._up(self._down, min(self._down.end, press.start)))
            self._down = press
            events.append(KeyDown(self._line, KEYS_16[key], press.tone(press.start).start_s))
            if press.end < math.inf and frames[-1].end - press.end >= HOLE:
                events.append(self._up(press, press.end))
        return events

    def finish(self, end: int) -> None:
        """The recording ends at sample ``end``; what follows is silence, and no tone lasts into it."""
        self._limit = end

    def _up(self, press: _Press, end: float) -> KeyUp:
        self._down = None
        self._let_go[press.key] = (end, press.level_db())
        return KeyUp(self._line, press.tone(min(end, self._limit)))


def _judge(frames: list[Frame], key: int, let_go: tuple[float, float] | None) -> _Press | None:
    """The press of a key in these windows, if there certainly is one.

    let_go: when the same key was last let go, and its level; windows that still show that are left out.
    """
    if let_go is not None:
        frames = [frame for frame in frames if frame.end - WINDOW >= let_go[0]]
    row, column = key // 4, 4 + key % 4
    low = [abs(frame.tones[row]) for frame in frames]
    high = [abs(frame.tones[column]) for frame in frames]
    clear = [i for i, frame in enumerate(frames) if frame.key == key]
    if not clear:
        return None
    top_low, top_high = max(low[i] for i in clear), max(high[i] for i in clear)
    heights = [min(a / top_low, b / top_high) for a, b in zip(low, high, strict=True)]
    pieces = _pieces(frames, heights)
    if not pieces or sum(piece.end - piece.start for piece in pieces) < SHORTEST:
        return None
    longest = max(pieces, key=lambda piece: piece.end - piece.start)
    inside = [
        i
        for i in range(longest.first, longest.last + 1)
        if frames[i].end - WINDOW >= longest.start - _EDGE and frames[i].end <= longest.end + _EDGE
    ]
    if len(inside) < 2:
        return None

    # Frequency: how far the phases turn in 10 ms, compared with the nominal tones.
    turned = range(max(inside[0] - 1, longest.first + _LAG, _LAG), min(inside[-1] + 1, longest.last) + 1)
    gain = []
    for tone in (row, column):
        turns = [
            frames[i].tones[tone] * frames[i - _LAG].tones[tone].conjugate() * _TURN_BACK[tone]
            for i in turned
        ]
        whole, length = sum(turns), sum(map(abs, turns))
        if not turns or abs(whole) < STEADINESS * length:
            return None
        off_hz = cmath.phase(whole) / (2 * math.pi * _LAG * HOP / RATE)
        if abs(off_hz) > OFF_FREQUENCY * _TONES_HZ[tone]:
            return None
        gain.append(1 / _sinc(off_hz * WINDOW / RATE) ** 2)

    low_power = sum(low[i] ** 2 for i in inside) / len(inside) * gain[0]
    high_power = sum(high[i] ** 2 for i in inside) / len(inside) * gain[1]
    power = sum(frames[i].power for i in inside) / len(inside)
    if min(low_power, high_power) < WEAKEST**2:
        return None
    if not TWIST_DB[0] <= 10 * math.log10(high_power / low_power) <= TWIST_DB[1]:
        return None
    if (low_power + high_power) / 2 < PURITY * power:
        return None

    press = _Press(key, pieces[0].start, [frames[i] for i in inside], (gain[0], gain[1]))
    if let_go is not None and press.start - let_go[0] < ECHO_TIME and press.level_db() < let_go[1] - ECHO_DB:
        return None
    for frame in frames[inside[-1] + 1 :]:
        press.follow(frame)
    return press


def _pieces(frames: list[Frame], heights: list[float]) -> list[_Piece]:
    """The newest stretches of tone with nothing but holes between them, oldest first.

    heights: the weaker tone's amplitude in each window, relative to its height.
    """
    pieces: list[_Piece] = []
    last = len(frames) - 1
    while last >= 0:
        if heights[last] < 0.5:
            last -= 1
            continue
        first = last
        while first > 0 and heights[first - 1] >= 0.5:
            first -= 1
        start = _middle(frames[first])
        if first > 0:
            start -= HOP * (heights[first] - 0.5) / (heights[first] - heights[first - 1])
        if last + 1 < len(frames):
            end = _middle(frames[last]) + HOP * (heights[last] - 0.5) / (heights[last] - heights[last + 1])
        else:  # it fills the newest window, or ended in it
            end = frames[last].end - WINDOW * (1 - min(heights[last], 1.0))
        if pieces and pieces[0].start - end >= HOLE:
            break
        pieces.insert(0, _Piece(start, end, first, last))
        last = first - 1
    return pieces


def _middle(frame: Frame) -> float:
    return frame.end - WINDOW / 2


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0
