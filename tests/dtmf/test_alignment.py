from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from dtmf.alignment import align

KEYS = st.text("12#", max_size=12)


def edits(expected: str, heard: str) -> int:
    return sum(
        left is None or right is None or expected[left] != heard[right]
        for left, right in align(expected, heard)
    )


@settings(deadline=None)
@given(KEYS, KEYS)
def test_every_digit_once_in_order_with_the_fewest_edits(expected: str, heard: str) -> None:
    @cache
    def fewest(i: int, j: int) -> int:  # the textbook's recursion
        if not i or not j:
            return i + j
        same = expected[i - 1] == heard[j - 1]
        return min(fewest(i - 1, j) + 1, fewest(i, j - 1) + 1, fewest(i - 1, j - 1) + (not same))

    pairs = align(expected, heard)
    assert [left for left, _ in pairs if left is not None] == list(range(len(expected)))
    assert [right for _, right in pairs if right is not None] == list(range(len(heard)))
    assert edits(expected, heard) == fewest(len(expected), len(heard))


def test_what_is_missing_leaves_its_neighbours_alone() -> None:
    assert align("1234#", "124#") == [(0, 0), (1, 1), (2, None), (3, 2), (4, 3)]
    assert align("12", "152") == [(0, 0), (None, 1), (1, 2)]


def test_thousands_of_digits() -> None:
    long = "1234567890*#" * 400
    assert edits(long, long[:1000] + long[1001:3000] + "D" + long[3000:]) == 2
    assert edits(long, "") == len(long)
