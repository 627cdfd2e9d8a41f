"""The grid itself: its tapes hold what they say, and it judges receivers rightly."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dtmf.acceptance import Category, Press, categories, joined
from dtmf.acceptance.tape import doubled, noise, record, scaled, shuffled, voice
from dtmf.cli.grid import command
from dtmf.errors import DtmfError
from dtmf.goertzel import amplitude
from dtmf.grid import Hear, at_8k, chosen, matched, measured, own_receiver, tapes
from dtmf.impairment import mean_dbm0
from dtmf.keypad import KEYS_16, key_tones
from dtmf.standards import DEFAULT, PROFILES, Profile

NOWHERE = math.nan
TABLE = categories()


def row(name: str) -> Category:
    return next(category for category in TABLE if category.name == name)


def knowing(category: Category) -> Hear:
    """A receiver that knows what is on a category's tapes of one rate, and tells no times."""
    digits = [digit for tape in tapes(category, 1) for digit, _, _ in tape.presses]
    return lambda samples, rate: [(digit, NOWHERE, NOWHERE) for digit in digits]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_rows_have_names_of_their_own_and_serve_every_standard(profile: Profile) -> None:
    names = [category.name for category in categories(profile)]
    assert len(set(names)) == len(names)
    limits = {"freq_accept", "twist_accept", "dur_accept", "dur_reject", "gap_accept", "interrupt"}
    for standard in profile.standards:
        short = standard.name.replace("&", "").lower()
        assert limits <= {name.split(".")[0] for name in names if short in name.partition(".")[2].split("+")}


def test_a_seed_is_thousands_of_digits_on_each_key() -> None:
    digits = "".join(
        digit
        for category in TABLE
        if category.kind == "must"
        for tape in tapes(category, 1)
        for digit, _, _ in tape.presses
    )
    assert len(digits) > 5000
    assert min(map(digits.count, KEYS_16)) > len(digits) / 17


@pytest.mark.parametrize("category", [pytest.param(c, id=c.name) for c in TABLE])
def test_tapes(category: Category) -> None:
    for tape in tapes(category, 1):
        assert tape.sound.dtype == np.float32
        assert np.isfinite(tape.sound).all()
        assert np.abs(tape.sound).max() <= 1
        times = [time for _, start, end in tape.presses for time in (start, end)]
        assert (np.diff(times) > -1e-9).all()
        assert not times or 0 <= times[0] < times[-1] < tape.seconds + 2 / tape.rate


def test_the_same_seed_makes_the_same_tapes() -> None:
    category = row("mixed")
    first, again, other = (list(tapes(category, seed)) for seed in (1, 1, 2))
    assert all((one.sound == two.sound).all() for one, two in zip(first, again, strict=True))
    assert [tape.presses for tape in first] == [tape.presses for tape in again]
    assert [tape.presses for tape in first] != [tape.presses for tape in other]


def test_a_recorded_press_is_where_and_what_it_is_said_to_be() -> None:
    rng = np.random.default_rng(3)
    tape = record(
        rng,
        "5D",
        tone_ms=[200, 250],
        gap_ms=70,
        low_dbm0=[-10, -20],
        high_dbm0=[-14, -12],
        offset=[0.01, -0.01],
    )
    for (digit, start, end), levels in zip(tape.presses, ((-10, -14), (-20, -12)), strict=True):
        first, last = round(start * 8000), round(end * 8000)
        assert not tape.sound[first - 160 : first].any()
        assert not tape.sound[last : last + 160].any()
        inside = tape.sound[first:last].astype(float)
        t = np.arange(len(inside)) / 8000
        for hz, level in zip(np.array(key_tones(digit)) * (1.01, 0.99), levels, strict=True):
            found = 2 * abs(np.mean(inside * np.exp(-2j * np.pi * hz * t)))
            assert found == pytest.approx(amplitude(level), rel=0.05)


