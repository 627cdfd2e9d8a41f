"""Recordings of a person that stand in for the voice: a folder of WAV files, by the phrase's name."""

from __future__ import annotations

from difflib import get_close_matches
from math import gcd
from pathlib import Path

import numpy as np

from ivr_sim.errors import ConfigurationError
from ivr_sim.media.g711 import SAMPLE_RATE, Samples
from ivr_sim.prompts.catalogue import Catalogue

__all__ = ["read_recordings"]

LONGEST = 120  # seconds


def read_recordings(folder: Path, catalogue: Catalogue) -> dict[str, Samples]:
    """Read every ``NAME.wav`` and ``NAME.value.wav`` of a folder: stem -> int16, 8 kHz, mono.

    Any format, rate and number of channels that libsndfile reads will do; levels are kept as recorded.
    Raises ConfigurationError for a folder that is not there, a file that names no phrase or one that says
    an amount or a number, and a file that is no sound, is empty, or lasts over two minutes.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"the folder of recorded prompts is not there: {folder}")
    stems = catalogue.recordable()
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".wav":
            continue
        if path.stem not in stems:
            near = next(iter(get_close_matches(path.stem, stems, n=1)), None)
            raise ConfigurationError(
                f"{path}: no phrase of that name can be recorded"
                + (f"; did you mean {near}.wav?" if near else "")
            )
        found[path.stem] = _read(path)
    return found


def _read(path: Path) -> Samples:
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            wave = file.read(LONGEST * rate + 1, dtype="float64", always_2d=True).mean(axis=1)
    except (soundfile.SoundFileError, OSError) as error:
        raise ConfigurationError(f"{path}: not a sound that can be read ({error})") from error
    if not len(wave):
        raise ConfigurationError(f"{path}: the recording is empty")
    if len(wave) > LONGEST * rate:
        raise ConfigurationError(f"{path}: a prompt lasts {LONGEST} s at the most")
    if rate != SAMPLE_RATE:
        from scipy.signal import resample_poly  # a second to import, and rarely needed

        common = gcd(rate, SAMPLE_RATE)
        up, down = SAMPLE_RATE // common, rate // common
        wave = resample_poly(wave, up, down, window=("kaiser", 10.0))
    sound = np.clip(np.rint(np.nan_to_num(wave) * 32767), -32768, 32767).astype(np.int16)
    sound.setflags(write=False)
    return sound
