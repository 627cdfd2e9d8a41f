"""A stretch of a sound file as columns of a picture, in bounded memory however long it lasts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dtmf.goertzel import RATE
from dtmf.recording import Recording
from dtmf.resample import Resampler
from dtmf.spectrogram import WINDOW, envelope, levels

__all__ = ["View", "view"]

Floats = npt.NDArray[np.float32]

_MOST_SAMPLES = 1 << 20  # of one channel, looked at together


@dataclass(frozen=True)
class View:
    """One channel: levels (bins, columns) in dB below a sine of full scale, highest and lowest samples."""

    levels: Floats
    highest: Floats
    lowest: Floats


def view(
    source: str | os.PathLike[str],
    start_s: float,
    end_s: float,
    columns: int,
    *,
    channels: int,
    bins: int,
    silent: Sequence[tuple[float, float]] = (),
) -> list[View]:
    """The first ``channels`` of a file from start_s to end_s, at 8 kHz; ``silent`` stretches are cut out.

    columns: of the picture; bins: frequencies, in steps of 31.25 Hz. Raises DtmfError for what cannot be
    read.
    """
    per_column = (end_s - start_s) * RATE / columns
    together = max(1, int(_MOST_SAMPLES / per_column))
    views: list[list[tuple[Floats, Floats, Floats]]] = [[] for _ in range(channels)]
    with Recording(source) as recording:
        sound = _Sound(recording, channels, silent)
        for column in range(0, columns, together):
            count = min(together, columns - column)
            first, last = start_s * RATE + column * per_column, start_s * RATE + (column + count) * per_column
            begin = round(first)
            stretch = sound.stretch(begin - WINDOW // 2, max(round(last), begin + 1) + WINDOW)
            for channel, parts in enumerate(views):
                wave = stretch[channel, WINDOW // 2 : -WINDOW]
                parts.append(
                    (
                        levels(stretch[channel], count, per_column, bins=bins),
                        *envelope(wave, count),
                    )
                )
    return [
        View(
            np.concatenate([part[0] for part in parts], axis=1),
            np.concatenate([part[1] for part in parts]),
            np.concatenate([part[2] for part in parts]),
        )
        for parts in views
    ]


class _Sound:
    """The channels of a recording at 8 kHz, read from front to back."""

    def __init__(self, recording: Recording, channels: int, silent: Sequence[tuple[float, float]]) -> None:
        self._pieces = self._read(recording, channels)
        self._kept = np.zeros((channels, 0), np.float32)
        self._first = 0  # the sample where what is kept begins
        self._silent = [(round(start * RATE), round(end * RATE)) for start, end in silent]

    def _read(self, recording: Recording, channels: int) -> Iterator[Floats]:
        resamplers = [Resampler(recording.rate) for _ in range(channels)]
        for piece in recording.pieces():
            yield np.stack([_floats(r.feed(piece[:, c])) for c, r in enumerate(resamplers)])
        yield np.stack([_floats(r.flush()) for r in resamplers])

    def stretch(self, first: int, last: int) -> Floats:
        """Samples from ``first`` to ``last``: (channels, last - first); silence before and after the sound.

        A stretch may begin up to 1.5 windows before the end of the one before, not earlier.
        """
        sound = np.zeros((len(self._kept), last - first), np.float32)
        while self._first + self._kept.shape[1] < last:
            piece = next(self._pieces, None)
            if piece is None:
                break
            past = max(0, min(first - self._first, self._kept.shape[1]))
            self._kept = np.concatenate([self._kept[:, past:], piece], axis=1)
            self._first += past
        begin, end = max(first, self._first), min(last, self._first + self._kept.shape[1])
        if begin < end:
            sound[:, begin - first : end - first] = self._kept[:, begin - self._first : end - self._first]
        for begin, end in self._silent:
            sound[:, max(begin - first, 0) : max(end - first, 0)] = 0
        return sound


def _floats(samples: npt.NDArray[np.int16] | Floats) -> Floats:
    """Samples in [-1, 1], whatever a file says."""
    if samples.dtype == np.int16:
        return np.multiply(samples, np.float32(1 / 32768), dtype=np.float32)
    clean: Floats = np.clip(np.nan_to_num(samples), -1, 1).astype(np.float32)
    return clean
