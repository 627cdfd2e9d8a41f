"""`ivr-sim replay`: recorded calls through the IVR."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ivr_sim.cli.reporting import Reporting, report_options
from ivr_sim.cli.running import data_option, open_data_folder, run
from ivr_sim.harness.many import hold_all, unreadable
from ivr_sim.harness.reading import BadScenario, find_cases
from ivr_sim.harness.replay import Manner, Replayer
from ivr_sim.node import local_now
from ivr_sim.reports import Run


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--sip", is_flag=True, help="Place real calls with the recording as the caller's voice.")
@data_option
@report_options
def replay(paths: Sequence[Path], sip: bool, data: Path, reporting: Reporting) -> None:
    """Replay recorded calls (WAV or NAME.call.yaml, or folders of them) and compare them to their labels.

    In virtual time, as fast as the machine can, unless --sip is given. Exit code 0 when all pass, 1 when
    one fails, 2 when one could not be run.
    """
    try:
        cases, bad = find_cases(paths), []
    except BadScenario as wrong:
        cases, bad = list(wrong.cases), unreadable(wrong)
    data = open_data_folder(data)
    started = local_now()

    async def hold(reactor: Any) -> None:
        replayer = Replayer(reactor, Manner(data=data, sip=sip, artefacts=reporting.artefacts))
        reporting.planned(len(cases) + len(bad))
        for verdict in bad:
            reporting.finished(verdict)
        try:
            held = await hold_all(cases, replayer.verdict, at_once=4, reporter=reporting)
        finally:
            await replayer.stop()
        reporting.ended(Run("replay", started, 1, [*bad, *held]))

    run(hold)
    sys.exit(reporting.exit_code)
