from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from dtmf import DtmfError, generate, write_wav
from dtmf.check import Check, Judged, judge
from dtmf.check_report import as_json, as_junit, confusion_table, lines_of, summary
from dtmf.cli import main
from dtmf.hearing import Heard
from dtmf.keypress import Tone
from dtmf.labels import Planned, plan

VISA = "4111111111111111"  # a documented test card
AMEX = "378282246310005"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, args)])


def make(path: Path, *channels: str, lead_ms: float = 50) -> Path:
    sounds = [generate(digits, tone_ms=50, gap_ms=50, lead_ms=lead_ms, tail_ms=50) for digits in channels]
    sound = np.zeros((max(map(len, sounds)), len(sounds)), np.float32)
    for column, one in enumerate(sounds):
        sound[: len(one), column] = one
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, sound, 8000)
    return path


def heard(digits: str) -> list[Heard]:
    tones = [Tone(digit, n, n + 0.1, -10.0, 0.0) for n, digit in enumerate(digits)]
    return [Heard(1, float(len(digits)), tones, [])]


def checked(*pairs: tuple[str, str], least: float = 1.0) -> Check:
    """A check of recordings, each with what was expected and what was heard."""
    check = Check(least)
    said = {Path(f"{n}.wav"): text for n, (_, text) in enumerate(pairs)}
    planned = [Planned(Path(f"{n}.wav"), digits=expected) for n, (expected, _) in enumerate(pairs)]
    for judged in judge(planned, lambda one: heard(said[one.file])):
        check.add(judged)
    return check


# Labels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("dtmf-1234", "1234"),
        ("DTMF_12s4p_noisy", "12*4#"),
        ("dtmf-ABCD.left", "ABCD"),
        ("1234_a", "1234"),
        ("12#4 second try", "12#4"),
        ("A1-b", "A1"),
        ("0123", "0123"),
        ("dtmf", None),
        ("dtmf-noise", None),
        ("BAD_line", None),
        ("1234a", None),
        ("12s_of_silence", None),
        ("call_1234", None),
    ],
)
def test_digits_in_a_name(tmp_path: Path, name: str, digits: str | None) -> None:
    [planned] = plan([tmp_path / f"{name}.wav"])
    assert planned.digits == digits
    assert (planned.problem is None) == (digits is not None)


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        ("55 12345#\n", {None: "5512345#"}),
        ("\ufeff12ab\r\n", {None: "12AB"}),
        ("", {None: ""}),
        ("-\n", {None: ""}),
        ("12\n-\n", {1: "12", 2: ""}),
        (
            "0.10\t0.12\t(too short)\n0.50\t0.60\t2\n0.25\t0.35\t1\n\\\t697.0\t1209.0\n0,75\t0,80\t#4\n",
            {None: "12#4"},
        ),
    ],
)
def test_texts_beside_recordings_win_over_names(
    tmp_path: Path, text: str, channels: dict[int | None, str]
) -> None:
    make(tmp_path / "99.wav", "1")
    (tmp_path / "99.txt").write_text(text, encoding="utf-8")
    assert {planned.channel: planned.digits for planned in plan([tmp_path])} == channels


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"12E", "'E' in line 1"),
        (b"0.1\t0.2\tvoice", "'V' in label 1"),
        (b"a\t0.2\t1", "label 1"),
        (b"0.1\t0.2\t1\n0.3 4", "label 2"),
        (b"inf\t0.2\t1", "label 1"),
        (b"\xff\xfe1\x002\x00", "is no text"),
        (b"\xff12", "no text in UTF-8"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_labels_that_make_no_sense(tmp_path: Path, text: bytes, why: str) -> None:
    make(tmp_path / "1.wav", "1")
    (tmp_path / "1.txt").write_bytes(text)
    [planned] = plan([tmp_path])
    assert why in str(planned.problem)
    assert "1.txt" in str(planned.problem)


def test_two_texts_must_agree(tmp_path: Path) -> None:
    make(tmp_path / "a.wav", "1")
    for name in ("a.txt", "a.wav.txt"):
        (tmp_path / name).write_text("12")
    assert plan([tmp_path]) == [Planned(tmp_path / "a.wav", digits="12")]
    (tmp_path / "a.wav.txt").write_text("13")
    [planned] = plan([tmp_path])
    assert "contradict" in str(planned.problem)


def test_folders_are_searched_in_order_and_hidden_things_left_out(tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.WAV", ".hidden/3.wav", "b/.4.wav", "a/5.flac", "b/notes.txt", "6.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(one.file.relative_to(tmp_path)) for one in plan([tmp_path])] == [
        "6.wav", "a/5.flac", "b/1.WAV", "b/2.wav",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "a.wav,12\nsub/b.wav,3#,2\n",
        "file,digits,channel\n\na.wav,1 2,\nsub/b.wav,3#,2\n",
        "Channel;note;Digits;File\n;x;12;a.wav\n2;;3#;sub/b.wav\n",
        "file\tdigits\tchannel\r\na.wav\t12\t\r\nsub/b.wav\t3#\t2\r\na.wav\t12\t\r\n",
        '\ufeff"a.wav","12"\n"sub/b.wav","3#","2"\n',
    ],
)
def test_manifests(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode())
    assert plan([path]) == [
        Planned(tmp_path / "a.wav", None, "12"),
        Planned(tmp_path / "sub/b.wav", 2, "3#"),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a.wav,1x", "'X' in m.csv, line 2"),
        ("a.wav", "has no digits (m.csv, line 2)"),
        ("a.wav,1,0", "'0' for a channel"),
        ("a.wav,1,left", "'left' for a channel"),
        ("a.wav,1,99999999999999", "for a channel"),
        ("b.wav,2", "contradict"),
    ],
)
def test_a_bad_line_costs_one_recording(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "m.csv"
    path.write_text(f"b.wav,1\n{line}\nc.wav,3\n")
    planned = plan([path])
    [problem] = [one.problem for one in planned if one.problem]
    assert why in problem
    assert planned[-1] == Planned(tmp_path / "c.wav", digits="3")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no manifest"),
        (b"1234", "no manifest"),
        (b"file,digits\n", "no lines"),
        (b"a.wav,1\n,2\n", "line 2"),
        (b"a,\0", "no text"),
        (b"a,\xff", "UTF-8"),
        (b'a,"' + b"1" * 200_000, "line 1"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (None, "No such file"),
    ],
)
def test_manifests_that_cannot_be_used(tmp_path: Path, data: bytes | None, why: str) -> None:
    path = tmp_path / "m.csv"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DtmfError, match=why) as raised:
        plan([path])
    assert str(path) in str(raised.value)


