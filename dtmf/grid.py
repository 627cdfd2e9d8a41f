"""How a receiver fares in the acceptance table: one row per category, over one seed or several."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dtmf.acceptance import Category, Kind, Press, Tape, categories, joined
from dtmf.decoder import decode
from dtmf.errors import DtmfError
from dtmf.goertzel import RATE
from dtmf.resample import to_8k
from dtmf.standards import DEFAULT, Profile

__all__ = ["Hear", "Row", "at_8k", "chosen", "matched", "measured", "own_receiver", "tapes"]

Floats = npt.NDArray[np.float32]
#: A receiver as a function: samples (n,) and their rate in Hz to the presses heard. Their times are seconds,
#: or NaN if the receiver tells none.
Hear = Callable[[Floats, int], Iterable[Press]]

# A report may lie so far from its press and still be of it: receivers differ in what they call a start, and
# pauses are longer.
EARLY_S, LATE_S = 0.02, 0.025
PAUSE_S = 0.4  # between joined tapes
LONGEST_S = 600  # of joined tapes, at 8 kHz


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of a category.

    presses: how many were on the tapes; found: how many of them were heard, once each and as what they
    are; false: what else was heard, a doubled press counting once. edges_ms: the farthest that a start or
    an end was off, None without times. seconds: of sound.
    """

    category: Category
    presses: int = 0
    found: int = 0
    false: int = 0
    edges_ms: float | None = None
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The category's name."""
        return self.category.name

    @property
    def kind(self) -> Kind:
        """The category's kind."""
        return self.category.kind

    @property
    def passed(self) -> bool:
        """Whether it is as demanded; where nothing is, it always is."""
        if self.kind == "info":
            return True
        if self.kind == "mustnot":
            return self.found + self.false == 0
        if self.category.edges_ms is not None and (
            self.edges_ms is not None and self.edges_ms > self.category.edges_ms
        ):
            return False
        return self.found >= self.category.found * self.presses and self.false == 0


def own_receiver(profile: Profile = DEFAULT) -> Hear:
    """This package's receiver with a profile's limits, as a function."""

    def hear(samples: Floats, rate: int) -> list[Press]:
        return [(tone.digit, tone.start_s, tone.end_s) for tone in decode(samples, rate, profile=profile)]

    return hear


def at_8k(hear: Callable[[Floats], Iterable[Press]]) -> Hear:
    """A receiver that takes 8 kHz alone, given other rates as this package would give them to its own."""
    return lambda samples, rate: hear(to_8k(samples, rate))


def chosen(profile: Profile = DEFAULT, only: Sequence[str] = ()) -> list[Category]:
    """The categories of a profile; with ``only``, those so named, in full or up to a dot.

    Raises DtmfError for a name that is none.
    """
    table = categories(profile)
    if not only:
        return table
    for name in only:
        if not any(_named(category, name) for category in table):
            names = ", ".join(dict.fromkeys(category.name.split(".")[0] for category in table))
            raise DtmfError(f"no row {name!r}; there are {names}")
    return [category for category in table if any(_named(category, name) for name in only)]


def _named(category: Category, name: str) -> bool:
    return name in (category.name, category.name.split(".")[0])


def measured(category: Category, seeds: Iterable[int], hear: Hear) -> Row:
    """One category's tapes of some seeds, heard by a receiver.

    Most tapes are a few seconds long. Unless the category wants them apart, they are joined to long
    recordings, with pauses in which no receiver remembers the digits before.
    """
    row = Row(category=category)
    waiting: list[Tape] = []
    for tape in itertools.chain.from_iterable(tapes(category, seed) for seed in seeds):
        if waiting and (
            category.apart
            or waiting[0].rate != tape.rate
            or sum(len(one.sound) for one in waiting) > LONGEST_S * RATE
        ):
            row = _plus(row, waiting, hear)
            waiting = []
        waiting.append(tape)
    return _plus(row, waiting, hear) if waiting else row


def tapes(category: Category, seed: int) -> Iterator[Tape]:
    """A category's tapes; they do not change with what is made beside them."""
    yield from category.make(np.random.default_rng([seed, zlib.crc32(category.name.encode())]))


def _plus(row: Row, recordings: list[Tape], hear: Hear) -> Row:
    tape = recordings[0] if len(recordings) == 1 else joined(recordings, PAUSE_S)
    heard = list(hear(tape.sound, tape.rate))
    pairs = matched(tape.presses, heard)
    edges = [
        1000 * abs(mine - theirs)
        for press, report in pairs
        for mine, theirs in zip(press[1:], report[1:], strict=True)
        if not math.isnan(theirs)
    ]
    if row.edges_ms is not None:
        edges.append(row.edges_ms)
    return replace(
        row,
        presses=row.presses + len(tape.presses),
        found=row.found + len(pairs),
        false=row.false + len(heard) - len(pairs),
        edges_ms=max(edges, default=None),
        seconds=row.seconds + tape.seconds,
    )


def matched(presses: Sequence[Press], heard: Sequence[Press]) -> list[tuple[Press, Press]]:
    """As many presses as possible, each with one report of it, both in order: longest common subsequence."""
    first = 0
    while first < min(len(presses), len(heard)) and _same(presses[first], heard[first]):
        first += 1
    pairs = list(zip(presses[:first], heard[:first], strict=True))
    presses, heard = presses[first:], heard[first:]
    last = 0
    while last < min(len(presses), len(heard)) and _same(presses[-1 - last], heard[-1 - last]):
        last += 1
    tail = list(zip(presses[len(presses) - last :], heard[len(heard) - last :], strict=True))
    presses, heard = presses[: len(presses) - last], heard[: len(heard) - last]

    best = np.zeros((len(presses) + 1, len(heard) + 1), int).tolist()
    for i in range(len(presses) - 1, -1, -1):
        for j in range(len(heard) - 1, -1, -1):
            both = 1 + best[i + 1][j + 1] if _same(presses[i], heard[j]) else 0
            best[i][j] = max(both, best[i + 1][j], best[i][j + 1])
    i = j = 0
    while i < len(presses) and j < len(heard):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            pairs.append((presses[i], heard[j]))
            i, j = i + 1, j + 1
    return pairs + tail


def _same(press: Press, report: Press) -> bool:
    digit, start, end = press
    if report[0] != digit:
        return False
    # Comparisons with NaN are false: a report without times fits by its digit alone.
    return not (report[1] > end + LATE_S or report[2] < start - EARLY_S)
