"""Calls of every ending and every way of keying leave no digit of a card behind.

What is searched, and nothing is exempt: the journal, the printed transcript, all logs at DEBUG without the
redactor, the databases while they are in use and afterwards, recordings by byte and by ear, rendered
prompts, the folder for temporary files; and of a command, in a process of its own, what it prints and leaves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.journal import CallEnded, EntryAccepted, EntryRefused, KeyPressed, RecordingWritten
from ivr_sim.media import beat, engine

pytestmark = pytest.mark.sip

# What `ivr-sim demo` keys, whose first test card is not among the telling ones.
DEMO = ("4111111111111111",)


@pytest.fixture(scope="module")
def command(tmp_path_factory, scenes) -> Iterator[SimpleNamespace]:
    """A demo under way in a process of its own."""
    folder = tmp_path_factory.mktemp("command")
    (folder / "tmp").mkdir()
    scenes.short_prompts(folder / "data")
    arguments = ["--log-level", "DEBUG", "demo", "--out", str(folder / "out"), "--data", str(folder / "data")]
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "ivr_sim", *arguments],
            env={**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"},
            stdout=stdout,
            stderr=stderr,
        )
    yield SimpleNamespace(folder=folder, process=process)
    process.kill()
    process.wait(10)


@pytest.fixture(scope="module")
def scene(command, on_reactor, tmp_path_factory, scenes) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("calls")
    temporary = folder / "tmp"
    temporary.mkdir()
    houses = [
        scenes.House(folder / name, {u: p for u, p in scenes.PLANS.items() if p.limits == name}, limits)
        for name, limits in (("usual", scenes.LIMITS), ("by length", replace(scenes.LIMITS, key_length=6)))
    ]

    async def play() -> None:
        await gatherResults([Deferred.fromCoroutine(h.play()) for h in houses], consumeErrors=True)

    with pytest.MonkeyPatch.context() as patch, scenes.under_test(), scenes.everything_logged(folder / "log"):
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", None)
        # Callers share a process with the lines, and its standstills: all calls are taken, all sound is sent.
        patch.setattr(beat, "OVERLOADED", 100.0)
        patch.setattr(engine, "MAX_BURST", beat.CATCH_UP + 1)
        on_reactor(play, seconds=100)
    users = {user: house for house in houses for user in house.plans}
    return SimpleNamespace(folder=folder, of=lambda user: users[user].of(user))


def ended(records) -> CallEnded:
    [event] = [r.event for r in records if isinstance(r.event, CallEnded)]
    return event


def test_the_calls_went_as_planned(scene, scenes):
    """Or else it would be no wonder that nothing is found."""
    planned = {user: plan.outcome for user, plan in scenes.PLANS.items() if plan.outcome != "any"}
    assert {user: ended(scene.of(user)).outcome for user in planned} == planned
    for user, plan in scenes.PLANS.items():
        ways = {r.event.method for r in scene.of(user) if isinstance(r.event, KeyPressed)}
        assert plan.by in ways, user
        assert plan.tones_too or len(ways) == 1, user


def test_every_ending_is_among_them(scenes):
    from ivr_sim.dialogue import Outcome

    assert {(p.outcome, p.by) for p in scenes.PLANS.values()} >= {
        (o, w) for o in Outcome for w in scenes.WAYS
    }


def test_what_was_keyed_wrong_was_noticed(scene):
    def refused(user):
        return [(r.event.field, r.event.reason) for r in scene.of(user) if isinstance(r.event, EntryRefused)]

    assert refused("mistyped") == [("card_number", "luhn")]
    assert refused("unlisted") == [("card_number", "not_test_card")] * 2
    assert refused("code-for-expiry") == [("expiry", "expiry_length")]
    assert refused("slowly") == [("payment_key", "too_short")] * 3
    assert [f for f, _ in refused("ahead-at-amount")] == ["accept"] * 3


def test_nothing_is_found(scene, search):
    found = search(scene.folder)
    searched = [path.name for path in scene.folder.rglob("*") if path.is_file()]
    for name in ("journal.jsonl", "transcript.txt", "log", "ledger.sqlite3", "ledger.sqlite3-wal",
                 "openpay.sqlite3", "openpay.sqlite3-wal", "authorizer.sqlite3", "recording.wav",
                 "http.txt", "ladder.txt", "summary.md",
    ):  # fmt: skip
        assert name in searched
    assert found == []


def test_payment_keys_cannot_be_taken_for_cards(scene, scenes, secrets):
    """The suite's own guard: what may be found by design looks like no card."""
    values = [r.event.value for u in scenes.PLANS for r in scene.of(u) if isinstance(r.event, EntryAccepted)]
    shown = [value for value in values if value is not None]
    assert len(shown) > 50
    assert not [part for part in secrets.parts for value in shown if part in value]


def test_no_key_can_be_heard_that_was_not_published(scene, scenes, ear):
    for user, plan in scenes.PLANS.items():
        records = scene.of(user)
        [written] = [r.event.path for r in records if isinstance(r.event, RecordingWritten)]
        sound = ear.read(Path(written))
        accepted = [r.event.value for r in records if isinstance(r.event, EntryAccepted)]
        published = "".join(value for value in accepted if value is not None)
        heard = "".join(tone.digit for tone in ear.tones(sound[:, 0])).replace("#", "")
        if plan.by == "inband":
            assert heard == published, user
        else:
            rest = iter(published)
            assert all(key in rest for key in heard), user
        keyed = sum(isinstance(r.event, KeyPressed) for r in records)
        if keyed > len(published) + 1:  # "#" behind the payment key
            assert ear.neutral(sound[:, 0]).sum() > 800, user
        assert abs(len(sound) / 8000 - ended_at(records)) < 0.3, user


def ended_at(records) -> float:
    return next(r.t for r in records if isinstance(r.event, CallEnded))


def test_nothing_temporary_is_left(scene):
    assert list((scene.folder / "tmp").iterdir()) == []


def test_a_command_prints_and_leaves_nothing(command, searcher):
    """`ivr-sim demo` at DEBUG: the whole process, beside the calls of the scene."""
    assert command.process.wait(100) == 0, (command.folder / "stderr").read_text()[-2000:]
    assert "16 keys" in (command.folder / "stdout").read_text()
    assert list(command.folder.rglob("call-0001.wav"))
    assert searcher.unique(searcher.Searcher(searcher.Secrets(DEMO)).folder(command.folder)) == []
    assert list((command.folder / "tmp").iterdir()) == []
