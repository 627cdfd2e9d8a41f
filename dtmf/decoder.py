"""Whole recordings: the receiver, fed with all there is."""

from __future__ import annotations

import numpy.typing as npt

from dtmf.errors import DtmfError
from dtmf.goertzel import RATE
from dtmf.keypad import KEYS_16
from dtmf.keypress import KeyUp, Tone
from dtmf.receiver import Receiver, as_samples
from dtmf.resample import checked_rate, to_8k
from dtmf.screen import cleaned
from dtmf.standards import DEFAULT, Profile

__all__ = ["decode"]


def decode(
    samples: npt.ArrayLike, rate: int, *, keys: str = KEYS_16, profile: Profile = DEFAULT
) -> list[Tone]:
    """The keys pressed in a recording, in order: what a Receiver says of it at 8 kHz, then flushed.

    samples: (n,) of one channel, float in [-1, 1] or int16; rate: 4,000 to 384,000 Hz; keys: those to
    listen for; profile: by whose limits. Raises DtmfError for other shapes, types and rates.
    """
    array = as_samples(samples)
    if array.ndim != 1:
        raise DtmfError(f"samples of shape {array.shape}; give one channel at a time, shape (n,)")
    rate = checked_rate(rate)
    if rate != RATE:
        array = to_8k(cleaned(array), rate)
    receiver = Receiver(keys=keys, profile=profile)
    events = receiver.feed(array) + receiver.flush(0)
    return [event.tone for event in events if isinstance(event, KeyUp)]
