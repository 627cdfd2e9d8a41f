"""The wheel in an empty environment, away from the checkout: the command pays."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.sip
@pytest.mark.timeout(300)
def test_pip_install_and_demo(tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    # Compiling all of scipy to run one command would take longer than all the rest.
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), str(ROOT)], check=True, timeout=240)
    work = tmp_path / "elsewhere"
    work.mkdir()
    command = python.with_name("ivr-sim")
    done = subprocess.run(
        [str(command), "demo", "--out", "result"], cwd=work, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "verdict:   approved" in done.stdout
    assert done.stderr == ""
    assert {p.name for p in (work / "result").iterdir()} == {".gitignore", "call-0001.wav", "journal.jsonl"}
    assert "4111111111111111" not in (work / "result" / "journal.jsonl").read_text()
    for tool in ("dtmf", "authorizer"):
        assert subprocess.run([str(python.with_name(tool)), "--help"], capture_output=True).returncode == 0
