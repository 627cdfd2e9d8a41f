"""The keeper of a line process, on a clock of its own: started, asked, killed, started again, given up."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from ivr_sim.lines.keeper import BACKOFF, PARTING, PING, SILENT, STABLE, START, LineGivenUp, LineKeeper
from ivr_sim.lines.message import NotStarted, Ping, Pong, Ready, Stop
from ivr_sim.pipes import Frames, framed


class Process:
    """What spawnProcess gives a protocol: what it is told, and whether it was killed."""

    def __init__(self, protocol: Any, pid: int, env: dict[str, str]) -> None:
        self.protocol, self.pid, self.env = protocol, pid, env
        self.killed = False
        self._frames = Frames()
        self._told: list[Any] = []

    def write(self, data: bytes) -> None:
        self._told += self._frames.feed(data)

    def told(self) -> list[Any]:
        told, self._told = self._told, []
        return told

    def signalProcess(self, name: str) -> None:  # noqa: N802
        assert name == "KILL"
        self.killed = True

    def says(self, *messages: Any) -> None:
        self.protocol.outReceived(b"".join(framed(message) for message in messages))

    def ends(self, signal: int | None = 9) -> None:
        reason = ProcessDone(0) if signal is None else ProcessTerminated(signal=signal)
        self.protocol.processEnded(Failure(reason))


class World(Clock):
    """A reactor that starts no process."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Process] = []
        self.refuses = False

    def spawnProcess(  # noqa: N802
        self, protocol: Any, program: str, args: list[str], env: dict[str, str], **_: Any
    ) -> None:
        if self.refuses:
            raise OSError(11, "Resource temporarily unavailable")
        protocol.transport = Process(protocol, 100 + len(self.processes), env)
        self.processes.append(protocol.transport)

    @property
    def process(self) -> Process:
        return self.processes[-1]

    def let(self, seconds: float) -> None:
        """Time passes; a process that lives answers."""
        for _ in range(round(seconds * 10)):
            self.advance(0.1)
            for message in self.process.told():
                if isinstance(message, Ping):
                    self.process.says(Pong(message.number))


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
def keeper(world: World, seen: list[Any]) -> LineKeeper:
    return LineKeeper(
        world,
        "ivr-1",
        order=lambda: "order",
        on_message=seen.append,
        on_up=lambda pid: seen.append(("up", pid)),
        on_down=lambda why, again_in: seen.append(("down", why, again_in)),
    )


def result_of(deferred: Any) -> list[Any]:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found


def test_it_is_told_its_order_and_is_up_when_it_says_so(world, keeper, seen):
    started = result_of(keeper.start())
    assert world.process.told() == ["order"]
    assert (started, keeper.state) == ([], "starting")
    world.process.says(Ready(), "news")
    assert (started, keeper.state, keeper.pid) == ([None], "up", 100)
    assert seen == [("up", 100), "news"]


