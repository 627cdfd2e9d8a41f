"""The standards' rows about time: how long tones and pauses last, and how they begin and end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from dtmf.acceptance.category import Category, Random, distinct, ordinary
from dtmf.acceptance.tape import Tape, doubled, lasting, record, shuffled
from dtmf.standards import Profile

__all__ = ["times"]


def times(profile: Profile) -> Iterator[Category]:
    """Tones, pauses, holes and speed."""
    yield Category(
        name="clean",
        kind="must",
        limits="50 to 250 ms, pauses alike; starts and ends within 2 ms",
        source="ITU-T Q.23",
        make=_clean,
        edges_ms=2.0,
    )
    yield Category(
        name="timing",
        kind="must",
        limits="tone/pause 65/65, 50/50, 50/45, 45/55, 70/50, 100/70, 55/41, 41/55 ms",
        source="EIA-464; 3GPP TS 26.114; RTCDTMFSender",
        make=_usual_timing,
    )
    yield Category(
        name="bare",
        kind="must",
        limits="digits with no silence before the first and after the last",
        source="what people record",
        make=_bare,
        apart=True,
    )
    for names, ms, source in distinct(profile, "tone_accept_ms"):
        yield Category(
            name=f"dur_accept.{names}",
            kind="must",
            limits=f"{ms:g} ms and more, to seconds",
            source=source,
            make=partial(_long_enough, ms=ms),
        )
    for names, ms, source in distinct(profile, "tone_reject_ms"):
        yield Category(
            name=f"dur_reject.{names}",
            kind="mustnot",
            limits=f"5 to {ms:g} ms",
            source=source,
            make=partial(_too_short, ms=ms),
        )
    for names, ms, source in distinct(profile, "pause_ms"):
        yield Category(
            name=f"gap_accept.{names}",
            kind="must",
            limits=f"the same key again after {ms:g} ms and more",
            source=source,
            make=partial(_pauses, ms=ms),
        )
    for names, ms, source in distinct(profile, "interruption_ms"):
        yield Category(
            name=f"interrupt.{names}",
            kind="must",
            limits=f"one digit despite a hole of 1 to {ms:g} ms",
            source=source,
            make=partial(_interrupted, ms=ms),
        )
    for names, ms, source in distinct(profile, "cycle_ms"):
        yield Category(
            name=f"velocity.{names}",
            kind="must",
            limits=f"a digit every {ms:g} ms",
            source=source,
            make=partial(_fast, ms=ms),
        )
    yield Category(
        name="ramps",
        kind="must",
        limits="rise and fall in 1 to 5 ms, 40 ms between half amplitudes",
        source="ETSI ES 201 235-2",
        make=_ramped,
    )


def _clean(rng: Random) -> Iterator[Tape]:
    digits = doubled(rng, 4)
    count = len(digits)
    low, high = ordinary(rng, count)
    tone, gap = lasting(rng, 50, 250, count), lasting(rng, 50, 150, count)
    yield record(rng, digits, tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high)


def _usual_timing(rng: Random) -> Iterator[Tape]:
    for tone, gap in ((65, 65), (50, 50), (50, 45), (45, 55), (70, 50), (100, 70), (55, 41), (41, 55)):
        # Many cycles are multiples of 5 ms: short tapes, so that all places relative to blocks occur.
        for digits in (shuffled(rng), doubled(rng)[:16], doubled(rng)[16:]):
            low, high = ordinary(rng, 16)
            yield record(rng, digits, tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high)


def _bare(rng: Random) -> Iterator[Tape]:
    for key in shuffled(rng):
        yield record(rng, key, tone_ms=rng.uniform(41, 120), lead_ms=0, tail_ms=0)
    for _ in range(4):
        low, high = ordinary(rng, 8)
        yield record(rng, shuffled(rng)[:8], low_dbm0=low, high_dbm0=high, lead_ms=0, tail_ms=0)


def _long_enough(rng: Random, ms: float) -> Iterator[Tape]:
    for more in (0.0, 0.0, 0.5, 2.0, 5.0, 10.0):
        low, high = ordinary(rng, 32)
        gap = lasting(rng, 40, 70, 32)
        yield record(rng, doubled(rng), tone_ms=ms + more, gap_ms=gap, low_dbm0=low, high_dbm0=high)
    low, high = ordinary(rng, 16)
    yield record(rng, shuffled(rng), tone_ms=lasting(rng, 300, 3000, 16), low_dbm0=low, high_dbm0=high)


def _too_short(rng: Random, ms: float) -> Iterator[Tape]:
    for length in (ms, ms - 1, ms - 3, 15, 5):
        low, high = ordinary(rng, 32)
        gap = lasting(rng, 45, 75, 32)
        yield record(rng, doubled(rng), tone_ms=length, gap_ms=gap, low_dbm0=low, high_dbm0=high)
    gap = lasting(rng, 45, 75, 32)
    yield record(rng, doubled(rng), tone_ms=ms, gap_ms=gap, low_dbm0=0, high_dbm0=0)


def _pauses(rng: Random, ms: float) -> Iterator[Tape]:
    for more in (0.0, 0.0, 1.0, 3.0):
        digits = doubled(rng)
        low, high = ordinary(rng, 32)
        gap = lasting(rng, 40, 80, 32)
        gap[::2] = ms + more
        tone = lasting(rng, 40, 90, 32)
        yield record(rng, digits, tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high)


def _interrupted(rng: Random, ms: float) -> Iterator[Tape]:
    for _ in range(4):
        low, high = ordinary(rng, 32)
        hole = np.concatenate([np.full(16, ms), rng.uniform(1, ms, 16)])
        tone = lasting(rng, 80, 150, 32)
        holes = np.stack([rng.uniform(10, tone - hole - 10), hole], axis=1)
        gap = lasting(rng, 45, 90, 32)
        yield record(rng, doubled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high, holes=holes)


def _fast(rng: Random, ms: float) -> Iterator[Tape]:
    for tone in (40.0, ms / 2, ms - 40):
        for digits in (shuffled(rng), doubled(rng)):
            low, high = ordinary(rng, len(digits))
            yield record(rng, digits, tone_ms=tone, gap_ms=ms - tone, low_dbm0=low, high_dbm0=high)


def _ramped(rng: Random) -> Iterator[Tape]:
    for ramp in (1.0, 2.0, 5.0):
        low, high = ordinary(rng, 32)
        gap = lasting(rng, 45, 80, 32)
        tone = np.concatenate([np.full(16, 40.0), lasting(rng, 40, 80, 16)])
        yield record(rng, doubled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high, ramp_ms=ramp)
