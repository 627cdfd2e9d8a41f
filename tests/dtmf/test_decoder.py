from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtmf import KEYS_12, KEYS_16, DtmfError, decode, generate
from dtmf.keypad import key_tones

ALL_TWICE = "".join(2 * key for key in KEYS_16)


def digits(samples: np.ndarray, rate: int = 8000) -> str:
    return "".join(tone.digit for tone in decode(samples, rate))


@pytest.mark.parametrize("tone_ms", [40, 50, 100])
@pytest.mark.parametrize("lead_ms", [0, 3.3, 11, 19.9])
def test_every_key_through_every_coding(codec, tone_ms: float, lead_ms: float) -> None:
    # Whatever the place of the tones relative to the blocks; each key twice, so that pauses count too.
    sound = codec(generate(ALL_TWICE, tone_ms=tone_ms, gap_ms=40, lead_ms=lead_ms))
    assert digits(sound) == ALL_TWICE


@pytest.mark.parametrize("level", [-3, -10, -25, -35])
@pytest.mark.parametrize("twist", [-8, 0, 4])
def test_levels_and_twists(codec, level: float, twist: float) -> None:
    tones = decode(codec(generate(KEYS_16, tone_ms=50, gap_ms=50, level_dbm0=level, twist_db=twist)), 8000)
    assert "".join(tone.digit for tone in tones) == KEYS_16
    for tone in tones:
        assert tone.level_dbm0 == pytest.approx(level, abs=1)
        assert tone.twist_db == pytest.approx(twist, abs=1)


def test_times() -> None:
    tones = decode(generate(KEYS_16, tone_ms=70.5, gap_ms=61.25, lead_ms=33.3), 8000)
    for i, tone in enumerate(tones):
        start = 0.0333 + i * (0.0705 + 0.06125)
        assert tone.start_s == pytest.approx(start, abs=0.002)
        assert tone.end_s == pytest.approx(start + 0.0705, abs=0.002)


@pytest.mark.parametrize("lead_ms", np.arange(10, 30, 2.375))
def test_times_at_every_place(lead_ms: float) -> None:
    # Clean tones: to 2 ms, for each key, wherever it lies relative to the blocks.
    for tone_ms in (45, 63, 110):
        tones = decode(generate(KEYS_16, tone_ms=tone_ms, gap_ms=57, lead_ms=lead_ms, tail_ms=80), 8000)
        starts = (lead_ms + (tone_ms + 57) * np.arange(16)) / 1000
        np.testing.assert_allclose([tone.start_s for tone in tones], starts, atol=0.002)
        np.testing.assert_allclose([tone.end_s for tone in tones], starts + tone_ms / 1000, atol=0.002)


@pytest.mark.parametrize("tone_ms", [5, 10, 15, 20, 23])
def test_too_short(tone_ms: float) -> None:
    for lead_ms in range(0, 20, 3):
        assert digits(generate(KEYS_16, tone_ms=tone_ms, gap_ms=60, lead_ms=lead_ms, tail_ms=50)) == ""


@pytest.mark.parametrize("pause_ms", [30, 40, 50])
def test_pauses_separate(codec, pause_ms: float) -> None:
    for lead_ms in (0, 13):
        sound = codec(generate(ALL_TWICE, tone_ms=50, gap_ms=pause_ms, lead_ms=lead_ms))
        assert digits(sound) == ALL_TWICE


@pytest.mark.parametrize("hole_ms", [2, 5, 10, 15, 20])
def test_holes_do_not_double(codec, hole_ms: int) -> None:
    for at_ms in range(40, 61, 7):
        parts = []
        for key in KEYS_16:
            tone = generate(key, tone_ms=130, tail_ms=60)
            tone[at_ms * 8 : (at_ms + hole_ms) * 8] = 0
            parts.append(tone)
        assert digits(codec(np.concatenate(parts))) == KEYS_16


@pytest.mark.parametrize("lost", range(7))
def test_a_lost_packet(lost: int) -> None:
    sound = generate(KEYS_16, tone_ms=120, gap_ms=80, lead_ms=7, tail_ms=60)
    for start in range(lost * 160, len(sound), 1600):  # the n-th packet of each digit
        sound[start : start + 160] = 0
    assert digits(sound) == KEYS_16


def test_rolled_keys() -> None:
    # No pause at all; neighbours share a tone, or do not.
    assert digits(generate("1245784A0", tone_ms=60, gap_ms=0)) == "1245784A0"


