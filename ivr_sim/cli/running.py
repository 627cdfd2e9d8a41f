"""What the commands share: the data folder, and a coroutine run to its end on the reactor."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ivr_sim.errors import ConfigurationError

__all__ = ["data_option", "open_data_folder", "run"]

T = TypeVar("T")

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".ivr-sim"),
    show_default=True,
    envvar="IVR_SIM_DATA",
    help="The data folder: rendered prompts, and what calls leave behind.",
)


def open_data_folder(path: Path) -> Path:
    """Make the data folder, which keeps itself out of git. Raises ConfigurationError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        ignore = path / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"the data folder {path} cannot be written ({error.strerror}); name another with --data"
        ) from error
    return path.absolute()


def run(main: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Run ``main(reactor)`` on the reactor until it returns; its value, or its exception.

    Raises click.Abort when interrupted (Ctrl-C).
    """
    from twisted.internet import reactor as installed  # only where one is really run

    reactor: Any = installed
    results: list[T | Failure] = []

    def start() -> None:
        done = Deferred.fromCoroutine(main(reactor))
        done.addBoth(results.append)
        done.addBoth(lambda _: reactor.stop() if reactor.running else None)

    reactor.callWhenRunning(start)
    reactor.run()
    if not results:
        raise click.Abort
    result = results[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result
