"""Payment keys: drawn, issued, ended, found."""

from __future__ import annotations

import decimal
import os
import random
import secrets
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

import authorizer.database
import authorizer.keys
from authorizer import (
    AuthorizerError,
    ConfigurationError,
    InvalidCharge,
    KeyNotLive,
    KeysExhausted,
    KeyStore,
    KeyTaken,
    OrderTaken,
    State,
    StoreUnavailable,
    UnknownKey,
)
from authorizer.keys import KEYS, cents, draw_key

AMOUNT = Decimal("200.00")


# Drawing


@pytest.mark.parametrize("length", range(4, 13))
def test_a_key_has_its_length_and_no_leading_zero(length: int) -> None:
    for _ in range(300):
        key = draw_key(length)
        assert len(key) == length
        assert key.isascii()
        assert key.isdigit()
        assert key[0] != "0"


def test_the_whole_range_is_drawn_from_the_systems_csprng(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[int] = []

    def randbelow(bound: int) -> int:
        bounds.append(bound)
        return 0 if len(bounds) == 1 else bound - 1

    monkeypatch.setattr(secrets, "randbelow", randbelow)
    assert [draw_key(6), draw_key(6)] == ["100000", "999999"]
    assert bounds == [900000, 900000]


def test_keys_are_not_sequential(store: KeyStore) -> None:
    keys = [int(store.issue(AMOUNT, "Cargo", f"ord-{n}", length=12).key) for n in range(20)]
    gaps = {b - a for a, b in pairwise(keys)}
    assert len(gaps) == 19
    assert keys != sorted(keys)
    assert keys != sorted(keys, reverse=True)


def test_a_seeded_random_module_does_not_foretell_keys() -> None:
    random.seed(1)
    first = [draw_key(12) for _ in range(4)]
    random.seed(1)
    assert [draw_key(12) for _ in range(4)] != first


# Issuing


def test_an_issued_key_is_what_was_asked_for(store: KeyStore, clock: Any) -> None:
    key = store.issue(AMOUNT, " Cargo IVR: ñandú, $5 ", "ord-234", expires_in=timedelta(hours=2), length=8)
    assert (key.amount, str(key.amount), key.currency) == (AMOUNT, "200.00", "MXN")
    assert (key.description, key.order_id) == ("Cargo IVR: ñandú, $5", "ord-234")
    assert (key.state, key.paid_at) == (State.LIVE, None)
    assert (key.created_at, key.expires_at) == (clock.now, clock.now + timedelta(hours=2))
    assert key.created_at.tzinfo == UTC
    assert len(key.key) == 8
    assert store.find(key.key) == key


def test_what_is_kept_outlives_the_store(database_url: str, clock: Any) -> None:
    first = KeyStore(database_url, now=clock)
    key = first.issue(Decimal("999999999.99"), "Cargo", "a" * 100)
    first.close()
    second = KeyStore(database_url, now=clock)
    assert second.list() == (key,)
    second.close()


def test_moments_are_kept_in_utc_whatever_the_clocks_zone(database_url: str) -> None:
    there = datetime(2026, 11, 23, 18, 0, tzinfo=timezone(timedelta(hours=-6)))
    store = KeyStore(database_url, now=lambda: there)
    key = store.issue(AMOUNT, "Cargo", "ord-1")
    assert key.created_at == there
    assert key.created_at.isoformat() == "2026-11-24T00:00:00+00:00"
    store.close()


def test_a_clock_without_a_zone_is_refused(database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="zone"):
        KeyStore(database_url, now=lambda: datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("text", ["0.01", "0.10", "1", "1.5", "200.000", "1E+2", "999999999.99"])
def test_amounts_are_kept_exactly(store: KeyStore, text: str) -> None:
    with decimal.localcontext(prec=3):  # a caller's own precision does no harm
        key = store.issue(Decimal(text), "Cargo", "ord-1")
    assert key.amount == Decimal(text)
    assert str(key.amount)[-3] == "."


@given(st.integers(1, 99_999_999_999))
@settings(deadline=None)
def test_cents_of_an_amount_are_its_cents(whole: int) -> None:
    assert cents(Decimal(whole).scaleb(-2)) == whole


@pytest.mark.parametrize(
    "amount",
    [*map(Decimal, ("0", "-0.01", "0.009", "200.005", "1000000000", "NaN", "sNaN", "Infinity", "1E+999999")),
     200.0, 200, "200.00", True, None],
)  # fmt: skip
def test_amounts_that_cannot_be_charged_are_refused(store: KeyStore, amount: Any) -> None:
    with pytest.raises(InvalidCharge, match="amount"):
        store.issue(amount, "Cargo", "ord-1")
    assert store.list() == ()


@pytest.mark.parametrize(
    "description",
    [
        "",
        "  ",
        "x" * 251,
        "a\nb",
        "a\x00b",
        "<b>hola</b>",
        "\ud800",
        "a\u200db",
        "pago 😀",
        "❤ pago",
    ],
)
def test_descriptions_that_cannot_be_spoken_are_refused(store: KeyStore, description: str) -> None:
    with pytest.raises(InvalidCharge, match="description"):
        store.issue(AMOUNT, description, "ord-1")


def test_descriptions_in_spanish_are_taken_and_composed(store: KeyStore) -> None:
    text = "¿Pago nº 5? ¡Sí! «Ñandú», 10 % & más: 20 °C + €3 – fin…"
    assert store.issue(AMOUNT, text, "ord-1").description == text
    assert store.issue(AMOUNT, "cafe\u0301", "ord-2").description == "café"
    assert len(store.issue(AMOUNT, "é" * 250, "ord-3").description) == 250


@pytest.mark.parametrize("order_id", ["", "a b", "a" * 101, "ñ", "a\n", "a/b", "٣"])
def test_orders_that_openpay_would_not_take_are_refused(store: KeyStore, order_id: str) -> None:
    with pytest.raises(InvalidCharge, match="order_id"):
        store.issue(AMOUNT, "Cargo", order_id)


@pytest.mark.parametrize(
    "options",
    [{"length": 3}, {"length": 13}, {"expires_in": timedelta(0)}, {"expires_in": timedelta(days=-1)},
     {"expires_in": timedelta(days=367)}, {"key": "123"}, {"key": "012345"}, {"key": "1234567890123"},
     {"key": "12a456"}, {"key": "١٢٣٤٥٦"}, {"key": "123456\n"}],
)  # fmt: skip
def test_keys_that_cannot_be_are_refused(store: KeyStore, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidCharge, match="payment key"):
        store.issue(AMOUNT, "Cargo", "ord-1", **options)


def test_a_key_of_ones_own_making_is_issued_once(store: KeyStore) -> None:
    assert store.issue(AMOUNT, "Cargo", "ord-1", key="123456").key == "123456"
    store.cancel("123456")
    with pytest.raises(KeyTaken, match="before"):
        store.issue(AMOUNT, "Cargo", "ord-2", key="123456")


def test_a_taken_draw_is_drawn_again(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter(["111111", "111111", "111111", "222222"])
    monkeypatch.setattr(authorizer.keys, "draw_key", lambda length: next(draws))
    assert store.issue(AMOUNT, "Cargo", "ord-1").key == "111111"
    assert store.issue(AMOUNT, "Cargo", "ord-2").key == "222222"


def test_a_key_that_ended_is_not_issued_again(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = count()
    monkeypatch.setattr(authorizer.keys, "draw_key", lambda length: f"{1111 * (next(draws) % 3 + 1)}")
    store.mark_paid(store.issue(AMOUNT, "Cargo", "ord-1").key)
    store.cancel(store.issue(AMOUNT, "Cargo", "ord-2").key)
    assert store.issue(AMOUNT, "Cargo", "ord-3").key == "3333"
    with pytest.raises(KeysExhausted, match="longer"):
        store.issue(AMOUNT, "Cargo", "ord-4", length=4)


def test_an_order_has_one_key_until_that_is_cancelled(store: KeyStore, clock: Any) -> None:
    first = store.issue(AMOUNT, "Cargo", "ord-1", expires_in=timedelta(hours=1))
    clock.advance(timedelta(hours=2))
    with pytest.raises(OrderTaken, match="ord-1 has a payment key"):
        store.issue(AMOUNT, "Cargo", "ord-1")
    store.cancel(first.key)
    second = store.issue(AMOUNT, "Cargo", "ord-1")
    store.mark_paid(second.key)
    with pytest.raises(OrderTaken, match="ord-1"):
        store.issue(AMOUNT, "Cargo", "ord-1")


# Finding and ending


def test_each_state_is_found(store: KeyStore, issued: dict[str, Any]) -> None:
    for state, key in issued.items():
        found = store.find(key.key)
        assert found is not None
        assert found.state == state
    assert Counter(key.state for key in store.list()) == Counter(State)


def test_a_key_expires_at_its_moment_and_not_before(store: KeyStore, clock: Any) -> None:
    key = store.issue(AMOUNT, "Cargo", "ord-1", expires_in=timedelta(hours=1)).key
    states = []
    for step in (
        timedelta(hours=1) - timedelta(microseconds=1),
        timedelta(microseconds=1),
        timedelta(days=9),
    ):
        clock.advance(step)
        found = store.find(key)
        assert found is not None
        states.append(found.state)
    assert states == [State.LIVE, State.EXPIRED, State.EXPIRED]


@pytest.mark.parametrize(
    "key", ["", "0", "123", "0123456", "1" * 13, "abc", "١٢٣٤٥٦", "1\x00", "' OR 1=1 --", "999999999999"]
)
def test_what_was_never_issued_is_not_found(store: KeyStore, key: str) -> None:
    assert store.find(key) is None
    for end in (store.cancel, store.mark_paid):
        with pytest.raises(UnknownKey):
            end(key)


def test_keys_are_listed_the_oldest_first(store: KeyStore, clock: Any) -> None:
    for n in range(5):
        store.issue(AMOUNT, "Cargo", f"ord-{n}")
        clock.advance(timedelta(seconds=1))
    assert [key.order_id for key in store.list()] == [f"ord-{n}" for n in range(5)]


def test_a_paid_key_says_when(store: KeyStore, clock: Any) -> None:
    key = store.issue(AMOUNT, "Cargo", "ord-1").key
    clock.advance(timedelta(minutes=3))
    assert store.mark_paid(key).paid_at == clock.now


def test_an_expired_key_can_still_be_paid_or_cancelled(store: KeyStore, clock: Any) -> None:
    keys = [store.issue(AMOUNT, "Cargo", f"ord-{n}").key for n in range(2)]
    clock.advance(timedelta(days=2))
    assert store.mark_paid(keys[0]).state is State.PAID
    assert store.cancel(keys[1]).state is State.CANCELLED


@pytest.mark.parametrize("state", ["paid", "cancelled"])
def test_an_ended_key_stays_as_it_is(store: KeyStore, issued: dict[str, Any], state: str) -> None:
    before = store.find(issued[state].key)
    for end in (store.cancel, store.mark_paid):
        with pytest.raises(KeyNotLive, match=state) as caught:
            end(issued[state].key)
        assert caught.value.state == state
    assert store.find(issued[state].key) == before


def test_a_key_as_json(store: KeyStore) -> None:
    key = store.issue(AMOUNT, "Cargo", "ord-1", key="123456")
    assert key.as_json() == {
        "ivr_key": 123456,
        "amount": "200.00",
        "currency": "MXN",
        "description": "Cargo",
        "order_id": "ord-1",
        "state": "live",
        "created_at": "2026-11-23T12:00:00+00:00",
        "expires_at": "2026-11-24T12:00:00+00:00",
        "paid_at": None,
    }
    assert store.mark_paid("123456").as_json()["paid_at"] == "2026-11-23T12:00:00+00:00"


# The database


def test_eight_threads_issue_and_look_up_at_once(store: KeyStore) -> None:
    def work(worker: int) -> list[str]:
        keys = []
        for n in range(15):
            key = store.issue(Decimal(worker * 100 + n + 1), "Cargo", f"ord-{worker}-{n}", length=4)
            found = store.find(key.key)
            assert found == key
            keys.append(key.key)
        return keys

    with ThreadPoolExecutor(8) as pool:
        keys = [key for keys in pool.map(work, range(8)) for key in keys]
    assert len(set(keys)) == 120
    assert {key.key for key in store.list()} == set(keys)


def test_of_eight_threads_that_end_one_key_one_wins(store: KeyStore) -> None:
    key = store.issue(AMOUNT, "Cargo", "ord-1").key

    def end(n: int) -> str:
        try:
            return (store.mark_paid if n % 2 else store.cancel)(key).state
        except KeyNotLive as refused:
            return f"refused: {refused.state}"

    with ThreadPoolExecutor(8) as pool:
        ends = Counter(pool.map(end, range(8)))
    found = store.find(key)
    assert found is not None
    assert ends == {found.state: 1, f"refused: {found.state}": 7}


def test_of_eight_threads_that_issue_for_one_order_one_wins(store: KeyStore) -> None:
    def issue(n: int) -> bool:
        try:
            return bool(store.issue(AMOUNT, "Cargo", "ord-1"))
        except OrderTaken:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(issue, range(8))) == 1


def test_processes_that_start_at_once_share_a_new_database(database_url: str) -> None:
    program = (
        "import sys; from decimal import Decimal; from authorizer import KeyStore;"
        "sys.stdin.readline(); s = KeyStore(sys.argv[1]);"
        "s.issue(Decimal(1), 'Cargo', sys.argv[2]); s.close()"
    )
    peers = [
        subprocess.Popen(
            [sys.executable, "-c", program, database_url, f"ord-{n}"],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(authorizer.__file__).parents[1])},
        )
        for n in range(4)
    ]
    for peer in peers:
        assert peer.stdin is not None
        peer.stdin.write(b"\n")
        peer.stdin.flush()
    for peer in peers:
        peer.communicate(timeout=60)
    assert [peer.returncode for peer in peers] == [0] * 4
    store = KeyStore(database_url)
    assert {key.order_id for key in store.list()} == {f"ord-{n}" for n in range(4)}
    store.close()


def test_sqlite_logs_ahead_keeps_foreign_keys_and_waits(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'keys.sqlite3'}")
    KeyStore(engine)  # an engine of one's own is tuned like ours
    with engine.connect() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    engine.dispose()
    assert pragmas == ["wal", 1, 2000]


def test_a_database_in_memory_is_one_for_all_threads() -> None:
    store = KeyStore("sqlite://")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda n: store.issue(AMOUNT, "Cargo", f"ord-{n}").key, range(40)))
    assert {key.key for key in store.list()} == keys
    store.close()


