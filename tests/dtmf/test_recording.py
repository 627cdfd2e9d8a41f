from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dtmf import KEYS_16, DtmfError, decode_file, generate
from dtmf.recording import Recording

SOUND = generate("159#", tone_ms=80, gap_ms=60, lead_ms=40, tail_ms=100)
CODED = ["GSM610", "IMA_ADPCM", "MS_ADPCM", "G721_32", "NMS_ADPCM_16"]
PLAIN = ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"]


def made(coding: str, kind: str = "WAV", sound: np.ndarray = SOUND, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, subtype=coding, format=kind)
    return file.getvalue()


def digits_of(source: Path | io.IOBase) -> list[str]:
    return [heard.digits for heard in decode_file(source)]  # type: ignore[arg-type]


def samples_of(source: Path | io.IOBase) -> np.ndarray:
    with Recording(source) as recording:  # type: ignore[arg-type]
        return np.concatenate([np.zeros((0, recording.channels), np.int16), *recording.pieces()])


def piped(content: bytes) -> io.BufferedReader:
    """A pipe that holds all of the content, at most 64 kB, and ends with it."""
    out, into = os.pipe()
    assert os.write(into, content) == len(content)
    os.close(into)
    return open(out, "rb")


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000])
@pytest.mark.parametrize(
    "coding", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT", "ULAW", "ALAW", "GSM610", "IMA_ADPCM"]
)
def test_codings_and_rates(tmp_path: Path, coding: str, rate: int) -> None:
    sound = generate(KEYS_16, rate=rate, tone_ms=70, gap_ms=60, lead_ms=40, tail_ms=100)
    path = tmp_path / "a.wav"
    path.write_bytes(made(coding, sound=sound, rate=rate))
    [heard] = decode_file(path)
    assert heard.digits == KEYS_16
    for i, tone in enumerate(heard.tones):
        assert tone.start_s == pytest.approx(0.04 + 0.13 * i, abs=0.02 if coding == "GSM610" else 0.004)


@pytest.mark.parametrize(
    ("kind", "coding"),
    [
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_16"),
        ("AIFF", "ULAW"),
        ("AU", "ALAW"),
        ("W64", "PCM_16"),
        ("CAF", "PCM_16"),
        ("NIST", "PCM_16"),
        ("WAVEX", "DOUBLE"),
    ],
)
def test_other_files(tmp_path: Path, kind: str, coding: str) -> None:
    if not soundfile.check_format(kind, coding):
        pytest.skip("this libsndfile does not write it")
    rate = 16000 if kind in ("OGG", "MP3") else 8000
    sound = generate("159#", rate=rate, tone_ms=80, gap_ms=60, lead_ms=60, tail_ms=100)
    content = made(coding, kind, sound, rate)
    (tmp_path / "no-suffix").write_bytes(content)
    assert digits_of(tmp_path / "no-suffix") == ["159#"]
    with piped(content) as pipe:
        assert digits_of(pipe) == ["159#"]


@pytest.mark.parametrize(
    ("data", "whole"),
    [(0, 0), (0, 36), (0, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFF000, 0x7FFFF024), (1 << 20, None)],
)
@pytest.mark.parametrize("coding", [*PLAIN, *CODED])
def test_lengths_of_streams(tmp_path: Path, coding: str, data: int, whole: int | None) -> None:
    content = bytearray(made(coding))
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", data)
    if whole is not None:
        content[4:8] = struct.pack("<I", whole)
    fact = content.find(b"fact", 0, at)
    if fact > 0 and not data:
        content[fact + 8 : fact + 12] = bytes(4)
    (tmp_path / "a.wav").write_bytes(content)
    assert digits_of(tmp_path / "a.wav") == ["159#"]


@pytest.mark.parametrize("coding", [*PLAIN, *CODED])
def test_a_file_that_was_cut(tmp_path: Path, coding: str) -> None:
    content = made(coding)
    for cut in (1, 3, 331):
        (tmp_path / "a.wav").write_bytes(content[:-cut])
        assert digits_of(tmp_path / "a.wav")[0].startswith("159")


@pytest.mark.parametrize("coding", PLAIN)
def test_pipes(coding: str) -> None:
    content = made(coding)
    assert len(content) < 1 << 16
    with piped(content) as pipe:
        assert digits_of(pipe) == ["159#"]
        assert not pipe.closed


def test_a_pipe_of_what_needs_a_file() -> None:
    with piped(made("GSM610")) as pipe, pytest.raises(DtmfError, match="pipe; save it first"):
        Recording(pipe)


def test_a_stream_is_left_open() -> None:
    stream = io.BytesIO(made("PCM_16"))
    assert digits_of(stream) == ["159#"]
    assert not stream.closed