def test_no_secret_is_in_its_environment(world, keeper, monkeypatch):
    for name in ("IVR_AUTHORIZER_PASSWORD", "IVR_OPENPAY_KEY", "IVR_SIM_REGISTER_PASSWORD"):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("IVR_SIM_CACHE", "/cache")
    keeper.start()
    assert "hunter2" not in world.process.env.values()
    assert world.process.env["IVR_SIM_CACHE"] == "/cache"
    assert world.process.env["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ["IVR_OPENPAY_KEY"] == "hunter2"


def test_what_ends_is_started_again(world, keeper, seen):
    keeper.start()
    world.process.says(Ready())
    world.process.ends(11)
    assert seen[-1] == ("down", "signal 11", BACKOFF[0])
    assert keeper.state == "down"
    assert keeper.pid is None
    world.advance(BACKOFF[0] - 0.01)
    assert len(world.processes) == 1
    world.advance(0.02)
    assert world.process.told() == ["order"]
    world.process.says(Ready())
    assert seen[-1] == ("up", 101)


def test_an_end_without_a_fault_is_one_too(world, keeper, seen):
    """Somebody ended the process politely; the line is to be there all the same."""
    keeper.start()
    world.process.says(Ready())
    world.process.ends(None)
    assert seen[-1] == ("down", "it came to its end", BACKOFF[0])


def test_what_does_not_answer_is_killed(world, keeper, seen):
    keeper.start()
    world.process.says(Ready())
    world.let(30)
    assert not world.process.killed
    world.pump([PING] * (SILENT - 1))
    assert not world.process.killed
    world.pump([PING] * 2)
    assert world.process.killed
    world.process.ends()
    assert seen[-1] == ("down", "it did not answer for 5 s", BACKOFF[0])


def test_our_own_sleep_is_no_silence_of_the_line(world, keeper):
    """A laptop that was closed for an hour."""
    keeper.start()
    world.process.says(Ready())
    world.let(3)
    world.advance(3600)
    world.let(3)
    assert not world.process.killed
    assert keeper.state == "up"


def test_what_is_never_ready_is_killed(world, keeper, seen):
    keeper.start()
    world.advance(START)
    assert world.process.killed
    world.process.ends()
    assert seen == [("down", "it was not ready within 60 s", BACKOFF[0])]


def test_what_keeps_ending_is_given_up(world, keeper, seen):
    started = result_of(keeper.start())
    for wait in BACKOFF:
        world.process.ends()
        assert seen[-1] == ("down", "signal 9", wait)
        world.advance(wait)
    world.process.ends()
    assert seen[-1] == ("down", "signal 9", None)
    assert keeper.state == "given up"
    assert isinstance(started[0].value, LineGivenUp)
    assert "ivr-1 could not be started: signal 9" in str(started[0].value)
    world.advance(1000)
    assert len(world.processes) == len(BACKOFF) + 1
    assert result_of(keeper.stop()) == [None]


def test_a_life_of_a_minute_counts_anew(world, keeper, seen):
    keeper.start()
    for _ in range(3):
        world.process.says(Ready())
        world.process.ends()
        world.advance(seen[-1][2])
    world.process.says(Ready())
    world.let(STABLE)
    world.process.ends()
    assert seen[-1] == ("down", "signal 9", BACKOFF[0])


def test_what_says_that_it_cannot_start_is_not_asked_again(world, keeper, seen):
    started = result_of(keeper.start())
    world.process.says(NotStarted("there is no language 'xx'"))
    world.process.ends(None)
    assert seen == [("down", "there is no language 'xx'", None)]
    assert "no language 'xx'" in str(started[0].value)


def test_what_was_up_before_is_asked_again(world, keeper, seen):
    """The exchange may have been busy: what it says now need not be true the next time."""
    keeper.start()
    world.process.says(Ready())
    world.process.ends()
    world.advance(BACKOFF[0])
    world.process.says(NotStarted("408 from the exchange"))
    world.process.ends(None)
    assert seen[-1] == ("down", "408 from the exchange", BACKOFF[1])


def test_no_process_to_be_had(world, keeper, seen):
    keeper.start()
    world.process.says(Ready())
    world.refuses = True
    world.process.ends()
    world.advance(BACKOFF[0])
    assert seen[-1] == ("down", "it could not be started: Resource temporarily unavailable", BACKOFF[1])
    world.refuses = False
    world.advance(BACKOFF[1])
    world.process.says(Ready())
    assert keeper.state == "up"


@pytest.mark.parametrize("before", [lambda p: None, lambda p: p.says(Ready())], ids=["starting", "up"])
def test_it_ends_politely_when_it_is_told_to(world, keeper, seen, before: Callable[[Process], None]):
    result_of(keeper.start())
    before(world.process)
    world.process.told()
    seen.clear()
    stopped = result_of(keeper.stop())
    assert (world.process.told(), stopped) == ([Stop()], [])
    world.process.says("last words")
    world.process.ends(None)
    assert (stopped, seen, world.process.killed) == ([None], ["last words"], False)
    assert world.getDelayedCalls() == []


def test_it_is_killed_when_it_does_not_end(world, keeper, seen):
    keeper.start()
    world.process.says(Ready())
    stopped = result_of(keeper.stop())
    world.advance(PARTING)
    assert world.process.killed
    world.process.ends()
    assert stopped == [None]
    world.advance(100)
    assert len(world.processes) == 1


def test_between_two_lives_it_stops_at_once(world, keeper):
    keeper.start()
    world.process.says(Ready())
    world.process.ends()
    assert result_of(keeper.stop()) == [None]
    world.advance(100)
    assert len(world.processes) == 1
