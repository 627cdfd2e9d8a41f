from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtmf import KEYS_12, KEYS_16, DtmfError, KeyDown, KeyUp, Receiver, generate
from dtmf.impairment import impair
from dtmf.standards import PROFILES, Profile


def listen(sound: np.ndarray, chunk: int = 160, **options: Any) -> list[KeyDown | KeyUp]:
    """All events of one line."""
    receiver = Receiver(**options)
    events = []
    for start in range(0, len(sound), chunk):
        events += receiver.feed(sound[start : start + chunk])
    return events + receiver.flush(0)


def assert_paired(events: list[KeyDown | KeyUp]) -> None:
    """Every KeyDown of a line is followed by the KeyUp of the same digit and start, and nothing else."""
    for line in {event.line for event in events}:
        own = [event for event in events if event.line == line]
        assert len(own) % 2 == 0
        for down, up in zip(own[::2], own[1::2], strict=True):
            assert isinstance(down, KeyDown)
            assert isinstance(up, KeyUp)
            assert (down.digit, down.start_s) == (up.tone.digit, up.tone.start_s)
            assert up.tone.start_s < up.tone.end_s


def untidy(seed: int) -> np.ndarray:
    """Digits good and bad: short ones, holes, noise, level steps, rolled keys."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(8):
        key = KEYS_16[rng.integers(16)]
        tone = generate(key, tone_ms=rng.uniform(20, 120), level_dbm0=rng.uniform(-30, 0))
        hole = rng.integers(0, len(tone))
        tone[hole : hole + rng.integers(0, 300)] *= rng.uniform(0, 1)
        parts += [tone, np.zeros(rng.choice([0, 150, 250, 500]))]
    sound = np.concatenate(parts)
    return (sound + rng.normal(0, rng.choice([0, 0.003, 0.03]), len(sound))).astype(np.float32)


@settings(deadline=None, max_examples=6)
@given(
    seed=st.integers(0, 2**32 - 1),
    chunks=st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 700))), max_size=15),
)
def test_lines_are_strangers(seed: int, chunks: list[list[tuple[int, int]]]) -> None:
    # Four lines, fed together and apart in any amounts, hear what each would hear alone.
    sounds = [untidy(seed + i) for i in range(4)]
    receiver, at = Receiver(4), [0] * 4
    events: list[KeyDown | KeyUp] = []
    for turn in chunks:
        lines = sorted({line for line, _ in turn})
        if not lines:
            continue
        n = min([turn[0][1], *(len(sounds[line]) - at[line] for line in lines)])
        events += receiver.feed(np.array([sounds[line][at[line] : at[line] + n] for line in lines]), lines)
        for line in lines:
            at[line] += n
    for line in range(4):
        events += receiver.feed(sounds[line][at[line] :], line) + receiver.flush(line)
    assert_paired(events)
    for line in range(4):
        alone = [event.tone for event in listen(sounds[line]) if isinstance(event, KeyUp)]
        assert [e.tone for e in events if isinstance(e, KeyUp) and e.line == line] == alone


@settings(deadline=None, max_examples=30)
@given(
    samples=st.lists(st.integers(-32768, 32767), max_size=500),
    repeat=st.integers(1, 10),
    chunk=st.integers(1, 400),
)
def test_any_samples(samples: list[int], repeat: int, chunk: int) -> None:
    assert_paired(listen(np.array(samples * repeat, np.int16), chunk))


def live(sound: np.ndarray) -> dict[type, float]:
    """When a line's only press is told, in ms: at the end of the tick of 20 ms that makes it certain."""
    receiver = Receiver()
    when: dict[type, float] = {}
    for start in range(0, len(sound), 160):
        for event in receiver.feed(sound[start : start + 160]):
            assert type(event) not in when
            when[type(event)] = min(start + 160, len(sound)) / 8
    return when


