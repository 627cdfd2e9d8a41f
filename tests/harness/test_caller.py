"""The telephone in a caller's hand, and the callers who do not follow steps: without SIP, tick by tick."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ivr_sim.errors import LocalProtocolError
from ivr_sim.harness.caller import HANG_UP, Answers, Script, Tape, Telephone, follow
from ivr_sim.journal import CallOffered, PromptEnded, PromptStarted
from ivr_sim.legs.scripted import KeySent, Turn

SILENCE = np.zeros(160, np.int16)


class Session:
    """What a telephone needs of one."""

    def __init__(self, takes_events: bool = True) -> None:
        self.done: list[tuple] = []
        self.takes_events = takes_events
        self.stream = SimpleNamespace(press=self.press)

    def press(self, digit: str, ms: int) -> None:
        if not self.takes_events:
            raise LocalProtocolError("no telephone-events were agreed upon; send INFO or tones instead")
        self.done.append(("press", digit, ms))

    def send_info_key(self, digit: str, ms: int) -> None:
        self.done.append(("info", digit, ms))

    def hang_up(self) -> None:
        self.done.append(("hang_up",))


def telephone(*turns: Turn, **more) -> tuple[Telephone, Session]:
    session = Session(more.pop("takes_events", True))
    phone = Telephone(SimpleNamespace(tick=iter(turns).__next__), **more)
    phone._session = session  # as dial() leaves it
    return phone, session


def test_what_a_caller_does_goes_out_by_its_way():
    tone = np.full(160, 500, np.int16)
    keys = (KeySent("1", "rfc4733", 80), KeySent("2", "info", 90))
    ears: list[np.ndarray] = []
    phone, session = telephone(Turn(tone), Turn(None, keys), Turn(hang_up=True), ear=ears.append)
    heard = [np.full(160, n, np.int16) for n in (1, 2, 3)]
    assert phone.tick(heard[0]) is tone
    assert [phone.tick(frame) for frame in heard[1:]] == [None, None]
    assert session.done == [("press", "1", 80), ("info", "2", 90), ("hang_up",)]
    assert np.array_equal(phone.heard, np.concatenate(heard))
    assert np.array_equal(phone.sent, np.concatenate([tone, SILENCE, SILENCE]))
    assert len(ears) == 3


def test_a_way_of_keying_that_the_other_side_does_not_take_ends_the_call_and_says_so():
    phone, session = telephone(Turn(None, (KeySent("1", "rfc4733", 80),)), takes_events=False)
    assert phone.tick(SILENCE) is None
    assert session.done == [("hang_up",)]
    assert "send INFO or tones" in phone.problem


def test_a_tape_ends_with_its_last_whole_frame():
    tape = Tape(np.arange(400, dtype=np.int16))
    assert [turn.hang_up for turn in (tape.tick(), tape.tick(), tape.tick())] == [False, False, True]


@pytest.mark.parametrize(("barge_in", "at"), [(False, 1.4), (True, 0.4)])
def test_answers_come_to_each_prompt_in_turn(barge_in, at):
    answers = Answers(Script(answers={"ask_key": ["1", "2"]}, by="info", barge_in=barge_in))
    keys = []
    for n in range(2):
        answers.begun("ask_key", {})
        for tick in range(100):
            if tick == 50:
                answers.over()
            keys += [(n, round(tick / 50, 1), key.digit) for key in answers.tick().keys]
    assert keys == [(0, at, "1"), (1, at, "2")]


def test_a_prompt_that_was_cut_is_not_answered_and_hanging_up_comes_behind_the_keys():
    answers = Answers(Script(answers={"welcome": ["9"], "ask_key": [f"12{HANG_UP}"]}, by="info", delay=0))
    answers.begun("welcome", {})
    answers.over(cut=True)
    answers.begun("ask_key", {})
    answers.over()
    turns = [answers.tick() for _ in range(40)]
    assert [key.digit for turn in turns for key in turn.keys] == ["1", "2"]
    first = next(n for n, turn in enumerate(turns) if turn.hang_up)
    assert first > max(n for n, turn in enumerate(turns) if turn.keys)


def test_a_call_is_followed_by_its_user_or_its_name(journal):
    told: list[tuple] = []
    hearer = SimpleNamespace(
        begun=lambda name, params: told.append((name, dict(params))),
        over=lambda *, cut: told.append(("over", cut)),
    )
    stop = follow(journal, hearer, user="1001")
    for call, user in (("1", "1002"), ("2", "1001"), ("3", "1001")):
        journal.emit(CallOffered(from_=user, to="5000", leg="sip"), call=call)
        journal.emit(PromptStarted(name="amount", params={"call": call}), call=call)
        journal.emit(PromptEnded(name="amount", cut_by="key"), call=call)
    assert told == [("amount", {"call": "2"}), ("over", True)]
    stop()
    journal.emit(PromptStarted(name="amount", params={}), call="2")
    assert len(told) == 2
    follow(journal, hearer, call="3")
    journal.emit(PromptStarted(name="welcome", params={}), call="3")
    assert told[-1] == ("welcome", {})
