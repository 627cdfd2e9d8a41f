"""``dtmf encode``: each option is an argument of `generate` or `impair`, and says so when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from dtmf import decode, generate
from dtmf.cli import main
from dtmf.impairment import impair

SPEECH = np.random.default_rng(1).normal(0, 0.05, 2000).astype(np.float32)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["encode", *map(str, args)])


def encoded(path: Path, *args: str) -> np.ndarray:
    result = run(*args, "--coding", "float", "-o", path)
    assert (result.exit_code, result.output) == (0, "")
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == (int(args[args.index("--rate") + 1]) if "--rate" in args else 8000)
    return samples


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("", {}),
        ("--rate 44100", {"rate": 44100}),
        ("--tone-ms 60 --gap-ms 45", {"tone_ms": 60, "gap_ms": 45, "lead_ms": 45, "tail_ms": 45}),
        ("--tone-ms 50,60,70", {"tone_ms": [50, 60, 70]}),
        ("--gap-ms 50,60,70", {"gap_ms": [50, 60, 70], "lead_ms": 50, "tail_ms": 70}),
        ("--lead-ms 0 --tail-ms 7", {"lead_ms": 0, "tail_ms": 7}),
        ("--level -25", {"level_dbm0": -25}),
        ("--level -3,-9,-20 --twist -8,0,4", {"level_dbm0": [-3, -9, -20], "twist_db": [-8, 0, 4]}),
        ("--offset 1.5%", {"offset": 0.015}),
        ("--offset 0.015/-1% --offset-hz 2/-2", {"offset": (0.015, -0.01), "offset_hz": (2, -2)}),
        ("--offset 0.01,-0.01/0.02,0", {"offset": [(0.01, 0.01), (-0.01, 0.02), (0, 0)]}),
        ("--phase 1/2", {"phase": (1, 2)}),
        ("--ramp-ms 3", {"ramp_ms": 3}),
        ("--hole 30,10", {"hole": (30, 10)}),
    ],
)
def test_presses(tmp_path: Path, options: str, arguments: dict[str, Any]) -> None:
    expected = generate("1D#", **({"lead_ms": 100, "tail_ms": 100} | arguments))
    assert np.array_equal(encoded(tmp_path / "a.wav", "1d#", *options.split()), expected)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("--snr 15", {"snr_db": 15}),
        ("--snr 15 --seed 7", {"snr_db": 15, "seed": 7}),
        ("--noise -40", {"noise_dbm0": -40}),
        ("--impulses 20,-6", {"impulses": (20, -6)}),
        ("--hum 50,-20", {"hum": (50, -20)}),
        ("--hum 60,-9,2 --hum 180,-22", {"hum": [(60, -9, 2), (180, -22)]}),
        ("--dial-tone 425,-10", {"dial_tone": (425, -10)}),
        ("--dial-tone 350+440,-13", {"dial_tone": ((350, 440), -13)}),
        ("--echo 20,-10 --echo 120,-24", {"echo": [(20, -10), (120, -24)]}),
        ("--dc 0.1 --clip -3", {"dc": 0.1, "clip": -3}),
        ("--law alaw", {"law": "alaw"}),
        ("--lost 0.2 --seed 2", {"lost": 0.2, "seed": 2}),
        ("--lost 20% --seed 2", {"lost": 0.2, "seed": 2}),
        ("--lost .x..", {"lost": [False, True, False, False]}),
    ],
)
def test_line(tmp_path: Path, options: str, arguments: dict[str, Any]) -> None:
    expected = impair(generate("1D#", lead_ms=100, tail_ms=100), **arguments)
    assert np.array_equal(encoded(tmp_path / "a.wav", "1D#", *options.split()), expected)


def test_speech_beneath(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a,b.wav", np.stack([SPEECH, 0 * SPEECH], axis=1), 8000, subtype="FLOAT")
    expected = impair(generate("1", lead_ms=100, tail_ms=100), under=(SPEECH / 2, -20))
    heard = encoded(tmp_path / "c.wav", "1", "--under", f"{tmp_path / 'a,b.wav'},-20")
    assert np.abs(heard - expected).max() < 1e-6


def test_speech_of_another_rate(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(16000) / 16000)
    soundfile.write(tmp_path / "a.wav", tone, 16000)
    under = f"{tmp_path / 'a.wav'},-20"
    heard = encoded(tmp_path / "c.wav", "", "--lead-ms", "1000", "--tail-ms", "0", "--under", under)
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() == 500
    # To another rate than 8 kHz nothing is converted.
    result = run("1", "--rate", "44100", "--under", under, "-o", tmp_path / "d.wav")
    assert result.exit_code == 2
    assert "is at 16000 Hz; give one at 44100 Hz" in result.stderr


@pytest.mark.parametrize(
    ("coding", "subtype"),
    [("pcm8", "PCM_U8"), ("pcm24", "PCM_24"), ("float", "FLOAT"), ("mulaw", "ULAW"), ("alaw", "ALAW")],
)
def test_codings(tmp_path: Path, coding: str, subtype: str) -> None:
    path = tmp_path / "a.wav"
    assert run("0*#d", "--coding", coding, "-o", path).exit_code == 0
    assert soundfile.info(path).subtype == subtype
    samples, rate = soundfile.read(path, dtype="float32")
    assert "".join(tone.digit for tone in decode(samples, rate)) == "0*#D"


def test_standard_output(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert run("12", "--snr", "20", "-o", path).exit_code == 0
    assert run("12", "--snr", "20", "-o", "-").stdout_bytes == path.read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--tone-ms long", "'long' is no number"),
        ("--tone-ms 50,60", "tone_ms of shape (2,)"),
        ("--offset 1/2/3", "'1/2/3' is neither one number nor LOW/HIGH"),
        ("--offset 300%", "between 0 and 4000 Hz"),
        ("--hole 30", "'30' is not AFTER_MS,MS"),
        ("--hum 50", "'50' is not HZ,DBM0[,N]"),
        ("--hum 50,-20,1,1", "is not HZ,DBM0[,N]"),
        ("--echo 20,10", "louder than the sound"),
        ("--dial-tone 350+440", "is not HZ+HZ,DBM0"),
        ("--dial-tone 350+,-10", "'' is no number"),
        ("--under speech.wav", "is not FILE,DBM0"),
        ("--under missing.wav,-20", "missing.wav: No such file"),
        ("--snr 15 --noise -30", "give one of them"),
        ("--snr nan", "snr_db of nan"),
        ("--lost x.y", "'x.y' is no number"),
        ("--lost 2", "lost of 2"),
        ("--law ulaw", "'mulaw'"),
        ("--coding mp3", "'pcm16'"),
        ("--seed -1", "seed of -1"),
        ("--rate 100", "100 Hz"),
    ],
)
def test_what_cannot_be(tmp_path: Path, options: str, said: str) -> None:
    result = run("123", *options.split(), "-o", tmp_path / "a.wav")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert not (tmp_path / "a.wav").exists()


def test_where_one_cannot_write(tmp_path: Path) -> None:
    result = run("1", "-o", tmp_path / "no" / "a.wav")
    assert result.exit_code == 2
    assert "cannot be written (No such file or directory)" in result.stderr
