"""Calls by the hundred against one line process: is every digit right, and what does the line need for it?

    python benchmarks/load [--calls 800] [--rate 40] [--hold 10] [--digits 20] [--by inband|rfc4733|info]
                           [--loss 0.05] [--jitter 40] [--reorder 0.05] [--duplicate 0.05] [--sip-loss 0.12]
                           [--total N] [--rounds 1] [--line product|stock] [--seed 1] [--json FILE]

Three processes: the line alone on one core; exchange and callers on another. A caller dials, keys its
digits from one second on, 100 ms each and 100 ms apart, and hangs up after its hold. At most ``--calls`` are
up at a time, and ``--total`` in all. All that happens ``--rounds`` times, each with a rest behind it until no
dialog is remembered any more; then line and exchange tell what they hold. By the first round they are warm:
up to the last neither may grow by 5 %, and no port, table or file may be left.

Each call has a verdict: set up, the digits that the line heard, audio all along, ended by the caller's BYE.
Exit 1 when a call failed, or something grew.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

sys.path.insert(1, str(Path(__file__).parents[1]))

from calls import Caller, CallRecord
from memory import GROWTH, Memory, grown
from tapes import FIRST_KEY, PAUSE, TONE, Network
from twisted.internet import reactor as _reactor

HERE = Path(__file__).parent
REST = 40.0  # seconds: an ended dialog is remembered for 32
ON_ITS_WAY = 5  # packets that a caller who hangs up does not wait for
reactor: Any = _reactor


class Child:
    """A process that answers lines with lines of JSON."""

    def __init__(self, script: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / script), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def hear(self) -> Any:
        """The next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"load: a process ended with {self._process.wait()}")
        return json.loads(line)

    def say(self, word: str) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End its input, and wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="load", description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=800)
    parser.add_argument("--total", type=int)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--hold", type=float, default=10.0)
    parser.add_argument("--digits", type=int, default=20)
    parser.add_argument("--by", choices=("inband", "rfc4733", "info"), default="inband")
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--reorder", type=float, default=0.0)
    parser.add_argument("--duplicate", type=float, default=0.0)
    parser.add_argument("--sip-loss", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--line", choices=("product", "stock"), default="product")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    needed = 0.02 * sum((FIRST_KEY, (given.digits - 1) * (TONE + PAUSE), TONE)) if given.digits else 0.0
    if given.rounds > 1 and given.line != "product":
        parser.error("only the product is weighed: --rounds goes with --line product")
    if given.hold < needed:
        parser.error(f"{given.digits} digits need a hold of {needed:g} s; give --hold, or fewer --digits")
    total = given.total or given.calls
    cores = sorted(os.sched_getaffinity(0))
    exchange = Child("exchange.py", cores[-1], given.sip_loss, given.seed)
    port = int(exchange.hear())
    line = Child("line.py", given.line, port, cores[0])
    os.sched_setaffinity(0, {cores[-1]})
    answer = line.hear()
    if not answer["ready"]:
        sys.exit(f"load: the line did not register: {answer}")
    network = Network(given.loss, given.jitter, given.reorder, given.duplicate)
    chance = Random(given.seed)
    codes: list[int] = []
    at_rest: list[tuple[dict[str, int], dict[str, int]]] = []

    def play() -> None:
        """One round."""
        caller = Caller(
            reactor, port, total=total, at_once=given.calls, rate=given.rate, hold=given.hold,
            digits=given.digits, by=given.by, network=network, chance=chance,
        )  # fmt: skip
        load_before = os.getloadavg()[0]
        gc.collect()
        gc.freeze()
        gc.disable()
        reports: dict[str, Any] = {}

        def full() -> None:
            line.say("report")
            reports["full"] = line.hear()

        def begin() -> None:
            line.say("report")
            reports["before"] = line.hear()
            line.say("mark")
            caller.start(over, full)

        def over(_: object = None) -> None:
            line.say("report")
            reports["after"] = line.hear()
            codes.append(tell(given, caller, reports, load_before))
            caller.stop().addBoth(lambda _: rest())

        caller.register().addCallbacks(lambda _: begin(), print)

    def rest() -> None:
        if given.rounds > 1:
            reactor.callLater(REST, weigh)
        else:
            reactor.stop()

    def weigh() -> None:
        for child in (line, exchange):
            child.say("weigh")
        at_rest.append((line.hear(), exchange.hear()))
        if len(at_rest) < given.rounds:
            play()
        else:
            reactor.stop()

    reactor.callWhenRunning(play)
    reactor.run()
    line.stop()
    exchange.stop()
    wrong = [
        word for n, who in enumerate(("line", "exchange")) for word in grew(who, [w[n] for w in at_rest])
    ]
    for complaint in wrong:
        print(complaint)
    return max([*codes, int(bool(wrong))], default=2)


def grew(who: str, at_rest: list[dict[str, int]]) -> list[str]:
    """What a process held after each round; what of it grew, or was left."""
    wrong: list[str] = []
    for what, unit, bar in (("found", 2**20, None), ("trimmed", 2**20, GROWTH), ("blocks", 1000, GROWTH)):
        wrong += grown(f"{who}, {what}", [held[what] for held in at_rest], unit=unit, bar=bar)
    for what in sorted({*at_rest[0]} - {*Memory._fields}) if at_rest else ():
        sizes = [held[what] for held in at_rest]
        grown(f"{who}, {what}", sizes)
        if sizes[-1] > sizes[0]:
            wrong.append(f"{who}: {what} went from {sizes[0]} to {sizes[-1]}")
    return wrong


def tell(given: argparse.Namespace, caller: Caller, reports: dict[str, Any], load: float) -> int:
    """Print what came of it."""
    after, before = reports["after"], reports["before"]
    full = reports.get("full", after)
    bad = [r for r in caller.records if judge(r, given, after)]
    setups = sorted(1000 * r.setup for r in caller.records if r.setup is not None) or [float("nan")]
    heard = sum(len(r.keys) for r in caller.records)
    right = sum(r.keys == after["heard"].get(r.call_id, "") for r in caller.records)
    gaps = sorted(r.longest_gap_ms for r in caller.records if r.setup is not None) or [0]
    result = {
        "calls": len(caller.records), "failed": len(bad), "digits_right": right, "digits": heard,
        "setup_ms": {"p50": at(setups, 0.5), "p99": at(setups, 0.99), "max": setups[-1]},
        "peak": caller.peak, "late_generator_steps": caller.media.late,
        "line": {k: v for k, v in after.items() if k not in ("heard", "ended")},
        "rss_mb": {"before": before["rss_mb"], "full": full["rss_mb"], "after": after["rss_mb"]},
        "full": {k: v for k, v in full.items() if k not in ("heard", "ended")},
        "files": {"before": before["files"], "after": after["files"]},
        "gap_ms": {"p99": at(gaps, 0.99), "max": gaps[-1]}, "load_before": load,
        "failures": [f"{r.call_id}: {judge(r, given, after)}" for r in bad[:20]],
    }  # fmt: skip
    print(
        f"{given.line}: {len(caller.records)} calls, {caller.peak} at once, {given.by}, "
        f"{given.hold:g} s each; load before {load:.1f}\n"
        f"  failed {len(bad)}; digits right in {right} of {len(caller.records)} calls\n"
        f"  set up in {at(setups, 0.5):.1f} ms (p50), {at(setups, 0.99):.1f} (p99), {setups[-1]:.1f} (max)\n"
        f"  line: {full['cpu']:.1%} of a core until the last call was up, {after['cpu']:.1%} in all; "
        f"{before['rss_mb']:.0f} -> {full['rss_mb']:.0f} -> {after['rss_mb']:.0f} MB; "
        f"files {before['files']} -> {after['files']}\n"
        f"  longest gap in what callers heard: {at(gaps, 0.99):.0f} ms (p99 of calls), {gaps[-1]:.0f} (max); "
        f"generator late {caller.media.late} steps"
    )
    if "beats" in after:
        late = after["late"] / max(after["beats"], 1)
        print(
            f"  ticks: {after['beats']}, more than 5 ms late {after['late']} ({late:.2%}), "
            f"worst {after['worst_ms']:.1f} ms; a tick's work {after['tick_ms']:.2f} ms"
        )
    for failure in result["failures"]:
        print(f"  {failure}")
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if bad else 0


def judge(record: CallRecord, given: argparse.Namespace, line: dict[str, Any]) -> str:
    """Why a call failed; nothing if it did not."""
    if record.setup is None:
        return f"not set up: {record.ended}"
    heard = line["heard"].get(record.call_id, "")
    if heard != record.keys:
        return f"keyed {record.keys}, heard {heard}"
    if record.ended != "hung up":
        return f"ended early: {record.ended}"
    if given.line == "product" and line["ended"].get(record.call_id) != "caller":
        return f"its end came to {line['ended'].get(record.call_id)}"
    if record.received < 0.97 * given.hold * 50 - ON_ITS_WAY:
        return f"heard {record.received} packets of {given.hold * 50:g}"
    return ""


def at(values: list[float], share: float) -> float:
    """A quantile of sorted values."""
    return values[min(int(share * len(values)), len(values) - 1)]


if __name__ == "__main__":
    sys.exit(main())
