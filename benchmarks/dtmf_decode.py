"""How fast recordings are decoded, beside Debian's libspandsp2, multimon-ng and PyPI's receivers.

    python benchmarks/dtmf_decode.py [--only call] [--seconds N] [--rounds N] [--speech DIR] [--profile]

Three tapes of an hour, made anew from a seed (dtmf.bench says what is on them), with the prompts that ship
with the IVR as speech, or what --speech holds. One core, no threads; all receivers in turn in each round,
so that what disturbs the machine disturbs them alike; processor time. The digits that each hears are
counted, since a ratio to a receiver that hears nothing means nothing. Slow peers get the start of a tape.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded

import argparse
import cProfile
import io
import pstats
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import dtmf
from dtmf.bench import Cost, Tape, TapeName, compare, heard_of, read_voice, tape
from dtmf.spandsp import Spandsp

PROMPTS = Path(__file__).parents[1] / "ivr_sim" / "prompts" / "data"
TAPES: tuple[TapeName, ...] = ("call", "dense", "speech")
BARS = {"call": 4.5, "dense": 2.0}  # times libspandsp2, in the same run


def ours(samples: np.ndarray) -> str:
    return "".join(tone.digit for tone in dtmf.decode(samples, 8000))


def spandsp(samples: np.ndarray) -> str:
    return Spandsp().feed(samples)


def spandsp_dial_tone(samples: np.ndarray) -> str:
    return Spandsp(dial_tone=True).feed(samples)


def row(name: str, recording: Tape, cost: Cost, base: Cost | None) -> str:
    found, more = heard_of(recording.digits, cost.digits)
    seconds = recording.seconds
    ratio = f"{base.best / cost.best:6.2f} {base.median / cost.median:6.2f}" if base else " " * 13
    return (
        f"{recording.name:8}{name:26}{seconds / cost.best:10,.0f}{seconds / cost.median:10,.0f}  {ratio}"
        f"  {found}/{len(recording.digits)} digits, {more} false"
    )


def profile(recording: Tape) -> str:
    """Where the time goes: the functions of the receiver by their own time."""
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    ours(recording.samples)
    profiler.disable()
    text = io.StringIO()
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(18)
    return text.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600, help="length of each tape")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--speech", type=Path, default=PROMPTS, help="folder of sound files to speak")
    parser.add_argument("--only", choices=TAPES, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="where dtmf's time goes; no comparison")
    parser.add_argument("--peers", choices=("all", "spandsp", "none"), default="all")
    options = parser.parse_args()

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    voice = read_voice(options.speech)
    receivers: dict[str, Callable[[np.ndarray], str]] = {"dtmf": ours}
    if options.peers != "none":
        try:
            Spandsp()
        except dtmf.DtmfError as error:
            print(error)
        else:
            receivers |= {"libspandsp2": spandsp, "libspandsp2, dial tone": spandsp_dial_tone}
    print(
        f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, one used; Python "
        f"{sys.version.split()[0]}, numpy {np.__version__}"
    )
    print(f"{'tape':8}{'receiver':26}{'best':>10}{'median':>10}   ratio to libspandsp2 (best, median)")
    for name in options.only or TAPES:
        recording = tape(name, voice, seconds=options.seconds, seed=options.seed)
        if options.profile:
            print(f"\n{name}\n{profile(recording)}")
            continue
        costs = compare(
            {peer: partial(decode, recording.samples) for peer, decode in receivers.items()},
            clock=time.process_time,
            rounds=options.rounds,
        )
        for peer, cost in costs.items():
            print(row(peer, recording, cost, costs.get("libspandsp2")), flush=True)


if __name__ == "__main__":
    main()
