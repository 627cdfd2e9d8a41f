"""The scripted caller: each kind of step, what it waits for, and how it says that something did not come."""

from __future__ import annotations

import numpy as np
import pytest

from ivr_sim.harness.keypad import Keypad
from ivr_sim.harness.scenario import HangUp, Hear, Play, Press, Wait
from ivr_sim.harness.script import ScriptedCaller

SOUND = np.full(800, 1000, np.int16)  # 100 ms


class Call:
    """A caller, the prompts it is told of, and the ticks at which it did something."""

    def __init__(self, *steps, delay: float = 0.4, by: str = "rfc4733") -> None:
        keypad = Keypad(by=by, key_ms=60, gap_ms=60)
        self.caller = ScriptedCaller(steps, keypad, delay=delay, sounds={"x.wav": SOUND})
        self.keys: list[tuple[float, str, str]] = []
        self.sounding: list[float] = []
        self.gone: float | None = None

    def tick(self, seconds: float) -> Call:
        for _ in range(round(seconds * 50)):
            now, turn = self.caller.now, self.caller.tick()
            self.keys += [(now, key.digit, key.method) for key in turn.keys]
            if turn.frame is not None and turn.frame.any():
                self.sounding.append(now)
            if turn.hang_up and self.gone is None:
                self.gone = now
        return self

    def hear(self, name: str, seconds: float = 2.0, **params: str) -> Call:
        """A prompt, from its beginning to its end."""
        self.caller.begun(name, params)
        self.tick(seconds)
        self.caller.over()
        return self

    @property
    def digits(self) -> str:
        return "".join(digit for _, digit, _ in self.keys)


def test_keys_come_when_the_prompt_was_heard_out_and_a_moment_later():
    call = Call(Hear(hear="ask_key"), Press(press="12#"))
    call.tick(1).hear("welcome").hear("ask_key")
    assert call.keys == []
    call.tick(2)
    assert [(t, digit) for t, digit, _ in call.keys] == [(5.4, "1"), (5.6, "2"), (5.8, "#")]
    assert call.caller.at is None
    call.caller.ended()
    assert call.caller.failure is None


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_prompt_may_be_cut_after_so_many_seconds(seconds):
    call = Call(Hear(hear="ask_key", for_=seconds), Press(press="1"))
    call.tick(1).hear("ask_key", 3.0)
    assert [t for t, _, _ in call.keys] == [1.0 + seconds]


def test_a_prompt_shorter_than_it_was_to_be_heard_is_waited_out():
    call = Call(Hear(hear="ask_key", for_=2.0), Press(press="1"))
    call.hear("ask_key", 0.5).tick(3)
    assert [t for t, _, _ in call.keys] == [2.0]


def test_a_prompt_that_began_before_its_step_is_taken_all_the_same():
    call = Call(Press(press="123#"), Hear(hear="amount"), Press(press="1"))
    call.hear("amount", 0.2).tick(3)
    assert call.digits == "123#1"


def test_a_prompt_is_taken_once_and_what_was_passed_over_is_gone():
    call = Call(Hear(hear="ask_card", within=3), Hear(hear="ask_card", within=3), Press(press="1"))
    call.hear("ask_card").tick(2.9)
    assert call.caller.failure is None
    call.tick(0.2)
    assert (call.caller.failure.step, call.caller.at) == ("step 2, hear ask_card", 1)

    call = Call(Hear(hear="amount", within=3), Hear(hear="welcome", within=3))
    call.hear("welcome").hear("amount").tick(4)
    assert call.caller.failure.expected == "welcome, within 3 s"


def test_what_does_not_come_in_time_fails_with_what_was_heard_instead():
    call = Call(Hear(hear="ask_key"), Press(press="1"), Hear(hear="amount", within=5))
    call.hear("ask_key").tick(1).hear("bad_key", 1.0).hear("ask_key", 1.0).tick(2)
    assert call.gone is None
    call.tick(1)
    failure = call.caller.failure
    assert failure.step == "step 3, hear amount"
    assert (failure.expected, failure.heard) == ("amount, within 5 s", "bad_key, ask_key")
    assert failure.t == pytest.approx(call.gone)
    assert call.gone == pytest.approx(7.6)  # the key was sent whole at 2.6
    call.caller.ended("later")
    assert call.caller.failure is failure


