"""Random calls by the thousand, or one world again.

python -m tests.dialogue.random_calls [--calls 10000] [--seed N]
python -m tests.dialogue.random_calls 20261123-4711
"""

from __future__ import annotations

import argparse
import sys
import time

from ivr_sim.dialogue import Outcome

from .clock import TICKS
from .running import SEED, Broken, line, runner


def main() -> int:
    """Returns the exit code: 1 if something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("world", nargs="?", help="SEED-NUMBER: play this world only, and tell all of it")
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    began, used = time.perf_counter(), time.process_time()
    with runner() as run:
        try:
            if asked.world:
                world = run.play(asked.world)
                print(*map(line, world.records), sep="\n")
            else:
                run.play_calls(asked.seed, 0, asked.calls)
        except Broken as broken:
            print(broken)
            return 1
        counts = run.counts
    print(counts.told())
    calls = counts["call", "calls"]
    hours = counts["call", "ticks"] / TICKS / 3600
    took, used = time.perf_counter() - began, time.process_time() - used
    print(f"{calls} calls ({hours:.0f} hours) held all that must hold, seed {asked.seed}", end=", ")
    print(f"in {took:.1f} s ({used:.1f} s of CPU)")
    missed = [] if asked.world else [outcome for outcome in Outcome if not counts["ending", outcome]]
    if missed:
        print(f"never reached: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
