"""`ivr-sim doctor` as people run it, and its exit codes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Any

import pytest
from click.testing import CliRunner

from ivr_sim.cli import cli
from ivr_sim.doctor import Check

command = import_module("ivr_sim.cli.doctor")  # by name, the command is found in its place
NAMES = [
    "Python", "packages", "data folder", "open files", "clock", "proxy", "container or WSL", "addresses",
    "firewall", "port SIP", "port authorizer", "port Openpay stand-in", "ports RTP", "prompts", "voice",
    "20 ms beat", "call to itself",
]  # fmt: skip


@pytest.mark.sip
def test_a_port_that_was_asked_for_is_taken(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        variables = {
            **os.environ,
            "TMPDIR": str(tmp_path),
            "HTTPS_PROXY": "http://user:hunter2@127.0.0.1:1",
            "IVR_SIM_SIP_PORT": str(port),
            "IVR_SIM_AUTHORIZER_PORT": "0",
            "IVR_SIM_OPENPAY_PORT": "0",
        }
        done = subprocess.run(
            [sys.executable, "-m", "ivr_sim", "doctor", "--data", "here"],
            capture_output=True, text=True, timeout=60, cwd=tmp_path, env=variables,
        )  # fmt: skip
    lines = done.stdout.splitlines()
    seen = {name: line[:4].strip() for line in lines for name in NAMES if line[5:].startswith(f"{name} ")}
    assert list(seen) == NAMES
    assert seen["port SIP"] == "fail"
    assert seen["proxy"] == "warn"
    assert seen["call to itself"] in ("ok", "warn")  # for which SIP takes any port
    assert f"UDP 127.0.0.1:{port} is taken" in done.stdout
    assert (done.returncode, done.stderr, "hunter2" in done.stdout) == (2, "", False)
    assert "mend these first" in lines[-1]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def found(monkeypatch) -> list[Check]:
    """What the doctor is to find, in no time."""
    checks: list[Check] = []

    async def examine(reactor: Any, settings: Any, data: Any, environ: Any, tell: Any) -> None:
        assert data.is_absolute()
        for check in checks:
            tell(check)

    def run(main: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        with pytest.raises(StopIteration):
            main(None).send(None)

    monkeypatch.setattr(command, "examine", examine)
    monkeypatch.setattr(command, "run", run)
    return checks


@pytest.mark.parametrize(
    ("states", "code", "last"),
    [
        (("ok", "ok"), 0, "calls work here; 0 of 2 warn"),
        (("warn", "ok"), 0, "calls work here; 1 of 2 warn"),
        (("warn", "fail"), 2, "1 of 2 fail, 1 warn: mend these first"),
    ],
)
def test_exit_codes(found, states, code, last):
    found += [Check(f"[bold]{n}", state, "seen", "Do.") for n, state in enumerate(states)]
    done = CliRunner().invoke(cli, ["doctor"])
    assert (done.exit_code, done.output.splitlines()[-1]) == (code, last)
    assert f"{states[0]:<5}[bold]0" in done.output
    assert "-> Do." in done.output


def test_a_setting_that_does_not_exist(found, monkeypatch):
    monkeypatch.setenv("IVR_SIM_SIPPORT", "5060")
    done = CliRunner().invoke(cli, ["doctor"])
    assert "did you mean 'sip_port'" in str(done.exception)
