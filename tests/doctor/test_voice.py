"""Prompts that ship, prompts of one's own, and voices that work, are slow, fail, or are not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from ivr_sim.doctor import voice as voices
from ivr_sim.doctor.check import Check
from ivr_sim.prompts import VoiceFailed, VoiceMissing


class Speaker:
    """Takes some time, and then says a second of something or raises."""

    name = "test-voice"

    def __init__(self, clock: Clock, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.clock, self.seconds, self.error = clock, seconds, error

    async def render(self, text: str) -> Any:
        self.clock.advance(self.seconds)
        if self.error is not None:
            raise self.error
        return np.zeros(8000, np.int16)


def heard(seconds: float = 0.0, error: Exception | None = None) -> Check:
    clock = Clock()
    results: list[Check] = []
    Deferred.fromCoroutine(voices.voice(clock, "es-MX", Speaker(clock, seconds, error))).addCallback(
        results.append
    )
    [check] = results
    return check


def test_voices():
    good, slow = heard(0.25), heard(3.5)
    assert (good.state, slow.state) == ("ok", "warn")
    assert good.what == "test-voice rendered 1.0 s of speech in 0.25 s, its start included"
    assert "Callers wait" in slow.advice


@pytest.mark.parametrize(
    ("error", "what", "advice"),
    [
        (VoiceMissing("there is no voice here"), "descriptions cannot be said", "pip install py-nanotts"),
        (VoiceFailed("the voice died 2 times"), "died 2 times", "reinstall"),
    ],
)  # fmt: skip
def test_voices_that_say_nothing(error, what, advice):
    check = heard(error=error)
    assert (check.state, what in check.what, advice in check.advice) == ("fail", True, True)


def test_a_language_without_a_voice():
    results: list[Check] = []
    Deferred.fromCoroutine(voices.voice(Clock(), "fr-FR")).addCallback(results.append)
    assert results == [Check("voice", "fail", "nobody speaks fr-FR", "Set language to en-US or es-MX.")]


def test_the_prompts_that_ship(tmp_path):
    check = voices.prompts(Clock(), tmp_path / "none", "en-US")
    assert check.state == "ok"
    assert "in en-US" in check.what
    assert "in es-MX ship; the line speaks en-US" in check.what
    assert not list(tmp_path.iterdir())


def test_an_unknown_language(tmp_path):
    check = voices.prompts(Clock(), tmp_path, "fr-FR")
    assert (check.state, "known are en-US, es-MX" in check.what) == ("fail", True)


def test_a_recording_that_cannot_be_used(tmp_path):
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "ask_key.wav").write_bytes(b"no sound")
    check = voices.prompts(Clock(), tmp_path, "es-MX")
    assert (check.state, "ask_key.wav" in check.what) == ("fail", True)


def test_prompts_that_do_not_ship(tmp_path, monkeypatch):
    class Nothing:
        def __init__(self, language: str) -> None:
            self.stems: dict[str, str] = {}

        def get(self, key: str) -> None:
            return None

    monkeypatch.setattr(voices, "ShippedPrompts", Nothing)
    assert voices.prompts(Clock(), tmp_path, "es-MX").state == "warn"

    class Broken(Nothing):
        def __init__(self, language: str) -> None:
            raise ValueError("index.json is no JSON")

    monkeypatch.setattr(voices, "ShippedPrompts", Broken)
    assert voices.prompts(Clock(), tmp_path, "es-MX").state == "fail"
