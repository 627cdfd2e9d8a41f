"""What a run of calls came to: a verdict on each call, and on all of them. Plain data, without I/O.

Whoever holds calls (replays, scenarios over SIP) makes ``CallVerdict``s and tells a ``Reporter`` of each;
what is written at the end (JSON, JUnit, HTML, GitHub) is made from the ``Run``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from ivr_sim.logs import redacted

__all__ = ["CallVerdict", "Failure", "PromptHeard", "Reporter", "Run", "Verdict"]

VERSION = 1
Verdict = Literal["pass", "fail", "error"]


@dataclass(frozen=True)
class Failure:
    """Where a call left what was expected of it: the step, what was expected, what was heard instead.

    t: seconds since the answer, None where it is known of the call as a whole only. file, line: where the
    expectation is written, line from 1.
    """

    step: str
    expected: str
    heard: str
    t: float | None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        at = "" if self.t is None else f" (at {self.t:.2f} s)"
        return f"{self.step}: expected {self.expected}, heard {self.heard}{at}"


@dataclass(frozen=True)
class PromptHeard:
    """One prompt: when it started, in seconds since the answer, and what cut it, if anything did."""

    name: str
    start_s: float
    cut: str | None


@dataclass(frozen=True)
class CallVerdict:
    """What one call came to. It can be pickled.

    name: unique in a run. entries: per field the values that were accepted, in order. duration_s: of the
    call; wall_s: what it took. failure: why it is a ``fail``; reason: why it is an ``error``, that is, could
    not be run or judged. file, line: its scenario or label. folder: where its artefacts lie, relative to the
    run's artefact folder; None when none were kept.
    """

    name: str
    verdict: Verdict
    outcome: str | None = None
    expected: str | None = None
    entries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    prompts: Sequence[PromptHeard] = ()
    duration_s: float = 0.0
    wall_s: float = 0.0
    failure: Failure | None = None
    reason: str | None = None
    file: str | None = None
    line: int | None = None
    seed: int | None = None
    folder: str | None = None

    def shown(self) -> CallVerdict:
        """The same as it may be written down: no text in it holds a card number."""
        failure = self.failure
        return replace(
            self,
            name=redacted(self.name),
            outcome=_shown(self.outcome),
            expected=_shown(self.expected),
            entries={name: [redacted(v) for v in values] for name, values in self.entries.items()},
            failure=failure
            and replace(
                failure,
                step=redacted(failure.step),
                expected=redacted(failure.expected),
                heard=redacted(failure.heard),
                file=_shown(failure.file),
            ),
            reason=_shown(self.reason),
            file=_shown(self.file),
        )

    def as_json(self) -> dict[str, Any]:
        """An item of ``calls`` in the JSON report, as plain JSON types."""
        plain = asdict(self.shown())
        plain["prompts"] = list(plain["prompts"])
        return plain


@dataclass(frozen=True)
class Run:
    """All calls of one command, in the order in which they were planned.

    command: what was run, such as ``replay``. started: aware of its zone. seed: what made it repeatable.
    """

    command: str
    started: datetime
    seed: int
    calls: Sequence[CallVerdict]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many calls of each verdict there are, zeros too."""
        counted = Counter(call.verdict for call in self.calls)
        return {verdict: counted[verdict] for verdict in ("pass", "fail", "error")}

    @property
    def verdict(self) -> Verdict:
        """``error`` when a call could not be run or there is none, else ``fail`` when one fails."""
        counts = self.counts
        if counts["error"] or not self.calls:
            return "error"
        return "fail" if counts["fail"] else "pass"

    def shown(self) -> Run:
        """The same as it may be written down, see ``CallVerdict.shown``; the names are unique still."""
        calls = [call.shown() for call in self.calls]
        times = Counter(call.name for call in calls)
        seen: Counter[str] = Counter()
        for n, call in enumerate(calls):
            if times[call.name] > 1:
                seen[call.name] += 1
                calls[n] = replace(call, name=f"{call.name} #{seen[call.name]}")
        return replace(self, calls=calls)

    @property
    def exit_code(self) -> int:
        """What the command ends with: 0, 1 when a call fails, 2 when one could not be run or none was."""
        return {"pass": 0, "fail": 1, "error": 2}[self.verdict]

    def as_json(self) -> dict[str, Any]:
        """The JSON report, version 1."""
        return {
            "v": VERSION,
            "verdict": self.verdict,
            "command": self.command,
            "started": self.started.isoformat(timespec="seconds"),
            "seed": self.seed,
            "counts": self.counts,
            "calls": [call.as_json() for call in self.shown().calls],
        }


def _shown(text: str | None) -> str | None:
    return None if text is None else redacted(text)


class Reporter(Protocol):
    """Whoever shows a run while it goes."""

    def planned(self, number: int) -> None:
        """So many calls will be held."""

    def finished(self, call: CallVerdict) -> None:
        """One call is over; calls may finish in any order."""

    def ended(self, run: Run) -> None:
        """All calls are over."""
