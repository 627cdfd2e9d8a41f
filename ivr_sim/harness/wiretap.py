"""What one placed call leaves at the line: records, sound, SIP messages, HTTP exchanges, when keys were down.

It stands where a served call has its folder (``node.CallKeeper``), and keeps all in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ivr_sim.http_exchange import HttpExchange
from ivr_sim.journal import CallAnswered, CallOffered, Journal, KeyMethod, Record
from ivr_sim.key_mask import Span
from ivr_sim.media import Samples
from ivr_sim.reports.ladder import SipMessage, call_id_of, read_sip
from ivr_sim.sip.transport import Address

__all__ = ["Wiretap"]

MOST = 5000  # SIP messages


class Wiretap:
    """Listens in on the one call of a node.

    reactor: IReactorTime. records: the call's. zero: the answer, on the reactor's clock. exchanges: each with
    its beginning in seconds since the answer. masks: when secret keys were down, and when published ones.
    heard: what came from the caller, on the clock of the masks, which what a telephone sent is not.
    """

    def __init__(self, reactor: Any, journal: Journal) -> None:
        self._reactor = reactor
        self._call: str | None = None
        self._call_id: str | None = None
        self._sip: list[SipMessage] = []
        self._http: list[tuple[float, HttpExchange]] = []
        self.records: list[Record] = []
        self.masks: tuple[Sequence[Span], Sequence[Span]] = ((), ())
        self._heard: list[Samples] = []
        self.zero = reactor.seconds()
        journal.subscribe(self._read)

    @property
    def heard(self) -> Samples:
        """What the line heard: int16, shape (n,), 8 kHz, from the answer on."""
        return np.concatenate([np.zeros(0, np.int16), *self._heard])

    @property
    def messages(self) -> list[SipMessage]:
        """The SIP messages of the call, as the exchange saw them."""
        return [message for message in self._sip if message.call_id == self._call_id]

    @property
    def exchanges(self) -> list[tuple[float | None, HttpExchange]]:
        """The requests to the authorizer and to Openpay."""
        return [(start - self.zero, exchange) for start, exchange in self._http]

    @property
    def requests(self) -> Mapping[str, int]:
        """How many requests each service got."""
        return Counter(exchange.service for _, exchange in self._http)

    def tape(self, name: str) -> _Tape:
        """Who is told what is heard and when keys were down, for ``Node``'s ``tapes``."""
        return _Tape(self)

    # What a node tells ------------------------------------------------------------------------------

    def new(self) -> str:
        """The call's name."""
        return "0001"

    def recording(self, name: str) -> Path | None:
        """None: what is kept of a call, its verdict decides."""
        return None

    def sip(self, direction: str, data: bytes, peer: Address) -> None:
        """A datagram that the exchange received or sent."""
        if len(self._sip) < MOST and call_id_of(data) is not None:
            message = read_sip(direction, data, peer, self._reactor.seconds())
            if message is not None:
                self._sip.append(message)

    def http(self, exchange: HttpExchange) -> None:
        """A request that is over."""
        self._http.append((self._reactor.seconds() - exchange.ms / 1000, exchange))

    def keep(self, samples: Samples) -> None:
        """What the line heard next."""
        self._heard.append(samples.copy())

    async def stop(self) -> None:
        """The call is over."""

    def _read(self, record: Record) -> None:
        event = record.event
        if self._call is None and isinstance(event, CallOffered):
            self._call, self._call_id = record.call, event.call_id
        if record.call is None or record.call != self._call:
            return
        self.records.append(record)
        if isinstance(event, CallAnswered):
            self.zero = self._reactor.seconds()


class _Tape:
    """Keeps what was heard, and when keys were down; never which."""

    def __init__(self, tap: Wiretap) -> None:
        self._tap = tap

    def heard(self, samples: Samples) -> None:
        """20 ms of the caller."""
        self._tap.keep(samples)

    def key_down(self, digit: str, method: KeyMethod, start: float) -> None:
        """Not kept."""

    def key_up(self, duration_ms: int) -> None:
        """Not kept."""

    def over(self, secret: Sequence[Span], published: Sequence[Span]) -> None:
        """The call has ended."""
        self._tap.masks = secret, published
