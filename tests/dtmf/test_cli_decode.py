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


def run(*args: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["decode", *map(str, args)], input=stdin)


def make(path: Path, *channels: str, tone_ms: float = 50) -> Path:
    sounds = [generate(digits, tone_ms=tone_ms, gap_ms=50, lead_ms=50, tail_ms=60) for digits in channels]
    sound = np.zeros((max(map(len, sounds)), len(sounds)), np.float32)
    for column, one in enumerate(sounds):
        sound[: len(one), column] = one
    path.parent.mkdir(exist_ok=True)
    write_wav(path, sound, 8000)
    return path


def test_digits(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one.wav", "5512345#"), make(tmp_path / "two.wav", "12", "")
    result = run(one, two)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{one}: 5512345#",
        f"{two} (channel 1): 12",
        f"{two} (channel 2): no keys",
    ]
    assert run("--channel", 2, two).stdout == f"{two}: no keys\n"


def test_json(tmp_path: Path) -> None:
    path = make(tmp_path / "ñandú.wav", "4#", "9")
    first, second = map(json.loads, run("--json", path).stdout.splitlines())
    assert {**first, "events": None} == {
        "file": str(path),
        "channel": 1,
        "duration_s": 0.26,
        "digits": "4#",
        "events": None,
    }
    samples, rate = read_wav(path)
    fields = ["digit", "start_s", "end_s", "level_dbm0", "twist_db"]
    tones = decode(samples[:, 0], rate)
    assert first["events"] == [{field: getattr(tone, field) for field in fields} for tone in tones]
    assert list(first["events"][0]) == fields
    assert (second["channel"], second["digits"]) == (2, "9")


@pytest.mark.parametrize("options", [[], ["--json"], ["--labels", "--out", "labels"]], ids=" ".join)
def test_files_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad, missing = make(tmp_path / "a.wav", "7"), tmp_path / "b.wav", tmp_path / "c.wav"
    bad.write_bytes(b"not a sound")
    result = run(*options, bad, missing, good, "--expect", "1")
    assert result.exit_code == 2  # worse than other digits
    complaints = result.stderr.splitlines()
    assert complaints == [
        f"dtmf: {bad}: is text, no sound",
        f"dtmf: {missing}: No such file or directory",
        f"dtmf: {good}: expected 1, heard 7: [-1-]{{+7+}}",
    ]
    lines = result.stdout.splitlines()
    if "--json" in options:
        answers = [json.loads(line) for line in lines]
        assert answers[:2] == [
            {"file": str(bad), "error": "is text, no sound"},
            {"file": str(missing), "error": "No such file or directory"},
        ]
        assert answers[2]["digits"] == "7"
    else:
        assert lines == [f"{good}: 7"]
    if "labels" in options:
        assert [path.name for path in Path("labels").iterdir()] == ["a.txt"]


def test_a_rate_that_cannot_be(tmp_path: Path) -> None:
    write_wav(tmp_path / "slow.wav", np.zeros(100, np.float32), 2000)
    result = run(tmp_path / "slow.wav")
    assert result.exit_code == 2
    assert "2000 Hz" in result.stderr


