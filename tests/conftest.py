"""What all tests share: a fixed wall clock, a kept journal, a running reactor, databases of both kinds."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from sqlalchemy import create_engine
from sqlalchemy.schema import CreateSchema
from twisted.internet import threads
from twisted.internet.defer import Deferred, maybeDeferred

from ivr_sim.journal import Event, Journal, Record

TODAY = date(2026, 11, 23)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with calls in real time, those marked slow first, and files that compute, by turns.

    The former wait and the latter work: workers that take files in this order keep the processors busy, and
    none is left with one that waits at the end.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def marked(name: str) -> list[list[pytest.Item]]:
        return [f for f in files.values() if any(item.get_closest_marker(name) for item in f)]

    waiting = marked("slow") + [f for f in marked("sip") if f not in marked("slow")]
    working = [f for f in files.values() if f not in waiting]
    in_turn = [f for pair in zip_longest(waiting, working, fillvalue=[]) for f in pair]
    items[:] = [item for f in in_turn for item in f]


class KeptJournal(Journal):
    """A journal with a stopped wall clock that remembers everything."""

    def __init__(self) -> None:
        super().__init__(lambda: datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
        self.records: list[Record] = []
        self.subscribe(self.records.append)

    def of(self, *kinds: type[Event]) -> list[Event]:
        """The events of these kinds, in order."""
        return [r.event for r in self.records if isinstance(r.event, kinds)]

    def time_of(self, event: Event) -> float | None:
        """When this very event happened."""
        return next(r.t for r in self.records if r.event is event)


@pytest.fixture(autouse=True)
def log_as_it_comes() -> None:
    """Whatever an earlier test made of structlog's settings."""
    structlog.reset_defaults()


@pytest.fixture
def journal() -> KeptJournal:
    return KeptJournal()


@pytest.fixture
def today() -> date:
    return TODAY


@pytest.fixture(scope="session")
def on_reactor() -> Callable[..., Any]:
    """Calls a function on the running reactor and waits for its result, at most ``seconds`` (20).

    The function may be a coroutine function, or return a Deferred. The reactor runs in a daemon thread
    and is not stopped: it could not be started again for the tests that follow.
    """
    from twisted.internet import reactor as installed

    reactor: Any = installed
    if not reactor.running:
        started = threading.Event()
        reactor.callWhenRunning(started.set)
        thread = threading.Thread(
            target=reactor.run, kwargs={"installSignalHandlers": False}, name="reactor", daemon=True
        )
        thread.start()
        assert started.wait(10)

    def call(function: Callable[..., Any], *args: Any, seconds: float = 20, **more: Any) -> Any:
        def begin() -> Deferred[Any]:
            if inspect.iscoroutinefunction(function):
                done = Deferred.fromCoroutine(function(*args, **more))
            else:
                done = maybeDeferred(function, *args, **more)
            return done.addTimeout(seconds, reactor)

        return threads.blockingCallFromThread(reactor, begin)

    return call


# The shell that keeps the server: it waits for the end of its standard input, so that the server ends with
# the tests, however they end, and takes its folder along.
KEEPER = """
programs=$1 folder=$2
shift 2
"$programs/initdb" -D "$folder/data" -U test -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1
"$programs/postgres" -D "$folder/data" -k "$folder" "$@" >>"$folder/log" 2>&1 &
tries=0
until "$programs/pg_isready" -q -h "$folder" || [ $tries = 600 ]; do sleep 0.05; tries=$((tries + 1)); done
"$programs/pg_isready" -q -h "$folder" && echo ready || cat "$folder/log"
read -r _
kill -QUIT $!
wait
rm -rf "$folder"
"""
# In haste, since it is thrown away; far from UTC, since a merchant's may be; on no port.
SERVER = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "timezone": "<-06>+06",
    "listen_addresses": "",
}


class Cluster:
    """A PostgreSQL server of the tests' own, reached by a Unix socket in ``folder``."""

    def __init__(self, folder: str) -> None:
        self._made = 0
        self._engine = create_engine(f"postgresql+psycopg://test@/postgres?host={quote(folder, safe='')}")

    def fresh(self) -> str:
        """The URL of what looks like an empty database: a schema of its own, which costs next to nothing."""
        self._made += 1
        schema = f"fresh_{self._made}"
        with self._engine.begin() as connection:
            connection.execute(CreateSchema(schema))
        url = self._engine.url.update_query_dict({"options": f"-csearch_path={schema}"})
        return url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Leave the server."""
        self._engine.dispose()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A server for this worker, where PostgreSQL is installed: it starts in about one second."""
    pytest.importorskip("psycopg", reason="psycopg is not installed", exc_type=ImportError)
    programs = _postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL's initdb is not installed")
    # initdb refuses to be run by root.
    user = _unprivileged() if sys.platform != "win32" and os.getuid() == 0 else {}
    folder = _folder_of(user)
    settings = [word for name, value in SERVER.items() for word in ("-c", f"{name}={value}")]
    with subprocess.Popen(
        ["sh", "-c", KEEPER, "keeper", str(programs), folder, *settings],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder, start_new_session=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, **user,
    ) as keeper:  # fmt: skip
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            said = keeper.stdout.readline()
            assert said == "ready\n", said + keeper.communicate(timeout=60)[0]
            cluster = Cluster(folder)
            yield cluster
            cluster.close()
        finally:
            keeper.stdin.close()
            keeper.wait(60)
    assert not Path(folder).exists()


def _postgresql_programs() -> Path | None:
    """Where initdb and postgres lie: on the path or, as Debian has them, beside it; the newest."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve()] if found else []
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    candidates += sorted(versions, key=lambda path: path.parts[-3].zfill(4), reverse=True)
    return next((path.parent for path in candidates if (path.parent / "postgres").exists()), None)


def _unprivileged() -> dict[str, Any]:
    """As whom root runs a server."""
    import pwd

    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _folder_of(user: dict[str, Any]) -> str:
    """A new folder of this user's own, on a path that it may walk, short enough for a socket's name."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        folder = tempfile.mkdtemp(prefix="ivr-sim-pg-", dir=parent)
        if user:
            os.chown(folder, user["user"], user["group"])
        reached = subprocess.run(["test", "-w", folder], **user, stderr=subprocess.DEVNULL)
        if reached.returncode == 0 and len(folder) < 80:
            return folder
        os.rmdir(folder)
    pytest.skip("there is no temporary folder for PostgreSQL")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: a test that takes this runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fresh.sqlite3'}"
    url: str = request.getfixturevalue("postgresql").fresh()
    return url
