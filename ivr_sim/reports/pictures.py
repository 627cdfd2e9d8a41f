"""Pictures of calls, drawn one at a time in child processes of low priority."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol

__all__ = ["Pictures"]

PROGRAM = Path(__file__).with_name("picture.py")
DRAWN = b"drawn"  # what it says when it has
MAX_WAITING = 50
MAX_SAID = 2000  # bytes of what a child complains of


class Pictures:
    """Draws what it is asked for, in order; what cannot be drawn is said in words, never raised.

    reactor: IReactorProcess and IReactorTime. timeout: seconds that one picture may take: ten minutes of
    call take about one. command: what to start instead of our program.
    """

    def __init__(self, reactor: Any, *, timeout: float = 60.0, command: Sequence[str] | None = None) -> None:
        self._reactor = reactor
        self._timeout = timeout
        # -P: the folder of the program's file is no place to import from.
        self._command = list(command or (sys.executable, "-P", str(PROGRAM)))
        self._waiting: deque[tuple[tuple[Path, Path, Path], Deferred[str | None]]] = deque()
        self._child: _Child | None = None
        self._stopped = False
        self._idle: list[Deferred[None]] = []

    def draw(self, journal: Path, recording: Path, picture: Path) -> Deferred[str | None]:
        """Draw the picture of a call; fires with None, or with why there is none."""
        if self._stopped:
            return succeed("ivr-sim stopped before it was drawn")
        if len(self._waiting) >= MAX_WAITING:
            return succeed(f"{MAX_WAITING} pictures wait to be drawn already")
        done: Deferred[str | None] = Deferred()
        self._waiting.append(((journal, recording, picture), done))
        self._next()
        return done

    def stop(self, seconds: float = 10.0) -> Deferred[None]:
        """Draw what waits, but for so long only; fires when no child is left."""
        gone: Deferred[None] = Deferred()
        if self._child is None:
            self._stopped = True
            return succeed(None)
        timer = self._reactor.callLater(seconds, self._give_up)
        self._idle.append(gone)

        def over(result: None) -> None:
            self._stopped = True
            if timer.active():
                timer.cancel()

        return gone.addCallback(over)

    def _give_up(self) -> None:
        self._stopped = True
        waiting, self._waiting = self._waiting, deque()
        for _, done in waiting:
            done.callback("ivr-sim stopped before it was drawn")
        if self._child is not None:
            self._child.kill("ivr-sim stopped before it was drawn")

    def _next(self) -> None:
        if self._child is not None:
            return
        if not self._waiting:
            idle, self._idle = self._idle, []
            for gone in idle:
                gone.callback(None)
            return
        paths, done = self._waiting.popleft()
        child = self._child = _Child(self._reactor, self._timeout)
        child.gone.addCallback(self._over, done)
        # numpy's threads would take the cores from the 20 ms beat.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        try:
            command = [*self._command, *map(str, paths)]
            self._reactor.spawnProcess(child, command[0], command, env=environment)
        except OSError as error:
            child.end(f"no process could be started: {error.strerror}")

    def _over(self, why: str | None, done: Deferred[str | None]) -> None:
        self._child = None
        done.callback(why)
        self._next()


class _Child(ProcessProtocol):
    """One picture being drawn; ``gone`` fires when its process has said all."""

    transport: Any

    def __init__(self, reactor: Any, timeout: float) -> None:
        self.gone: Deferred[str | None] = Deferred()
        self._timer = reactor.callLater(timeout, self.kill, f"it took more than {timeout:g} s")
        self._said = b""
        self._why: str | None = None
        self._drawn = False
        self._closed: set[str] = set()

    def kill(self, why: str) -> None:
        """End it; why: what to say of it."""
        self._why = self._why or why
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        """The child says that it is done."""
        self._drawn = self._drawn or DRAWN in data

    def errReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        """The child says why it cannot draw."""
        self._said = (self._said + data)[-MAX_SAID:]

    def outConnectionLost(self) -> None:  # noqa: N802  Twisted's name
        """It has said all; that it has exited, a reactor without signal handlers would never hear."""
        self._closed.add("out")
        self._told()

    def errConnectionLost(self) -> None:  # noqa: N802  Twisted's name
        """The same for its complaints."""
        self._closed.add("err")
        self._told()

    def _told(self) -> None:
        if len(self._closed) < 2:
            return
        said = self._said.decode("utf-8", "replace").strip().splitlines()
        self.end(None if self._drawn else self._why or (said[-1][:200] if said else "its process died"))

    def end(self, why: str | None) -> None:
        """Say how it ended."""
        if self._timer.active():
            self._timer.cancel()
        self.gone.callback(why)
