"""The benchmark's tapes hold what they say, its parsers read what peers print; nothing here is timed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import dtmf
from dtmf.bench import (
    TAPES,
    Floats,
    Tape,
    compare,
    heard_of,
    live_costs,
    live_ticks,
    read_voice,
    synthetic_voice,
    tape,
)
from dtmf.cli import main
from dtmf.spandsp import Spandsp

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"


@pytest.fixture(scope="module")
def voice() -> list[Floats]:
    return synthetic_voice(seconds=20)


@pytest.fixture(scope="module")
def spandsp() -> Callable[..., Spandsp]:
    try:
        Spandsp()
    except dtmf.DtmfError as error:
        pytest.skip(str(error))
    return Spandsp


def _peer(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"peer_{name}", PEERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _heard(recording: Tape) -> str:
    return "".join(tone.digit for tone in dtmf.decode(recording.samples, 8000))


@pytest.mark.parametrize(
    ("name", "seconds", "keys"), [("call", 200, 20), ("dense", 45, 50), ("speech", 30, 0)]
)
def test_a_tape_holds_its_digits_and_is_as_long_as_asked(
    voice: list[Floats], name: Any, seconds: int, keys: int
) -> None:
    recording = tape(name, voice, seconds=seconds)
    assert recording.samples.dtype == np.int16
    assert recording.seconds == seconds
    assert len(recording.digits) == keys
    assert heard_of(recording.digits, _heard(recording))[0] == keys


@pytest.mark.parametrize("name", TAPES)
def test_a_tape_hangs_on_its_seed_alone(voice: list[Floats], name: Any) -> None:
    first, again, other = (tape(name, voice, seconds=100, seed=seed) for seed in (1, 1, 2))
    assert first.digits == again.digits
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, other.samples)


def test_speech_is_most_of_a_call_and_never_silence(voice: list[Floats]) -> None:
    frames = tape("call", voice, seconds=100).samples.astype(float).reshape(-1, 800)
    level = 10 * np.log10(2 * np.mean((frames / 32768) ** 2, axis=1)) + 3.14
    assert (level > -40).mean() > 0.5
    assert (level > -70).all()


def test_the_start_of_a_tape_ends_between_two_rows_of_keys(voice: list[Floats]) -> None:
    part = tape("dense", voice, seconds=40).until(20)
    assert part.seconds == 18
    assert len(part.digits) == 20
    assert heard_of(part.digits, _heard(part))[0] == 20
    assert tape("speech", voice, seconds=40).until(20).seconds == 20
    assert tape("call", voice, seconds=40).until(100).seconds == 0


def test_a_tape_needs_a_voice() -> None:
    with pytest.raises(dtmf.DtmfError, match="no voice"):
        tape("call", [], seconds=10)


@pytest.mark.parametrize(
    ("expected", "heard", "found", "false"),
    [
        ("", "", 0, 0),
        ("12345", "12345", 5, 0),
        ("12345", "", 0, 0),
        ("", "77", 0, 2),
        ("12345", "1245", 4, 0),
        ("12345", "112345", 5, 1),
        ("12345", "12945", 4, 1),
    ],
)
def test_digits_found_and_false(expected: str, heard: str, found: int, false: int) -> None:
    assert heard_of(expected, heard) == (found, false)


def test_receivers_take_turns() -> None:
    turns: list[str] = []
    now = iter(range(100))

    def receiver(name: str) -> Callable[[], str]:
        return lambda: turns.append(name) or name

    costs = compare({"a": receiver("a"), "b": receiver("b")}, clock=lambda: float(next(now)), rounds=3)
    assert turns == ["a", "b"] * 3
    assert costs["b"].digits == "b"
    assert costs["a"].seconds == (1.0, 1.0, 1.0)
    assert costs["a"].best == costs["a"].median == 1.0


@pytest.mark.parametrize(("lines", "share"), [(1, 0.1), (7, 0.1), (7, 0.02)])
def test_live_lines_press_as_many_keys_as_was_asked(voice: list[Floats], lines: int, share: float) -> None:
    frames, pressed = live_ticks(lines, ticks=500, share=share, voice=voice)
    assert frames.shape == (500, lines, 160)
    assert frames.dtype == np.int16
    cost = live_costs(frames, clock=lambda: 0.0)
    assert len(cost.seconds) == 500
    assert sorted(cost.digits) == sorted("".join(pressed))
    assert sum(map(len, pressed)) == pytest.approx(share * lines * 500 * 0.02 / 0.1, rel=0.35)


def test_live_lines_may_be_without_keys(voice: list[Floats]) -> None:
    frames, pressed = live_ticks(3, ticks=50, share=0, voice=voice)
    assert pressed == [""] * 3
    assert live_costs(frames, clock=lambda: 0.0).digits == ""


def test_a_folder_is_a_voice(tmp_path: Path) -> None:
    with pytest.raises(dtmf.DtmfError, match="no speech in it"):
        read_voice(tmp_path)
    sound = np.random.default_rng(1).normal(0, 0.1, (16000, 2))
    (tmp_path / "deeper").mkdir()
    dtmf.write_wav(tmp_path / "deeper" / "a.wav", sound, 16000)
    dtmf.write_wav(tmp_path / "short.wav", sound[:100], 16000)
    [sentence] = read_voice(tmp_path)
    assert len(sentence) == pytest.approx(8000, abs=50)
    assert sentence.dtype == np.float32
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(dtmf.DtmfError, match=r"b\.wav"):
        read_voice(tmp_path)


@pytest.mark.parametrize("dial_tone", [False, True])
def test_spandsp_hears_the_same(spandsp: Any, voice: list[Floats], dial_tone: bool) -> None:
    recording = tape("dense", voice, seconds=90)
    found, false = heard_of(recording.digits, spandsp(dial_tone=dial_tone).feed(recording.samples))
    assert found >= 98
    assert false <= 1


def test_spandsp_does_not_guess_at_samples(spandsp: Any) -> None:
    for samples in (np.zeros(160, np.float32), np.zeros((2, 160), np.int16), np.zeros(320, np.int16)[::2]):
        with pytest.raises(dtmf.DtmfError, match="int16"):
            spandsp().feed(samples)


def test_the_command_prints_every_tape_and_number_of_lines(
    voice: list[Floats], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dtmf.cli import bench

    monkeypatch.setattr(bench, "synthetic_voice", lambda: voice)
    monkeypatch.setattr(bench, "_LINES", (1, 2))
    monkeypatch.setattr(bench, "_TICKS", 50)
    result = CliRunner().invoke(main, ["bench", "--seconds", "100", "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    ours = [r for r in said["recordings"] if r["receiver"] == "dtmf"]
    assert [(r["tape"], r["keys"], r["found"]) for r in ours] == [
        ("call", 10, 10),
        ("dense", 110, 110),
        ("speech", 0, 0),
    ]
    assert [r["lines"] for r in said["live"]] == [1, 2]
    text = CliRunner().invoke(main, ["bench", "--seconds", "100", "--rounds", "1"])
    assert text.exit_code == 0
    assert "110 of 110" in text.stdout


def test_the_command_says_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bench", "--speech", str(tmp_path)])
    assert result.exit_code == 2
    assert "no speech in it" in result.stderr


def test_multimons_lines_are_read() -> None:
    assert _peer("multimon").digits_of("DTMF: 1\nDTMF: #\nnoise\n\nDTMF: D\n") == "1#D"


def test_pypis_runner_starts_without_anything_of_ours(tmp_path: Path) -> None:
    dtmf.write_wav(tmp_path / "a.wav", dtmf.generate("12"), 8000)
    ran = subprocess.run(
        [sys.executable, "-I", PEERS / "pypi_runner.py", "no such package", tmp_path / "a.wav"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert "KeyError" in ran.stderr
