"""`ivr-sim config`: the settings that `serve` would have, and where each comes from."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ivr_sim.settings import load

SECRETS = ("IVR_SIM_REGISTER_PASSWORD", "IVR_AUTHORIZER_PASSWORD", "IVR_OPENPAY_KEY")


@click.command()
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings, instead of ivr-sim.toml.",
)
def config(file: Path | None) -> None:
    """Print the settings as TOML, each with where it comes from; passwords are masked."""
    settings, sources = load({}, os.environ, file)
    for name, value in settings.model_dump().items():
        if value is None:
            click.echo(f"# {name} is not set")
        else:
            click.echo(f"{name} = {_toml(value)}  # {sources.get(name, 'default')}")
    for name in SECRETS:
        click.echo(f"# {name}: {'set, not shown' if os.environ.get(name) else 'not set'} (environment only)")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
