"""How fast recordings are decoded, beside Debian's libspandsp2, multimon-ng and PyPI's receivers.

    python benchmarks/dtmf_decode.py [--only call] [--seconds N] [--rounds N] [--speech DIR] [--profile]

Three tapes of an hour, made anew from a seed (dtmf.bench says what is on them). Their speech is, by default,
recorded voices from the tuning half of the talk-off material where that was fetched, else synthetic; or what
--speech holds. One core, no threads; all receivers in turn in each round, so that what disturbs the machine
disturbs them alike; processor time. The digits that each hears are counted, since a ratio to a receiver that
hears nothing means nothing. Peers in processes of their own are slower and get the start of a tape.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is loaded

import argparse
import cProfile
import io
import pstats
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from material import HALVES, Store
from peers import multimon, pypi

import dtmf
from dtmf.bench import TAPES, Cost, Tape, compare, heard_of, read_voice, synthetic_voice, tape
from dtmf.spandsp import Spandsp

MATERIAL = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ivr-sim" / "talk-off"
RECORDED = ("prompts", "dialogue")
MULTIMON_S, PYPI_S = 900, 100  # of a tape


def ours(samples: np.ndarray) -> str:
    return "".join(tone.digit for tone in dtmf.decode(samples, 8000))


def spandsp(samples: np.ndarray) -> str:
    return Spandsp().feed(samples)


def spandsp_dial_tone(samples: np.ndarray) -> str:
    return Spandsp(dial_tone=True).feed(samples)


def voice_of(speech: Path | None) -> tuple[list[np.ndarray], str]:
    """Sentences to speak on the tapes, and whose they are."""
    material = Store(speech or MATERIAL)
    if (material.folder / f"{RECORDED[0]}.ready").exists():
        sentences: list[np.ndarray] = []
        for name in RECORDED:
            half = material.read(HALVES[0], name)
            for first, length in zip(half.firsts, half.lengths, strict=True):
                sentence = half.sound[first : first + length]
                if length > 2000 and np.any(sentence):
                    sentences.append(np.float32(sentence) / np.float32(32768))
        return sentences, f"recorded voices of {material.folder}: {', '.join(RECORDED)}"
    if speech:
        return read_voice(speech), f"voices of {speech}"
    return synthetic_voice(), "a synthetic voice"


def row(name: str, recording: Tape, cost: Cost, base: Cost | None) -> str:
    found, more = heard_of(recording.digits, cost.digits)
    seconds = recording.seconds
    ratio = f"{base.best / cost.best:8.3g}{base.median / cost.median:8.3g}" if base else " " * 16
    return (
        f"{recording.name:8}{name:26}{seconds / cost.best:10,.0f}{seconds / cost.median:10,.0f}  {ratio}"
        f"  {found}/{len(recording.digits)} digits, {more} false"
    )


def library() -> str:
    """Which libspandsp is measured, as far as the name of the file that was loaded tells."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text("utf-8").splitlines() if maps.exists() else []
    return next(
        (line.rsplit("/", 1)[-1] for line in lines if "libspandsp" in line), "libspandsp of unknown version"
    )


class External:
    """Peers in processes of their own, which hear the start of a tape: they are slow, not numerous."""

    def __init__(self) -> None:
        self.multimon = multimon.installed()
        print(multimon.version() if self.multimon else "multimon-ng is not there (apt install multimon-ng)")
        self.python, why = pypi.prepare()
        print(why or "PyPI: " + ", ".join(f"{name} {version}" for name, version in pypi.PACKAGES.items()))

    def measure(self, recording: Tape, base: Cost | None) -> None:
        if self.multimon:
            part = recording.until(MULTIMON_S)
            print(
                row("multimon-ng", part, multimon.measure(part.samples, rounds=3), per(base, recording, part))
            )
        if self.python:
            part = recording.until(PYPI_S)
            with tempfile.TemporaryDirectory() as folder:
                for package in pypi.PACKAGES:
                    cost = pypi.measure(self.python, package, part.samples, Path(folder))
                    print(row(f"PyPI {package}", part, cost, per(base, recording, part)), flush=True)


def per(base: Cost | None, whole: Tape, part: Tape) -> Cost | None:
    """What the same would have cost on a part of a tape."""
    share = part.seconds / whole.seconds
    return base and Cost(tuple(s * share for s in base.seconds), base.digits)


def profile(recording: Tape) -> str:
    """Where the time goes: functions by the time with all they call, then by their own."""
    profiler = cProfile.Profile(time.process_time)
    profiler.enable()
    ours(recording.samples)
    profiler.disable()
    text = io.StringIO()
    stats = pstats.Stats(profiler, stream=text).strip_dirs()
    stats.sort_stats("cumulative").print_stats(r"\.py:", 20)
    stats.sort_stats("tottime").print_stats(20)
    return text.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3600, help="length of each tape")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--speech", type=Path, help="folder of sound files, or talk-off material, to speak")
    parser.add_argument("--only", choices=TAPES, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true", help="where dtmf's time goes; no comparison")
    parser.add_argument("--peers", choices=("all", "spandsp", "none"), default="all")
    options = parser.parse_args()
    if options.profile:
        options.peers = "none"

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    voice, whose = voice_of(options.speech)
    receivers: dict[str, Callable[[np.ndarray], str]] = {"dtmf": ours}
    if options.peers != "none":
        try:
            Spandsp()
        except dtmf.DtmfError as error:
            print(error)
        else:
            receivers |= {"libspandsp2": spandsp, "libspandsp2, dial tone": spandsp_dial_tone}
    release = library() if "libspandsp2" in receivers else "libspandsp2 not measured"
    print(
        f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors, one used; Python "
        f"{sys.version.split()[0]}, numpy {np.__version__}; {release}"
    )
    print(f"speech: {whose}")
    external = External() if options.peers == "all" else None
    if not options.profile:
        print(f"{'tape':8}{'receiver':26}{'best':>10}{'median':>10}  times libspandsp2   digits")
        print(f"{'':34}{'audio s / CPU s':>20}  {'best':>8}{'median':>8}")
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
        if external:
            external.measure(recording, costs.get("libspandsp2"))


if __name__ == "__main__":
    main()
