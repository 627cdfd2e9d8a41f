"""Digits that were heard, laid beside those that were expected: the fewest edits between the two.

Hirschberg's method: the edit distances of one half from the front, of the other from the back, tell where
the other text has to be cut; so it needs room for one row only, however long the digits are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Pair", "align"]


class Pair(NamedTuple):
    """Places in the expected and in the heard digits that belong together; None: nothing there.

    Without ``heard`` the digit was missed, without ``expected`` it was imagined; with both it is right,
    or was taken for another.
    """

    expected: int | None
    heard: int | None


def align(expected: str, heard: str) -> list[Pair]:
    """Every digit of both, in order, with as few edits as there can be (Levenshtein, each counts 1)."""
    pairs: list[Pair] = []
    # A stack in place of recursion: parts of the two, from and to, the next one last.
    parts = [(0, len(expected), 0, len(heard))]
    while parts:
        first, last, begin, end = parts.pop()
        alike = 0  # what both begin with needs no looking for
        for left, right in zip(expected[first:last], heard[begin:end], strict=False):
            if left != right:
                break
            alike += 1
        pairs += map(Pair, range(first, first + alike), range(begin, begin + alike))
        first, begin = first + alike, begin + alike
        if first == last:
            pairs += [Pair(None, place) for place in range(begin, end)]
        elif begin == end:
            pairs += [Pair(place, None) for place in range(first, last)]
        elif last - first == 1:
            match = heard.find(expected[first], begin, end)
            match = begin if match < 0 else match
            pairs += [Pair(None, place) for place in range(begin, match)]
            pairs.append(Pair(first, match))
            pairs += [Pair(None, place) for place in range(match + 1, end)]
        else:
            middle = (first + last) // 2
            front = _distances(expected[first:middle], heard[begin:end])
            back = _distances(expected[middle:last][::-1], heard[begin:end][::-1])[::-1]
            cut = begin + int((front + back).argmin())
            parts += [(middle, last, cut, end), (first, middle, begin, cut)]
    return pairs


def _distances(text: str, other: str) -> npt.NDArray[np.int64]:
    """The edit distances between ``text`` and every beginning of ``other``: (len(other) + 1,)."""
    letters = np.array(list(other), dtype="U1")
    places = np.arange(len(other) + 1)
    row = places.copy()
    for letter in text:
        replaced = row[:-1] + (letters != letter)
        row += 1
        np.minimum(row[1:], replaced, out=row[1:])
        # What is imagined adds one to the left neighbour: a running minimum along the diagonal.
        row = np.minimum.accumulate(row - places) + places
    return row
