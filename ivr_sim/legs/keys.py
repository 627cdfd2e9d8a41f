"""The keys of one caller: which are down, which wait to be taken for an entry, and which count at all."""

from __future__ import annotations

from collections import deque

from ivr_sim.call import Stroke
from ivr_sim.journal import KeyMethod
from ivr_sim.legs.collector import Key, Press

__all__ = ["CallerKeys"]

Span = tuple[float, float]


class CallerKeys:
    """Keys as they come, typed ahead until somebody takes them. All times are seconds since the answer.

    Some do not count: those that were flushed, with the run of keys that they belong to; and a terminator
    out of habit, behind an entry that was whole without it.
    """

    def __init__(self) -> None:
        self._typed: deque[Key] = deque()
        self._down: dict[KeyMethod, Key] = {}
        self._presses: list[Press] = []
        self._swallow = ""
        self._swallow_until = 0.0
        self._deaf = False  # flushed, and nothing has been asked since
        self._run_pause = 0.0
        self._listens_from = 0.0

    @property
    def held(self) -> bool:
        """Whether a key is down."""
        return bool(self._down)

    @property
    def waiting(self) -> bool:
        """Whether something was typed that nobody has taken yet."""
        return bool(self._typed)

    @property
    def keying(self) -> bool:
        """Whether the caller has typed, or is typing, something that still counts."""
        return self.waiting or any(self._counts(key) for key in self._down.values())

    def down(self, digit: str, method: KeyMethod, start: float) -> bool:
        """A key is down; whether it counts."""
        key = Key(digit, Press(start))
        self._presses.append(key.press)
        self._down[method] = key
        return self._counts(key)

    def up(self, digit: str, start: float, end: float, stroke: Stroke) -> bool:
        """It was let go; whether it is one more that waits to be taken."""
        down = self._down.pop(stroke.method, None)
        key = Key(digit, Press(start) if down is None else down.press, stroke)
        if down is None:
            self._presses.append(key.press)
        key.press.end = end
        counts = self._counts(key)
        self._swallow = ""
        if counts:
            self._typed.append(key)
        elif key.press.start < self._listens_from:
            self._listens_from = max(self._listens_from, end + self._run_pause)
        return counts

    def take(self) -> Key:
        """The first of those that wait."""
        return self._typed.popleft()

    def entered(self, terminator: str, until: float) -> None:
        """An entry was whole without its terminator, which belongs to it if it comes by then.

        It may have been typed already; pressed later it is an entry of its own.
        """
        if self._typed and self._typed[0].digit == terminator:
            self._typed.popleft()
        elif not self._typed:
            self._swallow, self._swallow_until = terminator, until

    def forget(self) -> None:
        """What waits is not wanted any more."""
        self._typed.clear()

    def flush(self, pause: float) -> None:
        """Forget what was typed ahead, and what comes before the next prompt.

        pause: a key that follows the last by less than this still belongs to the same run.
        """
        self._typed.clear()
        self._deaf = True
        self._run_pause = pause

    def listen(self) -> None:
        """Whatever comes from now on counts."""
        self._deaf = False

    def prompted(self, now: float) -> None:
        """A prompt begins: whatever comes from now on counts, but for the run of keys that goes on."""
        if self._deaf:
            self._deaf = False
            last = self._presses[-1].end if self._presses else None
            self._listens_from = max(now, (last or 0.0) + self._run_pause)

    def spans(self, now: float) -> tuple[list[Span], list[Span]]:
        """When keys were down: those that stay secret, and those published."""
        secret: list[Span] = []
        published: list[Span] = []
        for press in self._presses:
            span = (press.start, now if press.end is None else press.end)
            (published if press.published else secret).append(span)
        return secret, published

    def _counts(self, key: Key) -> bool:
        start = key.press.start
        habit = key.digit == self._swallow and start < self._swallow_until
        return not (habit or self._deaf or start < self._listens_from)
