"""A voice that is no engine, a reactor that starts no process, and a way to await without a reactor."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import Clock

from ivr_sim.prompts import Catalogue, Library


class FakeVoice:
    """Gives every text a sound of its own; says nothing until ``release`` while ``held``."""

    name = "fake-1"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.held = False
        self.error: Exception | None = None
        self._waiting: list[Deferred[None]] = []

    async def render(self, text: str) -> Any:
        self.texts.append(text)
        if self.held:
            gate: Deferred[None] = Deferred()
            self._waiting.append(gate)
            await gate
        if self.error is not None:
            raise self.error
        seed = sum(ord(sign) * i for i, sign in enumerate(text, 1)) % 5000
        return np.arange(seed, seed + 320, dtype=np.int16)

    def release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for gate in waiting:
            gate.callback(None)


class FakeProcess:
    """The transport of a child process that does only what the test says."""

    def __init__(self, protocol: Any, command: list[str]) -> None:
        self.protocol = protocol
        self.command = command
        self.written = b""
        self.killed = False
        self.stdin_closed = False
        self.exited = False

    def write(self, data: bytes) -> None:
        self.written += data

    def closeStdin(self) -> None:  # noqa: N802
        self.stdin_closed = True

    def signalProcess(self, name: str) -> None:  # noqa: N802
        if self.exited:
            raise ProcessExitedAlready
        assert name == "KILL"
        self.killed = True

    def exit(self) -> None:
        """Be gone, as Twisted tells it: the pipe first, then the process."""
        self.exited = True
        self.protocol.outConnectionLost()
        self.protocol.processEnded(None)


class FakeReactor(Clock):
    """Virtual time, and processes that are only written down."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.refuse: OSError | None = None

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], env: Any = None) -> None:  # noqa: N802
        if self.refuse is not None:
            raise self.refuse
        process = FakeProcess(protocol, args)
        self.processes.append(process)
        protocol.makeConnection(process)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture
def voice() -> FakeVoice:
    return FakeVoice()


@pytest.fixture
def processes() -> FakeReactor:
    return FakeReactor()


@pytest.fixture
def library(catalogue: Catalogue, voice: FakeVoice, tmp_path: Path) -> Library:
    return Library(catalogue, voice, cache=tmp_path / "cache")


class Outcome:
    """What a coroutine that was started gave, so far."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.deferred = ensureDeferred(coroutine)
        self.deferred.addCallbacks(self._done, self._failed)

    def _done(self, value: Any) -> None:
        self.value = value

    def _failed(self, failure: Any) -> None:
        self.error = failure.value

    @property
    def pending(self) -> bool:
        return not self.deferred.called


@pytest.fixture
def begin() -> Callable[[Coroutine[Any, Any, Any]], Outcome]:
    """Starts a coroutine; its outcome can be looked at at any time."""
    return Outcome


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine that never has to wait, and gives its value or raises its error."""

    def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
        outcome = Outcome(coroutine)
        assert not outcome.pending, "it waits for something"
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    return finish
