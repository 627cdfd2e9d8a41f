"""Worker processes: what goes through the pipes, and what becomes of calls whose worker ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ivr_sim.pipes import Frames, framed

CALLS = Path(__file__).parents[2] / "fixtures" / "calls"


@pytest.mark.parametrize("size", [1, 3, 4096])
def test_messages_in_any_chunks(size):
    messages = ["", "x" * 5000, {"a": [1, 2]}, None]
    data = b"".join(framed(message) for message in messages)
    frames = Frames()
    assert [m for at in range(0, len(data), size) for m in frames.feed(data[at : at + size])] == messages
    assert frames.feed(b"") == []


# A reactor of its own: children are only waited for by the main thread's.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from ivr_sim.harness import Manner, find_cases
from ivr_sim.harness import workers
from ivr_sim.harness.workers import Crew

folder, calls, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

async def main():
    cases = find_cases([calls])
    if how == "stillborn":
        workers.COMMAND = [sys.executable, "-c", "raise SystemExit(7)"]
    crew = Crew(reactor, Manner(data=folder), workers=2)
    held = [Deferred.fromCoroutine(crew.replay(case)) for case in cases[:4]]
    if how == "killed":
        while not crew.processes:
            pause = Deferred()
            reactor.callLater(0.01, pause.callback, None)
            await pause
        os.kill(crew.processes[0], signal.SIGKILL)
    came = [(await call).verdict for call in held]
    came += [(await crew.replay(case)).verdict for case in cases[4:6]]
    await crew.stop()
    assert crew.processes == []
    for verdict in came:
        print(verdict.name, verdict.verdict, verdict.reason, sep="|")

done = []
def start():
    Deferred.fromCoroutine(main()).addErrback(lambda f: f.printTraceback()).addBoth(lambda _: reactor.stop())
reactor.callWhenRunning(start)
reactor.run()
"""


def held(tmp_path: Path, how: str) -> list[list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(CALLS), how],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0
    lines = [line.split("|") for line in done.stdout.splitlines()]
    assert len(lines) == 6, done.stderr
    return lines


def test_a_worker_that_is_killed_costs_its_calls_and_no_others(tmp_path):
    came = held(tmp_path, "killed")
    lost = [call for call in came if call[1] == "error"]
    assert 1 <= len(lost) <= 3
    assert {reason for _, _, reason in lost} == {"the worker process that held it ended: signal 9"}
    assert {verdict for _, verdict, _ in came if verdict != "error"} == {"pass"}
    assert [verdict for _, verdict, _ in came[4:]] == ["pass", "pass"]


def test_workers_that_cannot_start_are_not_started_for_ever(tmp_path):
    came = held(tmp_path, "stillborn")
    assert {verdict for _, verdict, _ in came} == {"error"}
    assert "exit code 7" in came[0][2]
    assert came[-1][2] == "no worker process could be started; the log says why"
