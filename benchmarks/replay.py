"""How many recorded calls `ivr-sim replay` holds in a minute, and what each costs.

    python benchmarks/replay.py [--calls 1000] [--workers N] [--runs 1] [--hog] [--folder DIR]

The calls are those of fixtures/calls, each with a payment key and an order of its own and one of 50 amounts,
keyed anew at the same times and levels. They are made once per folder; the first run, which is not counted,
renders their prompts. Reports are JSON and JUnit. Printed: calls per second, how much faster than the calls
themselves, processor time per call of all processes, the largest process, the machine's load. With --hog a
process beside it takes a core; of several runs it is said whether all verdicts, prompts and entries agree.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from dtmf.wave_format import wav_bytes
from ivr_sim.harness.reading import read_scenario
from ivr_sim.harness.tape import read_caller, with_key
from ivr_sim.legs import CallerTape

FIXTURES = Path(__file__).parents[1] / "fixtures" / "calls"
AMOUNTS = [f"{n * n * 37 % 90000 / 100 + 1:.2f}" for n in range(1, 51)]


def make(folder: Path, calls: int) -> None:
    """Write the recordings and labels that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = sorted(FIXTURES.glob("*.call.yaml"))
    read = {path: read_scenario(path)[0] for path in labels}
    tapes = {path: CallerTape(read_caller(case.wav)) for path, case in read.items() if case.wav}
    for number in range(calls):
        path = labels[number % len(labels)]
        name, key = f"call-{number:05}", str(200_000 + number)
        if (folder / f"{name}.call.yaml").exists():
            continue
        old = read[path].scenario.given.key
        tape = tapes[path] if path.name.startswith("silence") else with_key(tapes[path], old, key)
        (folder / f"{name}.wav").write_bytes(wav_bytes(tape.samples, 8000, "mulaw"))
        text = path.read_text().replace(f'"{old}"', f'"{key}"')
        text = re.sub(r"(?m)^wav: .*$", f"wav: {name}.wav", text)
        text = text.replace('"200.00"', f'"{AMOUNTS[number % len(AMOUNTS)]}"')
        (folder / f"{name}.call.yaml").write_text(text.replace("ord-1", f"ord-{number}"))


def replay(folder: Path, data: Path, workers: int) -> tuple[dict[str, Any], float, float, float]:
    """One run: its report, seconds on the wall and of the processor, MB of the largest process."""
    report = data / "report.json"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ivr_sim", "replay", folder, "--data", data, "--workers", str(workers),
         "--keep", "none", "--json", report, "--junit", data / "report.xml"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout[-2000:])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(report.read_text()), wall, cpu, after.ru_maxrss / 1024


def story(report: dict[str, Any]) -> list[Any]:
    """What must be the same each time."""
    return [{name: call[name] for name in call if name != "wall_s"} for call in report["calls"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--hog", action="store_true")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ivr-sim-bench-") as temporary:
        folder = options.folder or Path(temporary)
        calls, data = folder / f"calls-{options.calls}", folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        make(calls, options.calls)
        _, wall, cpu, _ = replay(calls, data, options.workers)
        print(f"first run, with what must be rendered: {wall:.1f} s, processor {cpu:.1f} s")
        stories = []
        for _ in range(options.runs):
            hog = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if options.hog else None
            try:
                report, wall, cpu, largest = replay(calls, data, options.workers)
            finally:
                if hog is not None:
                    hog.kill()
                    hog.wait()
            stories.append(story(report))
            lasted, number = sum(call["duration_s"] for call in report["calls"]), options.calls
            print(
                f"{number} calls of {lasted / number:.1f} s in {wall:.1f} s by {options.workers} workers: "
                f"{number / wall:.1f} calls/s, {lasted / wall:.0f} times real time; processor "
                f"{1000 * cpu / number:.0f} ms a call; largest process {largest:.0f} MB; "
                f"load {os.getloadavg()[0]:.1f}"
            )
        if len(stories) > 1:
            print("all runs tell the same" if stories.count(stories[0]) == len(stories) else "RUNS DIFFER")


if __name__ == "__main__":
    main()
