"""The standards' own rows: frequency, level, twist, times, and all of them at once.

Where the standards' limits differ, each has its own category, built from its row of the table in
``standards``; where they agree, one category serves all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np

from dtmf.acceptance.category import (
    CORNERS,
    DIRECTIONS,
    LAWS,
    LEVELS,
    Category,
    Doubles,
    Random,
    distinct,
    ordinary,
    short,
)
from dtmf.acceptance.tape import Tape, doubled, lasting, record, shuffled
from dtmf.acceptance.times import times
from dtmf.standards import Profile, Standard

__all__ = ["limits"]


def limits(profile: Profile) -> list[Category]:
    """The limits that the profile's standards set."""
    return [*_frequencies(profile), *_levels(profile), *times(profile), *_corners(profile)]


# Frequency.


def _frequencies(profile: Profile) -> Iterator[Category]:
    for names, (share, more), source in distinct(profile, "offset_operate"):
        yield Category(
            name=f"freq_accept.{names}",
            kind="must",
            limits=f"±({share:.1%} + {more:g} Hz), each tone by itself",
            source=source,
            make=partial(_off, share=share, more=more, most=1.0),
        )
    for names, limit, source in distinct(profile, "offset_non_operate"):
        yield Category(
            name=f"freq_reject.{names}",
            kind="mustnot",
            limits=f"±{limit:.1%} and beyond, one tone or both",
            source=source,
            make=partial(_too_far_off, limit=limit),
        )


def _off(rng: Random, share: float, more: float, most: float) -> Iterator[Tape]:
    directions = np.repeat(DIRECTIONS, 16, axis=0)
    for shortest, longest, least in ((40, 50, most), (60, 120, most), (45, 65, 0.3)):
        digits = "".join(shuffled(rng) for _ in DIRECTIONS)
        count = len(digits)
        low, high = ordinary(rng, count)
        part = directions * rng.uniform(least, most, (count, 1))
        yield record(
            rng,
            digits,
            tone_ms=lasting(rng, shortest, longest, count),
            gap_ms=lasting(rng, 40, 80, count),
            low_dbm0=low,
            high_dbm0=high,
            offset=share * part,
            offset_hz=more * part,
        )


def _too_far_off(rng: Random, limit: float) -> Iterator[Tape]:
    directions = np.repeat(DIRECTIONS, 16, axis=0)
    for beyond in (0.0, 0.003, 0.01):
        digits = "".join(shuffled(rng) for _ in DIRECTIONS)
        count = len(digits)
        low, high = ordinary(rng, count)
        yield record(
            rng,
            digits,
            tone_ms=lasting(rng, 50, 150, count),
            low_dbm0=low,
            high_dbm0=high,
            offset=(limit + beyond) * directions,
        )


# Level and twist.


def _levels(profile: Profile) -> Iterator[Category]:
    for names, (weakest, strongest), source in distinct(profile, "level_operate"):
        yield Category(
            name=f"level_accept.{names}",
            kind="must",
            limits=f"{strongest:g} to {weakest:g} dBm0 per tone",
            source=source,
            make=partial(_loud_and_soft, weakest=weakest, strongest=strongest),
        )
    for names, limit, source in distinct(profile, "level_non_operate"):
        if limit < profile.decision.weakest_dbm0:  # NTT's -29 dBm0 is for its own profile alone
            yield Category(
                name=f"level_reject.{names}",
                kind="mustnot",
                limits=f"{limit:g} dBm0 per tone and less",
                source=source,
                make=partial(_too_soft, limit=limit),
            )
    for standard in profile.standards:
        yield Category(
            name=f"twist_accept.{short(standard)}",
            kind="must",
            limits="{:+g} to {:+g} dB, high to low, also where a tone is at its limit".format(
                *standard.twist_operate_db
            ),
            source=standard.source,
            make=partial(_twisted, standard=standard),
        )
    yield Category(
        name="level_steps",
        kind="must",
        limits="digits 20 dB apart in a row; the same key 10 dB softer",
        source="ITU-T Q.24: each digit by itself",
        make=_steps,
    )


