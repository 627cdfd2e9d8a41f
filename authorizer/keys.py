"""Payment keys: what one stands for, how it is drawn, and the store that keeps them.

A key is the only thing that stands between a stranger and the amount of somebody's order, so keys come
from a CSPRNG, live for a limited time, and are **never issued twice**: a payer who dials the key of an old
note hears that it was paid or has expired, and never pays for somebody else's order. A key has no leading
zero, because the guide's ``"ivr_key": 123456`` is a JSON number, which cannot carry one.

    live ──────────── mark_paid ──▶ paid
     │ └── cancel ──▶ cancelled
     └ expires_at ──▶ expired ── mark_paid ──▶ paid      (the charge began in time and ended after it)
                              └─ cancel ──▶ cancelled    (so that the order may have a new key)

Looking a key up changes nothing: callers hang up and call again.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Engine,
    Index,
    MetaData,
    Row,
    String,
    Table,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from .database import UtcDateTime, create_missing, in_memory, open_engine, translated, tune_sqlite
from .errors import (
    ConfigurationError,
    InvalidCharge,
    KeyNotLive,
    KeysExhausted,
    KeyTaken,
    OrderTaken,
    UnknownKey,
)

__all__ = ["KeyStore", "PaymentKey", "State", "draw_key"]

MIN_LENGTH, MAX_LENGTH = 4, 12  # digits; the IVR takes no others
MAX_AMOUNT = Decimal("999999999.99")
MAX_LIFETIME = timedelta(days=366)
TRIES = 100  # draws before a length counts as used up; fails once in 10^10 times at four fifths full


class State(StrEnum):
    """Where a payment key stands. ``EXPIRED`` is never stored: it follows from ``expires_at``."""

    LIVE = "live"
    PAID = "paid"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class PaymentKey:
    """A payment key as it stood when it was read.

    amount: MXN with two decimals. Moments are aware, in UTC.
    """

    key: str
    amount: Decimal
    description: str
    order_id: str
    state: State
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None = None
    currency: str = "MXN"

    def as_json(self) -> dict[str, Any]:
        """The key as JSON's types: the number as in the guide, the amount as text, moments in ISO 8601."""
        return {
            "ivr_key": int(self.key),
            "amount": str(self.amount),
            "currency": self.currency,
            "description": self.description,
            "order_id": self.order_id,
            "state": self.state.value,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "paid_at": self.paid_at and self.paid_at.isoformat(),
        }


