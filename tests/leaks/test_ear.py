"""The ear hears what is left of a key tone, and nothing where none is."""

from __future__ import annotations

import numpy as np
import pytest

import dtmf
from ivr_sim.media import PCMU, Recorder


def key(digits: str, *, tone_ms: float = 80, level_dbm0: float = -10.0, gap_ms: float = 80) -> np.ndarray:
    sound = dtmf.generate(
        digits, tone_ms=tone_ms, gap_ms=gap_ms, level_dbm0=level_dbm0, lead_ms=100, tail_ms=100
    )
    sound = np.pad(sound, (0, -len(sound) % 160))
    return PCMU.decode(PCMU.encode(np.round(sound * 32767).astype(np.int16)))


def masked(sound: np.ndarray, spans: list[tuple[float, float]]) -> np.ndarray:
    recorder = Recorder()
    for n in range(0, len(sound), 160):
        recorder.append(sound[n : n + 160], None)
    recorder.mask(spans)
    kept = recorder._kept
    return kept[:, 0]


@pytest.mark.parametrize("level", [-6.0, -30.0, -55.0])
@pytest.mark.parametrize("tone_ms", [15, 40, 100])
def test_tones_that_no_receiver_would_take(ear, level, tone_ms):
    heard = ear.tones(key("159#", tone_ms=tone_ms, level_dbm0=level))
    assert "".join(tone.digit for tone in heard) == "159#"


@pytest.mark.parametrize("digit", dtmf.KEYS_16)
def test_every_key(ear, digit):
    assert "".join(tone.digit for tone in ear.tones(key(digit))) == digit


@pytest.mark.parametrize("digit", dtmf.KEYS_12)
@pytest.mark.parametrize("left_ms", [10, 15])
def test_what_a_mask_leaves_at_its_edges(ear, digit, left_ms):
    sound = masked(key(digit, tone_ms=100), [(0.1, 0.2)])
    assert ear.tones(sound) == []
    whole = key(digit, tone_ms=100)
    edge = int(np.flatnonzero(ear.neutral(sound))[0])
    sound = sound.copy()
    sound[edge - 8 * left_ms : edge] = whole[900 : 900 + 8 * left_ms]
    assert len(ear.tones(sound)) == 1


@pytest.mark.parametrize("digit", dtmf.KEYS_12)
@pytest.mark.parametrize("level", [-20.0, -40.0])
def test_a_key_under_the_neutral_tone(ear, digit, level):
    under = masked(key(digit, tone_ms=100), [(0.1, 0.2)]) + key(digit, tone_ms=100, level_dbm0=level)
    assert [tone.digit for tone in ear.tones(under)] == [digit]


def test_a_masked_card_is_silent(ear):
    sound = key("5105105105105100")
    assert ear.tones(masked(sound, [(0.1 + 0.16 * n, 0.18 + 0.16 * n) for n in range(16)])) == []


def test_silence_and_a_low_hum(ear):
    hum = np.round(800 * np.sin(2 * np.pi * 120 * np.arange(8000) / 8000)).astype(np.int16)
    assert ear.tones(hum) == []
    assert ear.tones(np.zeros(8000, np.int16)) == []
    assert ear.tones(np.zeros(0, np.int16)) == []
