"""The command `ivr-sim`: one thin module per command, each loaded only when it is called."""

from __future__ import annotations

import importlib
import io
import os
import sys

# numpy's threads fight with the 20 ms beat for the cores, and win nothing on frames of 160 samples.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click

from authorizer import AuthorizerError
from ivr_sim import __version__
from ivr_sim.cli.core_dumps import forbid_core_dumps
from ivr_sim.errors import IvrSimError
from ivr_sim.logs import configure

__all__ = ["main"]

# In the order of the help. Each is a module of this package that holds its click command by the same name.
COMMANDS = ("call", "charges", "config", "demo", "doctor", "record", "replay", "report", "serve")


class _Group(click.Group):
    """A group that imports a command when it is asked for: `config` does not wait for what calls need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"ivr_sim.cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="ivr-sim")
@click.option(
    "--log-level",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
    default="WARNING",
    show_default=True,
    envvar="IVR_SIM_LOG_LEVEL",
    help="How much of the log goes to standard error.",
)
def cli(log_level: str) -> None:
    """An IVR simulator and telephony test harness for payments by telephone with Openpay."""
    configure(log_level)


def main() -> None:
    """Run the command; what cannot be run ends with one sentence and exit code 2."""
    forbid_core_dumps()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ñ or « must not end a call
    try:
        cli(standalone_mode=True)
    except (IvrSimError, AuthorizerError) as error:
        click.echo(f"ivr-sim: {error}", err=True)
        sys.exit(2)
