"""The beat of 20 ms by which audio leaves: how late it comes on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred

from ivr_sim.doctor.check import Check
from ivr_sim.media.beat import TICK

__all__ = ["beat", "lateness"]

LATE = 0.005  # seconds
SOME = 0.01  # of all ticks
FAR = 0.060  # seconds: what a telephone's jitter buffer commonly bridges


def beat(clock: Any, seconds: float = 3.0) -> Deferred[list[float]]:
    """Tick every 20 ms for a while, as the media engine does; how late each tick came, in seconds.

    clock: IReactorTime.
    """
    late: list[float] = []
    started = clock.seconds()
    pending: list[Any] = []

    def tick() -> None:
        now = clock.seconds()
        late.append(max(now - started - len(late) * TICK, 0.0))
        following = started + len(late) * TICK
        if len(late) * TICK > seconds:
            done.callback(late)
        else:
            pending[:] = [clock.callLater(max(following - now, 0.0), tick)]

    done: Deferred[list[float]] = Deferred(lambda _: pending[0].cancel())
    pending.append(clock.callLater(0, tick))
    return done


def lateness(late: Sequence[float]) -> Check:
    """What the lateness of ticks, in seconds, means for a call."""
    name = "20 ms beat"
    ranked = sorted(late)
    if not ranked:
        return Check(name, "fail", "no tick came", "Try again.")
    median, most, worst = (ranked[min(int(len(ranked) * part), len(ranked) - 1)] for part in (0.5, 0.99, 1))
    share = sum(value > LATE for value in ranked) / len(ranked)
    what = (
        f"{len(ranked)} ticks: {median * 1000:.1f} ms late in the median, 99 % within {most * 1000:.1f} ms, "
        f"worst {worst * 1000:.1f} ms; {share:.1%} more than {LATE * 1000:.0f} ms late"
    )
    advice = (
        "Audio leaves unevenly: close what keeps the processor busy, take the laptop off battery saving, or "
        "give the virtual machine more of its host."
    )
    if median > TICK:
        return Check(name, "fail", what, advice)
    if share > SOME or worst > FAR:
        return Check(name, "warn", what, advice)
    return Check(name, "ok", what)
