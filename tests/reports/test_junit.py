"""JUnit XML: what GitLab and GitHub read of it, and any text in it."""

from collections import Counter
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.reports import CallVerdict, Failure, PromptHeard, Run, write_junit

STARTED = datetime(2026, 11, 23, 12, tzinfo=UTC)
FAILED = CallVerdict(
    "wrong-amount", "fail", "approved", "approved", {"payment_key": ["123456"]},
    (PromptHeard("welcome", 0.0, None), PromptHeard("ask_key", 1.5, "key")), 40.0, 0.25,
    Failure("prompt amount", "200.00", "2000.00", 12.5, "fixtures/calls/wrong.amount.call.yaml", 9),
    file="fixtures/calls/wrong.amount.call.yaml", line=1, seed=7,
)  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(*calls, artefacts=None):
        write_junit(Run("replay", STARTED, 3, calls), tmp_path / "junit.xml", artefacts)
        return ElementTree.parse(tmp_path / "junit.xml").getroot()

    return write


def test_counts_and_times(written):
    calls = [FAILED, CallVerdict("b", "pass", wall_s=0.5), CallVerdict("c", "error", reason="no WAV")]

    root = written(*calls)

    [suite] = root
    for element in (root, suite):
        assert {k: element.get(k) for k in ("tests", "failures", "errors", "skipped", "time")} == {
            "tests": "3", "failures": "1", "errors": "1", "skipped": "0", "time": "0.750",
        }  # fmt: skip
    assert suite.get("timestamp") == "2026-11-23T12:00:00+00:00"
    assert suite.find("properties/property[@name='seed']").get("value") == "3"
    assert [case.find("failure") is not None for case in suite.iter("testcase")] == [True, False, False]
    assert [case.find("error") is not None for case in suite.iter("testcase")] == [False, False, True]
    assert suite.find("testcase/error").get("message") == "no WAV"


def test_a_failure_says_where_and_what(written):
    [case] = written(FAILED).iter("testcase")

    assert case.attrib == {
        "classname": "replay.fixtures.calls", "name": "wrong-amount", "time": "0.250",
        "file": "fixtures/calls/wrong.amount.call.yaml", "line": "1",
    }  # fmt: skip
    failure = case.find("failure")
    assert failure.get("type") == "prompt amount"
    assert failure.get("message") == "prompt amount: expected 200.00, heard 2000.00 (at 12.50 s)"
    assert "fixtures/calls/wrong.amount.call.yaml:9" in failure.text
    story = case.find("system-out").text
    assert "entry payment_key: 123456" in story
    assert "    1.50 s  ask_key (cut by key)" in story
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert properties == {
        "outcome": "approved", "expected": "approved", "call_seconds": "40.000", "seed": "7",
        "entry.payment_key": "123456",
    }  # fmt: skip


def test_attachments_are_below_the_project_folder(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "kept" / "a"
    kept.mkdir(parents=True)
    (kept / "recording.flac").touch()
    (kept / "http.txt").touch()
    call = CallVerdict("a", "fail", failure=Failure("outcome", "x", "y", None), folder="a")

    [case] = written(call, artefacts=tmp_path / "kept").iter("testcase")

    attached = [line for line in case.find("system-out").text.splitlines() if line.startswith("[[")]
    assert attached == ["[[ATTACHMENT|kept/a/recording.flac]]", "[[ATTACHMENT|kept/a/http.txt]]"]


def test_names_are_unique_though_they_are_masked(written):
    names = ["t[4111111111111111]", "t[5555555555554444]", "t[a]"]

    root = written(*(CallVerdict(name, "pass", file="x/t.call.yaml") for name in names))

    counted = Counter((case.get("classname"), case.get("name")) for case in root.iter("testcase"))
    assert set(counted.values()) == {1}
    assert len(counted) == 3
    assert not any("1111" in name or "4444" in name for _, name in counted)


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40))
def test_any_text_is_valid_xml(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.xml"
    call = CallVerdict(
        f"n{text}", "fail", text, text, {"f": [text]}, (PromptHeard(text, 0, text),),
        failure=Failure(text, text, text, None, text, 1), file=text,
    )  # fmt: skip

    write_junit(Run(text, STARTED, 1, [call, CallVerdict("e", "error", reason=text)]), path)

    assert len(list(ElementTree.parse(path).getroot().iter("testcase"))) == 2
