"""``dtmf bench``: how fast the receiver is on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import click
import numpy as np

from dtmf.bench import (
    TAPES,
    Floats,
    Tape,
    compare,
    heard_of,
    live_costs,
    live_ticks,
    read_voice,
    synthetic_voice,
    tape,
)
from dtmf.decoder import decode
from dtmf.errors import DtmfError
from dtmf.spandsp import Spandsp

__all__ = ["command"]

_LINES = (1, 10, 100, 1000)
_TICKS = 250
_IN_A_TONE = 0.02
_SHORTEST_S = 100  # a call with its ten keys


@click.command("bench")
@click.option(
    "--seconds",
    default=600,
    show_default=True,
    type=click.IntRange(_SHORTEST_S, 24 * 3600),
    help="Length of each tape.",
)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 100), help="The best counts.")
@click.option(
    "--speech",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Sound files to speak on the tapes, in place of a synthetic voice.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, in place of tables.")
def command(seconds: int, rounds: int, speech: Path | None, as_json: bool) -> None:
    """Measure how fast keys are found in recordings and on live lines.

    Recordings: seconds of sound decoded per second of processor time, of tapes with ten keys in 100 s (call),
    ten in 9 s (dense) and none (speech); beside it, where libspandsp is installed, the same for spandsp, in
    turns with ours. Live: what a tick of 20 ms costs for all lines together, 2 % of them in a tone.
    """
    try:
        voice = read_voice(speech) if speech else synthetic_voice()
    except DtmfError as error:
        click.echo(f"dtmf: {error}", err=True)
        sys.exit(2)
    machine = _machine()
    if as_json:
        recordings, live = list(_recordings(voice, seconds, rounds)), list(_live(voice))
        click.echo(json.dumps({"v": 1, "machine": machine, "recordings": recordings, "live": live}))
        return
    click.echo(", ".join(f"{name} {value}" for name, value in machine.items() if value is not None))
    click.echo(f"\n{'recordings':12}{'receiver':10}{'sound s / CPU s':>16}   keys found")
    for r in _recordings(voice, seconds, rounds):
        line = f"{r['tape']:12}{r['receiver']:10}{r['speed']:16,}   {r['found']} of {r['keys']}"
        line += f", {r['false']} false" if r["false"] else ""
        click.echo(
            line + (f"; {r['times_spandsp']:.2f} times spandsp's speed" if "times_spandsp" in r else "")
        )
    click.echo(f"\n{'live lines':>10}{'mean':>10}{'median':>10}{'p99':>10}   microseconds per tick")
    for r in _live(voice):
        click.echo(f"{r['lines']:10}{r['mean_us']:10.0f}{r['median_us']:10.0f}{r['p99_us']:10.0f}")


def _machine() -> dict[str, Any]:
    """What the figures hang on."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "processors": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
    }


def _recordings(voice: list[Floats], seconds: float, rounds: int) -> Iterator[dict[str, Any]]:
    """Each tape decoded by each receiver; ours, beside spandsp, with how many times as fast it was."""
    receivers = {"dtmf": _ours}
    with contextlib.suppress(DtmfError):
        Spandsp()
        receivers["spandsp"] = _spandsp
    for name in TAPES:
        recording = tape(name, voice, seconds=seconds)
        costs = compare(
            {peer: partial(hear, recording) for peer, hear in receivers.items()},
            clock=process_time,
            rounds=rounds,
        )
        for peer, cost in costs.items():
            found, false = heard_of(recording.digits, cost.digits)
            result = {
                "tape": name,
                "receiver": peer,
                "speed": round(recording.seconds / cost.best),
                "keys": len(recording.digits),
                "found": found,
                "false": false,
            }
            if peer == "dtmf" and "spandsp" in costs:
                result["times_spandsp"] = round(costs["spandsp"].best / cost.best, 2)
            yield result


def _live(voice: list[Floats]) -> Iterator[dict[str, Any]]:
    """What a tick costs for each number of lines."""
    for lines in _LINES:
        frames, _ = live_ticks(lines, ticks=_TICKS, share=_IN_A_TONE, voice=voice)
        spent = sorted(1e6 * s for s in live_costs(frames, clock=process_time).seconds)
        yield {
            "lines": lines,
            "mean_us": round(statistics.fmean(spent), 1),
            "median_us": round(statistics.median(spent), 1),
            "p99_us": round(spent[int(0.99 * len(spent))], 1),
        }


def _ours(recording: Tape) -> str:
    return "".join(tone.digit for tone in decode(recording.samples, 8000))


def _spandsp(recording: Tape) -> str:
    return Spandsp().feed(recording.samples)
