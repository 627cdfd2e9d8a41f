"""GitHub Actions: annotations and step summary, escaped and within their limits."""

import re
from datetime import UTC, datetime

import pytest

from ivr_sim.reports import CallVerdict, Failure, Run
from ivr_sim.reports.github import MAX_SUMMARY, error_annotations, write_step_summary


def run(*calls):
    return Run("replay", datetime(2026, 11, 23, tzinfo=UTC), 9, calls)


def failed(name="a", heard="2000.00", **where):
    where = {"file": "calls/a.call.yaml", "line": 9} | where
    return CallVerdict(name, "fail", failure=Failure("prompt amount", "200.00", heard, 1.0, **where))


def test_an_annotation_is_at_the_line_of_the_expectation(tmp_path):
    call = failed(file=str(tmp_path / "calls" / "a.call.yaml"))

    [line] = error_annotations(run(call, CallVerdict("b", "pass")), tmp_path)

    assert line == (
        "::error file=calls/a.call.yaml,line=9,title=fail%3A a::"
        "prompt amount: expected 200.00, heard 2000.00 (at 1.00 s)"
    )


def test_what_could_not_be_run_is_annotated_at_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call = CallVerdict("b", "error", reason="no WAV", file="calls/b.call.yaml", line=1)

    [line] = error_annotations(run(call), tmp_path)

    assert line == "::error file=calls/b.call.yaml,line=1,title=error%3A b::no WAV"


def test_nothing_that_was_heard_begins_a_command_of_its_own(tmp_path):
    evil = "x\n::set-env name=A::b\r100%"

    [line] = error_annotations(run(failed(name="n,o:p\n::q", heard=evil)), tmp_path)

    assert "\n" not in line
    assert "\r" not in line
    assert "title=fail%3A n%2Co%3Ap%0A%3A%3Aq::" in line
    assert "heard x%0A::set-env name=A::b%0D100%25 " in line


@pytest.mark.parametrize(("bad", "lines"), [(0, 0), (1, 1), (10, 10), (11, 10), (500, 10)])
def test_ten_annotations_at_most_and_none_forgotten(tmp_path, bad, lines):
    written = list(error_annotations(run(*(failed(f"call-{n}") for n in range(bad))), tmp_path))

    assert len(written) == lines
    if bad > 10:
        assert f"{bad - 9} more calls did not pass" in written[-1]


def test_the_summary_names_each_failure(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("before\n")

    error = CallVerdict("c", "error", reason="no WAV")
    write_step_summary(run(failed("a|b"), CallVerdict("p", "pass"), error), path)

    lines = path.read_text().splitlines()
    assert lines[0] == "before"
    assert "| 1 | 1 | 1 | 9 |" in lines
    [row] = [line for line in lines if "2000.00" in line]
    assert row.count(" | ") == 5
    assert "a&#124;b" in row
    assert "calls/a.call.yaml:9" in row
    assert any("no WAV" in line for line in lines)
    assert not any("| p " in line for line in lines)


def test_nothing_in_a_cell_is_markdown_or_html(tmp_path):
    path = tmp_path / "summary.md"

    write_step_summary(run(failed(heard="<img src=x> @me `a` **b** | \n# c [d](e)")), path)

    [row] = [line for line in path.read_text().splitlines() if "me" in line and "fail" not in line]
    assert not set("<>`*[]@") & set(re.sub("&#[0-9]+;", "", row))


@pytest.mark.parametrize("already", [0, MAX_SUMMARY - 2000, MAX_SUMMARY - 10, MAX_SUMMARY])
def test_the_summary_stays_below_its_limit(tmp_path, already):
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * already)

    write_step_summary(run(*(failed(f"call-{n}", heard="ñ" * 250) for n in range(5000))), path)

    size = path.stat().st_size
    assert size <= MAX_SUMMARY
    shown = path.read_text().count("calls/a.call.yaml:9")
    if already <= MAX_SUMMARY - 2000:
        assert f"and {5000 - shown} more calls" in path.read_text()
        assert size > MAX_SUMMARY - 1000
    else:
        assert size == already  # not a part of a table


def test_a_card_number_is_in_neither(tmp_path):
    path = tmp_path / "summary.md"
    call = failed("4111111111111111", heard="4111-1111-1111-1111", file="4111 1111 1111 1111.yaml")

    write_step_summary(run(call), path)
    written = path.read_text() + "".join(error_annotations(run(call), tmp_path))

    assert "1111" not in written