def test_a_held_key_is_one() -> None:
    [tone] = decode(generate("7", tone_ms=30_000, lead_ms=100, tail_ms=100), 8000)
    assert (tone.start_s, tone.end_s) == (pytest.approx(0.1, abs=0.002), pytest.approx(30.1, abs=0.002))


def test_levels_may_drift() -> None:
    sound = generate("7", tone_ms=2000, level_dbm0=-5)
    sound *= np.geomspace(1, 0.03, len(sound), dtype=np.float32)
    assert digits(sound) == "7"


def test_a_tone_cut_by_the_end() -> None:
    [tone] = decode(generate("3", tone_ms=41.5, lead_ms=17), 8000)
    assert tone.end_s == pytest.approx(0.0585, abs=0.001)
    assert tone.end_s <= 468 / 8000
    assert digits(generate("3", tone_ms=20, lead_ms=17)) == ""


@pytest.mark.parametrize("snr", [24, 15, 10])
@pytest.mark.parametrize("seed", range(3))
def test_noise(codec, snr: float, seed: int) -> None:
    sound = generate(KEYS_16, tone_ms=50, gap_ms=50, level_dbm0=-12, lead_ms=50, tail_ms=50)
    power = np.mean(sound[400:800] ** 2)
    noise = np.random.default_rng(seed).normal(0, np.sqrt(power / 10 ** (snr / 10)), len(sound))
    assert digits(codec(sound + noise)) == KEYS_16


def test_a_constant_beneath() -> None:
    assert digits(generate(KEYS_16, tone_ms=50, level_dbm0=-20) + np.float32(0.2)) == KEYS_16


def test_a_late_echo_is_not_a_digit() -> None:
    sound = generate("159", tone_ms=80, gap_ms=320, tail_ms=320)
    echoed = sound.copy()
    echoed[1600:] += 0.1 * sound[:-1600]  # 200 ms later, 20 dB down
    assert digits(echoed) == "159"


@pytest.mark.parametrize("key", "159D")
@pytest.mark.parametrize("group", ["low", "high"])
@pytest.mark.parametrize("off", [-0.05, -0.035, -0.015, 0, 0.015, 0.035, 0.05])
def test_frequencies(key: str, group: str, off: float) -> None:
    # ITU-T Q.24: within 1.5 % it must be heard, from 3.5 % on it must not.
    low, high = key_tones(key)
    t = np.arange(800) / 8000
    low, high = (low * (1 + off), high) if group == "low" else (low, high * (1 + off))
    sound = 0.1 * np.sin(2 * np.pi * low * t) + 0.1 * np.sin(2 * np.pi * high * t)
    assert digits(np.pad(sound, 400)) == (key if abs(off) <= 0.015 else "")


def test_twelve_keys() -> None:
    sound = generate(KEYS_16, tone_ms=50)
    assert "".join(tone.digit for tone in decode(sound, 8000, keys=KEYS_12)) == KEYS_12
    assert "".join(tone.digit for tone in decode(sound, 8000, keys="#5")) == "5#"


def harmonic(rng: np.random.Generator, seconds: float, glide: bool) -> np.ndarray:
    """Something like a voice (gliding) or like music (notes held for 0.3 s): harmonics with formants."""
    n = int(seconds * 8000)
    if glide:
        knots = rng.uniform(90, 300, int(seconds * 4) + 2)
        pitch = np.interp(np.arange(n) / 2000, np.arange(len(knots)), knots)
    else:
        notes = 110 * 2 ** (rng.integers(0, 24, int(seconds * 4) + 1) / 12)
        pitch = np.repeat(notes, 2400)[:n]
    phase = 2 * np.pi * np.cumsum(pitch) / 8000
    sound = np.zeros(n)
    for k in range(1, 30):
        strength = np.exp(-(((k * pitch - 600) / 400) ** 2)) + 0.6 * np.exp(
            -(((k * pitch - 1500) / 400) ** 2)
        )
        sound += (strength + 0.05 / k) * np.sin(k * phase + rng.uniform(0, 6.28)) * (k * pitch < 3800)
    return 0.1 * sound


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("glide", [True, False], ids=["voice", "music"])
def test_voices_and_music_are_no_keys(glide: bool, seed: int) -> None:
    assert digits(harmonic(np.random.default_rng(seed), 25, glide)) == ""


@pytest.mark.parametrize(
    "hz",
    [(350, 440), (425,), (480, 620), (400, 450), (697,), (1336,), (697, 770), (1209, 1336), (1000,), (2100,)],
)
def test_other_tones_are_no_keys(hz: tuple[float, ...]) -> None:
    t = np.arange(16000) / 8000
    sound = sum(0.1 * np.sin(2 * np.pi * f * t) for f in hz) * (t % 0.5 < 0.25)
    assert digits(np.asarray(sound)) == ""


