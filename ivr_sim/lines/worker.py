"""The line process: what runs in it, and how it comes to its end.

It ends when it is told to, when its parent is gone, and when it cannot start; always politely: calls are
hung up and charges awaited, within ``FAREWELL`` seconds once nobody is there to be told.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

import dtmf
from ivr_sim.call import phrase
from ivr_sim.diagnosis import LineWatch
from ivr_sim.errors import IvrSimError, place
from ivr_sim.garbage_collection import GarbageCollection
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.ivr import Ivr
from ivr_sim.journal import Journal, Record
from ivr_sim.ledger_entry import Intent, LedgerEntry, LedgerFailed, Settled
from ivr_sim.lines.line import NUMBERS, Line, media_host, open_library
from ivr_sim.lines.message import (
    Ask,
    Exchanged,
    LineOrder,
    NotStarted,
    Ping,
    Pong,
    Ready,
    Reply,
    Stop,
    Told,
)
from ivr_sim.local_time import local_now, local_today
from ivr_sim.logs import configure
from ivr_sim.media import MediaEngine
from ivr_sim.pipes import Frames, framed, on_standard_pipes
from ivr_sim.prompts import VoiceFailed, VoiceMissing
from ivr_sim.sip.user_agent import Session, SessionState

__all__ = ["main"]

log = structlog.get_logger(__name__)

FAREWELL = 10.0  # seconds in which calls and charges come to their end once the parent is gone
FLUSH = 2.0  # seconds in which the last words reach the parent

# The call that a coroutine serves, for the requests that it makes.
_served: ContextVar[str | None] = ContextVar("served", default=None)


class _Refused(IvrSimError):
    """The parent does not answer a question as it was asked."""


class _Pipe(Protocol):
    """The line's end of the pipe. choked: the parent does not keep up with what it is told."""

    transport: Any = None

    def __init__(self, on_message: Callable[[Any], None], on_parent_gone: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_parent_gone = on_parent_gone
        self._frames = Frames()
        self._asked = 0
        self._waiting: dict[int, Deferred[Any]] = {}
        self._closed: list[Deferred[None]] = []
        self.choked = False
        self.gone = False

    def connectionMade(self) -> None:  # noqa: N802
        self.transport.registerProducer(self, True)

    def pauseProducing(self) -> None:  # noqa: N802
        self.choked = True

    def resumeProducing(self) -> None:  # noqa: N802
        self.choked = False

    def stopProducing(self) -> None:  # noqa: N802
        """Nothing is taken any more."""

    def send(self, message: Any) -> None:
        if not self.gone:
            self.transport.write(framed(message))

    def ask(self, what: Any, *args: Any, **named: Any) -> Deferred[Any]:
        """Ask the parent; fails with _Refused."""
        if self.gone:
            return fail(_Refused("the process that was asked has ended"))
        self._asked += 1
        answer = self._waiting[self._asked] = Deferred()
        self.send(Ask(self._asked, what, args, named))
        return answer

    def close(self) -> Deferred[None]:
        """Fires when all that was said is on its way."""
        closed: Deferred[None] = Deferred()
        if self.gone:
            closed.callback(None)
        else:
            self._closed.append(closed)
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        return closed

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        for message in self._frames.feed(data):
            if isinstance(message, Reply):
                answer = self._waiting.pop(message.number)
                if message.refused is None:
                    answer.callback(message.value)
                else:
                    answer.errback(_Refused(message.refused))
            else:
                self._on_message(message)

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802
        if self.gone:
            return
        self.gone = True
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.errback(_Refused("the process that was asked has ended"))
        if not self._closed:
            self._on_parent_gone()
        for closed in self._closed:
            if not closed.called:
                closed.callback(None)


class _Books:
    """The ledger, in the parent's hands."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    async def open(self, intent: Intent) -> LedgerEntry:
        """Commit an intent."""
        entry: LedgerEntry = await self._asked("open", intent)
        return entry

    async def settle(
        self, attempt: str, result: Settled, *, charge_id: str | None = None, error_code: int | None = None
    ) -> bool:
        """Commit what came of it."""
        news: bool = await self._asked("settle", attempt, result, charge_id=charge_id, error_code=error_code)
        return news

    async def entries(
        self, *, account: str | None = None, order_id: str | None = None, open_only: bool = False
    ) -> list[LedgerEntry]:
        """What is in it."""
        found: list[LedgerEntry] = await self._asked(
            "entries", account=account, order_id=order_id, open_only=open_only
        )
        return found

    async def _asked(self, what: str, *args: Any, **named: Any) -> Any:
        try:
            return await self._pipe.ask(what, *args, **named)
        except _Refused as refused:
            raise LedgerFailed(str(refused)) from None


class _Files:
    """Names of calls and the places of their recordings, as the parent allots them."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe
        self._next = ""
        self._recordings: dict[str, Path | None] = {}

    def allot(self, name: str, recording: Path | None) -> None:
        """What the next call is named."""
        self._next = name
        self._recordings[name] = recording

    def new(self) -> str:
        """The name just allotted."""
        _served.set(self._next)
        return self._next

    def recording(self, name: str) -> Path | None:
        """Where its recording goes; asked once, at its end."""
        return self._recordings.pop(name, None)

    def http(self, exchange: HttpExchange) -> None:
        """A request that is over."""
        call = _served.get()
        if call is not None:
            self._pipe.send(Exchanged(exchange, call))


async def _at_once(what: Callable[..., Any], *args: Any, **named: Any) -> Any:
    return await what(*args, **named)


class _House:
    """All that runs in a line process."""

    def __init__(self, reactor: Any, order: LineOrder, pipe: _Pipe) -> None:
        self._order = order
        self._pipe = pipe
        self._journal = Journal(local_now)
        self._files = _Files(pipe)
        self._library, self._voice = open_library(reactor, order.data, order.language)
        self._media = MediaEngine(
            reactor, host=media_host(order.host, order.pbx), ports=order.rtp_ports, keys=dtmf.KEYS_12
        )
        self._cashier = order.access.cashier(
            reactor,
            _Books(pipe),
            self._journal,
            now=local_now,
            on_exchange=self._files.http,
            in_thread=_at_once,
        )
        shop = order.access.shop(
            reactor,
            order.shop,
            self._cashier,
            today=local_today,
            limits=order.limits,
            on_exchange=self._files.http,
        )
        self._ivr = Ivr(shop, self._library, self._journal, files=self._files, numbers=NUMBERS)
        self._watch = LineWatch(reactor, self._journal, rtp_ports=order.rtp_ports, srtp=order.srtp)
        self._line = Line(
            reactor,
            self._media,
            self._ivr,
            order.account,
            pbx=order.pbx,
            offered=self._offered,
            watch=self._watch if order.watch else None,
            advertise=order.advertise,
            srtp=order.srtp,
        )

    @property
    def busy(self) -> bool:
        """Whether somebody is on the line."""
        return bool(self._media.streams)

    async def start(self) -> None:
        self._journal.subscribe(self._tell)
        if self._order.watch:
            self._watch.start()
        self._media.start()
        await self._line.start()
        with suppress(VoiceMissing, VoiceFailed):  # the call says so, if it comes to that
            await self._library.sound(phrase("welcome", merchant=self._order.shop))

    async def stop(self) -> None:
        await self._line.stop()
        self._watch.stop()
        self._media.stop()
        await self._cashier.stop()
        await self._voice.stop()

    def _offered(self, session: Session) -> None:
        if self._pipe.choked or self._pipe.gone:
            session.reject(503)  # another line may be better off
            return
        Deferred.fromCoroutine(self._take(session))

    async def _take(self, session: Session) -> None:
        try:
            name, recording = await self._pipe.ask("call")
        except _Refused:
            if session.state is SessionState.RINGING:
                session.reject(503)
            return
        self._files.allot(name, recording)
        self._ivr.offered(session)  # takes the name at once

    def _tell(self, record: Record) -> None:
        self._pipe.send(Told(record.event, record.call, record.t))


class _LineProcess:
    """The process: from its order to its end."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pipe = _Pipe(self._heard, self._parent_gone)
        self._house: _House | None = None
        self._code = 0
        reactor.addSystemEventTrigger("before", "shutdown", self._end)
        on_standard_pipes(self._pipe)

    def _heard(self, message: Any) -> None:
        match message:
            case Ping(number):
                self._pipe.send(Pong(number))
            case LineOrder():
                Deferred.fromCoroutine(self._begin(message))
            case Stop():
                self._stop()

    async def _begin(self, order: LineOrder) -> None:
        try:
            self._house = house = _House(self._reactor, order, self._pipe)
            await house.start()
        except Exception as error:
            known = isinstance(error, IvrSimError)
            self._pipe.send(NotStarted(str(error) if known else f"{type(error).__name__} at {place(error)}"))
            self._stop()
            return
        GarbageCollection(self._reactor, lambda: house.busy).start()
        self._pipe.send(Ready())

    def _parent_gone(self) -> None:
        self._reactor.callLater(FAREWELL, os._exit, 1)
        self._stop()

    def _stop(self) -> None:
        with suppress(ReactorNotRunning):  # it stops already
            self._reactor.stop()

    def _end(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._wind_up())

    async def _wind_up(self) -> None:
        try:
            if self._house is not None:
                await self._house.stop()
        except Exception as error:
            log.error("a line could not be wound up", error=type(error).__name__, at=place(error))
        closed = self._pipe.close()
        timer = self._reactor.callLater(FLUSH, closed.cancel)
        with suppress(Exception):
            await closed
        if timer.active():
            timer.cancel()


def main() -> None:
    """Be a line, as standard input tells."""
    from twisted.internet import reactor as installed  # each process has its own

    reactor: Any = installed
    configure(os.environ.get("IVR_SIM_LOG_LEVEL", "WARNING"))
    reactor.callWhenRunning(_LineProcess, reactor)
    reactor.run()
