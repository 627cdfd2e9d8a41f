"""False digits in hours of speech and music: python benchmarks/talkoff.py [--half judge|tune|both]

What is not on disk yet is made first: some 1.7 GB of Debian packages are read, none is installed.
Each set is heard by this receiver and, where its library is installed, by spandsp, as recorded and once
more with every piece brought to -15 dBm0, the mean level that NTT's limit speaks of (ITU-T Q.24). Limits
may be tuned on the half `tune` only; the half `judge` is what the bar is for:

    at most one false digit on all sets together, at each of the two levels,
    and on no set more than spandsp

Exit: 2 when a set could not be had, else 1 when the bar was missed, else 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from material import HALVES, NAMES, RATE, Half, MaterialError, Store, prepare

import dtmf
from dtmf.spandsp import Spandsp

MOST = 1  # false digits on the judging half
NTT_DBM0 = -15.0
LEVELS = {"recorded": None, "mean": NTT_DBM0}
FULL_SCALE_DBM0 = 3.14  # of a sine, ITU-T G.711
_FRAME = 160
_ACTIVE = 1e-3  # of the loudest frame's power: pauses do not count in a piece's mean level
_OURS = 1 << 20  # samples per call
_THEIRS = 800  # the same for spandsp, which does not say when it heard a digit


@dataclass(frozen=True)
class Hit:
    """A digit that nobody pressed: which, and at what second of the sound."""

    digit: str
    second: float
    detail: str = ""


@dataclass(frozen=True)
class Heard:
    """What one set's half gave: spandsp's hits are None where it is not installed."""

    hours: float
    ours: list[Hit]
    theirs: list[Hit] | None


def ours(sound: npt.NDArray[np.int16], keys: str) -> list[Hit]:
    """What this receiver takes for keys."""
    receiver = dtmf.Receiver(keys=keys)
    events = [e for first in range(0, len(sound), _OURS) for e in receiver.feed(sound[first : first + _OURS])]
    events += receiver.flush(0)
    tones = [event.tone for event in events if isinstance(event, dtmf.KeyUp)]
    return [
        Hit(
            tone.digit,
            tone.start_s,
            f"{(tone.end_s - tone.start_s) * 1000:.0f} ms, {tone.level_dbm0:.1f} dBm0, "
            f"twist {tone.twist_db:+.1f} dB",
        )
        for tone in tones
    ]


def spandsps(sound: npt.NDArray[np.int16], keys: str) -> list[Hit] | None:
    """What spandsp takes for keys, of those that are listened for; None where it is not installed."""
    try:
        receiver = Spandsp()
    except dtmf.DtmfError:
        return None
    hits = []
    for first in range(0, len(sound), _THEIRS):
        piece = np.ascontiguousarray(sound[first : first + _THEIRS])
        hits += [Hit(digit, first / RATE) for digit in receiver.feed(piece) if digit in keys]
    return hits


def levelled(half: Half, dbm0: float) -> Half:
    """The same with each piece's mean level, pauses left out, at ``dbm0``; clipped at full scale."""
    sound = np.array(half.sound)
    for first, length in zip(half.firsts, half.lengths, strict=True):
        piece = sound[first : first + length]
        frames = piece[: length // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float32) / 32768
        power = (frames**2).mean(axis=1)
        active = power[power > _ACTIVE * power.max(initial=0)]
        if not len(active):
            continue
        now = 10 * np.log10(2 * active.mean()) + FULL_SCALE_DBM0
        gain = np.float32(10 ** ((dbm0 - now) / 20))
        piece[:] = np.clip(np.rint(piece * gain), -32768, 32767)
    return Half(sound, half.firsts, half.lengths, half.names)


def listen(half: Half, keys: str) -> Heard:
    """Have both receivers hear it, and print where each false digit is."""
    heard = Heard(half.hours, ours(half.sound, keys), spandsps(half.sound, keys))
    for who, hits in (("ours", heard.ours), ("spandsp", heard.theirs or [])):
        for hit in hits:
            name, second = half.at(hit.second)
            print(f"    {who:8} {hit.digit} at {second:8.3f} s of {name}  {hit.detail}".rstrip())
    return heard


def misses(heard: dict[str, Heard]) -> list[str]:
    """In which ways the judging half missed the bar."""
    found = []
    total = sum(len(h.ours) for h in heard.values())
    if total > MOST:
        found.append(f"{total} false digits; at most {MOST} is allowed")
    for name, h in heard.items():
        if h.theirs is not None and len(h.ours) > len(h.theirs):
            found.append(f"{name}: {len(h.ours)} false digits, spandsp has {len(h.theirs)}")
    return found


def run(store: Store, names: Sequence[str], half: str, level: str, keys: str) -> list[str]:
    """Judge one half of the sets at one level; print a table; return what missed the bar."""
    print(f"{half}, {'as recorded' if LEVELS[level] is None else f'mean level {LEVELS[level]:.0f} dBm0'}")
    heard: dict[str, Heard] = {}
    for name in names:
        material = store.read(half, name)
        dbm0 = LEVELS[level]
        heard[name] = listen(material if dbm0 is None else levelled(material, dbm0), keys)
    print(f"  {'set':12} {'hours':>7} {'ours':>5} {'spandsp':>8}")
    for name, h in heard.items():
        print(_row(name, h.hours, h.ours, h.theirs))
    every = list(heard.values())
    theirs = None if any(h.theirs is None for h in every) else [hit for h in every for hit in h.theirs or ()]
    print(_row("together", sum(h.hours for h in every), [hit for h in every for hit in h.ours], theirs))
    sys.stdout.flush()
    return misses(heard)


def _row(name: str, hours: float, ours: list[Hit], theirs: list[Hit] | None) -> str:
    return f"  {name:12} {hours:7.2f} {len(ours):5} {'-' if theirs is None else len(theirs):>8}"


def default_cache() -> Path:
    """The user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ivr-sim" / "talk-off"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Where the material is kept.")
@click.option("--half", type=click.Choice([*HALVES, "both"]), default="judge", show_default=True)
@click.option("--level", type=click.Choice([*LEVELS, "both"]), default="both", show_default=True)
@click.option("--keys", type=click.Choice(["12", "16"]), default="16", show_default=True)
@click.option("--set", "only", multiple=True, type=click.Choice(NAMES), help="Only this set; repeatable.")
def main(cache: Path | None, half: str, level: str, keys: str, only: tuple[str, ...]) -> None:
    """Count false digits in speech and music."""
    store = Store(cache or default_cache())
    print(f"material in {store.folder}")
    names = []
    for name in only or NAMES:
        try:
            prepare(store, name)
            names.append(name)
        except MaterialError as error:
            print(f"{name}: cannot be judged: {error}")
    missed = []
    for h in HALVES if half == "both" else (half,):
        for each in LEVELS if level == "both" else (level,):
            misses_here = run(store, names, h, each, dtmf.KEYS_12 if keys == "12" else dtmf.KEYS_16)
            if h == "judge":
                missed += [f"{each}: {miss}" for miss in misses_here]
    for miss in missed:
        print(f"missed: {miss}")
    sys.exit(2 if len(names) < len(only or NAMES) else 1 if missed else 0)


if __name__ == "__main__":
    main()