@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=200) | st.text("\t,;\"'\n\r\\-12AZ.wv", max_size=60).map(str.encode))
def test_no_manifest_and_no_text_does_harm(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("labels")
    (folder / "m.csv").write_bytes(data)
    (folder / "x.wav").touch()
    (folder / "x.txt").write_bytes(data)
    assert plan([folder])
    try:
        planned = plan([folder / "m.csv"])
    except DtmfError:
        return
    assert all((one.digits is None) == (one.problem is not None) for one in planned)


# Judgement ---------------------------------------------------------------------------------------


def test_digits_are_counted_by_what_became_of_them() -> None:
    check = checked(("1234", "1234"), ("1234#", "124#"), ("12", "152"), ("9", "6"), ("", ""))
    assert (check.expected, check.right, check.missed, check.imagined, check.mistaken) == (12, 10, 1, 1, 1)
    assert check.accuracy == 10 / 13
    assert check.confusion["9", "6"] == check.confusion["3", "missed"] == check.confusion["extra", "5"] == 1
    assert [check.verdict_of(one) for one in check.judged] == ["pass", "fail", "fail", "fail", "pass"]
    assert (check.verdict, check.exit_code) == ("fail", 1)


@pytest.mark.parametrize(
    ("pairs", "least", "verdict"),
    [
        ([("1" * 100, "1" * 99)], 0.99, "pass"),
        ([("1" * 100, "1" * 99)], 0.991, "fail"),
        ([("", "")], 1.0, "pass"),
        ([("", "5")], 0.5, "fail"),
        ([("1", "")], 0.0, "pass"),
        ([], 0.0, "error"),
    ],
)
def test_verdict_and_exit_code_agree(pairs: list[tuple[str, str]], least: float, verdict: str) -> None:
    check = checked(*pairs, least=least)
    assert check.verdict == verdict
    assert check.exit_code == ["pass", "fail", "error"].index(verdict)
    verdicts = [check.verdict_of(one) for one in check.judged]
    assert ("fail" in verdicts) == (verdict == "fail")


def test_what_cannot_be_heard_is_an_error_and_the_rest_is_judged() -> None:
    def hear(one: Planned) -> list[Heard]:
        if one.file.name == "bad.wav":
            raise DtmfError("is empty")
        return heard("1")

    check = Check(0.0)
    for judged in judge(
        [
            Planned(Path("bad.wav"), 1, "1"),
            Planned(Path("bad.wav"), 2, "1"),
            Planned(Path("a.wav"), 1, "1"),
            Planned(Path("a.wav"), 2, "1"),
            Planned(Path("b.wav"), problem="has no label"),
        ],
        hear,
    ):
        check.add(judged)
    assert [one.problem for one in check.judged] == [
        "is empty", "is empty", None, "has 1 channel, and a label for channel 2", "has no label",
    ]  # fmt: skip
    assert (check.verdict, check.exit_code, check.expected) == ("error", 2, 1)


def test_channels_together_are_one_line() -> None:
    tones = [Tone("1", 0.1, 0.2, -9, 0), Tone("2", 0.3, 0.4, -9, 0), Tone("2", 0.5, 0.6, -9, 0)]
    other = [Tone("1", 0.102, 0.201, -20, 0), Tone("#", 0.35, 0.38, -9, 0), Tone("2", 0.55, 0.66, -20, 0)]
    channels = [Heard(1, 1.0, tones, []), Heard(2, 1.0, other, [])]
    [judged] = judge([Planned(Path("a.wav"), digits="12#2")], lambda _: channels)
    assert judged.heard == "12#2"
    assert judged.right


# The report --------------------------------------------------------------------------------------


def test_lines_show_both_sides() -> None:
    check = checked(("1234#", "1244#"), ("12", "152"), ("1", "1"), ("", ""))
    assert [list(lines_of(one)) for one in check.judged] == [
        ["wrong  0.wav: 1 taken for another, at 2.000 s", "       expected  1234#", "       heard     1244#"],
        ["wrong  1.wav: 1 imagined, at 1.000 s", "       expected  1-2", "       heard     152"],
        ["right  2.wav: 1"],
        ["right  3.wav: no keys"],
    ]  # fmt: skip
    assert list(summary(check)) == [
        "4 recordings: 2 right, 2 wrong",
        "8 digits expected: 7 heard right, 0 missed, 1 taken for another; 1 imagined",
        "accuracy 77.77 %, at least 100 % wanted: fail",
    ]


def test_a_table_of_what_was_taken_for_what() -> None:
    check = checked(("11119#", "1116#"), ("", "D"))
    assert list(confusion_table(check)) == [
        "confusion: expected down, heard across",
        "          1   6   #   D missed",
        "      1   3   .   .   .      1",
        "      9   .   1   .   .      .",
        "      #   .   .   1   .      .",
        "  extra   .   .   .   1      .",
    ]
    assert list(confusion_table(checked(("1" * 20_000, "1" * 20_000))))[1:] == [
        "            1",
        "      1 20000",
    ]
    assert list(confusion_table(checked(("", "")))) == []


def test_not_quite_all_is_never_called_100_percent() -> None:
    assert "accuracy 99.99 %" in list(summary(checked(("1" * 30_000, "1" * 29_999))))[-1]


def test_json() -> None:
    report = as_json(checked(("12", "132"), ("", ""), least=0.5))
    assert json.loads(json.dumps(report)) == report
    assert report["verdict"] == "pass"
    assert report["counts"] == {"recordings": 2, "pass": 1, "warn": 1, "fail": 0, "error": 0}
    assert report["digits"] == {"expected": 2, "right": 2, "missed": 0, "imagined": 1, "mistaken": 0}
    assert report["confusion"] == {"1": {"1": 1}, "2": {"2": 1}, "extra": {"3": 1}}
    assert report["recordings"][0] == {
        "file": "0.wav",
        "channel": None,
        "verdict": "warn",
        "expected": "12",
        "heard": "132",
        "edits": [{"kind": "imagined", "expected": None, "heard": "3", "place": 2, "start_s": 1.0}],
        "reason": None,
    }


@pytest.mark.parametrize(("least", "failures", "notes"), [(1.0, 1, 0), (0.1, 0, 1)])
def test_junit(least: float, failures: int, notes: int) -> None:
    check = checked(("12", "1"), ("1", "1"), least=least)
    check.add(Judged(Planned(Path("b\x1b\udcff.wav"), 2), problem="is empty\0"))
    suite = ElementTree.fromstring(as_junit(check))
    assert suite.attrib == {
        "name": "dtmf check", "tests": "3", "failures": str(failures), "errors": "1", "skipped": "0",
    }  # fmt: skip
    assert len(suite.findall("testcase")) == 3
    assert len(suite.findall("testcase/failure")) == failures
    assert len(suite.findall("testcase/system-out")) == notes
    [error] = suite.findall("testcase/error")
    assert error.get("message") == "is empty?"
    assert suite.findall("testcase")[-1].get("name") == "b??.wav (channel 2)"


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (f"12#{VISA}#1234", f"12#{VISA}#1234"),
        (f"12#{VISA}#1234", f"12#{VISA[:7]}9{VISA[8:]}#1234"),  # which passes no check
        (f"12#{VISA}#1234", f"12#{VISA[:-3]}#1234"),
        (f"12#{VISA}#1234", f"12#{VISA[:7]}5{VISA[7:]}#1234"),
        (f"12#{VISA[:7]}{VISA[8:]}#", f"12#{VISA}#"),
        (f"5{AMEX}#", f"{AMEX[1:]}#"),
    ],
)
def test_no_card_number_is_shown(expected: str, said: str) -> None:
    check = checked((expected, said))
    check.add(Judged(Planned(Path(f"dtmf-{VISA}_1.wav"), digits=VISA), problem=f"has no {VISA}.txt"))
    for text in (
        "\n".join(line for one in check.judged for line in lines_of(one, mask=True)),
        json.dumps(as_json(check, mask=True), ensure_ascii=False),
        as_junit(check, mask=True).decode(),
    ):
        for card in (VISA, AMEX):
            parts = {card[i : i + 6] for i in range(len(card) - 5)}
            assert not [part for part in parts if part in text]
    [shown] = [r for r in as_json(check, mask=True)["recordings"] if r["verdict"] != "error"]
    assert "#" in shown["expected"]
    assert "•" in shown["expected"] + shown["heard"]