@pytest.mark.parametrize("tone_ms", [40, 60, 300])
@pytest.mark.parametrize("lead_ms", range(41))
def test_how_soon(tone_ms: int, lead_ms: int) -> None:
    # Down within 60 ms of the onset; up 23.5 to 55 ms after the end: 23.5 to be sure, one frame of 20 ms.
    key = KEYS_16[(lead_ms + tone_ms) % 16]
    when = live(generate(key, tone_ms=tone_ms, lead_ms=lead_ms, tail_ms=100))
    assert 31 <= when[KeyDown] - lead_ms <= 60
    assert 23 <= when[KeyUp] - lead_ms - tone_ms <= 55


@pytest.mark.parametrize("lead_ms", np.arange(100, 120, 2.5))
def test_how_soon_on_a_telephone_line(lead_ms: float) -> None:
    # Through mu-law, at an SNR of 15 dB: as the standards want it heard, and as soon.
    for i, key in enumerate(KEYS_16):
        sound = generate(key, tone_ms=60, lead_ms=lead_ms, tail_ms=100, level_dbm0=-20)
        when = live(impair(sound, seed=i, snr_db=15, law="mulaw"))
        assert 31 <= when[KeyDown] - lead_ms <= 60


def test_many_lines_in_one_tick() -> None:
    n = 100
    codes = [f"{line:02}#" for line in range(n)]
    sounds = [generate(code, tone_ms=60, gap_ms=60, lead_ms=100 + i % 37) for i, code in enumerate(codes)]
    frames = np.zeros((n, 8000), np.int16)
    for line, sound in enumerate(sounds):
        frames[line, : len(sound)] = sound * 32767
    receiver = Receiver(n, keys=KEYS_12)
    events = [event for t in range(0, 8000, 160) for event in receiver.feed(frames[:, t : t + 160])]
    assert_paired(events)
    heard = ["".join(e.digit for e in events if isinstance(e, KeyDown) and e.line == i) for i in range(n)]
    assert heard == codes


def test_events_of_many_lines_come_in_order_of_time() -> None:
    sounds = np.zeros((3, 8000), np.float32)
    for line, lead_ms in enumerate([600, 300, 0]):
        sound = generate("1", tone_ms=100, lead_ms=lead_ms)
        sounds[line, : len(sound)] = sound
    events = Receiver(3).feed(sounds)
    assert [(type(e), e.line) for e in events] == [(k, line) for line in (2, 1, 0) for k in (KeyDown, KeyUp)]


def test_lines_stand_still_while_not_fed() -> None:
    receiver = Receiver(2)
    sound = generate("8", tone_ms=100, tail_ms=100)
    first = receiver.feed(sound[:480], lines=[1])
    receiver.feed(np.zeros(8000, np.int16), lines=0)
    rest = receiver.feed(sound[480:], lines=np.array([1]))
    assert [*first, *rest] == Receiver(2).feed(np.stack([sound * 0, sound]))
    assert [event.line for event in first + rest] == [1, 1]


def test_reset_forgets() -> None:
    receiver = Receiver(2)
    sound = np.stack([generate("4", tone_ms=105, lead_ms=50)] * 2)
    assert [event.line for event in receiver.feed(sound)] == [0, 1]  # both are down
    receiver.reset(0)
    ends = receiver.feed(np.zeros((2, 1601), np.int16))
    assert [(type(e), e.line) for e in ends] == [(KeyUp, 1)]
    receiver.reset(0)
    alone = Receiver().feed(np.pad(sound[0], (0, 1000)))
    assert receiver.feed(np.pad(sound[0], (0, 1000)), 0) == alone


def test_flush_ends_a_press_and_starts_anew() -> None:
    receiver = Receiver()
    sound = generate("9", tone_ms=77, lead_ms=30)
    for _ in range(2):
        [down] = receiver.feed(sound)
        [up] = receiver.flush(0)
        assert down == KeyDown(0, "9", up.tone.start_s, 0.08)
        assert up.tone.end_s == pytest.approx(0.107, abs=0.001)
    assert receiver.flush(0) == []


def test_flush_may_find_a_key() -> None:
    receiver = Receiver()
    assert receiver.feed(generate("9", tone_ms=40, lead_ms=12)) == []
    down, up = receiver.flush(0)
    assert isinstance(down, KeyDown)
    assert up.tone.end_s == pytest.approx(0.052, abs=0.001)


