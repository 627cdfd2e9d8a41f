from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dtmf import DtmfError, decode, generate, read_wav, write_wav


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


def test_channels_apart(tmp_path: Path) -> None:
    left, right = generate("123", lead_ms=50), generate("#0*", lead_ms=50)
    write_wav(tmp_path / "a.wav", np.stack([left, right], axis=1), 8000)
    assert digits_of(tmp_path / "a.wav") == ["123", "#0*"]


@pytest.mark.parametrize(("kind", "coding"), [("WAV", "GSM610"), ("FLAC", "PCM_24"), ("WAV", "FLOAT")])
def test_other_formats(tmp_path: Path, kind: str, coding: str) -> None:
    sound = generate("59", tone_ms=80, lead_ms=40, tail_ms=100)
    soundfile.write(tmp_path / "a", sound, 8000, subtype=coding, format=kind)
    samples, _ = read_wav(tmp_path / "a")
    assert samples.dtype == np.float32
    assert digits_of(tmp_path / "a") == ["59"]


def test_float_files_with_broken_samples(tmp_path: Path) -> None:
    sound = generate("77", tone_ms=60, gap_ms=80, lead_ms=30)
    sound[:20] = [np.nan, np.inf, -np.inf, 1e30] * 5
    soundfile.write(tmp_path / "a.wav", sound, 8000, subtype="FLOAT")
    assert read_wav(tmp_path / "a.wav")[0][:4, 0].tolist() == [0, 1, -1, 1]
    assert digits_of(tmp_path / "a.wav") == ["77"]


def test_no_samples(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.zeros(0, np.float32), 8000)
    assert read_wav(tmp_path / "a.wav")[0].shape == (0, 1)
    assert digits_of(tmp_path / "a.wav") == [""]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DtmfError, match="No such file"):
        read_wav(tmp_path / "a.wav")
    with pytest.raises(DtmfError, match="directory"):
        read_wav(tmp_path)


def test_what_is_written(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", np.array([0, 1, -1, 2, -np.inf, np.nan, 0.5]), 8000)
    written, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert written.tolist() == [0, 32767, -32768, 32767, -32768, 0, 16384]
    write_wav(tmp_path / "a.wav", np.array([-32768, 5], np.int16), 8000)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [-32768, 5]


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_file_is_written_as_libsndfile_writes_it(tmp_path: Path, channels: int) -> None:
    sound = np.random.default_rng(1).integers(-32768, 32767, (channels, 77)).astype(np.int16).T
    write_wav(tmp_path / "a.wav", sound, 44100)
    soundfile.write(tmp_path / "b.wav", sound, 44100, subtype="PCM_16", format="WAV")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros((2, 2, 2), np.float32), 8000),
        (np.zeros((2, 0), np.float32), 8000),
        (np.zeros((1, 40_000), np.float32), 8000),
        (np.zeros(3, np.int64), 8000),
        (np.array(["a"]), 8000),
        (np.zeros(3), -1),
        (np.zeros(3), 1 << 31),
        (np.zeros(3), 8000.5),
        (np.zeros(3), "8000"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, samples: np.ndarray, rate: int) -> None:
    with pytest.raises(DtmfError):
        write_wav(tmp_path / "a.wav", samples, rate)
    assert not (tmp_path / "a.wav").exists()


def test_where_one_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(DtmfError, match="cannot be written"):
        write_wav(tmp_path / "no" / "a.wav", np.zeros(10, np.float32), 8000)
