"""What a caller hears, as it is announced and otherwise, over good lines and bad ones."""

from __future__ import annotations

import numpy as np
import pytest

import dtmf
from ivr_sim.call import Phrase, phrase
from ivr_sim.media.g711 import PCMA, PCMU
from ivr_sim.prompts.hearing import Announced, barge_ins, hear, heard_amount, told, verify
from ivr_sim.prompts.losses import with_losses

CALL = ("welcome", "ask_key", "ask_accept", "ask_card", "ask_expiry", "one_moment", "approved", "goodbye")
CUTS = {"ask_key": 1.5, "ask_card": 0.8, "ask_expiry": 2.0}


@pytest.fixture(params=["spanish", "english"])
def sounds(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def few(spanish):
    """Prompts of which some begin alike: those of the call, and every fourth."""
    return {each: spanish[each] for each in (*map(phrase, CALL), *list(spanish)[::4])}


@pytest.fixture
def call(tape, spanish):
    """A call of eight prompts, three of them cut."""
    return a_call(tape(spanish))


def a_call(made):
    for name in CALL:
        made.say(phrase(name), CUTS.get(name))
    return made


def mixed(sound, other, at):
    """A sound with another over it from a time on."""
    both = sound.astype(np.int32)
    first = round(at * 8000)
    both[first : first + len(other)] += other[: len(both) - first]
    return np.clip(both, -32768, 32767).astype(np.int16)


# What was announced ---------------------------------------------------------------------------------


def test_our_own_audio_is_as_announced(tape, sounds, over_a_line):
    made = a_call(tape(sounds))
    assert verify(made.sound, made.announced, sounds.__getitem__) == []
    heard = over_a_line(made.sound, snr=20, lost=0.02, gain=-6)
    assert verify(heard, made.announced, sounds.__getitem__) == []


LINES = {
    "mu-law": {},
    "20 dB": {"snr": 20},
    "5 dB": {"snr": 5},
    "2 % lost": {"lost": 0.02},
    "5 % lost": {"lost": 0.05},
    "faint": {"gain": -15, "snr": 20},
    "loud": {"gain": 3},
    "A-law": {"codec": PCMA, "gain": -10},
    "slow clock": {"ppm": 200},
    "fast clock": {"ppm": -200},
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_over_a_line_it_is_as_announced(call, over_a_line, line):
    heard = over_a_line(call.sound, **line)
    assert verify(heard, call.announced, call.sounds.__getitem__) == []


def test_a_line_may_delay_and_an_ear_open_late(call):
    delayed = np.concatenate([np.zeros(1000, np.int16), call.sound])
    assert verify(delayed, call.announced, call.sounds.__getitem__) == []
    opened_late = np.concatenate([np.zeros(2400, np.int16), call.sound[2400:]])
    assert verify(opened_late, call.announced, call.sounds.__getitem__) == []


def test_keys_that_echo_over_the_prompts_hide_nothing(call):
    keys = dtmf.generate("4111111111111111" * 2, tone_ms=90, gap_ms=80, lead_ms=0, tail_ms=0)
    loud = np.round(keys * 32767).astype(np.int16)
    heard = call.sound
    for at in (0.5, 8.0, 18.0):
        heard = mixed(heard, loud, at)
    assert verify(heard, call.announced, call.sounds.__getitem__) == []


def test_a_prompt_that_is_not_there(call):
    quiet = call.sound.copy()
    at = round(call.announced[2].start_s * 8000)
    quiet[at : at + len(call.sounds[phrase("ask_accept")])] = 0
    [mismatch] = verify(quiet, call.announced, call.sounds.__getitem__)
    assert (mismatch.expected, mismatch.heard) == ("ask_accept", "silence")
    assert mismatch.t == call.announced[2].start_s


@pytest.mark.parametrize("snr", [None, 20])
def test_another_prompt_in_its_place_is_named(call, over_a_line, snr):
    told_wrongly = [
        Announced(phrase("ask_another_card"), said.start_s, said.end_s) if n == 2 else said
        for n, said in enumerate(call.announced)
    ]
    heard = call.sound if snr is None else over_a_line(call.sound, snr=snr)
    first = verify(heard, told_wrongly, call.sounds.__getitem__, rivals=[phrase("ask_accept")])[0]
    assert (first.expected, first.heard) == ("ask_another_card", "ask_accept")


def test_another_prompt_of_which_nothing_is_known(call):
    told_wrongly = [
        Announced(phrase("ask_another_card"), said.start_s, said.end_s) if n == 2 else said
        for n, said in enumerate(call.announced)
    ]
    first = verify(call.sound, told_wrongly, call.sounds.__getitem__)[0]
    assert (first.expected, first.heard) == ("ask_another_card", "another sound")


@pytest.mark.parametrize("snr", [None, 20])
@pytest.mark.parametrize("late", [0.1, 0.5])
def test_a_prompt_that_goes_on_after_its_cut(tape, spanish, over_a_line, late, snr):
    made = tape(spanish).say(phrase("welcome")).say(phrase("ask_accept"), 2.0 + late).say(phrase("goodbye"))
    said = made.announced[1]
    made.announced[1] = Announced(said.phrase, said.start_s, said.start_s + 2.0)
    heard = made.sound if snr is None else over_a_line(made.sound, snr=snr)
    [mismatch] = verify(heard, made.announced, spanish.__getitem__)
    assert mismatch.t == pytest.approx(said.start_s + 2.0, abs=0.1)
    assert "ask_accept" in mismatch.expected + mismatch.heard


@pytest.mark.parametrize("snr", [None, 20])
def test_a_prompt_that_stops_too_early(tape, spanish, over_a_line, snr):
    made = tape(spanish).say(phrase("welcome")).say(phrase("ask_accept"), 2.0, pause=6.0)
    said = made.announced[1]
    made.announced[1] = Announced(said.phrase, said.start_s)
    heard = made.sound if snr is None else over_a_line(made.sound, snr=snr)
    [mismatch] = verify(heard, made.announced, spanish.__getitem__)
    assert mismatch.expected == "ask_accept"
    assert mismatch.heard.startswith("ask_accept, silent from ")
    assert mismatch.t == pytest.approx(said.start_s + 2.0, abs=0.25)


@pytest.mark.parametrize("snr", [None, 20])
def test_a_hole_in_a_prompt(call, over_a_line, snr):
    holed = call.sound.copy()
    start = call.announced[2].start_s + 1.0
    holed[round(start * 8000) : round((start + 0.5) * 8000)] = 0
    heard = holed if snr is None else over_a_line(holed, snr=snr)
    [mismatch] = verify(heard, call.announced, call.sounds.__getitem__)
    assert mismatch.heard.startswith("ask_accept, silent from ")
    assert mismatch.t == pytest.approx(start, abs=0.2)


@pytest.mark.parametrize("snr", [None, 20])
def test_what_was_not_announced_is_named(call, over_a_line, snr):
    heard = call.sound if snr is None else over_a_line(call.sound, snr=snr)
    missing = call.announced.pop(3)
    first = verify(heard, call.announced, call.sounds.__getitem__, rivals=[missing.phrase])[0]
    assert first.expected == "silence"
    assert first.heard.startswith("ask_card, from ")
    assert first.t == pytest.approx(missing.start_s, abs=0.2)


def test_a_prompt_cut_before_there_was_anything_to_hear(tape, spanish):
    made = tape(spanish).say(phrase("welcome"), 0.04).say(phrase("ask_key"))
    assert verify(made.sound, made.announced, spanish.__getitem__) == []
    assert verify(made.sound // 2, made.announced, spanish.__getitem__) == []


def test_a_call_whose_last_prompt_the_recording_does_not_hold_to_its_end(call):
    assert verify(call.sound[:-9000], call.announced, call.sounds.__getitem__) == []


def test_nothing_announced_and_nothing_heard():
    assert verify(np.zeros(0, np.int16), [], {}.__getitem__) == []
    assert verify(np.zeros(8000, np.int16), [], {}.__getitem__) == []


# What is found --------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["mu-law", "5 dB", "5 % lost", "faint", "A-law", "slow clock"])
def test_every_prompt_of_a_call_is_found(tape, few, over_a_line, line):
    made = a_call(tape(few))
    heard = hear(over_a_line(made.sound, **LINES[line]), few)
    assert [prompt.phrase for prompt in heard] == [said.phrase for said in made.announced]
    for prompt, said in zip(heard, made.announced, strict=True):
        assert prompt.start_s == pytest.approx(said.start_s, abs=0.01)
        assert prompt.cut == (said.end_s is not None)
        if said.end_s is not None:
            assert prompt.end_s == pytest.approx(said.end_s, abs=0.08)


def test_all_prompts_are_told_from_each_other(tape, sounds):
    """Texts that begin alike among them: who marks too little, too much, nothing."""
    made = tape(sounds)
    said = [each for each in sounds if each.name.startswith("bad_")][::2]
    for each in said:
        made.say(each)
    heard = hear(made.sound, sounds)
    assert [told(prompt.phrase) for prompt in heard] == [told(each) for each in said]
    assert not any(prompt.cut for prompt in heard)
    assert min(prompt.score for prompt in heard) > 0.99


def test_a_prompt_that_is_interrupted_by_the_next(tape, spanish):
    made = tape(spanish).say(phrase("ask_accept"), 2.1, pause=0.06).say(phrase("ask_card"))
    assert [(prompt.phrase.name, prompt.cut) for prompt in hear(made.sound, spanish)] == [
        ("ask_accept", True),
        ("ask_card", False),
    ]


def test_a_sentence_that_only_begins_like_a_candidate_is_none(tape, spanish):
    short, long = phrase("bad_key", reason="too_short"), phrase("bad_key", reason="too_long")
    made = tape(spanish).wait(0.5).say(long)
    assert [prompt.phrase for prompt in hear(made.sound, {short: spanish[short]})] == []
    first = verify(made.sound, [Announced(short, 0.5)], spanish.__getitem__, rivals=[long])[0]
    assert (first.expected, first.heard) == (told(short), told(long))


def test_nothing_of_another_language(tape, few, english):
    assert hear(a_call(tape(english)).sound, few) == []


def test_nothing_in_what_is_no_speech(spanish, few):
    dice = np.random.default_rng(3)
    tones = dtmf.generate("0123456789*#" * 6, tone_ms=80, gap_ms=40, lead_ms=0, tail_ms=0)
    broken = np.full(40000, np.nan, np.float32)
    broken[::7] = np.inf
    for sound in (
        np.zeros(0, np.int16),
        np.zeros(7, np.int16),
        np.zeros(80000, np.int16),
        np.full(80000, -32768, np.int16),
        dice.normal(scale=3000, size=80000).astype(np.int16),
        dice.integers(-32768, 32767, 80000).astype(np.int16),
        np.round(tones * 32767).astype(np.int16),
        broken,
        spanish[phrase("ask_key")][:1200],
    ):
        assert hear(sound, few) == []
        announced = [Announced(phrase("ask_key"), 0.0), Announced(phrase("goodbye"), 1e4, 1e4 + 1)]
        assert len(verify(sound, announced, spanish.__getitem__)) >= 2
    assert hear(spanish[phrase("ask_key")], {phrase("welcome"): np.zeros(0, np.int16)}) == []
    assert hear(spanish[phrase("ask_key")], {phrase("welcome"): np.zeros(8000, np.int16)}) == []


def test_stereo_is_refused(spanish):
    with pytest.raises(ValueError, match="one dimension"):
        hear(np.zeros((800, 2), np.int16), spanish)


def test_losses_in_their_places(tape, few):
    """Packets that are only left out move all that follows; silence in their places does not."""
    made = a_call(tape(few))
    packets = made.sound.reshape(-1, 160)
    lost = np.random.default_rng(4).random(len(packets)) < 0.05
    arrived = packets[~lost].reshape(-1)
    heard = with_losses(arrived, list(lost))
    assert len(heard) == len(made.sound)
    assert [prompt.phrase.name for prompt in hear(heard, few)] == list(CALL)
    assert len(hear(arrived, few)) < len(CALL)
    with pytest.raises(ValueError, match="packets came"):
        with_losses(arrived, list(lost[:-1]))


@pytest.mark.parametrize("frames", [-1, 1])
def test_a_packet_that_slipped_is_no_mismatch(tape, spanish, frames):
    """As when a jitter buffer gets deeper, or less deep, in the middle of a word."""
    made = tape(spanish).say(phrase("ask_accept")).say(phrase("goodbye"))
    packets = list(made.sound.reshape(-1, 160))
    if frames > 0:
        packets.insert(160, np.zeros(160, np.int16))
    else:
        del packets[160]
    assert verify(np.concatenate(packets), made.announced, spanish.__getitem__) == []


# Amounts --------------------------------------------------------------------------------------------

# fmt: off
AMOUNTS = (
    "0.01", "0.02", "0.10", "0.99", "1.00", "1.01", "1.10", "2.00", "6.00", "7.00", "16.00", "17.00", "60.00",
    "70.00", "66.00", "76.00", "67.00", "77.00", "99.99", "100.00", "101.00", "110.00", "200.00", "210.00",
    "200.10", "200.50", "600.00", "700.00", "660.00", "670.00", "1000.00", "1001.00", "1100.00", "6000.00",
    "7000.00", "60000.00", "70000.00", "100000.00", "600600.60", "999999.99",
)
# fmt: on


@pytest.fixture(scope="module")
def amounts():
    """Forty amounts as they are said; the near ones among them."""
    pytest.importorskip("py_nanotts")
    from ivr_sim.prompts import Catalogue
    from ivr_sim.prompts.speaker import speak

    catalogue = Catalogue()
    return {
        amount: PCMU.decode(PCMU.encode(speak(catalogue.text(Phrase("amount", {"amount": amount})), "es-ES")))
        for amount in AMOUNTS
    }


def test_every_amount_is_heard_as_it_was_said(amounts, over_a_line):
    """In noise, with losses, at another level: by a clear margin, the near ones too."""
    silence = np.zeros(4800, np.int16)
    for seed, (amount, sound) in enumerate(amounts.items()):
        played = np.concatenate([silence, sound, silence])
        said, margin = heard_amount(over_a_line(played, snr=20, lost=0.02, gain=-6, seed=seed), amounts)
        assert said == amount
        assert margin > 0.02, amount


def test_an_amount_that_is_none_of_the_candidates(amounts):
    others = {amount: sound for amount, sound in amounts.items() if amount != "200.00"}
    assert heard_amount(amounts["200.00"], others) == (None, 0.0)


@pytest.mark.parametrize(
    ("announced", "said"), [("200.00", "210.00"), ("60.00", "70.00"), ("1.00", "1.01"), ("1.01", "1.00")]
)
def test_a_wrong_amount_is_named(amounts, over_a_line, announced, said):
    sounds = {Phrase("amount", {"amount": amount}): sound for amount, sound in amounts.items()}
    silence = np.zeros(8000, np.int16)
    sound = np.concatenate([silence, amounts[said], silence, silence])
    for heard in (sound, over_a_line(sound, snr=20, lost=0.02)):
        first = verify(
            heard,
            [Announced(Phrase("amount", {"amount": announced}), 1.0)],
            sounds.__getitem__,
            rivals=sounds,
        )[0]
        assert first.expected == f"amount (amount={announced})"
        assert first.heard == f"amount (amount={said})"


# Barge-in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [{}, {"snr": 20}, {"gain": -10, "codec": PCMA}])
def test_how_soon_a_prompt_fell_silent(tape, spanish, over_a_line, line):
    made = tape(spanish).say(phrase("welcome")).say(phrase("ask_accept"), 2.0).say(phrase("ask_card"), 1.5)
    cut, second = made.announced[1], made.announced[2]
    keys = [0.2, cut.start_s + 1.95, second.start_s + 1.44, second.start_s + 9.0]
    heard = over_a_line(made.sound, **line) if line else made.sound
    found = barge_ins(heard, made.announced, spanish.__getitem__, keys)
    assert [barge.phrase.name for barge in found] == ["ask_accept", "ask_card"]
    assert [barge.key_s for barge in found] == keys[1:3]
    assert [barge.ms for barge in found] == pytest.approx([50, 60], abs=25 if "snr" in line else 12)
