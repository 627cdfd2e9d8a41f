from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtmf import DtmfError
from dtmf.resample import Resampler, to_8k

RATES = [4000, 6000, 7350, 8012, 11025, 12000, 16000, 22050, 24000, 32000, 37800, 44100, 48000, 96000]


def tone(hz: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return np.cos(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def strength(sound: np.ndarray, hz: float) -> complex:
    """Amplitude and phase of a tone in the middle of a sound at 8 kHz."""
    middle = np.arange(len(sound))[len(sound) // 4 : 3 * len(sound) // 4]
    window = np.hanning(len(middle))
    wave = np.exp(-2j * np.pi * hz * middle / 8000)
    return complex(2 * (sound[middle] * window) @ wave / window.sum())


@pytest.mark.parametrize("rate", RATES)
def test_the_telephone_band_passes_untouched_and_in_time(rate: int) -> None:
    for hz in np.linspace(60, min(3400, 0.85 * rate / 2), 6):
        heard = strength(to_8k(tone(hz, rate), rate), hz)
        assert abs(20 * np.log10(abs(heard))) < 0.05
        assert abs(np.angle(heard)) / (2 * np.pi * hz) < 1e-6  # seconds


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate > 8012])
def test_what_8_khz_cannot_hold_is_gone(rate: int) -> None:
    for hz in np.geomspace(4005, rate / 2 - 5, 12):
        sound = to_8k(tone(hz, rate), rate)
        middle = sound[len(sound) // 4 : 3 * len(sound) // 4]
        assert 10 * np.log10(2 * np.mean(middle**2) + 1e-12) < -60


@pytest.mark.parametrize("rate", [*RATES, 8000, 44101])
@pytest.mark.parametrize("count", [0, 1, 2, 1000, 12_345])
def test_how_much_comes_out(rate: int, count: int) -> None:
    assert len(to_8k(np.zeros(count, np.float32), rate)) == -(-count * 8000 // rate)


def test_edges_stay_where_they_are() -> None:
    sound = np.zeros(48_000, np.float32)
    sound[24_000:] = 1
    after = to_8k(sound, 48_000)
    assert abs(after[3990:4000]).max() < 0.6
    assert after[3980] == pytest.approx(0, abs=0.05)
    assert after[4020] == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(after[:3900], 0, atol=1e-3)
    np.testing.assert_allclose(after[4100:7900], 1, atol=1e-3)


@settings(deadline=None, max_examples=25)
@given(
    rate=st.sampled_from([6000, 11025, 16000, 44100, 48000]),
    cuts=st.lists(st.integers(0, 60_000), max_size=6),
    seed=st.integers(0, 1000),
)
def test_pieces_do_not_matter(rate: int, cuts: list[int], seed: int) -> None:
    sound = np.random.default_rng(seed).integers(-32768, 32767, 60_000).astype(np.int16)
    resampler = Resampler(rate)
    bounds = [0, *sorted(cuts), len(sound)]
    parts = [resampler.feed(sound[a:b]) for a, b in pairwise(bounds)]
    pieced = np.concatenate([*parts, resampler.flush()])
    whole = to_8k((sound / np.float32(32768)).astype(np.float32), rate)
    np.testing.assert_array_equal(pieced, whole)


def test_a_resampler_begins_anew_after_its_end() -> None:
    sound = tone(1000, 16000)
    resampler = Resampler(16000)
    first = np.concatenate([resampler.feed(sound), resampler.flush()])
    np.testing.assert_array_equal(np.concatenate([resampler.feed(sound), resampler.flush()]), first)


def test_8_khz_is_passed_as_it_is() -> None:
    sound = np.arange(10, dtype=np.int16)
    assert Resampler(8000).feed(sound) is sound
    assert len(Resampler(8000).flush()) == 0


@pytest.mark.parametrize("rate", [47_999, 383_999])
def test_odd_rates_take_little_memory(rate: int) -> None:
    stages = Resampler(rate)._stages
    assert sum(weights.nbytes for stage in stages for _, weights in stage.kernel.groups) < 16 << 20


@pytest.mark.parametrize("rate", [0, -1, 3999, 384_001, 8000.5, "8000", None])
def test_rates_that_cannot_be(rate: object) -> None:
    with pytest.raises(DtmfError, match="rate"):
        Resampler(rate)  # type: ignore[arg-type]


def test_scipy_is_not_needed() -> None:
    code = (
        "import sys, numpy, dtmf; dtmf.decode(dtmf.generate('1', rate=44100), 44100); "
        "sys.exit(any(m.split('.')[0] in ('scipy', 'soundfile') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
