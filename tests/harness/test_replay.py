"""Replays: the recorded calls pass, a wrong label turns them red, and what cannot run says why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.call import phrase
from ivr_sim.cli import cli
from ivr_sim.harness import Manner, Replayer, read_scenario
from ivr_sim.node import ZONE
from ivr_sim.openpay import is_test_card
from ivr_sim.prompts import LANGUAGES, Catalogue, Library
from ivr_sim.reports import Artefacts, CallVerdict

CALLS = Path(__file__).parents[2] / "fixtures" / "calls"
NAMES = sorted(p.name.removesuffix(".call.yaml") for p in CALLS.glob("*.call.yaml"))

OVER_SIP = ["barge-in", "hang-up-in-the-card", "rejected", "typing-ahead"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def replay(on_reactor, data):
    """Replays files on the running reactor."""

    def replay(path: Path, **manner) -> CallVerdict:
        async def held():
            replayer = Replayer(reactor, Manner(data=data, **manner))
            [case] = read_scenario(path)
            try:
                return (await replayer.replay(case)).verdict
            finally:
                await replayer.stop()

        return on_reactor(held)

    return replay


@pytest.fixture
def copy(tmp_path):
    """A recorded call of which something in the label is changed."""

    def copied(name: str, *changes: tuple[str, str], more: str = "") -> Path:
        text = (CALLS / f"{name}.call.yaml").read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        label = tmp_path / f"{name}.call.yaml"
        label.write_text(text + more)
        shutil.copy(CALLS / f"{name}.wav", tmp_path)
        return label

    return copied


def journal_of(folder: Path) -> list[dict]:
    """What is kept of a call's journal, but for what depends on the machine."""
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("at", "ms")} for line in lines]


