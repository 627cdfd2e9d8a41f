"""PyPI's receivers of key tones, in an environment of their own (one of them is called dtmf, as ours is).

The environment is made when it is absent, in ``~/.cache/ivr-sim/peers`` or below ``XDG_CACHE_HOME``; they
are not made anew for each run, and nothing of ours is installed there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dtmf.bench import Cost

__all__ = ["PACKAGES", "measure", "prepare"]

PACKAGES = {"pydtmf": "1.0.0", "dtmf": "1.1.0", "opentone": "0.1.2"}
_RUNNER = Path(__file__).with_name("pypi_runner.py")
_INSTALL_S, _RUN_S = 120, 120


def prepare() -> tuple[Path | None, str]:
    """The Python of the environment, which is made if need be; None, and why, if that cannot be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ivr-sim" / "peers"
    wanted = [f"{name}=={version}" for name, version in PACKAGES.items()]
    folder = cache / "-".join([f"py{sys.version_info.major}.{sys.version_info.minor}", *wanted]).replace(
        "==", "_"
    )
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (folder / "complete").exists() and python.exists():
        return python, ""
    try:
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
        subprocess.run(install, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
    except subprocess.CalledProcessError as error:
        why = (error.stderr or "").strip().splitlines() or [str(error)]
        return None, f"PyPI's receivers cannot be installed: {why[-1]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"PyPI's receivers cannot be installed: {error}"
    (folder / "complete").touch()
    return python, ""


def measure(python: Path, package: str, samples: npt.NDArray[np.int16], folder: Path) -> Cost:
    """What decoding samples (n,), 8 kHz, costs, once: without starting Python, imports, reading the file."""
    tape = folder / "tape.wav"
    with wave.open(os.fspath(tape), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())
    ran = subprocess.run(
        [python, "-I", _RUNNER, package, tape], capture_output=True, text=True, timeout=_RUN_S, check=False
    )
    if ran.returncode:
        last = (ran.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise RuntimeError(f"{package}: {last}")
    said = json.loads(ran.stdout)
    return Cost((said["seconds"],), said["digits"])
