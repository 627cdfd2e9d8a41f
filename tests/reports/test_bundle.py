"""The zip of a call, and the command that makes it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from ivr_sim.cli.report import report
from ivr_sim.errors import ConfigurationError
from ivr_sim.reports import bundle, find_call


@pytest.fixture
def data(tmp_path) -> Path:
    for number in ("0001", "0009", "0010"):
        folder = tmp_path / "calls" / number
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_text("{}\n")
        if number != "0010":  # still under way
            (folder / "summary.md").write_text(f"# Call {number}: ended\nwell\n")
    (tmp_path / "calls" / "notes").mkdir()
    return tmp_path


@pytest.mark.parametrize(("wanted", "name"), [("last", "0009"), ("1", "0001"), ("0010", "0010")])
def test_which_call_is_meant(data, wanted, name):
    assert find_call(data / "calls", wanted).name == name


@pytest.mark.parametrize(
    ("wanted", "said"),
    [("2", "no call 2 in"), ("first", "'first' is no number"), ("../1", "no number"), ("", "no number")],
)
def test_a_call_that_is_not_there(data, wanted, said):
    with pytest.raises(ConfigurationError, match=said):
        find_call(data / "calls", wanted)


def test_no_calls_at_all(tmp_path):
    with pytest.raises(ConfigurationError, match="no calls in"):
        find_call(tmp_path / "calls", "last")


def test_all_files_but_drafts_and_links(data, tmp_path):
    folder = data / "calls" / "0009"
    (folder / ".picture.png.abc.part").write_text("half")
    (folder / "elsewhere").symlink_to("/etc/passwd")
    (folder / "inner").mkdir()
    target = tmp_path / "out.zip"
    assert bundle(folder, target) == "# Call 0009: ended\nwell\n"
    with zipfile.ZipFile(target) as zipped:
        assert sorted(zipped.namelist()) == [
            "call-0009/environment.txt", "call-0009/journal.jsonl", "call-0009/summary.md",
        ]  # fmt: skip
        environment = zipped.read("call-0009/environment.txt").decode()
    assert "ivr-sim: " in environment
    assert "Python: 3." in environment
    assert target.stat().st_mode & 0o077 == 0


def test_a_call_under_way_has_no_summary(data, tmp_path):
    assert bundle(data / "calls" / "0010", tmp_path / "x.zip").startswith("# Call 0010 has no summary\n")


def test_a_zip_that_cannot_be_written(data, tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be written"):
        bundle(data / "calls" / "0001", tmp_path / "missing" / "x.zip")
    (tmp_path / "a-folder").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        bundle(data / "calls" / "0001", tmp_path / "a-folder")
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


def test_the_command(data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(report, ["last", "--data", str(data)])
    assert done.exit_code == 0
    assert done.stdout == "# Call 0009: ended\nwell\n"
    assert "ivr-sim-call-0009.zip" in done.stderr
    assert zipfile.is_zipfile(tmp_path / "ivr-sim-call-0009.zip")


def test_the_command_with_a_file_of_its_own(data, tmp_path):
    done = CliRunner().invoke(report, ["1", "--data", str(data), "-o", str(tmp_path / "bug.zip")])
    assert done.exit_code == 0
    assert zipfile.is_zipfile(tmp_path / "bug.zip")


def test_the_command_without_such_a_call(data):
    done = CliRunner().invoke(report, ["77", "--data", str(data)])
    assert isinstance(done.exception, ConfigurationError)  # which `main` turns into exit code 2
