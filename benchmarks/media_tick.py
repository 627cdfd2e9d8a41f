"""What one tick of 20 ms costs the media engine, for N calls that send and hear audio on loopback.

    python benchmarks/media_tick.py [N ...]

Calls are paired, so every packet is sent and received in this process: a line process that talks to real
telephones does the same work. One call in ten keys tones, which cost more than silence. Printed per N: the
processor time of a tick, as a part of its 20 ms, per call, and the worst tick on the wall clock; beside it
the bare cost of the same datagrams through the kernel, measured in the same run, since that is the floor.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import time

# Threads of the matrix library fight for the cores, and make a tick of hundreds of calls three times dearer.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from twisted.internet.task import Clock

import dtmf
from ivr_sim.media import PCMU, MediaEngine, Samples

TICKS = 200


class Talker:
    """Says the same few seconds again and again."""

    def __init__(self, speech: Samples) -> None:
        self.frames = speech[: len(speech) // 160 * 160].reshape(-1, 160)
        self.ticks = 0
        self.keys = 0

    def tick(self, heard: Samples) -> Samples:
        self.ticks += 1
        return self.frames[self.ticks % len(self.frames)]

    def key_down(self, digit: str, method: str, start: float) -> None:
        self.keys += 1

    def key_up(self, digit: str, method: str, start: float, duration_ms: int, *levels: float | None) -> None:
        pass


def kernel_floor(calls: int) -> float:
    """Seconds of processor time per tick to send and receive one packet of each call, and nothing else."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(calls)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        peers = [socks[n ^ 1].getsockname() for n in range(calls)]
        packet, begun = bytes(172), time.process_time()
        for _ in range(50):
            for sock, peer in zip(socks, peers, strict=True):
                sock.sendto(packet, peer)
            for sock in socks:
                sock.recvfrom(2048)
                try:
                    sock.recvfrom(2048)
                except BlockingIOError:
                    continue
        return (time.process_time() - begun) / 50
    finally:
        for sock in socks:
            sock.close()


def measure(calls: int) -> str:
    random = np.random.default_rng(1)
    voice = (random.standard_normal(16000) * 800).astype(np.int16)
    keyed = np.round(32767 * dtmf.generate("0123456789", tone_ms=100, gap_ms=100)).astype(np.int16)
    clock = Clock()
    engine = MediaEngine(clock, max_streams=calls)
    engine.start()
    streams = [engine.open() for _ in range(calls)]
    talkers = [Talker(keyed if n % 10 == 0 else voice) for n in range(calls)]
    for n, (stream, talker) in enumerate(zip(streams, talkers, strict=True)):
        stream.start(talker, PCMU, ("127.0.0.1", streams[n ^ 1].local_port), 101)
    for _ in range(20):
        clock.advance(0.02)
    gc.collect()
    gc.freeze()
    worst, begun = 0.0, time.process_time()
    for _ in range(TICKS):
        at = time.perf_counter()
        clock.advance(0.02)
        worst = max(worst, time.perf_counter() - at)
    cost = (time.process_time() - begun) / TICKS
    received = sum(stream.stats.received for stream in streams)
    lost = sum(stream.stats.lost for stream in streams)
    engine.stop()
    floor = kernel_floor(calls)
    return (
        f"{calls:5d} calls {1e3 * cost:7.2f} ms/tick {cost / 0.02:6.1%} of a core "
        f"{1e6 * cost / calls:6.1f} us/call  worst {1e3 * worst:6.1f} ms  "
        f"kernel alone {1e3 * floor:6.2f} ms (x{cost / floor:.1f})  "
        f"keys {sum(t.keys for t in talkers)}  received {received}, lost {lost}"
    )


if __name__ == "__main__":
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for count in [int(argument) for argument in sys.argv[1:]] or [2, 20, 100, 400, 800]:
        print(measure(count + count % 2), flush=True)
