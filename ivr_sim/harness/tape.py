"""Recordings of callers: read, and given another payment key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

import dtmf
from dtmf.resample import to_8k
from ivr_sim.errors import ConfigurationError
from ivr_sim.legs import CallerTape
from ivr_sim.legs.playback import Up
from ivr_sim.media import SAMPLE_RATE, Samples

__all__ = ["read_caller", "with_key"]

MARGIN = SAMPLE_RATE // 200  # samples: edges are measured to some 3 ms


def read_caller(path: Path) -> Samples:
    """The caller's side of a recording as int16, shape (n,), 8 kHz: the first channel.

    Raises ConfigurationError.
    """
    try:
        samples, rate = dtmf.read_wav(path)
    except (OSError, dtmf.DtmfError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return _int16(to_8k(samples[:, 0], rate))


def with_key(tape: CallerTape, old: str, new: str) -> CallerTape:
    """The same recording with another payment key keyed in it, at the same times and levels.

    Only the tones of entries that are the old key are made anew, and of these only the digits that differ.
    Raises ConfigurationError: the keys differ in length, or the old one is not keyed in the recording.
    """
    if len(new) != len(old) or not new.isdigit() or not new.isascii():
        raise ConfigurationError(
            f"a key to take the place of {old} has {len(old)} digits like it, since each is keyed when its "
            f"forerunner was: {new} has {len(new)}"
        )
    tones = [told.event for told in tape.told if isinstance(told.event, Up)]
    keyed = "".join(tone.digit for tone in tones)
    entries = _entries(keyed, old)
    if not entries:
        raise ConfigurationError(f"the payment key {old} is not keyed in this recording")
    samples = tape.samples.copy()
    for entry in entries:
        for tone, digit in zip(tones[entry : entry + len(old)], new, strict=True):
            if digit != tone.digit:
                _lay(samples, tone, digit)
    return CallerTape(samples)


def _entries(keyed: str, old: str) -> list[int]:
    """Where the key begins in all that is keyed: as an entry that ``#`` ends, otherwise the first time."""
    found, at = [], 0
    for entry in keyed.split("#"):
        if entry.endswith(old) and entry.removesuffix(old)[-1:] in ("", "*"):
            found.append(at + len(entry) - len(old))
        at += len(entry) + 1
    first = keyed.find(old)
    return found or ([first] if first >= 0 else [])


def _lay(samples: Samples, tone: Up, digit: str) -> None:
    """Put a key in the place of another."""
    begin, end = round(tone.start_s * SAMPLE_RATE), round(tone.end_s * SAMPLE_RATE)
    sound = dtmf.generate(
        digit,
        tone_ms=(end - begin) * 1000 / SAMPLE_RATE,
        gap_ms=0,
        lead_ms=0,
        tail_ms=0,
        level_dbm0=tone.level_dbm0,
        twist_db=tone.twist_db,
    )
    samples[max(begin - MARGIN, 0) : end + MARGIN] = 0
    part = samples[begin : begin + len(sound)]
    part[:] = _int16(sound[: len(part)])


def _int16(sound: npt.NDArray[np.float32]) -> Samples:
    return np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16)
