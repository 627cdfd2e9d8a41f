"""`ivr-sim record` as a command; what it keeps of calls is in tests/harness/test_record.py."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ivr_sim.cli import cli
from ivr_sim.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("IVR_SIM_AUTHORIZER_PORT", "IVR_SIM_OPENPAY_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_until_it_is_told_to_stop(folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "ivr_sim", "record", "--sip-port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = ""
        while "key test cards only" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    assert not (folder / "calls").exists()


@pytest.mark.parametrize(
    ("name", "said"), [("a/b", "cannot name a file"), ("", "cannot name a file"), ("mine", "another --name")]
)
def test_names_that_cannot_be(folder, name, said):
    (folder / "calls").mkdir()
    (folder / "calls" / "mine.call.yaml").touch()
    with pytest.raises(ConfigurationError, match=said):
        CliRunner().invoke(cli, ["record", "--name", name], catch_exceptions=False)


def test_somebody_elses_authorizer(folder, monkeypatch):
    """No replay could ask it."""
    monkeypatch.setenv("IVR_SIM_AUTHORIZER", "http://127.0.0.1:1/x")
    with pytest.raises(ConfigurationError, match="its own authorizer"):
        CliRunner().invoke(cli, ["record"], catch_exceptions=False)
