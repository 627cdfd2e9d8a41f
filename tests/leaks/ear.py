"""An ear for key tones, far sharper than a receiver: what is left of a tone at the edge of a mask.

A receiver wants 40 ms of two clean tones; who searches a recording for remnants is content with less.
The ear hears 10 ms of a key's two tones at -60 dBm0 each. Where the neutral tone of a mask sounds, which
is known to the sample because it repeats itself every 20, it looks at what is beside it, sample by sample;
what is not exactly that tone it hears as well, with 400 Hz taken out.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 8000
LOW, HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)  # ITU-T Q.23
KEYS = ("123A", "456B", "789C", "*0#D")
WINDOW, HOP = 80, 20
FLOOR_DBM0 = -60.0
SHARE = 0.25  # of the power in a window, in the two tones
TWIST = 10 ** (26 / 10)
PERIOD, RAMP = 20, 40  # of the neutral tone: 400 Hz, and its rise and fall
TOGETHER = 0.012  # seconds: hits that are less apart are one tone


@dataclass(frozen=True)
class Tone:
    """A key tone or what is left of one: seconds, and which key it most likely is."""

    start: float
    end: float
    digit: str


def read(path: Path) -> np.ndarray:
    """The samples of a WAV, int16, shape (n, channels)."""
    with wave.open(str(path)) as wav:
        assert (wav.getframerate(), wav.getsampwidth()) == (RATE, 2)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, wav.getnchannels())


def tones(sound: np.ndarray) -> list[Tone]:
    """Key tones, whole or in part, in int16 samples of shape (n,)."""
    found: list[tuple[float, float, np.ndarray]] = []
    for first, last in _runs(~neutral(sound)):
        for start, power in _hits(sound[first:last].astype(float)):
            begin = (first + start) / RATE
            if found and begin - found[-1][1] <= TOGETHER:
                found[-1] = (found[-1][0], begin + WINDOW / RATE, found[-1][2] + power)
            else:
                found.append((begin, begin + WINDOW / RATE, power))
    return [Tone(start, end, KEYS[p[:4].argmax()][p[4:].argmax()]) for start, end, p in found]


def neutral(sound: np.ndarray) -> np.ndarray:
    """Which samples belong to a neutral tone: a steady 400 Hz, exactly repeating, and its two ramps."""
    same = np.zeros(len(sound), bool)
    if len(sound) > PERIOD:
        same[PERIOD:] = sound[PERIOD:] == sound[:-PERIOD]
    inside = np.zeros(len(sound), bool)
    for first, last in _runs(same):
        begin = first - PERIOD
        if last - first >= 2 * PERIOD and 500 < np.abs(sound[begin:last]).max() < 4000:
            inside[max(begin - RAMP, 0) : last + RAMP] = True
    return inside


def _hits(sound: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Where in a run of samples two key tones sound: first sample and the power of each of the eight."""
    if len(sound) < WINDOW // 2:
        return []
    sound = np.pad(sound, (0, max(0, WINDOW - len(sound))))
    windows = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP]
    if not windows.any():
        return []
    time = np.arange(WINDOW) / RATE
    hum = np.stack([np.sin(2 * np.pi * 400 * time), np.cos(2 * np.pi * 400 * time)]) * np.sqrt(2 / WINDOW)
    spread = np.hanning(WINDOW + 2)[1:-1]
    bank = np.exp(2j * np.pi * np.outer(time, (*LOW, *HIGH))) * spread[:, None]
    floor = (32768 * 10 ** ((FLOOR_DBM0 - 3.14) / 20)) ** 2 / 2
    found = []
    for n in range(0, len(windows), 2000):
        part = windows[n : n + 2000]
        part = part - (part @ hum.T) @ hum
        power = 2 * np.abs(part @ bank) ** 2 / spread.sum() ** 2
        total = (part**2) @ (spread**2) / (spread**2).sum()
        low, high = power[:, :4].max(axis=1), power[:, 4:].max(axis=1)
        hit = (np.minimum(low, high) > floor) & (low + high > SHARE * total)
        hit &= (low < TWIST * high) & (high < TWIST * low)
        found += [((n + int(i)) * HOP, power[i]) for i in np.flatnonzero(hit)]
    return found


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    steps = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]
