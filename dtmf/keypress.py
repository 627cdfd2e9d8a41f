"""What a receiver reports: keys that go down and up again, as tones with times and levels."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["KeyDown", "KeyUp", "Tone"]


class Tone(NamedTuple):
    """A key that was pressed and let go.

    start_s, end_s: seconds since the start of the line or recording; level_dbm0: the mean power of its
    two tones (each alone, not their sum), dBm0; twist_db: the high tone's level minus the low one's.
    """

    digit: str
    start_s: float
    end_s: float
    level_dbm0: float
    twist_db: float

    @property
    def levels_dbm0(self) -> tuple[float, float]:
        """The levels of the low and of the high tone, dBm0."""
        ratio = 10 ** (self.twist_db / 10)
        low = self.level_dbm0 + 10 * math.log10(2 / (1 + ratio))
        return round(low, 2), round(low + self.twist_db, 2)


class KeyDown(NamedTuple):
    """A key is certainly down since ``start_s``; exactly one KeyUp of the same digit follows.

    known_s: when it became certain, the end of the block that told, whatever chunks the samples came in.
    """

    line: int
    digit: str
    start_s: float
    known_s: float


class KeyUp(NamedTuple):
    """A key was let go; known_s as a KeyDown's."""

    line: int
    tone: Tone
    known_s: float