def test_ramps_leave_the_length_between_half_amplitudes() -> None:
    tape = record(np.random.default_rng(4), "1", tone_ms=60, ramp_ms=5)
    (_, start, end), sound = tape.presses[0], np.abs(tape.sound)
    peak = [sound[round(t * 8000) - 12 : round(t * 8000) + 12].max() for t in (start, end, (start + end) / 2)]
    assert 0.2 < peak[0] / peak[2] < 0.85
    assert 0.2 < peak[1] / peak[2] < 0.85
    heard = np.flatnonzero(sound > 0)
    assert (heard[-1] - heard[0]) / 8 == pytest.approx(65, abs=0.5)


def test_noise_and_voice_have_their_levels() -> None:
    rng = np.random.default_rng(5)
    assert mean_dbm0(noise(rng, 8000, -20)) == pytest.approx(-20, abs=0.01)
    band = noise(rng, 8000, -20, (1000, 2000))
    power = np.abs(np.fft.rfft(band)) ** 2
    assert power[990:2010].sum() > 0.999 * power.sum()
    assert mean_dbm0(voice(rng, 2)) == pytest.approx(-15, abs=0.01)
    assert not scaled(np.zeros(5), -3).any()


def test_orders_of_keys() -> None:
    rng = np.random.default_rng(6)
    keys = shuffled(rng, 5)
    assert all(keys.count(key) == 5 for key in KEYS_16)
    assert all(a != b for a, b in itertools.pairwise(keys))
    twice = doubled(rng)
    assert twice[::2] == twice[1::2]
    assert sorted(twice[::2]) == sorted(KEYS_16)


def test_reports_are_matched_by_digit_and_time() -> None:
    presses: list[Press] = [("5", 0.1, 0.15), ("5", 0.2, 0.25), ("1", 0.3, 0.35)]
    first, second, third = presses
    assert matched(presses, [second, third]) == [(second, second), (third, third)]
    doubled_up = ("5", 0.22, 0.25)
    assert len(matched(presses, [first, second, doubled_up, third])) == 3
    assert matched(presses, [("5", 0.5, 0.6)]) == []
    assert matched(presses, [("2", 0.1, 0.15)]) == []
    assert matched([], [first]) == matched([first], []) == []
    late = ("1", 0.34, 0.42)
    assert matched(presses, [late]) == [(third, late)]


def test_reports_without_times_are_matched_by_digits() -> None:
    presses: list[Press] = [(digit, i, i + 0.1) for i, digit in enumerate("1234567890")]
    heard: list[Press] = [(digit, NOWHERE, NOWHERE) for digit in "1247755690"]
    assert "".join(report[0] for _, report in matched(presses, heard)) in ("1247690", "1245690")


def test_whoever_hears_what_is_there_passes() -> None:
    for name in ("timing", "noise_deep", "rolled"):
        result = measured(row(name), [1], knowing(row(name)))
        assert result.passed
        assert (result.found, result.false, result.edges_ms) == (result.presses, 0, None)


def test_who_hears_nothing_fails_what_must_be_heard_alone() -> None:
    for name, passes in (
        ("timing", False),
        ("noise_deep", False),
        ("two_keys", True),
        ("freq_between", True),
    ):
        result = measured(row(name), [1], lambda samples, rate: [])
        assert result.found == 0
        assert result.passed is passes


def test_who_hears_too_much_fails() -> None:
    def stuttering(samples: np.ndarray, rate: int) -> list[Press]:
        return [press for press in own_receiver()(samples, rate) for _ in range(2)]

    result = measured(row("level_steps"), [1], stuttering)
    assert (result.found, result.false) == (result.presses, result.presses)
    assert not result.passed
    assert not measured(row("two_keys"), [1], lambda samples, rate: [("1", 0.0, 0.1)]).passed
    assert not measured(row("dur_reject.att"), [1], knowing(row("dur_reject.att"))).passed


def test_edges_too_far_off_fail_where_they_are_demanded() -> None:
    def late(samples: np.ndarray, rate: int) -> list[Press]:
        return [(digit, start + 0.01, end) for digit, start, end in own_receiver()(samples, rate)]

    result = measured(row("clean"), [1], late)
    assert result.found == result.presses
    assert result.edges_ms == pytest.approx(10, abs=2.5)
    assert not result.passed
    assert measured(row("level_steps"), [1], late).passed


