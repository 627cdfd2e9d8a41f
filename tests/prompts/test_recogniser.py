"""Prompts told while they sound, over good lines and bad ones."""

from __future__ import annotations

import numpy as np
import pytest

import dtmf
from ivr_sim.call import Phrase, phrase
from ivr_sim.media.g711 import PCMA
from ivr_sim.prompts.recogniser import PromptBegun, PromptOver, Recogniser

CALL = ("welcome", "ask_key", "ask_accept", "ask_card", "ask_expiry", "one_moment", "approved", "goodbye")
CUTS = {"ask_key": 1.5, "ask_card": 0.8, "ask_expiry": 2.0}


@pytest.fixture
def listen():
    """All that a recogniser tells of a sound, each with the second at which it was told."""

    def hear(sound, candidates):
        recogniser = Recogniser(candidates)
        told = []
        for number, frame in enumerate(sound[: len(sound) // 160 * 160].reshape(-1, 160), 1):
            told += [(number / 50, event) for event in recogniser.feed(frame)]
        return told

    return hear


LINES = [
    pytest.param("spanish", {}, id="spanish"),
    pytest.param("spanish", {"snr": 20, "lost": 0.02, "gain": -6}, id="noise and losses"),
    pytest.param("english", {"snr": 10, "gain": -15}, id="10 dB, faint"),
    pytest.param("spanish", {"codec": PCMA, "ppm": 200, "gain": 3}, id="A-law, slow clock"),
]


@pytest.mark.parametrize(("language", "line"), LINES)
def test_a_call_is_told_as_it_goes(tape, request, over_a_line, listen, language, line):
    sounds = request.getfixturevalue(language)
    made = tape(sounds)
    for name in CALL:
        made.say(phrase(name), CUTS.get(name))
    told = listen(over_a_line(made.sound, **line), sounds)
    assert [type(event) for _, event in told] == [PromptBegun, PromptOver] * len(CALL)
    for said, (at, begun), (over_at, over) in zip(made.announced, told[::2], told[1::2], strict=True):
        name = said.phrase.name
        assert (begun.name, over.name, over.phrase) == (name, name, said.phrase)
        assert begun.start_s == over.start_s == pytest.approx(said.start_s, abs=0.02)
        assert at - said.start_s < 1.7, name
        assert over.cut == (name in CUTS)
        whole = said.start_s + len(sounds[said.phrase]) / 8000
        assert over.end_s == pytest.approx(said.end_s or whole, abs=0.05 if name in CUTS else 0.25)
        assert over_at - over.end_s < 0.55, name


def test_most_prompts_are_told_within_0_7_seconds(tape, spanish, listen):
    made = tape(spanish)
    for name in CALL:
        made.say(phrase(name))
    begun = [
        at - event.start_s for at, event in listen(made.sound, spanish) if isinstance(event, PromptBegun)
    ]
    assert len(begun) == len(CALL)
    assert sorted(begun)[-2] <= 0.75  # all but one, which begins like another
    assert max(begun) <= 1.0


def test_which_of_a_name_it_was_is_told_at_its_end(tape, spanish, listen):
    said = [each for each in spanish if each.name == "bad_card"]
    made = tape(spanish)
    for each in said:
        made.say(each)
    told = [event for _, event in listen(made.sound, spanish)]
    assert [event.name for event in told] == ["bad_card"] * (2 * len(said))
    assert [event.phrase for event in told if isinstance(event, PromptOver)] == said


def test_a_prompt_of_known_name_whose_words_are_not_known(tape, spanish, listen):
    """As when another machine renders an amount of which we have no sound."""
    unknown = phrase("bad_key", reason="too_long")
    known = {each: sound for each, sound in spanish.items() if each != unknown}
    made = tape(spanish).wait(0.5).say(unknown, pause=1.5).say(phrase("ask_key"))
    told = [event for _, event in listen(made.sound, known)]
    assert [event.name for event in told] == ["bad_key", "bad_key", "ask_key", "ask_key"]
    assert told[1].phrase is None
    assert told[3].phrase == phrase("ask_key")
    assert told[1].end_s == pytest.approx(0.5 + len(spanish[unknown]) / 8000, abs=0.3)


@pytest.mark.parametrize("pause", [0.0, 0.06, 0.2])
@pytest.mark.parametrize("cut", [0.9, 2.1, 3.0])
def test_prompts_one_right_after_the_other(tape, spanish, listen, pause, cut):
    made = tape(spanish).say(phrase("ask_accept"), cut, pause=pause).say(phrase("ask_card"), pause=0.24)
    made.say(phrase("goodbye"))
    told = [event for _, event in listen(made.sound, spanish)]
    assert [(event.name, event.cut) for event in told if isinstance(event, PromptOver)] == [
        ("ask_accept", True),
        ("ask_card", False),
        ("goodbye", False),
    ]


def test_keys_that_come_back_are_not_heard(tape, spanish, listen):
    keys = dtmf.generate("41111111111" * 8, tone_ms=90, gap_ms=80, lead_ms=0, tail_ms=0)
    echo = np.round(keys * 16000).astype(np.int32)
    made = tape(spanish).wait(2.0).say(phrase("ask_card")).wait(1.0).say(phrase("ask_expiry"))
    heard = made.sound.astype(np.int32)
    heard += np.resize(echo, len(heard))
    told = [event for _, event in listen(np.clip(heard, -32768, 32767).astype(np.int16), spanish)]
    assert [event.name for event in told] == ["ask_card"] * 2 + ["ask_expiry"] * 2


def test_nothing_is_told_of_what_is_no_prompt(tape, spanish, english, listen):
    dice = np.random.default_rng(2)
    foreign = tape(english)
    for name in CALL[:2]:
        foreign.say(phrase(name))
    for sound in (
        np.zeros(16000, np.int16),
        np.full(16000, -32768, np.int16),
        dice.normal(scale=3000, size=16000).astype(np.int16),
        dice.integers(-32768, 32767, 8000).astype(np.int16),
        foreign.sound,
    ):
        assert listen(sound, spanish) == []
    assert listen(foreign.sound[:8000], {}) == []
    assert listen(foreign.sound[:8000], {Phrase("nothing"): np.zeros(8000, np.int16)}) == []


def test_a_frame_of_another_length_is_refused():
    with pytest.raises(ValueError, match="160 samples"):
        Recogniser({}).feed(np.zeros(80, np.int16))
