"""What goes on between a key's down and its up: holes, pauses, drifts, louder sound, oblivion."""

from __future__ import annotations

import numpy as np
import pytest

import dtmf
from dtmf.goertzel import WINDOW
from dtmf.impairment import impair
from dtmf.machine import QUIET, Slots
from dtmf.standards import DEFAULT

HOLE_MS = DEFAULT.decision.hole_ms


def tones(sound: np.ndarray) -> list[dtmf.Tone]:
    return dtmf.decode(sound, 8000)


def test_slots_are_copied_and_forgotten() -> None:
    one, other = Slots(3), Slots(2)
    other.key[:] = 4, 5
    other.pending[:] = 6, 7
    other.since[:] = 100.0
    other.after[:] = 50.0
    one.take(other, np.array([2]), np.array([1]))
    assert one.key.tolist() == [-1, -1, 5]
    assert one.pending.tolist() == [-1, -1, 7]
    one.forget(np.array([2]))
    assert (one.pending[2], one.since[2]) == (-1, np.inf)
    assert one.after[2] < -1e6
    assert one.key[2] == 5  # forgetting ends no key: that is told


@pytest.mark.parametrize("lead_ms", range(0, 20, 2))
@pytest.mark.parametrize("pause_ms", [HOLE_MS - 2.5, HOLE_MS + 2.5])
def test_holes_and_pauses(lead_ms: int, pause_ms: float) -> None:
    """Below the limit one press, above it two: at every place relative to the blocks."""
    sound = dtmf.generate("2277", tone_ms=60, gap_ms=[pause_ms, 200, pause_ms, 0], lead_ms=lead_ms)
    heard = tones(sound)
    assert "".join(tone.digit for tone in heard) == ("27" if pause_ms < HOLE_MS else "2277")
    if pause_ms < HOLE_MS:
        assert heard[0].end_s - heard[0].start_s == pytest.approx((120 + pause_ms) / 1000, abs=0.003)


def test_a_key_that_is_held_is_one_press() -> None:
    for noise in (None, 15.0):
        [tone] = tones(impair(dtmf.generate("7", tone_ms=9000, lead_ms=55, tail_ms=80), snr_db=noise))
        assert (tone.start_s, tone.end_s) == (
            pytest.approx(0.055, abs=0.003),
            pytest.approx(9.055, abs=0.003),
        )


@pytest.mark.parametrize("end_db", [-25.0, 12.0])
def test_its_level_may_drift(end_db: float) -> None:
    sound = dtmf.generate("7", tone_ms=2000, level_dbm0=-17, lead_ms=50, tail_ms=100)
    sound *= 10 ** (np.linspace(0, end_db, len(sound), dtype=np.float32) / 20)
    [tone] = tones(sound)
    assert tone.end_s == pytest.approx(2.05, abs=0.004)


@pytest.mark.parametrize("keys", ["14", "12", "15", "1245784A0", "D*"])
def test_rolled_keys(keys: str) -> None:
    """No pause at all: the second ends the first, whether or not they share a tone."""
    heard = tones(dtmf.generate(keys, tone_ms=70, gap_ms=0, lead_ms=30, tail_ms=80))
    assert "".join(tone.digit for tone in heard) == keys
    for i, tone in enumerate(heard):
        assert tone.start_s == pytest.approx(0.03 + 0.07 * i, abs=0.006)
        assert tone.end_s == pytest.approx(0.1 + 0.07 * i, abs=0.006)


def test_the_same_key_on_top_of_its_late_echo() -> None:
    """The second press begins while the first one's echo still sounds, and is told as a press."""
    sound = dtmf.generate("55", tone_ms=[150, 150], gap_ms=100, lead_ms=20, tail_ms=400)
    echoed = impair(sound, echo=(200, -20))
    heard = tones(echoed)
    assert [tone.digit for tone in heard] == ["5", "5"]
    assert heard[1].start_s == pytest.approx(0.27, abs=0.012)


@pytest.mark.parametrize("silent", range(QUIET + 3))
def test_after_a_few_silent_blocks_all_is_forgotten(silent: int) -> None:
    """What follows is told as if it were the first thing on the line."""
    first = dtmf.generate("3", tone_ms=60, tail_ms=20)
    second = dtmf.generate("3", tone_ms=60, tail_ms=100)
    pause = np.zeros(silent * WINDOW, np.float32)
    heard = tones(np.concatenate([first, pause, second]))
    assert len(heard) == (2 if 20 * silent + 20 > HOLE_MS else 1)
    if silent > QUIET:
        [alone] = tones(second)
        at = (len(first) + len(pause)) / 8000
        assert heard[1].end_s - at == pytest.approx(alone.end_s, abs=1e-9)
        assert heard[1].level_dbm0 == alone.level_dbm0


def test_louder_sound_ends_no_key() -> None:
    """A click or a word on top of a key that is held: one press, or at worst two, and no other key."""
    sound = dtmf.generate("8", tone_ms=1000, lead_ms=50, tail_ms=100)
    rng = np.random.default_rng(6)
    for length in (40, 160):
        clicked = sound.copy()
        clicked[4000 : 4000 + length] += rng.normal(0, 0.3, length)
        [tone] = tones(clicked)
        assert (tone.digit, tone.end_s) == ("8", pytest.approx(1.05, abs=0.003))
