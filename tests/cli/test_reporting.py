"""The options by which commands report: what they write, when they refuse, and what the exit code says."""

import json
from datetime import UTC, datetime
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner
from twisted.internet.task import Clock

from ivr_sim.cli.reporting import Reporting, report_options
from ivr_sim.cli.running import data_option
from ivr_sim.errors import ConfigurationError
from ivr_sim.reports import Artefacts, CallVerdict, Failure, Run

PASSED = CallVerdict("fine", "pass", "approved")
FAILED = CallVerdict(
    "wrong", "fail", failure=Failure("outcome", "approved", "declined", 3.0, "w.call.yaml", 4)
)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """``run(*options, calls=...)``: a command that "holds" these calls; its result, and its reporting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("twisted.internet.reactor", Clock(), raising=False)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)

    def run(*options, calls=(PASSED, FAILED), env=None):
        used = []

        @click.command("replay")
        @report_options
        @data_option
        def hold(reporting, data):
            used.append(reporting)
            reporting.planned(len(calls))
            for call in calls:
                reporting.finished(call)
            reporting.ended(Run("replay", datetime(2026, 11, 23, tzinfo=UTC), 7, calls))
            raise SystemExit(reporting.exit_code)

        result = CliRunner().invoke(hold, ["--data", "data", *options], env=env)
        return result, used[0] if used else None

    return run


def test_everything_is_written(command, tmp_path):
    result, _ = command("--json", "o.json", "--junit", "o.xml", "--html", "o.html")

    assert result.exit_code == 1
    assert json.loads((tmp_path / "o.json").read_text())["counts"] == {"pass": 1, "fail": 1, "error": 0}
    assert ElementTree.parse(tmp_path / "o.xml").getroot().get("failures") == "1"
    assert "declined" in (tmp_path / "o.html").read_text()
    assert result.stdout.splitlines()[-1] == "1 passed, 1 failed, 0 errors; seed 7"
    assert "::error" not in result.stdout


@pytest.mark.parametrize(
    ("calls", "code"),
    [((PASSED,), 0), ((PASSED, FAILED), 1), ((FAILED, CallVerdict("e", "error", reason="x")), 2), ((), 2)],
)
def test_the_exit_code_is_the_runs(command, calls, code):
    assert command(calls=calls)[0].exit_code == code


def test_artefacts_lie_in_the_data_folder_unless_told(command, tmp_path):
    _, reporting = command()
    _, told = command("--artefacts", "kept", "--keep", "all")

    assert reporting.artefacts.root.parent == tmp_path / "data" / "runs"
    assert (reporting.artefacts.policy, told.artefacts.policy) == ("failed", "all")
    assert str(told.artefacts.root) == "kept"


@pytest.mark.parametrize(
    ("path", "why"),
    [("no/o.json", "there is no folder"), ("data", "it is a folder"), ("shut/o", "permission")],
)
def test_a_report_that_cannot_be_written_is_refused_before_the_calls(tmp_path, path, why, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "shut").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: "shut" not in str(path))  # root may write anywhere

    with pytest.raises(ConfigurationError, match=why):
        Reporting(Artefacts(tmp_path / "a"), junit=tmp_path / path)


def test_one_report_that_fails_does_not_cost_the_others(command, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ivr_sim.cli.reporting.write_junit", full)

    result, _ = command("--junit", "o.xml", "--json", "o.json", "--html", "o.html", calls=(PASSED,))

    assert result.exit_code == 2
    assert "o.xml cannot be written: No space left on device" in result.stderr
    assert (tmp_path / "o.json").exists()
    assert (tmp_path / "o.html").exists()


@pytest.mark.parametrize(
    ("options", "told"), [((), True), (("--no-github",), False)], ids=["by itself", "unless told"]
)
def test_github_is_told_where_it_runs_us(command, tmp_path, options, told):
    (tmp_path / "summary.md").touch()
    env = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_WORKSPACE": str(tmp_path),
    }

    result, _ = command(*options, env=env)

    assert ("::error file=w.call.yaml,line=4,title=fail%3A wrong::" in result.stdout) == told
    assert ("w.call.yaml:4" in (tmp_path / "summary.md").read_text()) == told


def test_github_can_be_asked_for_anywhere(command):
    result, _ = command("--github")

    assert "::error file=w.call.yaml,line=4" in result.stdout


def test_a_heartbeat_while_nothing_ends(tmp_path, capsys):
    clock = Clock()
    reporting = Reporting(Artefacts(tmp_path / "a"), reactor=clock)
    reporting.planned(500)

    clock.pump([1.0] * 25)
    reporting.ended(Run("replay", datetime(2026, 11, 23, tzinfo=UTC), 7, [PASSED]))

    beats = [line for line in capsys.readouterr().out.splitlines() if line.startswith("after")]
    assert [beat.split(":")[0] for beat in beats] == ["after 10 s", "after 20 s"]
    assert clock.getDelayedCalls() == []


def test_the_terminal_is_given_back_where_a_run_breaks_off(tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(Reporting, "close", lambda self: closed.append(self))

    @click.command("replay")
    @report_options
    @data_option
    def hold(reporting, data):
        raise KeyboardInterrupt

    result = CliRunner().invoke(hold, ["--data", str(tmp_path)])

    assert result.exit_code == 1
    assert len(closed) == 1
