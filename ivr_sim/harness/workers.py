"""Replays in processes of their own, each with its reactor: all cores, and a crash costs only its calls.

this process                        worker
 |-- manner, then cases (pickled) ----->|  ``worker.main``: some calls at a time
 |<-- number and what it came to -------|
 |-- end of the pipe ------------------>|  ends when its calls are over
"""

from __future__ import annotations

import os
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Protocol

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol

from ivr_sim.call import phrase
from ivr_sim.errors import IvrSimError
from ivr_sim.harness.many import error_of
from ivr_sim.harness.replay import Manner, Replayed, Replayer
from ivr_sim.harness.scenario import Case
from ivr_sim.node import SHOP
from ivr_sim.pipes import CHILD_FDS, Frames, child_command, framed, how_it_ended

__all__ = ["AT_ONCE", "Crew", "Holder"]

log = structlog.get_logger(__name__)

AT_ONCE = 4  # calls that a worker holds at a time: while one waits for HTTP, others go on
AT_ONCE_SIP = 8  # in real time they mostly wait
PARTING = 5.0  # seconds that a worker has to end when it is asked to
STILLBORN = 2  # workers in a row that ended before their first answer: then no more are started
COMMAND = child_command("ivr_sim.harness.worker")


class Holder(Protocol):
    """Whoever replays calls."""

    def replay(self, case: Case) -> Awaitable[Replayed]:
        """Replay one call; raises nothing."""
        ...

    async def stop(self) -> None:
        """No more calls come."""
        ...


class Crew:
    """Replays calls in up to ``workers`` processes.

    A prompt that says an amount is rendered here, before the call that needs it goes out: so each is
    rendered once, not once by each worker. log_level: the workers'.
    """

    def __init__(self, reactor: Any, manner: Manner, *, workers: int, log_level: str = "WARNING") -> None:
        self._reactor = reactor
        self._manner = manner
        self._most = workers
        self._here = Replayer(reactor, manner)
        self._workers: list[_Worker] = []
        self._env = {**os.environ, "IVR_SIM_LOG_LEVEL": log_level, "OPENBLAS_NUM_THREADS": "1"}
        self._stillborn = 0
        self.at_once = workers * (AT_ONCE_SIP if manner.sip else AT_ONCE)

    @property
    def processes(self) -> list[int]:
        """The workers' process ids."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    async def replay(self, case: Case) -> Replayed:
        """Have one call replayed; it is an ``error`` where its worker ends before it is over."""
        began = self._reactor.seconds()
        try:
            await self._warm(case)
        except IvrSimError as failed:  # the call itself will say what that means for it
            log.info("a prompt was not rendered beforehand", call=case.name, why=str(failed))
        if self._stillborn >= STILLBORN:
            return Replayed(error_of(case, "no worker process could be started; the log says why"))
        worker = min(self._workers, key=lambda worker: worker.busy, default=None)
        if worker is None or (worker.busy and len(self._workers) < self._most):
            worker = self._started()
        try:
            return await worker.replay(case)
        except _WorkerEnded as ended:
            why = f"the worker process that held it ended: {ended}"
            return Replayed(error_of(case, why, self._reactor.seconds() - began))

    async def stop(self) -> None:
        """End the workers, and the voices."""
        for worker in list(self._workers):
            await worker.stop()
        await self._here.stop()

    async def _warm(self, case: Case) -> None:
        given = case.scenario.given
        library = self._here.prompts(case.scenario.language)
        for said in (
            phrase("welcome", merchant=SHOP),
            phrase("amount", amount=given.amount, currency="MXN", description=given.description),
        ):
            await library.sound(said)

    def _started(self) -> _Worker:
        worker = _Worker(self._reactor, self._ended)
        self._workers.append(worker)
        self._reactor.spawnProcess(worker, COMMAND[0], COMMAND, env=self._env, childFDs=CHILD_FDS)
        worker.send(self._manner)
        return worker

    def _ended(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._stillborn = 0 if worker.answered else self._stillborn + 1


class _WorkerEnded(IvrSimError):
    """A worker ended, with calls under way."""


class _Worker(ProcessProtocol):
    """One process; busy: how many calls it holds."""

    transport: Any = None

    def __init__(self, reactor: Any, on_end: Any) -> None:
        self._reactor = reactor
        self._on_end = on_end
        self._frames = Frames()
        self._waiting: dict[int, Deferred[Replayed]] = {}
        self._sent = 0
        self._ended: Deferred[None] = Deferred()
        self._over = False
        self.answered = False

    @property
    def busy(self) -> int:
        return len(self._waiting)

    @property
    def pid(self) -> int | None:
        return self.transport.pid if self.transport is not None else None

    def send(self, message: Any) -> None:
        self.transport.write(framed(message))

    def replay(self, case: Case) -> Deferred[Replayed]:
        self._sent += 1
        number = self._sent
        done: Deferred[Replayed] = Deferred(lambda _: self._forget(number))
        self._waiting[number] = done
        self.send((number, case))
        return done

    def _forget(self, number: int) -> None:
        self._waiting.pop(number, None)

    async def stop(self) -> None:
        if self._over:
            return
        self.transport.closeStdin()
        timer = self._reactor.callLater(PARTING, self._kill)
        await self._ended
        if timer.active():
            timer.cancel()

    def _kill(self) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def outReceived(self, data: bytes) -> None:  # noqa: N802
        for number, replayed in self._frames.feed(data):
            self.answered = True
            done = self._waiting.pop(number, None)
            if done is not None:
                done.callback(replayed)

    def processEnded(self, reason: Any) -> None:  # noqa: N802
        self._over = True
        self._on_end(self)
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done.errback(_WorkerEnded(how_it_ended(reason)))
        self._ended.callback(None)
