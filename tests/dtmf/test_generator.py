from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtmf import KEYS_16, DtmfError, generate
from dtmf.goertzel import amplitude
from dtmf.keypad import key_tones


def tones_of(sound: np.ndarray, hz: tuple[float, float], rate: int = 8000) -> np.ndarray:
    """Amplitude and phase of two tones, fitted by least squares: complex (2,), of a·sin(2πft + phase)."""
    t = 2 * np.pi * np.arange(len(sound)) / rate
    waves = np.stack([f(h * t) for h in hz for f in (np.sin, np.cos)], axis=1)
    fitted, *_ = np.linalg.lstsq(waves, sound.astype(float), rcond=None)
    assert np.abs(waves @ fitted - sound).max() < 1e-6, "there are no other tones in it"
    return fitted[::2] + 1j * fitted[1::2]


def test_lengths() -> None:
    sound = generate("12", tone_ms=50, gap_ms=30, lead_ms=10, tail_ms=20)
    assert sound.dtype == np.float32
    assert len(sound) == 8 * (10 + 50 + 30 + 50 + 20)
    heard = np.abs(sound) > 0
    assert not heard[:80].any()
    assert not heard[480:720].any()
    assert not heard[1120:].any()
    assert heard[81:480].mean() > 0.95
    assert heard[721:1120].mean() > 0.95


def test_roundings_do_not_add_up() -> None:
    sound = generate("1" * 1000, rate=11025, tone_ms=40.03, gap_ms=40.03)
    assert len(sound) == round(1999 * 40.03 * 11.025)


@pytest.mark.parametrize("key", KEYS_16)
def test_frequencies_levels_and_twist(key: str) -> None:
    sound = generate(key, tone_ms=1000, level_dbm0=-13, twist_db=3)
    low, high = (
        abs(sound @ np.exp(-2j * np.pi * hz * np.arange(8000) / 8000)) / 4000 for hz in key_tones(key)
    )
    assert 20 * np.log10(high / low) == pytest.approx(3, abs=0.01)
    assert 10 * np.log10((low**2 + high**2) / 2) + 3.14 == pytest.approx(-13, abs=0.01)
    assert np.mean(sound.astype(float) ** 2) == pytest.approx((low**2 + high**2) / 2, rel=1e-3)


def test_nothing_to_say() -> None:
    assert generate("").shape == (0,)
    assert generate("", lead_ms=10).tolist() == [0.0] * 80


def test_full_scale_clips() -> None:
    assert np.abs(generate("5", level_dbm0=0)).max() == 1


class TestEachDigitItsOwn:
    def test_times(self) -> None:
        sound = generate("123", tone_ms=[40, 50, 60], gap_ms=[30, 20, 999], lead_ms=10, tail_ms=5)
        assert len(sound) == 8 * (10 + 40 + 30 + 50 + 20 + 60 + 5)
        heard = np.abs(sound).reshape(-1, 40).max(axis=1) > 0  # pieces of 5 ms
        runs = np.flatnonzero(np.diff(np.concatenate([[False], heard, [False]])))
        assert (5 * runs).tolist() == [10, 50, 80, 130, 150, 210]

    def test_all_at_once(self) -> None:
        digits = "159D"
        levels, twists = np.array([-3, -10, -25, -40]), np.array([4, 0, -8, -3])
        offsets, hertz = [0.015, (-0.015, 0.018), (0, 0.03), -0.035], np.array([0, 2, -2, 1.5])
        offsets = [one if isinstance(one, tuple) else (one, one) for one in offsets]
        phases = [(0.1, 2.0), (0.2, -1.0), (3.0, 0.0), (1.5, 1.5)]
        sound = generate(
            digits, level_dbm0=levels, twist_db=twists, offset=offsets, offset_hz=hertz, phase=phases
        )
        for i, digit in enumerate(digits):
            hz = [f * (1 + off) + hertz[i] for f, off in zip(key_tones(digit), offsets[i], strict=True)]
            tones = tones_of(sound[1600 * i : 1600 * i + 800], (hz[0], hz[1]))
            low, high = 20 * np.log10(np.abs(tones) / amplitude(0))
            assert high - low == pytest.approx(twists[i], abs=0.001)
            assert 10 * np.log10((10 ** (low / 10) + 10 ** (high / 10)) / 2) == pytest.approx(
                levels[i], abs=0.001
            )
            assert np.angle(tones) == pytest.approx(phases[i], abs=0.001)

    def test_a_tuple_of_two_is_a_pair_and_a_list_of_two_is_not(self) -> None:
        low, high = key_tones("1")
        pair, each = generate("11", offset=(0.01, -0.02)), generate("11", offset=[0.01, -0.02])
        tones_of(pair[1600:], (low * 1.01, high * 0.98))
        tones_of(each[:800], (low * 1.01, high * 1.01))
        tones_of(each[1600:], (low * 0.98, high * 0.98))
        assert np.array_equal(generate("11", offset=np.array([0.01, -0.02])), each)
        assert np.array_equal(generate("11", offset=np.array([[0.01, -0.02]] * 2)), pair)

    def test_long_tapes_are_made_in_pieces(self) -> None:
        # Whatever the seams between pieces cut: each digit is what it is alone.
        keys = KEYS_16 * 60
        lengths = 30 + np.arange(len(keys)) % 77 * 1.5
        options = {"level_dbm0": -9, "twist_db": 1, "offset": (0.01, -0.01), "ramp_ms": 3, "hole": (11, 7)}
        tape = generate(keys, tone_ms=lengths, gap_ms=20, **options)
        starts = np.concatenate([[0], np.cumsum(lengths + 20)])
        for key, start, length in zip(keys, starts, lengths, strict=False):
            alone = generate(key, tone_ms=length, **options)
            assert np.abs(tape[round(8 * start) :][: len(alone)] - alone).max() < 1e-6
        [held] = [generate("7", tone_ms=120_000, level_dbm0=-9)]
        low, high = key_tones("7")
        assert np.abs(tones_of(held[-800:], (low, high))).tolist() == pytest.approx([amplitude(-9)] * 2)