# The command -------------------------------------------------------------------------------------


def test_a_folder_that_is_heard_right(tmp_path: Path) -> None:
    make(tmp_path / "dtmf-12s4p.wav", "12*4#")
    make(tmp_path / "stereo.wav", "55", "7")
    (tmp_path / "stereo.txt").write_text("55\n7\n")
    make(tmp_path / "deep/1234_a.wav", "1234")
    out = tmp_path / "out"
    out.mkdir()
    result = run(tmp_path, "--json", out / "r.json", "--junit", out / "r.xml")
    assert result.exit_code == 0, result.output
    assert f"right  {tmp_path / 'stereo.wav'} (channel 2): 7" in result.stdout
    assert "accuracy 100 %, at least 100 % wanted: pass" in result.stdout
    report = json.loads((out / "r.json").read_text(encoding="utf-8"))
    assert (report["verdict"], report["counts"]["recordings"]) == ("pass", 4)
    assert ElementTree.parse(out / "r.xml").getroot().get("tests") == "4"


@pytest.mark.parametrize(("least", "code"), [("1", 1), ("0.75", 0)])
def test_too_little_is_exit_1(tmp_path: Path, least: str, code: int) -> None:
    make(tmp_path / "1234.wav", "123")
    result = run(tmp_path, "--min-accuracy", least)
    assert result.exit_code == code
    assert "accuracy 75.00 %" in result.stdout