def _loud_and_soft(rng: Random, weakest: float, strongest: float) -> Iterator[Tape]:
    for level in (strongest, strongest - 3, -10, -15, -20, weakest + 1, weakest):
        count = 32
        digits = doubled(rng)
        tone, gap = lasting(rng, 40, 100, count), lasting(rng, 40, 100, count)
        yield record(rng, digits, tone_ms=tone, gap_ms=gap, low_dbm0=level, high_dbm0=level)


def _too_soft(rng: Random, limit: float) -> Iterator[Tape]:
    for level in (limit, limit - 1, limit - 5):
        digits = shuffled(rng)
        yield record(rng, digits, tone_ms=lasting(rng, 50, 200, 16), low_dbm0=level, high_dbm0=level)


def _twisted(rng: Random, standard: Standard) -> Iterator[Tape]:
    weakest, strongest = standard.level_operate or LEVELS
    normal, reverse = standard.twist_operate_db
    for twist in (normal, normal / 2, reverse / 2, reverse):
        for mean in (weakest + abs(twist) / 2, strongest - abs(twist) / 2, rng.uniform(-18, -9)):
            yield record(
                rng,
                shuffled(rng),
                tone_ms=lasting(rng, 40, 70, 16),
                gap_ms=lasting(rng, 40, 80, 16),
                low_dbm0=mean - twist / 2,
                high_dbm0=mean + twist / 2,
            )


def _steps(rng: Random) -> Iterator[Tape]:
    for first, second in ((-3.0, -23.0), (-23.0, -3.0)):
        step = np.tile([first, second], 8)
        yield record(rng, shuffled(rng), tone_ms=50, gap_ms=50, low_dbm0=step, high_dbm0=step)
    step = np.tile([-8.0, -18.0], 16)
    yield record(rng, doubled(rng), tone_ms=50, gap_ms=50, low_dbm0=step, high_dbm0=step)


# All limits at once.


def _corners(profile: Profile) -> Iterator[Category]:
    for standard in profile.standards:
        yield Category(
            name=f"g711_corner.{short(standard)}",
            kind="must",
            limits="frequency, level, twist, tone and pause at their limits at once, mu-law and A-law",
            source=standard.source,
            make=partial(_cornered, standard=standard),
        )
        yield Category(
            name=f"noise_corner.{short(standard)}",
            kind="beyond",  # makers promise one or the other
            limits="frequency and twist at their limits, noise 15 dB below, tones from 45 ms",
            source="this project",
            make=partial(_cornered_in_noise, standard=standard),
            found=0.99,
        )


def _at_limits(rng: Random, standard: Standard, count: int) -> tuple[Doubles, Doubles, Doubles]:
    """Twists, and offsets in shares and Hz, of so many digits."""
    direction = np.array(CORNERS)[rng.permutation(np.arange(count) % len(CORNERS))]
    share, more = standard.offset_operate
    return rng.permutation(np.resize(standard.twist_operate_db, count)), share * direction, more * direction


def _cornered(rng: Random, standard: Standard) -> Iterator[Tape]:
    weakest, strongest = standard.level_operate or LEVELS
    for law, soft in itertools.product(LAWS, (True, False)):
        twist, offset, more = _at_limits(rng, standard, 64)
        mean = weakest + np.abs(twist) / 2 if soft else strongest - np.abs(twist) / 2
        gap = lasting(rng, 41, 60, 64)
        gap[::2] = standard.pause_ms
        tape = record(
            rng,
            doubled(rng, 2),
            tone_ms=standard.tone_accept_ms,
            gap_ms=gap,
            low_dbm0=mean - twist / 2,
            high_dbm0=mean + twist / 2,
            offset=offset,
            offset_hz=more,
        )
        yield tape.through(rng, law=law)


def _cornered_in_noise(rng: Random, standard: Standard) -> Iterator[Tape]:
    for twist in standard.twist_operate_db:
        _, offset, more = _at_limits(rng, standard, 64)
        low, high = -12 - twist / 2, -12 + twist / 2
        tone, gap = lasting(rng, 45, 60, 64), lasting(rng, 45, 70, 64)
        tape = record(
            rng,
            doubled(rng, 2),
            tone_ms=tone,
            gap_ms=gap,
            low_dbm0=low,
            high_dbm0=high,
            offset=offset,
            offset_hz=more,
        )
        yield tape.through(rng, snr_db=15)
