"""What is made up for lost audio: voices go on and fade, keys do not, and nothing clicks."""

import numpy as np
import pytest

import dtmf
from ivr_sim.media.concealment import BLEND, FADED, HELD, HISTORY, Concealment

KEYS = dtmf.KEYS_16


def voice(samples, hz=120.0, peak=8000):
    """Something like a vowel: harmonics of a pitch, weaker the higher they are."""
    t = np.arange(samples) / 8000
    sound = sum(np.sin(2 * np.pi * hz * n * t + n) / n for n in range(1, 12))
    return np.round(peak * sound / np.abs(sound).max()).astype(np.int16)


def with_a_gap(sound, first, count, *, piece=160):
    """The sound as heard when ``count`` samples of it are lost."""
    concealment, heard = Concealment(), list(sound[:first])
    for at in range(first, first + count, piece):
        size = min(piece, first + count - at)
        heard += list(concealment.lose(size, np.array(heard[-HISTORY:], np.int16)))
    rest = concealment.resume(sound[first + count : first + count + 160])
    assert not concealment.active
    return np.concatenate([heard, rest, sound[first + count + 160 :]]).astype(np.int16)


def steepest(sound):
    return int(np.abs(np.diff(sound.astype(int))).max())


class TestVoice:
    @pytest.mark.parametrize("hz", [67, 90, 120, 155, 199, 320])
    def test_it_goes_on_as_it_was(self, hz):
        said = voice(1600, hz)
        heard = with_a_gap(said, 800, HELD)
        error = heard[800 : 800 + HELD].astype(float) - said[800 : 800 + HELD]
        assert (error**2).mean() < 0.15 * (said.astype(float) ** 2).mean()

    @pytest.mark.parametrize("hz", [67, 120, 199, 440, 1000])
    @pytest.mark.parametrize("lost", [160, 320, 480, 1600, 75])
    def test_nothing_clicks(self, hz, lost):
        said = voice(4000, hz) if hz < 400 else np.round(
            8000 * np.sin(2 * np.pi * hz * np.arange(4000) / 8000)
        ).astype(np.int16)  # fmt: skip
        heard = with_a_gap(said, 1234, lost)
        assert len(heard) == len(said)
        assert steepest(heard) < 1.5 * steepest(said)

    def test_it_fades_within_60_ms(self):
        heard = with_a_gap(voice(2400), 800, 800)
        loudness = [np.abs(heard[800 + at : 800 + at + 70].astype(int)).max() for at in range(0, 560, 80)]
        assert loudness == sorted(loudness, reverse=True)
        assert loudness[0] > 7000
        assert not heard[800 + FADED : 1600].any()

    def test_in_pieces_of_any_size_it_is_the_same(self):
        whole = with_a_gap(voice(2400), 800, 400, piece=400)
        for piece in (1, 33, 160):
            assert np.array_equal(with_a_gap(voice(2400), 800, 400, piece=piece), whole)

    def test_noise_is_bounded_by_what_it_was(self):
        said = np.random.default_rng(1).normal(0, 3000, 2400).astype(np.int16)
        heard = with_a_gap(said, 800, 320)
        assert np.abs(heard[800:1120].astype(int)).max() <= 2 * np.abs(said[480:800].astype(int)).max()

    def test_full_scale_does_not_wrap(self):
        square = np.where(np.arange(2400) // 30 % 2, 32767, -32768).astype(np.int16)
        heard = with_a_gap(square, 815, 160)
        assert np.corrcoef(heard[815 : 815 + HELD], square[815 : 815 + HELD])[0, 1] > 0.9


class TestSilence:
    def test_it_stays_silent_and_what_follows_is_untouched(self):
        concealment = Concealment()
        assert not concealment.lose(160, np.zeros(HISTORY, np.int16)).any()
        assert not concealment.active

    def test_what_follows_is_real_after_5_ms(self):
        said = voice(2400)
        heard = with_a_gap(said, 800, 160)
        assert np.array_equal(heard[960 + BLEND :], said[960 + BLEND :])


class TestKeys:
    @pytest.mark.parametrize("digit", KEYS)
    @pytest.mark.parametrize("sounded_ms", [12, 25, 60])
    def test_their_tones_do_not_go_on(self, digit, sounded_ms):
        tone = np.round(dtmf.generate(digit, tone_ms=200, level_dbm0=-10) * 32767).astype(np.int16)
        past = np.zeros(HISTORY, np.int16)
        begun = np.flatnonzero(tone)[0]
        sounded = tone[begun : begun + 8 * sounded_ms][-HISTORY:]
        past[HISTORY - len(sounded) :] = sounded
        made = Concealment().lose(320, past)
        assert not made[16:].any()
        assert steepest(np.concatenate([past[-1:], made])) < 1.2 * steepest(sounded)

    @pytest.mark.parametrize("digit", KEYS)
    @pytest.mark.parametrize("options", [
        {"twist_db": 8}, {"twist_db": -6}, {"offset": (0.03, 0.03)}, {"offset": (-0.03, -0.03)},
        {"snr_db": 6},
    ], ids=str)  # fmt: skip
    def test_unclean_ones_do_not_either(self, digit, options):
        options = dict(options)
        snr_db = options.pop("snr_db", None)
        tone = dtmf.generate(digit, tone_ms=80, **options) * 32767
        tone = tone[np.flatnonzero(tone)[0] :][:HISTORY]
        if snr_db is not None:
            power = (tone**2).mean() / 10 ** (snr_db / 10)
            tone = tone + np.random.default_rng(KEYS.index(digit)).normal(0, power**0.5, len(tone))
        made = Concealment().lose(320, np.round(tone).astype(np.int16))
        assert not made[16:].any()

    def test_a_voice_is_seldom_taken_for_one(self):
        going_on = 0
        for hz in range(67, 200, 3):
            going_on += Concealment().lose(160, voice(HISTORY, hz))[16:].any()
        assert going_on >= 40  # of 45
