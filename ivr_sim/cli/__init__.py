"""The command `ivr-sim`: one thin module per command."""

from __future__ import annotations

import io
import os
import sys

# numpy's threads fight with the 20 ms beat for the cores, and win nothing on frames of 160 samples.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click

from authorizer import AuthorizerError
from ivr_sim import __version__
from ivr_sim.cli.call import call
from ivr_sim.cli.charges import charges
from ivr_sim.cli.config import config
from ivr_sim.cli.demo import demo
from ivr_sim.cli.doctor import doctor
from ivr_sim.cli.record import record
from ivr_sim.cli.replay import replay
from ivr_sim.cli.report import report
from ivr_sim.cli.running import forbid_core_dumps
from ivr_sim.cli.serve import serve
from ivr_sim.errors import IvrSimError
from ivr_sim.logs import configure

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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


cli.add_command(call)
cli.add_command(charges)
cli.add_command(config)
cli.add_command(demo)
cli.add_command(doctor)
cli.add_command(record)
cli.add_command(replay)
cli.add_command(report)
cli.add_command(serve)


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
