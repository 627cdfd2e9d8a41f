"""What lines and recordings do to keys, within what every receiver must bear.

The standards hardly put numbers to it; where they do not, the source is what makers promise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np

from dtmf.acceptance.category import DIALS_HZ, LAWS, TWISTS, Category, Random, ordinary, total_dbm0
from dtmf.acceptance.tape import Tape, doubled, lasting, noise, record, shuffled, sines

__all__ = ["in_hum", "lines", "under_dial_tone"]


HUMS_HZ = ((50.0, 2), (60.0, 2), (100.0, 0), (120.0, 0), (180.0, 0))  # Hz; and so many harmonics


def lines() -> list[Category]:
    """Noise, dial tone, hum, echo, codings, formats."""
    custom = "makers' custom"
    return [
        Category(
            name="noise_accept",
            kind="must",
            limits="noise 15 dB and more below the two tones, white and 300-3400 Hz",
            source=f"{custom} (Mitel, spandsp)",
            make=_in_noise,
        ),
        Category(
            name="dialtone",
            kind="must",
            limits="350+440 or 425 Hz at the digit's level and below, also starting and stopping",
            source="ITU-T Q.24: exchange receivers",
            make=partial(under_dial_tone, above=(0.0, -3.0, -8.0)),
        ),
        Category(
            name="hum",
            kind="must",
            limits="50 and 60 Hz with harmonics, 100, 120, 180 Hz, at the digit's level and below",
            source=f"LSSGR; {custom}",
            make=partial(in_hum, above=(0.0, -10.0)),
        ),
        Category(
            name="echo",
            kind="must",
            limits="echo after 1.5 to 20 ms, 10 dB down",
            source="ITU-T Q.24",
            make=_echoed,
        ),
        Category(
            name="g711",
            kind="must",
            limits="mu-law and A-law, one after the other too, -3 to -24 dBm0",
            source="ITU-T G.711",
            make=_coded,
        ),
        Category(
            name="formats",
            kind="must",
            limits="8 to 96 kHz, 16 and 8 bits",
            source="what people record",
            make=_formats,
        ),
        Category(
            name="wideband",
            kind="must",
            limits="noise and tones above 4 kHz at the digit's level, 16 to 48 kHz",
            source="what people record",
            make=_beside_high_sounds,
        ),
        Category(
            name="offset_dc",
            kind="must",
            limits="a constant of up to a quarter of full scale",
            source="what sound cards do",
            make=_on_a_constant,
        ),
        Category(
            name="mixed",
            kind="must",
            limits="all of the above at random, within the limits",
            source="all standards",
            make=_mixed,
        ),
    ]


def _in_noise(rng: Random) -> Iterator[Tape]:
    for snr, band in itertools.product((15.0, 18.0, 24.0, 30.0), (None, (300.0, 3400.0))):
        low, high = (float(level[0]) for level in ordinary(rng, 1))
        tone, gap = lasting(rng, 40, 70, 64), lasting(rng, 40, 80, 64)
        tape = record(rng, doubled(rng, 2), tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high)
        if band is None:
            yield tape.through(rng, snr_db=snr)
        else:
            yield tape.plus(noise(rng, len(tape.sound), total_dbm0(low, high) - snr, band))
    # Whoever loses a key that is held, for a moment, hears it twice.
    for snr in (15.0, 20.0):
        low, high = (float(level[0]) for level in ordinary(rng, 1))
        tape = record(rng, shuffled(rng), tone_ms=lasting(rng, 300, 1500, 16), low_dbm0=low, high_dbm0=high)
        yield tape.through(rng, snr_db=snr)


def under_dial_tone(rng: Random, above: tuple[float, ...]) -> Iterator[Tape]:
    """Digits under dial tones, whose tones are each so many dB above the digits'."""
    for hz, more in itertools.product(DIALS_HZ, above):
        # The dial tone itself stays on the line's scale.
        level = min(rng.uniform(-20, -8), -4 - more)
        for when in ("always", "until", "from"):
            tone, gap = lasting(rng, 45, 90, 16), lasting(rng, 45, 90, 16)
            tape = record(rng, shuffled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=level, high_dbm0=level)
            if when == "always":
                yield tape.through(rng, dial_tone=(hz, level + more))
                continue
            # It changes in a pause or, as when an exchange has heard the first digit, within a tone; where it
            # is the louder, that tone may be lost.
            dial = sines(rng, len(tape.sound), hz, level + more)
            at = int(rng.uniform(0.1, 0.9) * len(dial))
            if more > 0:
                press = int(rng.integers(1, 15))
                at = int(rng.uniform(tape.presses[press][2], tape.presses[press + 1][1]) * tape.rate)
            if when == "until":
                dial[at:] = 0
            else:
                dial[:at] = 0
            yield tape.plus(dial)


