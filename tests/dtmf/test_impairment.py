"""Each impairment, measured: what was asked for is what sounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtmf import DtmfError, generate
from dtmf.g711 import there_and_back
from dtmf.goertzel import amplitude
from dtmf.impairment import impair, mean_dbm0, sounding_dbm0

SILENCE = np.zeros(80_000, np.float32)
KEYS = generate("159D" * 8, tone_ms=60, gap_ms=65, lead_ms=40, tail_ms=80)


def level_at(sound: np.ndarray, hz: float, rate: int = 8000) -> float:
    """The level in dBm0 of what sounds at one frequency that fits the sound's length in whole periods."""
    height = abs(sound @ np.exp(-2j * np.pi * hz * np.arange(len(sound)) / rate)) * 2 / len(sound)
    return 20 * math.log10(height / amplitude(0))


def band_dbm0(sound: np.ndarray, rate: int, to_hz: float) -> float:
    """The level in dBm0 of all below a frequency."""
    power = 2 * np.abs(np.fft.rfft(sound.astype(float)) / len(sound)) ** 2
    return 10 * math.log10(2 * power[: round(to_hz * len(sound) / rate)].sum() / amplitude(0) ** 2)


class TestLevels:
    def test_of_a_sine(self) -> None:
        sine = amplitude(-20) * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
        assert mean_dbm0(sine) == pytest.approx(-20, abs=1e-3)
        assert mean_dbm0(np.round(sine * 32768).astype(np.int16)) == pytest.approx(-20, abs=0.01)
        assert sounding_dbm0(sine) == pytest.approx(-20, abs=0.01)

    @pytest.mark.parametrize("rate", [8000, 44100])
    @pytest.mark.parametrize("twist", [-8, 0, 4])
    def test_of_keys_while_they_sound(self, rate: int, twist: float) -> None:
        # Two tones of -13 dBm0 each, on average, have 3 dB more together.
        sound = generate(
            "0123456789ABCD*#", rate=rate, tone_ms=50, level_dbm0=-13, twist_db=twist, lead_ms=900
        )
        assert sounding_dbm0(sound, rate) == pytest.approx(-9.99, abs=0.1)
        assert mean_dbm0(sound) < -13

    def test_a_pause_is_5_ms_or_more(self) -> None:
        sine = np.sin(2 * np.pi * 1000 * (np.arange(8000) + 0.5) / 8000)
        sine[4000:4030] = 0
        assert sounding_dbm0(sine) == pytest.approx(mean_dbm0(sine), abs=1e-3)
        sine[4000:4100] = 0
        assert sounding_dbm0(sine) == pytest.approx(3.14, abs=0.01)

    def test_of_silence(self) -> None:
        assert mean_dbm0(SILENCE) == sounding_dbm0(SILENCE) == mean_dbm0([]) == sounding_dbm0([]) == -math.inf


