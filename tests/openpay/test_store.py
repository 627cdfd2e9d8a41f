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
from ivr_sim.openpay import Store
from ivr_sim.openpay.store import ChargeRow
from ivr_sim.openpay.tokens import masked, new_id

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


def test_what_was_charged_survives_a_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    first = Store(url)
    with first.transaction() as session:
        session.add(row(order_id="o", meta={"attempt": "ñ"}, authorization="012345"))
    before = first.charges()
    first.close()
    second = Store(url)
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


def test_no_number_and_no_cvv_is_in_the_database(api: Any, tmp_path: Path) -> None:
    for number in ("4111111111111111", "4222222222222220", "4012888888881881", "345678000000007"):
        token = api.token(number)
        if token.status_code == 201:
            api.charge(number[:6], source_id=token.json["id"])
    api.store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"411111XXXXXX1111" in kept
    assert b"cvv" not in kept
    assert b"401288" not in kept
    for number in (b"4111111111111111", b"4222222222222220", b"345678000000007"):
        assert number not in kept
        assert number[6:] not in kept


@pytest.mark.parametrize(
    ("digits", "shown"),
    [
        ("4111111111111111", "411111XXXXXX1111"),
        ("345678000000007", "345678XXXXX0007"),
        ("1234567890123", "123456XXX0123"),
    ],
)
def test_masks(digits: str, shown: str) -> None:
    assert masked(digits) == shown


def test_ids() -> None:
    ids = {new_id("tr") for _ in range(100)}
    assert len(ids) == 100
    assert {len(i) for i in ids} == {20}
