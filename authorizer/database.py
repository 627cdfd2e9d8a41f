"""The database under the payment keys: SQLite by default, any other that SQLAlchemy knows by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, Engine, Table, create_engine, event, inspect
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeDecorator

from .errors import ConfigurationError, StoreUnavailable

__all__ = [
    "DEFAULT_URL",
    "UtcDateTime",
    "create_missing",
    "in_memory",
    "open_engine",
    "prepare_default_folder",
    "translated",
    "tune_sqlite",
]

DEFAULT_URL = "sqlite:///authorizer-data/payment-keys.sqlite3"

# Openpay gives up after 5 s (guide L172): whoever waits for the database gives up well before that.
PATIENCE = 2  # seconds


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, aware of its zone: kept in UTC, also where the database has no zones (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def open_engine(url: str) -> Engine:
    """An engine whose waits are bounded. Connects to nothing yet. Raises ConfigurationError.

    The messages of its errors hold neither the URL's password nor the values of statements.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "the database URL cannot be read; it should look like sqlite:///keys.sqlite3 or "
            "postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        ) from None
    options: dict[str, Any] = {"hide_parameters": True}
    if parsed.get_backend_name() != "sqlite":
        options |= {"pool_timeout": PATIENCE, "pool_pre_ping": True}
    elif in_memory(parsed):
        # One connection is the database; whoever needs it waits for it, in whatever thread.
        options |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": PATIENCE}
        options["connect_args"] = {"check_same_thread": False}
    else:
        options |= {"pool_timeout": PATIENCE}
    try:
        engine = create_engine(parsed, **options)
    except (NoSuchModuleError, ImportError) as error:
        raise ConfigurationError(
            f"the database {parsed.get_backend_name()!r} has no driver here ({error}); install one, "
            "such as psycopg[binary] for PostgreSQL (postgresql+psycopg://...)"
        ) from None
    except (ArgumentError, TypeError, ValueError):
        raise ConfigurationError("the database URL has parts that its driver does not know") from None
    return engine


def in_memory(url: URL) -> bool:
    """Whether the database is gone with its connection."""
    return url.database in (None, "", ":memory:") or "mode=memory" in url.render_as_string()


def tune_sqlite(engine: Engine) -> None:
    """Make new connections of a SQLite engine wait for locks, keep foreign keys, and log ahead (WAL)."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000}")
        cursor.execute("PRAGMA foreign_keys = ON")
        # The mode stays with the file, and setting it takes a lock: only the first one does.
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.close()


def create_missing(engine: Engine, table: Table) -> None:
    """Create the table and its indexes unless they are there; several processes may do so at once."""
    try:
        with engine.begin() as connection:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
    except SQLAlchemyError:
        # PostgreSQL: IF NOT EXISTS still collides when two do it in the same moment.
        if not inspect(engine).has_table(table.name):
            raise


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the database's errors into StoreUnavailable, which says what was being done."""
    try:
        yield
    except SQLAlchemyError as error:
        # The driver's own line ("unable to open database file"); SQLAlchemy's text would add the statement.
        cause = str(error.orig).partition("\n")[0] if isinstance(error, DBAPIError) else type(error).__name__
        raise StoreUnavailable(f"the database failed while {doing}: {cause}") from error


def prepare_default_folder(url: str) -> None:
    """Make the folder of the default database, private and out of version control."""
    if url != DEFAULT_URL:
        return
    folder = Path(url.removeprefix("sqlite:///")).parent
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    except OSError as error:
        raise StoreUnavailable(f"cannot make the folder {folder}: {error.strerror}") from error