def test_a_second_key_ends_the_first() -> None:
    events = listen(generate("14", tone_ms=100, gap_ms=0, tail_ms=80))
    assert_paired(events)
    first, second = (event.tone for event in events if isinstance(event, KeyUp))
    assert (first.digit, second.digit) == ("1", "4")
    assert first.end_s == pytest.approx(0.1, abs=0.005)
    assert second.start_s == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize(
    ("samples", "lines"),
    [
        (np.zeros(160, np.int16), None),
        (np.zeros((3, 160), np.int16), None),
        (np.zeros((2, 2, 160), np.int16), [0, 1]),
        (np.zeros((2, 160), np.int16), [0, 0]),
        (np.zeros(160, np.int16), 2),
        (np.zeros(160, np.int16), -1),
        (np.zeros(160, np.int16), 0.5),
        (np.zeros(160, np.int16), [True]),
        (np.zeros(160, np.int16), []),
        (np.zeros((1, 160), np.int16), [[0]]),
        (np.zeros((2, 160), np.int64), None),
        (b"\0" * 160, 0),
    ],
)
def test_what_cannot_be_fed(samples: Any, lines: Any) -> None:
    with pytest.raises(DtmfError):
        Receiver(2).feed(samples, lines)


@pytest.mark.parametrize("chunk", [7, 160, 10**9])
@pytest.mark.parametrize(
    "odd",
    [
        np.zeros(3000, np.int16),
        np.full(3000, np.nan, np.float32),
        np.full(3000, np.inf),
        np.array([np.nan, np.inf, -np.inf, 1e300, -1e-310] * 600),
        np.array([-32768, 32767] * 1500, np.int16),
        np.full(3000, -32768, np.int16),
    ],
    ids=["silence", "nan", "inf", "mixed", "full swing", "constant"],
)
def test_what_is_no_sound(odd: np.ndarray, chunk: int) -> None:
    # Nothing is heard in it, it warns of nothing, and the next key on the line is heard as ever.
    receiver = Receiver(refusals=True)
    for start in range(0, len(odd), chunk):
        assert receiver.feed(odd[start : start + chunk]) == []
    assert receiver.feed(np.zeros(840, np.float32)) == []
    events = receiver.feed(generate("6", tone_ms=60, tail_ms=100))
    assert [type(event) for event in events] == [KeyDown, KeyUp]
    assert events[0].start_s == pytest.approx(0.48, abs=0.002)


def test_float64_is_float32() -> None:
    sound = generate("15#", tone_ms=60, tail_ms=80)
    assert listen(sound.astype(np.float64)) == listen(sound)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_profiles(profile: Profile) -> None:
    # What every standard that it obeys wants heard, at the limit; and not what lies beyond its own.
    limits = profile.decision

    def heard(**given: float) -> str:
        sound = generate("159D", tone_ms=50, gap_ms=60, tail_ms=60, **given)
        return "".join(e.digit for e in listen(sound, profile=profile) if isinstance(e, KeyDown))

    for standard in profile.standards:
        for twist_db in standard.twist_operate_db:
            assert heard(twist_db=twist_db) == "159D"
        if standard.level_operate is not None:
            assert heard(level_dbm0=standard.level_operate[0]) == "159D"
    assert heard(twist_db=limits.twist_db[0] - 1) == heard(twist_db=limits.twist_db[1] + 1) == ""
    assert heard(level_dbm0=limits.weakest_dbm0 - 1.5) == ""


def test_feeding_nothing() -> None:
    receiver = Receiver(2)
    assert receiver.feed(np.zeros((2, 0), np.int16)) == []
    assert receiver.feed(np.zeros((0, 160), np.int16), []) == []
    assert receiver.flush(1) == []


@pytest.mark.parametrize("lines", [0, -3])
def test_no_lines(lines: int) -> None:
    with pytest.raises(DtmfError, match="at least one"):
        Receiver(lines)


@pytest.mark.parametrize("line", [1, -1])
def test_a_line_that_is_not_there(line: int) -> None:
    receiver = Receiver(1)
    for method in (receiver.reset, receiver.flush):
        with pytest.raises(DtmfError, match=f"line {line}"):
            method(line)
