"""The house that ``fuzz.py`` attacks, in a process of its own: an exchange, and an IVR line that takes calls.

It writes its ports, then for each line on its standard input what it weighs, as JSON; it ends with its input.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from memory import GROWTH, grown, measure
from twisted.internet import reactor as _reactor
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineOnlyReceiver

from ivr_sim import logs
from ivr_sim.media import FRAME_SAMPLES, MediaEngine, Samples
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.user_agent import Session, UserAgent

__all__ = ["ACCOUNTS", "DOMAIN", "KEY", "LEVEL", "LINE", "LOOPBACK", "USER", "Weight", "judged"]

reactor: Any = _reactor

LOOPBACK = "127.0.0.1"
DOMAIN = "fuzz.test"
LINE, USER = "ivr", "ana"
ACCOUNTS = {LINE: "secret-line", USER: "secret-user"}
KEY = "5"
LEVEL = 8000


@dataclass(frozen=True)
class Weight:
    """What a process holds: see ``Memory``; transactions, calls: the exchange's tables."""

    found: int
    trimmed: int
    blocks: int
    transactions: int
    calls: int


def judged(at_rest: Sequence[Weight]) -> list[str]:
    """Print what the child weighed after each round, and give what grew from the first to the last."""
    wrong = []
    for what, unit, bar in (
        ("found", 2**20, None), ("trimmed", 2**20, GROWTH), ("blocks", 1000, GROWTH),
        ("transactions", 1, None), ("calls", 1, None),
    ):  # fmt: skip
        wrong += grown(what, [getattr(weight, what) for weight in at_rest], unit=unit, bar=bar)
    return wrong


def weigh(exchange: Exchange) -> Weight:
    return Weight(*measure(), len(exchange._layer), len(exchange._calls))


class Voice:
    """Says a constant level; hangs up when the key is pressed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._frame = np.full(FRAME_SAMPLES, LEVEL, np.int16)

    def tick(self, heard: Samples) -> Samples | None:
        return self._frame

    def key_down(self, digit: str, method: str, start: float) -> None:
        pass

    def key_up(self, digit: str, *more: object) -> None:
        if digit == KEY:
            self._session.hang_up()


def answer(session: Session) -> None:
    if session.caller == USER:
        session.answer(Voice(session))
    else:
        session.reject(603)


class Scales(LineOnlyReceiver):
    """Weighs whenever asked; stops with its standard input."""

    delimiter = b"\n"

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  Twisted's name
        print(json.dumps(asdict(weigh(self._exchange))), flush=True)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802  Twisted's name
        if reactor.running:
            reactor.stop()


def main() -> None:
    logs.configure("ERROR")
    exchange = Exchange(reactor, host=LOOPBACK, domain=DOMAIN, accounts=ACCOUNTS, lines=[LINE])
    exchange.start()
    engine = MediaEngine(reactor, host=LOOPBACK)
    engine.start()
    hub = Address(LOOPBACK, exchange.port)
    line = UserAgent(reactor, engine, server=hub, username=LINE, password=ACCOUNTS[LINE], on_call=answer)

    def up(result: object) -> None:
        print(json.dumps({"exchange": exchange.port, "phone": line.port}), flush=True)

    line.start().addCallback(up)
    StandardIO(Scales(exchange))
    reactor.run()


if __name__ == "__main__":
    main()
