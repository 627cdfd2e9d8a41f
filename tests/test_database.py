"""Databases: processes that start at once, locks that are waited for, and what their errors say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import MetaData, String, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import ivr_sim.database
from ivr_sim.database import Database, Utc
from ivr_sim.errors import ConfigurationError


class Base(DeclarativeBase):
    pass


class Moment(Base):
    __tablename__ = "moments"
    name: Mapped[str] = mapped_column(String(9), primary_key=True)
    at: Mapped[datetime | None] = mapped_column(Utc)


START = """
import sys
from datetime import UTC, datetime
from decimal import Decimal
from ivr_sim.ledger import Intent, Ledger
from ivr_sim.openpay import Store
print("ready", flush=True)
sys.stdin.readline()
Store(sys.argv[1]).close()
ledger = Ledger(sys.argv[1], now=lambda: datetime.now(UTC))
ledger.open(Intent(attempt=sys.argv[2], account="m", call="0001", order_id="o", amount=Decimal(1)))
ledger.close()
"""


def test_processes_that_start_at_once_share_a_new_database(database_url: str) -> None:
    peers = [
        subprocess.Popen(
            [sys.executable, "-c", START, database_url, f"a-{n}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(Path(ivr_sim.database.__file__).parents[1])},
        )
        for n in range(4)
    ]  # fmt: skip
    for peer in peers:
        assert peer.stdout is not None
        assert peer.stdout.readline() == "ready\n"
    ends = [peer.communicate("\n", timeout=60)[1] for peer in peers]
    assert [peer.returncode for peer in peers] == [0] * 4, ends
    database = Database(database_url, MetaData(), what="a copy")
    with database.transaction() as session:
        assert set(inspect(session.connection()).get_table_names()) == {"attempts", "charges", "tokens"}
        kept = session.execute(text("SELECT attempt FROM attempts")).scalars()
        assert set(kept) == {f"a-{n}" for n in range(4)}
    database.close()


def test_openings_of_one_moment_all_succeed(database_url: str) -> None:
    start, opened = threading.Barrier(8), []

    def open_it() -> None:
        start.wait(20)
        opened.append(Database(database_url, Base.metadata, what="it"))

    threads = [threading.Thread(target=open_it, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert len(opened) == 8
    for database in opened:
        database.close()


def test_a_moment_keeps_its_instant_whatever_its_zone(database_url: str) -> None:
    there = datetime(2026, 11, 23, 18, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-6)))
    database = Database(database_url, Base.metadata, what="it")
    with database.transaction() as session:
        session.add_all([Moment(name="there", at=there), Moment(name="never", at=None)])
    with database.transaction() as session:
        kept = {moment.name: moment.at for moment in session.query(Moment)}
    assert kept == {"there": there, "never": None}
    assert kept["there"].tzinfo is UTC  # type: ignore[union-attr]
    database.close()


def rename(database: Database, name: str) -> None:
    with database.transaction() as session:
        session.query(Moment).update({"name": name})


def names(database: Database) -> list[str]:
    with database.transaction() as session:
        return [moment.name for moment in session.query(Moment)]


def test_a_writer_waits_for_another(database_url: str) -> None:
    database = Database(database_url, Base.metadata, what="it")
    with database.transaction() as session:
        session.add(Moment(name="one", at=None))
    with database.transaction() as session:
        session.query(Moment).update({"name": "two"})
        writer = threading.Thread(target=rename, args=(database, "three"), daemon=True)
        writer.start()
    writer.join(40)
    assert names(database) == ["three"]
    database.close()


def test_a_writer_does_not_wait_for_ever(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ivr_sim.database, "LOCK_WAIT", 1)
    database = Database(database_url, Base.metadata, what="it")
    with database.transaction() as session:
        session.add(Moment(name="one", at=None))
    with database.transaction() as session:
        session.query(Moment).update({"name": "two"})
        with pytest.raises(OperationalError, match=r"locked|lock timeout"):
            rename(database, "three")
    assert names(database) == ["two"]
    database.close()


def test_a_transaction_that_raises_leaves_nothing(database_url: str) -> None:
    database = Database(database_url, Base.metadata, what="it")

    def fail() -> None:
        with database.transaction() as session:
            session.add(Moment(name="one", at=None))
            session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with database.transaction() as session:
        assert session.query(Moment).all() == []
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "postgresql+nosuch://u:hunter2@127.0.0.1/x",
        "sqlite:////nowhere/at/all.sqlite3",
        "postgresql+psycopg://u:hunter2@127.0.0.1:1/x?connect_timeout=2",
    ],
)
def test_a_database_that_cannot_be_opened_is_a_clear_error(url: str) -> None:
    if "psycopg" in url:
        pytest.importorskip("psycopg", exc_type=ImportError)
    with pytest.raises(ConfigurationError, match="it's database cannot") as caught:
        Database(url, Base.metadata, what="it")
    assert "hunter2" not in str(caught.value)
