"""Three ways of keying, one sequence of keys."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.media.keys import KeyDown, KeyMerger, KeyUp


@pytest.fixture
def merger():
    return KeyMerger()


def press(merger, digit, method, start, duration_ms=100, level=None):
    return merger.down(digit, method, start) + merger.up(digit, method, start, duration_ms, level)


class TestOneWay:
    @pytest.mark.parametrize("method", ["rfc4733", "info", "inband"])
    def test_down_and_up(self, merger, method):
        assert merger.down("5", method, 1.0) == [KeyDown("5", method, 1.0)]
        assert merger.up("5", method, 1.0, 80, -12.0) == [KeyUp("5", method, 1.0, 80, -12.0)]

    @pytest.mark.parametrize("method", ["rfc4733", "info", "inband"])
    def test_the_same_digit_again_is_another_key_however_soon(self, merger, method):
        out = press(merger, "5", method, 1.0, 40) + press(merger, "5", method, 1.07, 40)
        assert [type(event) for event in out] == [KeyDown, KeyUp, KeyDown, KeyUp]

    def test_an_up_without_a_down_is_nothing(self, merger):
        assert merger.up("5", "inband", 1.0, 80, None) == []


class TestTwoWays:
    @pytest.mark.parametrize(
        ("first", "second"),
        [("inband", "rfc4733"), ("inband", "info"), ("info", "rfc4733"), ("rfc4733", "info")],
    )
    @pytest.mark.parametrize("apart", [-0.120, -0.03, 0.0, 0.05, 0.120])
    def test_within_120_ms_they_are_one(self, merger, first, second, apart):
        out = merger.down("5", first, 1.0) + merger.down("5", second, 1.0 + apart)
        out += merger.up("5", first, 1.0, 100, None) + merger.up("5", second, 1.0 + apart, 100, -9.0)
        assert [type(event) for event in out] == [KeyDown, KeyUp]
        assert {event.method for event in out} == {first}
        assert {event.start for event in out} == {1.0}
        assert out[1].duration_ms == round(100 + 1000 * max(apart, 0))
        assert out[1].level_dbm0 == -9.0

    @pytest.mark.parametrize(
        ("first", "second"), [("inband", "info"), ("info", "rfc4733"), ("rfc4733", "info")]
    )
    def test_farther_apart_they_are_two(self, merger, first, second):
        out = press(merger, "5", first, 1.0, 40) + press(merger, "5", second, 1.17, 40)
        assert [event.method for event in out] == [first, first, second, second]

    def test_another_digit_is_another_key(self, merger):
        out = press(merger, "5", "info", 1.0) + press(merger, "6", "inband", 1.0)
        assert [event.digit for event in out] == ["5", "5", "6", "6"]

    def test_info_at_the_end_of_a_long_key_is_the_same_key(self, merger):
        out = merger.down("5", "inband", 1.0)
        out += press(merger, "5", "info", 2.0, 160)
        assert out == [KeyDown("5", "inband", 1.0)]
        out += merger.up("5", "inband", 1.0, 1050, -10.0)
        assert out[1:] == [KeyUp("5", "inband", 1.0, 1160, -10.0)]

    def test_doubled_digits_by_two_ways_stay_two(self, merger):
        # Tones at 0.0 and 0.2 s; the INFO of each comes just after it.
        out = []
        for start in (0.0, 0.2):
            out += press(merger, "5", "inband", start, 100)
            out += press(merger, "5", "info", start + 0.11, 100)
        assert [type(event) for event in out] == [KeyDown, KeyUp] * 2

    def test_both_ways_on_every_key_of_a_number(self, merger):
        out = []
        for n, digit in enumerate("4111111111111111#"):
            out += press(merger, digit, "info", n * 0.15, 100)
            out += press(merger, digit, "inband", n * 0.15 + 0.02, 100)
        assert "".join(event.digit for event in out if isinstance(event, KeyDown)) == "4111111111111111#"


class TestInband:
    def test_is_muted_once_events_were_seen(self, merger):
        assert merger.listens_inband
        press(merger, "1", "rfc4733", 1.0)
        assert not merger.listens_inband
        assert press(merger, "2", "inband", 5.0) == []
        assert [event.digit for event in press(merger, "3", "rfc4733", 6.0)] == ["3", "3"]

    def test_is_not_muted_by_info(self, merger):
        press(merger, "1", "info", 1.0)
        assert merger.listens_inband

    def test_a_tone_begun_before_the_first_event_still_ends(self, merger):
        out = merger.down("1", "inband", 1.0)
        out += merger.down("1", "rfc4733", 1.04)
        assert merger.listens_inband
        out += merger.up("1", "rfc4733", 1.04, 100, -10.0)
        assert out == [KeyDown("1", "inband", 1.0)]
        assert merger.up("1", "inband", 1.0, 60, -14.0) == [KeyUp("1", "inband", 1.0, 140, -10.0)]
        assert not merger.listens_inband


def test_a_new_key_ends_one_that_is_still_down(merger):
    out = merger.down("1", "inband", 1.0) + merger.down("2", "rfc4733", 1.5)
    assert out == [
        KeyDown("1", "inband", 1.0),
        KeyUp("1", "inband", 1.0, 500, None),
        KeyDown("2", "rfc4733", 1.5),
    ]
    assert merger.up("1", "inband", 1.0, 600, -10.0) == []
    assert [event.digit for event in merger.up("2", "rfc4733", 1.5, 100, None)] == ["2"]


def test_a_key_keeps_its_digit_to_itself():
    assert "7" not in repr(KeyDown("7", "info", 1.0))
    assert "7" not in repr(KeyUp("7", "info", 1.0, 100, None))


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from("12"),
            st.sampled_from(["rfc4733", "info", "inband"]),
            st.integers(0, 400),
            st.integers(0, 300),
        ),
        max_size=40,
    )
)
def test_downs_and_ups_take_turns_whatever_comes(steps):
    merger, out, time = KeyMerger(), [], 0.0
    for is_down, digit, method, pause_ms, duration_ms in steps:
        time += pause_ms / 1000
        if is_down:
            out += merger.down(digit, method, time)
        else:
            out += merger.up(digit, method, time, duration_ms, None)
    downs, ups = out[::2], out[1::2]
    assert all(isinstance(event, KeyDown) for event in downs)
    assert all(isinstance(event, KeyUp) for event in ups)
    for down, up in zip(downs, ups, strict=False):
        assert (down.digit, down.method, down.start) == (up.digit, up.method, up.start)
        assert up.duration_ms >= 0
