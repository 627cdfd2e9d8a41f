"""`ivr-sim doctor`: whether this machine carries calls, and what to do where it does not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from ivr_sim.cli.running import Terminal, run
from ivr_sim.doctor import Check, examine
from ivr_sim.settings import load

COLOURS = {"ok": "green", "warn": "bold yellow", "fail": "bold red"}
WIDTH = 21  # of the longest name


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings, instead of ivr-sim.toml."
)
@click.option(
    "--lan", is_flag=True, default=None, help="Examine it for telephones in the network, as serve --lan does."
)
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="The data folder.  [default: .ivr-sim]"
)
def doctor(config: Path | None, **flags: Any) -> None:
    """Examine this machine for serve: each line says what was seen and, where needed, what to do.

    Takes some ten seconds, with a call of its own to itself. Exit code 0 when calls work, 2 when something
    fails.
    """
    settings, _ = load(flags, os.environ, config)
    terminal = Terminal(highlight=False, soft_wrap=True)
    checks: list[Check] = []

    def tell(check: Check) -> None:
        checks.append(check)
        _show(terminal, check)

    run(lambda reactor: examine(reactor, settings, settings.data.absolute(), os.environ, tell))
    failed, warned = (sum(check.state == state for check in checks) for state in ("fail", "warn"))
    terminal.print()
    if failed:
        terminal.print(f"[bold red]{failed} of {len(checks)} fail[/], {warned} warn: mend these first")
    else:
        terminal.print(f"[bold green]calls work here[/]; {warned} of {len(checks)} warn")
    sys.exit(2 if failed else 0)


def _show(terminal: Terminal, check: Check) -> None:
    line = Text(f"{check.state:<5}", style=COLOURS[check.state])
    line.append(f"{check.name:<{WIDTH}} ", style="bold").append(check.what, style="default")
    terminal.print(line)
    if check.advice:
        terminal.print(Text(f"     {'':<{WIDTH}} -> {check.advice}"))
