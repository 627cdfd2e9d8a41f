"""What is kept of a call: masked, for its owner only, capped; what cannot be kept costs nothing else."""

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

import dtmf
from ivr_sim.reports import Artefacts, CallVerdict, Run, keep_call
from ivr_sim.reports.artefacts import _folder_name

FAILED = CallVerdict("a", "fail")


def keep(folder, evidence):
    keep_call(
        folder, evidence.records, evidence.caller, evidence.ivr, evidence.exchanges, evidence.sip,
        evidence.masks, zero=evidence.zero,
    )  # fmt: skip


def test_all_files_are_written_for_their_owner_only(tmp_path, evidence):
    folder = tmp_path / "runs" / "a"

    keep(folder, evidence)

    assert {path.name for path in folder.iterdir()} == {
        "journal.jsonl", "recording.flac", "ladder.txt", "http.txt",
    }  # fmt: skip
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    lines = (folder / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record.as_json() for record in evidence.records]
    ladder = (folder / "ladder.txt").read_text()
    assert "   -0.050  |--INVITE" in ladder
    assert "    0.000  |<--200 OK (INVITE)" in ladder
    http = (folder / "http.txt").read_text()
    assert "--- 1: 3.100 s: authorizer, HTTP 200 in 1900 ms ---" in http
    assert f'{{"ivr_key": "{evidence.key}"}}' in http  # published in the journal


def test_the_recording_is_stereo_and_masked(tmp_path, evidence):
    before = evidence.caller.copy()

    keep(tmp_path, evidence)

    sound, rate = soundfile.read(tmp_path / "recording.flac", dtype="int16")
    assert (rate, sound.shape) == (8000, (len(evidence.caller), 2))
    np.testing.assert_array_equal(sound[:, 1], evidence.ivr)
    heard = dtmf.decode(np.ascontiguousarray(sound[:, 0]), rate)
    assert "".join(tone.digit for tone in heard) == evidence.key + "#"
    np.testing.assert_array_equal(evidence.caller, before)  # which somebody else may still need


def test_sides_of_different_length_and_sides_that_nobody_heard(tmp_path, evidence):
    evidence.caller = None
    evidence.ivr = evidence.ivr[:1001]

    keep(tmp_path, evidence)

    sound, _ = soundfile.read(tmp_path / "recording.flac", dtype="int16")
    assert sound.shape == (1001, 2)
    assert not sound[:, 0].any()


@pytest.mark.parametrize("name", ["recording.flac", "journal.jsonl", "ladder.txt", "http.txt"])
def test_one_file_that_cannot_be_written_does_not_cost_the_others(tmp_path, evidence, name):
    folder = tmp_path / "a"
    (folder / name / "in the way").mkdir(parents=True)
    artefacts = Artefacts(tmp_path)

    with capture_logs() as logs:
        kept = artefacts.keep(
            FAILED, evidence.records, evidence.caller, evidence.ivr, evidence.exchanges, evidence.sip,
            evidence.masks,
        )  # fmt: skip

    assert kept.folder == "a"
    files = {path.name for path in folder.iterdir() if path.is_file()}
    assert files == {
        "journal.jsonl", "recording.flac", "ladder.txt", "http.txt", "verdict.json",
    } - {name}  # fmt: skip
    assert [log["event"] for log in logs] == ["a call could not be kept whole"]


def test_a_folder_that_cannot_be_made_costs_no_verdict(tmp_path, evidence):
    (tmp_path / "root").write_text("a file")
    artefacts = Artefacts(tmp_path / "root")

    with capture_logs() as logs:
        kept = artefacts.keep(FAILED, evidence.records)

    assert kept == FAILED
    assert len(logs) == 1
    assert "could not be written" in artefacts.left_out(run(kept))


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("failed", {"fail", "error"}), ("all", {"pass", "fail", "error"}), ("none", set())],
)
def test_policy(tmp_path, policy, kept):
    artefacts = Artefacts(tmp_path / "root", policy)

    calls = [artefacts.keep(CallVerdict(v, v), []) for v in ("pass", "fail", "error")]

    assert {call.verdict for call in calls if call.folder} == kept
    assert (tmp_path / "root").exists() == bool(kept)
    assert artefacts.left_out(run(*calls)) is None
    for verdict in kept:
        assert json.loads((tmp_path / "root" / verdict / "verdict.json").read_text())["folder"] == verdict


def test_a_cap_on_the_number_over_all_processes(tmp_path):
    before = tmp_path / "of an earlier run"
    before.mkdir()
    artefacts = Artefacts(tmp_path, max_calls=5)
    workers = [pickle.loads(pickle.dumps(artefacts)) for _ in range(2)]

    calls = [workers[n % 2].keep(CallVerdict(f"call-{n}", "fail"), []) for n in range(8)]

    assert [call.folder for call in calls] == [f"call-{n}" for n in range(5)] + [None] * 3
    assert len(list(tmp_path.iterdir())) == 6
    assert artefacts.left_out(run(*calls)).startswith("3 calls left no artefacts: no more than 5 calls or ")


def test_a_cap_on_bytes(tmp_path, evidence):
    artefacts = Artefacts(tmp_path, max_bytes=100_000)

    calls = [
        artefacts.keep(CallVerdict(f"call-{n}", "fail"), evidence.records, evidence.caller, evidence.ivr)
        for n in range(8)
    ]

    kept = [call for call in calls if call.folder]
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 100_000 <= size <= 100_000 + size / len(kept)
    assert 1 < len(kept) < 8


def test_what_could_not_be_run_has_nothing_to_keep(tmp_path):
    assert Artefacts(tmp_path).left_out(run(CallVerdict("a", "error", reason="no WAV"))) is None


@settings(deadline=None)
@given(st.text(max_size=120))
def test_a_name_is_one_folder_below_the_root(name):
    folder = Path("/root") / _folder_name(name)

    assert folder.parent == Path("/root")
    assert folder.name not in ("", ".", "..")
    assert len(folder.name.encode()) < 450
    assert "\0" not in folder.name


def test_different_names_have_different_folders():
    names = ["a", "a/b", "a b", "a_b", "a:b", "../a", ".", "", "4111 1111 1111 1111", "x" * 100, "x" * 101]

    assert len({_folder_name(name) for name in names}) == len(names)
    assert not any("1111" in _folder_name(name) for name in names)


def run(*calls):
    return Run("replay", datetime(2026, 11, 23, tzinfo=UTC), 1, calls)
