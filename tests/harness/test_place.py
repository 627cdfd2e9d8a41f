"""Scenarios as real calls on loopback: by every way of keying, and under faults of the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.harness.place import Placer
from ivr_sim.harness.reading import find_cases
from ivr_sim.reports import Artefacts, CallVerdict

SCENARIOS = Path(__file__).parents[2] / "fixtures" / "scenarios"
HURRY = SCENARIOS / "rejected-in-a-hurry.call.yaml"
WAYS = ("inband", "rfc4733", "info")
pytestmark = pytest.mark.sip


@pytest.fixture
def place(on_reactor, tmp_path, tmp_path_factory):
    """Places a scenario, by each of these ways at the same time; all are kept."""
    data = tmp_path_factory.getbasetemp() / "placed"
    data.mkdir(exist_ok=True)

    def place(path: Path, *ways: str | None) -> list[CallVerdict]:
        (case,) = find_cases([path])

        def all_at_once() -> Deferred[list[CallVerdict]]:
            return gatherResults(
                Deferred.fromCoroutine(
                    Placer(
                        reactor, data=data, artefacts=Artefacts(tmp_path / f"kept-{way}", "all"), by=way
                    ).place(case)
                )
                for way in ways or (None,)
            )

        return on_reactor(all_at_once, seconds=60)

    return place


def written(folder: Path, text: str) -> Path:
    path = folder / "own.call.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_one_scenario_passes_by_each_of_the_three_ways_of_keying(place, tmp_path):
    verdicts = place(HURRY, *WAYS)
    for verdict, way in zip(verdicts, WAYS, strict=True):
        assert (verdict.verdict, verdict.failure, verdict.reason) == ("pass", None, None)
        assert (verdict.outcome, verdict.entries["payment_key"]) == ("rejected", ["123456"])
        kept = tmp_path / f"kept-{way}" / verdict.folder
        records = [json.loads(line) for line in (kept / "journal.jsonl").read_text().splitlines()]
        assert {r["method"] for r in records if r["event"] == "KeyPressed"} == {way}
        ladder = (kept / "ladder.txt").read_text()
        assert ("INFO sip:" in ladder) == (way == "info")
        assert ("INVITE" in ladder, "REGISTER" in ladder) == (True, False)
        assert "POST" in (kept / "http.txt").read_text()
        assert "123456" not in ladder
        assert (kept / "recording.flac").stat().st_size > 5000


def test_what_is_not_said_fails_at_its_step_and_line(place, tmp_path):
    path = written(
        tmp_path,
        """version: 1
expect: {outcome: approved}
steps:
  - hear: ask_key
    within: 0.5
""",
    )
    (verdict,) = place(path)
    failure = verdict.failure
    assert (verdict.verdict, failure.step, failure.line) == ("fail", "step 1, hear ask_key", 4)
    assert (failure.expected, failure.heard) == ("ask_key, within 0.5 s", "welcome")
    assert failure.file == str(path)


def test_a_bad_network_is_the_telephones(place, tmp_path):
    text = HURRY.read_text(encoding="utf-8")
    path = written(tmp_path, text + "faults: {sip_lost_ack: 1, rtp_loss: 0.02, rtp_reorder: 0.05}\nseed: 7\n")
    # Events, as a machine that stands still for half a second costs tones, whatever the network does.
    (verdict,) = place(path, "rfc4733")
    assert (verdict.verdict, verdict.failure, verdict.reason, verdict.seed) == ("pass", None, None, 7)
    ladder = (tmp_path / "kept-rfc4733" / verdict.folder / "ladder.txt").read_text()
    assert ladder.count("200 OK (INVITE)") > 2  # told again, since no ACK came
