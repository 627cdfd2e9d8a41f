"""Silence explained: watches exchange, calls and journal, and tells what does not work in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from ivr_sim.diagnosis.calls import CallWatch
from ivr_sim.diagnosis.offers import refused_offer
from ivr_sim.diagnosis.telephones import Telephones
from ivr_sim.diagnosis.teller import Teller
from ivr_sim.journal import CallOffered, Journal, Record
from ivr_sim.sip.exchange_event import ExchangeEvent, HostHeard, MessageRefused
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.session import Session
from ivr_sim.sip.tcp_notice import Knock, TcpNotice

__all__ = ["Diagnosis"]

SOMEBODY_BY = 60.0  # seconds after the start by which a packet should have come from the network
TCP_CLOSED = 600.0  # seconds, for a telephone that turned to TCP because nobody had said that we would mind
T = TypeVar("T")


class Diagnosis:
    """Turns what happens into ``Finding`` events, each once for its cause and source.

        exchange    on_event=diagnosis.exchange_event
        the line    on_call=diagnosis.watching(ivr.offered), on_refused=diagnosis.call_refused
        journal     read by itself: calls are known by the ``call_id`` of their CallOffered

    reactor: IReactorTime and IReactorTCP. domain: the exchange's. accounts: the names that telephones may
    register, without those of lines. rtp_ports: first and last port of our media. ``noise`` counts datagrams
    that are no SIP, ``untold`` findings left out of a flood.
    """

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        *,
        domain: str,
        accounts: Iterable[str],
        rtp_ports: tuple[int, int] = (16384, 32766),
    ) -> None:
        self.noise = 0
        self._clock = reactor
        self._journal = journal
        self._domain = domain
        self._accounts = tuple(accounts)
        self._rtp = f"{rtp_ports[0]}-{rtp_ports[1]}"
        self._teller = Teller(reactor, journal)
        self._tcp = TcpNotice(reactor, self._knocked)
        self._telephones: Telephones | None = None
        self._host, self._port = "", 0
        self._lan: tuple[str, ...] = ()
        self._lonely: Any = None  # until a packet comes from the network
        self._reopen: Any = None
        self._turners = False
        self._sessions: dict[str, Session] = {}  # by Call-ID
        self._calls: dict[str, CallWatch] = {}  # by the name in the journal
        self._unsubscribe: Callable[[], None] = lambda: None

    @property
    def untold(self) -> int:
        """Findings that were not told because there were too many at a time."""
        return self._teller.untold

    @property
    def tcp_noticed(self) -> bool:
        """Whether somebody who tries TCP or TLS now would be told."""
        return self._tcp.listening

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
            on_turners=self._turn,
        )
        self._unsubscribe = self._journal.subscribe(self._read)
        self._tcp.listen(host, port)
        if lan:
            self._lonely = self._clock.callLater(SOMEBODY_BY, self._nobody)

    def stop(self) -> Deferred[Any]:
        """Watch no more; fires when the TCP port is closed."""
        self._unsubscribe()
        if self._telephones is not None:
            self._telephones.close()
        self._telephones = None
        for watch in tuple(self._calls.values()):
            watch.over()
        self._calls.clear()
        self._sessions.clear()
        for timer in (self._lonely, self._reopen):
            if timer is not None and timer.active():
                timer.cancel()
        return self._tcp.close()

    # What is to be told to us ---------------------------------------------------------------------

    def exchange_event(self, event: ExchangeEvent) -> None:
        """Something happened at the exchange."""
        if isinstance(event, MessageRefused):
            self.noise += 1
        elif isinstance(event, HostHeard):
            if self._lonely is not None and self._lonely.active() and self._is_elsewhere(event.host):
                self._lonely.cancel()
        elif self._telephones is not None:
            self._telephones.read(event)

    def watching(self, on_call: Callable[[Session], T]) -> Callable[[Session], T]:
        """The same taker of calls, whose calls are watched."""

        def offered(session: Session) -> T:
            self._sessions[session.call_id] = session
            session.ended.addCallback(lambda ended: self._sessions.pop(session.call_id, None))
            return on_call(session)

        return offered

    def call_refused(self, request: Request, error: BadMessage) -> None:
        """A call could not be taken as it was offered."""
        code, facts = refused_offer(request, error)
        user = request.from_.uri.user or "anonymous"
        host = request.vias[-1].reply_address[0]
        self._teller.tell(code, (host, user), user=user, **facts)

    # Inside ---------------------------------------------------------------------------------------

    def _read(self, record: Record) -> None:
        event, call = record.event, record.call
        if call is None:
            return
        if isinstance(event, CallOffered):
            session = self._sessions.get(event.call_id or "")
            if session is not None:
                self._calls[call] = CallWatch(self._clock, self._teller, session, call, self._rtp)
                session.ended.addCallback(lambda ended: self._ended(call))
        elif call in self._calls:
            self._calls[call].read(record)

    def _ended(self, call: str) -> None:
        watch = self._calls.pop(call, None)
        if watch is not None:
            watch.over()

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

    # TCP ------------------------------------------------------------------------------------------

    def _knocked(self, knock: Knock) -> None:
        source = knock.host, ""
        if knock.too_long:
            minutes = f"{TCP_CLOSED / 60:g}"
            self._teller.tell("tcp_for_long_requests", source, host=knock.host, minutes=minutes)
            if self._reopen is None or not self._reopen.active():
                self._reopen = self._clock.callLater(TCP_CLOSED, self._attend)
            self._attend()
        elif knock.by == "tls":
            self._teller.tell("tls_only", source, host=knock.host, knocked=knock.port, port=self._port)
        else:
            self._teller.tell("tcp_only", source, host=knock.host)

    def _turn(self, any_turners: bool) -> None:
        self._turners = any_turners
        self._attend()

    def _attend(self) -> None:
        """TCP is open to be explained, but not to whom it would lead astray.

        Telephones built on PJSIP send long requests by TCP first and, only where that is closed, by UDP:
        an open port would take the calls of telephones that are all right.
        """
        closed = self._turners or (self._reopen is not None and self._reopen.active())
        if closed and self._tcp.listening:
            self._tcp.pause()
        elif not closed and not self._tcp.listening and self._telephones is not None:
            self._tcp.listen(self._host, self._port)