def in_hum(rng: Random, above: tuple[float, ...]) -> Iterator[Tape]:
    """Digits in hum that is so many dB above a tone of theirs; of 50 and 60 Hz with harmonics."""
    for (hz, harmonics), more in itertools.product(HUMS_HZ, above):
        level = min(rng.uniform(-20, -8), -4 - more)
        tone, gap = lasting(rng, 45, 90, 16), lasting(rng, 45, 90, 16)
        tape = record(rng, shuffled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=level, high_dbm0=level)
        yield tape.through(rng, hum=(hz, level + more, harmonics))


def _echoed(rng: Random) -> Iterator[Tape]:
    for delay, down in itertools.product((1.5, 5.0, 10.0, 15.0, 20.0), (-10.0, -14.0)):
        # The echo of one tone may be in phase and that of the other not: 5.7 dB of twist, at 10 dB down.
        twist, mean = rng.uniform(-0.5, 0.5, 32), rng.uniform(-19, -6, 32)
        low, high = mean - twist / 2, mean + twist / 2
        tone, gap = lasting(rng, 45, 90, 32), lasting(rng, 65, 100, 32)
        tape = record(rng, doubled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high)
        yield tape.through(rng, echo=(delay, down))


def _coded(rng: Random) -> Iterator[Tape]:
    for law, mean in itertools.product(LAWS, (-5.0, -12.0, -19.0, -22.0)):
        twist = rng.uniform(*TWISTS, 32)
        tone, gap = lasting(rng, 40, 80, 32), lasting(rng, 40, 80, 32)
        tape = record(
            rng,
            doubled(rng),
            tone_ms=tone,
            gap_ms=gap,
            low_dbm0=mean - twist / 2,
            high_dbm0=mean + twist / 2,
        )
        yield tape.through(rng, law=law)
        if mean == -12:  # from one country to another and back
            yield tape.through(rng, law=law).through(rng, law=LAWS[law == LAWS[0]])


def _formats(rng: Random) -> Iterator[Tape]:
    for rate in (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000):
        for bits in (16, 8):
            low, high = ordinary(rng, 16)
            tone, gap = lasting(rng, 42, 80, 16), lasting(rng, 42, 80, 16)
            tape = record(
                rng, shuffled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high, rate=rate
            )
            steps = 2 ** (bits - 1)
            yield tape.with_sound(np.round(tape.sound * steps) / steps)


def _beside_high_sounds(rng: Random) -> Iterator[Tape]:
    for rate, hz in ((16_000, (5200.0, 7100.0)), (44_100, (9000.0, 15_000.0)), (48_000, (6792.0, 19_000.0))):
        tone, gap = lasting(rng, 45, 80, 32), lasting(rng, 45, 80, 32)
        tape = record(rng, doubled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=-15, high_dbm0=-15, rate=rate)
        yield tape.plus(sines(rng, len(tape.sound), hz, -12, rate))


def _on_a_constant(rng: Random) -> Iterator[Tape]:
    for constant in (0.02, -0.1, 0.25):
        low, high = ordinary(rng, 32)
        tone, gap = lasting(rng, 40, 80, 32), lasting(rng, 40, 80, 32)
        tape = record(rng, doubled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=low - 5, high_dbm0=high - 5)
        yield tape.through(rng, dc=constant)


def _mixed(rng: Random) -> Iterator[Tape]:
    for _ in range(24):
        twist = rng.uniform(*TWISTS)
        mean = rng.uniform(-21, -6)
        low, high = mean - twist / 2, mean + twist / 2
        offset = rng.uniform(-0.015, 0.015, (16, 2))
        tone, gap = lasting(rng, 45, 150, 16), lasting(rng, 45, 200, 16)
        tape = record(
            rng, shuffled(rng), tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high, offset=offset
        )
        if rng.random() < 0.4:
            tape = tape.through(rng, echo=(rng.uniform(3, 20), rng.uniform(-30, -20)))
        if rng.random() < 0.3:
            hz = DIALS_HZ[int(rng.integers(len(DIALS_HZ)))]
            tape = tape.through(rng, dial_tone=(hz, min(low, high) - rng.uniform(3, 20)))
        if rng.random() < 0.3:
            tape = tape.through(rng, hum=(rng.choice([50.0, 60.0]), min(low, high) - rng.uniform(3, 20)))
        if rng.random() < 0.6:
            tape = tape.plus(noise(rng, len(tape.sound), total_dbm0(low, high) - rng.uniform(16, 40)))
        if rng.random() < 0.7:
            tape = tape.through(rng, law=rng.choice(LAWS))
        yield tape