def test_a_reader_is_not_held_up_by_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorizer.database, "PATIENCE", 0)
    url = f"sqlite:///{tmp_path / 'keys.sqlite3'}"
    store, engine = KeyStore(url), create_engine(url)
    key = store.issue(AMOUNT, "Cargo", "ord-1")
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        assert store.find(key.key) == key
        with pytest.raises(StoreUnavailable, match="locked"):
            store.cancel(key.key)
    engine.dispose()
    store.close()


def test_looking_up_only_reads(tmp_path: Path, issued: dict[str, Any], clock: Any) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'reads.sqlite3'}")
    store = KeyStore(engine, now=clock)
    key = store.issue(AMOUNT, "Cargo", "ord-1")
    engine.dispose()
    statements: list[str] = []

    @event.listens_for(engine, "connect")
    def forbid_writing(connection: Any, record: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "before_cursor_execute")
    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    assert store.find(key.key) == key
    assert store.find("999999999999") is None
    assert store.list() == (key,)
    store.check()
    assert len(statements) == 4
    assert all(statement.startswith("SELECT") for statement in statements)
    with pytest.raises(StoreUnavailable, match="readonly"):
        store.cancel(key.key)
    store.close()


def test_a_broken_database_is_one_kind_of_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys.sqlite3'}"
    store, engine = KeyStore(url), create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE payment_keys")
    engine.dispose()
    for use in (
        lambda: store.issue(AMOUNT, "Cargo", "ord-1"),
        lambda: store.find("123456"),
        store.list,
        lambda: store.cancel("123456"),
        lambda: store.mark_paid("123456"),
        store.check,
    ):
        with pytest.raises(StoreUnavailable, match="no such table") as caught:
            use()
        assert "123456" not in str(caught.value.__cause__)  # a statement's values stay out of messages
    store.close()


