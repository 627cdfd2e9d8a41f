"""The lines in processes of their own, as the exchange's process sees them.

What a line tells goes into the journal as if it had happened here. What it asks for is answered here: the
name of a call, and the ledger, whose commits happen in this process before the line goes on. When a line
ends, its calls end with it (``abandoned``, ``line_lost``), and its charges that nobody knows the end of are
looked into at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog
from twisted.internet.defer import Deferred, FirstError, gatherResults

from ivr_sim.clients import Cashier
from ivr_sim.clients.cashier import Books
from ivr_sim.errors import place
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.journal import (
    CallAnswered,
    CallEnded,
    CallFailed,
    CallOffered,
    Journal,
    LineEnded,
    LineStarted,
)
from ivr_sim.ledger_entry import LedgerEntry, LedgerFailed
from ivr_sim.lines.keeper import LineKeeper
from ivr_sim.lines.message import Ask, Exchanged, LineOrder, Reply, Told

__all__ = ["Files", "LineCrew"]

log = structlog.get_logger(__name__)

LEDGER = ("open", "settle", "entries")


class Files(Protocol):
    """Who numbers calls and keeps what they leave."""

    def new(self) -> str:
        """The next call's name."""
        ...

    def recording(self, name: str) -> Path | None:
        """Where a call's recording goes, if anywhere."""
        ...


@dataclass(eq=False)
class _Call:
    """A call under way at a line; whoever reads its events finds the same context each time."""

    context: Context
    answered_at: float | None = None


@dataclass(eq=False)
class _Line:
    """One line: what it has under way. life: counts its processes."""

    keeper: LineKeeper
    life: int = 0
    calls: dict[str, _Call] = field(default_factory=dict)
    charges: dict[str, LedgerEntry] = field(default_factory=dict)  # open, by attempt


class LineCrew:
    """The line processes of one exchange, by their users there.

    reactor: IReactorTime and IReactorProcess. order(user): what a line is told at each start. files: who
    names calls. on_exchange: is told of the requests of a call, in its context. on_lost(user): the line is
    gone, with its calls. cashier, ledger: of this process.
    """

    def __init__(
        self,
        reactor: Any,
        users: Sequence[str],
        *,
        order: Callable[[str], LineOrder],
        journal: Journal,
        files: Files,
        cashier: Cashier,
        ledger: Books,
        on_lost: Callable[[str], None],
        on_exchange: Callable[[HttpExchange], None] | None = None,
    ) -> None:
        self._clock = reactor
        self._journal = journal
        self._files = files
        self._cashier = cashier
        self._ledger = ledger
        self._on_lost = on_lost
        self._on_exchange = on_exchange
        self._stopping = False
        self._lines: dict[str, _Line] = {}
        for user in users:
            self._lines[user] = self._line(reactor, user, order)
        self.lost: Deferred[None] = Deferred()

    @property
    def processes(self) -> dict[str, int]:
        """The process of each line that has one."""
        return {user: pid for user, line in self._lines.items() if (pid := line.keeper.pid) is not None}

    @property
    def given_up(self) -> list[str]:
        """The lines that ended again and again, and are started no more; ``lost`` fires when all are."""
        return [user for user, line in self._lines.items() if line.keeper.state == "given up"]

    @property
    def calls(self) -> dict[str, str]:
        """The calls under way, and the line of each."""
        return {call: user for user, line in self._lines.items() for call in line.calls}

    async def start(self) -> None:
        """Start the lines; returns when all have registered. Raises LineGivenUp."""
        try:
            await gatherResults([line.keeper.start() for line in self._lines.values()], consumeErrors=True)
        except FirstError as failed:
            failed.subFailure.raiseException()

    async def stop(self) -> None:
        """Have all lines end: calls politely, charges awaited, nine seconds at most."""
        self._stopping = True
        await gatherResults([line.keeper.stop() for line in self._lines.values()])
        for line in self._lines.values():
            self._end_calls(line)  # of a line that had to be killed

    def _line(self, reactor: Any, user: str, order: Callable[[str], LineOrder]) -> _Line:
        line = _Line(
            LineKeeper(
                reactor,
                user,
                order=lambda: order(user),
                on_message=lambda message: self._heard(line, message),
                on_up=lambda pid: self._up(user, pid),
                on_down=lambda why, again_in: self._down(line, why, again_in),
            )
        )
        return line

    # What lines say ------------------------------------------------------------------------------

    def _heard(self, line: _Line, message: Any) -> None:
        match message:
            case Told():
                self._told(line, message)
            case Exchanged(exchange, name):
                call = line.calls.get(name)
                if call is not None and self._on_exchange is not None:
                    call.context.run(self._on_exchange, exchange)
            case Ask():
                Deferred.fromCoroutine(self._asked(line, message))

    def _told(self, line: _Line, told: Told) -> None:
        event, name = told.event, told.call
        if name is None:
            copy_context().run(self._journal.emit, event)
            return
        if isinstance(event, CallOffered):
            line.calls[name] = _Call(copy_context())
        call = line.calls.get(name)
        if call is not None and isinstance(event, CallAnswered):
            call.answered_at = self._clock.seconds()
        if isinstance(event, CallEnded | CallFailed):
            line.calls.pop(name, None)
        context = copy_context() if call is None else call.context
        context.run(self._journal.emit, event, call=name, t=told.t)

    async def _asked(self, line: _Line, ask: Ask) -> None:
        life = line.life
        value: Any = None
        refused: str | None = None
        try:
            value = await self._answer(ask)
        except LedgerFailed as failed:
            refused = str(failed)
        except Exception as error:
            log.error("a line's question broke", what=ask.what, error=type(error).__name__, at=place(error))
            refused = f"{type(error).__name__} at {place(error)}"
        if refused is None and ask.what == "open":
            if line.life != life:  # it ended meanwhile, and nobody else will look after this
                self._cashier.take_over(value)
                return
            line.charges[value.attempt] = value
        if refused is None and ask.what == "settle":
            line.charges.pop(ask.args[0], None)
        if line.life == life:
            line.keeper.send(Reply(ask.number, value, refused))

    async def _answer(self, ask: Ask) -> Any:
        if ask.what == "call":
            name = self._files.new()
            return name, self._files.recording(name)
        if ask.what not in LEDGER:
            raise ValueError(ask.what)
        return await self._cashier.in_thread(getattr(self._ledger, ask.what), *ask.args, **ask.named)

    # What happens to them ------------------------------------------------------------------------

    def _up(self, user: str, pid: int) -> None:
        self._journal.emit(LineStarted(line=user, pid=pid))

    def _down(self, line: _Line, why: str, again_in: float | None) -> None:
        line.life += 1
        user, calls = line.keeper.line, len(line.calls)
        self._on_lost(user)
        self._end_calls(line)
        charges, line.charges = line.charges, {}
        for entry in charges.values():
            self._cashier.take_over(entry)
        self._journal.emit(LineEnded(line=user, why=why, calls=calls, again_in=again_in))
        if again_in is None and len(self.given_up) == len(self._lines) and not self.lost.called:
            self.lost.callback(None)

    def _end_calls(self, line: _Line) -> None:
        calls, line.calls = line.calls, {}
        for name, call in calls.items():
            t = None if call.answered_at is None else self._clock.seconds() - call.answered_at
            ended = CallEnded(outcome="abandoned", cause="line_lost", by="ivr")
            call.context.run(self._journal.emit, ended, call=name, t=t)
