"""A telephone's keys: the three ways of sending them, and what a bad line does to tones."""

from __future__ import annotations

import numpy as np
import pytest

import dtmf
from dtmf.impairment import mean_dbm0
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.keypad import Keypad


def sound(keypad: Keypad, ticks: int) -> np.ndarray:
    frames = [keypad.turn().frame for _ in range(ticks)]
    return np.concatenate([np.zeros(160, np.int16) if f is None else f for f in frames])


def test_tones_are_those_of_the_keys_as_long_as_asked_and_told_with_their_onsets():
    keypad = Keypad(key_ms=70, gap_ms=50)
    sound(keypad, 10)
    keypad.press("19*#")
    assert keypad.busy
    heard = dtmf.decode(sound(keypad, 40), 8000)
    assert "".join(tone.digit for tone in heard) == "19*#"
    assert keypad.onsets == pytest.approx([0.2, 0.32, 0.44, 0.56])
    for tone, onset in zip(heard, keypad.onsets, strict=True):
        assert tone.start_s + 0.2 == pytest.approx(onset, abs=0.005)
        assert tone.end_s - tone.start_s == pytest.approx(0.07, abs=0.006)
        assert tone.level_dbm0 == pytest.approx(-10, abs=0.5)
    assert not keypad.busy


def test_level_and_twist_are_the_lines():
    keypad = Keypad(level_dbm0=-24.0, twist_db=-5.0)
    keypad.press("5")
    (tone,) = dtmf.decode(sound(keypad, 20), 8000)
    assert (tone.level_dbm0, tone.twist_db) == (pytest.approx(-24, abs=0.5), pytest.approx(-5, abs=0.5))


def test_noise_lies_under_all_and_is_the_same_for_the_same_seed():
    def line(seed: int) -> np.ndarray:
        keypad = Keypad(noise_dbm0=-40.0, seed=seed)
        before = sound(keypad, 50)
        keypad.press("8")
        return np.concatenate([before, sound(keypad, 600)])

    one, same, other = line(3), line(3), line(4)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert mean_dbm0(one[:8000]) == pytest.approx(-40, abs=0.3)
    assert mean_dbm0(one[-16000:]) == pytest.approx(-40, abs=0.3)  # longer than what is made at once
    assert [tone.digit for tone in dtmf.decode(one, 8000)] == ["8"]


def test_noise_by_its_distance_from_the_keys():
    keypad = Keypad(snr_db=20.0, level_dbm0=-13.0)
    assert mean_dbm0(sound(keypad, 100)) == pytest.approx(-30, abs=0.5)  # two tones of -13 dBm0 are -10


@pytest.mark.parametrize(("by", "apart"), [("rfc4733", 0.24), ("info", 0.2)])
def test_keys_beside_the_audio_are_paced(by, apart):
    keypad = Keypad(by=by, key_ms=100, gap_ms=100)
    keypad.press("12")
    keys = [(tick / 50, key) for tick in range(30) for key in keypad.turn().keys]
    assert [(t, k.digit, k.method, k.duration_ms) for t, k in keys] == [
        (0.0, "1", by, 100), (apart, "2", by, 100),
    ]  # fmt: skip
    assert keypad.onsets == [0.0, apart]
    assert "digit" not in repr(keys[0][1])


def test_what_is_played_goes_out_as_it_is():
    keypad = Keypad()
    samples = np.arange(-200, 200, dtype=np.int16)
    keypad.play(samples)
    out = sound(keypad, 3)
    assert np.array_equal(out[:400], samples)
    assert not out[400:].any()


def test_silence_is_no_frame_and_no_keys_is_nothing():
    keypad = Keypad()
    keypad.press("")
    assert not keypad.busy
    assert keypad.turn().frame is None


def test_tones_that_cannot_be_made_say_why():
    with pytest.raises(ConfigurationError, match="level_dbm0"):
        Keypad(level_dbm0=40).press("1")
