"""The ``dtmf`` command: one thin module per command, each loaded only when it is called."""

from __future__ import annotations

import importlib
import io
import os
import sys

import click

from dtmf.errors import DtmfError

__all__ = ["main"]

# numpy is not loaded yet. Its threads win nothing on products as narrow as ours, and burn four times the CPU.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# In the order of the help. Each is a module of this package that holds its click command as ``command``.
_COMMANDS = ("decode", "encode", "check", "plot", "grid", "bench")
_NOT_DONE, _INTERRUPTED, _PIPE_CLOSED = 2, 130, 141  # the latter as a shell names ends by a signal


class _Group(click.Group):
    """A group that imports a command when it is asked for: decoding does not wait for what plotting needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"dtmf.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has seen enough; what is left of it must not complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(_PIPE_CLOSED)
        except DtmfError as error:
            click.echo(f"dtmf: {error}", err=True)
            ctx.exit(_NOT_DONE)
        except OSError as error:
            where = error.filename or "the output"  # a full disk behind it, most likely
            click.echo(f"dtmf: {where}: {error.strerror or error}", err=True)
            ctx.exit(_NOT_DONE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Telephone key tones (DTMF): hear them in recordings, or make some."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the sign must not end the command
