"""The keys of one caller, by themselves: which wait, which count, when they were down."""

from __future__ import annotations

import pytest

from ivr_sim.call import Stroke
from ivr_sim.legs.keys import CallerKeys


@pytest.fixture
def keys() -> CallerKeys:
    return CallerKeys()


@pytest.fixture
def press(keys):
    """Press these keys, 0.1 s each and 0.1 s apart, from this second on; how many of them count."""

    def press(digits: str, start: float) -> int:
        counted = 0
        for n, digit in enumerate(digits):
            begin = start + 0.2 * n
            keys.down(digit, "rfc4733", begin)
            counted += keys.up(digit, begin, begin + 0.1, Stroke("rfc4733", 100, None, None))
        return counted

    return press


def taken(keys: CallerKeys) -> str:
    out = ""
    while keys.waiting:
        out += keys.take().digit
    return out


def test_they_wait_in_their_order(keys, press):
    assert press("123", 1.0) == 3
    assert keys.keying
    assert taken(keys) == "123"
    assert not keys.keying


def test_a_key_that_is_down_is_held_and_counts_already(keys):
    assert keys.down("5", "inband", 1.0)
    assert (keys.held, keys.waiting, keys.keying) == (True, False, True)
    keys.up("5", 1.0, 1.1, Stroke("inband", 100, -12.0, 0.0))
    assert (keys.held, keys.waiting) == (False, True)


def test_the_same_key_by_two_ways_is_told_apart(keys):
    keys.down("5", "inband", 1.0)
    keys.down("5", "info", 1.0)
    keys.up("5", 1.0, 1.1, Stroke("info", 100, None, None))
    assert keys.held


def test_flushed_keys_do_not_count_before_the_next_prompt(keys, press):
    press("12", 1.0)
    keys.flush(0.0)
    assert (taken(keys), press("34", 2.0)) == ("", 0)
    assert not keys.down("5", "rfc4733", 3.0)
    keys.prompted(4.0)
    assert not keys.keying  # the one that is still down was pressed before it
    keys.up("5", 3.0, 4.1, Stroke("rfc4733", 1100, None, None))
    assert press("6", 5.0) == 1
    assert taken(keys) == "6"


def test_nor_does_the_run_that_they_belong_to(keys, press):
    press("1", 1.0)
    keys.flush(1.0)
    keys.prompted(1.2)
    assert press("23", 1.5) == 0  # each follows the last by less than a second
    assert press("4", 3.0) == 1


def test_listening_takes_what_comes_at_once(keys, press):
    keys.flush(0.0)
    keys.listen()
    assert press("1", 0.5) == 1


@pytest.mark.parametrize(("start", "counts"), [(2.9, 0), (3.1, 1)])
def test_a_terminator_out_of_habit(keys, press, start, counts):
    keys.entered("#", 3.0)
    assert press("#", start) == counts


def test_it_is_one_only_and_another_key_ends_the_wait(keys, press):
    keys.entered("#", 3.0)
    assert press("##", 1.0) == 1
    keys.forget()
    keys.entered("#", 9.0)
    assert press("1#", 2.0) == 2


def test_one_that_was_typed_ahead_is_taken_along(keys, press):
    press("#7", 1.0)
    keys.entered("#", 9.0)
    assert taken(keys) == "7"
    assert press("#", 2.0) == 1


def test_when_keys_were_down(keys, press):
    press("12", 1.0)
    keys.down("3", "rfc4733", 2.0)
    keys.take().press.published = True
    secret, published = keys.spans(2.5)
    assert published == [(1.0, 1.1)]
    assert secret == [(1.2, pytest.approx(1.3)), (2.0, 2.5)]
