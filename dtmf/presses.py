"""From what became certain about a line to its key presses: pairs of down and up, without echoes.

A line's own late echo (0.12 to 0.3 s, some 20 dB down) is a key tone like any other, but for what came
before it. So is the rest of a tone that was under louder sound for a while.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dtmf.goertzel import RATE, WINDOW
from dtmf.keypad import KEYS_16
from dtmf.keypress import KeyDown, KeyUp, Tone
from dtmf.machine import LOUDER, UP, Change
from dtmf.refusal import Refused

__all__ = ["Presses"]

_ECHO_DB, _ECHO_TIME = 14.0, 0.3 * RATE
_AGAIN = 6 * WINDOW  # a tone of which no onset is seen is the one that was down so shortly before


class _Line:
    """The press that is down, and when keys were let go: end in samples, level in dBm0.

    start: in samples; told: the digit, its start in seconds, its level and twist.
    """

    __slots__ = ("echo", "let_go", "level", "muted", "start", "told")

    def __init__(self) -> None:
        self.start, self.level = 0, 0.0
        self.told = "", 0.0, 0.0, 0.0
        self.muted = self.echo = False
        self.let_go: dict[str, tuple[int, float]] = {}


class Presses:
    """The presses of all lines."""

    def __init__(self) -> None:
        self._lines: dict[int, _Line] = {}
        self.echoes: list[Refused] = []

    def reset(self, line: int) -> None:
        """A new call on this line."""
        self._lines.pop(line, None)

    def take(self, changes: Iterable[Change]) -> list[KeyDown | KeyUp]:
        """What to report; the changes' slots are lines."""
        columns = [np.concatenate(parts) for parts in zip(*changes, strict=True)]
        if not columns:
            return []
        slot, number = columns[0], columns[1]
        if len(slot) > 1:
            order = np.lexsort((slot, number))  # it leaves what is equal in its order
            columns = [column[order] for column in columns]
        slot, number, kind, key, time, level, twist, begun = columns
        time = np.maximum(np.rint(time), 0)
        rows = zip(
            slot.tolist(),
            kind.tolist(),
            key.tolist(),
            time.astype(np.int64).tolist(),
            level.tolist(),
            # As they are told; 0 is added since there is no level of -0.0.
            (time / RATE).tolist(),
            (np.round(level.astype(np.float64), 2) + 0).tolist(),
            (np.round(twist.astype(np.float64), 2) + 0).tolist(),
            begun.tolist(),
            ((number + 1) * (WINDOW / RATE)).tolist(),
            strict=True,
        )
        events: list[KeyDown | KeyUp] = []
        lines = self._lines
        for its, what, index, at, dbm0, at_s, level_dbm0, twist_db, seen, known_s in rows:
            line = lines.get(its)
            if line is None:
                line = lines[its] = _Line()
            if what != UP:
                if what == LOUDER and not line.muted:
                    continue
                digit = KEYS_16[index]
                line.start, line.level = at, dbm0
                line.told = digit, at_s, level_dbm0, twist_db
                line.muted = line.echo = False
                last = line.let_go.get(digit)
                if last is not None and at - last[0] < _ECHO_TIME:
                    line.echo = dbm0 < last[1] - _ECHO_DB
                    line.muted = line.echo or (not seen and at - last[0] < _AGAIN)
                if not line.muted:
                    events.append(KeyDown(its, digit, at_s, known_s))
                continue
            digit, start_s, level_dbm0, twist_db = line.told
            end_s = at_s if at > line.start else (line.start + 1) / RATE
            if not line.muted:
                line.let_go[digit] = at, line.level
                events.append(KeyUp(its, Tone(digit, start_s, end_s, level_dbm0, twist_db), known_s))
            elif line.echo:
                self.echoes.append(Refused(its, "echo", start_s, end_s, level_dbm0, twist_db, known_s))
        return events
