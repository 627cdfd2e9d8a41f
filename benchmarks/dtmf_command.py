"""What ``dtmf decode`` costs as people run it: a process, start and all, on files of an hour and a second.

    python benchmarks/dtmf_command.py [--rounds N]

User and system time of the whole process, best and median; beside it what Python and numpy cost before
anything of ours is loaded, and which heavy modules come in with ``dtmf.decode``: none but numpy may.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dtmf.bench import TapeName, heard_of, synthetic_voice, tape
from dtmf.wav import write_wav

HEAVY = ("numpy", "scipy", "soundfile", "matplotlib", "PIL", "click", "flask", "twisted")
MAIN = "from dtmf.cli import main; main()"


def cost(arguments: list[str], rounds: int) -> tuple[list[float], str]:
    """Seconds of processor time of a Python process in each round, and what it printed."""
    spent, said = [], ""
    # As a user has it: without the settings that benchmarks make for themselves.
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    with tempfile.TemporaryFile() as out:
        for _ in range(rounds):
            out.seek(0)
            out.truncate()
            process = subprocess.Popen([sys.executable, *arguments], stdout=out, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
            spent.append(usage.ru_utime + usage.ru_stime)
        out.seek(0)
        said = out.read().decode()
    return spent, said


def row(what: str, spent: list[float], more: str = "") -> None:
    print(f"{what:44}{1e3 * min(spent):8.0f}{1e3 * statistics.median(spent):8.0f}   {more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    voice = synthetic_voice()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors; milliseconds of processor time")
    print(f"{'':44}{'best':>8}{'median':>8}")
    row("python, nothing imported", cost(["-c", "pass"], rounds)[0])
    row("import numpy", cost(["-c", "import numpy"], rounds)[0])
    for what in ("import dtmf", "import dtmf; dtmf.decode"):
        spent, said = cost(["-c", f"{what}; import json, sys; print(json.dumps(list(sys.modules)))"], rounds)
        modules = json.loads(said)
        heavy = sorted({name.partition(".")[0] for name in modules} & set(HEAVY))
        row(what, spent, f"{len(modules)} modules; of the heavy ones: {', '.join(heavy) or 'none'}")
    row("dtmf --help", cost(["-c", MAIN, "--help"], rounds)[0])
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds, rate in _FILES:
            recording = tape(name, voice, seconds=seconds)
            samples = recording.samples if rate == 8000 else np.repeat(recording.samples, rate // 8000)
            file = Path(folder) / f"{name}-{seconds}.wav"
            write_wav(file, samples, rate)
            spent, said = cost(["-c", MAIN, "decode", "--json", os.fspath(file)], rounds)
            found, more = heard_of(recording.digits, json.loads(said)["digits"])
            label = f"dtmf decode, {seconds} s, {name}, {rate // 1000} kHz"
            row(label, spent, f"{found}/{len(recording.digits)} digits, {more} false")
            file.unlink()


_FILES: tuple[tuple[TapeName, int, int], ...] = (
    ("call", 3600, 8000),
    ("dense", 3600, 8000),
    ("speech", 1, 8000),
    ("dense", 900, 48000),
)


if __name__ == "__main__":
    main()
