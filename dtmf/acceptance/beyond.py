"""What no standard asks and calls bring all the same: demanded by this project, or shown for information.

Kind "beyond" is demanded of the default profile; "info" lies between operate and non-operate limits, where
a receiver may do as it likes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt

from dtmf.acceptance.category import CORNERS, LAWS, TWISTS, Category, Kind, Make, Random, ordinary, total_dbm0
from dtmf.acceptance.lines import in_hum, under_dial_tone
from dtmf.acceptance.tape import Tape, doubled, lasting, music, noise, record, scaled, shuffled, sines, voice

__all__ = ["beyond"]


def beyond() -> list[Category]:
    """Demanded beyond the standards, and shown between their limits."""
    return [
        _row("level_low", "-26 to -38 dBm0 per tone", _soft),
        _row("g711_low", "-26 to -38 dBm0 per tone, mu-law and A-law", _soft_and_coded),
        _row("rolled", "other key after 0 to 30 ms", _rolled),
        _row("noise_deep", "noise 0 to 12 dB below the tones", _in_deep_noise, found=0.85),
        _row("impulse", "clicks as loud as the digits, two a second", _clicked),
        _row("dialtone_loud", "dial tone 6 to 22 dB above the digit", partial(under_dial_tone, above=_LOUD)),
        _row("hum_loud", "hum 6 to 22 dB above the digit", partial(in_hum, above=_LOUD)),
        _row("packet_loss", "packets of 20 ms lost, one or two of a digit", _lossy),
        _row("echo_long", "echo after 120 to 250 ms, 20 to 24 dB down", _echoed_late),
        _row("clipped", "cut off 4 and 8 dB below their peaks", _clipped),
        _row("unsteady", "levels that drift by 6 dB within a digit", _drifting),
        _row("speech_overlay", "speech 15 dB below the digits", partial(_over_speech, below=15.0)),
        _row(
            "speech_overlay_loud",
            "speech 9 to 12 dB below the digits",
            partial(_over_speech, below=10.5),
            found=0.99,
        ),
        _row("music_overlay", "music 12 dB below the digits", _over_music),
        _row("tone_overlay", "a steady tone 18 dB below the digits", _over_a_tone),
        _row("held", "half a second and more in noise, speech, loss: one digit", _held),
        _row("freq_between", "1.9 to 2.9 % off", _half_off, kind="info"),
        _row("twist_over", "-14 to -9 dB and +7 to +12 dB", _too_twisted, kind="info"),
        _row("dur_between", "25 to 38 ms", _rather_short, kind="info"),
        _row("gap_short", "the same key again after 22 to 28 ms", _hardly_apart, kind="info"),
        _row("echo_quick", "the same key again, 20 dB softer", _softer_again, kind="info"),
    ]


_LOUD = (6.0, 12.0, 18.0, 22.0)


def _row(name: str, limits: str, make: Make, *, kind: Kind = "beyond", found: float = 1.0) -> Category:
    source = "this project" if kind == "beyond" else "between the limits"
    return Category(name=name, kind=kind, limits=limits, source=source, make=make, found=found)


def _tape(rng: Random, digits: str, shortest: float = 45, longest: float = 100) -> Tape:
    """Digits at ordinary levels, lengths and pauses."""
    count = len(digits)
    low, high = ordinary(rng, count)
    tone, gap = lasting(rng, shortest, longest, count), lasting(rng, 45, 100, count)
    return record(rng, digits, tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high)


def _level_tape(
    rng: Random, digits: str, mean: float, shortest: float = 45, longest: float = 100, pause: float = 45
) -> tuple[Tape, float]:
    """Digits of one mean level, with one twist, and the level of a digit's tones together."""
    count = len(digits)
    twist = rng.uniform(*TWISTS)
    low, high = mean - twist / 2, mean + twist / 2
    tone, gap = lasting(rng, shortest, longest, count), lasting(rng, pause, pause + 50, count)
    return (
        record(rng, digits, tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high),
        total_dbm0(low, high),
    )


def _soft(rng: Random) -> Iterator[Tape]:
    for mean in (-26.0, -30.0, -34.0, -38.0):
        yield _level_tape(rng, doubled(rng), mean)[0]


def _soft_and_coded(rng: Random) -> Iterator[Tape]:
    for law, mean in itertools.product(LAWS, (-26.0, -32.0, -38.0)):
        yield _level_tape(rng, shuffled(rng, 2), mean)[0].through(rng, law=law)


def _rolled(rng: Random) -> Iterator[Tape]:
    for longest in (0.0, 10.0, 20.0, 30.0):
        low, high = ordinary(rng, 48)
        gap = lasting(rng, longest / 2, longest, 48)
        tone = lasting(rng, 45, 100, 48)
        yield record(rng, shuffled(rng, 3), tone_ms=tone, gap_ms=gap, low_dbm0=low, high_dbm0=high)


def _in_deep_noise(rng: Random) -> Iterator[Tape]:
    for snr, wide in itertools.product((0.0, 3.0, 6.0, 9.0, 12.0), (True, False)):
        tape, level = _level_tape(rng, doubled(rng, 2), rng.uniform(-20, -12), 50, 100)
        if wide:
            yield tape.through(rng, snr_db=snr)
        else:
            yield tape.plus(noise(rng, len(tape.sound), level - snr, (300, 3400)))


def _clicked(rng: Random) -> Iterator[Tape]:
    for more in (0.0, 6.0):
        tape, level = _level_tape(rng, doubled(rng, 2), -14)
        yield tape.through(rng, impulses=(2, level + more))