def test_nothing_heard_at_all():
    call = Call(Hear(hear="welcome", within=1)).tick(1.1)
    assert call.caller.failure.heard == "nothing"


@pytest.mark.parametrize(
    ("said", "fits"),
    [({"amount": "200.00"}, True), ({"amount": "200.0"}, True), ({"amount": "200.01"}, False), ({}, False)],
)
def test_what_a_prompt_says_is_compared(said, fits):
    call = Call(Hear(hear="amount", with_={"amount": "200"}, within=3), HangUp())
    call.hear("amount", 1.0, **said).tick(3)
    assert (call.caller.failure is None) == fits
    if not fits:
        heard = said.get("amount", "unknown")
        assert (call.caller.failure.expected, call.caller.failure.heard) == (
            "amount, amount 200, within 3 s", f"amount (amount {heard})",
        )  # fmt: skip


def test_what_nobody_knows_of_a_prompt_is_not_held_against_it():
    call = Call(Hear(hear="amount", with_={"amount": "200"}), HangUp())
    call.caller.begun("amount", None)
    call.tick(1)
    call.caller.over(cut=True)
    call.tick(0.1)
    assert (call.caller.failure, call.gone) == (None, 1.0)


def test_the_time_for_a_prompt_counts_from_the_end_of_what_was_heard_before():
    call = Call(Hear(hear="welcome"), Hear(hear="ask_key", within=2), HangUp())
    call.hear("welcome", 6.0).tick(1.9).hear("ask_key").tick(1)
    assert call.caller.failure is None


def test_waiting_counts_from_the_end_of_a_prompt_or_of_the_step_before():
    call = Call(Hear(hear="ask_key"), Wait(wait=1.5), Press(press="1"), Wait(wait=1), Press(press="2"))
    call.hear("ask_key").tick(5)
    assert [t for t, _, _ in call.keys] == [3.5, 3.5 + 0.2 + 1]


def test_a_recording_is_played_into_the_call():
    call = Call(Hear(hear="welcome"), Play(play="x.wav"), Press(press="1"), delay=0.0)
    call.hear("welcome").tick(1)
    assert call.sounding == pytest.approx([2.0, 2.02, 2.04, 2.06, 2.08])
    assert [t for t, _, _ in call.keys] == [2.1]


def test_hanging_up_waits_for_the_end_of_a_prompt_and_of_keys():
    call = Call(Hear(hear="approved"), HangUp()).hear("approved", 3.0).tick(1)
    assert call.gone == 3.0
    call = Call(Press(press="12"), HangUp(), by="info").tick(1)
    assert (call.digits, call.gone) == ("12", pytest.approx(0.24))


@pytest.mark.parametrize("by", ["rfc4733", "info"])
def test_a_step_may_have_a_way_of_keying_of_its_own(by):
    call = Call(Press(press="1"), Press(press="2", by=by), by="inband").tick(1)
    assert [(digit, method) for _, digit, method in call.keys] == [("2", by)]
    assert call.sounding[0] == 0.0


def test_a_call_that_ends_too_soon_fails_at_its_step():
    call = Call(Hear(hear="ask_key"), Press(press="4111"), Hear(hear="approved"))
    call.hear("ask_key").tick(3).hear("declined").tick(1)
    call.caller.ended()
    failure = call.caller.failure
    assert (failure.step, failure.heard) == ("step 3, hear approved", "declined; the call ended")


def test_a_press_that_was_cut_off_fails_and_shows_no_key():
    call = Call(Press(press="4111111111111111"), HangUp()).tick(0.5)
    call.caller.ended()
    assert call.caller.failure.step == "step 1, press 16 keys"
    assert "4111" not in repr(call.caller.failure)


def test_to_wait_and_to_hang_up_is_done_when_the_other_side_has_hung_up():
    call = Call(Hear(hear="goodbye"), Wait(wait=5), HangUp()).hear("goodbye", 1.0).tick(0.5)
    call.caller.ended()
    assert call.caller.failure is None


def test_keys_whose_last_was_just_sent_count():
    call = Call(Press(press="1"), by="info")
    call.tick(0.12)
    call.caller.ended()
    assert (call.digits, call.caller.failure) == ("1", None)
