"""The pytest plugin, as its users meet it: pytest in a process and a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "examples" / "pytest"
CALLS = ROOT / "fixtures" / "calls"
HURRY = ROOT / "fixtures" / "scenarios" / "rejected-in-a-hurry.call.yaml"


class Ran:
    """One run of pytest: its exit code, what it printed, and what became of each test by its name."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        report = folder / "junit.xml"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "IVR_"))}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--junit-xml", str(report), *arguments],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
        self.code = done.returncode
        self.said = done.stdout + done.stderr
        self.tests: dict[str, str] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            bad = [child.tag for child in case if child.tag in ("failure", "error")]
            self.tests[f"{case.get('classname')}::{case.get('name')}"] = bad[0] if bad else "passed"


@pytest.fixture
def project(tmp_path) -> Callable[..., Path]:
    """A project of these files, whose pytest takes its settings from here."""

    def make(ini: str = "", **files: str) -> Path:
        (tmp_path / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{ini}")
        for name, content in files.items():
            (tmp_path / f"{name}.py").write_text(content)
        return tmp_path

    return make


def test_it_is_installed_as_a_plugin():
    [plugin] = entry_points(group="pytest11", name="ivr_sim")
    assert plugin.value == "ivr_sim.pytest_plugin"


def test_loading_it_loads_nothing_else():
    """It is loaded by every pytest of the machine, whether or not that has to do with us."""
    code = (
        "import sys, pytest; before = set(sys.modules); import ivr_sim.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["ivr_sim", "ivr_sim.pytest_plugin"]


@pytest.mark.slow
def test_the_sample_project_is_as_green_and_as_red_as_it_says(tmp_path):
    """By two workers; the other tests here have one."""
    folder = tmp_path / "sample"
    shutil.copytree(SAMPLE, folder)
    ran = Ran(folder, "-n", "2")
    assert ran.tests == {
        "tests.test_payments::test_a_monthly_fee_is_paid": "passed",
        "tests.test_payments::test_an_enrolment_is_told_with_its_tax": "failure",
        "tests.calls.rejected.call.yaml::replay": "passed",
    }, ran.said
    assert ran.code == 1
    assert "prompt amount: expected 580.00, heard 500.00" in ran.said
    assert "prompt amount: expected 580.00, heard 500.00" in (SAMPLE / "README.md").read_text()


@pytest.mark.slow
def test_files_are_collected_where_that_is_asked_for(project):
    """A file that passes, one that differs, one that is none: each on its own, by file and line."""
    folder = project("ivr_sim_collect = true\nivr_sim_artefacts = kept\n")
    shutil.copy(HURRY, folder / "good.call.yaml")
    text = HURRY.read_text()
    (folder / "differs.call.yaml").write_text(text.replace("outcome: rejected", "outcome: approved"))
    (folder / "broken.call.yaml").write_text(text.replace("expect:", "expct:"))
    ran = Ran(folder)
    assert ran.tests == {
        "good.call.yaml::replay": "passed",
        "differs.call.yaml::replay": "failure",
        "broken.call.yaml::replay": "failure",
    }, ran.said
    line = 1 + text.splitlines().index("  outcome: rejected")
    assert f"{folder / 'differs.call.yaml'}:{line}: outcome: expected approved, heard rejected" in ran.said
    assert "broken.call.yaml:6: expct" in ran.said
    assert "Traceback" not in ran.said
    assert [path.name for path in folder.glob("kept/**/journal.jsonl")]


REPLAY = """
import sys
import pytest
from ivr_sim.pytest_plugin.commands import CallError

HURRY = {hurry}

def test_result(replay_call):
    call = replay_call(HURRY)
    assert (call.verdict, call.passed, call.outcome, call.expected) == ("pass", True, "rejected", "rejected")
    assert call.entries == {{"payment_key": ["123456"], "accept": ["2"]}}
    assert call.heard == ["welcome", "amount", "rejected"]
    assert call.prompts[0].start_s == 0 and call.prompts[0].cut == "key"
    assert call.failure is None and call.duration_s > 3
    assert repr(call) == "<CallResult rejected-in-a-hurry: pass, rejected>"
    assert not [name for name in sys.modules if name.partition(".")[0] in ("twisted", "numpy", "click")]

def test_differs(replay_call):
    call = replay_call({{
        "caller": {{"key_ms": 60, "gap_ms": 60}},
        "steps": [{{"hear": "welcome", "for": 1}}, {{"press": "{{key}}#"}}, {{"hear": "amount"}}, "hang_up"],
        "expect": {{"outcome": "approved"}},
    }})
    failure = call.failure
    assert (failure.step, failure.expected) == ("outcome", "approved")
    assert failure.heard.startswith("abandoned")
    assert call.passed

def test_no_call(replay_call):
    with pytest.raises(CallError, match="did you mean caller"):
        replay_call({{"caler": {{}}}})
"""


@pytest.mark.slow
def test_replayed_calls(project):
    ran = Ran(project(test_replay=REPLAY.format(hurry=repr(str(HURRY)))))
    bad = [name for name, became in ran.tests.items() if became != "passed"]
    assert bad == ["test_replay::test_differs"], ran.said
    # All that is known of the call is shown below the test, besides the assertion.
    assert "fail, abandoned, " in ran.said
    assert "outcome: expected approved, heard abandoned" in ran.said
    assert "\n    payment_key: 123456\n" in ran.said


PLACE = """
import json, urllib.request

def test_placed(place_call):
    call = place_call({hurry})
    assert call.passed and call.outcome == "rejected"

def test_served(ivr):
    assert ivr.url.startswith("sip:5000@127.0.0.1:") and ivr.number("echo").startswith("sip:5008@")
    assert len(ivr.accounts) >= 5 and ivr.accounts[0]["password"] not in repr(ivr)
    assert ivr.keys[0]["ivr_key"] == "100001" and ivr.keys[0]["standing"]
    assert ivr.openpay["private_key"].startswith("sk_")
    health = ivr.authorizer_url.replace("/openpay/authorizer", "/health")
    assert urllib.request.urlopen(health, timeout=20).status == 200
    assert json.loads(ivr.state_file.read_text()) == ivr.state
    with open("state", "w") as file:
        file.write(str(ivr.state_file))
"""


@pytest.mark.slow
@pytest.mark.sip
def test_placed_calls_and_what_is_up_beside_them(project):
    folder = project(test_place=PLACE.format(hurry=repr(str(HURRY))))
    ran = Ran(folder)
    assert set(ran.tests.values()) == {"passed"}, ran.said
    assert ran.code == 0
    state = Path((folder / "state").read_text())
    assert not state.parent.exists()  # the data folder goes with the session


NOT_UP = """
import pytest

@pytest.fixture(scope="session")
def authorizer_url():
    return "http://127.0.0.1:1/authorizer"

@pytest.fixture(scope="session")
def authorizer_login():
    return "openpay", None

def test_up(ivr):
    pass
"""


def test_what_cannot_be_served_says_why(project):
    ran = Ran(project(test_up=NOT_UP))
    assert ran.tests == {"test_up::test_up": "error"}
    assert "set IVR_AUTHORIZER_PASSWORD" in ran.said


CACHE = """
def test_cache(ivr_sim_commands, pytestconfig, monkeypatch):
    shared = ivr_sim_commands.environment["IVR_SIM_CACHE"]
    assert shared == str(pytestconfig.cache.mkdir("ivr_sim_prompts"))
    monkeypatch.setenv("IVR_SIM_CACHE", "elsewhere")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    environment = ivr_sim_commands.environment
    assert environment["IVR_SIM_CACHE"] == "elsewhere"
    assert "GITHUB_ACTIONS" not in environment
"""


def test_what_was_rendered_is_kept_and_no_file_collected_unasked(project):
    """Kept from run to run, and for all workers, in pytest's own cache or in IVR_SIM_CACHE."""
    folder = project(test_cache=CACHE)
    shutil.copy(HURRY, folder / "good.call.yaml")
    assert Ran(folder).tests == {"test_cache::test_cache": "passed"}
