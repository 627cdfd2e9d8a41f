"""`ivr-sim report`: one zip of what a call left, and the summary to paste."""

from __future__ import annotations

from pathlib import Path

import click

from ivr_sim.cli.running import data_option
from ivr_sim.reports import bundle, find_call


@click.command()
@click.argument("call")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The zip to be written.  [default: ivr-sim-call-NUMBER.zip]",
)
@data_option
def report(call: str, output: Path | None, data: Path) -> None:
    """Make one zip of a served call, for a bug report.

    CALL is a call's number as `ivr-sim serve` shows it, or `last`. The summary, to be pasted into the
    report, goes to standard output. Neither holds a digit of a card. Exit code 2 when there is no such call.
    """
    folder = find_call(data / "calls", call)
    target = output or Path(f"ivr-sim-call-{folder.name}.zip")
    summary = bundle(folder, target)
    click.echo(summary, nl=False)
    click.echo(f"ivr-sim: all of it is in {target}", err=True)
