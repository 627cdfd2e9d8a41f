"""What goes on beside `serve`: a command that it was given, and the key press that makes a payment key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from authorizer import AuthorizerError
from ivr_sim.errors import ConfigurationError
from ivr_sim.served import Served, fresh_key

__all__ = ["Companion", "at_terminal", "fresh_keys"]

PATIENCE = 5.0  # seconds that a command has to end when it is told to


class Companion(ProcessProtocol):
    """A command on our terminal; ``IVR_SIM_STATE`` in its environment names the state file."""

    def __init__(self, reactor: Any, command: Sequence[str], state: Path | None) -> None:
        self._reactor = reactor
        self._command = list(command)
        self._state = state
        self._ended: Deferred[int] = Deferred()
        self._over: Deferred[int] = Deferred()
        self._process: Any = None

    async def run(self) -> int:
        """Run it to its end; its exit code, 128 + N after signal N.

        Cancelled, it is asked to end, and made to after five seconds; its exit code is returned all the same.

        Raises ConfigurationError when there is no such command.
        """
        environment = {**os.environ, "IVR_SIM_STATE": str(self._state)}
        found = _find(self._command[0], environment.get("PATH", os.defpath))
        if found is None:
            raise ConfigurationError(f"there is no command {self._command[0]!r}")
        self._process = self._reactor.spawnProcess(
            self, found, self._command, env=environment, childFDs={0: 0, 1: 1, 2: 2}
        )
        try:
            return await self._ended
        except CancelledError:
            self._signal("TERM")
            killing = self._reactor.callLater(PATIENCE, self._signal, "KILL")
            code = await self._over
            if killing.active():
                killing.cancel()
            return code

    def processEnded(self, reason: Failure) -> None:  # noqa: N802  Twisted's name
        """It has ended."""
        value: Any = reason.value
        code = value.exitCode if value.exitCode is not None else 128 + (value.signal or 0)
        self._over.callback(code)
        if not self._ended.called:
            self._ended.callback(code)

    def _signal(self, name: str) -> None:
        with suppress(ProcessExitedAlready):
            self._process.signalProcess(name)


def at_terminal() -> bool:
    """Whether somebody can press keys for us."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def _find(name: str, path: str) -> str | None:
    from shutil import which

    return which(name, path=path)


def fresh_keys(reactor: Any, terminal: Console, served: Served, *, interactive: bool) -> Callable[[], None]:
    """Make a payment key whenever Enter is pressed, where somebody sits at the terminal; returns its end."""
    if served.standing is None or not interactive or not at_terminal():
        return lambda: None
    reader = _Enter(lambda: _show_fresh(terminal, served), lambda: reactor.removeReader(reader))
    reactor.addReader(reader)
    return lambda: reactor.removeReader(reader)


def _show_fresh(terminal: Console, served: Served) -> None:
    try:
        key = fresh_key(served.merchant)
    except AuthorizerError as error:
        terminal.print(f"no fresh payment key: {error}", style="red")
        return
    terminal.print(f"fresh payment key [bold]{key.key}[/bold]: {key.amount} MXN, order {key.order_id}")


class _Enter:
    """Standard input, as the reactor reads it."""

    def __init__(self, pressed: Callable[[], None], ended: Callable[[], None]) -> None:
        self._pressed = pressed
        self._ended = ended

    def fileno(self) -> int:
        """For the reactor."""
        return sys.stdin.fileno()

    def logPrefix(self) -> str:  # noqa: N802
        """For the reactor."""
        return "stdin"

    def doRead(self) -> None:  # noqa: N802
        """A line was entered."""
        if os.read(self.fileno(), 4096):
            self._pressed()
        else:
            self._ended()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """For the reactor."""
