"""A process that replays calls for another: see ``workers``."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from ivr_sim.errors import place
from ivr_sim.harness.many import error_of
from ivr_sim.harness.replay import Manner, Replayed, Replayer
from ivr_sim.harness.scenario import Case
from ivr_sim.logs import configure
from ivr_sim.pipes import Frames, framed, on_standard_pipes

__all__ = ["main"]

FAREWELL = 4.0  # seconds that calls under way have once nobody asks for more


class _Worker(Protocol):
    """Replays what comes; ends when nothing more comes."""

    transport: Any

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._frames = Frames()
        self._replayer: Replayer | None = None
        self._under_way = 0
        self._closing = False

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        for message in self._frames.feed(data):
            if isinstance(message, Manner):
                self._replayer = Replayer(self._reactor, message)
            else:
                self._replay(*message)

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802
        """Nobody asks any more."""
        self._closing = True
        self._reactor.callLater(FAREWELL, self._stop)
        self._look()

    def _replay(self, number: int, case: Case) -> None:
        assert self._replayer is not None
        self._under_way += 1

        def over(replayed: Replayed) -> None:
            self._under_way -= 1
            if not self._closing:
                self.transport.write(framed((number, replayed)))
            self._look()

        Deferred.fromCoroutine(_replayed(self._replayer, case)).addCallback(over)

    def _look(self) -> None:
        if not self._closing or self._under_way:
            return
        if self._replayer is None:
            self._stop()
        else:
            Deferred.fromCoroutine(self._replayer.stop()).addBoth(lambda _: self._stop())

    def _stop(self) -> None:
        if self._reactor.running:
            self._reactor.stop()


async def _replayed(replayer: Replayer, case: Case) -> Replayed:
    try:
        return await replayer.replay(case)
    except Exception as error:  # whoever asked waits for an answer, whatever it is
        return Replayed(error_of(case, f"internal error: {type(error).__name__} at {place(error)}"))


def main() -> None:
    """Serve standard input and output."""
    from twisted.internet import reactor as installed  # each process has its own

    reactor: Any = installed
    configure(os.environ.get("IVR_SIM_LOG_LEVEL", "WARNING"))
    reactor.callWhenRunning(on_standard_pipes, _Worker(reactor))
    reactor.run()
