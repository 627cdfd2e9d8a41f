"""The process that is measured: one IVR line, or stock pyVoIP, registered at the exchange.

Reads lines from its standard input (``mark``: counting begins; ``report``; ``weigh``; end of input: stop) and
writes JSON lines. The line asks each caller for digits, listens until they hang up, and tells by Call-ID
which digits it heard. Its ticks are watched from inside: how late each one was begun.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

sys.path.insert(1, str(Path(__file__).parents[1]))

from memory import measure
from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred
from twisted.protocols.basic import LineReceiver

import dtmf
from ivr_sim import logs
from ivr_sim.call import Call, phrase
from ivr_sim.dialogue import Ending
from ivr_sim.dialogue.trial import held
from ivr_sim.garbage_collection import GarbageCollection
from ivr_sim.ivr import Ivr
from ivr_sim.journal import CallEnded, CallOffered, EntryAccepted, Journal, Record
from ivr_sim.legs import LegCall
from ivr_sim.media import MediaEngine
from ivr_sim.node import local_now, open_library
from ivr_sim.sip.address import Address
from ivr_sim.sip.user_agent import UserAgent

NUMBER = "5007"
WORDS = phrase("welcome", merchant="Tienda Demo"), phrase("ask_key")
LATE = 0.005


async def take_digits(call: LegCall) -> Ending:
    """Take digits as they come, for as long as the caller stays."""

    async def talk(call: Call) -> None:
        await call.say(*WORDS)
        while True:
            entry = await call.collect(
                max_digits=1, terminator="", restart="", first_digit_timeout=600, digit_timeout=600
            )
            call.journal.emit(EntryAccepted(field="digit", length=1, value=entry.publish()))

    return await held(call, talk(call))


class WatchedClock:
    """The reactor as the media engine sees it; notes how late each beat begins."""

    def __init__(self) -> None:
        self.late = self.beats = 0
        self.worst = self.work = 0.0

    def seconds(self) -> float:
        return reactor.seconds()  # type: ignore[attr-defined,no-any-return]

    def callLater(self, delay: float, function: Any, *args: Any) -> Any:  # noqa: N802  Twisted's name
        due = self.seconds() + delay

        def beat() -> None:
            late = self.seconds() - due
            self.beats += 1
            self.late += late > LATE
            self.worst = max(self.worst, late)
            begun = time.process_time()
            function(*args)
            self.work += time.process_time() - begun

        return reactor.callLater(delay, beat)  # type: ignore[attr-defined]


class Line(LineReceiver):
    """The line and its controls."""

    delimiter = b"\n"

    def __init__(self, port: int) -> None:
        self._journal = Journal(local_now)
        self._journal.subscribe(self._read)
        self._calls: dict[str, str] = {}
        self._heard: dict[str, str] = {}
        self._ended: dict[str, str] = {}
        self._clock = WatchedClock()
        self._engine = MediaEngine(self._clock, keys=dtmf.KEYS_12, max_streams=1024)
        self._library, self._voice = open_library(reactor, _data())
        ivr = Ivr(cast(Any, None), self._library, self._journal, numbers={NUMBER: take_digits})
        self._agent = UserAgent(
            reactor,
            self._engine,
            server=Address("127.0.0.1", port),
            username="line",
            password="line",
            on_call=ivr.offered,
        )
        self._mark = (0.0, 0.0)

    def start(self) -> None:
        """Register; says so when that is done."""
        self._engine.start()
        rendered = Deferred.fromCoroutine(self._rendered())
        rendered.addCallback(lambda _: self._agent.start())
        rendered.addCallbacks(self._ready, self._failed)

    async def _rendered(self) -> None:
        """Have the words at hand before anybody calls."""
        for words in WORDS:
            await self._library.sound(words)

    def _ready(self, _: object) -> None:
        GarbageCollection(reactor, lambda: bool(self._engine.streams)).start()
        self._say({"ready": True})

    def _failed(self, failure: Any) -> None:
        self._say({"ready": False, "reason": str(failure.value)})

    def _read(self, record: Record) -> None:
        name, event = record.call or "", record.event
        if isinstance(event, CallOffered):
            self._calls[name] = event.call_id or ""
        elif isinstance(event, EntryAccepted):
            call = self._calls[name]
            self._heard[call] = self._heard.get(call, "") + (event.value or "")
        elif isinstance(event, CallEnded):
            self._ended[self._calls.pop(name)] = event.by

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  Twisted's name
        if line == b"mark":
            self._mark = time.process_time(), time.monotonic()
            clock = self._clock
            clock.late = clock.beats = 0
            clock.worst = clock.work = 0.0
            self._heard.clear()
            self._ended.clear()
        elif line == b"weigh":
            held = {"streams": len(self._engine.streams), "transactions": len(self._agent.layer)}
            files = len(os.listdir("/proc/self/fd"))
            self._say({**measure()._asdict(), **held, "calls": len(self._calls), "files": files})
        elif line == b"report":
            clock = self._clock
            self._say(
                {
                    **usage(self._mark),
                    "beats": clock.beats,
                    "late": clock.late,
                    "worst_ms": 1000 * clock.worst,
                    "tick_ms": 1000 * clock.work / max(clock.beats, 1),
                    "streams": len(self._engine.streams),
                    "heard": self._heard,
                    "ended": self._ended,
                }
            )

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802  Twisted's name
        done: Deferred[None] = self._agent.stop()
        done.addBoth(lambda _: self._engine.stop())
        done.addBoth(lambda _: reactor.stop())  # type: ignore[attr-defined]

    def _say(self, what: dict[str, Any]) -> None:
        self.sendLine(json.dumps(what).encode())


def usage(mark: tuple[float, float]) -> dict[str, Any]:
    """What the process took since the mark, and what it holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "cpu": (time.process_time() - mark[0]) / max(time.monotonic() - mark[1], 1e-9),
        "rss_mb": pages * resource.getpagesize() / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
    }


