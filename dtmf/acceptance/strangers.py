"""What is no key: other tones of the network, halves of keys, keys with a third tone, noise.

Not here: the R1 register signal 700 + 1500 Hz, which lies within the limits of a "3", and 700 + 1300 Hz,
which lies between the limits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from dtmf.acceptance.category import Category, Doubles, Make, Random
from dtmf.acceptance.tape import Tape, noise, record, shuffled, sines, voice
from dtmf.goertzel import RATE, amplitude
from dtmf.impairment import impair
from dtmf.keypad import HIGH_HZ, LOW_HZ

__all__ = ["strangers"]

_MULTIFREQUENCY_R1 = (700, 900, 1100, 1300, 1500, 1700)
_MULTIFREQUENCY_R2 = ((1380, 1500, 1620, 1740, 1860, 1980), (540, 660, 780, 900, 1020, 1140))
_KEY_LIKE = ((700, 1300), (700, 1500))
_SIGNALS: tuple[tuple[float, ...], ...] = (
    (425,),  # ITU-T E.180
    (350, 440),  # dial tone, ring-back, busy, and special information in North America
    (440, 480),
    (480, 620),
    (400, 450),
    (913.8,),
    (950,),
    (1370.6,),
    (1400,),
    (1776.7,),
    (1800,),
    (1100,),  # fax: calling and answering
    (2100,),
    (1300,),  # modems: V.25, V.22, Bell 103
    (2225,),
    (1800, 2250),
    (1004,),  # test tones
    (404,),
    (2804,),
    (2130, 2750),  # alert to caller identity
    (2400, 2600),  # in-band signalling of exchanges
    (2600,),
    (440,),  # call waiting, record tone
    (1209, 1633),  # two of one group make no key
    (697, 941),
    (770, 852),
    (1336, 1477),
)
_FSK = ((300, 980, 1180), (300, 1650, 1850), (1200, 1300, 2100), (1200, 1200, 2200), (75, 390, 450))


def strangers() -> list[Category]:
    """What must never be taken for a key."""
    rows: list[tuple[str, str, str, Make]] = [
        (
            "other_tones",
            "call progress, R1, R2, modems, faxes, test tones, FSK",
            "ITU-T E.180, Q.320 and Q.441",
            _others,
        ),
        ("single_tone", "one tone of a key, also with its harmonics", "ITU-T Q.23", _single),
        ("two_keys", "two keys at once", "ITU-T Q.23", _two_keys),
        (
            "third_tone",
            "a key and a third tone as loud, apart from dial tone and hum",
            "makers' custom",
            _third,
        ),
        ("noise_only", "noise of -55 to -5 dBm0, 20 s each", "makers' custom", _noises),
        ("impulse_only", "clicks, 5 to 50 a second", "LSSGR", _clicks),
        ("sweeps", "gliding tones, alone and two at once", "makers' custom", _sweeps),
        ("voice_only", "something like speech, 30 s", "talk-off; real speech has tests of its own", _voices),
    ]
    return [
        Category(name=name, kind="mustnot", limits=limits, source=source, make=make)
        for name, limits, source, make in rows
    ]


def _parts(*sounds: Doubles) -> Tape:
    pause = np.zeros(400)
    return Tape(np.zeros(sum(len(sound) + 400 for sound in sounds), np.float32)).with_sound(
        np.concatenate([part for sound in sounds for part in (sound, pause)])
    )


def _others(rng: Random) -> Iterator[Tape]:
    registers = [
        pair
        for tones in (_MULTIFREQUENCY_R1, *_MULTIFREQUENCY_R2)
        for pair in itertools.combinations(tones, 2)
        if pair not in _KEY_LIKE
    ]
    for level in (-3.0, -12.0):
        yield _parts(*(sines(rng, 4000, hz, level) for hz in _SIGNALS))
        yield _parts(*(sines(rng, 800, hz, level) for hz in registers))
        yield _parts(*(_fsk(rng, *modem, level) for modem in _FSK)).through(rng, law="mulaw")


def _fsk(rng: Random, baud: float, mark: float, space: float, level: float) -> Doubles:
    bit = rng.integers(0, 2, int(baud) + 1)[(np.arange(RATE) * baud / RATE).astype(int)]
    return amplitude(level) * np.sin(2 * np.pi * np.cumsum(np.where(bit, mark, space)) / RATE)


def _single(rng: Random) -> Iterator[Tape]:
    for level in (0.0, -10.0, -20.0):
        tones = [sines(rng, count, (hz,), level) for hz in LOW_HZ + HIGH_HZ for count in (480, 2400)]
        yield _parts(*tones)
        yield _parts(*tones).through(rng, law="alaw", noise_dbm0=level - 20)
    rich = [
        sum((sines(rng, 2400, (k * hz,), -6 - 6 * k) for k in range(1, 6)), np.zeros(2400)) for hz in LOW_HZ
    ]
    yield _parts(*rich)
    yield _parts(*(3 * sines(rng, 2400, (hz,), 0) for hz in LOW_HZ))  # cut off: nearly square


def _two_keys(rng: Random) -> Iterator[Tape]:
    for lows in itertools.combinations(LOW_HZ, 2):
        yield _parts(*(sines(rng, 800, (*lows, *highs), -12) for highs in itertools.combinations(HIGH_HZ, 2)))
    for one in LOW_HZ:
        yield _parts(*(sines(rng, 800, (one, *highs), -12) for highs in itertools.combinations(HIGH_HZ, 2)))


def _third(rng: Random) -> Iterator[Tape]:
    for hz in (560, 620, 1040, 1100, 1800, 2000, 2400, 3000):
        tape = record(rng, shuffled(rng), tone_ms=100, low_dbm0=-15, high_dbm0=-15)
        bursts = np.where(np.abs(tape.sound) > 0, 1.0, 0.0)
        yield tape.plus(sines(rng, len(tape.sound), (hz,), -15 + rng.uniform(0, 6)) * bursts)


def _noises(rng: Random) -> Iterator[Tape]:
    count = 20 * RATE
    for level, band in (
        (-5.0, None),
        (-15.0, (300.0, 3400.0)),
        (-30.0, None),
        (-45.0, (300.0, 3400.0)),
        (-55.0, None),
    ):
        yield Tape(np.zeros(count, np.float32)).plus(noise(rng, count, level, band)).through(rng, law="mulaw")
    # Noise in the keypad's own band, where half of all power is in reach of some key.
    yield Tape(np.zeros(count, np.float32)).plus(noise(rng, count, -12, (650, 1700)))


def _clicks(rng: Random) -> Iterator[Tape]:
    for number, level in ((5, 3.0), (20, -3.0), (50, -10.0)):
        silence = np.zeros(10 * RATE, np.float32)
        yield Tape(impair(silence, seed=int(rng.integers(1 << 31)), impulses=(number, level)))


def _sweeps(rng: Random) -> Iterator[Tape]:
    t = np.arange(4 * RATE) / RATE
    for low, high in ((300, 3400), (600, 1000), (3400, 300)):
        sweep = np.sin(2 * np.pi * (low * t + (high - low) * t * t / 8))
        yield _parts(amplitude(-9) * sweep)
    # A slow pair would pass through keys; this one is too fast to hold any for 20 ms.
    fast = t[: RATE // 4]
    pair = [
        np.sin(2 * np.pi * (low * fast + rate * fast * fast / 2)) for low, rate in ((600, 1600), (1100, 2400))
    ]
    yield _parts(*(amplitude(-9) * (pair[0] + pair[1]) for _ in range(4)))


def _voices(rng: Random) -> Iterator[Tape]:
    sound = voice(rng, 30)
    yield Tape(np.zeros(len(sound), np.float32)).with_sound(sound)
