"""Silence explained: watches exchange, calls and journal, and tells what does not work in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import Any, TypeVar

from ivr_sim.diagnosis.line_watch import LineWatch
from ivr_sim.diagnosis.telephones import Telephones
from ivr_sim.diagnosis.teller import Teller
from ivr_sim.journal import Journal
from ivr_sim.sip.crypto import SrtpUse
from ivr_sim.sip.exchange_event import ExchangeEvent, HostHeard, MessageRefused, TlsTried
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.session import Session

__all__ = ["Diagnosis"]

SOMEBODY_BY = 60.0  # seconds after the start by which a packet should have come from the network
T = TypeVar("T")


class Diagnosis:
    """Turns what happens into ``Finding`` events, each once for its cause and source.

        exchange    on_event=diagnosis.exchange_event
        the line    on_call=diagnosis.watching(ivr.offered), on_refused=diagnosis.call_refused
        journal     read by itself: calls are known by the ``call_id`` of their CallOffered

    reactor: IReactorTime. domain: the exchange's. accounts: the names that telephones may
    register, without those of lines. rtp_ports: first and last port of our media. srtp: what the line demands
    of audio. ``noise`` counts datagrams that are no SIP, ``untold`` findings left out of a flood.
    """

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        *,
        domain: str,
        accounts: Iterable[str],
        rtp_ports: tuple[int, int] = (16384, 32766),
        srtp: SrtpUse = "off",
    ) -> None:
        self.noise = 0
        self._clock = reactor
        self._domain = domain
        self._accounts = tuple(accounts)
        self._rtp = f"{rtp_ports[0]}-{rtp_ports[1]}"
        self._teller = Teller(reactor, journal)
        self._telephones: Telephones | None = None
        self._host, self._port = "", 0
        self._lan: tuple[str, ...] = ()
        self._lonely: Any = None  # until a packet comes from the network
        self._line = LineWatch(reactor, journal, rtp_ports=rtp_ports, srtp=srtp, teller=self._teller)

    @property
    def untold(self) -> int:
        """Findings that were not told because there were too many at a time."""
        return self._teller.untold

    def start(self, host: str, port: int, *, lan: Sequence[str] = ()) -> None:
        """Watch, once the exchange listens on this host and port.

        lan: the addresses that telephones in the network should use, when they are let in.
        """
        self._host, self._port, self._lan = host, port, tuple(lan)
        self._telephones = Telephones(
            self._clock,
            self._teller,
            accounts=self._accounts,
            domain=self._domain,
            addresses=self._addresses,
        )
        self._line.start()
        if lan:
            self._lonely = self._clock.callLater(SOMEBODY_BY, self._nobody)

    def stop(self) -> None:
        """Watch no more."""
        self._line.stop()
        if self._telephones is not None:
            self._telephones.close()
        self._telephones = None
        if self._lonely is not None and self._lonely.active():
            self._lonely.cancel()

    # What is to be told to us ---------------------------------------------------------------------

    def exchange_event(self, event: ExchangeEvent) -> None:
        """Something happened at the exchange."""
        if isinstance(event, MessageRefused):
            self.noise += 1
        elif isinstance(event, HostHeard):
            if self._lonely is not None and self._lonely.active() and self._is_elsewhere(event.host):
                self._lonely.cancel()
        elif self._telephones is None:
            return
        elif isinstance(event, TlsTried):
            host = event.source.host
            self._teller.tell("tls_only", (host, ""), host=host, knocked=event.port, port=self._port)
        else:
            self._telephones.read(event)

    def watching(self, on_call: Callable[[Session], T]) -> Callable[[Session], T]:
        """The same taker of calls, whose calls are watched."""
        return self._line.watching(on_call)

    def call_refused(self, request: Request, error: BadMessage) -> None:
        """A call could not be taken as it was offered."""
        self._line.call_refused(request, error)

    # Inside ---------------------------------------------------------------------------------------

    @property
    def _addresses(self) -> str:
        return " or ".join(self._lan or (self._host,))

    def _is_elsewhere(self, host: str) -> bool:
        try:
            return not IPv4Address(host).is_loopback and host not in self._lan
        except AddressValueError:
            return True

    def _nobody(self) -> None:
        self._teller.tell(
            "nobody_heard",
            ("", ""),
            seconds=f"{SOMEBODY_BY:g}",
            addresses=self._addresses,
            port=self._port,
            rtp=self._rtp,
        )