def test_there_are_recorded_calls():
    assert {"approved", "rejected", "unknown-then-right-key"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_calls_pass_in_virtual_time(replay, name):
    """And it makes no difference whether keys come by the tape's clock or at their prompts."""
    verdicts = [replay(CALLS / f"{name}.call.yaml", timing=timing) for timing in ("aligned", "recorded")]
    for verdict in verdicts:
        assert (verdict.verdict, verdict.failure) == ("pass", None)
        assert verdict.outcome == verdict.expected
        assert verdict.duration_s > 20
    told = [[(prompt.name, prompt.start_s) for prompt in verdict.prompts] for verdict in verdicts]
    assert told[0] == told[1]


@pytest.mark.parametrize("name", NAMES)
def test_without_a_timeline_keys_come_at_the_questions(replay, copy, name):
    label = copy(name)
    label.write_text(label.read_text().partition("timeline:")[0])
    verdict = replay(label)
    assert (verdict.verdict, verdict.failure) == ("pass", None)


def test_keys_wait_for_prompts_that_last_longer_now(replay, monkeypatch):
    """By the tape's own clock, the keys that answered one prompt would cut another one."""
    label = CALLS / "approved.call.yaml"

    def told(verdict: CallVerdict) -> list[tuple[str, str | None]]:
        assert verdict.reason is None
        return [(prompt.name, prompt.cut) for prompt in verdict.prompts]

    before = told(replay(label))
    look_up = Library._look_up

    def longer(self, said):
        text, key, known = look_up(self, said)
        return text, key, None if known is None else np.concatenate([known, np.zeros(24000, np.int16)])

    monkeypatch.setattr(Library, "_look_up", longer)
    assert told(replay(label)) == before
    assert told(replay(label, timing="recorded")) != before


class TestTheSameStory:
    """A replay depends on the recording, the label and the code."""

    @pytest.fixture
    def journal(self, replay, tmp_path):
        def kept(path: Path, run: str) -> list[dict]:
            verdict = replay(path, artefacts=Artefacts(tmp_path / run, "all"))
            assert verdict.verdict == "pass"
            return journal_of(tmp_path / run / verdict.folder)

        return kept

    def test_each_time_and_in_any_year(self, journal, monkeypatch):
        label = CALLS / "declined-then-another-card.call.yaml"
        first = journal(label, "first")
        monkeypatch.setattr(
            "ivr_sim.harness.replay.local_now", lambda: datetime(2040, 2, 29, 23, 59, tzinfo=ZONE)
        )
        monkeypatch.setattr("ivr_sim.harness.provision.local_now", lambda: 1 / 0)
        monkeypatch.setattr("ivr_sim.harness.replay.local_today", lambda: 1 / 0)
        assert journal(label, "2040") == first
        settled = [line for line in first if line["event"] == "ChargeSettled"]
        assert [line["result"] for line in settled] == ["declined", "approved"]

    def test_another_seed_draws_other_names(self, journal, copy):
        def attempts(path: Path, run: str) -> set[str]:
            return {line["attempt"] for line in journal(path, run) if line["event"] == "ChargeSent"}

        label = CALLS / "approved.call.yaml"
        assert attempts(label, "1") != attempts(copy("approved", more="seed: 2\n"), "2")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_label_says_what_the_line_speaks(replay, data, copy, language):
    """The same tape, the same story, and each prompt as long as it is in that language."""
    verdict = replay(copy("rejected", more=f"language: {language}\n"))
    assert (verdict.verdict, verdict.failure) == ("pass", None)
    starts = {prompt.name: prompt.start_s for prompt in verdict.prompts}
    sound = Library(Catalogue(language), cache=data).sound_now(phrase("rejected"))
    pause = 0.24
    assert starts["goodbye"] - starts["rejected"] == pytest.approx(len(sound) / 8000 + pause, abs=0.03)


def test_labels_name_cards_that_there_are():
    cards = yaml.load((CALLS.parent / "cards.yaml").read_text(), Loader=yaml.BaseLoader)
    named = {read_scenario(CALLS / f"{name}.call.yaml")[0].scenario.given.card for name in NAMES} - {None}
    assert named
    assert named <= set(cards)
    assert all(is_test_card(card["number"]) for card in cards.values())


@pytest.fixture(scope="module")
def over_sip(on_reactor, data):
    """The shortest recordings at once as real calls, each to a node of its own."""

    async def place() -> dict[str, CallVerdict]:
        replayer = Replayer(reactor, Manner(data=data, sip=True))
        cases = [read_scenario(CALLS / f"{name}.call.yaml")[0] for name in OVER_SIP]
        held = await gatherResults([Deferred.fromCoroutine(replayer.replay(case)) for case in cases])
        await replayer.stop()
        return {name: replayed.verdict for name, replayed in zip(OVER_SIP, held, strict=True)}

    return on_reactor(place, seconds=115)


@pytest.mark.sip
@pytest.mark.parametrize("name", OVER_SIP)
def test_the_same_recordings_over_sip_end_the_same(over_sip, name):
    verdict = over_sip[name]
    assert (verdict.verdict, verdict.failure, verdict.reason) == ("pass", None, None)
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
def test_a_wrong_label_turns_red_and_says_what_was_heard(replay, copy, change, said):
    label = copy("approved", change)
    verdict = replay(label)
    assert verdict.verdict == "fail"
    assert said in str(verdict.failure)
    assert verdict.failure.file == str(label)
    assert (
        change[1].partition(":")[0].split(",")[0] in label.read_text().splitlines()[verdict.failure.line - 1]
    )


def test_what_is_announced_and_not_heard_is_a_failure(replay, monkeypatch):
    """The line says one amount to the journal, and another one to the caller."""
    sound = Library.sound

    async def another(self, said):
        return await sound(self, phrase("goodbye") if said.name == "ask_expiry" else said)

    monkeypatch.setattr(Library, "sound", another)
    verdict = replay(CALLS / "approved.call.yaml")
    assert verdict.verdict == "fail"
    assert verdict.failure.step == "hearing"
    assert "ask_expiry" in verdict.failure.expected
    assert "goodbye" in verdict.failure.heard


@pytest.mark.parametrize("wav", [b"", b"version https://git-lfs", b"RIFF"])
def test_a_recording_that_cannot_be_read_is_an_error(replay, copy, wav):
    label = copy("approved")
    [case] = read_scenario(label)
    case.wav.write_bytes(wav)
    # What is wrong with the file is found when it is looked for; here it is broken afterwards.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "read_scenario", lambda path: [case])
        verdict = replay(label)
    assert verdict.verdict == "error"
    assert "approved.wav" in verdict.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("order_id: ord-1", "order_id: ord 1"), "order"),
        (("description: Cargo IVR", "description: <b>Cargo</b>"), "description"),
    ],
)
def test_a_label_that_no_authorizer_would_issue_is_an_error(replay, copy, change, said):
    label = copy("approved", change)
    verdict = replay(label)
    assert verdict.verdict == "error"
    assert said in verdict.reason


