"""The cashier: charges by the ledger, so that no charge is forgotten and none is made blindly.

    earlier(payable)   an order with an entry: paid -> AlreadyPaid; still open, or given up because Openpay
                       knew of no charge -> Openpay is asked, once
    charge(...)        intent committed -> token, charge, certainty (the acquirer) -> outcome committed
    afterwards         an entry that stayed open is looked into until Openpay tells, and again when the
                       process starts anew

The ledger blocks, so it has a thread of its own: the reactor never waits for a disk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from threading import Thread
from typing import Any, Protocol, TypeVar

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from ivr_sim.cards import Card
from ivr_sim.clients.acquirer import OpenpayAcquirer
from ivr_sim.clients.openpay import OpenpayRefused, OpenpayUnreachable
from ivr_sim.dialogue.services import (
    Acquirer,
    AcquirerFailed,
    AlreadyPaid,
    Approved,
    Charged,
    Declined,
    Payable,
    Unknown,
)
from ivr_sim.errors import place
from ivr_sim.journal import ChargeReconciled, Journal
from ivr_sim.ledger_entry import Intent, LedgerEntry, LedgerFailed, Settled

__all__ = ["Books", "Cashier"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

_Found = Approved | Declined | AlreadyPaid | AcquirerFailed

AGAIN = 60.0  # seconds until an entry that stayed open is looked into again
# Another process may still be charging what stands open in the ledger: for as long as its two requests may
# take, that Openpay knows nothing of a charge does not mean that it will not come.
UNDER_WAY = 45.0


class Books(Protocol):
    """The ledger, as a cashier uses it: ``ivr_sim.ledger.Ledger``, or whoever hands on to it.

    What the methods return goes through ``in_thread``: a value by its thread, or an awaitable already.
    """

    def open(self, intent: Intent) -> Any:
        """Commit an intent; a LedgerEntry."""
        ...

    def settle(
        self, attempt: str, result: Settled, *, charge_id: str | None = None, error_code: int | None = None
    ) -> Any:
        """Commit what came of it; whether that is news."""
        ...

    def entries(
        self, *, account: str | None = None, order_id: str | None = None, open_only: bool = False
    ) -> Any:
        """A list of LedgerEntry."""
        ...


class Cashier(Acquirer):
    """Charges for one account of one merchant.

    clock: IReactorTime and, without ``in_thread``, the reactor. account: the merchant's id at Openpay.
    in_thread: calls a blocking function elsewhere and returns an awaitable; by default in a thread that
    start() starts and stop() ends.
    """

    def __init__(
        self,
        acquirer: OpenpayAcquirer,
        ledger: Books,
        clock: Any,
        *,
        account: str,
        journal: Journal,
        now: Callable[[], datetime],
        in_thread: Callable[..., Awaitable[Any]] | None = None,
    ) -> None:
        self._acquirer = acquirer
        self._ledger = ledger
        self._clock = clock
        self._account = account
        self._journal = journal
        self._now = now
        self._pool = None if in_thread else _one_thread()
        self._elsewhere = in_thread
        self._ours: set[str] = set()  # attempts that this process sees to
        # Attempts that are being charged, and what another call was told of them meanwhile.
        self._charging: dict[str, Approved | Declined | AlreadyPaid | None] = {}
        self._orphans: set[str] = set()  # attempts whose process is known to have ended
        self._looking: set[Deferred[None]] = set()
        self._stopped = False

    async def start(self) -> None:
        """Take up what an earlier process left open; returns at once, the looking goes on beside."""
        if self._pool is not None:
            self._pool.start()
        try:
            left = await self.in_thread(self._ledger.entries, account=self._account, open_only=True)
        except LedgerFailed as failed:
            log.error("what is open in the ledger could not be read", why=str(failed))
            return
        for entry in left:
            self._look_after(entry)

    async def stop(self) -> None:
        """Stop looking; what is open stays in the ledger for the next start."""
        self._stopped = True
        for looking in tuple(self._looking):
            looking.cancel()
        if self._pool is not None and self._pool.started:
            await self.in_thread(lambda: None)  # what was handed to the ledger before is in it by now
            self._pool.stop()

    async def earlier(self, payable: Payable) -> AlreadyPaid | Unknown | None:
        """What became of earlier tries at this order; None when it may be charged.

        Raises AcquirerFailed when the ledger cannot be read.
        """
        entries = await self._book(self._ledger.entries, account=self._account, order_id=payable.order_id)
        unknown = False
        for entry in entries:
            if entry.result == "approved":
                return AlreadyPaid(charge_id=entry.charge_id)
            if entry.result in (None, "failed"):  # what was given up may have arrived since
                found = await self._glance(entry)
                if found is not None:
                    await self._reconciled(entry, found)
                if isinstance(found, Approved | AlreadyPaid):
                    return AlreadyPaid(charge_id=found.charge_id)
                if found is None and entry.result is None:
                    unknown = True
                    # It may be of a process that has ended, and will not look after it any more.
                    self._look_after(entry, wait=AGAIN)
        return Unknown() if unknown else None

    async def charge(self, payable: Payable, card: Card, *, attempt: str, call: str) -> Charged:
        """Charge by the ledger; see ``OpenpayAcquirer.charge``, which does the charging."""
        entry = await self._book(
            self._ledger.open,
            Intent(
                attempt=attempt,
                account=self._account,
                call=call,
                order_id=payable.order_id,
                amount=payable.amount,
                currency=payable.currency,
            ),
        )
        self._ours.add(attempt)
        self._charging[attempt] = None
        settled = False
        try:
            result = await self._acquirer.charge(payable, card, attempt=attempt)
            learned = self._charging[attempt]
            if isinstance(result, Unknown) and learned is not None:
                result = learned
            settled = not isinstance(result, Unknown) and await self._write(entry, result) is not None
        except AcquirerFailed as failed:
            settled = await self._write(entry, failed) is not None
            raise
        finally:
            self._ours.discard(attempt)
            del self._charging[attempt]
            if not settled:
                self._look_after(entry, wait=AGAIN)
        return result

    async def settle(self, entry: LedgerEntry) -> Settled | None:
        """Ask Openpay what came of an open entry, three times over 30 s; None while it cannot be known."""
        waited = (self._now() - entry.opened).total_seconds()
        if entry.attempt in self._orphans:
            waited = UNDER_WAY
        try:
            found: Charged | AcquirerFailed = await self._acquirer.find(entry.order_id, entry.attempt)
        except AcquirerFailed as failed:
            if waited < UNDER_WAY:
                return None  # it may still be on its way
            found = failed
        if isinstance(found, Unknown) or not await self._reconciled(entry, found):
            return None
        return _word(found)

    def take_over(self, entry: LedgerEntry) -> None:
        """Settle, in the background, what a process left open that has ended for certain.

        Nobody is at it any more, so three looks that find nothing are enough, however soon they are made.
        """
        self._orphans.add(entry.attempt)
        self._look_after(entry)

    # Inside -------------------------------------------------------------------------------------

    def _look_after(self, entry: LedgerEntry, wait: float = 0.0) -> None:
        """Settle an entry in the background, however long it takes."""
        if entry.attempt in self._ours or self._stopped:
            return
        self._ours.add(entry.attempt)
        looking = Deferred.fromCoroutine(self._look_until_known(entry, wait))
        self._looking.add(looking)

        def over(result: Any) -> None:
            self._looking.discard(looking)
            self._orphans.discard(entry.attempt)
            self._ours.discard(entry.attempt)

        looking.addBoth(over)

    async def _look_until_known(self, entry: LedgerEntry, wait: float) -> None:
        while True:
            try:
                await deferLater(self._clock, wait)
                if await self.settle(entry) is not None:
                    return
            except CancelledError:
                return
            except Exception as error:
                log.error("looking into a charge broke", attempt=entry.attempt, at=place(error))
            wait = AGAIN

    async def _glance(self, entry: LedgerEntry) -> Approved | Declined | AlreadyPaid | None:
        try:
            return await self._acquirer.glance(entry.order_id, entry.attempt)
        except (OpenpayRefused, OpenpayUnreachable):
            return None

    async def _reconciled(self, entry: LedgerEntry, found: _Found) -> bool:
        """Close an entry by what Openpay says of it; whether the ledger has it. News go to the journal."""
        if entry.attempt in self._charging and not isinstance(found, AcquirerFailed):
            self._charging[entry.attempt] = found
        news = await self._write(entry, found)
        if news:
            self._journal.emit(
                ChargeReconciled(
                    attempt=entry.attempt,
                    order_id=entry.order_id,
                    amount=entry.amount,
                    result=_word(found),
                    charge_id=getattr(found, "charge_id", None),
                    error_code=getattr(found, "error_code", None),
                ),
                call=entry.call,
            )
        return news is not None

    async def _write(self, entry: LedgerEntry, found: _Found) -> bool | None:
        """Write down what came of an entry; whether that was news, or None where it could not be written."""
        try:
            return await self.in_thread(
                self._ledger.settle,
                entry.attempt,
                _word(found),
                charge_id=getattr(found, "charge_id", None),
                error_code=getattr(found, "error_code", None),
            )
        except LedgerFailed as failed:
            # The entry stays open, and is settled by Openpay's word when the ledger can be written again.
            log.error("an outcome is not in the ledger", attempt=entry.attempt, why=str(failed))
            return None

    def in_thread(self, what: Callable[..., T], *args: Any, **named: Any) -> Awaitable[T]:
        """Have the ledger's thread call a function that blocks."""
        if self._pool is None:
            assert self._elsewhere is not None
            return self._elsewhere(what, *args, **named)
        return deferToThreadPool(self._clock, self._pool, what, *args, **named)

    async def _book(self, what: Callable[..., T], *args: Any, **named: Any) -> T:
        try:
            answer: T = await self.in_thread(what, *args, **named)
        except LedgerFailed as failed:
            log.error("nothing is charged without the ledger", why=str(failed))
            raise AcquirerFailed("ledger") from None
        return answer


def _one_thread() -> ThreadPool:
    pool = ThreadPool(1, 1, name="ledger")
    # A daemon: a database that never answers must not keep the process from ending.
    pool.threadFactory = lambda *args, **kwargs: Thread(*args, **kwargs, daemon=True)  # type: ignore[assignment]
    return pool


def _word(found: _Found) -> Settled:
    match found:
        case Approved():
            return "approved"
        case Declined():
            return "declined"
        case AlreadyPaid():
            return "already_paid"
        case AcquirerFailed():
            return "failed"
