"""A command that is run before each call: it provisions the payment key at somebody else's authorizer."""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.scenario import Given

__all__ = ["run_before"]

SECONDS = 60.0
SHELL = ("cmd.exe", "/c") if os.name == "nt" else ("/bin/sh", "-c")


async def run_before(reactor: Any, command: str, given: Given) -> None:
    """Run a command of the shell's, and wait for its end, for a minute at the most.

    It gets the key, the amount and the order as JSON on standard input, ``{"ivr_key": "123456", "amount":
    "200.00", "order_id": "ord-1"}``, and in its environment as IVR_KEY, AMOUNT and ORDER_ID. Raises
    ConfigurationError when it does not end with 0.
    """
    told = {"ivr_key": given.key, "amount": str(given.amount), "order_id": given.order_id}
    process = _Command(json.dumps(told).encode() + b"\n")
    env = {**os.environ, "IVR_KEY": given.key, "AMOUNT": told["amount"], "ORDER_ID": given.order_id}
    transport = reactor.spawnProcess(process, SHELL[0], [*SHELL, command], env=env)
    timer = reactor.callLater(SECONDS, process.give_up)
    try:
        failed = await process.over
    finally:
        if timer.active():
            timer.cancel()
        if transport.pid is not None:
            transport.signalProcess("KILL")
    if failed is not None:
        raise ConfigurationError(f"the command before the call failed ({failed}): {process.last_words}")


class _Command(ProcessProtocol):
    """Writes to a command, and keeps the end of what it says."""

    def __init__(self, told: bytes) -> None:
        self._told = told
        self._said = b""
        self._late = False
        self.over: Deferred[str | None] = Deferred()

    @property
    def last_words(self) -> str:
        """The last line that it wrote."""
        lines = self._said.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else "it said nothing"

    def give_up(self) -> None:
        """It takes too long."""
        self._late = True
        transport: Any = self.transport
        transport.signalProcess("KILL")

    def connectionMade(self) -> None:  # noqa: N802
        transport: Any = self.transport
        transport.write(self._told)
        transport.closeStdin()

    def outReceived(self, data: bytes) -> None:  # noqa: N802
        self._said = (self._said + data)[-4000:]

    errReceived = outReceived  # noqa: N815

    def processEnded(self, reason: Any) -> None:  # noqa: N802
        if self._late:
            self.over.callback(f"no end within {SECONDS:g} s")
        elif isinstance(reason.value, ProcessDone):
            self.over.callback(None)
        else:
            ended = reason.value
            code = f"signal {ended.signal}" if ended.signal else f"exit code {ended.exitCode}"
            self.over.callback(code)
