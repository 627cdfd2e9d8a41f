"""The commands as processes: what people and CI see when things go otherwise than planned."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ivr_sim.cli.demo import _fresh
from ivr_sim.cli.running import open_data_folder
from ivr_sim.errors import ConfigurationError

COMMAND = [sys.executable, "-m", "ivr_sim"]
# A shell starts what runs in its background deaf to Ctrl-C, and children inherit that: hear it again.
INTERRUPTIBLE = [
    sys.executable,
    "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('ivr_sim', run_name='__main__')",
]


def ivr_sim(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, args)], capture_output=True, text=True, timeout=60)


@contextmanager
def demo(folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A demo under way: its call is answered, and the first prompt is being said."""
    (folder / "tmp").mkdir()
    command = [*INTERRUPTIBLE, "demo", "--data", str(folder / "data"), "--out", str(folder / "out")]
    variables = {**os.environ, "TMPDIR": str(folder / "tmp"), **environment}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def journal(folder: Path) -> list[dict[str, Any]]:
    path = folder / "out" / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(folder: Path, event: str) -> None:
    deadline = time.monotonic() + 40
    while not any(record["event"] == event for record in journal(folder)):
        assert time.monotonic() < deadline, journal(folder)
        time.sleep(0.1)


@pytest.mark.sip
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_hangs_up_and_leaves_nothing_behind(tmp_path, number, code):
    with demo(tmp_path, PYTHONIOENCODING="ascii") as process:
        wait_for(tmp_path, "PromptStarted")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (code, "ivr-sim: interrupted, hanging up\n")
    assert "?Le damos la bienvenida" in out  # in a terminal without «
    [ended] = [r for r in journal(tmp_path) if r["event"] == "CallEnded"]
    assert (ended["outcome"], ended["by"]) == ("abandoned", "caller")
    assert [r for r in journal(tmp_path) if r["call"]][-1]["event"] == "RecordingWritten"
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.sip
def test_a_call_goes_on_when_nobody_reads_the_transcript_any_longer(tmp_path):
    with demo(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("data folder")
        process.stdout.close()
        wait_for(tmp_path, "PromptEnded")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == "ivr-sim: interrupted, hanging up\n"
        process.wait(20)
    assert process.returncode == 130
    assert [r["outcome"] for r in journal(tmp_path) if r["event"] == "CallEnded"] == ["abandoned"]


def test_what_cannot_be_run_is_exit_2(tmp_path):
    a_file = tmp_path / "file"
    a_file.write_text("")
    for args in (
        ["demo", "--data", a_file / "below"],
        ["demo", "--fault", "rain"],
        ["replay", tmp_path, "--json", tmp_path / "nowhere" / "report.json"],
    ):
        done = ivr_sim(*args)
        assert done.returncode == 2, args
        assert "Traceback" not in done.stderr
        assert done.stderr.strip()
    for path in (tmp_path / "nowhere", tmp_path):
        done = ivr_sim("replay", path, "--data", tmp_path.with_name("data"))
        assert done.returncode == 2, path
        assert done.stderr == ""
        assert f"reason    {path}: " in done.stdout
        assert "0 passed, 0 failed, 1 errors" in done.stdout
    assert list(tmp_path.iterdir()) == [a_file]


def test_an_unknown_language_names_the_known_ones():
    done = ivr_sim("demo", "--language", "fr-FR")
    assert done.returncode == 2
    assert "'en-US', 'es-MX'" in done.stderr


def test_a_folder_made_here_keeps_itself_out_of_git(tmp_path):
    made = open_data_folder(tmp_path / "a" / "b")
    assert (made / ".gitignore").read_text() == "*\n"


def test_a_folder_that_was_there_stays_as_it_is(tmp_path):
    assert open_data_folder(tmp_path) == tmp_path
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(ConfigurationError, match=f"the folder {tmp_path} cannot be written"):
        open_data_folder(tmp_path)


def test_two_demos_of_one_second_have_a_folder_each(tmp_path):
    names = [_fresh(tmp_path / "demo-20261123-120000").name for _ in range(3)]
    assert names == ["demo-20261123-120000", "demo-20261123-120000_2", "demo-20261123-120000_3"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_calls_go_on_when_standard_output_is_full(tmp_path):
    """All of them are held, the reports are whole, and that nothing was shown is an error."""
    calls = Path(__file__).parents[2] / "fixtures" / "calls"
    report = tmp_path / "report.json"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "replay", calls / "rejected.wav", "--json", report, "--data", tmp_path / "data"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.stderr == "ivr-sim: standard output cannot be written: No space left on device\n"
    assert done.returncode == 2
    assert json.loads(report.read_text())["counts"] == {"pass": 1, "fail": 0, "error": 0}