@pytest.mark.parametrize(
    ("url", "error", "hint"),
    [
        ("no url", ConfigurationError, "should look like"),
        ("oracle9://x", ConfigurationError, "driver"),
        ("sqlite:////nowhere/at/all.sqlite3", StoreUnavailable, "unable to open"),
        ("postgresql+nosuch://u:hunter2@127.0.0.1/x", ConfigurationError, "driver"),
        ("sqlite:///x.sqlite3?hunter2=1&timeout=abc", ConfigurationError, "parts"),
    ],
)
def test_a_database_that_cannot_be_opened_is_a_clear_error(
    url: str, error: type[AuthorizerError], hint: str
) -> None:
    with pytest.raises(error, match=hint) as caught:
        KeyStore(url)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "keys.sqlite3").write_text("this is no database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        KeyStore(f"sqlite:///{tmp_path / 'keys.sqlite3'}")


def test_the_schema_on_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    table = str(CreateTable(KEYS).compile(dialect=dialect))
    (index,) = (str(CreateIndex(index).compile(dialect=dialect)) for index in KEYS.indexes)
    assert "amount_cents BIGINT NOT NULL" in table
    assert table.count("TIMESTAMP WITH TIME ZONE") == 3
    assert (
        index == "CREATE UNIQUE INDEX one_key_per_order ON payment_keys (order_id) WHERE state != 'cancelled'"
    )
