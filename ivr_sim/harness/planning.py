"""Which of the calls that files plan are held in one run: all, a share, each several times, what failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.scenario import Case

__all__ = ["failed_in", "repeated", "seeded", "share"]


def share(cases: Sequence[Case], number: int, of: int) -> list[Case]:
    """One share of the calls, number (from 1) of so many: together they are all, and about as many each."""
    return list(cases[number - 1 :: of])


def repeated(cases: Sequence[Case], times: int) -> list[Case]:
    """Each call so many times: NAME, NAME#2, ..."""
    return [
        case if turn == 1 else replace(case, name=f"{case.name}#{turn}")
        for case in cases
        for turn in range(1, times + 1)
    ]


def seeded(cases: Sequence[Case], seed: int) -> list[Case]:
    """The same calls with this seed."""
    return [replace(case, scenario=case.scenario.model_copy(update={"seed": seed})) for case in cases]


def failed_in(report: Path) -> set[str]:
    """What did not pass in an earlier run, by its JSON report: names of calls, and files that gave none.

    Raises ConfigurationError.
    """
    try:
        calls = json.loads(report.read_text(encoding="utf-8"))["calls"]
        failed = [call for call in calls if call["verdict"] != "pass"]
        # Only a file of which no call could be made has no seed.
        return {str(call["name"]) for call in failed} | {
            str(call["file"]) for call in failed if call.get("seed") is None
        }
    except OSError as error:
        raise ConfigurationError(f"{report} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{report} is no report of an earlier run; write one with --json") from error
