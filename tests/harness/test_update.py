"""Labels brought up to date: the text stays, but for what has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ivr_sim.harness.reading import read_scenario
from ivr_sim.harness.replay import Replayed
from ivr_sim.harness.update import NotUpdated, as_recorded, diff, updated
from ivr_sim.reports import CallVerdict, PromptHeard

LABEL = """\
# a call of the first day
version: 1
wav: x.wav        # beside it
recorded_on: 2026-11-23
given: {key: "123456", amount: "200.00", order_id: ord-1, description: Cargo IVR}
expect:
  outcome: rejected   # by the payer
  cause: null
  entries:
    payment_key: '999999'
    accept: ["1", "2"]
  prompts:
  - welcome
  - bad_key   # gone by now

  # the end
seed: 3
"""
CAME = Replayed(
    CallVerdict(
        "x", "pass", outcome="rejected",
        entries={"payment_key": ["999999", "123456"], "accept": ["2"]},
        prompts=[PromptHeard("welcome", 0.0, None), PromptHeard("ask_key", 4.5, "key")],
    ),
    timeline=[(0.0, "welcome", 4.5), (4.5, "ask_key", None)],
)  # fmt: skip


@pytest.fixture
def case(tmp_path):
    (tmp_path / "x.wav").write_bytes((Path(__file__).parents[2] / "fixtures/calls/silence.wav").read_bytes())
    (tmp_path / "x.call.yaml").write_text(LABEL)
    return read_scenario(tmp_path / "x.call.yaml")[0]


def test_only_what_has_changed_is_written(case):
    text = updated(LABEL, case, CAME)
    changed = diff(Path("x.call.yaml"), LABEL, text).splitlines()
    assert [line for line in changed if line[0] in "+-"] == [
        "--- x.call.yaml",
        "+++ x.call.yaml",
        "-    payment_key: '999999'",
        '-    accept: ["1", "2"]',
        '+    payment_key: "123456"',
        '+    accept: ["2"]',
        "-  - bad_key   # gone by now",
        "+  - ask_key   # gone by now",
        "+timeline:",
        "+  - [0.00, welcome, 4.50]",
        "+  - [4.50, ask_key]",
    ]
    case.path.write_text(text)
    [again] = read_scenario(case.path)
    assert updated(text, again, CAME) == text
    assert diff(case.path, text, text) == ""


def test_an_outcome_is_only_taken_over_when_that_is_asked_for(case):
    other = replace(CAME, verdict=replace(CAME.verdict, outcome="no_input"), cause="silence")
    with pytest.raises(NotUpdated, match=r"x\.call\.yaml:7: .* was rejected and is no_input"):
        updated(LABEL, case, other)
    text = updated(LABEL, case, other, accept_outcomes=True)
    assert "outcome: no_input   # by the payer\n  cause: silence\n" in text


def test_line_ends_stay(case):
    text = updated(LABEL.replace("\n", "\r\n"), case, CAME)
    assert text.count("\n") == text.count("\r\n")


def test_what_cannot_be_updated_says_why(case):
    broken = Replayed(CallVerdict("x", "error", reason="no sound"))
    with pytest.raises(NotUpdated, match="could not be replayed: no sound"):
        updated(LABEL, case, broken)
    table = LABEL + "table:\n  - {name: one}\n"
    with pytest.raises(NotUpdated, match="table"):
        updated(table, case, CAME)


def test_as_recorded_expects_nothing(case):
    assert as_recorded(case).scenario.expect.prompts == []
    assert as_recorded(case).scenario.expect.outcome is None
