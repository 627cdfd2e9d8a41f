"""Processes that are killed while they charge: a warm parent forks one for each call.

Run by path. It reads one job as a line of JSON, forks a child, tells its process id, waits for its end and
tells that; each as a line of JSON. Importing takes a second; a fork takes none, and happens before there
is a reactor or a thread.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import sqlalchemy
import world
from twisted.internet.defer import Deferred

import ivr_sim.openpay.app as stand_in
from ivr_sim.harness.tape import read_caller
from ivr_sim.ivr import Ivr
from ivr_sim.journal import JsonLines, Record
from ivr_sim.media import Samples
from ivr_sim.node import open_library


def die(*_: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


class Wound:
    """Where a process is killed, by name: before what it awaits is done, while it is committed, or after."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.point = job["kill"]
        self.committing = False
        # Committing is what SQLAlchemy is about to ask of SQLite: nothing of it is on disk yet.
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", lambda _: self.committing and die())

    def at_event(self, record: Record) -> None:
        if self.point == record.seq:
            die()

    def blocking(self, owner: Any, name: str, what: str) -> None:
        """Kill around a function that commits."""
        function = getattr(owner, name)

        def wrapped(*args: Any, **named: Any) -> Any:
            if self.point == f"before {what}":
                die()
            self.committing = self.point == f"committing {what}"
            result = function(*args, **named)
            if self.point == f"after {what}":
                die()
            return result

        setattr(owner, name, wrapped)

    def awaited(self, owner: Any, name: str, what: str) -> None:
        """Kill after a coroutine function."""
        function = getattr(owner, name)

        async def wrapped(*args: Any, **named: Any) -> Any:
            result = await function(*args, **named)
            if self.point == f"after {what}":
                die()
            return result

        setattr(owner, name, wrapped)


async def hold(reactor: Any, job: dict[str, Any], tape: Samples) -> None:
    wound = Wound(job)
    folder = Path(job["folder"])
    library, voice = open_library(reactor, Path(job["data"]))
    if job["place"] is None:  # everything in one process
        wound.blocking(stand_in, "create_charge", "the charge")
        merchant = world.open_merchant(reactor, folder / "services")
        place = world.Place.of(merchant, folder / "ledger.sqlite3")
    else:
        place = world.Place(**job["place"])
    till = world.Till(reactor, place, world.Leaping(reactor))
    wound.blocking(till.ledger, "open", "the intent")
    wound.blocking(till.ledger, "settle", "the outcome")
    wound.awaited(till.client, "create_token", "the token")
    wound.awaited(till.client, "create_charge", "the answer")
    till.journal.subscribe(JsonLines((folder / "journal.jsonl").open("w", encoding="utf-8")))
    till.journal.subscribe(wound.at_event)
    await till.cashier.start()
    await Ivr(till.shop, library, till.journal).replayed(tape, name="0001", to="5000")
    await till.stop()
    await voice.stop()


def child(job: dict[str, Any], tape: Samples) -> NoReturn:
    from twisted.internet import reactor  # each process has its own

    ended: list[Any] = []

    def start() -> None:
        talk = Deferred.fromCoroutine(hold(reactor, job, tape)).addBoth(ended.append)
        talk.addBoth(lambda _: reactor.stop())  # type: ignore[attr-defined]

    reactor.callWhenRunning(start)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]
    if ended != [None]:
        print(ended, file=sys.stderr)
    os._exit(ended != [None])


def serve(tape: Samples, tell: Callable[[object], None]) -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            try:
                child(json.loads(line), tape)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(2)
        tell({"pid": pid})
        tell({"ended": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


if __name__ == "__main__":
    assert "twisted.internet.reactor" not in sys.modules
    recording = read_caller(Path(sys.argv[1]))
    serve(recording, lambda what: print(json.dumps(what), flush=True))
