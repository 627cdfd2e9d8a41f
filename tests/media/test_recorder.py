"""Recordings: what is in them, and what must not be."""

import copy
import os
import pickle
import stat
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dtmf
from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import PCMA, PCMU, Recorder

CARD = "4111111111111111"


def record(caller, ivr=None, **options):
    recorder = Recorder(**options)
    size = -(-len(caller) // 160) * 160
    caller = np.pad(caller, (0, size - len(caller)))
    ivr = np.zeros(size, np.int16) if ivr is None else np.pad(ivr, (0, size - len(ivr)))
    for n in range(0, size, 160):
        recorder.append(caller[n : n + 160], ivr[n : n + 160])
    return recorder


def read(path):
    with wave.open(str(path)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (2, 2, 8000)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)


def written(recorder, tmp_path):
    recorder.write(tmp_path / "call.wav")
    return read(tmp_path / "call.wav")


def key_tone_power(sound):
    """The strongest of the eight key tones in any 50 ms, in dB below full scale."""
    angle = 2j * np.pi * np.outer(np.arange(400), (697, 770, 852, 941, 1209, 1336, 1477, 1633)) / 8000
    windows = np.lib.stride_tricks.sliding_window_view(sound.astype(float) / 32768, 400)[::100]
    spread = np.hanning(400)
    amplitude = 2 * np.abs((windows * spread) @ np.exp(angle)) / spread.sum()
    return 20 * np.log10(amplitude.max() + 1e-9)


class TestRecording:
    def test_the_caller_is_left_and_the_ivr_right(self, tmp_path, sine):
        caller, ivr = sine(0.5, 300), sine(0.5, 500)
        recorder = record(caller, ivr)
        recorder.mask([])
        sound = written(recorder, tmp_path)
        assert np.array_equal(sound[:, 0], caller)
        assert np.array_equal(sound[:, 1], ivr)

    def test_none_is_silence(self, tmp_path):
        recorder = Recorder()
        recorder.append(None, np.ones(160, np.int16))
        recorder.append(np.ones(160, np.int16), None)
        recorder.mask([])
        sound = written(recorder, tmp_path)
        assert sound.sum(axis=0).tolist() == [160, 160]
        assert recorder.duration == 0.04

    def test_an_empty_call_is_an_empty_recording(self, tmp_path):
        recorder = Recorder()
        recorder.mask([(0, 1)])
        assert written(recorder, tmp_path).shape == (0, 2)

    def test_longer_than_a_block_of_memory(self, tmp_path):
        recorder = Recorder()
        for n in range(1203):
            recorder.append(np.full(160, n, np.int16), None)
        recorder.mask([])
        assert np.array_equal(written(recorder, tmp_path)[::160, 0], np.arange(1203))

    def test_it_is_cut_at_its_longest(self):
        recorder = Recorder(longest=1.0)
        for _ in range(60):
            recorder.append(None, None)
        assert recorder.cut
        assert recorder.duration == 1.0

    def test_nothing_is_added_once_it_was_masked(self, tones):
        recorder = record(tones("1"))
        recorder.mask([])
        before = recorder.duration
        recorder.append(np.ones(160, np.int16), None)
        assert recorder.duration == before


class TestMask:
    @pytest.mark.parametrize("codec", [PCMU, PCMA], ids=lambda c: c.name)
    @pytest.mark.parametrize("level", [-3.0, -10.0, -30.0, -45.0])
    def test_no_digit_is_left_of_a_card(self, tmp_path, tones, codec, level):
        keyed = tones(CARD, tone_ms=80, gap_ms=60, level_dbm0=level, lead_ms=200, tail_ms=200)
        keyed = codec.decode(codec.encode(keyed))
        pressed = [(0.2 + 0.14 * n, 0.28 + 0.14 * n) for n in range(16)]
        recorder = record(keyed)
        recorder.mask(pressed)
        caller = written(recorder, tmp_path)[:, 0]
        assert dtmf.decode(caller, 8000) == []
        assert key_tone_power(caller) < -74

    def test_length_and_the_other_side_stay(self, tmp_path, tones, sine):
        keyed, prompt = tones(CARD), sine(3.0)
        recorder = record(keyed, prompt)
        before = recorder.duration
        recorder.mask([(0, 3)])
        sound = written(recorder, tmp_path)
        assert len(sound) == round(before * 8000)
        assert np.array_equal(sound[: len(prompt), 1], prompt)

    def test_what_stands_in_the_place_is_one_low_tone(self, tmp_path, sine):
        recorder = record(sine(1.0, 300))
        recorder.mask([(0.4, 0.5)])
        caller = written(recorder, tmp_path)[:, 0]
        spectrum = np.abs(np.fft.rfft(caller[3000:4000] * np.hanning(1000)))
        assert spectrum.argmax() * 8 == 400
        assert 1000 < np.abs(caller[3200:4000]).max() < 2000
        original = sine(1.0, 300)
        assert np.array_equal(caller[:2880], original[:2880])  # 40 ms before: 30, and to the frame's edge
        assert np.array_equal(caller[4320:], original[4320:])

    def test_keys_that_no_interval_tells_of_are_found(self, tmp_path, tones):
        recorder = record(tones(CARD, lead_ms=300))
        recorder.mask([])
        assert dtmf.decode(written(recorder, tmp_path)[:, 0], 8000) == []

    @pytest.mark.parametrize(
        ("options", "noise"),
        [
            ({"level_dbm0": -55.0}, 0),  # too weak for a receiver
            ({"tone_ms": 25}, 0),  # too short
            ({"twist_db": 14.0}, 0),  # too uneven
            ({"twist_db": -14.0}, 0),
            ({"level_dbm0": -20.0}, 300),
        ],
    )
    def test_keys_that_are_no_good_keys_are_found(self, tmp_path, tones, options, noise):
        keyed = tones("159#", lead_ms=300, tail_ms=100, **options)
        random = np.random.default_rng(1)
        keyed = (keyed + random.normal(0, noise, len(keyed))).astype(np.int16)
        recorder = record(keyed)
        recorder.mask([])
        caller = written(recorder, tmp_path)[:, 0]
        for tone in range(4):
            begin = 2400 + tone * (8 * options.get("tone_ms", 100) + 800)
            middle = caller[begin : begin + 8 * options.get("tone_ms", 100)]
            assert abs(np.abs(np.fft.rfft(middle, 8000)).argmax() - 400) <= 10

    def test_published_keys_stay_and_secret_ones_do_not(self, tmp_path, tones):
        keyed = tones("123456#" + CARD, lead_ms=100)
        when = [(t.start_s, t.end_s) for t in dtmf.decode(keyed, 8000)]
        recorder = record(keyed)
        recorder.mask(when[7:], published=when[:7])
        caller = written(recorder, tmp_path)[:, 0]
        assert "".join(t.digit for t in dtmf.decode(caller, 8000)) == "123456#"

    def test_secret_goes_before_published(self, tmp_path, tones):
        recorder = record(tones("1", lead_ms=100, tail_ms=100))
        recorder.mask([(0.1, 0.2)], published=[(0.0, 1.0)])
        assert dtmf.decode(written(recorder, tmp_path)[:, 0], 8000) == []

    def test_sound_that_is_no_key_stays(self, tmp_path):
        random = np.random.default_rng(7)
        t = np.arange(16000) / 8000
        buzz = sum(np.sin(2 * np.pi * 140 * k * t + k) / k for k in range(1, 20))
        speech = (3000 * buzz * (1 + np.sin(2 * np.pi * 3 * t)) + random.normal(0, 50, 16000)).astype(
            np.int16
        )
        recorder = record(speech)
        recorder.mask([])
        assert np.array_equal(written(recorder, tmp_path)[:, 0], speech)

    @pytest.mark.parametrize("interval", [(-5, -4), (100, 200), (3, 1), (-1e9, 1e9), (0.0, 0.0)])
    def test_any_interval_is_clipped(self, tmp_path, sine, interval):
        recorder = record(sine(0.5))
        recorder.mask([interval])
        assert len(written(recorder, tmp_path)) == 4000

    @pytest.mark.parametrize("interval", [(float("nan"), 1.0), (0.0, float("inf"))])
    def test_times_that_are_none_are_refused_and_nothing_can_be_written(self, tmp_path, sine, interval):
        recorder = record(sine(0.1))
        with pytest.raises(LocalProtocolError):
            recorder.mask([interval])
        with pytest.raises(LocalProtocolError):
            recorder.write(tmp_path / "call.wav")

    @settings(deadline=None, max_examples=25)
    @given(
        st.text("0123456789*#ABCD", min_size=1, max_size=8),
        st.integers(20, 150),
        st.integers(5, 120),
        st.floats(-45, 0),
        st.integers(0, 159),
    )
    def test_no_key_is_left_that_could_be_read(self, digits, tone_ms, gap_ms, level, offset):
        keyed = dtmf.generate(digits, tone_ms=tone_ms, gap_ms=gap_ms, level_dbm0=level, tail_ms=50)
        sound = np.round(32767 * np.pad(keyed, (offset, 0))).astype(np.int16)
        recorder = record(PCMU.decode(PCMU.encode(sound)))
        recorder.mask([])
        sound = recorder._kept
        assert dtmf.decode(sound[:, 0].copy(), 8000) == []


class TestEntries:
    """A secret entry is one tone from its first key to its last: nothing in it tells one key from another."""

    @pytest.mark.parametrize(
        ("tone_ms", "gap_ms", "tail_ms"),
        [(80, 60, 200), (100, 4500, 200), (60, 20, 200), (2500, 300, 200), (80, 60, 0)],
        ids=["usual", "slow", "fast", "held", "cut by the end of the call"],
    )
    def test_an_entry_is_one_tone(self, tmp_path, tones, tone_ms, gap_ms, tail_ms):
        digits = "5105105105"
        keyed = tones(digits, tone_ms=tone_ms, gap_ms=gap_ms, lead_ms=300, tail_ms=tail_ms)
        each = (tone_ms + gap_ms) / 1000
        pressed = [(0.3 + each * n, 0.3 + each * n + tone_ms / 1000) for n in range(len(digits))]
        recorder = record(keyed)
        before = recorder.duration
        recorder.mask(pressed)
        caller = written(recorder, tmp_path)[:, 0]
        assert len(caller) == round(before * 8000)
        inside = caller[2400 : round(pressed[-1][1] * 8000)]
        steady = inside[40 : len(inside) - 40]
        assert np.array_equal(steady[20:], steady[:-20])  # 400 Hz and nothing else, without a break
        assert np.abs(steady).max() > 1000
        assert not caller[:2000].any()
        assert not caller[round(pressed[-1][1] * 8000) + 480 :].any()

    def test_another_number_of_the_same_rhythm_makes_the_same_recording(self, tmp_path, tones):
        """Receivers time some keys a millisecond longer than others; the mask does not."""
        sounds = set()
        for digits in ("5105105105105100", "4242424242424242", "0000000000000000", "9876543210123456"):
            keyed = PCMU.decode(PCMU.encode(tones(digits, lead_ms=300, tail_ms=300)))
            recorder = record(keyed)
            recorder.mask([(t.start_s, t.end_s) for t in dtmf.decode(keyed, 8000)])
            sounds.add(written(recorder, tmp_path).tobytes())
        assert len(sounds) == 1

    def test_a_key_that_may_be_heard_parts_two_entries(self, tmp_path, tones):
        keyed = tones("12#34", lead_ms=300, tail_ms=300)
        when = [(t.start_s, t.end_s) for t in dtmf.decode(keyed, 8000)]
        recorder = record(keyed)
        recorder.mask(when[:2] + when[3:], published=when[2:3])
        caller = written(recorder, tmp_path)[:, 0]
        assert [t.digit for t in dtmf.decode(caller, 8000)] == ["#"]

    def test_what_is_said_between_two_entries_stays(self, tmp_path, sine):
        said = sine(10.0, 300)
        recorder = record(said)
        recorder.mask([(1.0, 1.1), (8.0, 8.1)])
        caller = written(recorder, tmp_path)[:, 0]
        assert np.array_equal(caller[9600:63000], said[9600:63000])


class TestWriting:
    def test_not_before_it_was_masked(self, tmp_path, tones):
        recorder = record(tones(CARD))
        with pytest.raises(LocalProtocolError, match="only after mask"):
            recorder.write(tmp_path / "call.wav")
        assert list(tmp_path.iterdir()) == []

    def test_masked_once(self, tones):
        recorder = record(tones("1"))
        recorder.mask([])
        with pytest.raises(LocalProtocolError, match="cannot be masked again"):
            recorder.mask([])

    def test_in_the_place_of_another_and_whole(self, tmp_path, sine):
        path = tmp_path / "call.wav"
        path.write_bytes(b"old")
        recorder = record(sine(0.1))
        recorder.mask([])
        recorder.write(path)
        assert len(read(path)) == 800
        assert [p.name for p in tmp_path.iterdir()] == ["call.wav"]

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
    def test_readable_by_its_owner_only(self, tmp_path, sine):
        recorder = record(sine(0.1))
        recorder.mask([])
        recorder.write(tmp_path / "call.wav")
        assert stat.S_IMODE((tmp_path / "call.wav").stat().st_mode) == 0o600

    def test_where_it_cannot_be_nothing_is_left(self, tmp_path, sine):
        recorder = record(sine(0.1))
        recorder.mask([])
        with pytest.raises(OSError, match="missing"):
            recorder.write(tmp_path / "missing" / "call.wav")
        (tmp_path / "folder").mkdir()
        with pytest.raises(OSError, match="folder"):
            recorder.write(tmp_path / "folder")
        assert [p.name for p in tmp_path.iterdir()] == ["folder"]

    def test_nothing_is_given_away_otherwise(self, tones):
        recorder = record(tones("12"))
        assert repr(recorder) == f"<Recorder {recorder.duration:.2f} s, not masked>"
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled"):
                way(recorder)
