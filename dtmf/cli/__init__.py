"""The ``dtmf`` command: one thin module per command, each loaded only when it is called."""

from __future__ import annotations

import importlib
import io
import sys

import click

__all__ = ["main"]

# In the order of the help. Each is a module of this package that holds its click command as ``command``.
_COMMANDS = ("decode", "encode")


class _Group(click.Group):
    """A group that imports a command when it is asked for: decoding does not wait for what plotting needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"dtmf.cli.{cmd_name}").command
        return command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Telephone key tones (DTMF): hear them in recordings, or make some."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the sign must not end the command
