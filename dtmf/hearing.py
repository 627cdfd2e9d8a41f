"""Sound files as key presses, in bounded memory: what is in a file, channel by channel."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np

from dtmf.errors import DtmfError
from dtmf.keypad import KEYS_16
from dtmf.keypress import KeyDown, KeyUp, Tone
from dtmf.receiver import Receiver
from dtmf.recording import Recording
from dtmf.refusal import Refused
from dtmf.resample import Resampler
from dtmf.riff import Samples
from dtmf.standards import DEFAULT, Profile

__all__ = ["Heard", "decode_file", "together"]


@dataclass(frozen=True)
class Heard:
    """The keys heard on one channel of a sound file; channels count from 1.

    refused: the near misses, if they were asked for; their ``line`` is the channel's place among those
    decoded.
    """

    channel: int
    duration_s: float
    tones: list[Tone]
    refused: list[Refused]

    @property
    def digits(self) -> str:
        return "".join(tone.digit for tone in self.tones)


def decode_file(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    keys: str = KEYS_16,
    profile: Profile = DEFAULT,
    channel: int | None = None,
    refusals: bool = False,
) -> list[Heard]:
    """The keys pressed in a sound file: one Heard per channel, or for ``channel`` (from 1) alone.

    source: a path or a binary stream, as for :class:`dtmf.recording.Recording`. Of a file of any length a
    few megabytes are held at a time; the tones are those that ``decode`` finds in the whole. Raises
    DtmfError for what cannot be read, and for a channel that is not there; the message goes on where the
    file's name ends.
    """
    with Recording(source) as recording:
        if channel is not None and not 1 <= channel <= recording.channels:
            raise DtmfError(f"has no channel {channel}; it has {recording.channels}")
        chosen = range(recording.channels) if channel is None else range(channel - 1, channel)
        receiver = Receiver(len(chosen), keys=keys, refusals=refusals, profile=profile)
        resamplers = [Resampler(recording.rate) for _ in chosen]
        events: list[KeyDown | KeyUp] = []
        frames = 0
        for piece in recording.pieces():
            frames += len(piece)
            events += receiver.feed(
                _lines([r.feed(piece[:, c]) for r, c in zip(resamplers, chosen, strict=True)])
            )
        events += receiver.feed(_lines([resampler.flush() for resampler in resamplers]))
        for line in range(len(chosen)):
            events += receiver.flush(line)
        refused = receiver.refused()
    ups = [event for event in events if isinstance(event, KeyUp)]
    return [
        Heard(
            number + 1,
            frames / recording.rate,
            [up.tone for up in ups if up.line == line],
            [miss for miss in refused if miss.line == line],
        )
        for line, number in enumerate(chosen)
    ]


def together(heard: list[Heard]) -> list[Tone]:
    """The keys of all channels in the order of time; the same key on two of them at once is one."""
    if len(heard) == 1:
        return heard[0].tones
    tones: list[Tone] = []
    until: dict[str, float] = {}  # by key: how long it sounds
    for tone in sorted((tone for one in heard for tone in one.tones), key=lambda tone: tone.start_s):
        if tone.start_s >= until.get(tone.digit, 0.0):
            tones.append(tone)
        until[tone.digit] = max(tone.end_s, until.get(tone.digit, 0.0))
    return tones


def _lines(channels: list[Samples]) -> Samples:
    """Sounds (n,) of the same length as (lines, n); a single one is not copied."""
    lines: Samples = channels[0][None, :] if len(channels) == 1 else cast(Samples, np.stack(channels))
    return lines