def _data() -> Path:
    return Path(tempfile.mkdtemp(prefix="ivr-sim-load-"))


def stock(port: int) -> None:
    """Stock pyVoIP as the line: answers and reads keys, a thread for each call."""
    import threading
    import warnings

    warnings.simplefilter("ignore")
    from pyVoIP.VoIP import CallState, VoIPPhone

    keys: dict[str, str] = {}

    def answered(call: Any) -> None:
        call.answer()
        call_id = call.request.headers["Call-ID"]
        while call.state == CallState.ANSWERED:
            keys[call_id] = keys.get(call_id, "") + call.get_dtmf()
            time.sleep(0.05)

    def free_port() -> int:
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    phone = VoIPPhone(
        "127.0.0.1", port, "line", "line", myIP="127.0.0.1", sipPort=free_port(),
        rtpPortLow=34000, rtpPortHigh=40000, callCallback=answered,
    )  # fmt: skip
    phone.start()
    deadline = time.monotonic() + 10
    while phone.get_status().value != "REGISTERED" and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.2)  # its receive loop starts that late
    print(json.dumps({"ready": phone.get_status().value == "REGISTERED"}), flush=True)
    mark = (0.0, 0.0)
    for line in sys.stdin:
        if line.strip() == "mark":
            mark = time.process_time(), time.monotonic()
        elif line.strip() == "report":
            print(
                json.dumps({**usage(mark), "threads": threading.active_count(), "heard": keys, "ended": {}}),
                flush=True,
            )
    os._exit(0)


if __name__ == "__main__":
    role, port, core = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, {core})
    if role == "stock":
        stock(port)
    else:
        logs.configure()
        line = Line(port)
        stdio.StandardIO(line)
        reactor.callWhenRunning(line.start)  # type: ignore[attr-defined]
        reactor.run()  # type: ignore[attr-defined]
