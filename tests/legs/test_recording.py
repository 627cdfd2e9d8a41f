"""RecordingLeg: tapes of real key tones, in virtual time."""

from __future__ import annotations

import numpy as np
import pytest
from twisted.internet.defer import Deferred

import dtmf
from ivr_sim.call import CallerHungUp, phrase
from ivr_sim.journal import CallAnswered, KeyPressed, PromptEnded
from ivr_sim.legs import RecordingLeg

ASK = phrase("ask_key")


def tape(digits: str, *, lead_ms: float = 300, tail_ms: float = 2000, level: float = -10.0) -> np.ndarray:
    sound = dtmf.generate(digits, tone_ms=80, gap_ms=70, lead_ms=lead_ms, tail_ms=tail_ms, level_dbm0=level)
    return np.round(sound * 32767).astype(np.int16)


def play(line, samples: np.ndarray) -> Deferred[None]:
    return Deferred.fromCoroutine(RecordingLeg(line.call, samples).run())


def test_a_tape_of_real_tones_is_typed(line, journal):
    line.collect(ASK, max_digits=12, complete=lambda digits: False)
    play(line, tape("4070913#"))
    assert line.entry == ("4070913", "terminator")
    assert journal.of(CallAnswered) == [CallAnswered(codec="L16", key_methods=("inband",))]
    keys = journal.of(KeyPressed)
    assert [k.start for k in keys] == [pytest.approx(0.3 + n * 0.15, abs=0.005) for n in range(8)]
    assert {k.duration_ms for k in keys} <= set(range(75, 86))
    assert {k.level_dbm0 for k in keys} == {-10}


@pytest.mark.parametrize("lead_ms", [400, 403.5, 407, 411.5, 415, 419])
def test_a_tone_stops_the_prompt_within_60_ms_of_its_onset(line, journal, lead_ms):
    line.collect(ASK, max_digits=1)
    play(line, tape("5", lead_ms=lead_ms))
    [cut] = journal.of(PromptEnded)
    assert cut.cut_by == "key"
    assert 0 < journal.time_of(cut) - lead_ms / 1000 <= 0.06


def test_when_the_tape_has_run_out_the_caller_has_hung_up(line):
    line.collect(ASK)
    assert play(line, tape("12", tail_ms=500)).called
    assert isinstance(line.results[0], CallerHungUp)
    assert line.call.gone == "caller"
    assert line.call.now == pytest.approx(0.3 + 0.23 + 0.5, abs=0.02)


@pytest.mark.parametrize("length", [0, 1, 159, 160, 161])
def test_tapes_of_any_length(line, length):
    line.collect(ASK)
    assert play(line, np.zeros(length, np.int16)).called
    assert line.call.now == -(-length // 160) / 50


def test_our_hang_up_ends_the_tape(line):
    line.start(line.call.hang_up())
    assert play(line, tape("1", tail_ms=60_000)).called
    assert line.call.gone == "ivr"
    assert line.call.now == pytest.approx(0.3)


def test_time_stands_still_while_the_dialogue_awaits_something_else(line, journal):
    """An authorizer's answer takes no time of the tape: no key and no time-out passes meanwhile."""
    answer: Deferred[None] = Deferred()

    async def talk() -> list[str]:
        key = await line.call.collect(ASK, max_digits=2, first_digit_timeout=8, digit_timeout=4)
        await answer
        choice = await line.call.collect(max_digits=1, first_digit_timeout=8, digit_timeout=4)
        await line.call.hang_up()
        return [key.typed.reveal(), choice.typed.reveal()]

    line.start(talk())
    done = play(line, tape("421"))
    stood = line.call.now
    assert not done.called
    assert len(journal.of(KeyPressed)) == 2
    assert line.call.now == stood < 0.65
    answer.callback(None)
    assert done.called
    assert line.results == [["42", "1"]]


def test_time_stands_still_while_a_prompt_is_made(line):
    line.sounds.held = Deferred()
    line.collect(ASK, max_digits=1)
    done = play(line, tape("7"))
    assert (line.call.now, done.called) == (0, False)
    line.sounds.held.callback(None)
    assert line.entry == ("7", "complete")


def test_a_tape_is_played_the_same_each_time(journal, line):
    records = []
    for _ in range(2):
        journal.records.clear()
        again = type(line)(journal)
        again.collect(ASK, max_digits=4)
        play(again, tape("1470"))
        records.append([(r.t, r.event) for r in journal.records])
    assert records[0] == records[1]


@pytest.mark.parametrize("samples", [np.zeros((10, 2), np.int16), np.zeros(10, np.float32)])
def test_other_shapes_and_types_are_refused(line, samples):
    with pytest.raises(ValueError, match="int16"):
        RecordingLeg(line.call, samples)
