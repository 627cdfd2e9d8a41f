"""Replays: the recorded calls pass, a wrong label turns them red, and what cannot run says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.call import phrase
from ivr_sim.cli import cli
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness import Replayer, find_labels, read_scenario
from ivr_sim.openpay import is_test_card
from ivr_sim.prompts import LANGUAGES, Catalogue, Library
from ivr_sim.reports.verdict import CallVerdict

CALLS = Path(__file__).parents[2] / "fixtures" / "calls"
NAMES = sorted(p.name.removesuffix(".call.yaml") for p in CALLS.glob("*.call.yaml"))


@pytest.fixture(scope="module")
def replayed(on_reactor, tmp_path_factory):
    """Replays labels on the running reactor, with one replayer for all."""
    data = tmp_path_factory.mktemp("data")
    replayer = Replayer(reactor, data=data)

    def replay(path: Path) -> CallVerdict:
        return on_reactor(replayer.replay, path)

    yield replay
    on_reactor(replayer.stop)


def test_there_are_recorded_calls():
    assert {"approved", "rejected", "unknown-then-right-key"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_calls_pass_in_virtual_time(replayed, name):
    verdict = replayed(CALLS / f"{name}.call.yaml")
    assert (verdict.verdict, verdict.failure) == ("pass", None)
    assert verdict.outcome == verdict.expected
    assert verdict.duration_s > 20


def test_the_same_recording_tells_the_same_story_each_time(replayed):
    first, second = (replayed(CALLS / "approved.call.yaml") for _ in range(2))
    assert first.prompts == second.prompts
    assert (first.entries, first.duration_s) == (second.entries, second.duration_s)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_label_says_what_the_line_speaks(replayed, tmp_path, language):
    """The same tape, the same story, and each prompt as long as it is in that language."""
    text = (CALLS / "rejected.call.yaml").read_text()
    (tmp_path / "rejected.call.yaml").write_text(f"{text}language: {language}\n")
    shutil.copy(CALLS / "rejected.wav", tmp_path)
    verdict = replayed(tmp_path / "rejected.call.yaml")
    assert (verdict.verdict, verdict.failure) == ("pass", None)
    starts = {prompt.name: prompt.start_s for prompt in verdict.prompts}
    sound = Library(Catalogue(language), cache=tmp_path).sound_now(phrase("rejected"))
    pause = 0.24
    assert starts["goodbye"] - starts["rejected"] == pytest.approx(len(sound) / 8000 + pause, abs=0.03)


def test_labels_name_cards_that_there_are():
    cards = yaml.load((CALLS.parent / "cards.yaml").read_text(), Loader=yaml.BaseLoader)
    named = {read_scenario(CALLS / f"{name}.call.yaml")[0].scenario.given.card for name in NAMES} - {None}
    assert named
    assert named <= set(cards)
    assert all(is_test_card(card["number"]) for card in cards.values())


@pytest.fixture(scope="module")
def over_sip(on_reactor, tmp_path_factory):
    """All recordings at once as real calls, each to a node of its own."""
    data = tmp_path_factory.mktemp("sip")

    async def place() -> dict[str, CallVerdict]:
        replayer = Replayer(reactor, data=data, sip=True)
        labels = [replayer.replay(CALLS / f"{name}.call.yaml") for name in NAMES]
        verdicts = await gatherResults([Deferred.fromCoroutine(label) for label in labels])
        await replayer.stop()
        return dict(zip(NAMES, verdicts, strict=True))

    return on_reactor(place, seconds=115)


@pytest.mark.sip
@pytest.mark.parametrize("name", NAMES)
def test_the_same_recordings_over_sip_end_the_same(over_sip, name):
    verdict = over_sip[name]
    assert (verdict.verdict, verdict.failure) == ("pass", None)
    assert verdict.outcome == verdict.expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('payment_key: "123456"', 'payment_key: "123457"'),
         "entry payment_key: expected 123457, heard 123456"),
        (('key: "123456", amount', 'key: "123466", amount'),
         "entry payment_key: expected 123466, heard 123456"),
        (("outcome: approved", "outcome: declined"), "outcome: expected declined, heard approved"),
        (("ask_key, amount", "ask_key, bad_key, amount"), "prompt bad_key: expected bad_key after ask_key"),
    ],
)  # fmt: skip
def test_a_wrong_label_turns_red_and_says_what_was_heard(replayed, tmp_path, change, said):
    text = (CALLS / "approved.call.yaml").read_text()
    assert change[0] in text
    label = tmp_path / "approved.call.yaml"
    label.write_text(text.replace(*change))
    shutil.copy(CALLS / "approved.wav", tmp_path)
    verdict = replayed(label)
    assert verdict.verdict == "fail"
    assert said in str(verdict.failure)


@pytest.mark.parametrize(
    ("wav", "said"),
    [(b"", "approved.wav"), (b"version https://git-lfs", "approved.wav"), (None, "approved.wav")],
)
def test_a_recording_that_cannot_be_read_is_an_error(replayed, tmp_path, wav, said):
    shutil.copy(CALLS / "approved.call.yaml", tmp_path)
    if wav is not None:
        (tmp_path / "approved.wav").write_bytes(wav)
    verdict = replayed(tmp_path / "approved.call.yaml")
    assert verdict.verdict == "error"
    assert said in verdict.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("order_id: ord-1", "order_id: ord 1"), "order"),
        (("description: Cargo IVR", "description: <b>Cargo</b>"), "description"),
    ],
)
def test_a_label_that_no_authorizer_would_issue_is_an_error(replayed, tmp_path, change, said):
    text = (CALLS / "approved.call.yaml").read_text()
    (tmp_path / "approved.call.yaml").write_text(text.replace(*change))
    shutil.copy(CALLS / "approved.wav", tmp_path)
    verdict = replayed(tmp_path / "approved.call.yaml")
    assert verdict.verdict == "error"
    assert said in verdict.reason


def test_what_a_folder_stands_for(tmp_path):
    assert [p.name for p in find_labels([CALLS])] == [f"{n}.call.yaml" for n in NAMES]
    assert find_labels([CALLS / "approved.wav", CALLS / "approved.call.yaml"]) == [
        CALLS / "approved.call.yaml"
    ]
    with pytest.raises(ConfigurationError, match="no recorded calls"):
        find_labels([tmp_path])
    with pytest.raises(ConfigurationError, match="does not exist"):
        find_labels([tmp_path / "none"])
    (tmp_path / "x.wav").write_bytes(b"")
    for path in (tmp_path, tmp_path / "x.wav"):
        with pytest.raises(ConfigurationError, match=r"x\.wav: no label beside it; write x\.call\.yaml"):
            find_labels([path])


class TestCommand:
    """The command in a process of its own: its reactor cannot be this one's."""

    @pytest.fixture
    def command(self, tmp_path):
        import subprocess
        import sys

        def run(*args: str):
            return subprocess.run(
                [sys.executable, "-m", "ivr_sim", "replay", *args, "--data", str(tmp_path / "data")],
                capture_output=True, text=True, timeout=100, cwd=tmp_path,
            )  # fmt: skip

        return run

    def test_all_fixtures_with_a_report(self, command, tmp_path):
        done = command(str(CALLS), "--json", "verdicts.json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{len(NAMES)} passed, 0 failed, 0 errors" in done.stdout
        report = json.loads((tmp_path / "verdicts.json").read_text())
        assert (report["v"], report["verdict"], report["counts"]["pass"]) == (1, "pass", len(NAMES))
        call = report["calls"][0]
        assert (call["name"], call["outcome"], call["failure"]) == ("approved", "approved", None)
        assert call["entries"]["payment_key"] == ["123456"]
        assert {"name", "start_s", "cut"} == set(call["prompts"][0])
        assert "4111" not in json.dumps(report)

    def test_a_failure_is_exit_1_and_an_error_exit_2(self, command, tmp_path):
        text = (CALLS / "rejected.call.yaml").read_text()
        (tmp_path / "rejected.call.yaml").write_text(text.replace("outcome: rejected", "outcome: approved"))
        shutil.copy(CALLS / "rejected.wav", tmp_path)
        done = command("rejected.wav", "--json", "v.json")
        assert done.returncode == 1
        assert "outcome: expected approved, heard rejected" in done.stdout
        failure = json.loads((tmp_path / "v.json").read_text())["calls"][0]["failure"]
        assert (failure["step"], failure["expected"]) == ("outcome", "approved")
        (tmp_path / "rejected.wav").unlink()
        assert command("rejected.call.yaml").returncode == 2

    def test_nothing_to_run_is_exit_2(self, command, tmp_path):
        (tmp_path / "empty").mkdir()
        done = command("empty")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no recorded calls" in done.stderr


def test_help_names_what_there_is():
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert "demo" in result.output
    assert "replay" in result.output
