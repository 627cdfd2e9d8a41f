"""A row of the acceptance table, and what the rows share."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dtmf.acceptance.tape import Tape
from dtmf.standards import Profile, Standard

__all__ = [
    "CORNERS",
    "DIALS_HZ",
    "DIRECTIONS",
    "LAWS",
    "LEVELS",
    "TWISTS",
    "Category",
    "Doubles",
    "Kind",
    "Make",
    "Random",
    "distinct",
    "ordinary",
    "short",
    "total_dbm0",
]

Kind = Literal["must", "mustnot", "beyond", "info"]
Random = np.random.Generator
Doubles = npt.NDArray[np.float64]
Make = Callable[[Random], Iterator[Tape]]

#: Within all the standards, for categories that are about something else.
LEVELS = (-22.0, -3.0)
TWISTS = (-4.0, 4.0)
#: Both tones off their frequencies, or one: each way of being off at once.
DIRECTIONS = [pair for pair in itertools.product((-1, 0, 1), repeat=2) if pair != (0, 0)]
CORNERS = [pair for pair in DIRECTIONS if all(pair)]
DIALS_HZ: tuple[tuple[float, ...], ...] = ((350.0, 440.0), (425.0,))  # North America; ITU-T E.180
LAWS = ("mulaw", "alaw")


@dataclass(frozen=True, kw_only=True)
class Category:
    """One row of the table.

    kind: "must" be heard, "mustnot" be (the tapes' presses are then bait), "beyond" what any standard asks
    and demanded by this project, "info" not demanded. limits: the demand in a person's words. found: the
    least share of presses that must be heard; none may be heard that is not there. edges_ms: how far a
    start or an end may be off. apart: each tape is a recording of its own.
    """

    name: str
    kind: Kind
    limits: str
    source: str
    make: Make
    found: float = 1.0
    edges_ms: float | None = None
    apart: bool = False


def ordinary(rng: Random, count: int) -> tuple[Doubles, Doubles]:
    """Levels of the low and the high tones of so many digits, of which every standard wants each heard.

    One telephone's: they differ by less than an echo does from what it is the echo of.
    """
    twist = rng.uniform(*TWISTS, count)
    middle = rng.uniform(LEVELS[0] + 6, LEVELS[1] - 6) + rng.uniform(-4, 4, count)
    return middle - twist / 2, middle + twist / 2


def total_dbm0(low: float, high: float) -> float:
    """The level of two tones together."""
    return float(10 * np.log10(10 ** (low / 10) + 10 ** (high / 10)))


def distinct(profile: Profile, field: str) -> Iterator[tuple[str, Any, str]]:
    """The different values of a field in a profile's standards: whose it is, the value, the sources."""
    values: dict[Any, list[Standard]] = {}
    for standard in profile.standards:
        values.setdefault(getattr(standard, field), []).append(standard)
    for value, owners in values.items():
        if value is not None:
            names = "+".join(short(owner) for owner in owners)
            yield names, value, "; ".join(owner.source for owner in owners)


def short(standard: Standard) -> str:
    """A standard's name as part of a category's."""
    return standard.name.replace("&", "").lower()
