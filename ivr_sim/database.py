"""Databases: one way to open them, SQLite by default and PostgreSQL by its URL, and times as both keep them.

Whoever keeps something in SQL (the ledger, the Openpay stand-in) declares its tables on a
``DeclarativeBase`` of its own and opens them here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import DateTime, MetaData, create_engine, event, text
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import TypeDecorator

from ivr_sim.errors import ConfigurationError

__all__ = ["Database", "Utc"]

LOCK_WAIT = 30  # seconds that a writer waits for another one (SQLite has one writer at a time)


class Utc(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC without its zone: SQLite has no zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """To the database."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC)


class Database:
    """An open database whose tables exist; safe to share between threads.

    what: its name in errors ("the ledger"). synchronous: what a commit waits for in SQLite: ``FULL`` keeps
    it through a loss of power, ``NORMAL`` through the end of the process only. Raises ConfigurationError
    when it cannot be opened.
    """

    def __init__(
        self,
        url: str | URL,
        tables: MetaData,
        *,
        what: str,
        synchronous: Literal["FULL", "NORMAL"] = "NORMAL",
    ) -> None:
        try:
            self._engine = _engine(make_url(url), synchronous)
        except (ArgumentError, ModuleNotFoundError) as wrong:
            raise ConfigurationError(
                f"the URL of {what}'s database cannot be used ({type(wrong).__name__}); "
                "try sqlite:////tmp/it.db or postgresql+psycopg://USER:PASSWORD@HOST/NAME"
            ) from None
        try:
            _create_missing(self._engine, tables)
        except SQLAlchemyError as failed:
            raise ConfigurationError(
                f"{what}'s database cannot be opened: {failed.__cause__ or failed}"
            ) from None

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close the database's connections."""
        self._engine.dispose()


def _create_missing(engine: Engine, tables: MetaData) -> None:
    """Make the tables that are not there; of several processes that start at once, one does."""
    with engine.begin() as connection:  # in SQLite, that takes the write lock
        if engine.dialect.name == "postgresql":
            # "If not exists" still collides there: who comes second waits for the first one's commit.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('ivr_sim tables'))"))
        tables.create_all(connection)


def _engine(url: URL, synchronous: str) -> Engine:
    # hide_parameters: what an exception says of a statement must not hold its values.
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_timeout=LOCK_WAIT)
        if url.get_backend_name() == "postgresql":
            _wait_for_locks(engine)
        return engine
    connect_args = {"timeout": LOCK_WAIT, "check_same_thread": False}
    if url.database in (None, "", ":memory:"):
        # A database in memory lives in its one connection, which the threads take in turn.
        engine = create_engine(
            url,
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            connect_args=connect_args,
        )
    else:
        engine = create_engine(url, hide_parameters=True, connect_args=connect_args)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # transactions begin where _begin says, not where pysqlite guesses
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # Taking the write lock at once: a reader that turns writer would fail rather than wait its turn.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _wait_for_locks(engine: Engine) -> None:
    """Let PostgreSQL wait for another writer as long as SQLite does; by itself it would wait for ever."""

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LOCK_WAIT}s'")
        connection.commit()  # or the first rollback would take it back