def test_what_is_read_is_what_libsndfile_reads(tmp_path: Path) -> None:
    sound = np.random.default_rng(2).uniform(-1, 1, (1000, 2))
    for coding in (*PLAIN, "IMA_ADPCM", "MS_ADPCM"):
        (tmp_path / "a.wav").write_bytes(made(coding, sound=sound))
        reference, _ = soundfile.read(tmp_path / "a.wav")
        samples = samples_of(tmp_path / "a.wav")
        full = 32768 if samples.dtype == np.int16 else 1
        np.testing.assert_allclose(samples / full, reference, rtol=0, atol=2**-24)


def test_pieces_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.random.default_rng(3).uniform(-1, 1, (5000, 3))
    for coding, kind in (("PCM_24", "WAV"), ("ULAW", "WAV"), ("PCM_16", "FLAC")):
        (tmp_path / "a").write_bytes(made(coding, kind, sound))
        whole = samples_of(tmp_path / "a")
        monkeypatch.setattr("dtmf.recording._PIECE", 1000)
        with Recording(tmp_path / "a") as recording:
            pieces = list(recording.pieces())
        assert len(pieces) == 16
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "web page"),
        (b"hello, this is no sound", "is text"),
        (b"RIFF", "ends before its samples"),
        (b"RIFF\x24\0\0\0AVI LIST", "another kind"),
        (bytes(5000), "libsndfile"),
        (b"fLaC" + bytes(500), "libsndfile"),
        (made("PCM_16")[:30], "ends before its samples"),
        (made("PCM_16", rate=2000), "2000 Hz"),
        (made("PCM_16", kind="FLAC", rate=2000), "2000 Hz"),
    ],
)
def test_no_sound(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    for source in (path, io.BytesIO(content), piped(content)):
        with pytest.raises(DtmfError, match=problem) as caught:
            digits_of(source)
        assert "\n" not in str(caught.value)
        if isinstance(source, io.BufferedReader):
            source.close()


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DtmfError, match="No such file"):
        Recording(tmp_path / "missing.wav")
    with pytest.raises(DtmfError, match="is a directory"):
        Recording(tmp_path)
    with pytest.raises(DtmfError, match="device"):
        Recording("/dev/zero")
    with pytest.raises(DtmfError, match="cannot be opened"):
        Recording("a\0b.wav")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DtmfError, match="symbolic links"):
        Recording(tmp_path / "loop")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_one_may_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(made("PCM_16"))
    path.chmod(0)
    with pytest.raises(DtmfError, match="Permission denied"):
        Recording(path)


def test_named_pipes(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(DtmfError, match="is empty"):  # nobody writes to it; nobody waits
        Recording(path)
    writer = os.open(path, os.O_RDWR)
    os.write(writer, made("ULAW"))
    with Recording(path) as recording:
        os.close(writer)
        assert recording.rate == 8000
        assert sum(map(len, recording.pieces())) == len(SOUND)


def test_too_many_channels(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.aiff", np.zeros((10, 65)), 8000)
    with pytest.raises(DtmfError, match="65 channels"):
        Recording(tmp_path / "a.aiff")


DAMAGED = [("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("W64", "PCM_16"), ("WAV", "GSM610"), ("WAV", "PCM_24")]


@pytest.mark.parametrize(("kind", "coding"), DAMAGED)
def test_damage(kind: str, coding: str) -> None:
    """A broken file is read or refused; nothing else, and nothing is printed."""
    rng = np.random.default_rng(5)
    content = made(coding, kind)
    for _ in range(40):
        broken = bytearray(content)
        for place in rng.integers(0, 100, 3):  # in its header, mostly
            broken[place] = rng.integers(256)
        try:
            heard = digits_of(io.BytesIO(broken[: rng.integers(40, len(broken))]))
        except DtmfError:
            continue
        assert len(heard) >= 1


_MEASURE = """
import resource, sys
import dtmf
def high(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dtmf.decode_file(sys.argv[1])
before = high()
heard = dtmf.decode_file(sys.argv[2])
print(len(heard), round(heard[0].duration_s), high() - before)
"""


@pytest.mark.parametrize(("rate", "channels", "width", "seconds"), [(8000, 1, 2, 3600), (48000, 2, 3, 300)])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kilobytes of memory, files with holes")
def test_memory_is_bounded(tmp_path: Path, rate: int, channels: int, width: int, seconds: int) -> None:
    for name, length in (("short.wav", 1), ("long.wav", seconds)):
        size = rate * channels * width * length
        form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * width, channels * width, 8 * width)
        head = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<I", 16) + form
        (tmp_path / name).write_bytes(head + b"data" + struct.pack("<I", size))
        os.truncate(tmp_path / name, 44 + size)  # silence, and no disk
    command = [sys.executable, "-c", _MEASURE, str(tmp_path / "short.wav"), str(tmp_path / "long.wav")]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    told = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60, check=True
    ).stdout
    heard, duration, kilobytes = map(int, told.split())
    assert (heard, duration) == (channels, seconds)
    assert kilobytes < 60_000
