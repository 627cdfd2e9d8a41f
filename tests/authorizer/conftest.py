"""A clock to be set, a store on it, and the application over that store."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from flask import Flask

from authorizer import KeyStore, PaymentKey, create_app

USER, PASSWORD = "openpay", "correct horse battery staple"


@dataclass
class Clock:
    """The time, which passes only when a test says so."""

    now: datetime = field(default=datetime(2026, 11, 23, 12, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database_url: str, clock: Clock) -> Iterator[KeyStore]:
    store = KeyStore(database_url, now=clock)
    yield store
    store.close()


@pytest.fixture
def app(store: KeyStore) -> Flask:
    return create_app(store, user=USER, password=PASSWORD)


@pytest.fixture
def basic() -> Callable[..., str]:
    """The value of an Authorization header; the right one by default."""

    def header(user: str = USER, password: str = PASSWORD) -> str:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    return header


@pytest.fixture
def issued(store: KeyStore, clock: Clock) -> dict[str, PaymentKey]:
    """One key of every kind, each with the state of its name."""

    def issue(order_id: str, expires_in: timedelta = timedelta(hours=24)) -> PaymentKey:
        return store.issue(Decimal("200.00"), "Cargo IVR", order_id, expires_in=expires_in)

    keys = {
        "live": issue("ord-live"),
        "expired": issue("ord-expired", expires_in=timedelta(seconds=1)),
        "paid": store.mark_paid(issue("ord-paid").key),
        "cancelled": store.cancel(issue("ord-cancelled").key),
    }
    clock.advance(timedelta(seconds=1))
    return keys
