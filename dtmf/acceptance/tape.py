"""Test tapes: sound, and the key presses that are truly in it.

Nothing here is left to habit: phases are random, and so is where a tone begins in relation to blocks of
20 ms, unless an argument says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dtmf.generator import generate
from dtmf.goertzel import RATE, amplitude
from dtmf.impairment import impair
from dtmf.keypad import KEYS_16

__all__ = [
    "Press",
    "Tape",
    "doubled",
    "joined",
    "lasting",
    "music",
    "noise",
    "record",
    "scaled",
    "shuffled",
    "sines",
    "voice",
]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Each = float | npt.ArrayLike

Press = tuple[str, float, float]  # digit, start and end in seconds


@dataclass(frozen=True)
class Tape:
    """Sound, float32 (n,) in [-1, 1] at ``rate`` Hz, and the presses in it, in the order of time."""

    sound: Floats
    presses: tuple[Press, ...] = ()
    rate: int = RATE

    def with_sound(self, sound: npt.NDArray[np.floating]) -> Tape:
        """The same presses in another sound of the same length; what exceeds full scale is clipped."""
        return replace(self, sound=np.clip(sound, -1, 1).astype(np.float32))

    def plus(self, sound: npt.NDArray[np.floating]) -> Tape:
        """With something beneath it."""
        return self.with_sound(self.sound + sound)

    def through(self, rng: np.random.Generator, **line: Any) -> Tape:
        """As it comes out of a line; ``line``: impair's arguments."""
        return self.with_sound(impair(self.sound, rate=self.rate, seed=int(rng.integers(1 << 31)), **line))

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.sound) / self.rate


def joined(tapes: Sequence[Tape], pause_s: float) -> Tape:
    """Tapes of one rate on one, with pauses between and after them."""
    rate = tapes[0].rate
    pause = np.zeros(round(pause_s * rate), np.float32)
    presses: list[Press] = []
    parts: list[Floats] = []
    at = 0
    for tape in tapes:
        presses += [(digit, start + at / rate, end + at / rate) for digit, start, end in tape.presses]
        parts += [tape.sound, pause]
        at += len(tape.sound) + len(pause)
    return Tape(np.concatenate(parts), tuple(presses), rate)


def shuffled(rng: np.random.Generator, times: int = 1) -> str:
    """Every key as often, in random order, but none twice in a row."""
    order: list[str] = []
    for _ in range(times):
        keys = rng.permutation(list(KEYS_16)).tolist()
        if order and order[-1] == keys[0]:
            keys.reverse()
        order += keys
    return "".join(order)


def doubled(rng: np.random.Generator, times: int = 1) -> str:
    """Every key twice in a row, in random order."""
    return "".join(2 * key for key in shuffled(rng, times))


def lasting(rng: np.random.Generator, shortest: float, longest: float, count: int) -> Doubles:
    """Random lengths in milliseconds."""
    return rng.uniform(shortest, longest, count)


def record(
    rng: np.random.Generator,
    digits: str,
    *,
    tone_ms: Each = 60.0,
    gap_ms: Each = 60.0,
    low_dbm0: Each = -10.0,
    high_dbm0: Each = -10.0,
    offset: npt.ArrayLike = 0.0,
    offset_hz: npt.ArrayLike = 0.0,
    ramp_ms: float = 0.0,
    holes: npt.ArrayLike | None = None,
    lead_ms: float | None = None,
    tail_ms: float = 80.0,
    rate: int = RATE,
) -> Tape:
    """A tape of key presses, after ``lead_ms`` or 20 to 60 ms of silence.

    Each argument is one for all digits or one for each; ``offset`` (share) and ``offset_hz`` one or two
    (low, high) for each; ``holes`` (after_ms, ms) for each. low_dbm0, high_dbm0: the two tones' levels.
    tone_ms: between the points of half amplitude, where there are ramps.
    """
    count = len(digits)
    low, high = (np.broadcast_to(np.asarray(level, float), count) for level in (low_dbm0, high_dbm0))
    tone, gap = (np.broadcast_to(np.asarray(ms, float), count) for ms in (tone_ms, gap_ms))
    # A tone with ramps is longer by half of one on each side than between its half amplitudes.
    lead = (float(rng.uniform(20, 60)) if lead_ms is None else lead_ms) + ramp_ms
    sound = generate(
        digits,
        rate=rate,
        tone_ms=tone + ramp_ms,
        gap_ms=gap - ramp_ms,
        level_dbm0=10 * np.log10((10 ** (low / 10) + 10 ** (high / 10)) / 2),
        twist_db=high - low,
        offset=np.broadcast_to(offset, (count, 2)),
        offset_hz=np.broadcast_to(offset_hz, (count, 2)),
        phase=rng.uniform(0, 2 * np.pi, (count, 2)),
        ramp_ms=ramp_ms,
        hole=None if holes is None else np.broadcast_to(holes, (count, 2)),
        lead_ms=lead - ramp_ms / 2,
        tail_ms=tail_ms,
    )
    starts = lead + np.concatenate([[0.0], np.cumsum(tone + gap)[:-1]])
    presses = zip(digits, (starts / 1000).tolist(), ((starts + tone) / 1000).tolist(), strict=True)
    return Tape(sound, tuple(presses), rate)