class TestNoise:
    @pytest.mark.parametrize("rate", [6000, 8000, 16000, 48000])
    def test_level_below_4_khz(self, rate: int) -> None:
        noise = impair(np.zeros(rate * 10, np.float32), rate=rate, noise_dbm0=-30)
        assert band_dbm0(noise, rate, 4000) == pytest.approx(-30, abs=0.15)

    @pytest.mark.parametrize("rate", [8000, 16000])
    @pytest.mark.parametrize("snr", [0, 15, 24])
    def test_snr(self, rate: int, snr: float) -> None:
        # Ten seconds of key tones with as much silence: the pauses do not count.
        sound = generate("8" * 100, rate=rate, tone_ms=100, gap_ms=100, level_dbm0=-20)
        noise = impair(sound, rate=rate, snr_db=snr) - sound
        signal = sound[: rate // 10]
        assert band_dbm0(signal, rate, 4000) - band_dbm0(noise, rate, 4000) == pytest.approx(snr, abs=0.15)

    def test_is_white_and_gaussian(self) -> None:
        noise = impair(np.zeros(400_000, np.float32), noise_dbm0=-20)
        bands = (np.abs(np.fft.rfft(noise)[1:]) ** 2).reshape(8, -1).mean(axis=1)
        assert bands / bands.mean() == pytest.approx(np.ones(8), abs=0.03)
        assert np.mean(noise.astype(float) ** 4) / np.mean(noise.astype(float) ** 2) ** 2 == pytest.approx(
            3, abs=0.05
        )

    def test_seeds(self) -> None:
        one, again, other = (impair(KEYS, snr_db=20, lost=0.1, seed=seed) for seed in (1, 1, 2))
        assert np.array_equal(one, again)
        assert not np.array_equal(one, other)

    def test_stays_when_others_join(self) -> None:
        noise = impair(SILENCE, noise_dbm0=-30, seed=4)
        with_dc = impair(SILENCE, noise_dbm0=-30, impulses=(0, -10), lost=0.0, dc=0.25, seed=4)
        assert np.abs(with_dc - np.float32(0.25) - noise).max() < 1e-6
        clicks = impair(SILENCE, impulses=(3, -10), seed=4)
        both = impair(SILENCE, impulses=(3, -10), noise_dbm0=-30, seed=4)
        assert clicks.any()
        assert np.abs(both - noise - clicks).max() < 1e-6


class TestTones:
    def test_dial_tone(self) -> None:
        sound = impair(SILENCE, dial_tone=((350, 440), -13))
        assert level_at(sound, 350) == pytest.approx(-13, abs=0.01)
        assert level_at(sound, 440) == pytest.approx(-13, abs=0.01)
        assert mean_dbm0(sound) == pytest.approx(-9.99, abs=0.01)
        assert level_at(impair(SILENCE, dial_tone=(425, -10)), 425) == pytest.approx(-10, abs=0.01)

    def test_hum(self) -> None:
        assert level_at(impair(SILENCE, hum=(50, -20)), 50) == pytest.approx(-20, abs=0.01)
        two = impair(SILENCE, hum=[(60, -9), (180, -22)])
        assert (level_at(two, 60), level_at(two, 180)) == pytest.approx((-9, -22), abs=0.01)
        rich = impair(SILENCE, hum=(50, -10, 2))
        assert [level_at(rich, hz) for hz in (50, 100, 150)] == pytest.approx(
            [-10, -10 - 6.02, -10 - 9.54], abs=0.01
        )
        assert level_at(rich, 200) < -90

    def test_long_ones_stay_in_tune(self) -> None:
        # Over the seams of the pieces that a tone is made in, and where the frequency fits nothing.
        sound = impair(np.zeros(1_000_000, np.float32), dial_tone=(347.137, -10), seed=5)
        t = np.arange(1_000_000) / 8000
        wave = np.exp(-2j * np.pi * 347.137 * t)
        phase = np.angle((sound * wave).reshape(100, -1).sum(axis=1))
        assert np.ptp(np.unwrap(phase)) < 0.01
        assert np.abs(sound).max() == pytest.approx(amplitude(-10), rel=1e-4)

    def test_other_rates(self) -> None:
        sound = impair(np.zeros(44100, np.float32), rate=44100, hum=(60, -20), dial_tone=((350, 440), -30))
        assert level_at(sound, 60, 44100) == pytest.approx(-20, abs=0.01)
        assert level_at(sound, 440, 44100) == pytest.approx(-30, abs=0.01)


class TestClicks:
    def test_number_and_peak(self) -> None:
        sound = impair(np.zeros(8000 * 200, np.float32), impulses=(5, -6), seed=2)
        peaks = np.flatnonzero(np.abs(sound) >= 0.999 * amplitude(-6))
        # 1,000 are expected, with a spread of 32; a few touch each other.
        assert 850 < len(peaks) < 1150
        loud = np.abs(sound) > 0.05 * amplitude(-6)
        assert loud.mean() < 5 * 0.003
        assert (sound[peaks] > 0).mean() == pytest.approx(0.5, abs=0.1)

    def test_none(self) -> None:
        assert not impair(SILENCE, impulses=(0, 0)).any()


class TestEcho:
    def test_delay_and_level(self) -> None:
        click = np.zeros(8000, np.float32)
        click[100] = 0.5
        echoed = impair(click, echo=(120, -20))
        assert np.flatnonzero(echoed).tolist() == [100, 100 + 960]
        assert echoed[1060] == pytest.approx(0.05)

    def test_several_do_not_echo_each_other(self) -> None:
        click = np.zeros(8000, np.float32)
        click[0] = 0.5
        echoed = impair(click, rate=16000, echo=[(10, -6), (20, -12)])
        assert np.flatnonzero(echoed).tolist() == [0, 160, 320]
        assert echoed[[160, 320]] == pytest.approx(0.5 * 10 ** (np.array([-6, -12]) / 20))

    def test_beyond_the_end(self) -> None:
        assert np.array_equal(impair(KEYS, echo=(3_600_000, -1)), KEYS)

    def test_of_what_lies_under(self) -> None:
        # The caller's room is sent and echoed with the keys; what the line adds is not.
        other = np.random.default_rng(1).normal(0, 0.1, len(SILENCE))
        echoed = impair(SILENCE, under=(other, -20), echo=(50, -10), dc=0.1)
        plain = impair(SILENCE, under=(other, -20))
        assert np.abs(echoed[400:] - 0.1 - plain[400:] - 10**-0.5 * plain[:-400]).max() < 1e-6


class TestUnder:
    def test_level(self) -> None:
        other = np.random.default_rng(1).normal(0, 0.1, len(SILENCE)).astype(np.float32)
        other[20_000:60_000] = 0
        assert mean_dbm0(impair(SILENCE, under=(other, -27))) == pytest.approx(-27, abs=0.01)

    def test_repeated_and_cut(self) -> None:
        other = np.array([1, -2, 3, -4, 5], np.int16)
        laid = impair(np.zeros(12, np.float32), under=(other, -20))
        assert laid / laid[0] == pytest.approx(np.resize(other, 12))
        assert impair(np.zeros(2, np.float32), under=(other, -20)) == pytest.approx(laid[:2])


class TestConverter:
    def test_constant(self) -> None:
        assert impair(SILENCE, dc=-0.25).tolist() == [-0.25] * len(SILENCE)

    def test_clipping(self) -> None:
        sine = (0.8 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype(np.float32)
        clipped = impair(sine, clip=-10)
        assert np.abs(clipped).max() == pytest.approx(amplitude(-10))
        assert np.array_equal(clipped, np.clip(sine, -np.float32(amplitude(-10)), np.float32(amplitude(-10))))
        loud = impair(sine, clip=20, dial_tone=(425, 3))
        assert (loud.min(), loud.max()) == (-1, 1)

    @pytest.mark.parametrize("law", ["mulaw", "alaw"])
    def test_law(self, law: Any) -> None:
        coded = impair(KEYS, law=law)
        assert np.array_equal(coded, there_and_back(KEYS, law))
        # Sixteen steps to a doubling: the error is some 38 dB below the sound.
        assert sounding_dbm0(KEYS) - mean_dbm0(coded - KEYS) == pytest.approx(38, abs=4)
        assert np.array_equal(impair(coded, law=law), coded)


class TestLoss:
    def test_share(self) -> None:
        sound = np.full(160 * 20_000, 0.5, np.float32)
        packets = impair(sound, lost=0.05).reshape(-1, 160)
        assert set(packets.mean(axis=1).tolist()) == {0.0, 0.5}
        assert (packets[:, 0] == 0).mean() == pytest.approx(0.05, abs=0.008)
        assert not impair(sound, lost=1).any()
        assert impair(sound, lost=0).all()

    @pytest.mark.parametrize("lost", [[True, False, False], [1, 0, 0], np.array([1, 0, 0], bool)], ids=str)
    def test_pattern(self, lost: Any) -> None:
        sound = impair(np.full(160 * 7 + 10, 0.5, np.float32), lost=lost)
        assert (np.flatnonzero(np.diff((sound == 0).astype(int))) + 1).tolist() == [160, 480, 640, 960, 1120]
        assert sound[0] == 0

    def test_odd_rates(self) -> None:
        # A packet of 20 ms at 11,025 Hz has 220 samples or 221, and no two packets share one.
        sound = impair(np.full(11025, 0.5, np.float32), rate=11025, lost=[0, 1])
        edges = np.flatnonzero(np.diff((sound == 0).astype(int))) + 1
        assert edges.tolist() == [-(-k * 11025 // 50) for k in range(1, 50)]

    def test_a_lost_packet_is_silence_after_any_codec(self) -> None:
        assert not impair(SILENCE, dc=0.1, noise_dbm0=-20, law="alaw", lost=[1]).any()


@settings(deadline=None, max_examples=80)
@given(
    samples=st.integers(0, 2500),
    rate=st.sampled_from([4000, 8000, 11025, 48000]),
    seed=st.integers(0, 2**64),
    arguments=st.fixed_dictionaries(
        {},
        optional={
            "under": st.tuples(st.just(KEYS[3000:4000]), st.floats(-90, 20)),
            "echo": st.lists(st.tuples(st.floats(0, 400), st.floats(-60, 0)), max_size=3),
            "dial_tone": st.tuples(st.lists(st.floats(100, 1900), max_size=3), st.floats(-90, 20)),
            "hum": st.lists(st.tuples(st.floats(10, 100), st.floats(-90, 20), st.integers(0, 8)), max_size=3),
            "noise_dbm0": st.floats(-90, 20),
            "impulses": st.tuples(st.floats(0, 300), st.floats(-90, 20)),
            "dc": st.floats(-1, 1),
            "clip": st.floats(-60, 20),
            "law": st.sampled_from(["mulaw", "alaw"]),
            "lost": st.floats(0, 1) | st.lists(st.booleans(), min_size=1, max_size=9),
        },
    ),
)
def test_whatever_the_line(samples: int, rate: int, seed: int, arguments: dict[str, Any]) -> None:
    sound = np.resize(KEYS, samples)
    before = sound.copy()
    heard = impair(sound, rate=rate, seed=seed, **arguments)
    assert heard.dtype == np.float32
    assert heard.shape == sound.shape
    assert np.isfinite(heard).all()
    assert np.abs(heard).max(initial=0) <= 1
    assert np.array_equal(sound, before)
    assert np.array_equal(impair(sound, rate=rate, seed=seed, **arguments), heard)


def test_nothing_asked_nothing_done() -> None:
    assert np.array_equal(impair(KEYS), KEYS)
    assert impair([]).shape == (0,)
    assert impair([], snr_db=15, law="mulaw", lost=[1], echo=(1, -1)).shape == (0,)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sound": np.zeros((2, 80))}, "shape"),
        ({"sound": [1, 2, 3]}, "type int64"),
        ({"sound": ["a"]}, "type"),
        ({"sound": [math.nan]}, "no numbers"),
        ({"sound": [32767.0]}, "no numbers"),
        ({"rate": 100}, "100 Hz"),
        ({"seed": -1}, "seed of -1"),
        ({"seed": 1.5}, "seed of 1.5"),
        ({"snr_db": math.nan}, "snr_db"),
        ({"snr_db": 15, "noise_dbm0": -30}, "give one"),
        ({"sound": SILENCE, "snr_db": 15}, "needs a sound"),
        ({"noise_dbm0": 1e6}, "noise_dbm0"),
        ({"noise_dbm0": "loud"}, "noise_dbm0"),
        ({"impulses": (-1, -10)}, "impulses"),
        ({"impulses": 5}, "impulses"),
        ({"hum": 50}, "hum"),
        ({"hum": (50,)}, "hum"),
        ({"hum": (50, -10, 99)}, "hum at 4000 Hz"),
        ({"hum": "50"}, "hum"),
        ({"dial_tone": (350, 440)}, "dial_tone"),
        ({"dial_tone": ((350, 9000), -10)}, "9000 Hz"),
        ({"echo": (20, 10)}, "louder than the sound"),
        ({"echo": (-20, -10)}, "echo"),
        ({"echo": [(20, -10), 5]}, "echo"),
        ({"under": (SILENCE, -10)}, "is silent"),
        ({"under": KEYS}, "under"),
        ({"dc": 2}, "dc"),
        ({"clip": math.inf}, "clip"),
        ({"law": "ulaw"}, "'mulaw' or 'alaw'"),
        ({"lost": 1.5}, "lost of 1.5"),
        ({"lost": []}, "lost is"),
        ({"lost": [0, 2]}, "lost is"),
        ({"lost": [0.5, 0.5]}, "lost is"),
        ({"lost": "x"}, "lost of 'x'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_what_cannot_be(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DtmfError, match=said):
        impair(**({"sound": KEYS} | wrong))
