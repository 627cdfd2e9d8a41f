"""How well the receiver hears labelled recordings: every digit that was said to be there, and no other.

A recording is right when it says exactly its label's digits. What is wrong is counted in digits, by the
fewest edits between the two: missed, imagined, taken for another. Accuracy is the share that was heard right
of all digits that were expected or imagined; where there is neither, it is 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Literal

from dtmf.alignment import Pair, align
from dtmf.errors import DtmfError
from dtmf.hearing import Heard, together
from dtmf.keypress import Tone
from dtmf.labels import Planned

__all__ = ["EXTRA", "MISSED", "Check", "Judged", "Verdict", "judge"]

Verdict = Literal["pass", "warn", "fail", "error"]
MISSED, EXTRA = "missed", "extra"  # beside the keys of the confusion table: heard as nothing; from nothing


@dataclass(frozen=True)
class Judged:
    """A planned recording and the tones that were heard in it; or a ``problem``, and it was not judged."""

    planned: Planned
    tones: tuple[Tone, ...] = ()
    problem: str | None = None

    @property
    def expected(self) -> str:
        return self.planned.digits or ""

    @cached_property
    def heard(self) -> str:
        return "".join(tone.digit for tone in self.tones)

    @cached_property
    def pairs(self) -> list[Pair]:
        """The digits expected and heard, side by side."""
        return align(self.expected, self.heard)

    @property
    def right(self) -> bool:
        return self.problem is None and self.heard == self.expected


@dataclass
class Check:
    """All that was judged, and the verdict: ``error`` if something could not be judged or nothing was, else
    ``fail`` below ``min_accuracy`` (0 to 1), else ``pass``.
    """

    min_accuracy: float = 1.0
    judged: list[Judged] = field(default_factory=list)
    confusion: Counter[tuple[str, str]] = field(
        default_factory=Counter
    )  # (expected or extra, heard or missed)

    def add(self, judged: Judged) -> None:
        self.judged.append(judged)
        if judged.problem is None:
            for expected, heard in judged.pairs:
                row = EXTRA if expected is None else judged.expected[expected]
                self.confusion[row, MISSED if heard is None else judged.heard[heard]] += 1

    @property
    def right(self) -> int:
        """Digits heard as they were expected."""
        return sum(count for (expected, heard), count in self.confusion.items() if expected == heard)

    @property
    def missed(self) -> int:
        return sum(count for (_, heard), count in self.confusion.items() if heard == MISSED)

    @property
    def imagined(self) -> int:
        return sum(count for (expected, _), count in self.confusion.items() if expected == EXTRA)

    @property
    def mistaken(self) -> int:
        """Digits taken for another."""
        return self.confusion.total() - self.right - self.missed - self.imagined

    @property
    def expected(self) -> int:
        """Digits that were expected."""
        return self.confusion.total() - self.imagined

    @property
    def accuracy(self) -> float:
        return self.right / self.confusion.total() if self.confusion.total() else 1.0

    @property
    def verdict(self) -> Verdict:
        if not self.judged or any(one.problem is not None for one in self.judged):
            return "error"
        return "pass" if self.accuracy >= self.min_accuracy else "fail"

    def verdict_of(self, one: Judged) -> Verdict:
        """A wrong recording fails, but where the whole reaches an accuracy that is enough it only warns."""
        if one.problem is not None:
            return "error"
        if one.right:
            return "pass"
        return "warn" if self.accuracy >= self.min_accuracy else "fail"

    @property
    def exit_code(self) -> int:
        return {"pass": 0, "fail": 1}.get(self.verdict, 2)


def judge(planned: Iterable[Planned], hear: Callable[[Planned], list[Heard]]) -> Iterator[Judged]:
    """Judge recordings one after the other; ``hear`` gives all channels of a file, or raises DtmfError.

    A label without a channel is that of all channels together: their keys in the order of time, the same
    key on two of them at once being one.
    """
    for _, labels in groupby(planned, key=lambda one: one.file):
        heard: list[Heard] | None = None
        problem: str | None = None
        for one in labels:
            if one.problem is not None:
                yield Judged(one, problem=one.problem)
                continue
            if heard is None and problem is None:
                try:
                    heard = hear(one)
                except DtmfError as error:
                    problem = str(error)
            if heard is None:
                yield Judged(one, problem=problem)
            elif one.channel is None:
                yield Judged(one, tuple(together(heard)))
            elif one.channel > len(heard):
                channels = "1 channel" if len(heard) == 1 else f"{len(heard)} channels"
                yield Judged(one, problem=f"has {channels}, and a label for channel {one.channel}")
            else:
                yield Judged(one, tuple(heard[one.channel - 1].tones))
