"""`ivr-sim record` as a command; what it keeps of calls is in tests/harness/test_record.py."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "ivr_sim", "record", "--sip-port", "0"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("IVR_SIM_AUTHORIZER_PORT", "IVR_SIM_OPENPAY_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_until_it_is_told_to_stop(folder):
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C ends" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert "key test cards only" in said + out
    assert not (folder / "calls").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "a/b"], "cannot name a file"),
        (["--name", "mine"], "choose another --name"),
        (["--calls", "0"], "--calls"),
    ],
)
def test_what_cannot_be_recorded(folder, arguments, said):
    (folder / "calls").mkdir()
    (folder / "calls" / "mine.call.yaml").touch()
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_somebody_elses_authorizer(folder, monkeypatch):
    """No replay could ask it."""
    monkeypatch.setenv("IVR_SIM_AUTHORIZER", "http://127.0.0.1:1/x")
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "its own authorizer" in done.stderr
