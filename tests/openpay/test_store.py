"""The database: orders under contention, restarts, and what never gets into it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from ivr_sim.errors import ConfigurationError
from ivr_sim.openpay import TEST_CARDS, Store
from ivr_sim.openpay.store import ChargeRow
from ivr_sim.openpay.tokens import new_id

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
CUSTOMER = {"name": "Juan", "email": "juan.test@correo.mx"}


def row(**fields: Any) -> ChargeRow:
    common: dict[str, Any] = {
        "id": new_id("tr"),
        "merchant_id": "m1",
        "status": "completed",
        "cents": 20_000,
        "currency": "MXN",
        "description": "x",
        "created": NOW,
        "operated": NOW,
    }
    return ChargeRow(**common | fields)


def at_once(n: int, work: Callable[[int], Any]) -> list[Any]:
    """What n threads got that started together."""
    start, results = threading.Barrier(n), []

    def run(i: int) -> None:
        start.wait(30)
        results.append(work(i))

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == n
    return results


def test_one_order_is_charged_once_whoever_asks_at_once(api: Any) -> None:
    tokens = [api.token().json["id"] for _ in range(24)]
    codes = at_once(24, lambda i: api.app.test_client().post(
        f"/v1/{api.merchant}/charges", auth=(api.private, ""),
        json={"method": "card", "source_id": tokens[i], "amount": 1, "description": "x", "order_id": "o"},
    ).status_code)  # fmt: skip
    assert sorted(codes) == [200] + [409] * 23
    assert [c.status for c in api.store.charges(order_id="o")] == ["completed"]


def test_one_token_is_used_once_whoever_asks_at_once(api: Any) -> None:
    token = api.token().json["id"]
    codes = at_once(12, lambda i: api.app.test_client().post(
        f"/v1/{api.merchant}/charges", auth=(api.private, ""),
        json={"method": "card", "source_id": token, "amount": 1, "description": "x", "order_id": f"o-{i}"},
    ).status_code)  # fmt: skip
    assert sorted(codes) == [200] + [422] * 11


def test_the_database_itself_refuses_a_second_charge(store: Store) -> None:
    with store.transaction() as session:
        session.add_all([row(order_id="o", status="failed"), row(order_id="o"), row(order_id=None)])
        session.add_all([row(order_id="o", merchant_id="m2"), row(order_id=None)])
    for status in ("completed", "charge_pending", "in_progress"):
        with pytest.raises(IntegrityError), store.transaction() as session:
            session.add(row(order_id="o", status=status))
    with store.transaction() as session:
        session.add(row(order_id="o", status="failed"))
    assert len(store.charges(order_id="o", merchant_id="m1")) == 3


def test_the_database_itself_refuses_a_second_pending_key(store: Store) -> None:
    with store.transaction() as session:
        session.add_all(
            [row(ivr_key=123456, status="completed"), row(ivr_key=123456, status="charge_pending")]
        )
    with pytest.raises(IntegrityError), store.transaction() as session:
        session.add(row(ivr_key=123456, status="charge_pending"))


def test_what_was_charged_survives_a_restart(database_url: str) -> None:
    first = Store(database_url)
    with first.transaction() as session:
        session.add(row(order_id="o", meta={"attempt": "ñ"}, authorization="012345"))
    before = first.charges()
    first.close()
    second = Store(database_url)
    assert second.charges() == before
    assert before[0].amount == Decimal("200.00")
    assert before[0].creation_date == NOW
    second.close()


def test_a_block_that_raises_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.transaction() as session:
            session.add(row())
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.charges() == []


def test_in_memory_the_threads_share_one_database() -> None:
    store = Store("sqlite://")

    def add(i: int) -> int:
        with store.transaction() as session:
            session.add(row(order_id=f"o-{i}"))
        return len(store.charges())

    assert max(at_once(8, add)) == 8
    store.close()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite:////nowhere/at/all/x.db", "mysql+nodriver://u:geheim@h/d"]
)
def test_a_database_that_cannot_be_opened(url: str) -> None:
    with pytest.raises(ConfigurationError, match="stand-in's database") as refused:
        Store(url)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # whose bytes can be looked at
def test_no_digit_of_a_card_is_in_the_database(api: Any, tmp_path: Path) -> None:
    """Not six of them in a row; what is kept of a card is its name."""
    for card in TEST_CARDS:
        token = api.token(card.number, holder_name="ANA").json["id"]
        api.charge(card.name, source_id=token)
        assert api("GET", f"/tokens/{token}").json["card"]["card_number"] == card.masked
    charged = api.store.charges()
    assert {charge.card.card_number for charge in charged} == {card.masked for card in TEST_CARDS}
    for refused in ("4012888888881881", "4111111111111112"):  # a stranger's card, and no card at all
        assert api.token(refused).status_code in (412, 422)
    api.store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"visa-approved" in kept
    assert b"XXX" not in kept
    assert b"cvv" not in kept
    numbers = [*(card.number for card in TEST_CARDS), "4012888888881881", "4111111111111112"]
    for number in numbers:
        for first in range(len(number) - 5):
            part = number[first : first + 6].encode()
            # Five zeros and more stand in SQLite's own headers and in the times of day.
            assert part not in kept or part.count(b"0") >= 5, part


def test_ids() -> None:
    ids = {new_id("tr") for _ in range(100)}
    assert len(ids) == 100
    assert {len(i) for i in ids} == {20}