@pytest.mark.parametrize("level", [1e-4, 0.01, 0.3])
def test_noise_is_no_key(codec, level: float) -> None:
    assert digits(codec(np.random.default_rng(5).normal(0, level, 8000 * 30))) == ""


@pytest.mark.parametrize("rate", [6000, 11025, 16000, 22050, 32000, 44100, 48000, 96000])
def test_rates(rate: int) -> None:
    tones = decode(generate(KEYS_16, rate=rate, tone_ms=50, gap_ms=50, lead_ms=25), rate)
    assert "".join(tone.digit for tone in tones) == KEYS_16
    for i, tone in enumerate(tones):
        assert tone.start_s == pytest.approx(0.025 + 0.1 * i, abs=0.002)
        assert tone.end_s == pytest.approx(0.075 + 0.1 * i, abs=0.002)


def test_sound_above_the_telephone_band_is_filtered_out() -> None:
    sound = generate(KEYS_16, rate=48000, tone_ms=60, level_dbm0=-20)
    hiss = 0.5 * np.sin(2 * np.pi * 9000 * np.arange(len(sound)) / 48000)
    assert digits(sound + hiss, 48000) == KEYS_16


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize(
    "empty",
    [
        np.zeros(0, np.float32),
        np.zeros(5000, np.float32),
        np.zeros(5000, np.int16),
        np.full(5000, np.nan, np.float32),
        np.full(5000, np.inf),
        np.full(5000, -np.inf, np.float32),
        np.full(5000, 1e300),
        [],
    ],
    ids=["empty", "silence", "int16 silence", "nan", "inf", "-inf", "huge", "list"],
)
def test_nothing_to_hear(empty: np.ndarray, rate: int) -> None:
    assert decode(empty, rate) == []


def test_broken_samples_between_digits() -> None:
    sound = generate("159", tone_ms=60, gap_ms=60)
    sound[500:520] = np.nan
    sound[530], sound[531] = np.inf, -np.inf
    assert digits(sound) == "159"


def test_int16_is_float32() -> None:
    whole = np.round(generate(KEYS_16, tone_ms=50) * 32767).astype(np.int16)
    assert decode(whole, 8000) == decode(whole.astype(np.float32) / 32768, 8000)


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros((10, 2), np.float32), 8000),
        (np.float32(0), 8000),
        (np.zeros(10, np.int32), 8000),
        (np.zeros(10, complex), 8000),
        (np.array(["a"]), 8000),
        (np.zeros(10), 0),
        (np.zeros(10), -8000),
        (np.zeros(10), 3999),
        (np.zeros(10), 10**9),
        (np.zeros(10), 8000.0),
        (np.zeros(10), None),
    ],
)
def test_what_cannot_be_decoded(samples: np.ndarray, rate: int) -> None:
    with pytest.raises(DtmfError):
        decode(samples, rate)


@settings(deadline=None, max_examples=25)
@given(
    samples=st.lists(st.floats(width=32), max_size=700),
    repeat=st.integers(1, 8),
    rate=st.sampled_from([8000, 8001, 48000]),
)
def test_any_samples(samples: list[float], repeat: int, rate: int) -> None:
    array = np.array(samples * repeat, np.float32)
    for tone in decode(array, rate):
        assert tone.digit in KEYS_16
        assert 0 <= tone.start_s < tone.end_s <= len(array) / rate + 0.001


@settings(deadline=None, max_examples=25)
@given(
    keys=st.text(KEYS_16, max_size=12),
    tone_ms=st.floats(40, 200),
    gap_ms=st.floats(40, 200),
    lead_ms=st.floats(0, 60),
    level=st.floats(-30, -4),
    twist=st.floats(-7, 3.5),
)
def test_what_is_generated_is_heard(
    keys: str, tone_ms: float, gap_ms: float, lead_ms: float, level: float, twist: float
) -> None:
    sound = generate(keys, tone_ms=tone_ms, gap_ms=gap_ms, lead_ms=lead_ms, level_dbm0=level, twist_db=twist)
    assert digits(sound) == keys


def test_the_8_khz_path_needs_numpy_only() -> None:
    code = (
        "import sys, dtmf; assert dtmf.decode(dtmf.generate('5'), 8000)[0].digit == '5';"
        "print(sorted({'scipy', 'soundfile', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