def scaled(sound: npt.NDArray[np.floating], dbm0: float) -> Doubles:
    """A sound at another mean level, in dBm0."""
    power = float(np.mean(np.square(sound, dtype=np.float64)))
    factor = amplitude(dbm0) / np.sqrt(2 * power) if power else 0.0
    return np.asarray(sound, np.float64) * factor


def noise(
    rng: np.random.Generator, count: int, dbm0: float, band: tuple[float, float] | None = None
) -> Doubles:
    """Gaussian noise at 8 kHz of a mean level, white or within a band (Hz)."""
    if band is None:
        return scaled(rng.standard_normal(count), dbm0)
    length = 1 << max(count - 1, 1).bit_length()  # other lengths are slow
    spectrum = np.fft.rfft(rng.standard_normal(length))
    hz = np.fft.rfftfreq(length, 1 / RATE)
    spectrum[(hz < band[0]) | (hz > band[1])] = 0
    return scaled(np.fft.irfft(spectrum, length)[:count], dbm0)


def sines(
    rng: np.random.Generator, count: int, hz: Iterable[float], dbm0: float, rate: int = RATE
) -> Doubles:
    """Tones that sound together, each of the same level, with random phases."""
    t = 2 * np.pi * np.arange(count) / rate
    sound = np.zeros(count)
    for tone in hz:
        sound += np.sin(tone * t + rng.uniform(0, 2 * np.pi))
    return amplitude(dbm0) * sound


_FORMANTS_HZ = ((730, 1090, 2440), (530, 1840, 2480), (390, 1990, 2550), (570, 840, 2410), (440, 1020, 2240))
_WIDTHS_HZ = (90.0, 110.0, 170.0)  # of the formants; Peterson and Barney's vowels of men are above


def voice(rng: np.random.Generator, seconds: float) -> Doubles:
    """Something like speech at 8 kHz: vowels that glide into each other, hissed consonants, pauses.

    Its mean level is -15 dBm0. What real speech does to a receiver, only real speech tells; this one
    needs no files.
    """
    count = int(seconds * RATE)
    t = np.arange(count) / RATE
    syllables = max(int(seconds * 5), 2)
    at = np.sort(rng.uniform(0, seconds, syllables))
    vowels = np.array(_FORMANTS_HZ)[rng.integers(0, len(_FORMANTS_HZ), syllables)]
    vowels = vowels * rng.uniform(0.9, 1.25, (syllables, 1))
    pitch = np.interp(t, at, rng.uniform(90, 260, syllables)) * (1 + 0.01 * np.sin(2 * np.pi * 5 * t))
    turns = 2 * np.pi * np.cumsum(pitch) / RATE
    # Formants move slowly: their gains are worked out every 5 ms, and drawn out to samples.
    frames = np.arange(0, seconds, 0.005)
    formants = [np.interp(frames, at, vowels[:, i]) for i in range(3)]
    frame_pitch = np.interp(frames, t, pitch)
    sound = np.zeros(count)
    for harmonic in range(1, 26):
        hz = harmonic * frame_pitch
        gain = sum(
            1 / (1 + ((hz - formant) / width) ** 2)
            for formant, width in zip(formants, _WIDTHS_HZ, strict=True)
        )
        gain = np.where(hz < 3600, np.sqrt(gain) / harmonic**0.5, 0)
        sound += np.interp(t, frames, gain) * np.sin(harmonic * turns)
    loud = np.clip(1.5 * np.sin(2 * np.pi * np.interp(t, at, np.arange(syllables) / 2)) + 0.5, 0, 1)
    hiss = (
        noise(rng, count, -28, (1500, 3600)) * (1 - loud) * (np.interp(t, at, rng.uniform(0, 1, syllables)))
    )
    return scaled(scaled(sound * loud, -15) + hiss, -15)


def music(rng: np.random.Generator, seconds: float) -> Doubles:
    """Something like music at 8 kHz: chords of three to five notes with overtones, at -15 dBm0."""
    count = int(seconds * RATE)
    sound = np.zeros(count)
    at = 0
    while at < count:
        length = min(int(rng.uniform(0.15, 0.6) * RATE), count - at)
        t = np.arange(length) / RATE
        fall = np.exp(-t / rng.uniform(0.1, 0.5))
        for note in rng.choice(np.arange(45, 80), int(rng.integers(3, 6)), replace=False):
            hz = 440 * 2 ** ((note - 69) / 12)
            for overtone in range(1, 5):
                if overtone * hz < 3600:
                    sound[at : at + length] += fall / overtone**1.5 * np.sin(2 * np.pi * overtone * hz * t)
        at += length
    return scaled(sound, -15)
