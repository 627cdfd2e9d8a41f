"""The ledger: every charge that we set out to make, committed before its request leaves.

A process may end at any moment, and a request may go unanswered. What was written here beforehand is what
remains: an entry that is open says that money may have moved, and whom to ask. It holds no card data.

    open(intent) ----> open ---- settle(...) ----> approved | declined | already_paid | failed
                        \\____ never closed but by an answer, or by Openpay's own word of it

An order's entry once approved stays so, whatever is said of it later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Index, String, or_, select, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import Integer

from ivr_sim.database import Database, Utc
from ivr_sim.ledger_entry import Intent, LedgerEntry, LedgerFailed, Settled

__all__ = ["Intent", "Ledger", "LedgerEntry", "LedgerFailed", "Settled"]


class _Base(DeclarativeBase):
    pass


class _Row(_Base):
    __tablename__ = "attempts"

    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    attempt: Mapped[str] = mapped_column(String(64), unique=True)
    account: Mapped[str] = mapped_column(String(64))
    call: Mapped[str] = mapped_column(String(200))
    order_id: Mapped[str] = mapped_column(String(100))
    cents: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    opened: Mapped[datetime] = mapped_column(Utc)
    settled: Mapped[datetime | None] = mapped_column(Utc)
    result: Mapped[str | None] = mapped_column(String(20))
    charge_id: Mapped[str | None] = mapped_column(String(45))
    error_code: Mapped[int | None]

    def as_entry(self) -> LedgerEntry:
        return LedgerEntry(
            attempt=self.attempt,
            account=self.account,
            call=self.call,
            order_id=self.order_id,
            amount=Decimal(self.cents).scaleb(-2),
            currency=self.currency,
            opened=self.opened,
            settled=self.settled,
            result=self.result,  # type: ignore[arg-type]  # written by settle() only
            charge_id=self.charge_id,
            error_code=self.error_code,
        )


Index("attempts_of_an_order", _Row.account, _Row.order_id)
Index("attempts_open", _Row.settled)


class Ledger:
    """Charges under way and what came of them, in a database by SQLAlchemy URL.

    now: the wall clock, aware of its zone. Several threads and processes may share one. Raises
    ConfigurationError when it cannot be opened; its methods block, and raise LedgerFailed.
    """

    def __init__(self, url: str | URL, *, now: Callable[[], datetime]) -> None:
        self._database = Database(url, _Base.metadata, what="the ledger", synchronous="FULL")
        self._now = now

    def open(self, intent: Intent) -> LedgerEntry:
        """Commit an intent; once this returns, it is remembered. Refuses a name used before."""
        row = _Row(
            attempt=intent.attempt,
            account=intent.account,
            call=intent.call,
            order_id=intent.order_id,
            cents=int(intent.amount.scaleb(2)),
            currency=intent.currency,
            opened=self._now(),
        )
        with self._transaction("opening an entry") as session:
            session.add(row)
        return row.as_entry()

    def settle(
        self,
        attempt: str,
        result: Settled,
        *,
        charge_id: str | None = None,
        error_code: int | None = None,
    ) -> bool:
        """Write down what came of an attempt; whether that is news.

        An entry that was settled stays as it is, but for one that turns out to be approved after all.
        """
        still_open = _Row.result.is_(None)
        news = or_(still_open, _Row.result != "approved") if result == "approved" else still_open
        with self._transaction("settling an entry") as session:
            changed = session.execute(
                update(_Row)
                .where(_Row.attempt == attempt, news)
                .values(settled=self._now(), result=result, charge_id=charge_id, error_code=error_code)
                .returning(_Row.seq)
            ).all()
        return bool(changed)

    def entries(
        self, *, account: str | None = None, order_id: str | None = None, open_only: bool = False
    ) -> list[LedgerEntry]:
        """Entries, the oldest first; of one account or order, or only those still open."""
        query = select(_Row).order_by(_Row.seq)
        if account is not None:
            query = query.where(_Row.account == account)
        if order_id is not None:
            query = query.where(_Row.order_id == order_id)
        if open_only:
            query = query.where(_Row.settled.is_(None))
        with self._transaction("reading it") as session:
            return [row.as_entry() for row in session.scalars(query)]

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Session]:
        try:
            with self._database.transaction() as session:
                yield session
        except IntegrityError:
            raise LedgerFailed(f"the ledger failed while {doing}: this attempt is in it already") from None
        except SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
            raise LedgerFailed(f"the ledger failed while {doing}: {cause}") from None
