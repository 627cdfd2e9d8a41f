"""The verdict on a run: it and the exit code always agree, and its JSON is a contract."""

import json
import pickle
from datetime import UTC, datetime
from itertools import product

import pytest

from ivr_sim.reports.verdict import CallVerdict, Failure, PromptHeard, Run

STARTED = datetime(2026, 11, 23, 12, 0, 5, 250_000, tzinfo=UTC)


def run(*verdicts: str) -> Run:
    return Run("replay", STARTED, 7, [CallVerdict(f"call-{i}", v) for i, v in enumerate(verdicts)])


@pytest.mark.parametrize(
    "verdicts", [v for n in range(4) for v in product(("pass", "fail", "error"), repeat=n)]
)
def test_exit_code_and_verdict_agree(verdicts: tuple[str, ...]) -> None:
    whole = run(*verdicts)

    expected = 2 if "error" in verdicts or not verdicts else 1 if "fail" in verdicts else 0
    assert whole.exit_code == expected
    assert whole.verdict == ["pass", "fail", "error"][expected]
    assert whole.counts == {v: verdicts.count(v) for v in ("pass", "fail", "error")}


def test_json_is_the_contract() -> None:
    failure = Failure("entry payment_key", "123456", "123450", 3.2, "a.call.yaml", 12)
    call = CallVerdict(
        "a", "fail", "key_refused", "approved", {"payment_key": ["123450"]},
        (PromptHeard("welcome", 0.0, None), PromptHeard("ask_key", 1.5, "key")), 12.5, 0.25, failure,
        file="a.call.yaml", line=1, seed=3, folder="a",
    )  # fmt: skip

    written = json.loads(json.dumps(Run("replay", STARTED, 7, [call]).as_json()))

    assert written == {
        "v": 1,
        "verdict": "fail",
        "command": "replay",
        "started": "2026-11-23T12:00:05+00:00",
        "seed": 7,
        "counts": {"pass": 0, "fail": 1, "error": 0},
        "calls": [
            {
                "name": "a", "verdict": "fail", "outcome": "key_refused", "expected": "approved",
                "entries": {"payment_key": ["123450"]},
                "prompts": [
                    {"name": "welcome", "start_s": 0.0, "cut": None},
                    {"name": "ask_key", "start_s": 1.5, "cut": "key"},
                ],
                "duration_s": 12.5, "wall_s": 0.25,
                "failure": {
                    "step": "entry payment_key", "expected": "123456", "heard": "123450", "t": 3.2,
                    "file": "a.call.yaml", "line": 12,
                },
                "reason": None, "file": "a.call.yaml", "line": 1, "seed": 3, "folder": "a",
            }
        ],
    }  # fmt: skip


def test_a_verdict_survives_pickling() -> None:
    call = CallVerdict("a", "fail", failure=Failure("outcome", "approved", "declined", None))

    assert pickle.loads(pickle.dumps(call)) == call


def test_a_failure_says_what_was_heard_and_when() -> None:
    assert str(Failure("outcome", "approved", "declined", 31.417)) == (
        "outcome: expected approved, heard declined (at 31.42 s)"
    )
    assert str(Failure("charges", "1", "2", None)) == "charges: expected 1, heard 2"
