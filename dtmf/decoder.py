"""Whole recordings: the receiver, fed with all there is."""

from __future__ import annotations

import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.keypad import KEYS_16
from dtmf.keypress import KeyUp, Tone
from dtmf.receiver import Receiver, as_float32
from dtmf.resample import to_8k

__all__ = ["decode"]

_PIECE = 1 << 16  # samples per call, so that the receiver's tables stay small


def decode(samples: npt.ArrayLike, rate: int, *, keys: str = KEYS_16) -> list[Tone]:
    """The keys pressed in a recording, in order: what a Receiver says of it at 8 kHz, then flushed.

    samples: (n,) of one channel, float in [-1, 1] or int16; rate: 4,000 to 384,000 Hz; keys: those to
    listen for. Raises DtmfError for other shapes, types and rates.
    """
    array = as_float32(samples)
    if array.ndim != 1:
        raise DtmfError(f"samples of shape {array.shape}; give one channel at a time, shape (n,)")
    sound = to_8k(array, rate)
    receiver = Receiver(keys=keys)
    events = [
        e for first in range(0, len(sound), _PIECE) for e in receiver.feed(sound[first : first + _PIECE])
    ]
    events += receiver.flush(0)
    return [event.tone for event in events if isinstance(event, KeyUp)]
