"""What a tick of 20 ms costs the keypad receiver, for 1 to 1,000 lines: python benchmarks/dtmf_live.py

Frames of 160 samples, int16, through mu-law, of all lines in one call; half of the lines hear a synthetic
voice, half noise; about 2 % or 10 % of them are in a tone of 100 ms at any moment, each at its own time.
All that a tick costs is counted: conversion, both looks, the lines' state machines, the events.

Processor time of the thread; "worst" is on the wall clock, so it includes whatever else the machine does.
Beside it libspandsp2: ``C`` what the same frames cost inside the library, fed an hour at a time, ``ctypes``
one call per line and tick, nothing else done. One core, and one thread, which is how a process that keeps
the beat should run (OPENBLAS_NUM_THREADS=1).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded

import argparse
import gc
import statistics
import time

import numpy as np
from peers.spandsp_lines import tick_costs

import dtmf
from dtmf.bench import live_costs, live_ticks, synthetic_voice
from dtmf.spandsp import Spandsp

TICKS = {1: 3000, 10: 1500, 100: 800, 1000: 400}


def ours(frames: np.ndarray) -> tuple[list[float], float, int]:
    """Seconds of each tick, the worst on the wall clock, and how many keys were heard."""
    gc.collect()
    gc.freeze()
    cost = live_costs(frames, clock=time.thread_time)
    worst = max(live_costs(frames, clock=time.perf_counter).seconds[1:])
    gc.unfreeze()
    return list(cost.seconds[1:]), worst, len(cost.digits)


def inside_c() -> float:
    """Seconds that a frame of 20 ms costs libspandsp2, without the calls."""
    sound = np.tile(live_ticks(1, ticks=3000, share=0.02, voice=synthetic_voice(seconds=60))[0].ravel(), 10)
    spent = []
    for _ in range(5):
        receiver, start = Spandsp(), time.thread_time()
        receiver.feed(sound)
        spent.append(time.thread_time() - start)
    return min(spent) / (len(sound) / 160)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lines", type=int, nargs="*", default=list(TICKS), help="how many lines")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    voice = synthetic_voice(seconds=60)
    try:
        frame_c: float | None = inside_c()
    except dtmf.DtmfError as error:
        frame_c = None
        print(error)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, one used; microseconds per tick")
    print(
        f"{'lines':>6}{'in a tone':>11}{'mean':>9}{'median':>9}{'p99':>9}{'worst':>9}"
        f"{'spandsp C':>12}{'ctypes':>9}   keys heard / by spandsp / pressed"
    )
    for lines in options.lines:
        for share in (0.0, 0.02, 0.1):
            ticks = TICKS.get(lines, 400)
            frames, pressed = live_ticks(lines, ticks=ticks, share=share, voice=voice)
            spent, worst, keys = ours(frames)
            ordered = sorted(1e6 * s for s in spent)
            line = (
                f"{lines:6}{share:11.0%}{statistics.fmean(ordered):9.0f}{statistics.median(ordered):9.0f}"
                f"{ordered[int(0.99 * len(ordered))]:9.0f}{1e6 * worst:9.0f}"
            )
            if frame_c is None:
                line += f"{'-':>12}{'-':>9}   {keys} / - / "
            else:
                theirs, heard = tick_costs(frames)
                line += f"{1e6 * frame_c * lines:12.0f}{1e6 * statistics.fmean(theirs):9.0f}"
                line += f"   {keys} / {heard} / "
            print(f"{line}{sum(map(len, pressed))}", flush=True)


if __name__ == "__main__":
    main()
