"""What one tick of 20 ms costs a line, for N calls that send and hear audio on loopback.

    python benchmarks/media_tick.py [N ...]

Calls are paired, so every packet is sent and received in this process: a line process that talks to real
telephones does the same work. The listeners are those of a real call (PhoneLeg, LegCall, Recorder), each in
a conversation that says ten seconds and asks for an entry; what it says are key tones, two a second, so that
every call hears 20 keys in 10 s. Printed per N: the processor time of a tick, as a part of its 20 ms, per
call, the worst tick on the wall clock, and the same with listeners that do nothing but speak, in turn; beside
it the bare cost of the same datagrams through the kernel, measured in the same run, since that is the floor.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import time
from datetime import UTC, datetime
from typing import Any

# Threads of the matrix library fight for the cores, and make a tick of hundreds of calls three times dearer.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

import dtmf
from ivr_sim.call import Phrase
from ivr_sim.journal import Journal
from ivr_sim.legs import LegCall, PhoneLeg
from ivr_sim.media import PCMU, MediaEngine, Recorder, Samples

TICKS = 50
TURNS = 8
TAPES = 10
KEYS = "12345678901234567890"


class Talker:
    """Says the same few seconds again and again."""

    def __init__(self, tape: Samples) -> None:
        self.frames = tape.reshape(-1, 160)
        self.ticks = 0
        self.keys = 0

    def tick(self, heard: Samples) -> Samples:
        self.ticks += 1
        return self.frames[self.ticks % len(self.frames)]

    def key_down(self, digit: str, method: str, start: float) -> None:
        self.keys += 1

    def key_up(self, digit: str, method: str, start: float, duration_ms: int, *levels: float | None) -> None:
        pass


class Offered:
    """A session that only carries media: what a PhoneLeg needs of one."""

    codec = "PCMU"
    key_methods = ("inband",)

    def __init__(self) -> None:
        self.ended: Deferred[Any] = Deferred()

    def answer(self, listener: PhoneLeg) -> None:
        pass

    def hang_up(self) -> None:
        pass


class Tapes:
    """Sounds: phrases by number."""

    def __init__(self, tapes: list[Samples]) -> None:
        self._tapes = tapes

    async def sound(self, phrase: Phrase) -> Samples:
        return self._tapes[int(phrase.params["tape"])]


async def converse(call: LegCall, tape: int) -> None:
    # Calls do not all begin at once.
    await call.collect(max_digits=20, first_digit_timeout=(1 + tape) / TAPES, digit_timeout=1)
    while True:
        await call.say(Phrase("tones", {"tape": tape}), interruptible=False)
        await call.collect(max_digits=20, first_digit_timeout=1, digit_timeout=1)


class Lines:
    """Pairs of streams of one engine that talk to each other; ``calls`` is even."""

    def __init__(self, calls: int, *, real: bool) -> None:
        self.clock = Clock()
        self.engine = MediaEngine(self.clock, max_streams=calls)
        self.engine.start()
        self.keys = 0
        tone = np.round(32767 * dtmf.generate(KEYS, tone_ms=100, gap_ms=400)).astype(np.int16)
        tone = np.resize(tone, 80000)
        self._tapes = [np.roll(tone, 8000 * n // TAPES) for n in range(TAPES)]
        self._streams = [self.engine.open() for _ in range(calls)]
        self._talkers: list[Talker] = []
        for n, stream in enumerate(self._streams):
            peer = ("127.0.0.1", self._streams[n ^ 1].local_port)
            stream.start(self._line(n) if real else self._talker(n), PCMU, peer, 101)
        for _ in range(20):
            self.clock.advance(0.02)

    def _talker(self, n: int) -> Talker:
        self._talkers.append(Talker(self._tapes[n % TAPES]))
        return self._talkers[-1]

    def _line(self, n: int) -> PhoneLeg:
        journal = Journal(lambda: datetime.now(UTC))
        journal.subscribe(lambda record: self._count(type(record.event).__name__))
        call = LegCall(journal, str(n), Tapes(self._tapes))
        leg = PhoneLeg(call, Offered(), Recorder())  # type: ignore[arg-type]
        leg.answer()
        Deferred.fromCoroutine(converse(call, n % TAPES))
        return leg

    def _count(self, name: str) -> None:
        self.keys += name == "KeyPressed"

    def run(self) -> tuple[float, float]:
        """Some ticks: seconds of processor time of one of them, and of the wall clock of the longest."""
        worst, begun = 0.0, time.process_time()
        for _ in range(TICKS):
            at = time.perf_counter()
            self.clock.advance(0.02)
            worst = max(worst, time.perf_counter() - at)
        return (time.process_time() - begun) / TICKS, worst

    @property
    def result(self) -> str:
        received = sum(stream.stats.received for stream in self._streams)
        lost = sum(stream.stats.lost for stream in self._streams)
        keys = self.keys + sum(talker.keys for talker in self._talkers)
        return f"keys {keys}, packets {received}, lost {lost}"

    def stop(self) -> None:
        self.engine.stop()


def kernel_floor(calls: int) -> float:
    """Seconds of processor time per tick to send and receive one packet of each call, and nothing else."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(calls)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        peers = [socks[n ^ 1].getsockname() for n in range(calls)]
        packet, room, begun = bytes(172), bytearray(2048), time.process_time()
        for _ in range(50):
            for sock, peer in zip(socks, peers, strict=True):
                sock.sendto(packet, peer)
            for sock in socks:
                sock.recvfrom_into(room)
        return (time.process_time() - begun) / 50
    finally:
        for sock in socks:
            sock.close()


def measure(calls: int) -> str:
    both = {"legs": Lines(calls, real=True), "bare": Lines(calls, real=False)}
    gc.collect()
    gc.freeze()
    costs: dict[str, list[float]] = {name: [] for name in both}
    worst = dict.fromkeys(both, 0.0)
    for _ in range(TURNS):
        for name, lines in both.items():
            cost, longest = lines.run()
            costs[name].append(cost)
            worst[name] = max(worst[name], longest)
    floor = min(kernel_floor(calls) for _ in range(3))
    out = []
    for name, lines in both.items():
        cost = sum(costs[name]) / TURNS
        out.append(
            f"{calls:5d} calls, {name}: {1e3 * cost:6.2f} ms/tick (best {1e3 * min(costs[name]):6.2f}), "
            f"{cost / 0.02:4.0%} of a core, {1e6 * cost / calls:.1f} us/call, "
            f"longest {1e3 * worst[name]:.0f} ms, kernel alone {1e3 * floor:.2f} ms (x{cost / floor:.1f}), "
            f"{lines.result}"
        )
        lines.stop()
    gc.unfreeze()
    return "\n".join(out)


if __name__ == "__main__":
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for count in [int(argument) for argument in sys.argv[1:]] or [2, 20, 100, 400, 800]:
        print(measure(count + count % 2), flush=True)
