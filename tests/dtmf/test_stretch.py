"""Many blocks at once are what they are one by one: on one line and on many, from any state to any other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dtmf
from dtmf import KEYS_16, KeyDown, KeyUp, Receiver
from dtmf.goertzel import WINDOW
from dtmf.impairment import impair

CHUNKS = [80, 160, 161, 1000]
Events = list[KeyDown | KeyUp]


def tape(seed: int, count: int = 7) -> np.ndarray:
    """Keys good and bad: short, rolled, holed, twisted, weak, echoed, in noise, beneath a dial tone."""
    rng = np.random.default_rng(seed)
    sound = dtmf.generate(
        "".join(rng.choice(list(KEYS_16), count)),
        tone_ms=rng.uniform(22, 130, count),
        gap_ms=rng.choice([0.0, 15, 24, 31, 45, 62, 150], count),
        level_dbm0=rng.uniform(-35, -3, count),
        twist_db=rng.uniform(-9, 6, count),
        offset=rng.uniform(-0.02, 0.02, (count, 2)),
        hole=np.stack([rng.uniform(0, 8, count), rng.uniform(0, 13, count)], axis=1),
        lead_ms=rng.uniform(0, 90),
        tail_ms=rng.uniform(0, 60),
    )
    return impair(
        sound,
        seed=seed,
        echo=[(rng.uniform(5, 250), rng.uniform(-25, -10))] if rng.random() < 0.3 else None,
        dial_tone=((350, 440), -15) if rng.random() < 0.2 else None,
        snr_db=rng.uniform(3, 25) if rng.random() < 0.5 else None,
        impulses=(8, -6) if rng.random() < 0.2 else None,
        law="mulaw" if rng.random() < 0.3 else None,
        lost=0.1 if rng.random() < 0.2 else None,
    )


def listen(sound: np.ndarray, chunk: int) -> Events:
    receiver = Receiver()
    events: Events = []
    for start in range(0, len(sound), chunk):
        events += receiver.feed(sound[start : start + chunk])
    return events + receiver.flush(0)


@settings(deadline=None, max_examples=10)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    whole_numbers=st.booleans(),
)
def test_chunks_do_not_matter(seed: int, sizes: list[int], whole_numbers: bool) -> None:
    sound = tape(seed)
    if whole_numbers:
        sound = np.round(sound * 32767).astype(np.int16)
    whole = listen(sound, 10**9)
    for chunk in CHUNKS:
        assert listen(sound, chunk) == whole
    receiver, at, turn = Receiver(), 0, 0
    events: Events = []
    while at < len(sound):
        size = sizes[turn % len(sizes)] or 1
        events += receiver.feed(sound[at : at + size])
        at, turn = at + size, turn + 1
    assert events + receiver.flush(0) == whole


@pytest.mark.parametrize("seed", range(3))
def test_sample_by_sample(seed: int) -> None:
    sound = tape(seed, 3)
    assert listen(sound, 1) == listen(sound, 7) == listen(sound, 10**9)


@pytest.mark.parametrize("seed", range(4))
def test_int16_is_float32(seed: int) -> None:
    whole = np.round(tape(seed) * 32767).astype(np.int16)
    assert listen(whole, 10**9) == listen((whole / 32768).astype(np.float32), 10**9)


def test_louder_than_full_scale() -> None:
    """Floats beyond [-1, 1] are clipped alike, in whatever chunks they come."""
    sound = 3 * dtmf.generate("159D", tone_ms=70, gap_ms=50, lead_ms=15, tail_ms=60)
    whole = listen(sound, 10**9)
    assert [event.digit for event in whole if isinstance(event, KeyDown)] == list("159D")
    for chunk in CHUNKS:
        assert listen(sound, chunk) == whole


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**31), lines=st.integers(2, 5), sizes=st.lists(st.integers(1, 5000), max_size=4))
def test_many_lines_are_each_alone(seed: int, lines: int, sizes: list[int]) -> None:
    tapes = [tape(seed + line) for line in range(lines)]
    length = max(map(len, tapes)) + 800
    sounds = np.stack([np.pad(sound, (0, length - len(sound))) for sound in tapes])
    receiver = Receiver(lines)
    events: Events = []
    at = 0
    for size in [*sizes, length]:
        events += receiver.feed(sounds[:, at : at + size])
        at += size
    for line in range(lines):
        alone = Receiver(lines)
        wanted = alone.feed(sounds[line], line)
        assert [event for event in events if event.line == line] == wanted


@pytest.mark.parametrize("gap", range(7))
@pytest.mark.parametrize("cut", range(1, 14, 3))
def test_cuts_at_pauses(gap: int, cut: int) -> None:
    """Two keys with any number of blocks between them, and any block at which a feed ends."""
    sound = dtmf.generate("66", tone_ms=80, gap_ms=20 * gap, lead_ms=20, tail_ms=120)
    receiver = Receiver()
    events = receiver.feed(sound[: cut * WINDOW]) + receiver.feed(sound[cut * WINDOW :])
    assert events + receiver.flush(0) == listen(sound, WINDOW)


def test_an_hour_in_one_piece_is_its_minutes() -> None:
    """More than the machine takes at once; every digit has its place and its time."""
    minute = np.zeros(60 * 8000, np.int16)
    digits = dtmf.generate("0123456789", tone_ms=60, gap_ms=60)
    minute[8000 : 8000 + len(digits)] = np.round(digits * 32767)
    heard = dtmf.decode(np.tile(minute, 25), 8000)
    assert "".join(tone.digit for tone in heard) == 25 * "0123456789"
    starts = np.array([tone.start_s for tone in heard]).reshape(25, 10)
    wanted = 60 * np.arange(25)[:, None] + 1 + 0.12 * np.arange(10)
    assert np.abs(starts - wanted).max() < 0.002
