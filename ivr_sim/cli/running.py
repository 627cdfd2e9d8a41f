"""What the commands share: the data folder, the terminal, and a coroutine run to its end on the reactor."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

import click
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.python.failure import Failure

from ivr_sim.errors import ConfigurationError
from ivr_sim.settings import load

__all__ = [
    "Terminal",
    "data_option",
    "open_data_folder",
    "open_private",
    "run",
]

T = TypeVar("T")
FAREWELL = 10.0  # seconds that calls under way have to end when a command is interrupted

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=lambda: load({}, os.environ)[0].data,  # of ivr-sim.toml, where there is one
    show_default=".ivr-sim",
    envvar="IVR_SIM_DATA",
    help="The data folder: rendered prompts, and what calls leave behind.",
)


class Terminal(Console):
    """Standard output for people. When nobody reads it any longer (``| head``), the call still goes on.

    So it does when it cannot be written (a full disk): then that is said, and ``unwritten`` is true.
    """

    unwritten = False

    def print(self, *objects: Any, **more: Any) -> None:
        """Print, as long as that can be done."""
        try:
            super().print(*objects, **more)
        except OSError as error:
            self.unwritten = True
            self.on_broken_pipe()
            click.echo(f"ivr-sim: standard output cannot be written: {error.strerror}", err=True)

    def on_broken_pipe(self) -> None:
        """Print no more; rich's own way is to end the process, in mid-call."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def open_data_folder(path: Path) -> Path:
    """Make the folder, unless it is there; one that is made here keeps itself out of git.

    Returns its absolute path. Raises ConfigurationError when it cannot be written.
    """
    try:
        missing = not path.is_dir()
        path.mkdir(parents=True, exist_ok=True)
        if missing:
            (path / ".gitignore").write_text("*\n", encoding="utf-8")
        elif not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(None, "no permission")
    except OSError as error:
        raise ConfigurationError(
            f"the folder {path} cannot be written ({error.strerror}); name another with --data or --out"
        ) from error
    return path.absolute()


def open_private(path: Path) -> IO[str]:
    """A text file to be written anew, readable by its owner only: a journal holds payment keys."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    file = open(path, "w", encoding="utf-8", opener=opener)  # noqa: SIM115  the caller closes it
    path.chmod(0o600)  # it may have been there, with other rights
    return file


def run(
    main: Callable[[Any], Coroutine[Any, Any, T]], *, told: str = "ivr-sim: interrupted, hanging up"
) -> T:
    """Run ``main(reactor)`` on the reactor until it returns; its value, or its exception.

    Ctrl-C (or SIGTERM) cancels main at whatever it waits for, so that its ``finally`` hangs up; it has ten
    seconds for that, or until the next Ctrl-C; ``told`` says so. Then SystemExit is raised with the shell's
    code, 130 (143).
    """
    from twisted.internet import reactor as installed  # only where one is really run

    reactor: Any = installed
    results: list[T | Failure] = []
    signals: list[int] = []

    def start() -> None:
        done = Deferred.fromCoroutine(main(reactor))
        for number in (signal.SIGINT, signal.SIGTERM):  # the reactor's own handlers would only stop it
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda n, _: reactor.callFromThread(interrupt, n, done))
        done.addBoth(results.append)
        done.addBoth(lambda _: stop())

    def interrupt(number: int, done: Deferred[None]) -> None:
        signals.append(number)
        if len(signals) > 1:
            stop()
            return
        with suppress(OSError):  # nobody reads it any longer
            click.echo(told, err=True)
        reactor.callLater(FAREWELL, stop)
        done.cancel()

    def stop() -> None:
        if reactor.running:
            with suppress(ReactorNotRunning):  # it stops already
                reactor.stop()

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    reactor.callWhenRunning(start)
    try:
        reactor.run()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if signals or not results:
        raise SystemExit(128 + (signals or [signal.SIGTERM])[0])
    result = results[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result
