"""What the stand-in remembers: tokens and charges, in SQL.

No digit of a card number and no CVV comes in here. What tokens and charges keep of a card is the name of
the test card, and what was sent beside its number: holder, expiry, address. ``411111XXXXXX1111`` is made
when the API answers. Amounts are integer cents; times are UTC. The database itself sees to it that one
order is never charged twice, whoever asks at the same time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, select
from sqlalchemy.engine import URL
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import Integer

from ivr_sim.database import Database, Utc
from ivr_sim.openpay.bank import card_named
from ivr_sim.openpay.models import Charge, ChargeCard, Fee, PaymentMethod, Token, TokenCard

__all__ = ["ChargeRow", "Store", "TokenRow"]


class _Base(DeclarativeBase):
    pass


class TokenRow(_Base):
    """A token. ``card`` has ``name`` (``bank.card_named``), holder_name, expiration_*, and address."""

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    merchant_id: Mapped[str] = mapped_column(String(20))
    card: Mapped[dict[str, Any]] = mapped_column(JSON)
    used: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(Utc)

    def as_model(self) -> Token:
        """The token as the API answers it."""
        return Token(id=self.id, card=TokenCard(**_shown(self.card)))


class ChargeRow(_Base):
    """A charge; ``seq`` gives the order in which charges were made, ``card`` is that of its token."""

    __tablename__ = "charges"

    seq: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    id: Mapped[str] = mapped_column(String(20), unique=True)
    merchant_id: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(30))
    cents: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    description: Mapped[str] = mapped_column(String(250))
    order_id: Mapped[str | None] = mapped_column(String(100))
    authorization: Mapped[str | None] = mapped_column(String(6))
    error_code: Mapped[int | None]
    error_message: Mapped[str | None] = mapped_column(String(250))
    created: Mapped[datetime] = mapped_column(Utc)
    operated: Mapped[datetime] = mapped_column(Utc)
    due: Mapped[datetime | None] = mapped_column(Utc)
    ivr_key: Mapped[int | None]
    ivr_phone: Mapped[str | None] = mapped_column(String(20))
    attempts: Mapped[int] = mapped_column(default=0)
    customer: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    card: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    # "metadata" is a name that SQLAlchemy's declarative classes keep to themselves.
    meta: Mapped[dict[str, str] | None] = mapped_column("metadata", JSON(none_as_null=True))

    def as_model(self) -> Charge:
        """The charge as the API answers it."""
        amount = Decimal(self.cents).scaleb(-2)
        return Charge(
            id=self.id,
            authorization=self.authorization,
            status=self.status,  # type: ignore[arg-type]  # the model checks it
            creation_date=self.created,
            operation_date=self.operated,
            description=self.description,
            error_message=self.error_message,
            error_code=self.error_code,
            order_id=self.order_id,
            due_date=self.due,
            payment_method=self._payment_method(),
            amount=amount,
            currency=self.currency,
            customer=self.customer,  # type: ignore[arg-type]
            card=self._card(),
            fee=_fee(amount, self.currency) if self.status == "completed" else None,
            metadata=self.meta,
            method="card",
        )

    def _card(self) -> ChargeCard | None:
        if self.card is None:
            return None
        return ChargeCard(
            **_shown(self.card),
            type="credit",
            allows_charges=True,
            allows_payouts=False,
            bank_name="DESCONOCIDO",
            bank_code="000",
        )

    def _payment_method(self) -> PaymentMethod | None:
        if self.ivr_key is None:
            return None
        return PaymentMethod(
            type="ivr", phone_number=self.ivr_phone, ivr_key=self.ivr_key, attempts=self.attempts
        )


_NOT_FAILED = ChargeRow.status != "failed"
_PENDING_KEY = (ChargeRow.status == "charge_pending") & ChargeRow.ivr_key.is_not(None)

Index(
    "one_charge_per_order",
    ChargeRow.merchant_id,
    ChargeRow.order_id,
    unique=True,
    sqlite_where=_NOT_FAILED,
    postgresql_where=_NOT_FAILED,
)
Index(
    "one_pending_charge_per_ivr_key",
    ChargeRow.ivr_key,
    unique=True,
    sqlite_where=_PENDING_KEY,
    postgresql_where=_PENDING_KEY,
)
Index("charges_newest_first", ChargeRow.merchant_id, ChargeRow.seq)


def _shown(card: dict[str, Any]) -> dict[str, Any]:
    """What the API shows of a card that was kept."""
    listed = card_named(card["name"])
    sent = {name: value for name, value in card.items() if name != "name"}
    return {"card_number": listed.masked, "brand": listed.brand, **sent}


def _fee(amount: Decimal, currency: str) -> Fee:
    """2.9 % + 2.50, and 16 % VAT on it: what the sandbox took from 10.00 was 2.79 + 0.4464."""
    fee = (amount * Decimal("0.029") + Decimal("2.5")).quantize(Decimal("0.01"))
    return Fee(amount=fee, tax=(fee * Decimal("0.16")).quantize(Decimal("0.0001")), currency=currency)


class Store:
    """Tokens and charges in a database, by SQLAlchemy URL; the schema is made when it is missing.

    Safe to share between threads. Raises ConfigurationError when the database cannot be opened.
    """

    def __init__(self, url: str | URL) -> None:
        self._database = Database(url, _Base.metadata, what="the stand-in")

    def transaction(self) -> AbstractContextManager[Session]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        return self._database.transaction()

    def charges(
        self,
        *,
        order_id: str | None = None,
        merchant_id: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Charge]:
        """Charges, the newest first; of one order or merchant, where given."""
        query = select(ChargeRow).order_by(ChargeRow.seq.desc()).limit(limit).offset(offset)
        if order_id is not None:
            query = query.where(ChargeRow.order_id == order_id)
        if merchant_id is not None:
            query = query.where(ChargeRow.merchant_id == merchant_id)
        with self.transaction() as session:
            return [row.as_model() for row in session.scalars(query)]

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()
