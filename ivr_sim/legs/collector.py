"""One entry being typed: the rules of ``Call.collect`` over keys, without time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ivr_sim.call import Ended, Entry, Stroke, Typed

__all__ = ["Collector", "Key", "Press"]


@dataclass
class Press:
    """When a key was down, in seconds since the answer, and whether its tone may be kept audible."""

    start: float
    end: float | None = None
    published: bool = False


@dataclass(frozen=True)
class Key:
    """A key that is down or was let go: which one stays in the call."""

    digit: str = field(repr=False)
    press: Press
    stroke: Stroke | None = field(default=None, repr=False)  # once it was let go


class Collector:
    """Takes keys until the entry is whole, or until whoever holds the clock ends it.

    The digits beyond ``max_digits`` are counted up to one more: enough to tell that it is too long.
    """

    def __init__(
        self, max_digits: int, complete: Callable[[str], bool] | None, terminator: str, restart: str
    ) -> None:
        self._max = max_digits
        self._complete = complete or (lambda digits: len(digits) >= max_digits)
        self._terminator = terminator
        self._restart = restart
        self._digits = ""
        self._presses: list[Press] = []
        self._strokes: list[Stroke] = []

    @property
    def empty(self) -> bool:
        """Whether there is no digit yet, or none since the caller started over."""
        return not self._digits

    def take(self, key: Key) -> Ended | None:
        """Take one key; how the entry ended by it, or None."""
        if key.digit == self._restart:
            self._digits = ""
            self._presses = []
            self._strokes = []
            return None
        self._presses.append(key.press)
        if key.stroke is not None:
            self._strokes.append(key.stroke)
        if key.digit == self._terminator:
            return "terminator"
        if len(self._digits) <= self._max:
            self._digits += key.digit
        return "complete" if self._complete(self._digits) else None

    def entry(self, ended: Ended) -> Entry:
        """What was typed, to be published or not."""
        presses = tuple(self._presses)

        def publish() -> None:
            for press in presses:
                press.published = True

        return Entry(Typed(self._digits), ended, publish, tuple(self._strokes))
