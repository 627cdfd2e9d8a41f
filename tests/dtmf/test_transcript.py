from __future__ import annotations

import json

import pytest

from dtmf import Heard, Refused, Tone
from dtmf.transcript import as_json, as_labels, as_line, as_text, difference

VISA = "4111111111111111"  # a documented test card


def heard(digits: str, channel: int = 1, *refused: Refused) -> Heard:
    tones = [Tone(digit, 0.5 + i, 0.6 + i, -12.0, 1.5) for i, digit in enumerate(digits)]
    return Heard(channel, 20.0, tones, list(refused))


MISS = Refused(0, "too_short", 0.25, 0.272, -10.25, -0.5, 0.36)


def test_text() -> None:
    assert list(as_text("a.wav", [heard("12")])) == ["a.wav: 12"]
    assert list(as_text("a.wav", [heard("12"), heard("", 2, MISS)])) == [
        "a.wav (channel 1): 12",
        "a.wav (channel 2): no keys",
        "    0.250-0.272 s refused: too short, -10.2 dBm0, twist -0.5 dB",
    ]


def test_json() -> None:
    told = as_json("a.wav", heard("1", 2, MISS))
    assert told == {
        "file": "a.wav",
        "channel": 2,
        "duration_s": 20.0,
        "digits": "1",
        "events": [{"digit": "1", "start_s": 0.5, "end_s": 0.6, "level_dbm0": -12.0, "twist_db": 1.5}],
    }
    assert json.loads(as_line(told)) == told
    told = as_json("a.wav", heard("1", 2, MISS), refusals=True)
    assert told["refused"] == [
        {"reason": "too_short", "start_s": 0.25, "end_s": 0.272, "level_dbm0": -10.25, "twist_db": -0.5}
    ]
    assert as_json("a.wav", heard("1"), refusals=True)["refused"] == []


def test_labels() -> None:
    assert as_labels([heard("")]) == ""
    assert as_labels([heard("#", 1, MISS)]) == ("0.250000\t0.272000\t(too short)\n0.500000\t0.600000\t#\n")
    both = [heard("12"), Heard(2, 20.0, [Tone("7", 0.7, 0.8, -12.0, 0.0)], [])]
    assert [line.split("\t")[2] for line in as_labels(both).splitlines()] == ["1", "7", "2"]


def test_nothing_hides_from_the_mask() -> None:
    one = heard(f"12#{VISA}#12")
    shown = f"12#{'•' * 16}#12"
    assert list(as_text("a", [one], mask=True)) == [f"a: {shown}"]
    told = as_json("a", one, mask=True)
    assert told["digits"] == shown
    assert "".join(event["digit"] for event in told["events"]) == shown
    assert "".join(line.split("\t")[2] for line in as_labels([one], mask=True).splitlines()) == shown
    assert VISA in as_line(as_json("a", one))


@pytest.mark.parametrize(
    ("expected", "digits", "said"),
    [
        ("5512345#", "551345#", "expected 5512345#, heard 551345#: 551[-2-]345#"),
        ("123", "1243", "expected 123, heard 1243: 12{+4+}3"),
        ("123", "153", "expected 123, heard 153: 1[-2-]{+5+}3"),
        ("12", "", "expected 12, heard no keys: [-12-]"),
        ("", "9", "expected no keys, heard 9: {+9+}"),
    ],
)
def test_differences(expected: str, digits: str, said: str) -> None:
    assert difference(expected, [heard(digits)]) == said


@pytest.mark.parametrize("digits", ["", "12#", VISA])
def test_no_difference(digits: str) -> None:
    assert difference(digits, [heard(digits)]) is None
    assert difference(digits, [heard(""), heard(digits, 2)]) is None
    assert difference(digits, [heard(digits), heard(digits, 2)], mask=True) is None


def test_a_masked_difference_shows_no_card() -> None:
    said = difference(f"{VISA}#1", [heard(f"{VISA}#2")], mask=True)
    assert said == f"expected {'•' * 16}#1, heard {'•' * 16}#2: {'•' * 16}#[-1-]{{+2+}}"
    misheard = difference(VISA, [heard("4111111711111111")], mask=True)
    assert misheard is not None
    assert not set("0123456789") & set(misheard)
