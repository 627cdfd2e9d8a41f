"""`ivr-sim serve` and `ivr-sim config` as commands."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

PORTS = {"IVR_SIM_AUTHORIZER_PORT": "0", "IVR_SIM_OPENPAY_PORT": "0"}
LOOK = (
    "import json, os, sys; p = os.environ['IVR_SIM_STATE']; s = json.load(open(p)); "
    "print('mode', oct(os.stat(p).st_mode & 0o777)); print('port', s['sip']['port']); sys.exit(7)"
)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ivr_sim", *arguments]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    for name, value in PORTS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_with_a_command_beside_it(folder):
    done = subprocess.run(
        command("serve", "--sip-port", "0", "--", sys.executable, "-c", LOOK),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert "mode 0o600" in done.stdout
    assert "Register a softphone" in done.stdout
    assert not (folder / ".ivr-sim" / "state.json").exists()


@pytest.mark.slow
def test_until_it_is_told_to_stop(folder):
    """A taken default port is told; the state is written when all listens, and goes at the end."""
    state = folder / "s.json"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        with suppress(OSError):  # somebody else has it: as good
            taken.bind(("127.0.0.1", 5060))
        process = subprocess.Popen(
            command("serve", "--state", str(state)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            until = time.monotonic() + 40
            while not state.exists() and process.poll() is None and time.monotonic() < until:
                time.sleep(0.1)
            read = json.loads(state.read_text())
            assert stat.S_IMODE(os.stat(state).st_mode) == 0o600
            assert read["sip"]["port"] != 5060
            with socket.create_connection(
                ("127.0.0.1", int(read["authorizer"]["url"].split(":")[2].split("/")[0]))
            ):
                pass
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 0, err
    assert "port 5060 is taken" in out
    assert not state.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sip-port", "TAKEN"], "cannot listen for SIP"),
        (["--authorizer", "https://a.example/x"], "--user"),
        (["--language", "fr"], "es-MX"),
        (["--sip-port", "0", "--", "no-such-command-here"], "no-such-command-here"),
        (["--config", "none.toml"], "cannot be read"),
    ],
)
def test_what_cannot_be_served(folder, arguments, said):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        arguments = [a.replace("TAKEN", str(taken.getsockname()[1])) for a in arguments]
        done = subprocess.run(
            command("serve", *arguments), capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_config_shows_where_settings_come_from_and_no_secret(folder):
    (folder / "ivr-sim.toml").write_text('shop = "La \\"Uno\\""\n')
    done = subprocess.run(
        command("config"), capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "IVR_OPENPAY_KEY": "sk_secret"},
    )  # fmt: skip
    assert 'shop = "La \\"Uno\\""  # ivr-sim.toml' in done.stdout
    assert "authorizer_port = 0  # the environment" in done.stdout
    assert "sk_secret" not in done.stdout
    assert "IVR_OPENPAY_KEY: set, not shown" in done.stdout


@pytest.mark.slow
def test_a_command_that_does_not_want_to_end(folder):
    """Told to end, and made to; what it ends with is what serve ends with."""
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('up', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        command("serve", "--sip-port", "0", "--", sys.executable, "-c", stubborn),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "up":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=25)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 128 + signal.SIGKILL


def test_who_cannot_start_leaves_anothers_state_alone(folder):
    state = folder / "s.json"
    state.write_text("another's")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            command("serve", "--sip-port", port, "--state", str(state)),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert state.read_text() == "another's"


@pytest.mark.parametrize("broken", ["state", "authorizer"])
def test_what_breaks_at_the_start_is_one_sentence(folder, broken):
    (folder / "file").touch()
    more = ["--state", "file/x"] if broken == "state" else []
    if broken == "authorizer":
        (folder / ".ivr-sim" / "merchant").mkdir(parents=True)
        (folder / ".ivr-sim" / "merchant" / "authorizer.sqlite3").write_bytes(b"no database" * 100)
    done = subprocess.run(
        command("serve", "--sip-port", "0", *more),
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("ivr-sim: ")
    assert "Traceback" not in done.stderr


def test_the_data_folder_of_the_settings_is_everybodys(folder):
    (folder / "ivr-sim.toml").write_text('data = "elsewhere"\n')
    done = subprocess.run(command("charges"), capture_output=True, text=True, timeout=60, check=True)
    assert "elsewhere" in done.stdout


@pytest.mark.slow
def test_without_an_input(folder):
    """Nobody presses Enter where there is none."""
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *command("serve", "--sip-port", "0"), "--", "true"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Press Enter" not in done.stdout
