"""`ivr-sim call` as a command: checked, placed, and at an IVR in another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from ivr_sim.cli import cli

SCENARIOS = Path(__file__).parents[2] / "fixtures" / "scenarios"
HURRY = SCENARIOS / "rejected-in-a-hurry.call.yaml"
BESIDE = {"IVR_SIM_AUTHORIZER_PORT": "0", "IVR_SIM_OPENPAY_PORT": "0"}


@pytest.fixture
def invoke(tmp_path) -> Callable[..., tuple[int, str]]:
    """The command without a process of its own: for what places no call."""

    def invoke(*arguments: object, **environment: str) -> tuple[int, str]:
        words = ["call", *map(str, arguments), "--data", str(tmp_path / "data")]
        done = CliRunner().invoke(cli, words, env=environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            return 2, str(done.exception)
        return done.exit_code, done.output

    return invoke


@pytest.fixture
def command(tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ivr_sim", "call", *map(str, arguments), "--data", tmp_path / "data"],
            capture_output=True, text=True, timeout=90, cwd=tmp_path, check=False,
        )  # fmt: skip

    return command


@pytest.fixture
def state(tmp_path) -> Iterator[Path]:
    """The state file of an `ivr-sim serve` in another process."""
    state = tmp_path / "state.json"
    arguments = ["serve", "--sip-port", "0", "--state", state, "--data", tmp_path / "theirs"]
    with subprocess.Popen(
        [sys.executable, "-m", "ivr_sim", *arguments, "--", sys.executable, "-c", "input('up\\n')"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **BESIDE},
    ) as serving:  # fmt: skip
        assert serving.stdout is not None
        try:
            # The command beside it starts when everything listens; it ends, and all with it, at our end.
            told = "".join(iter(serving.stdout.readline, "up\n"))
            assert state.exists(), told
            yield state
        finally:
            with suppress(ProcessLookupError):
                serving.send_signal(signal.SIGTERM)
            serving.communicate(timeout=30)


def test_a_folder_is_checked_without_a_call(invoke):
    code, said = invoke(SCENARIOS, "--check")
    assert (code, "calls can be placed" in said) == (0, True)


def test_what_is_wrong_with_a_file_is_told_with_its_line_and_what_to_write(invoke, tmp_path):
    bad = tmp_path / "bad.call.yaml"
    bad.write_text("version: 1\nsteps:\n  - hear: ask_keys\n", encoding="utf-8")
    code, said = invoke(bad, HURRY, "--check")
    assert code == 2
    assert f"{bad}:3: " in said
    assert "did you mean ask_key?" in said
    assert "1 calls can be placed" in said


def test_the_schema_is_printed(invoke):
    code, said = invoke("--schema")
    assert (code, json.loads(said)["type"]) == (0, "object")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Missing argument"),
        ((HURRY, "--user", "1001"), "--to"),
        ((HURRY, "--to", "sip:5000@127.0.0.1"), "--user"),
        ((HURRY, "--to", "sip:5000@127.0.0.1", "--user", "1001"), "IVR_SIP_PASSWORD"),
        ((HURRY, "--to", "5000"), "sip:NUMBER@HOST"),
        ((HURRY, "--to", "sip:127.0.0.1"), "names no number"),
        ((HURRY, "--state", "none.json"), "none.json cannot be read"),
    ],
)
def test_what_cannot_be_called_is_exit_2(invoke, options, said):
    code, told = invoke(*options)
    assert code == 2
    assert said in told


def test_what_is_no_state_file_is_exit_2(invoke, tmp_path):
    (tmp_path / "state.json").write_text('{"v": 1, "sip": {"host": "127.0.0.1"}}', encoding="utf-8")
    code, told = invoke(HURRY, "--state", tmp_path / "state.json")
    assert (code, "is not the state file" in told) == (2, True)


@pytest.mark.sip
def test_calls_of_our_own_leave_verdicts_and_what_cannot_be_read_is_one_of_them(command, tmp_path):
    (tmp_path / "bad.call.yaml").write_text("version: 2\n", encoding="utf-8")
    red = HURRY.read_text(encoding="utf-8").replace("outcome: rejected", "outcome: declined")
    (tmp_path / "red.call.yaml").write_text(red, encoding="utf-8")
    done = command(HURRY, "red.call.yaml", "bad.call.yaml", "--by", "info", "--json", "v.json")
    assert done.returncode == 2, done.stderr
    assert "1 passed, 1 failed, 1 errors; seed 1" in done.stdout
    report = json.loads((tmp_path / "v.json").read_text())
    assert report["command"] == "call"
    calls = {call["name"]: call for call in report["calls"]}
    assert calls["rejected-in-a-hurry"]["verdict"] == "pass"
    failure = calls["red"]["failure"]
    assert (failure["step"], failure["expected"]) == ("outcome", "declined")
    assert failure["heard"].startswith("rejected")
    assert (failure["file"], failure["line"]) == ("red.call.yaml", 7)
    assert "bad.call.yaml:1" in calls["bad"]["reason"]


@pytest.mark.sip
def test_the_same_scenario_passes_at_an_ivr_in_another_process(command, state, tmp_path):
    done = command(HURRY, "--state", state, "--json", "v.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not judged, since the IVR is not ours: expect.entries" in done.stdout
    (call,) = json.loads((tmp_path / "v.json").read_text())["calls"]
    assert (call["verdict"], call["outcome"]) == ("pass", "rejected")
    assert [prompt["name"] for prompt in call["prompts"]] == ["welcome", "amount", "rejected"]
