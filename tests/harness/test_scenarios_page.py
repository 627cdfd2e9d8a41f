"""The page about files of calls: every example is one, and every field is on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from twisted.internet import reactor

from ivr_sim.harness import scenario as model
from ivr_sim.harness.profile import MANNERS
from ivr_sim.harness.reading import BadScenario, read_scenario
from ivr_sim.harness.replay import Manner, Replayer
from ivr_sim.harness.vocabulary import ENTRIES, OUTCOMES, PARAMETERS, SECRET_ENTRIES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def read(tmp_path):
    (tmp_path / "approved.wav").write_bytes(b"RIFF")

    def read(text: str):
        path = tmp_path / "pay.call.yaml"
        path.write_text(text if text.startswith("version") else f"version: 1\n{text}")
        return read_scenario(path)

    return read


def test_there_are_examples():
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("text", EXAMPLES, ids=len)
def test_every_example_can_be_read(read, text):
    assert read(text)


@pytest.fixture(scope="module")
def hold(on_reactor, tmp_path_factory):
    """Holds a call in virtual time."""
    replayer = Replayer(reactor, Manner(data=tmp_path_factory.mktemp("data")))
    yield lambda case: on_reactor(replayer.replay, case).verdict
    on_reactor(replayer.stop)


@pytest.mark.parametrize("text", [text for text in EXAMPLES if "wav:" not in text], ids=len)
def test_every_scenario_comes_to_what_it_says(read, hold, text):
    """Without the delay of its authorizer, which is real time."""
    for case in read(text.replace("authorizer_delay: 2", "authorizer_delay: 0.01")):
        verdict = hold(case)
        assert (verdict.verdict, verdict.failure, verdict.reason) == ("pass", None, None), case.name


def test_the_example_with_everything_in_it_has_everything(read):
    """But for what rules each other out: a profile, a recording, a table."""
    [case] = read(next(text for text in EXAMPLES if "steps:" in text))
    left_out = {"wav", "timeline"}
    assert set(model.Scenario.model_fields) - case.scenario.model_fields_set == left_out
    assert set(model.Expected.model_fields) - case.scenario.expect.model_fields_set == {"cause"}
    assert set(model.Given.model_fields) == case.scenario.given.model_fields_set
    assert {type(step) for step in case.scenario.steps} == {model.Hear, model.Press, model.Wait, model.HangUp}


@pytest.mark.parametrize(
    "part",
    [model.Scenario, model.Given, model.CallerSettings, model.ToneSettings, model.Expected, model.Hear],
)
def test_every_field_is_on_the_page(part):
    words = set(re.findall(r"`([a-z_0-9.]+)", PAGE))
    names = {field.alias or name for name, field in part.model_fields.items()}
    assert names - words == set()


def test_every_choice_is_on_the_page():
    words = set(re.findall(r"[a-z_0-9]+", PAGE))
    choices = {*get_args(model.Profile), *get_args(model.State), *OUTCOMES, *SECRET_ENTRIES}
    assert choices - words == set()


def test_what_is_left_open_is_as_the_page_says():
    page = re.sub(r"\s+", " ", PAGE)
    given, tone, manner = model.Given(), model.ToneSettings(), MANNERS[None]
    assert f"| {given.key} |" in page
    assert f"| {given.amount} |" in page
    assert f"| {given.order_id}, {given.description} |" in page
    assert f"| {given.cards[0]} |" in page
    assert f"of each of their two tones ({tone.level_dbm0:g})" in page
    assert f"| {manner.key_ms}, {manner.gap_ms}, or the profile's |" in page
    assert f"| {manner.delay}, or the profile's |" in page
    assert f"must begin ({model.Hear(hear='welcome').within:g})" in page


def test_the_errors_on_the_page_are_those_that_are_told(read, tmp_path):
    text = next(text for text in EXAMPLES if "table:" in text)
    (tmp_path / "rows.csv").write_text("name,amount\na,1\nb,free\n")
    with pytest.raises(
        BadScenario, match=r"rows\.csv:3: given\.amount: a number is due, not 'free' \(row b\)"
    ):
        read(re.sub(r"table:\n(  - .*\n)+", "table: rows.csv\n", text))
    assert "rows.csv:3: given.amount: a number is due, not 'free' (row b)" in PAGE
    with pytest.raises(BadScenario, match=r"there is no prompt 'ask_kee'; did you mean ask_key\?"):
        read("steps: [{hear: ask_kee}]\nexpect: {outcome: approved}\n")
    with pytest.raises(BadScenario, match=r"no value for \{amuont\}; did you mean \{amount\}\?"):
        read('steps: [{hear: amount, with: {amount: "{amuont}"}}]\nexpect: {outcome: approved}\n')


def test_parameters_that_steps_may_ask_for_are_those_that_are_said():
    assert PARAMETERS["amount"] == {"amount", "currency", "description"}
    assert PARAMETERS["welcome"] == {"merchant"}


def test_the_entries_are_those_that_the_dialogues_ask_for():
    """By what they write to the journal."""
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "ivr_sim" / "dialogue").glob("*.py")
    )
    asked = set(re.findall(r'field="(\w+)"', source)) | set(re.findall(r'choice\(shop, "(\w+)"', source))
    assert asked == {*ENTRIES, *SECRET_ENTRIES}
