"""The talk-off runner, on seconds of sound that hold real keys and none."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

import dtmf


def keys(digits: str) -> np.ndarray:
    return (dtmf.generate(digits, lead_ms=500, tail_ms=300) * 32767).astype(np.int16)


def hum(seconds: float) -> np.ndarray:
    t = np.arange(int(8000 * seconds)) / 8000
    return (3000 * np.sin(2 * np.pi * 300 * t)).astype(np.int16)


@pytest.fixture
def told(talkoff: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sets are taken as they are; which were asked for."""
    asked: list[str] = []
    monkeypatch.setattr(talkoff, "prepare", lambda _store, name: asked.append(name))
    return asked


@pytest.fixture
def names(material: ModuleType) -> dict[str, list[str]]:
    """Names of pieces by the half that they fall into."""
    every = [f"pieces/{n}.wav" for n in range(50)]
    return {half: [name for name in every if material.half_of(name) == half] for half in material.HALVES}


def test_a_false_digit_is_named_with_its_file_and_time(
    talkoff: ModuleType, material: ModuleType, names: dict[str, list[str]], told: list[str], tmp_path: Path
) -> None:
    silent, speaking = names["judge"][:2]
    pieces = [material.Piece(silent, hum(2)), material.Piece(speaking, keys("5A"))]
    material.Store(tmp_path).write("words", pieces, "")
    command = ["--cache", str(tmp_path), "--set", "words", "--level", "recorded"]
    result = CliRunner().invoke(talkoff.main, command)
    assert result.exit_code == 1, result.output
    assert told == ["words"]
    told_of = rf"ours +5 at +0\.(499|50\d) s of {speaking}  \d+ ms, -(9\.9|10\.\d) dBm0, twist [+-]0\.\d dB"
    assert re.search(told_of, result.output), result.output
    assert "missed: recorded: 2 false digits; at most 1 is allowed" in result.output
    assert CliRunner().invoke(talkoff.main, [*command, "--keys", "12"]).exit_code == 0


def test_one_false_digit_is_borne_if_spandsp_has_it_too(
    talkoff: ModuleType,
) -> None:
    hit = talkoff.Hit("1", 0.0)
    heard = talkoff.Heard
    assert talkoff.misses({"a": heard(1.0, [hit], [hit]), "b": heard(1.0, [], [])}) == []
    assert talkoff.misses({"a": heard(1.0, [hit], None)}) == []
    assert talkoff.misses({"a": heard(1.0, [hit], []), "b": heard(1.0, [], [hit])}) == [
        "a: 1 false digits, spandsp has 0"
    ]
    assert talkoff.misses({"a": heard(1.0, [hit] * 2, [hit] * 3)}) == ["2 false digits; at most 1 is allowed"]


def test_the_tuning_half_is_listened_to_and_never_judged(
    talkoff: ModuleType, material: ModuleType, names: dict[str, list[str]], told: list[str], tmp_path: Path
) -> None:
    material.Store(tmp_path).write("songs", [material.Piece(names["tune"][0], keys("123"))], "")
    result = CliRunner().invoke(
        talkoff.main, ["--cache", str(tmp_path), "--set", "songs", "--half", "both", "--level", "recorded"]
    )
    assert result.exit_code == 0, result.output
    assert result.output.count("ours     ") == 3


def test_a_set_that_cannot_be_had_is_no_success(
    talkoff: ModuleType,
    material: ModuleType,
    names: dict[str, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def prepare(store: object, name: str) -> None:
        if name != "prompts":
            raise material.MaterialError("none of its packages can be had")

    monkeypatch.setattr(talkoff, "prepare", prepare)
    material.Store(tmp_path).write("prompts", [material.Piece(names["judge"][0], hum(1))], "")
    result = CliRunner().invoke(talkoff.main, ["--cache", str(tmp_path)])
    assert result.exit_code == 2, result.output
    assert "voices: cannot be judged: none of its packages can be had" in result.output


def test_the_mean_level_leaves_pauses_out(talkoff: ModuleType, material: ModuleType) -> None:
    def level(samples: np.ndarray) -> float:
        return 10 * np.log10(2 * ((samples / 32768) ** 2).mean()) + 3.14

    quiet, silent = hum(1) // 50, np.zeros(8000, np.int16)
    sound = np.concatenate([quiet, silent, silent, hum(1)])
    half = material.Half(sound, [0, 16000, 24000], [16000, 8000, 8000], ["a", "b", "c"])
    louder = talkoff.levelled(half, -15.0).sound
    assert level(louder[:8000]) == pytest.approx(-15, abs=0.1)
    assert not louder[8000:24000].any()
    assert level(louder[24000:]) == pytest.approx(-15, abs=0.1)
    assert half.sound is sound


def test_both_receivers_hear_the_same_sound(talkoff: ModuleType) -> None:
    sound = np.concatenate([keys("159D"), hum(1)])
    mine = talkoff.ours(sound, dtmf.KEYS_16)
    assert [hit.digit for hit in mine] == list("159D")
    theirs = talkoff.spandsps(sound, dtmf.KEYS_12)
    if theirs is None:
        pytest.skip("libspandsp2 is not installed")
    assert [hit.digit for hit in theirs] == list("159")
    assert [hit.second for hit in theirs] == pytest.approx([hit.second for hit in mine[:3]], abs=0.15)
