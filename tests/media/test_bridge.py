"""What fills a gap: a key's tones that went on, and nothing else."""

from itertools import pairwise

import numpy as np
import pytest

import dtmf
from ivr_sim.media.bridge import EDGE, LONGEST, bridge
from ivr_sim.media.g711 import PCMA, PCMU

GAPS = [80, 160, 240, 320, 480]


def tone(digit, seconds=0.2, **options):
    sound = dtmf.generate(digit, tone_ms=1000 * seconds, **options)
    return np.round(sound * 32767).astype(np.int16)


def torn(sound, gap, at=EDGE):
    return bridge(sound[at - EDGE : at], gap, sound[at + gap : at + gap + EDGE]), sound[at : at + gap]


def noise_db(made, was):
    error = ((made.astype(float) - was) ** 2).mean()
    return 10 * np.log10(max(error, 1e-9) / (was.astype(float) ** 2).mean())


class TestKeys:
    @pytest.mark.parametrize("gap", GAPS)
    @pytest.mark.parametrize("digit", dtmf.KEYS_16)
    def test_they_go_on_as_they_were(self, digit, gap):
        assert noise_db(*torn(tone(digit), gap)) < -20

    @pytest.mark.parametrize("options", [
        {"offset": (0.018, 0.018)}, {"offset": (-0.018, -0.018)}, {"offset": (0.015, -0.015)},
        {"twist_db": 6}, {"twist_db": -8}, {"level_dbm0": -30}, {"level_dbm0": 0},
    ], ids=str)  # fmt: skip
    @pytest.mark.parametrize("digit", "147#D")
    def test_unclean_ones_too(self, digit, options):
        assert noise_db(*torn(tone(digit, **options), 320)) < -10

    @pytest.mark.parametrize("codec", [PCMU, PCMA], ids=lambda codec: codec.name)
    @pytest.mark.parametrize("digit", dtmf.KEYS_16)
    def test_through_a_codec_and_noise(self, digit, codec):
        sound = tone(digit) + np.random.default_rng(3).normal(0, 400, 1600)
        sound = codec.decode(codec.encode(np.clip(np.round(sound), -32768, 32767).astype(np.int16)))
        assert noise_db(*torn(sound, 320)) < -6


class TestOthers:
    def assert_silent(self, before, after, gap=160):
        made = bridge(before, gap, after)
        assert made.dtype == np.int16
        assert made.shape == (gap,)
        assert not made.any()

    @pytest.mark.parametrize(
        ("first", "second"), [("1", "2"), ("1", "4"), ("5", "8"), ("3", "A"), ("*", "0")]
    )
    def test_one_key_after_another(self, first, second):
        self.assert_silent(tone(first)[:EDGE], tone(second)[:EDGE])

    @pytest.mark.parametrize("silent", [40, 80, 160])
    def test_a_key_that_ended_or_begins_at_the_gap(self, silent):
        ended = tone("5")[:EDGE].copy()
        ended[EDGE - silent :] = 0
        self.assert_silent(ended, tone("5")[:EDGE])
        self.assert_silent(tone("5")[:EDGE], ended[::-1].copy())

    def test_another_level(self):
        self.assert_silent(tone("5", level_dbm0=-10)[:EDGE], tone("5", level_dbm0=-16)[:EDGE])

    def test_a_gap_that_may_be_a_pause(self):
        self.assert_silent(tone("5")[:EDGE], tone("5")[:EDGE], LONGEST + 1)

    @pytest.mark.parametrize("hz", [440, 700, 1000, 1336, 2000])
    def test_a_single_tone(self, hz):
        sound = np.round(8000 * np.sin(2 * np.pi * hz * np.arange(2000) / 8000)).astype(np.int16)
        made, _ = torn(sound, 160)
        events = dtmf.decode(np.concatenate([sound, made, sound]).astype(np.float32) / 32768, 8000)
        assert not list(events)

    def test_silence_noise_and_square_waves(self):
        chance = np.random.default_rng(5)
        noise = [chance.normal(0, 3000, EDGE).astype(np.int16) for _ in range(40)]
        square = np.where(np.arange(EDGE) // 8 % 2, 9000, -9000).astype(np.int16)
        zero = np.zeros(EDGE, np.int16)
        for before, after in [
            (zero, zero),
            (square, square),
            (zero, square),
            *pairwise(noise),
        ]:
            self.assert_silent(before, after)

    def test_a_short_edge_tells_nothing(self):
        self.assert_silent(tone("5")[: EDGE // 2 - 1], tone("5")[:EDGE])
