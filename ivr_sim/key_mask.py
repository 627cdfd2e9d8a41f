"""Key tones in a recording, made unreadable: a neutral tone in their place, the length stays.

Key tones can be read off a recording by ear, by a decoder or off a spectrogram, so none that is not known to
be harmless stays in what is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

import dtmf
from ivr_sim.errors import LocalProtocolError

__all__ = ["Span", "mask_keys"]

Span = tuple[float, float]  # start and end in seconds since the first sample
Samples = npt.NDArray[np.int16]

SAMPLE_RATE = 8000
FRAME_SAMPLES = 160
PAD = 0.030  # seconds before and after a key: what is known of its edges is not exact
# Secret keys less than this apart become one tone: pauses, and how long each key seems to last, would
# tell who listens closely something about the keys. It is the longest pause that a card's entry has.
JOINED = 6.0  # seconds
NEUTRAL_HZ = 400.0  # a second octave away from the lowest key tone, 697 Hz
NEUTRAL_DBM0 = -25.0
FULL_SCALE_DBM0 = 3.14
RAMP = 40  # samples: no click, whose spectrum would reach the key tones

# A tone that no receiver would take for a key may yet be legible to somebody who looks for it.
WINDOW, HOP = 160, 80
TONES_HZ = (697, 770, 852, 941, 1209, 1336, 1477, 1633)  # ITU-T Q.23
WEAKEST_DBM0 = -60.0
SHARE = 0.35  # of all power in a window, in one tone of each group
TWIST = 100.0  # 20 dB


def mask_keys(caller: Samples, secret: Iterable[Span], published: Iterable[Span] = ()) -> None:
    """Put a neutral tone where keys sound, in place.

    caller: int16, shape (n,), 8 kHz. secret: when secret keys were down; these are masked whatever sounds in
    them, and 30 ms more on either side, out to whole frames of 20 ms; those of one entry become a single
    tone, from the first to the last. published: when keys were down that may be heard. Everywhere else each
    key tone that can be found is masked too, however weak: a telephone may send tones beside the keys it
    reports. Raises LocalProtocolError for times that are no numbers.
    """
    intervals, audible = _checked(secret), _checked(published)
    hidden = np.zeros(len(caller), bool)
    for start, end in _found(caller):
        hidden[_samples(start, end, len(caller))] = True
    for start, end in audible:
        hidden[_samples(start - PAD, end + PAD, len(caller))] = False
    hidden = _widened(hidden)
    for start, end in _joined(intervals, audible):
        hidden[_samples(start - PAD, end + PAD, len(caller))] = True
    for first, last in _runs(_whole_frames(hidden)):
        caller[first:last] = _neutral(last - first)


def _checked(spans: Iterable[Span]) -> list[Span]:
    spans = [(float(start), max(float(start), float(end))) for start, end in spans]
    if not np.isfinite(spans).all():
        raise LocalProtocolError(f"no times of a recording: {spans}")
    return spans


def _joined(secret: list[Span], audible: list[Span]) -> list[Span]:
    """The secret spans, in order; those of one entry as one, but never across a key that may be heard."""
    joined: list[Span] = []
    for start, end in sorted(secret):
        if joined and start - joined[-1][1] <= JOINED and not _any_within(audible, joined[-1][1], start):
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _any_within(spans: list[Span], start: float, end: float) -> bool:
    return any(first < end and last > start for first, last in spans)


def _samples(start: float, end: float, length: int) -> slice:
    """The samples of a time span, as far as there are any."""
    first, last = (min(max(round(t * SAMPLE_RATE), 0), length) for t in (start, end))
    return slice(first, last)


def _found(caller: Samples) -> list[Span]:
    """Where key tones are: what the receiver takes for keys, and windows with much of two of the tones."""
    spans = [(tone.start_s, tone.end_s) for tone in dtmf.decode(caller, SAMPLE_RATE)]
    if len(caller) < WINDOW:
        return spans
    windows = np.lib.stride_tricks.sliding_window_view(caller, WINDOW)[::HOP]
    spread = np.hanning(WINDOW + 2)[1:-1]
    angle = 2j * np.pi * np.outer(np.arange(WINDOW), TONES_HZ) / SAMPLE_RATE
    bank = (np.exp(angle) * spread[:, None]).astype(np.complex64)
    weakest = (32768 * 10 ** ((WEAKEST_DBM0 - FULL_SCALE_DBM0) / 20)) ** 2 / 2
    for first in range(0, len(windows), 4096):  # as float32 all at once, ten minutes would be 77 MB
        part = windows[first : first + 4096].astype(np.float32)
        # Power of a sine at each tone's frequency, and of everything.
        power = 2 * np.abs(part @ bank) ** 2 / spread.sum() ** 2
        total = (part**2) @ (spread**2).astype(np.float32) / (spread**2).sum()
        low, high = power[:, :4].max(axis=1), power[:, 4:].max(axis=1)
        hit = (np.minimum(low, high) > weakest) & (low + high > SHARE * total)
        hit &= (low < TWIST * high) & (high < TWIST * low)
        for index in np.flatnonzero(hit) + first:
            spans.append((index * HOP / SAMPLE_RATE, (index * HOP + WINDOW) / SAMPLE_RATE))
    return spans


def _widened(hidden: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The same with 30 ms more on either side of each run."""
    wide = np.zeros_like(hidden)
    pad = round(PAD * SAMPLE_RATE)
    for first, last in _runs(hidden):
        wide[max(first - pad, 0) : last + pad] = True
    return wide


def _whole_frames(hidden: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The same, with every frame that is hidden in part hidden as a whole."""
    padded = np.concatenate([hidden, np.zeros(-len(hidden) % FRAME_SAMPLES, bool)])
    return np.repeat(padded.reshape(-1, FRAME_SAMPLES).any(axis=1), FRAME_SAMPLES)[: len(hidden)]


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and behind-the-last index of each run of true ones."""
    steps = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]


def _neutral(length: int) -> Samples:
    tone = np.sin(2 * np.pi * NEUTRAL_HZ / SAMPLE_RATE * np.arange(length))
    ramp = min(RAMP, length // 2)
    rise = np.sin(np.pi / 2 * (np.arange(ramp) + 0.5) / max(ramp, 1)) ** 2
    tone[:ramp] *= rise
    tone[length - ramp :] *= rise[::-1]
    amplitude = 32768 * 10 ** ((NEUTRAL_DBM0 - FULL_SCALE_DBM0) / 20)
    return np.asarray(np.round(amplitude * tone), np.int16)
