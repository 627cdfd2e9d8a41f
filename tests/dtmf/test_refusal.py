"""Near misses: keys that a person pressed and the receiver did not take, and never what people say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dtmf
from dtmf.goertzel import amplitude
from dtmf.impairment import impair
from dtmf.keypad import key_tones
from dtmf.standards import PROFILES, Profile

SOME = "15*0#"
PROMPTS = Path(__file__).parents[2] / "ivr_sim" / "prompts" / "data"


def tone(
    key: str, ms: float, *, level: float = -10.0, twist: float = 0.0, low: float = 0.0, lead: float = 0.1
) -> np.ndarray:
    """One key amid silence; low: share by which its low tone is off."""
    hz = key_tones(key)
    t = np.arange(round(8 * ms)) / 8000
    sound = amplitude(level - twist / 2) * np.sin(2 * np.pi * hz[0] * (1 + low) * t + 0.3)
    sound += amplitude(level + twist / 2) * np.sin(2 * np.pi * hz[1] * t + 1)
    return np.concatenate([np.zeros(round(8000 * lead)), sound, np.zeros(1600)]).astype(np.float32)


def heard(sound: np.ndarray, *, keys: str = dtmf.KEYS_12, **more: Any) -> tuple[str, list[dtmf.Refused]]:
    receiver = dtmf.Receiver(keys=keys, refusals=True, **more)
    events = receiver.feed(sound) + receiver.flush(0)
    return "".join(e.tone.digit for e in events if isinstance(e, dtmf.KeyUp)), receiver.refused()


@pytest.mark.parametrize("key", SOME)
@pytest.mark.parametrize("ms", [18, 22, 28])
def test_keys_too_short(key: str, ms: int, codec: Callable[[np.ndarray], np.ndarray]) -> None:
    for lead in np.arange(0.1, 0.12, 0.004):
        taken, [refused] = heard(codec(tone(key, ms, lead=float(lead))))
        assert (taken, refused.reason) == ("", "too_short")
        assert abs(refused.end_s - refused.start_s - max(ms, 20) / 1000) < 0.005
        assert abs(refused.start_s - lead) < 0.006
        assert abs(refused.level_dbm0 + 10) < 1.8  # of 18 ms there is a little less


@pytest.mark.parametrize("key", SOME)
@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        ({"level": -51.0}, "too_weak"),
        ({"level": -56.0}, "too_weak"),
        ({"twist": 8.0}, "twist"),
        ({"twist": 12.0}, "twist"),
        ({"twist": -12.5}, "twist"),
        ({"low": 0.03}, "frequency"),
        ({"low": -0.03}, "frequency"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_other_limits(
    key: str, sound: dict[str, float], reason: str, codec: Callable[[np.ndarray], np.ndarray]
) -> None:
    if "level" in sound and codec.__name__ == "_a_law":
        pytest.skip("A-law has no steps so small")
    taken, [refused] = heard(codec(tone(key, 80, **sound)))
    assert (taken, refused.reason) == ("", reason)
    assert abs(refused.end_s - refused.start_s - 0.08) < 0.006
    assert abs(refused.twist_db - sound.get("twist", 0.0)) < 0.5
    level, twist = sound.get("level", -10.0), sound.get("twist", 0.0)
    mean = 10 * np.log10((10 ** ((level - twist / 2) / 10) + 10 ** ((level + twist / 2) / 10)) / 2)
    assert abs(refused.level_dbm0 - mean) < 1.5


def test_a_long_one() -> None:
    taken, [refused] = heard(tone("5", 900, twist=10.0))
    assert (taken, refused.reason) == ("", "twist")
    assert abs(refused.start_s - 0.1) < 0.006
    assert abs(refused.end_s - 1.0) < 0.021


@pytest.mark.parametrize("offset", [0.03, 0.034, 0.04, -0.03, -0.035, -0.04])
@pytest.mark.parametrize("which", [(1, 0), (0, 1), (1, 1)], ids=["low", "high", "both"])
def test_tones_off_their_frequencies(which: tuple[int, int], offset: float) -> None:
    """Where the windows of the nominal frequencies are all but deaf to them, they are measured as well."""
    for i, key in enumerate(dtmf.KEYS_16):
        low, high = which[0] * offset, which[1] * offset
        sound = dtmf.generate(key, tone_ms=100, lead_ms=100 + 1.3 * i, tail_ms=200, offset=(low, high))
        taken, refused = heard(sound, keys=dtmf.KEYS_16)
        assert (key, taken, [miss.reason for miss in refused]) == (key, "", ["frequency"])
        assert abs(refused[0].twist_db) < 0.5
        assert abs(refused[0].level_dbm0 + 10) < 0.5


@pytest.mark.parametrize(("key", "offset"), [("3", -0.028), ("9", -0.028), ("3", (0.028, -0.026))])
def test_tones_a_little_off(key: str, offset: float | tuple[float, float]) -> None:
    taken, refused = heard(dtmf.generate(key, tone_ms=100, lead_ms=100, tail_ms=200, offset=offset))
    assert (taken, [miss.reason for miss in refused]) == ("", ["frequency"])


@pytest.mark.parametrize("key", SOME)
@pytest.mark.parametrize(("hz", "level"), [(2500, -13), (2500, -10), (1750, -10)])
def test_with_something_else(key: str, hz: float, level: float) -> None:
    sound = dtmf.generate(key, tone_ms=120, lead_ms=100, tail_ms=200)
    taken, refused = heard(impair(sound, dial_tone=(hz, level)))
    assert (taken, [miss.reason for miss in refused]) == ("", ["purity"])
    assert abs(refused[0].end_s - refused[0].start_s - 0.12) < 0.01


def test_an_echo() -> None:
    for key in SOME:
        sound = tone(key, 80)
        taken, [refused] = heard(sound + 0.1 * np.roll(sound, 1200))
        assert (taken, refused.reason) == (key, "echo")
        assert abs(refused.start_s - 0.25) < 0.003
        assert abs(refused.level_dbm0 + 30) < 1


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_limits_are_the_profiles(profile: Profile) -> None:
    limits = profile.decision
    for sound, reason in (
        ({"twist": limits.twist_db[0] - 1}, "twist"),
        ({"twist": limits.twist_db[1] + 1}, "twist"),
        ({"level": limits.weakest_dbm0 - 1.5}, "too_weak"),
    ):
        taken, [refused] = heard(tone("5", 80, **sound), profile=profile)
        assert (taken, refused.reason) == ("", reason)
    assert heard(tone("5", 80, twist=limits.twist_db[0] + 1), profile=profile) == ("5", [])


@pytest.mark.parametrize("key", dtmf.KEYS_12)
def test_a_key_that_is_taken_is_no_near_miss(key: str) -> None:
    """Neither are its own edges, the bounce of its contact, or what is beside it in the signal."""
    for ms in (40, 65, 130, 900):
        assert heard(tone(key, ms)) == (key, [])
    bounced = np.concatenate([tone(key, 22)[:-1500], tone(key, 80, lead=0.0)])
    assert heard(bounced) == (key, [])


def test_keys_in_quick_succession() -> None:
    assert heard(dtmf.generate("159*0#", tone_ms=40, gap_ms=40)) == ("159*0#", [])
    taken, refused = heard(dtmf.generate("1590", tone_ms=22, gap_ms=150))
    assert (taken, [r.reason for r in refused]) == ("", ["too_short"] * 4)


def test_a_key_that_is_not_listened_for() -> None:
    assert heard(tone("A", 20)) == ("", [])
    assert [r.reason for r in heard(tone("A", 20), keys=dtmf.KEYS_16)[1]] == ["too_short"]


def test_what_is_no_key() -> None:
    t = np.arange(16000) / 8000
    clicks = np.zeros(16000, np.float32)
    clicks[::1600] = 0.5
    noise = np.random.default_rng(1).normal(0, 0.1, 16000)
    bursts = np.where((t * 20).astype(int) % 4 == 0, noise, 0)
    for sound in (0.3 * np.sin(2 * np.pi * 770 * t), clicks, noise, bursts, tone("5", 10)):
        assert heard(np.asarray(sound, np.float32)) == ("", [])


@pytest.mark.parametrize("language", ["es-MX", "en-US"])
def test_speech_is_silent(language: str) -> None:
    soundfile = pytest.importorskip("soundfile")
    files = sorted((PROMPTS / language).glob("*.wav"))
    assert files
    found = [heard(soundfile.read(path, dtype="int16")[0]) for path in files]
    assert [misses for _, misses in found if misses] == []


def test_a_flood_is_bounded() -> None:
    sound = np.concatenate([tone("5", 20, lead=0.05)[:-1200]] * 40)  # 40 keys in 4.8 s
    _, refused = heard(sound)
    starts = np.array([r.start_s for r in refused])
    assert len(refused) >= 20
    assert all(((starts >= s) & (starts < s + 0.98)).sum() <= 5 for s in starts)


def bad_tape(seed: int) -> np.ndarray:
    """Keys, most of them spoilt: by every limit there is, by noise, by their own echo."""
    rng = np.random.default_rng(seed)
    n = 10
    sound = dtmf.generate(
        "".join(rng.choice(list(dtmf.KEYS_12), n)),
        tone_ms=rng.choice([20, 25, 40, 90, 350], n),
        gap_ms=rng.choice([0, 25, 60, 110, 240], n),
        level_dbm0=rng.choice([-8.0, -20, -50], n),
        twist_db=rng.choice([0.0, 0, 9, -12], n),
        offset=rng.choice([0.0, 0, 0, 0, 0.027, -0.035], (n, 2)),
        lead_ms=rng.uniform(0, 30),
        tail_ms=rng.uniform(0, 90),
    )
    echo = [(200, -20)] if rng.random() < 0.5 else None
    noise = None if rng.random() < 0.5 else float(rng.uniform(-60, -25))
    return impair(sound, seed=seed, echo=echo, noise_dbm0=noise)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), chunk=st.sampled_from([37, 160, 161, 800, 3000]))
def test_the_same_in_any_chunks_and_without_a_say_in_what_is_taken(seed: int, chunk: int) -> None:
    sound = bad_tape(seed)
    whole = dtmf.Receiver(refusals=True)
    events = whole.feed(sound) + whole.flush(0)
    told = whole.refused()
    assert whole.refused() == []
    plain = dtmf.Receiver()
    assert plain.feed(sound) + plain.flush(0) == events
    assert plain.refused() == []
    receiver = dtmf.Receiver(3, refusals=True)
    for i in range(0, len(sound), chunk):
        receiver.feed(sound[i : i + chunk], 1)
    receiver.flush(1)
    assert [replace(miss, line=0) for miss in receiver.refused()] == told


def test_the_bad_tape_misses_every_limit() -> None:
    told = {miss.reason for seed in range(20) for miss in heard(bad_tape(seed))[1]}
    assert told >= {"too_short", "too_weak", "twist", "frequency", "echo"}


def test_a_whole_recording_is_told_in_order() -> None:
    """More keys than any memory of them, near misses between them, in one feed."""
    spoilt = dtmf.generate("7", tone_ms=22, gap_ms=0, lead_ms=150, tail_ms=150)
    sound = np.concatenate([np.concatenate([dtmf.generate("12345", tail_ms=100), spoilt])] * 12)
    receiver = dtmf.Receiver(refusals=True)
    assert len(receiver.feed(sound)) == 12 * 5 * 2
    starts = [miss.start_s for miss in receiver.refused()]
    np.testing.assert_allclose(np.diff(starts), len(sound) / 12 / 8000, atol=0.003)
    assert len(starts) == 12


def test_a_new_call_on_the_line() -> None:
    receiver = dtmf.Receiver(refusals=True)
    receiver.feed(tone("5", 20)[:1000])
    receiver.reset(0)
    receiver.feed(np.zeros(8000, np.float32))
    assert receiver.refused() == []