class TestShape:
    def test_hole(self) -> None:
        whole, holed = generate("55", tone_ms=80), generate("55", tone_ms=80, hole=(30, 10))
        for start in (0, 1440):
            assert not holed[start + 240 : start + 320].any()
            assert np.array_equal(holed[start : start + 240], whole[start : start + 240])
            assert np.array_equal(holed[start + 320 : start + 640], whole[start + 320 : start + 640])
        assert np.array_equal(generate("5", hole=(30, 0)), generate("5"))

    def test_holes_of_each(self) -> None:
        holed = generate("55", tone_ms=80, hole=[(30, 10), (40, 20)])
        assert not holed[240:320].any()
        assert not holed[1440 + 320 : 1440 + 480].any()
        assert np.abs(holed[1440 + 240 : 1440 + 320]).min() < np.abs(holed[1440 + 240 : 1440 + 320]).max()

    def test_ramps(self) -> None:
        flat, ramped = generate("5", phase=0.7), generate("5", phase=0.7, ramp_ms=5)
        share = ramped / flat
        assert (np.diff(share[:40]) > 0).all()
        assert share[[0, 20, 39]] == pytest.approx([0, 0.5, 1], abs=0.05)
        assert share == pytest.approx(share[::-1], abs=1e-3)
        assert np.array_equal(ramped[40:-40], flat[40:-40])

    def test_half_a_tone_is_the_longest_ramp(self) -> None:
        assert np.abs(generate("5", tone_ms=50, ramp_ms=25)).max() > 0.1
        with pytest.raises(DtmfError, match="half of tone_ms"):
            generate("5", tone_ms=50, ramp_ms=26)


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_anything_that_makes_sense(data: st.DataObject) -> None:
    digits = data.draw(st.text(KEYS_16, max_size=6))

    def each(low: float, high: float) -> Any:
        number = st.floats(low, high)
        return data.draw(number | st.lists(number, min_size=len(digits), max_size=len(digits)))

    tone, gap, lead = each(10, 90), each(0, 90), data.draw(st.floats(0, 50))
    rate = data.draw(st.sampled_from([4000, 8000, 11025, 44100]))
    options = {
        "level_dbm0": each(-60, 20),
        "twist_db": each(-20, 20),
        "offset": each(-0.05, 0.05),
        "phase": each(-7, 7),
        "hole": data.draw(st.none() | st.tuples(st.floats(0, 5), st.floats(0, 5))),
        "ramp_ms": each(0, 5),
    }
    sound = generate(digits, rate=rate, tone_ms=tone, gap_ms=gap, lead_ms=lead, **options)
    tones, gaps = (np.broadcast_to(ms, len(digits)).astype(float) for ms in (tone, gap))
    assert len(sound) == pytest.approx((lead + tones.sum() + gaps[:-1].sum()) * rate / 1000, abs=0.51)
    assert sound.dtype == np.float32
    assert np.abs(sound).max(initial=0) <= 1
    assert np.array_equal(
        sound, generate(digits, rate=rate, tone_ms=tone, gap_ms=gap, lead_ms=lead, **options)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"digits": "12E"},
        {"rate": 0},
        {"rate": 8000.5},
        {"rate": 10**9},
        {"tone_ms": 0},
        {"tone_ms": -1},
        {"gap_ms": float("nan")},
        {"lead_ms": float("inf")},
        {"tail_ms": 1e12},
        {"level_dbm0": float("nan")},
        {"level_dbm0": 1e6},
        {"twist_db": float("inf")},
        {"tone_ms": [50, 50]},
        {"tone_ms": "long"},
        {"tone_ms": [0]},
        {"gap_ms": [[1]]},
        {"level_dbm0": None},
        {"offset": 3.0},
        {"offset": (0.0, 3.0)},
        {"offset": (0, 0, 0)},
        {"offset": [[1, 2, 3]]},
        {"offset_hz": -697},
        {"phase": float("nan")},
        {"hole": 10},
        {"hole": [10]},
        {"hole": (-1, 5)},
        {"hole": (95, 6)},
        {"rate": 48000, "tone_ms": 5 * 3600 * 1000},
    ],
    ids=str,
)
def test_what_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(DtmfError):
        generate(**({"digits": "1"} | wrong))
