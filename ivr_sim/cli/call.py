"""`ivr-sim call`: scenarios as real calls over SIP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ivr_sim.cli.reporting import Reporting, report_options
from ivr_sim.cli.running import data_option, open_data_folder, run
from ivr_sim.harness.elsewhere import PASSWORD, elsewhere
from ivr_sim.harness.many import hold_all, unreadable
from ivr_sim.harness.place import Placer
from ivr_sim.harness.planning import seeded
from ivr_sim.harness.reading import BadScenario, find_cases
from ivr_sim.harness.scenario import Case
from ivr_sim.harness.schema import schema as schema_for_editors
from ivr_sim.harness.visit import Visitor
from ivr_sim.journal import KeyMethod
from ivr_sim.node import local_now
from ivr_sim.reports import Run

SEED = 1


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--to", metavar="sip:NUMBER@HOST[:PORT]", help="Call somebody else's IVR instead of our own.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Call the IVR of this `serve --state` file: its address, accounts and payment keys.",
)
@click.option("--user", help=f"The account to call with; its password from {PASSWORD}.")
@click.option(
    "--by",
    type=click.Choice(["rfc4733", "info", "inband"]),
    help="The way of keying, of steps that name none.  [default: the scenario's]",
)
@click.option("--at-once", type=click.IntRange(1, 20), default=4, show_default=True, help="Calls at a time.")
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Of all that is drawn.  [default: the scenario's]"
)
@click.option("--check", is_flag=True, help="Only say what is wrong with the files; place no call.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of the files, for editors.")
@data_option
@report_options
def call(
    paths: Sequence[Path],
    to: str | None,
    state: Path | None,
    user: str | None,
    by: KeyMethod | None,
    at_once: int,
    seed: int | None,
    check: bool,
    schema: bool,
    data: Path,
    reporting: Reporting,
) -> None:
    """Place the calls of scenarios (NAME.call.yaml, or folders of them), and judge what comes of them.

    Each call has an IVR and a merchant of its own on loopback. With --to or --state it goes to somebody
    else's, and is judged by what the caller hears. Exit code 0 when all pass, 1 when one fails, 2 when one
    could not be run.
    """
    if schema:
        click.echo(json.dumps(schema_for_editors(), indent=1, ensure_ascii=False))
        return
    if not paths:
        raise click.UsageError("Missing argument 'PATHS...': scenarios, or folders of them.")
    cases, wrong = _planned(paths)
    if check:
        for problem in wrong.problems if wrong else ():
            click.echo(str(problem), err=True)
        click.echo(f"{len(cases)} calls can be placed")
        sys.exit(0 if cases and not wrong else 2)
    bad = unreadable(wrong) if wrong else []
    if seed is not None:
        cases = seeded(cases, seed)
    data = open_data_folder(data)
    started = local_now()

    there = elsewhere(to, state, user, os.environ)

    async def hold(reactor: Any) -> None:
        placer: Placer | Visitor = (
            Placer(reactor, data=data, artefacts=reporting.artefacts, by=by)
            if there is None
            else Visitor(reactor, there, data=data, artefacts=reporting.artefacts, by=by)
        )
        reporting.planned(len(cases) + len(bad))
        for verdict in bad:
            reporting.finished(verdict)
        try:
            held = await hold_all(cases, placer.place, at_once=at_once, reporter=reporting)
        finally:
            if isinstance(placer, Visitor):
                await placer.stop()
        reporting.ended(Run("call", started, SEED if seed is None else seed, [*bad, *held]))
        for verdict in held:
            if verdict.verdict == "pass" and verdict.reason:
                click.echo(f"{verdict.name}: {verdict.reason}")

    run(hold)
    sys.exit(reporting.exit_code)


def _planned(paths: Sequence[Path]) -> tuple[list[Case], BadScenario | None]:
    """The calls that can be placed, and what is wrong with the others."""
    try:
        return find_cases(paths), None
    except BadScenario as wrong:
        return list(wrong.cases), wrong
