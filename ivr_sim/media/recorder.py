"""The recording of one call: stereo, in memory until the keys in it are made unreadable.

Key tones can be read off a recording by ear, by a decoder or off a spectrogram. So a recording is written
only after :meth:`Recorder.mask`, which puts a neutral tone in their place; the length stays.
"""

from __future__ import annotations

import os
import tempfile
import wave
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ivr_sim.errors import LocalProtocolError
from ivr_sim.key_mask import Span, mask_keys
from ivr_sim.media.g711 import FRAME_SAMPLES, SAMPLE_RATE, Samples

__all__ = ["Recorder", "Span"]

BLOCK_FRAMES = 500  # memory is taken ten seconds at a time


class Recorder:
    """Records both sides of a call, frame by frame; left is the caller, right the IVR.

    longest: seconds after which nothing more is recorded (``cut`` says so): ten minutes are 19 MB.
    """

    def __init__(self, *, longest: float = 660.0) -> None:
        self.masked = False
        self.cut = False
        self._limit = round(longest * SAMPLE_RATE / FRAME_SAMPLES)
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._frames = 0

    def __repr__(self) -> str:
        return f"<Recorder {self.duration:.2f} s, {'masked' if self.masked else 'not masked'}>"

    def __reduce__(self) -> str:
        raise TypeError("a recording is written masked, and not pickled")

    @property
    def duration(self) -> float:
        """Seconds recorded."""
        return self._frames * FRAME_SAMPLES / SAMPLE_RATE

    def append(self, caller: Samples | None, ivr: Samples | None) -> None:
        """Record 20 ms: int16 (160,) each, None for silence. Nothing more once it was masked."""
        if self.masked or self.cut:
            return
        if self._frames >= self._limit:
            self.cut = True
            return
        block, place = divmod(self._frames, BLOCK_FRAMES)
        if block == len(self._blocks):
            self._blocks.append(np.zeros((BLOCK_FRAMES, FRAME_SAMPLES, 2), np.int16))
        for side, samples in enumerate((caller, ivr)):
            if samples is not None:
                self._blocks[block][place, :, side] = samples
        self._frames += 1

    def mask(self, intervals: Iterable[Span], *, published: Iterable[Span] = ()) -> None:
        """Make keys unreadable on the caller's side: a neutral tone in their place.

        intervals: when secret keys were down; these are masked whatever sounds in them, and 30 ms more on
        either side, out to whole frames; those of one entry become a single tone, from the first to the
        last. published: when keys were down that may be heard. Everywhere else each key tone that can be
        found is masked too, however weak: a telephone may send tones beside the keys it reports. Raises
        LocalProtocolError for times that are no numbers, or when it was masked before.
        """
        if self.masked:
            raise LocalProtocolError(f"{self!r} cannot be masked again")
        sound = self._sound()
        mask_keys(sound[:, 0], intervals, published)
        self._blocks = [sound]
        self.masked = True

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a 16-bit stereo WAV at 8 kHz, whole or not at all, readable by its owner only.

        Raises LocalProtocolError when it was not masked, OSError when it cannot be written.
        """
        if not self.masked:
            raise LocalProtocolError(f"{self!r} is written only after mask()")
        target = Path(path)
        handle, part = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file, wave.open(file, "wb") as wav:
                wav.setnchannels(2)
                wav.setsampwidth(2)
                wav.setframerate(SAMPLE_RATE)
                wav.writeframes(self._blocks[0].astype("<i2", copy=False).tobytes())
            os.replace(part, target)
        except BaseException:
            os.unlink(part)
            raise

    def _sound(self) -> npt.NDArray[np.int16]:
        """All of it, (n, 2)."""
        if not self._blocks:
            return np.zeros((0, 2), np.int16)
        return np.concatenate(self._blocks)[: self._frames].reshape(-1, 2)
