"""The command as a whole: what every one of its commands does alike."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dtmf import generate, write_wav
from dtmf.cli import _COMMANDS, main

DTMF = [sys.executable, "-c", "from dtmf.cli import main; main()"]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    write_wav(tmp_path / "a.wav", generate("123", lead_ms=50), 8000)
    return tmp_path / "a.wav"


def test_help_tells_of_every_command() -> None:
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0
    lines = told.output.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == list(_COMMANDS)


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_has_help(command: str) -> None:
    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_a_command_that_is_not_there() -> None:
    told = CliRunner().invoke(main, ["dekode"])
    assert told.exit_code == 2
    assert "No such command 'dekode'" in told.output


def test_decoding_loads_no_more_than_it_needs(sound: Path) -> None:
    code = (
        "import sys\nfrom dtmf.cli import main\n"
        "assert 'numpy' not in sys.modules\n"
        f"try: main(['decode', {str(sound)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    digits, loaded = told.stdout.splitlines()
    assert digits.endswith(": 123")
    assert not {"scipy", "soundfile", "matplotlib", "PIL", "decimal", "ivr_sim"} & set(loaded.split())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full")
def test_output_that_cannot_be_written(sound: Path) -> None:
    with open("/dev/full", "w") as full:
        told = subprocess.run(
            [*DTMF, "decode", sound], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert told.returncode == 2
    assert told.stderr == "dtmf: the output: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_reader_that_has_seen_enough(sound: Path) -> None:
    out, into = os.pipe()
    os.close(out)
    try:
        told = subprocess.run(
            [*DTMF, "decode", sound, sound], stdout=into, stderr=subprocess.PIPE, text=True, timeout=60
        )
    finally:
        os.close(into)
    assert (told.returncode, told.stderr) == (141, "")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt(sound: Path) -> None:
    # Standard input that stays open keeps it waiting; that it has read the first file says it is there.
    with subprocess.Popen(
        [*DTMF, "decode", sound, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever starts the tests in the background has them, and what they start, ignore this signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith(": 123\n")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
