"""`ivr-sim replay`: recorded calls through the IVR."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click

from ivr_sim.cli.running import Terminal, data_option, open_data_folder, run
from ivr_sim.harness import Replayer, find_labels
from ivr_sim.node import local_now
from ivr_sim.reports.verdict import CallVerdict


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--sip", is_flag=True, help="Place real calls with the recording as the caller's voice.")
@click.option(
    "--json", "report", type=click.File("w", encoding="utf-8", lazy=False), help="Write the verdicts here."
)
@data_option
def replay(paths: Sequence[Path], sip: bool, report: IO[str] | None, data: Path) -> None:
    """Replay recorded calls (WAV or NAME.call.yaml, or folders of them) and compare them to their labels.

    In virtual time, as fast as the machine can, unless --sip is given. Exit code 0 when all pass, 1 when
    one fails, 2 when one could not be run.
    """
    labels = find_labels(paths)
    started = local_now()
    terminal = Terminal(highlight=False, markup=False, soft_wrap=True)
    verdicts = run(lambda reactor: _replay(reactor, terminal, labels, open_data_folder(data), sip))
    counts = Counter[str](v.verdict for v in verdicts)
    worst = "error" if counts["error"] else "fail" if counts["fail"] else "pass"
    terminal.print(
        ", ".join(
            f"{counts[v]} {w}" for v, w in (("pass", "passed"), ("fail", "failed"), ("error", "errors"))
        )
    )
    if report is not None:
        whole = {
            "v": 1,
            "verdict": worst,
            "started": started.isoformat(timespec="seconds"),
            "counts": {v: counts[v] for v in ("pass", "fail", "error")},
            "calls": [v.as_json() for v in verdicts],
        }
        json.dump(whole, report, ensure_ascii=False, indent=1)
        report.write("\n")
    sys.exit({"pass": 0, "fail": 1, "error": 2}[worst])


async def _replay(
    reactor: Any, terminal: Terminal, labels: Sequence[Path], data: Path, sip: bool
) -> list[CallVerdict]:
    replayer = Replayer(reactor, data=data, sip=sip)
    try:
        verdicts = []
        for label in labels:
            verdict = await replayer.replay(label)
            _show(terminal, verdict)
            verdicts.append(verdict)
        return verdicts
    finally:
        await replayer.stop()


def _show(terminal: Terminal, verdict: CallVerdict) -> None:
    said = verdict.reason if verdict.verdict == "error" else f"{verdict.outcome}, {verdict.duration_s:.1f} s"
    terminal.print(f"{verdict.verdict:5}  {verdict.name}: {said}  [{verdict.wall_s:.2f} s]")
    if verdict.failure is not None:
        terminal.print(f"       {verdict.failure}")
