"""multimon-ng, the decoder of radio amateurs, as a program beside us (Debian: apt install multimon-ng)."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dtmf.bench import Cost

__all__ = ["RATE", "installed", "measure", "version"]

RATE = 22050  # the only one that it takes


def installed() -> bool:
    return shutil.which("multimon-ng") is not None


def version() -> str:
    said = subprocess.run(["multimon-ng", "-h"], capture_output=True, text=True, timeout=10, check=False)
    return (said.stderr or said.stdout).split("\n", 1)[0]


def measure(samples: npt.NDArray[np.int16], *, rounds: int) -> Cost:
    """What decoding samples (n,), 8 kHz, costs its process; converting them to its rate is not counted."""
    from scipy.signal import resample_poly

    converted = resample_poly(samples.astype(np.float32), RATE // 50, 8000 // 50)
    sound = np.clip(np.round(converted), -32768, 32767).astype("<i2")
    seconds, text = [], ""
    with tempfile.TemporaryDirectory() as folder:
        tape, heard = Path(folder) / "tape.raw", Path(folder) / "heard"
        tape.write_bytes(sound.tobytes())
        for _ in range(rounds):
            with heard.open("wb") as out:
                process = subprocess.Popen(
                    ["multimon-ng", "-q", "-n", "-t", "raw", "-a", "DTMF", os.fspath(tape)],
                    stdout=out,
                    stderr=subprocess.DEVNULL,
                )
                _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise RuntimeError(f"multimon-ng ended with {process.returncode}")
            seconds.append(usage.ru_utime + usage.ru_stime)
        text = heard.read_text("ascii", errors="replace")
    return Cost(tuple(seconds), digits_of(text))


def digits_of(text: str) -> str:
    """The digits in what it prints: a line ``DTMF: 5`` for each."""
    return "".join(line[6:7] for line in text.splitlines() if line.startswith("DTMF: "))
