"""The keeper of one line process: starts it, asks whether it lives, and starts it again when it does not.

    start -> [starting] -- Ready --> [up] -- ended, or no Pong for 5 s --> [down] -- 0.2..10 s --> [starting]
                 |                                                           |
                 +-- not ready in 60 s, NotStarted, ended ------------------>+-- 7 in a row --> [given up]

What lived for a minute begins to count anew. A line that says itself that it cannot start, and never did,
is given up at once: what it says will be as true the next time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from ivr_sim.errors import IvrSimError
from ivr_sim.lines.message import NotStarted, Ping, Pong, Ready, Stop
from ivr_sim.pipes import CHILD_FDS, Frames, child_command, framed, how_it_ended

__all__ = ["LineGivenUp", "LineKeeper"]

log = structlog.get_logger(__name__)

COMMAND = child_command("ivr_sim.lines.worker")
# Of the environment, what a line is told by its pipe, if at all.
SECRETS = ("IVR_AUTHORIZER_PASSWORD", "IVR_OPENPAY_KEY", "IVR_SIM_REGISTER_PASSWORD")

BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before the next try; then it is given up
START = 60.0  # seconds in which a line has to be ready
PING = 1.0  # seconds between two questions whether it lives
SILENT = 5  # questions without an answer after which it does not; seconds would blame it for our own sleep
STABLE = 60.0  # seconds of life after which earlier deaths do not count
PARTING = 9.0  # seconds that a line has to end when it is told to


class LineGivenUp(IvrSimError):
    """A line process that ended again and again, and why it did so last."""


class LineKeeper:
    """Keeps one line's process up.

    reactor: IReactorTime and IReactorProcess. line: its name. order: makes the first message of each
    process. on_message(message): hears all that the line says but about itself; on_up(pid); on_down(why,
    again_in): it is gone, and will be started again in so many seconds; None: it will not.
    """

    def __init__(
        self,
        reactor: Any,
        line: str,
        *,
        order: Callable[[], Any],
        on_message: Callable[[Any], None],
        on_up: Callable[[int], None],
        on_down: Callable[[str, float | None], None],
    ) -> None:
        self.line = line
        self.state: Literal["new", "starting", "up", "down", "given up", "stopped"] = "new"
        self._reactor = reactor
        self._order = order
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._process: _Process | None = None
        self._deaths = 0
        self._up_since = 0.0
        self._pings = self._answered = 0  # numbers of the last question, and of the last answer
        self._why: str | None = None  # why it is about to end, where we know better than its exit code
        self._refused = False  # it said itself that it cannot start
        self._timer: Any = None
        self._first: Deferred[None] | None = None
        self._stopped: Deferred[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs."""
        return None if self._process is None else self._process.transport.pid

    def start(self) -> Deferred[None]:
        """Start the process; fires when the line is ready, fails with LineGivenUp."""
        self._first = Deferred()
        self._spawn()
        return self._first

    def stop(self) -> Deferred[None]:
        """Have the process end politely; fires when it has ended, killed after nine seconds."""
        stopped: Deferred[None] = Deferred()
        self._cancel_timer()
        self.state = "stopped"
        if self._first is not None:
            first, self._first = self._first, None
            first.errback(CancelledError())
        if self._process is None:
            stopped.callback(None)
            return stopped
        self._stopped = stopped
        self.send(Stop())
        self._timer = self._reactor.callLater(PARTING, self._process.kill)
        return stopped

    def send(self, message: Any) -> None:
        """Tell the process something, if there is one."""
        if self._process is not None:
            self._process.transport.write(framed(message))

    def _spawn(self) -> None:
        self.state, self._why, self._refused = "starting", None, False
        self._process = _Process(self._heard, self._ended)
        env = {name: value for name, value in os.environ.items() if name not in SECRETS}
        env["OPENBLAS_NUM_THREADS"] = "1"
        try:
            self._reactor.spawnProcess(self._process, COMMAND[0], COMMAND, env=env, childFDs=CHILD_FDS)
        except OSError as error:  # no more processes or files, for now
            self._down(f"it could not be started: {error.strerror}")
            return
        self.send(self._order())
        self._timer = self._reactor.callLater(START, self._kill, f"it was not ready within {START:g} s")

    def _heard(self, message: Any) -> None:
        match message:
            case Pong(number):
                self._answered = number
            case Ready():
                if self.state == "starting":
                    self._ready()
            case NotStarted(why):
                self._why, self._refused = why, True
            case _:
                self._on_message(message)

    def _ready(self) -> None:
        self.state = "up"
        self._up_since = self._reactor.seconds()
        self._answered = self._pings
        self._cancel_timer()
        self._ask()
        assert self._process is not None
        self._on_up(self._process.transport.pid)
        if self._first is not None:
            first, self._first = self._first, None
            first.callback(None)

    def _ask(self) -> None:
        if self._pings - self._answered >= SILENT:
            self._kill(f"it did not answer for {SILENT * PING:g} s")
            return
        self._pings += 1
        self.send(Ping(self._pings))
        self._timer = self._reactor.callLater(PING, self._ask)

    def _kill(self, why: str) -> None:
        self._why = why
        if self._process is not None:
            self._process.kill()

    def _ended(self, how: str) -> None:
        self._process = None
        self._cancel_timer()
        if self._stopped is not None:
            stopped, self._stopped = self._stopped, None
            stopped.callback(None)
            return
        self._down(self._why or how)

    def _down(self, why: str) -> None:
        self._process = None
        if self.state == "up" and self._reactor.seconds() - self._up_since >= STABLE:
            self._deaths = 0
        if self._deaths == len(BACKOFF) or (self._refused and self._first is not None):
            self.state = "given up"
            self._on_down(why, None)
            if self._first is not None:
                first, self._first = self._first, None
                first.errback(LineGivenUp(f"the line {self.line} could not be started: {why}"))
            return
        wait = BACKOFF[self._deaths]
        self._deaths += 1
        self.state = "down"
        self._timer = self._reactor.callLater(wait, self._spawn)
        self._on_down(why, wait)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class _Process(ProcessProtocol):
    """The parent's end of the pipe."""

    transport: Any = None

    def __init__(self, on_message: Callable[[Any], None], on_end: Callable[[str], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._frames = Frames()

    def kill(self) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:  # noqa: N802
        for message in self._frames.feed(data):
            self._on_message(message)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802
        self._on_end(how_it_ended(reason))
