"""A scripted caller's leg: each way of keying reaches the call as it would on the telephone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from twisted.internet.defer import Deferred

import dtmf
from ivr_sim.journal import CallAnswered, KeyPressed
from ivr_sim.legs.scripted import KeySent, ScriptedLeg, Turn


def tones(digits: str) -> list[np.ndarray]:
    sound = dtmf.generate(digits, tone_ms=80, gap_ms=80, tail_ms=80)
    return list(np.round(sound * 32767).astype(np.int16).reshape(-1, 160))


def paced(digits: str, method: str) -> Iterator[Turn]:
    for digit in digits:
        yield Turn(None, (KeySent(digit, method, 90),))
        yield from [Turn()] * 11


class Caller:
    """Does what is in its list, then hangs up."""

    def __init__(self, turns) -> None:
        self._turns = iter(turns)

    def tick(self) -> Turn:
        return next(self._turns, Turn(hang_up=True))


@pytest.mark.parametrize("way", ["inband", "rfc4733", "info"])
def test_each_way_of_keying_makes_the_entry(line, journal, way):
    line.collect(max_digits=4)
    turns = [Turn(frame) for frame in tones("1234")] if way == "inband" else list(paced("1234", way))
    leg = ScriptedLeg(line.call, Caller(turns))
    finish(line, leg)
    assert line.entry == ("1234", "complete")
    keys = journal.of(KeyPressed)
    assert {key.method for key in keys} == {way}
    assert {key.duration_ms for key in keys} == ({80} if way == "inband" else {90})
    level = {"inband": -10, "rfc4733": -10, "info": None}[way]
    assert {key.level_dbm0 for key in keys} == {level}
    apart = {round(b.start - a.start, 2) for a, b in pairwise(keys)}
    assert apart == ({0.16} if way == "inband" else {0.24})
    assert journal.of(CallAnswered)[0].key_methods == ("rfc4733", "info", "inband")


def test_tones_are_not_listened_to_once_events_were_seen(line):
    line.collect(max_digits=4, first=1.0, digit=0.5)
    finish(
        line,
        ScriptedLeg(line.call, Caller([*paced("1", "rfc4733"), *map(Turn, tones("23")), *[Turn()] * 40])),
    )
    assert line.entry == ("1", "timeout")


def test_a_key_by_two_ways_at_once_is_one_key(line):
    line.collect(max_digits=4, first=2.0, digit=0.5)
    both = [Turn(frame, (KeySent("5", "info", 80),) if n == 0 else ()) for n, frame in enumerate(tones("5"))]
    finish(line, ScriptedLeg(line.call, Caller([*both, *[Turn()] * 60])))
    assert line.entry == ("5", "timeout")


def test_a_caller_who_hangs_up_is_gone_at_once_and_both_sides_are_kept(line):
    line.collect(max_digits=4)
    frame = np.full(160, 7, np.int16)
    leg = ScriptedLeg(line.call, Caller([Turn(frame), Turn()]))
    finish(line, leg)
    assert (line.call.gone, line.call.now) == ("caller", 0.04)
    said, heard = leg.sides
    assert np.array_equal(said, np.concatenate([frame, np.zeros(160, np.int16)]))
    assert heard.shape == (320,)


def test_others_get_their_turn(line):
    line.collect(max_digits=4, first=60.0)
    rests = []

    async def rest() -> None:
        rests.append(line.call.now)

    finish(line, ScriptedLeg(line.call, Caller([Turn()] * 600), rest=rest))
    assert rests == [4.98, 9.98]


def finish(line, leg: ScriptedLeg) -> None:
    """Run it until the caller has gone, or the dialogue wants no more of them; then it is over, too."""
    running = Deferred.fromCoroutine(leg.run())
    line.call.hung_up()
    assert running.called
