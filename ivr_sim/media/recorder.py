"""The recording of one call: stereo, in memory until the keys in it are made unreadable.

Key tones can be read off a recording by ear, by a decoder or off a spectrogram. So a recording is written
only after :meth:`Recorder.mask`, which puts a neutral tone in their place; the length stays.
"""

from __future__ import annotations

import os
import tempfile
import wave
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ivr_sim.errors import LocalProtocolError
from ivr_sim.key_mask import Span, mask_keys
from ivr_sim.media.g711 import FRAME_SAMPLES, SAMPLE_RATE, Samples

__all__ = ["Recorder", "Span"]

BLOCK_FRAMES = 50  # a second of frames is copied at once, which costs a fifth of copying each
_FIRST = cycle(range(1, BLOCK_FRAMES + 1))
_SILENCE = np.zeros(FRAME_SAMPLES, np.int16)


class Recorder:
    """Records both sides of a call, frame by frame; left is the caller, right the IVR.

    longest: seconds after which nothing more is recorded (``cut`` says so): ten minutes are 19 MB. Frames
    are copied within a second, and must not be changed before.
    """

    def __init__(self, *, longest: float = 660.0) -> None:
        self.masked = False
        self.cut = False
        self._limit = round(longest * SAMPLE_RATE / FRAME_SAMPLES)
        self._blocks: list[tuple[Samples, Samples]] = []  # seconds, of either side
        self._caller: list[Samples] = []  # frames of the present second
        self._ivr: list[Samples] = []
        self._room = next(_FIRST)  # calls that were answered together do not copy in the same tick
        self._kept = np.zeros((0, 2), np.int16)  # all of it, once it was masked
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
        self._caller.append(_SILENCE if caller is None else caller)
        self._ivr.append(_SILENCE if ivr is None else ivr)
        self._frames += 1
        if len(self._ivr) == self._room:
            self._room = BLOCK_FRAMES
            self._copy()

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
        self._kept = self._sound()
        self._blocks.clear()
        mask_keys(self._kept[:, 0], intervals, published)
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
                wav.writeframes(self._kept.astype("<i2", copy=False).tobytes())
            os.replace(part, target)
        except BaseException:
            os.unlink(part)
            raise

    def _sound(self) -> npt.NDArray[np.int16]:
        """All of it, (n, 2)."""
        self._copy()
        sound = np.zeros((self._frames * FRAME_SAMPLES, 2), np.int16)
        end = 0
        for caller, ivr in self._blocks:
            begin, end = end, end + len(caller)
            sound[begin:end, 0], sound[begin:end, 1] = caller, ivr
        return sound

    def _copy(self) -> None:
        if self._ivr:
            self._blocks.append((_joined(self._caller), _joined(self._ivr)))
            self._caller.clear()
            self._ivr.clear()


def _joined(frames: Sequence[Samples]) -> Samples:
    """Frames one after the other; a second without any sound costs no memory of its own."""
    if all(frame is _SILENCE for frame in frames):
        return np.broadcast_to(_SILENCE[:1], (len(frames) * FRAME_SAMPLES,))
    return np.concatenate(frames)
