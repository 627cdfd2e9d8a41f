"""What the exchange's process makes of what lines say, and of lines that end: without processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ivr_sim.http_exchange import HttpExchange
from ivr_sim.journal import (
    CallAnswered,
    CallEnded,
    CallOffered,
    Event,
    Journal,
    KeyPressed,
    LineEnded,
    PhoneUnregistered,
    Record,
)
from ivr_sim.ledger_entry import LedgerFailed
from ivr_sim.lines import LineCrew
from ivr_sim.lines.message import Ask, Exchanged, Ping, Pong, Ready, Reply, Told, split_ports
from ivr_sim.node import local_now
from ivr_sim.pipes import Frames, framed

OFFERED = CallOffered(from_="1001", to="5000", leg="sip")
ANSWERED = CallAnswered(codec="PCMU", key_methods=("rfc4733",))
REQUEST = HttpExchange(
    service="authorizer", method="POST", url="http://x/", sent_headers={}, sent="", status=200
)


class Entry:
    def __init__(self, attempt: str) -> None:
        self.attempt = attempt


class Books:
    """A ledger whose answers are given by the test: ``answers`` are the Deferreds of what was asked."""

    def __init__(self) -> None:
        self.answers: list[Deferred[Any]] = []

    def __getattr__(self, name: str) -> Any:
        def asked(*args: Any, **named: Any) -> Deferred[Any]:
            self.answers.append(Deferred())
            return self.answers[-1]

        return asked


class Cashier:
    def __init__(self) -> None:
        self.taken: list[str] = []

    def in_thread(self, what: Any, *args: Any, **named: Any) -> Any:
        return what(*args, **named)

    def take_over(self, entry: Entry) -> None:
        self.taken.append(entry.attempt)


class Files:
    calls = 0

    def new(self) -> str:
        self.calls += 1
        return f"{self.calls:04d}"

    def recording(self, name: str) -> Path:
        return Path(name) / "recording.wav"


class Pipe:
    """A line's end of the pipe, played by the test."""

    pid = 4711

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self._frames = Frames()
        self.told: list[Any] = []

    def write(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            if isinstance(message, Ping):
                self.says(Pong(message.number))
            else:
                self.told.append(message)

    def says(self, *messages: Any) -> None:
        self.protocol.outReceived(b"".join(framed(message) for message in messages))

    def tells(self, event: Event, call: str | None = "0001", t: float | None = None) -> None:
        self.says(Told(event, call, t))

    def dies(self) -> None:
        self.protocol.processEnded(Failure(ProcessTerminated(signal=9)))

    @property
    def replies(self) -> list[Reply]:
        return [message for message in self.told if isinstance(message, Reply)]


class World:
    """A crew of two lines that have registered."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.spawnProcess = self._spawn  # type: ignore[attr-defined]
        self.pipes: list[Pipe] = []
        self.journal = Journal(local_now)
        self.records: list[Record] = []
        self.journal.subscribe(self.records.append)
        self.books, self.cashier, self.lost = Books(), Cashier(), []
        self.requests: list[HttpExchange] = []
        self.crew = LineCrew(
            self.clock,
            ("ivr-1", "ivr-2"),
            order=lambda user: user,  # type: ignore[arg-type,return-value]
            journal=self.journal,
            files=Files(),
            cashier=self.cashier,  # type: ignore[arg-type]
            ledger=self.books,
            on_lost=self.lost.append,
            on_exchange=self.requests.append,
        )
        started = Deferred.fromCoroutine(self.crew.start())
        self.one, self.two = self.pipes
        self.one.says(Ready())
        self.two.says(Ready())
        assert started.called

    def _spawn(self, protocol: Any, *args: Any, **named: Any) -> None:
        protocol.transport = Pipe(protocol)
        self.pipes.append(protocol.transport)

    def told(self, kind: type[Event]) -> list[Record]:
        return [record for record in self.records if isinstance(record.event, kind)]


@pytest.fixture
def world() -> World:
    return World()


def test_calls_are_numbered_over_all_lines(world):
    for number, pipe in enumerate((world.one, world.two, world.one), 1):
        pipe.says(Ask(number, "call"))
    values = [reply.value for pipe in (world.one, world.two) for reply in pipe.replies]
    assert [name for name, _ in values] == ["0001", "0003", "0002"]
    assert values[0][1] == Path("0001/recording.wav")


def test_events_are_told_as_they_came(world):
    world.one.tells(OFFERED)
    world.one.tells(ANSWERED, t=0.0)
    world.two.tells(PhoneUnregistered(user="x", contact="y"), call=None)
    assert [(r.call, r.t, r.event) for r in world.records[2:]] == [
        ("0001", None, OFFERED),
        ("0001", 0.0, ANSWERED),
        (None, None, PhoneUnregistered(user="x", contact="y")),
    ]
    assert world.crew.calls == {"0001": "ivr-1"}


def test_requests_are_shown_while_their_call_lasts(world):
    world.one.tells(OFFERED)
    world.one.says(Exchanged(REQUEST, "0001"))
    world.one.tells(CallEnded(outcome="approved", cause=None, by="ivr"))
    world.one.says(Exchanged(REQUEST, "0001"))
    assert world.requests == [REQUEST]
    assert world.crew.calls == {}


def test_the_ledger_is_asked_for_a_line(world):
    world.one.says(Ask(7, "open", ("intent",)))
    assert world.one.replies == []
    world.books.answers[0].callback(entry := Entry("a-1"))
    assert world.one.replies[0].number == 7
    assert world.one.replies[0].value.attempt == entry.attempt
    world.one.says(Ask(8, "settle", ("a-1", "approved"), {"charge_id": "tr1"}))
    world.books.answers[1].callback(True)
    assert world.one.replies[1] == Reply(8, True)
    world.one.dies()
    assert world.cashier.taken == []


def test_what_the_ledger_refuses_is_told(world):
    world.one.says(Ask(1, "open", ("intent",)))
    world.books.answers[0].errback(LedgerFailed("the ledger failed while opening an entry: disk full"))
    assert world.one.replies[0].refused == "the ledger failed while opening an entry: disk full"


def test_nothing_else_can_be_asked(world):
    world.one.says(Ask(1, "close"))  # type: ignore[arg-type]
    assert world.one.replies[0].refused.startswith("ValueError")
    assert world.books.answers == []


def test_a_line_that_dies_ends_its_calls(world):
    world.one.tells(OFFERED)
    world.one.tells(ANSWERED, t=0.0)
    world.one.tells(OFFERED, call="0002")
    world.two.tells(OFFERED, call="0003")
    world.clock.advance(3)
    world.one.says(Ask(1, "open", ("intent",)))
    world.books.answers[0].callback(Entry("a-1"))
    world.one.dies()
    assert world.lost == ["ivr-1"]
    ended = [(r.call, r.t, r.event) for r in world.told(CallEnded)]
    lost = CallEnded(outcome="abandoned", cause="line_lost", by="ivr")
    assert ended == [("0001", 3.0, lost), ("0002", None, lost)]
    assert world.told(LineEnded)[0].event == LineEnded(line="ivr-1", why="signal 9", calls=2, again_in=0.2)
    assert world.cashier.taken == ["a-1"]
    assert world.crew.calls == {"0003": "ivr-2"}


def test_an_entry_that_is_opened_too_late_is_looked_into(world):
    """The line died while the ledger was busy: it was never sent, and nobody else knows of it."""
    world.one.says(Ask(1, "open", ("intent",)))
    world.one.dies()
    world.clock.advance(0.2)
    world.books.answers[0].callback(Entry("a-1"))
    assert world.cashier.taken == ["a-1"]
    assert world.pipes[2].replies == []


def test_an_answer_for_a_dead_line_does_not_reach_the_next_one(world):
    world.one.says(Ask(1, "entries"))
    world.one.dies()
    world.clock.advance(0.2)
    world.books.answers[0].callback([])
    assert world.pipes[2].told == ["ivr-1"]


def test_lines_that_are_all_given_up(world):
    """One that keeps ending leaves the other alone; when none is left, whoever waits hears of it."""
    world.one.dies()
    while world.crew.given_up == []:
        world.clock.advance(world.told(LineEnded)[-1].event.again_in)
        world.pipes[-1].dies()
    assert world.crew.given_up == ["ivr-1"]
    assert not world.crew.lost.called
    world.two.dies()
    while len(world.crew.given_up) == 1:
        world.clock.advance(world.told(LineEnded)[-1].event.again_in)
        world.pipes[-1].dies()
    assert world.crew.lost.called


def test_whoever_reads_a_call_finds_its_own_context_each_time(world):
    """Call folders know by it whose requests they see, as they do with a coroutine of this process."""
    from contextvars import ContextVar

    mine: ContextVar[str] = ContextVar("mine", default="nobody")
    seen = []

    def read(record: Record) -> None:
        seen.append(mine.get())
        mine.set(record.call or "")

    world.journal.subscribe(read)
    key = KeyPressed(method="inband", start=1.0, duration_ms=90, level_dbm0=-10.0)
    world.one.tells(OFFERED)
    world.two.tells(OFFERED, call="0002")
    world.one.tells(key)
    world.two.tells(key, call="0002")
    assert seen == ["nobody", "nobody", "0001", "0002"]
    assert mine.get() == "nobody"


@pytest.mark.parametrize(
    ("first", "last", "parts", "shares"),
    [
        (16384, 32766, 1, [(16384, 32766)]),
        (20000, 20003, 2, [(20000, 20001), (20002, 20003)]),
        (20001, 20009, 2, [(20002, 20005), (20006, 20009)]),
        (20000, 20004, 3, [(20000, 20001), (20002, 20003), (20004, 20004)]),
    ],
)
def test_ports_are_shared_out(first, last, parts, shares):
    assert split_ports(first, last, parts) == shares


def test_too_few_ports():
    with pytest.raises(ValueError, match="20002-20003 has 1 even ports, too few for 2 lines"):
        split_ports(20001, 20003, 2)