def test_unlabelled_and_unreadable_recordings_are_exit_2(tmp_path: Path) -> None:
    make(tmp_path / "hello.wav", "1")
    (tmp_path / "12.wav").write_bytes(b"no sound")
    make(tmp_path / "34.wav", "34")
    result = run(tmp_path, "--min-accuracy", "0")
    assert result.exit_code == 2
    assert f"error  {tmp_path / 'hello.wav'}: has no label" in result.stdout
    assert f"error  {tmp_path / '12.wav'}: " in result.stdout
    assert f"right  {tmp_path / '34.wav'}: 34" in result.stdout
    assert "3 recordings: 1 right, 0 wrong, 2 that could not be judged" in result.stdout
    assert result.stdout.splitlines()[-1].endswith(": error")


def test_nothing_planned_is_exit_2(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 2
    assert result.stderr == f"dtmf: {tmp_path}: there are no recordings in it\n"
    assert run().exit_code == 2


def test_twelve_keys(tmp_path: Path) -> None:
    make(tmp_path / "1A2.wav", "1A2")
    assert run(tmp_path).exit_code == 0
    assert run(tmp_path, "--keys", "12").exit_code == 1


def test_an_accuracy_that_is_no_number(tmp_path: Path) -> None:
    make(tmp_path / "1.wav", "")
    assert run(tmp_path, "--min-accuracy", "nan").exit_code == 2


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    make(tmp_path / "1.wav", "1")
    result = run(tmp_path, "--json", tmp_path / "none" / "r.json")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
