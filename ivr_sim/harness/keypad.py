"""What a scripted caller sends: keys by one of three ways, sounds, and the noise of its line, by ticks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import numpy as np

import dtmf
from dtmf.impairment import sounding_dbm0
from ivr_sim.errors import ConfigurationError
from ivr_sim.journal import KeyMethod
from ivr_sim.legs.scripted import KeySent, Turn
from ivr_sim.media import FRAME_SAMPLES, SAMPLE_RATE, Samples

__all__ = ["Keypad"]

TICK_MS = 20
# A telephone event ends with three packets, and 100 ms lie between two keys (media.telephone_event).
EVENT_PAUSE_MS = 140
NOISE_S = 10  # seconds of noise made at once
FULL_SCALE = 32767
ALL_KEYS = "1234567890*#"


class Keypad:
    """A telephone's keys, microphone and line.

    by: the way of keying where a press names none. key_ms, gap_ms: how long a key is held, and the pause
    behind it; between telephone events at least 140 ms. level_dbm0, twist_db: of the tones, as in
    ``dtmf.generate``. noise_dbm0, or snr_db below the tones: white noise on the line, from the answer on,
    seeded. onsets: when each key went down, in seconds since the first turn. Raises ConfigurationError for
    tones that nobody can make.
    """

    def __init__(
        self,
        *,
        by: KeyMethod = "inband",
        key_ms: float = 90,
        gap_ms: float = 80,
        level_dbm0: float = -10.0,
        twist_db: float = 0.0,
        noise_dbm0: float | None = None,
        snr_db: float | None = None,
        seed: int = 1,
    ) -> None:
        self._by = by
        self._key_ms, self._gap_ms = key_ms, gap_ms
        self._level, self._twist = level_dbm0, twist_db
        self._ticks = 0
        self.onsets: list[float] = []
        self._frames: deque[Samples] = deque()
        self._keys: deque[KeySent | None] = deque()  # one place for each tick
        if snr_db is not None:
            noise_dbm0 = sounding_dbm0(self._tones(ALL_KEYS)) - snr_db
        self._noise = None if noise_dbm0 is None else _noise(noise_dbm0, seed)

    @property
    def busy(self) -> bool:
        """Whether something that was pressed or played is still being sent."""
        return bool(self._frames or self._keys)

    def press(self, keys: str, by: KeyMethod | None = None) -> None:
        """Press these keys one after the other, behind whatever is being sent."""
        way = by or self._by
        if not keys:
            return
        if way == "inband":
            begins = (self._ticks + len(self._frames)) * TICK_MS
            step = self._key_ms + self._gap_ms
            self.onsets += [(begins + step * n) / 1000 for n in range(len(keys))]
            sound = self._tones(keys)
            self._play(np.concatenate([sound, np.zeros(_samples(self._gap_ms), np.float32)]))
            return
        pause = max(self._gap_ms, EVENT_PAUSE_MS) if way == "rfc4733" else self._gap_ms
        ticks = math.ceil((self._key_ms + pause) / TICK_MS)
        for digit in keys:
            self._keys.append(KeySent(digit, way, round(self._key_ms)))
            self._keys.extend([None] * (ticks - 1))

    def play(self, samples: Samples) -> None:
        """Play a sound into the call: int16, shape (n,), 8 kHz."""
        self._play(samples.astype(np.float32) / FULL_SCALE)

    def turn(self) -> Turn:
        """What is sent in the next 20 ms."""
        frame = self._frames.popleft() if self._frames else None
        key = self._keys.popleft() if self._keys else None
        if key is not None:
            self.onsets.append(self._ticks * TICK_MS / 1000)
        self._ticks += 1
        if self._noise is not None:
            under = next(self._noise)
            frame = under if frame is None else _added(frame, under)
        return Turn(frame, () if key is None else (key,))

    def _tones(self, keys: str) -> np.ndarray:
        try:
            return dtmf.generate(
                keys, tone_ms=self._key_ms, gap_ms=self._gap_ms, level_dbm0=self._level, twist_db=self._twist
            )
        except dtmf.DtmfError as wrong:
            raise ConfigurationError(f"these keys cannot be made as tones: {wrong}") from wrong

    def _play(self, sound: np.ndarray) -> None:
        samples = np.round(sound * FULL_SCALE).astype(np.int16)
        padded = np.concatenate([samples, np.zeros(-len(samples) % FRAME_SAMPLES, np.int16)])
        self._frames.extend(padded.reshape(-1, FRAME_SAMPLES))


def _samples(ms: float) -> int:
    return round(ms * SAMPLE_RATE / 1000)


def _noise(dbm0: float, seed: int) -> Iterator[Samples]:
    """White noise without end, in frames."""
    quiet = np.zeros(NOISE_S * SAMPLE_RATE, np.float32)
    while True:
        try:
            sound = dtmf.impair(quiet, noise_dbm0=dbm0, seed=seed)
        except dtmf.DtmfError as wrong:
            raise ConfigurationError(f"this noise cannot be made: {wrong}") from wrong
        yield from np.round(sound * FULL_SCALE).astype(np.int16).reshape(-1, FRAME_SAMPLES)
        seed += 1


def _added(frame: Samples, noise: Samples) -> Samples:
    both: Samples = np.clip(frame.astype(np.int32) + noise, -FULL_SCALE - 1, FULL_SCALE).astype(np.int16)
    return both