def test_seeds_add_up() -> None:
    category = row("level_steps")
    both = measured(category, [1, 2], own_receiver())
    one, two = (measured(category, [seed], own_receiver()) for seed in (1, 2))
    assert both.presses == one.presses + two.presses == both.found
    assert both.seconds == pytest.approx(one.seconds + two.seconds)


def test_tapes_are_joined_unless_they_stand_apart() -> None:
    lengths: list[int] = []

    def listen(samples: np.ndarray, rate: int) -> list[Press]:
        lengths.append(len(samples))
        return []

    measured(row("timing"), [1, 2], listen)
    (whole,) = lengths
    parts = [tape for seed in (1, 2) for tape in tapes(row("timing"), seed)]
    assert whole == sum(len(tape.sound) for tape in parts) + len(parts) * 3200
    lengths.clear()
    measured(row("bare"), [1], listen)
    assert lengths == [len(tape.sound) for tape in tapes(row("bare"), 1)]


def test_joined_tapes_keep_their_presses() -> None:
    parts = list(tapes(row("level_steps"), 1))
    tape = joined(parts, 0.5)
    assert tape.seconds == pytest.approx(sum(part.seconds + 0.5 for part in parts))
    assert "".join(p[0] for p in tape.presses) == "".join(p[0] for part in parts for p in part.presses)
    at = len(parts[0].sound) / 8000 + 0.5
    assert tape.presses[len(parts[0].presses)][1] == pytest.approx(parts[1].presses[0][1] + at)


def test_a_receiver_of_8_khz_is_given_8_khz() -> None:
    lengths: list[float] = []

    def listen(samples: np.ndarray) -> list[Press]:
        lengths.append(len(samples) / 8000)
        return []

    measured(row("formats"), [1], at_8k(listen))
    whole = sum(tape.seconds + 0.4 for tape in tapes(row("formats"), 1))
    assert sum(lengths) == pytest.approx(whole, abs=0.1)


def test_rows_are_chosen_by_name() -> None:
    assert [c.name for c in chosen(only=["clean"])] == ["clean"]
    assert {c.name for c in chosen(only=["freq_reject", "hum"])} == {
        "freq_reject.att",
        "freq_reject.ntt",
        "hum",
    }
    assert [c.name for c in chosen(PROFILES["ntt"], ["level_reject"])] == ["level_reject.ntt"]
    with pytest.raises(DtmfError, match="no row 'nonsense'; there are freq_accept, "):
        chosen(DEFAULT, ["nonsense"])


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(command, [str(arg) for arg in args])


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "grid.json"
    result = run(
        "--only", "level_steps", "--only", "twist_over", "--seed", "3", "--seeds", "2", "--json", file
    )
    assert result.exit_code == 0, result.output
    head, first, second, last = result.output.splitlines()
    assert head.split()[:3] == ["row", "kind", "presses"]
    assert first.split()[:6] == ["level_steps", "must", "128", "100.0", "%", "-"]
    assert "pass" in first
    assert second.split()[:2] == ["twist_over", "info"]
    assert last.endswith("all as demanded")
    report = json.loads(file.read_text())
    assert (report["v"], report["verdict"], report["profile"], report["seeds"]) == (
        1,
        "pass",
        "default",
        [3, 4],
    )
    assert [(r["name"], r["verdict"]) for r in report["rows"]] == [
        ("level_steps", "pass"),
        ("twist_over", "info"),
    ]
    assert report["rows"][0]["found"] == report["rows"][0]["presses"] == 128


def test_the_command_fails_with_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtmf.cli.grid.own_receiver", lambda profile: lambda samples, rate: [])
    result = run("--only", "level_steps", "--only", "two_keys")
    assert result.exit_code == 1
    assert "FAIL" in result.output
    assert result.output.splitlines()[-1].endswith("1 not as demanded: level_steps")
    report = json.loads(run("--only", "level_steps", "--json", "-").output)
    assert report["verdict"] == "fail"


def test_wrong_use(tmp_path: Path) -> None:
    result = run("--only", "nonsense")
    assert result.exit_code == 2
    assert "no row 'nonsense'" in result.output
    assert run("--profile", "bt").exit_code == 2
    assert run("--seeds", "0").exit_code == 2
    assert run("--only", "two_keys", "--json", tmp_path / "no" / "where.json").exit_code == 2
