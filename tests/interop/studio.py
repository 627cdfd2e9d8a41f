"""A room to measure telephones in: a tone is said and heard, and what noise came with it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import dtmf
from ivr_sim.media import FRAME_SAMPLES

TONE_HZ, TONE_LEVEL = 1004.0, 12000.0  # the test tone of ITU-T O.41: no part of a key, near 1 kHz
WINDOW = 1600


class Studio:
    """Hears and says a tone; it may be any telephone's other end."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.frames: list[np.ndarray] = []
        n = np.arange(8000)  # a whole number of periods
        self._tone = np.round(TONE_LEVEL * np.sin(2 * np.pi * TONE_HZ * n / 8000)).astype(np.int16)
        self._at = 0

    def tick(self, heard: np.ndarray) -> np.ndarray:
        self.frames.append(heard.copy())
        frame = self._tone[self._at : self._at + FRAME_SAMPLES]
        self._at = (self._at + FRAME_SAMPLES) % len(self._tone)
        return frame

    def key_down(self, *_: object) -> None:
        """Nothing is keyed in a studio."""

    def key_up(self, *_: object) -> None:
        """Nothing is keyed in a studio."""


def write_keys(path: Path, keys: str) -> Path:
    """The keys as a person's telephone would sound, in a WAV of 8 kHz."""
    dtmf.write_wav(path, dtmf.generate(keys, tone_ms=110, gap_ms=120, lead_ms=300, tail_ms=200), 8000)
    return path


def write_tone(path: Path, seconds: float = 4.0) -> Path:
    """The test tone in a WAV of 8 kHz."""
    n = np.arange(round(8000 * seconds))
    dtmf.write_wav(path, TONE_LEVEL / 32768 * np.sin(2 * np.pi * TONE_HZ * n / 8000), 8000)
    return path


def snr_db(samples: np.ndarray) -> tuple[float, float]:
    """The test tone's signal-to-noise ratio: the median of windows of 0.2 s in which it sounds, and how
    many seconds those are. A window that the tone does not fill is none."""
    n = np.arange(WINDOW)
    base = np.stack([f(2 * np.pi * TONE_HZ * n / 8000) for f in (np.sin, np.cos)], axis=1)
    found = []
    for at in range(0, len(samples) - WINDOW + 1, WINDOW):
        window = samples[at : at + WINDOW].astype(np.float64)
        window -= window.mean()
        fit, *_ = np.linalg.lstsq(base, window, rcond=None)
        tone = base @ fit
        noise = float(((window - tone) ** 2).mean())
        power = float((tone**2).mean())
        if power > 1000.0**2 / 2 and np.abs(window[:80]).max() > 500 and np.abs(window[-80:]).max() > 500:
            found.append(10 * np.log10(power / max(noise, 1e-9)))
    return (float(np.median(found)) if found else 0.0), len(found) * WINDOW / 8000
