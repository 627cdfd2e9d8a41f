"""The ledger: what is committed stays, what is settled stays settled, and what is open is found again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ivr_sim.errors import ConfigurationError
from ivr_sim.ledger import Intent, Ledger, LedgerEntry, LedgerFailed

NOW = datetime(2026, 11, 23, 18, 0, 0, 123456, tzinfo=UTC)


class Wall:
    """A wall clock that goes on by a second each time it is looked at."""

    def __init__(self) -> None:
        self.at = NOW - timedelta(seconds=1)

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    ledger = Ledger(database_url, now=Wall())
    yield ledger
    ledger.close()


def intent(attempt: str = "a-1", **more: Any) -> Intent:
    fields: dict[str, Any] = {
        "account": "m1", "call": "0001", "order_id": "ord-1", "amount": Decimal("200.00"),
    }  # fmt: skip
    return Intent(attempt=attempt, **fields | more)


def attempts(entries: list[LedgerEntry]) -> list[str]:
    return [entry.attempt for entry in entries]


def test_an_intent_is_there_when_open_returns(ledger: Ledger, database_url: str) -> None:
    asked = intent(amount=Decimal("1021.50"), currency="USD", call="0042")
    opened = ledger.open(asked)
    assert opened == LedgerEntry(**asdict(asked), opened=NOW)
    other = Ledger(database_url, now=Wall())  # as a process that starts meanwhile sees it
    assert other.entries() == [opened]
    other.close()


def test_its_outcome(ledger: Ledger) -> None:
    ledger.open(intent("a-1"))
    ledger.open(intent("a-2"))
    assert ledger.settle("a-1", "declined", error_code=3003)
    assert ledger.settle("a-2", "approved", charge_id="tr1")
    one, two = ledger.entries()
    assert (one.result, one.error_code, one.charge_id) == ("declined", 3003, None)
    assert (two.result, two.error_code, two.charge_id) == ("approved", None, "tr1")
    assert one.settled == NOW + timedelta(seconds=2)
    assert (one.opened, one.amount) == (NOW, Decimal("200.00"))


@pytest.mark.parametrize("result", ["approved", "declined", "already_paid", "failed"])
def test_each_result_is_kept(ledger: Ledger, result: Any) -> None:
    ledger.open(intent())
    assert ledger.settle("a-1", result)
    assert [entry.result for entry in ledger.entries()] == [result]
    assert ledger.entries(open_only=True) == []


@pytest.mark.parametrize("first", ["approved", "declined", "already_paid", "failed"])
@pytest.mark.parametrize("then", ["approved", "declined", "already_paid", "failed"])
def test_what_is_settled_stays_but_for_a_charge_that_was_made_after_all(
    ledger: Ledger, first: Any, then: Any
) -> None:
    ledger.open(intent())
    ledger.settle("a-1", first, charge_id="tr-first", error_code=3001)
    overridden = then == "approved" and first != "approved"
    assert ledger.settle("a-1", then, charge_id="tr-then") is overridden
    [entry] = ledger.entries()
    expected = ("approved", "tr-then", None) if overridden else (first, "tr-first", 3001)
    assert (entry.result, entry.charge_id, entry.error_code) == expected


def test_settling_what_was_never_opened_is_no_news(ledger: Ledger) -> None:
    ledger.open(intent())
    assert not ledger.settle("a-2", "approved")
    assert [entry.result for entry in ledger.entries()] == [None]


def test_a_name_is_used_once(ledger: Ledger) -> None:
    ledger.open(intent())
    for again in (intent(), intent(account="m2", order_id="ord-2")):
        with pytest.raises(LedgerFailed, match="opening an entry: this attempt is in it already"):
            ledger.open(again)
    ledger.settle("a-1", "failed")
    with pytest.raises(LedgerFailed, match="already"):
        ledger.open(intent())
    assert attempts(ledger.entries()) == ["a-1"]


def test_entries_of_an_account_an_order_or_still_open(ledger: Ledger) -> None:
    ledger.open(intent("a-1"))
    ledger.open(intent("a-2", order_id="ord-2"))
    ledger.open(intent("a-3", account="m2"))
    ledger.open(intent("a-4"))
    ledger.settle("a-1", "declined")
    assert attempts(ledger.entries()) == ["a-1", "a-2", "a-3", "a-4"]
    assert attempts(ledger.entries(account="m1")) == ["a-1", "a-2", "a-4"]
    assert attempts(ledger.entries(account="m1", order_id="ord-1")) == ["a-1", "a-4"]
    assert attempts(ledger.entries(order_id="ord-1", open_only=True)) == ["a-3", "a-4"]
    assert attempts(ledger.entries(account="m2", open_only=True)) == ["a-3"]
    assert ledger.entries(order_id="ord-3") == []


def test_amounts_are_exact(ledger: Ledger) -> None:
    amounts = [Decimal(text) for text in ("0.01", "0.29", "1.10", "4.35", "999999999.99")]
    for n, amount in enumerate(amounts):
        ledger.open(intent(f"a-{n}", amount=amount))
    assert [str(entry.amount) for entry in ledger.entries()] == [str(amount) for amount in amounts]


def test_moments_keep_their_instant_whatever_zone_they_are_told_in(database_url: str) -> None:
    from zoneinfo import ZoneInfo

    ledger = Ledger(database_url, now=lambda: NOW.astimezone(ZoneInfo("America/Mexico_City")))
    ledger.open(intent())
    [entry] = ledger.entries()
    assert (entry.opened, entry.opened.tzinfo) == (NOW, UTC)
    ledger.close()


def test_many_threads_at_once(ledger: Ledger) -> None:
    """Of those who open one attempt, one does; of those who settle it, one brings news."""
    start = threading.Barrier(8)
    opened: list[str] = []
    news: list[int] = []

    def work(n: int) -> None:
        start.wait(10)
        for attempt in ("shared", f"own-{n}"):
            try:
                ledger.open(intent(attempt))
                opened.append(attempt)
            except LedgerFailed:
                pass
        start.wait(10)
        if ledger.settle("shared", "approved", charge_id=f"tr{n}"):
            news.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(opened) == sorted(["shared", *(f"own-{n}" for n in range(8))])
    [winner] = news
    assert next(e.charge_id for e in ledger.entries() if e.attempt == "shared") == f"tr{winner}"


def test_a_ledger_that_cannot_be_opened(tmp_path: Any) -> None:
    for url in ("nonsense", "oracle9://x/y", f"sqlite:///{tmp_path}/missing/ledger.sqlite3"):
        with pytest.raises(ConfigurationError, match="the ledger") as refused:
            Ledger(url, now=Wall())
        assert "\n" not in str(refused.value)


def test_what_fails_is_told_without_what_was_written(tmp_path: Any) -> None:
    file = tmp_path / "ledger.sqlite3"
    ledger = Ledger(f"sqlite:///{file}", now=Wall())
    with ledger._database.transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE attempts")
    for use in (
        lambda: ledger.open(intent(order_id="ord-told")),
        lambda: ledger.settle("a-told", "failed"),
        lambda: ledger.entries(order_id="ord-told"),
    ):
        with pytest.raises(LedgerFailed, match=r"^the ledger failed while \w+ .*: no such table") as failed:
            use()
        assert "told" not in str(failed.value)
        assert failed.value.__cause__ is None
    ledger.close()
