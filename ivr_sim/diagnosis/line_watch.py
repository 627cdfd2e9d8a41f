"""What is watched where the calls are: in the process that carries them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ivr_sim.diagnosis.calls import CallWatch
from ivr_sim.diagnosis.offers import refused_offer
from ivr_sim.diagnosis.teller import Teller
from ivr_sim.journal import CallOffered, Journal, Record
from ivr_sim.sip.crypto import SrtpUse
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.session import Session

__all__ = ["LineWatch"]

T = TypeVar("T")


class LineWatch:
    """Watches a line's calls, and tells what is wrong with them as ``Finding`` events.

    clock: IReactorTime. journal: where the calls are told, by their ``call_id`` known to be those of
    ``watching``. rtp_ports: first and last port of our media, for the advice. srtp: what the line demands
    of audio.
    """

    def __init__(
        self,
        clock: Any,
        journal: Journal,
        *,
        rtp_ports: tuple[int, int],
        srtp: SrtpUse = "off",
        teller: Teller | None = None,
    ) -> None:
        self._clock = clock
        self._srtp: SrtpUse = srtp
        self._journal = journal
        self._rtp = f"{rtp_ports[0]}-{rtp_ports[1]}"
        self._teller = teller or Teller(clock, journal)
        self._sessions: dict[str, Session] = {}  # by Call-ID
        self._calls: dict[str, CallWatch] = {}  # by the name in the journal
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Watch."""
        self._unsubscribe = self._journal.subscribe(self._read)

    def stop(self) -> None:
        """Watch no more."""
        self._unsubscribe()
        for watch in tuple(self._calls.values()):
            watch.over()
        self._calls.clear()
        self._sessions.clear()

    def watching(self, on_call: Callable[[Session], T]) -> Callable[[Session], T]:
        """The same taker of calls, whose calls are watched."""

        def offered(session: Session) -> T:
            self._sessions[session.call_id] = session
            session.ended.addCallback(lambda ended: self._sessions.pop(session.call_id, None))
            return on_call(session)

        return offered

    def call_refused(self, request: Request, error: BadMessage) -> None:
        """A call could not be taken as it was offered."""
        code, facts = refused_offer(request, error, self._srtp)
        user = request.from_.uri.user or "anonymous"
        host = request.vias[-1].reply_address[0]
        self._teller.tell(code, (host, user), user=user, **facts)

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
