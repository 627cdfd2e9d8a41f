from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import soundfile

from dtmf import DtmfError, generate
from dtmf.g711 import there_and_back
from dtmf.wave_format import CODINGS, Coding, wav_bytes

SOUND = generate("159D", tone_ms=50.125, level_dbm0=0)  # an odd number of samples

# What libsndfile calls each, and half a step of it.
CODED: dict[Any, tuple[str, float]] = {
    "pcm8": ("PCM_U8", 2**-8),
    "pcm16": ("PCM_16", 2**-16),
    "pcm24": ("PCM_24", 2**-24),
    "pcm32": ("PCM_32", 2**-32),
    "float": ("FLOAT", 0),
    "mulaw": ("ULAW", 0),
    "alaw": ("ALAW", 0),
}


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("samples", [SOUND, SOUND[:-1], SOUND[:0]], ids=["odd", "even", "none"])
def test_every_coding_reads_as_it_was(coding: Any, samples: np.ndarray) -> None:
    content = wav_bytes(samples, 11025, coding)
    info = soundfile.info(io.BytesIO(content))
    assert (info.samplerate, info.channels, info.format) == (11025, 1, "WAV")
    subtype, half = CODED[coding]
    assert info.subtype == subtype
    read, _ = soundfile.read(io.BytesIO(content), dtype="float64")
    if coding in ("mulaw", "alaw"):
        samples = there_and_back(samples, coding)
    assert read.shape == samples.shape
    # Of the two ends of the range, only the lower one is an integer of it.
    assert np.abs(read - np.clip(samples.astype(float), -1, 1 - 2 * half)).max(initial=0) <= half


def test_every_coding_is_tried() -> None:
    assert tuple(CODED) == CODINGS


def test_length_of_chunks() -> None:
    content = wav_bytes(np.zeros(5), 8000, "pcm8")
    assert content[:4] == b"RIFF"
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    assert content[-10:] == (5).to_bytes(4, "little") + b"\x80" * 5 + b"\0"


def test_what_went_through_a_law_is_kept() -> None:
    line = there_and_back(SOUND, "alaw")
    for coding in ("pcm16", "pcm24", "float", "alaw"):
        read, _ = soundfile.read(io.BytesIO(wav_bytes(line, 8000, coding)), dtype="float32")
        assert np.array_equal(read, line)


def test_long_sounds_are_coded_in_pieces() -> None:
    sound = np.resize(SOUND, 600_001)
    read, _ = soundfile.read(io.BytesIO(wav_bytes(sound, 8000, "pcm24")), dtype="float32")
    assert np.abs(read - sound).max() <= 2**-23


@pytest.mark.parametrize("coding", CODINGS)
def test_channels_and_integers(coding: Coding) -> None:
    """Integers are what floats of the same height are."""
    sixteen = np.random.default_rng(3).integers(-32768, 32768, (500, 3)).astype(np.int16)
    content = wav_bytes(sixteen, 8000, coding)
    assert content == wav_bytes(sixteen / 32768, 8000, coding)
    channels, _ = soundfile.read(io.BytesIO(content))
    for n in range(3):
        alone, _ = soundfile.read(io.BytesIO(wav_bytes(sixteen[:, n], 8000, coding)))
        np.testing.assert_array_equal(channels[:, n], alone)


def test_beyond_full_scale_clips() -> None:
    content = wav_bytes(np.array([1.0, -1.0, 7.0, -7.0]), 8000)
    assert np.frombuffer(content[44:], "<i2").tolist() == [32767, -32768, 32767, -32768]


@pytest.mark.parametrize(
    ("samples", "rate", "coding"),
    [
        (np.zeros((2, 2, 2)), 8000, "pcm16"),
        (np.zeros((2, 0)), 8000, "pcm16"),
        (np.zeros((1, 1 << 14)), 8000, "pcm32"),
        (np.zeros(2, np.int32), 8000, "pcm16"),
        (np.array([np.nan]), 8000, "float"),
        (np.zeros(2), 0, "pcm16"),
        (np.zeros(2), 1 << 31, "pcm16"),
        (np.zeros(2), 8000.5, "pcm16"),
        (np.zeros(2), 8000, "mp3"),
        (np.broadcast_to(np.float32(0), 1 << 31), 8000, "pcm16"),
    ],
    ids=[
        "cube",
        "no channel",
        "channels",
        "integers",
        "NaN",
        "no rate",
        "rate",
        "half a hertz",
        "coding",
        "4 GB",
    ],
)
def test_what_cannot_be(samples: np.ndarray, rate: Any, coding: Any) -> None:
    with pytest.raises(DtmfError):
        wav_bytes(samples, rate, coding)
