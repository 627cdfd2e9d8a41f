"""Scenarios in virtual time: every one of the fixtures, and what cannot be held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from twisted.internet import reactor

import dtmf
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.converse import caller_of
from ivr_sim.harness.reading import find_cases, read_scenario
from ivr_sim.harness.replay import Manner, Replayer
from ivr_sim.harness.scenario import Case

FIXTURES = Path(__file__).parents[2] / "fixtures"
CASES = {case.name: case for case in find_cases([FIXTURES / "scenarios"])}


@pytest.fixture(scope="module")
def converse(on_reactor, tmp_path_factory):
    """Holds calls on the running reactor, with one voice for all."""
    replayer = Replayer(reactor, Manner(data=tmp_path_factory.mktemp("data")))
    yield lambda case: on_reactor(replayer.replay, case, seconds=60).verdict
    on_reactor(replayer.stop)


@pytest.mark.parametrize("name", CASES)
def test_every_scenario_passes_in_virtual_time(converse, name):
    verdict = converse(CASES[name])
    assert (verdict.verdict, verdict.failure, verdict.reason) == ("pass", None, None)


def written(folder: Path, text: str) -> Case:
    path = folder / "own.call.yaml"
    path.write_text(f"version: 1\n{text}", encoding="utf-8")
    return read_scenario(path)[0]


def test_a_step_that_does_not_come_is_the_failure_with_its_line(converse, tmp_path):
    verdict = converse(
        written(
            tmp_path,
            """expect: {outcome: rejected}
steps:
  - hear: amount
    within: 4
""",
        )
    )
    failure = verdict.failure
    assert (failure.step, failure.expected) == ("step 1, hear amount", "amount, within 4 s")
    assert (failure.heard, failure.t, failure.line) == ("welcome", 4.0, 4)
    assert verdict.outcome == "abandoned"


def test_tones_may_be_played_from_a_recording(converse, tmp_path):
    dtmf.write_wav(tmp_path / "key.wav", dtmf.generate("123456#", tail_ms=100), 8000)
    text = "expect: {entries: {payment_key: '123456'}, outcome: abandoned}\n"
    steps = "steps:\n  - hear: ask_key\n  - play: key.wav\n  - hear: amount\n  - hang_up\n"
    assert converse(written(tmp_path, text + steps)).failure is None


def test_what_is_to_be_played_must_be_there(tmp_path):
    sound = tmp_path / "x.wav"
    dtmf.write_wav(sound, np.zeros(800), 8000)
    case = written(tmp_path, "expect: {outcome: abandoned}\nsteps:\n  - wait: 1\n  - play: x.wav\n")
    sound.write_bytes(b"RIFF")
    with pytest.raises(ConfigurationError, match=r"own\.call\.yaml:5: cannot be played: .*x\.wav"):
        caller_of(case)


def test_a_recorded_call_has_no_steps_to_follow():
    (case,) = find_cases([FIXTURES / "calls" / "rejected.call.yaml"])
    with pytest.raises(ConfigurationError, match=r"replay --sip"):
        caller_of(case)