def test_another_payment_key_in_the_same_recording(replay, tmp_path):
    verdict = replay(CALLS / "unknown-then-right-key.call.yaml", set_key="654321")
    assert (verdict.verdict, verdict.failure) == ("pass", None)
    assert verdict.entries["payment_key"] == ["999999", "654321"]
    verdict = replay(CALLS / "approved.call.yaml", set_key="7654321")
    assert verdict.verdict == "error"
    assert "has 6 digits" in verdict.reason


def test_scenarios_are_held_too(replay, tmp_path):
    scenario = tmp_path / "fast.call.yaml"
    scenario.write_text(
        "version: 1\ncaller: {profile: interrupts}\ngiven: {card: visa-approved}\n"
        "expect: {outcome: approved, barge_in_ms: 60, requests: {authorizer: 1, openpay: 2}}\n"
    )
    verdict = replay(scenario)
    assert (verdict.verdict, verdict.failure, verdict.reason) == ("pass", None, None)


class TestCommand:
    """The command in a process of its own: its reactor cannot be this one's."""

    @pytest.fixture
    def command(self, tmp_path, data):
        def run(*args: str, **environ: str):
            return subprocess.run(
                [sys.executable, "-m", "ivr_sim", "replay", *args, "--data", str(data)],
                capture_output=True, text=True, timeout=100, cwd=tmp_path, env={**os.environ, **environ},
            )  # fmt: skip

        return run

    def test_all_fixtures_by_workers_with_reports(self, command, tmp_path, replay):
        done = command(str(CALLS), "--workers", "2", "--repeat", "2", "--json", "v.json", "--junit", "v.xml")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{2 * len(NAMES)} passed, 0 failed, 0 errors; seed 1" in done.stdout
        report = json.loads((tmp_path / "v.json").read_text())
        assert (report["v"], report["verdict"], report["counts"]["pass"]) == (1, "pass", 2 * len(NAMES))
        calls = {call["name"]: call for call in report["calls"]}
        assert list(calls) == [f"{name}{turn}" for name in NAMES for turn in ("", "#2")]
        call, again = calls["approved"], calls["approved#2"]
        assert (call["outcome"], call["failure"]) == ("approved", None)
        assert call["entries"]["payment_key"] == ["123456"]
        assert call["prompts"] == again["prompts"]
        assert {"name", "start_s", "cut"} == set(call["prompts"][0])
        assert call["prompts"] == replay(CALLS / "approved.call.yaml").as_json()["prompts"]
        assert "4111" not in json.dumps(report)
        assert "approved#2" in (tmp_path / "v.xml").read_text()

    def test_a_failure_is_exit_1_an_error_exit_2_and_the_others_are_held(self, command, tmp_path, copy):
        copy("rejected", ("outcome: rejected", "outcome: approved"))
        done = command("rejected.wav", "--json", "v.json")
        assert done.returncode == 1
        assert "outcome: expected approved, heard rejected" in done.stdout
        failure = json.loads((tmp_path / "v.json").read_text())["calls"][0]["failure"]
        assert (failure["step"], failure["expected"]) == ("outcome", "approved")
        shutil.copy(CALLS / "silence.wav", tmp_path / "unlabelled.wav")
        done = command(".", "--json", "v2.json")
        assert done.returncode == 2
        assert json.loads((tmp_path / "v2.json").read_text())["counts"] == {"pass": 0, "fail": 1, "error": 1}
        assert "write unlabelled.call.yaml" in done.stdout
        done = command(".", "--allow-unlabelled", "--only-failed", "v2.json", "--shard", "2/2")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "unlabelled: no_input" in done.stdout  # the second of the two
        assert "1 passed, 0 failed, 0 errors" in done.stdout

    def test_labels_are_updated_once_and_stay_green(self, command, tmp_path, copy):
        label = copy("rejected", ("outcome: rejected", "outcome: approved"), ("expect:", "expect: # here"))
        old = copy("silence", ("bad_key, ask_key, bad_key", "bad_choice"))
        for path in (label, old):
            path.write_text(path.read_text().partition("timeline:")[0])
        refused = command(".", "--update")
        assert refused.returncode == 1
        assert "rejected.call.yaml:7: not updated: the outcome was approved and is rejected" in refused.stderr
        assert "timeline" not in label.read_text()
        assert "+  - [0.00, welcome" in refused.stdout
        assert old.read_text() == (CALLS / old.name).read_text().replace(
            "[welcome, ask_key, bad_key, ask_key, bad_key, ask_key, too_many_tries, goodbye]",
            "[welcome, ask_key, bad_key, ask_key, bad_key, ask_key, too_many_tries, goodbye]",
        )
        taken = command("rejected.wav", "--update", "--accept-outcomes")
        assert taken.returncode == 0, taken.stdout
        expected = (CALLS / "rejected.call.yaml").read_text().replace("expect:", "expect: # here")
        assert label.read_text() == expected

    def test_a_command_before_each_call(self, command, tmp_path):
        told = '{"ivr_key": "123456", "amount": "200.00", "order_id": "ord-1"}\n'
        shutil.copy(CALLS / "silence.wav", tmp_path)
        shutil.copy(CALLS / "silence.call.yaml", tmp_path)
        done = command("silence.wav", "--before-call", "cat > told; echo $IVR_KEY $ORDER_ID >> told")
        assert done.returncode == 0, done.stdout
        assert (tmp_path / "told").read_text() == told + "123456 ord-1\n"
        done = command("silence.wav", "--before-call", "echo no keys left; exit 3")
        assert done.returncode == 2
        assert "the command before the call failed (exit code 3): no keys left" in done.stdout

    def test_nothing_to_run_is_exit_2(self, command, tmp_path):
        (tmp_path / "empty").mkdir()
        done = command("empty")
        assert done.returncode == 2
        assert "no calls in this folder" in done.stdout
        (tmp_path / "v.json").write_text('{"calls": []}')
        done = command(str(CALLS), "--only-failed", "v.json")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no call failed in that report" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shard", "4/3"], "write 1/3 for the first of three"),
        (["--set", "key=0123"], "of which the first is not 0"),
        (["--accept-outcomes"], "belongs to --update"),
        (["--update", "--repeat", "2"], "goes neither"),
        (["--authorizer", "http://127.0.0.1:1/"], "needs --user"),
        (["--openpay", "http://127.0.0.1:1/"], "needs a URL such as"),
    ],
)
def test_options_that_make_no_sense(tmp_path, options, said):
    result = CliRunner().invoke(cli, ["replay", str(CALLS), "--data", str(tmp_path), *options])
    assert result.exit_code == 2
    assert said in result.output


def test_help_names_what_there_is():
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert "demo" in result.output
    assert "replay" in result.output
