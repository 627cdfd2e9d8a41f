from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dtmf import KEYS_16, DtmfError, decode, generate, read_wav, write_wav


def digits_of(path: Path) -> list[str]:
    samples, rate = read_wav(path)
    return ["".join(tone.digit for tone in decode(column, rate)) for column in samples.T]


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sound = generate("42", rate=16000)
    write_wav(path, sound, 16000)
    samples, rate = read_wav(path)
    assert rate == 16000
    assert samples.dtype == np.float32
    assert samples.shape == (len(sound), 1)
    np.testing.assert_allclose(samples[:, 0], sound, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "coding", "rate"),
    [
        ("WAV", "PCM_U8", 8000),
        ("WAV", "PCM_16", 11025),
        ("WAV", "PCM_24", 48000),
        ("WAV", "PCM_32", 22050),
        ("WAV", "FLOAT", 44100),
        ("WAV", "DOUBLE", 8000),
        ("WAV", "ULAW", 8000),
        ("WAV", "ALAW", 8000),
        ("WAV", "GSM610", 8000),
        ("WAV", "IMA_ADPCM", 8000),
        ("WAVEX", "PCM_16", 8000),
        ("WAVEX", "ULAW", 16000),
        ("RF64", "PCM_16", 8000),
        ("FLAC", "PCM_16", 16000),
        ("AIFF", "PCM_16", 8000),
        ("AU", "ULAW", 8000),
        ("OGG", "VORBIS", 16000),
    ],
)
def test_formats(tmp_path: Path, kind: str, coding: str, rate: int) -> None:
    path = tmp_path / "a"
    sound = generate(KEYS_16, rate=rate, tone_ms=80, gap_ms=60, lead_ms=40, tail_ms=100)
    soundfile.write(path, sound, rate, subtype=coding, format=kind)
    assert digits_of(path) == [KEYS_16]


def test_channels_apart(tmp_path: Path) -> None:
    left, right = generate("123", lead_ms=50), generate("#0*", lead_ms=50)
    write_wav(tmp_path / "a.wav", np.stack([left, right], axis=1), 8000)
    assert digits_of(tmp_path / "a.wav") == ["123", "#0*"]


def wave(data: bytes, size: int | None = None, before: bytes = b"") -> bytes:
    """A WAV of 16 bits, mono, 8 kHz; ``size`` is what its header says of the data."""
    size = len(data) if size is None else size
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    body = b"WAVE" + before + form + b"data" + struct.pack("<I", size & 0xFFFFFFFF) + data
    return b"RIFF" + struct.pack("<I", min(len(body), size + 36) & 0xFFFFFFFF) + body


@pytest.mark.parametrize("kind", ["streamed", "truncated", "junk before"])
def test_untidy_headers(tmp_path: Path, kind: str) -> None:
    data = (generate("159#", tone_ms=60, tail_ms=60) * 32767).astype("<i2").tobytes()
    whole = {
        "streamed": wave(data, -1),
        "truncated": wave(data, 2 * len(data)),
        "junk before": wave(data, before=b"JUNK" + struct.pack("<I", 6) + b"abcdef"),
    }[kind]
    (tmp_path / "a.wav").write_bytes(whole)
    assert digits_of(tmp_path / "a.wav") == ["159#"]


def test_float_files_with_broken_samples(tmp_path: Path) -> None:
    sound = generate("77", tone_ms=60, gap_ms=80, lead_ms=30)
    sound[:20] = [np.nan, np.inf, -np.inf, 1e30] * 5
    soundfile.write(tmp_path / "a.wav", sound, 8000, subtype="FLOAT")
    assert digits_of(tmp_path / "a.wav") == ["77"]


def test_no_samples(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(0, np.float32), 8000)
    assert digits_of(tmp_path / "a.wav") == [""]


@pytest.mark.parametrize("content", [b"", b"RIFF", b"hello, this is no sound", wave(b"")[:30], bytes(5000)])
def test_no_sound_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DtmfError):
        read_wav(tmp_path / "a.wav")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DtmfError, match="No such file"):
        read_wav(tmp_path / "a.wav")
    with pytest.raises(DtmfError, match="directory"):
        read_wav(tmp_path)
    with pytest.raises(DtmfError, match="cannot be written"):
        write_wav(tmp_path / "no" / "a.wav", np.zeros(10, np.float32), 8000)


def test_garbage_at_every_place(tmp_path: Path) -> None:
    # A broken file is read or refused, never worse.
    rng = np.random.default_rng(3)
    good = wave((generate("1") * 32767).astype("<i2").tobytes())
    refused = 0
    for _ in range(60):
        broken = bytearray(good)
        for place in rng.integers(0, 60, 4):
            broken[place] = rng.integers(256)
        (tmp_path / "a.wav").write_bytes(broken[: rng.integers(20, len(broken))])
        try:
            digits_of(tmp_path / "a.wav")
        except DtmfError:
            refused += 1
    assert 0 < refused < 60


def test_what_is_written(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.array([0, 1, -1, 2, -np.inf, np.nan, 0.5]), 8000)
    written, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert written.tolist() == [0, 32767, -32767, 32767, -32767, 0, 16384]
    write_wav(tmp_path / "a.wav", np.array([-32768, 5], np.int16), 8000)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [-32768, 5]


@pytest.mark.parametrize("samples", [np.zeros((2, 2, 2), np.float32), np.zeros(3, np.int64), np.array(["a"])])
def test_what_cannot_be_written(tmp_path: Path, samples: np.ndarray) -> None:
    with pytest.raises(DtmfError):
        write_wav(tmp_path / "a.wav", samples, 8000)
