from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dtmf import decode, generate, read_wav, write_wav
from dtmf.cli import main
from dtmf.masking import masked

VISA = "4111111111111111"  # a documented test card


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def make(path: Path, *channels: str) -> Path:
    sounds = [generate(digits, tone_ms=50, gap_ms=50, lead_ms=50) for digits in channels]
    sound = np.zeros((max(map(len, sounds)), len(sounds)), np.float32)
    for column, one in enumerate(sounds):
        sound[: len(one), column] = one
    write_wav(path, sound, 8000)
    return path


def test_digits(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one.wav", "5512345#"), make(tmp_path / "two.wav", "12", "")
    result = run("decode", one, two)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{one}: 5512345#",
        f"{two} (channel 1): 12",
        f"{two} (channel 2): no keys",
    ]


def test_json(tmp_path: Path) -> None:
    path = make(tmp_path / "ñandú.wav", "4#", "9")
    result = run("decode", "--json", path)
    first, second = map(json.loads, result.stdout.splitlines())
    assert {**first, "events": None} == {
        "file": str(path),
        "channel": 1,
        "duration_s": 0.2,
        "digits": "4#",
        "events": None,
    }
    samples, rate = read_wav(path)
    assert first["events"] == [vars(tone) for tone in decode(samples[:, 0], rate)]
    assert list(first["events"][0]) == ["digit", "start_s", "end_s", "level_dbm0", "twist_db"]
    assert (second["channel"], second["digits"]) == (2, "9")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_files_that_cannot_be_read(tmp_path: Path, options: list[str]) -> None:
    good, bad, missing = make(tmp_path / "a.wav", "7"), tmp_path / "b.wav", tmp_path / "c.wav"
    bad.write_bytes(b"not a sound")
    result = run("decode", *options, bad, missing, good)
    assert result.exit_code == 2
    complaints = result.stderr.splitlines()
    assert len(complaints) == 2
    assert str(bad) in complaints[0]
    assert str(missing) in complaints[1]
    assert "No such file" in complaints[1]
    lines = result.stdout.splitlines()
    if options:
        answers = [json.loads(line) for line in lines]
        assert [set(answer) for answer in answers[:2]] == [{"file", "error"}] * 2
        assert answers[2]["digits"] == "7"
    else:
        assert lines == [f"{good}: 7"]


def test_a_rate_that_cannot_be(tmp_path: Path) -> None:
    write_wav(tmp_path / "slow.wav", np.zeros(100, np.float32), 2000)
    result = run("decode", tmp_path / "slow.wav")
    assert result.exit_code == 2
    assert "2000 Hz" in result.stderr


def test_no_files() -> None:
    assert run("decode").exit_code == 2


def test_masking(tmp_path: Path) -> None:
    path = make(tmp_path / "card.wav", f"123456#1{VISA}#1234")
    hidden = "•" * 16
    text = run("decode", "--mask", path)
    assert VISA[:13] not in text.stdout
    assert text.stdout.strip() == f"{path}: {masked(f'123456#1{VISA}#1234')}"
    [answer] = map(json.loads, run("decode", "--mask", "--json", path).stdout.splitlines())
    assert hidden in answer["digits"]
    assert "".join(event["digit"] for event in answer["events"]) == answer["digits"]
    assert VISA in run("decode", path).stdout


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", ""),
        ("123456#", "123456#"),
        (f"99#{VISA}#1230", f"99#{'•' * 16}#1230"),
        ("1" * 13, "1" * 13),
        ("411111*1111111111", "411111*1111111111"),
        ("378282246310005", "•" * 15),
        ("0" * 12, "0" * 12),
        ("0" * 40, "•" * 40),
        (f"A{VISA}B", f"A{'•' * 16}B"),
    ],
)
def test_what_is_masked(typed: str, shown: str) -> None:
    assert masked(typed) == shown


def test_a_card_among_other_digits_is_masked() -> None:
    shown = masked(f"0130{VISA}0130123")
    assert shown[4:20] == "•" * 16
    assert len(shown) == 27


def test_encode(tmp_path: Path) -> None:
    path = tmp_path / "keys.wav"
    result = run(
        "encode",
        "0*#d",
        "-o",
        path,
        "--rate",
        16000,
        "--tone-ms",
        60,
        "--gap-ms",
        45,
        "--level",
        -20,
        "--twist",
        2,
    )
    assert (result.exit_code, result.output) == (0, "")
    samples, rate = read_wav(path)
    assert rate == 16000
    assert len(samples) == 16 * (4 * 60 + 5 * 45)
    tones = decode(samples[:, 0], rate)
    assert "".join(tone.digit for tone in tones) == "0*#D"
    for tone in tones:
        assert tone.level_dbm0 == pytest.approx(-20, abs=0.5)
        assert tone.twist_db == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize(
    "args", [["12x"], ["1", "--rate", "5"], ["1", "--tone-ms", "nan"], ["1", "--tone-ms", "-4"]]
)
def test_what_cannot_be_encoded(tmp_path: Path, args: list[str]) -> None:
    result = run("encode", *args, "-o", tmp_path / "keys.wav")
    assert result.exit_code == 2
    assert result.stderr.startswith("dtmf: ")
    assert not (tmp_path / "keys.wav").exists()


def test_encode_where_one_cannot_write(tmp_path: Path) -> None:
    result = run("encode", "1", "-o", tmp_path / "no" / "keys.wav")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
