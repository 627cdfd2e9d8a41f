"""What a tick of 20 ms costs the keypad receiver, for 1 to 1,000 lines: python benchmarks/dtmf_tick.py

Frames of 160 samples, int16, of all lines in one call; quiet noise, and one line in ten in a tone.
Set OPENBLAS_NUM_THREADS=1: that is how a process that keeps the beat should run.
"""

from __future__ import annotations

import os
import statistics
import time

import numpy as np

import dtmf

TICKS = 250


def cost(lines: int, speaking: int) -> list[float]:
    """Microseconds of each tick."""
    rng = np.random.default_rng(lines)
    sound = rng.normal(0, 100, (lines, TICKS * 160))
    keys = 20000 * dtmf.generate("1234567890", tone_ms=TICKS * 2, gap_ms=0)[: TICKS * 160]
    for line in range(speaking):
        sound[line] += np.roll(keys, 997 * line)
    frames = np.ascontiguousarray(sound.astype(np.int16).reshape(lines, TICKS, 160).swapaxes(0, 1))
    receiver = dtmf.Receiver(lines)
    spent = []
    for frame in frames:
        start = time.perf_counter()
        receiver.feed(frame)
        spent.append((time.perf_counter() - start) * 1e6)
    return spent


def main() -> None:
    """Print a table."""
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; microseconds per tick")
    print(f"{'lines':>6} {'in a tone':>10} {'mean':>8} {'median':>8} {'p99':>8}")
    for lines in (1, 10, 100, 1000):
        for speaking in (0, -(-lines // 10)):
            spent = sorted(cost(lines, speaking))
            mean, median = statistics.fmean(spent), statistics.median(spent)
            print(f"{lines:6} {speaking:10} {mean:8.0f} {median:8.0f} {spent[int(0.99 * TICKS)]:8.0f}")


if __name__ == "__main__":
    main()