KEYS = Table(
    "payment_keys",
    MetaData(),
    Column("ivr_key", String(MAX_LENGTH), primary_key=True),
    Column("amount_cents", BigInteger, CheckConstraint("amount_cents > 0"), nullable=False),
    Column("description", String(250), nullable=False),
    Column("order_id", String(100), nullable=False),
    Column("state", String(9), CheckConstraint("state IN ('live', 'paid', 'cancelled')"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("paid_at", UtcDateTime),
)
# An order has one key at a time; a cancelled one makes room for the next.
Index(
    "one_key_per_order",
    KEYS.c.order_id,
    unique=True,
    sqlite_where=KEYS.c.state != "cancelled",
    postgresql_where=KEYS.c.state != "cancelled",
)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class KeyStore:
    """The payment keys in one database; safe to use from several threads and processes.

    url_or_engine: an SQLAlchemy URL, or an engine of yours (a SQLite one gets WAL, foreign keys and a busy
    time-out on each new connection). The schema is created when missing. now: the clock, aware of its
    zone. Raises ConfigurationError; every method raises StoreUnavailable when the database fails.
    """

    def __init__(self, url_or_engine: str | Engine, *, now: Callable[[], datetime] = utc_now) -> None:
        engine = open_engine(url_or_engine) if isinstance(url_or_engine, str) else url_or_engine
        if now().tzinfo is None:
            raise ConfigurationError("the clock needs a time zone, such as datetime.now(UTC) has")
        self._engine = engine
        self._now = now
        if engine.dialect.name == "sqlite":
            tune_sqlite(engine)
        with translated("opening the payment keys"):
            create_missing(engine, KEYS)
        if not in_memory(engine.url):
            engine.dispose()  # a server that forks after this must not share a connection

    def issue(
        self,
        amount: Decimal,
        description: str,
        order_id: str,
        *,
        expires_in: timedelta = timedelta(hours=24),
        length: int = 6,
        key: str | None = None,
    ) -> PaymentKey:
        """Issue a payment key for an order.

        amount: 0.01 to 999,999,999.99, a Decimal of at most two decimals. description: 1 to 250 characters
        that can be spoken. order_id: 1 to 100 of ``A-Z a-z 0-9 _ -``, with no other key that was not
        cancelled. expires_in: up to 366 days. length: 4 to 12 digits. key: one of your own making instead
        of a drawn one. Raises InvalidCharge, OrderTaken, KeyTaken, KeysExhausted.
        """
        if key is not None and not is_key(key):
            raise InvalidCharge("a payment key has 4 to 12 digits, the first not 0")
        if not MIN_LENGTH <= length <= MAX_LENGTH:
            raise InvalidCharge(f"a payment key has {MIN_LENGTH} to {MAX_LENGTH} digits, not {length}")
        if not timedelta(0) < expires_in <= MAX_LIFETIME:
            raise InvalidCharge("a payment key lives for more than no time and at most 366 days")
        created_at = self._now()
        values = {
            "amount_cents": cents(amount),
            "description": spoken(description),
            "order_id": plain(order_id),
            "state": State.LIVE.value,
            "created_at": created_at,
            "expires_at": created_at + expires_in,
        }
        for _ in range(TRIES):
            drawn = key or draw_key(length)
            if self._insert({"ivr_key": drawn, **values}):
                return self._read(drawn)
            if self._order_has_key(order_id):
                raise OrderTaken(f"order {order_id} has a payment key already; cancel that one first")
            if key is not None:
                raise KeyTaken("this payment key was issued before; take another")
        raise KeysExhausted(f"no free payment key of {length} digits was found; issue longer ones")

    def find(self, key: str) -> PaymentKey | None:
        """The payment key as it stands now, or None. Reads only."""
        if not is_key(key):
            return None
        with translated("looking a payment key up"), self._engine.connect() as connection:
            row = connection.execute(select(KEYS).where(KEYS.c.ivr_key == key)).one_or_none()
        return None if row is None else self._payment_key(row)

    def list(self) -> tuple[PaymentKey, ...]:
        """All payment keys, the oldest first."""
        with translated("listing payment keys"), self._engine.connect() as connection:
            rows = connection.execute(select(KEYS).order_by(KEYS.c.created_at, KEYS.c.ivr_key)).all()
        return tuple(self._payment_key(row) for row in rows)

    def cancel(self, key: str) -> PaymentKey:
        """End a key that was not paid. Raises UnknownKey, KeyNotLive (paid or cancelled already)."""
        return self._end(key, {"state": State.CANCELLED.value})

    def mark_paid(self, key: str) -> PaymentKey:
        """Note that a key's order was paid; also after it expired, since a charge may end later than that.

        Raises UnknownKey, KeyNotLive (paid or cancelled already: the state is in the error).
        """
        return self._end(key, {"state": State.PAID.value, "paid_at": self._now()})

    def check(self) -> None:
        """Ask the database whether it is there. Raises StoreUnavailable."""
        with translated("being asked for its health"), self._engine.connect() as connection:
            connection.execute(select(KEYS.c.ivr_key).limit(1))

    def close(self) -> None:
        """Close the connections; the store may be used again, and opens new ones."""
        self._engine.dispose()

    def _insert(self, values: dict[str, Any]) -> bool:
        """Write a new row, unless its key or its order is taken: the database decides, in one statement."""
        with translated("issuing a payment key"):
            try:
                with self._engine.begin() as connection:
                    connection.execute(insert(KEYS).values(**values))
            except IntegrityError:
                return False
        return True

    def _end(self, key: str, values: dict[str, Any]) -> PaymentKey:
        self._read(key)  # whatever cannot be a key does not reach the database
        # One conditional statement: of two that end a key in the same moment, one wins.
        still_live = (KEYS.c.ivr_key == key) & (KEYS.c.state == State.LIVE.value)
        with translated("ending a payment key"), self._engine.begin() as connection:
            ended = connection.execute(update(KEYS).where(still_live).values(**values)).rowcount
        payment_key = self._read(key)
        if not ended:
            raise KeyNotLive(payment_key.state.value)
        return payment_key

    def _read(self, key: str) -> PaymentKey:
        found = self.find(key)
        if found is None:
            raise UnknownKey("no such payment key was issued here")
        return found

    def _order_has_key(self, order_id: str) -> bool:
        holds = (KEYS.c.order_id == order_id) & (KEYS.c.state != State.CANCELLED.value)
        with translated("issuing a payment key"), self._engine.connect() as connection:
            return connection.execute(select(KEYS.c.ivr_key).where(holds).limit(1)).first() is not None

    def _payment_key(self, row: Row[Any]) -> PaymentKey:
        state = State(row.state)
        if state is State.LIVE and row.expires_at <= self._now():
            state = State.EXPIRED
        return PaymentKey(
            key=row.ivr_key,
            amount=Decimal(row.amount_cents).scaleb(-2, EXACT),
            description=row.description,
            order_id=row.order_id,
            state=state,
            created_at=row.created_at,
            expires_at=row.expires_at,
            paid_at=row.paid_at,
        )


EXACT = Context(prec=28)  # the caller's thread may have set a smaller one


def draw_key(length: int) -> str:
    """A key of ``length`` digits from the system's CSPRNG, each as likely as any other, the first not 0."""
    lowest = 10 ** (length - 1)
    return str(lowest + secrets.randbelow(9 * lowest))


def is_key(text: str) -> bool:
    """Whether a text may be a payment key at all: 4 to 12 ASCII digits, the first not 0."""
    return re.fullmatch(r"[1-9][0-9]{3,11}", text) is not None


def cents(amount: Decimal) -> int:
    """An amount in cents, exactly. Raises InvalidCharge."""
    if not isinstance(amount, Decimal):
        raise InvalidCharge(f"an amount is a Decimal, not a {type(amount).__name__}")
    if not amount.is_finite() or not Decimal("0.01") <= amount <= MAX_AMOUNT:
        raise InvalidCharge("an amount lies between 0.01 and 999999999.99")
    whole = amount.quantize(Decimal("0.01"), context=EXACT)
    if whole != amount:
        raise InvalidCharge("an amount has at most two decimals")
    return int(whole.scaleb(2, EXACT))


def spoken(description: str) -> str:
    """A description that a voice can speak: no markup, controls or pictures. Raises InvalidCharge."""
    description = unicodedata.normalize("NFC", description.strip())
    if not 1 <= len(description) <= 250:
        raise InvalidCharge("a description has 1 to 250 characters")
    for character in description:
        category = unicodedata.category(character)
        if category[0] not in "LMNP" and category not in ("Zs", "Sc", "Sm", "Sk") and character not in "°©®™":
            raise InvalidCharge(f"a description is spoken: U+{ord(character):04X} cannot be")
        if character in "<>":
            raise InvalidCharge("a description is spoken: it holds no markup")
    return description


def plain(order_id: str) -> str:
    """An order's name as Openpay takes it. Raises InvalidCharge."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", order_id):
        raise InvalidCharge("an order_id has 1 to 100 letters, digits, hyphens and underscores")
    return order_id
