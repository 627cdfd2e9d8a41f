"""What became of one call, read from a command's JSON report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CallResult", "Failure", "Prompt", "read"]


@dataclass(frozen=True)
class Prompt:
    """A prompt that was heard: when it started, in seconds since the answer, and what cut it, if anything."""

    name: str
    start_s: float
    cut: str | None


@dataclass(frozen=True)
class Failure:
    """Where the call left what is expected of it: t in seconds since the answer; file and line of that."""

    step: str
    expected: str
    heard: str
    t: float | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        where = "" if self.file is None else f"{self.file}:{self.line or 1}: "
        at = "" if self.t is None else f" (at {self.t:.2f} s)"
        return f"{where}{self.step}: expected {self.expected}, heard {self.heard}{at}"


@dataclass(frozen=True, repr=False)
class CallResult:
    """One call. verdict: ``pass`` or ``fail``, by what its scenario expects.

    outcome: approved, declined, rejected ... entries: per field the values accepted, in order, secret ones
    left out. prompts: what the caller heard. folder: where the call's artefacts lie, if they were kept.
    """

    name: str
    verdict: str
    outcome: str | None
    expected: str | None
    entries: Mapping[str, Sequence[str]]
    prompts: Sequence[Prompt]
    duration_s: float
    failure: Failure | None
    reason: str | None
    file: str | None
    folder: Path | None

    @property
    def passed(self) -> bool:
        """Whether all that the scenario expects came true."""
        return self.verdict == "pass"

    @property
    def heard(self) -> list[str]:
        """The names of the prompts, in order."""
        return [prompt.name for prompt in self.prompts]

    def __str__(self) -> str:
        """The verdict, and what explains it."""
        lines = [f"{self.name}: {self.verdict}, {self.outcome or 'no outcome'}, {self.duration_s:.1f} s"]
        lines += [str(why) for why in (self.failure, self.reason) if why]
        lines.append(f"heard: {', '.join(self.heard) or 'nothing'}")
        lines += [f"{field}: {', '.join(values)}" for field, values in self.entries.items()]
        if self.folder is not None:
            lines.append(f"kept in {self.folder}")
        return "\n    ".join(lines)

    def __repr__(self) -> str:
        """In one line."""
        why = f", {self.failure or self.reason}" if self.failure or self.reason else ""
        return f"<CallResult {self.name}: {self.verdict}, {self.outcome}{why}>"


def read(report: Mapping[str, Any], artefacts: Path | None) -> list[CallResult]:
    """The calls of a JSON report (version 1; fields may be added). artefacts: the run's folder of them."""
    return [_read(call, artefacts) for call in report["calls"]]


def _read(call: Mapping[str, Any], artefacts: Path | None) -> CallResult:
    failure, folder = call["failure"], call.get("folder")
    return CallResult(
        name=call["name"],
        verdict=call["verdict"],
        outcome=call["outcome"],
        expected=call["expected"],
        entries=call["entries"],
        prompts=tuple(Prompt(p["name"], p["start_s"], p["cut"]) for p in call["prompts"]),
        duration_s=call["duration_s"],
        failure=None if failure is None else _failure(failure),
        reason=call.get("reason"),
        file=call.get("file"),
        folder=None if folder is None or artefacts is None else artefacts / folder,
    )


def _failure(failure: Mapping[str, Any]) -> Failure:
    known = {name: failure.get(name) for name in ("t", "file", "line")}
    return Failure(failure["step"], failure["expected"], failure["heard"], **known)
