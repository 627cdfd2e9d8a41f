"""Near misses: keys that a person pressed and the receiver did not take, and never what people say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dtmf
from dtmf.goertzel import amplitude
from dtmf.keypad import key_tones

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


def heard(sound: np.ndarray, *, keys: str = dtmf.KEYS_12) -> tuple[str, list[dtmf.Refused]]:
    receiver = dtmf.Receiver(keys=keys, refusals=True)
    events = receiver.feed(sound) + receiver.flush(0)
    return "".join(e.tone.digit for e in events if isinstance(e, dtmf.KeyUp)), receiver.refused()


@pytest.mark.parametrize("key", dtmf.KEYS_12)
@pytest.mark.parametrize("ms", [18, 20, 24, 28])
def test_keys_too_short(key: str, ms: int, codec: Callable[[np.ndarray], np.ndarray]) -> None:
    for lead in np.arange(0.1, 0.12, 0.0025):
        taken, [refused] = heard(codec(tone(key, ms, lead=float(lead))))
        assert (taken, refused.reason) == ("", "too_short")
        assert abs(refused.end_s - refused.start_s - max(ms, 20) / 1000) < 0.004
        assert abs(refused.start_s - lead) < 0.006
        assert abs(refused.level_dbm0 + 10) < 1.5


@pytest.mark.parametrize("key", dtmf.KEYS_12)
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


@pytest.mark.parametrize("key", dtmf.KEYS_12)
def test_a_key_that_is_taken_is_no_near_miss(key: str) -> None:
    """Neither are its own edges, its echo, the bounce of its contact, or what is beside it in the signal."""
    for ms in (40, 65, 130, 900):
        assert heard(tone(key, ms)) == (key, [])
    echo = tone(key, 80) + 0.1 * np.roll(tone(key, 80), 1200)
    assert heard(echo) == (key, [])
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


def test_the_same_in_any_chunks_and_without_a_say_in_what_is_taken() -> None:
    rng = np.random.default_rng(7)
    parts = [dtmf.generate("42", tone_ms=60), tone("7", 22), tone("1", 90, twist=9.0), tone("*", 40)]
    sound = np.concatenate([*parts, *parts]) + rng.normal(0, 0.001, 1).astype(np.float32)
    whole = dtmf.Receiver(refusals=True)
    events = whole.feed(sound)
    told = whole.refused()
    assert [r.reason for r in told] == ["too_short", "twist"] * 2
    assert whole.refused() == []
    plain = dtmf.Receiver()
    assert plain.feed(sound) == events
    assert plain.refused() == []
    for size in (1, 37, 160, 1000):
        receiver = dtmf.Receiver(3, refusals=True)
        pieces = [sound[i : i + size] for i in range(0, len(sound), size)]
        got = [e for piece in pieces for e in receiver.feed(piece, 1)]
        assert [(type(e), getattr(e, "start_s", None)) for e in got] == [
            (type(e), getattr(e, "start_s", None)) for e in events
        ]
        assert [(r.line, r.reason, r.start_s) for r in receiver.refused()] == [
            (1, r.reason, r.start_s) for r in told
        ]


def test_a_new_call_on_the_line() -> None:
    receiver = dtmf.Receiver(refusals=True)
    receiver.feed(tone("5", 20)[:1000])
    receiver.reset(0)
    receiver.feed(np.zeros(8000, np.float32))
    assert receiver.refused() == []