def test_folders(tmp_path: Path) -> None:
    make(tmp_path / "b.wav", "2")
    make(tmp_path / "a" / "c.WAV", "3")
    make(tmp_path / ".hidden" / "d.wav", "4")
    make(tmp_path / "._b.wav", "5")
    (tmp_path / "notes.txt").write_text("12")
    result = run(tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [f"{tmp_path}/b.wav: 2", f"{tmp_path}/a/c.WAV: 3"]
    empty = tmp_path / "a" / "empty"
    empty.mkdir()
    result = run(empty, tmp_path / "a")
    assert (result.exit_code, result.stderr) == (2, f"dtmf: {empty}: is a folder without sound files\n")
    assert result.stdout == f"{tmp_path}/a/c.WAV: 3\n"


def test_standard_input(tmp_path: Path) -> None:
    sound = make(tmp_path / "a.wav", "12").read_bytes()
    assert run("-", stdin=sound).stdout == "-: 12\n"
    assert json.loads(run("-", "--json", stdin=sound).stdout)["file"] == "-"
    nothing = run("-", stdin=b"")
    assert (nothing.exit_code, nothing.stderr) == (2, "dtmf: -: is empty\n")


def test_masking(tmp_path: Path) -> None:
    typed = f"123456#1{VISA}#1234"
    path = make(tmp_path / "card.wav", typed)
    shown = masked(typed)
    assert run("--mask", path).stdout == f"{path}: {shown}\n"
    [answer] = map(json.loads, run("--mask", "--json", path).stdout.splitlines())
    assert answer["digits"] == "".join(event["digit"] for event in answer["events"]) == shown
    labels = run("--mask", "--labels", path).stdout.splitlines()
    assert "".join(line.split("\t")[2] for line in labels) == shown
    wrong = run("--mask", "--expect", f"123456#1{VISA}#12345", path)
    assert wrong.exit_code == 1
    assert VISA[:6] not in wrong.output
    assert VISA in run(path).stdout
    missing = run("--mask", "--json", f"{VISA}.wav")
    assert VISA not in missing.output
    assert "••••.wav" in missing.stderr


def test_expectations(tmp_path: Path) -> None:
    path, both = make(tmp_path / "a.wav", "12#a"), make(tmp_path / "b.wav", "1234", "12")
    assert run("--expect", "12#a", path).exit_code == 0
    wrong = run("--expect", "14#", path)
    assert (wrong.exit_code, wrong.stdout) == (1, f"{path}: 12#A\n")
    assert wrong.stderr == f"dtmf: {path}: expected 14#, heard 12#A: 1[-4-]{{+2+}}#{{+A+}}\n"
    assert run("--expect", "1234", both).exit_code == 0  # the second hears the first
    assert run("--expect", "12", "--channel", 2, both).exit_code == 0
    assert run("--expect", "", path).exit_code == 1
    nonsense = run("--expect", "12x", path)
    assert nonsense.exit_code == 2
    assert "'x' is no key" in nonsense.stderr


def test_labels(tmp_path: Path) -> None:
    path, other = make(tmp_path / "a.wav", "12"), make(tmp_path / "b" / "a.wav", "3")
    track = run("--labels", path).stdout
    rows = [line.split("\t") for line in track.splitlines()]
    assert [row[2] for row in rows] == ["1", "2"]
    assert [float(row[0]) for row in rows] == pytest.approx([0.05, 0.15], abs=0.002)
    assert [float(row[1]) for row in rows] == pytest.approx([0.1, 0.2], abs=0.002)
    out = tmp_path / "deep" / "labels"
    result = run("--labels", "--out", out, path)
    assert (result.exit_code, result.stdout) == (0, f"{path}: 12\n")
    assert (out / "a.txt").read_text() == track
    both = run("--labels", "--out", out, path, other)
    assert both.exit_code == 2
    assert both.stderr == f"dtmf: {other}: its labels would be {out / 'a.txt'}, as another file's are\n"
    assert (out / "a.txt").read_text() == track
    blocked = run("--labels", "--out", path / "x", other)
    assert blocked.exit_code == 2
    assert "cannot be written" in blocked.stderr


def test_near_misses(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", "5", tone_ms=22)
    assert run(path).stdout == f"{path}: no keys\n"
    text = run("--refusals", path).stdout.splitlines()
    assert len(text) == 2
    assert "refused: too short" in text[1]
    [answer] = map(json.loads, run("--refusals", "--json", path).stdout.splitlines())
    assert [miss["reason"] for miss in answer["refused"]] == ["too_short"]
    assert run("--refusals", "--labels", path).stdout.endswith("\t(too short)\n")


def test_twelve_keys(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", "1A2")
    assert run("--keys", "16", path).stdout == f"{path}: 1A2\n"
    assert run("--keys", "12", path).stdout == f"{path}: 12\n"


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["a.wav", "--json", "--labels"],
        ["a.wav", "--out", "x"],
        ["a.wav", "b.wav", "--labels"],
        ["a.wav", "--keys", "10"],
        ["a.wav", "--profile", "bell"],
        ["a.wav", "--channel", "0"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_asked_for(options: list[str]) -> None:
    result = run(*options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage:" in result.stderr


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", "1")
    result = run("--channel", 2, path)
    assert (result.exit_code, result.stderr) == (2, f"dtmf: {path}: has no channel 2; it has 1\n")
