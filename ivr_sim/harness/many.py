"""Many calls of one run, some at a time: each that was planned has a verdict, whatever happens."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred, gatherResults

from ivr_sim.errors import place
from ivr_sim.harness.reading import BadScenario
from ivr_sim.harness.scenario import SUFFIX, Case
from ivr_sim.reports.verdict import CallVerdict, Reporter

__all__ = ["error_of", "hold_all", "unreadable"]

log = structlog.get_logger(__name__)


async def hold_all(
    cases: Sequence[Case],
    hold: Callable[[Case], Awaitable[CallVerdict]],
    *,
    at_once: int,
    reporter: Reporter,
) -> list[CallVerdict]:
    """Hold these calls, ``at_once`` at a time; their verdicts, in the order of the cases.

    A call that breaks is an ``error``, and costs no other its verdict. Cancelled, the calls under way are
    cancelled, and they and all others are errors.
    """
    verdicts: dict[str, CallVerdict] = {}
    interrupted = False
    waiting = deque(cases)

    async def work() -> None:
        while waiting:
            case = waiting.popleft()
            try:
                verdict = await hold(case)
            except (Exception, CancelledError) as error:
                if interrupted:
                    return
                log.error("a call broke", call=case.name, error=type(error).__name__, at=place(error))
                verdict = error_of(case, f"internal error: {type(error).__name__} at {place(error)}")
            verdicts[case.name] = verdict
            reporter.finished(verdict)

    def cancel(_: Deferred[None]) -> None:
        nonlocal interrupted
        interrupted = True
        working.cancel()

    working: Deferred[Any] = gatherResults([Deferred.fromCoroutine(work()) for _ in range(at_once)])
    over: Deferred[None] = Deferred(cancel)
    working.addBoth(lambda result: result if interrupted else over.callback(result))
    try:
        await over
    except CancelledError:
        await working  # what is cancelled hangs up first
    for case in cases:
        if case.name not in verdicts:
            verdicts[case.name] = error_of(case, "interrupted before it was over")
            reporter.finished(verdicts[case.name])
    return [verdicts[case.name] for case in cases]


def unreadable(bad: BadScenario) -> list[CallVerdict]:
    """The files that no call could be made of, as errors, each with all that is wrong with it."""
    found: dict[Path, list[str]] = {}
    lines: dict[Path, int | None] = {}
    for problem in bad.problems:
        found.setdefault(problem.path, []).append(str(problem))
        lines.setdefault(problem.path, problem.line)
    return [
        CallVerdict(
            path.name.removesuffix(SUFFIX) or str(path),
            "error",
            reason="; ".join(problems),
            file=str(path),
            line=lines[path],
        )
        for path, problems in found.items()
    ]


def error_of(case: Case, reason: str, wall_s: float = 0.0) -> CallVerdict:
    """The verdict on a call that could not be run or judged, and why."""
    return CallVerdict(
        case.name,
        "error",
        expected=case.scenario.expect.outcome,
        wall_s=round(wall_s, 3),
        reason=reason,
        file=str(case.path),
        line=case.line_of(),
        seed=case.scenario.seed,
    )