def _lossy(rng: Random) -> Iterator[Tape]:
    for pattern in ((0, 1, 0), (0, 0, 1, 0), (0, 1, 0, 0, 0)):
        # Two losses in a row leave a pause, and shorter tones than these may lose too much to be one.
        tape, _ = _level_tape(rng, doubled(rng), rng.uniform(-20, -8), 95, 160, 65)
        yield tape.through(rng, lost=pattern)
    for _ in range(3):
        tape, _ = _level_tape(rng, doubled(rng), rng.uniform(-20, -8), 80, 160, 65)
        yield tape.through(rng, lost=_now_and_then(rng, len(tape.sound)))


def _now_and_then(rng: Random, count: int) -> npt.NDArray[np.bool_]:
    """Which packets of so many samples are lost: single ones, with three or more that are not between two.

    Closer losses leave nothing of a tone that is long enough to be one.
    """
    lost = np.zeros(count // 160 + 1, bool)
    lost[np.cumsum(rng.integers(4, 14, len(lost))).clip(max=len(lost) - 1)] = True
    return lost


def _echoed_late(rng: Random) -> Iterator[Tape]:
    for delay, down in itertools.product((120.0, 160.0, 200.0, 250.0), (-20.0, -24.0)):
        tape, _ = _level_tape(rng, shuffled(rng), rng.uniform(-12, -5), 50, 110, 280)
        yield tape.through(rng, echo=(delay, down))
    for delay in (130.0, 220.0):
        tape, _ = _level_tape(rng, doubled(rng), rng.uniform(-12, -5), 60, 110, 60)
        yield tape.through(rng, echo=(delay, -22))


def _clipped(rng: Random) -> Iterator[Tape]:
    for below in (4.0, 8.0):
        tape, level = _level_tape(rng, doubled(rng), -8)
        # Two equal sines reach 3 dB above the one sine of their power.
        yield tape.through(rng, clip=level + 3 - below)


def _drifting(rng: Random) -> Iterator[Tape]:
    for speed in (2.0, 5.0):
        tape = _tape(rng, doubled(rng), 60, 140)
        t = np.arange(len(tape.sound)) / tape.rate
        yield tape.with_sound(tape.sound * 10 ** (3 * np.sin(2 * np.pi * speed * t) / 20))


def _over_speech(rng: Random, below: float) -> Iterator[Tape]:
    speech = voice(rng, 12)
    for _ in range(3):
        tape, level = _level_tape(rng, doubled(rng), rng.uniform(-14, -8), 60, 120)
        start = int(rng.integers(len(speech)))
        under = np.resize(np.roll(speech, start), len(tape.sound))
        yield tape.plus(scaled(under, level - below - rng.uniform(-1.5, 1.5)))


def _over_music(rng: Random) -> Iterator[Tape]:
    under = music(rng, 12)
    for _ in range(2):
        tape, level = _level_tape(rng, doubled(rng), rng.uniform(-14, -8), 60, 120)
        start = int(rng.integers(len(under)))
        yield tape.plus(scaled(np.resize(np.roll(under, start), len(tape.sound)), level - 12))


def _over_a_tone(rng: Random) -> Iterator[Tape]:
    for hz in rng.uniform(300, 3400, 8):
        tape, level = _level_tape(rng, shuffled(rng), rng.uniform(-18, -8))
        yield tape.plus(sines(rng, len(tape.sound), (hz,), level - 18))


def _held(rng: Random) -> Iterator[Tape]:
    tapes = [_level_tape(rng, shuffled(rng), rng.uniform(-14, -8), 500, 1500) for _ in range(4)]
    tape, level = tapes[0]
    yield tape.through(rng, snr_db=8)
    tape, level = tapes[1]
    yield tape.plus(scaled(np.resize(voice(rng, 8), len(tape.sound)), level - 12))
    tape, level = tapes[2]
    yield tape.through(rng, lost=_now_and_then(rng, len(tape.sound)))
    tape, level = tapes[3]
    t = np.arange(len(tape.sound)) / tape.rate
    yield tape.with_sound(tape.sound * 10 ** (3 * np.sin(2 * np.pi * 1.5 * t) / 20))


def _half_off(rng: Random) -> Iterator[Tape]:
    for share in (0.019, 0.021, 0.023, 0.025, 0.029):
        offset = share * np.array(CORNERS)[np.arange(16) % 4]
        yield record(rng, shuffled(rng), tone_ms=lasting(rng, 45, 100, 16), offset=offset)


def _too_twisted(rng: Random) -> Iterator[Tape]:
    for twist in (-14.0, -11.0, -9.0, 7.0, 9.0, 12.0):
        digits = shuffled(rng)
        yield record(rng, digits, low_dbm0=-12 - twist / 2, high_dbm0=-12 + twist / 2)


def _rather_short(rng: Random) -> Iterator[Tape]:
    for ms in (25.0, 28.0, 31.0, 34.0, 36.0, 38.0):
        yield record(rng, shuffled(rng), tone_ms=ms, gap_ms=lasting(rng, 45, 75, 16))


def _hardly_apart(rng: Random) -> Iterator[Tape]:
    for ms in (22.0, 24.0, 26.0, 28.0):
        gap = lasting(rng, 60, 90, 32)
        gap[::2] = ms
        yield record(rng, doubled(rng), tone_ms=lasting(rng, 45, 90, 32), gap_ms=gap)


def _softer_again(rng: Random) -> Iterator[Tape]:
    level = np.tile([-3.0, -23.0], 16)
    yield record(rng, doubled(rng), tone_ms=60, gap_ms=60, low_dbm0=level, high_dbm0=level)
