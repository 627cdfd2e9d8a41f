"""The exchange of a load run, in a process of its own: prints its port, serves until its input ends.

With a share of loss on its command line, that share of all SIP datagrams is lost in either direction.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(1, str(Path(__file__).parents[1]))

from memory import measure
from twisted.internet import reactor, stdio
from twisted.internet.protocol import Protocol

from ivr_sim import logs
from ivr_sim.garbage_collection import GarbageCollection
from ivr_sim.sip.exchange import Exchange

ACCOUNTS = {"caller": "caller", "line": "line"}


class LossyPorts:
    """The reactor, but that datagrams are lost on all UDP ports."""

    def __init__(self, loss: float, seed: int) -> None:
        self._loss = loss
        self._chance = Random(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def listenUDP(self, port: int, protocol: Any, **more: Any) -> Any:  # noqa: N802  Twisted's name
        receive = protocol.datagramReceived

        def lossy(data: bytes, source: Any) -> None:
            if self._chance.random() >= self._loss:
                receive(data, source)

        protocol.datagramReceived = lossy
        listening = reactor.listenUDP(port, protocol, **more)  # type: ignore[attr-defined]
        write = listening.write

        def lossy_write(data: bytes, destination: Any) -> None:
            if self._chance.random() >= self._loss:
                write(data, destination)

        listening.write = lossy_write
        return listening


class Life(Protocol):
    """Serves as long as the input is open; says what it holds whenever something is written to it."""

    def connectionMade(self) -> None:  # noqa: N802  Twisted's name
        """Start."""
        on = LossyPorts(LOSS, SEED) if LOSS else reactor
        self.exchange = Exchange(on, accounts=ACCOUNTS, lines=["line"])
        self.exchange.start()
        GarbageCollection(reactor, lambda: bool(self.exchange.calls)).start()
        self.transport.write(f"{self.exchange.port}\n".encode())  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        """Weigh."""
        held = {"transactions": len(self.exchange._layer), "calls": len(self.exchange._calls)}
        told = {**measure()._asdict(), **held, "files": len(os.listdir("/proc/self/fd"))}
        self.transport.write(json.dumps(told).encode() + b"\n")  # type: ignore[union-attr]

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802  Twisted's name
        """Stop."""
        self.exchange.stop().addBoth(lambda _: reactor.stop())  # type: ignore[attr-defined]


if __name__ == "__main__":
    core, LOSS, SEED = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, {core})
    logs.configure()
    stdio.StandardIO(Life())
    reactor.run()  # type: ignore[attr-defined]
