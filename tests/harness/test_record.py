"""Recordings of softphone calls: the pair that is kept replays to the same story; real cards leave none."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

import dtmf
from authorizer import StoreUnavailable
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness import Caller, Script, read_scenario
from ivr_sim.harness.record import CallRecorder, Recorded, check_free
from ivr_sim.harness.taping import (
    CallTape,
    NotReplayable,
    TapedKey,
    cards_keyed,
    keys_of_no_card,
    with_tones,
)
from ivr_sim.journal import (
    AuthorizerReplied,
    CallEnded,
    CallFailed,
    CallOffered,
    ChargeSent,
    EntryAccepted,
    EntryRefused,
    Event,
    Journal,
    PromptEnded,
    PromptStarted,
    Record,
)
from ivr_sim.media import MediaEngine
from ivr_sim.merchant import Merchant
from ivr_sim.node import Node, local_now, local_today

VISA, AMEX = "4111111111111111", "345678000000007"
NOT_LISTED = "4012888888881881"  # passes Luhn
TODAY = date(2026, 11, 23)


def pressed(
    digits: str,
    *,
    method: Any = "rfc4733",
    start: float = 0.5,
    every: float = 0.2,
    long: float = 0.1,
    secret: bool = True,
) -> list[TapedKey]:
    return [
        TapedKey(digit, method, start + i * every, start + i * every + long, secret)
        for i, digit in enumerate(digits)
    ]


def heard(sound: np.ndarray) -> str:
    return "".join(tone.digit for tone in dtmf.decode(sound, 8000))


def tones(digits: str, keys: list[TapedKey], length: int = 40000) -> np.ndarray:
    sound = np.zeros(length, np.int16)
    for digit, key in zip(digits, keys, strict=True):
        assert key.end is not None
        tone = dtmf.generate(digit, tone_ms=1000 * (key.end - key.start))
        first = round(key.start * 8000)
        sound[first : first + len(tone)] = np.round(tone * 32767)
    return sound


class TestTones:
    """Each key as a tone where it was pressed, and no others."""

    def test_keys_that_made_no_sound_get_one(self):
        keys = pressed("1234567890*#")
        quiet = np.random.default_rng(1).normal(0, 60, 40000).astype(np.int16)
        found = dtmf.decode(with_tones(quiet, keys), 8000)
        assert [t.digit for t in found] == list("1234567890*#")
        assert [t.start_s for t in found] == pytest.approx([k.start for k in keys], abs=0.01)
        assert [t.end_s for t in found] == pytest.approx([k.end for k in keys], abs=0.01)

    def test_tones_that_came_stay_as_they_are(self):
        keys = pressed("80#", method="inband")
        sound = tones("80#", keys)
        assert (with_tones(sound, keys) == sound).all()

    def test_what_was_no_key_goes(self):
        """A telephone that sends telephone-events may send tones beside them: whose, nobody has checked."""
        keys = pressed("80#", method="inband")
        sound = tones("80#", keys) + tones("5", pressed("5", start=3.0))
        assert heard(sound) == "80#5"
        assert heard(with_tones(sound, keys)) == "80#"
        assert heard(with_tones(sound, [])) == ""

    def test_a_tone_that_was_damaged_is_put_back(self):
        keys = pressed("80#", method="inband")
        sound = tones("80#", keys)
        sound[round(0.7 * 8000) :][:1600] = 0
        assert heard(sound) == "8#"
        assert heard(with_tones(sound, keys)) == "80#"

    @pytest.mark.parametrize("every", [0.0, 0.03, 0.1])
    def test_keys_that_follow_each_other_too_closely_are_set_apart(self, every):
        keys = pressed("1111222", every=every, long=every)
        assert heard(with_tones(np.zeros(16000, np.int16), keys)) == "1111222"

    def test_a_key_at_the_very_end(self):
        keys = pressed("12", start=0.95)
        keys[-1].end = None
        assert heard(with_tones(np.zeros(8000, np.int16), keys)) == "12"

    def test_a_key_that_no_line_hears(self):
        with pytest.raises(NotReplayable, match="2 keys, 1 can be heard"):
            with_tones(np.zeros(16000, np.int16), pressed("1A"))


class TestCards:
    """Which digits are a listed test card's, and which may be anybody's."""

    @pytest.mark.parametrize(
        ("keyed", "others"),
        [
            (f"{VISA}1230123", 7),
            (f"{VISA}#1230#123#", 7),
            (f"{AMEX}12301234", 8),
            (VISA[:9], 0),
            (f"{VISA[:9]}*{VISA}", 0),
            (f"{VISA[:9]}{VISA}", 0),
            (f"{VISA[:-1]}2", 16),
            (NOT_LISTED, 16),
            (f"{NOT_LISTED[:8]}*{NOT_LISTED[8:]}#", 16),
            (f"{NOT_LISTED}{VISA}", 16),
            ("", 0),
        ],
    )
    def test_what_is_left_of_secret_keys(self, keyed, others):
        assert keys_of_no_card(pressed(keyed)) == others

    def test_what_is_not_secret_does_not_count(self):
        keys = pressed("123456", secret=False) + pressed(f"{VISA}1230123")
        assert keys_of_no_card(keys) == 7
        assert keys_of_no_card(pressed("12") + pressed("3", secret=False) + pressed("45")) == 4

    def test_which_cards_were_keyed(self):
        assert cards_keyed(pressed(f"{AMEX}#1230#1234#{VISA}1230123")) == ["amex-approved", "visa-approved"]
        assert cards_keyed(pressed(VISA, secret=False)) == []


class Line:
    """A journal, and a recorder that reads it: calls told by hand."""

    def __init__(self, out: Path, **more: Any) -> None:
        self.told: list[Recorded] = []
        self.journal = Journal(lambda: datetime(2026, 11, 23, tzinfo=UTC))
        self.found: Any = None
        self.recorder = CallRecorder(out, find=self._find, today=lambda: TODAY, told=self.told.append, **more)
        self.journal.subscribe(self.recorder.read)

    def _find(self, key: str) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def call(self, name: str, keys: list[TapedKey], *events: Event, outcome: str = "rejected") -> Recorded:
        self.journal.emit(CallOffered(from_="1001", to="5000", leg="sip"), call=name)
        tape = self.recorder.tape(name)
        for event in events:
            self.journal.emit(event, call=name, t=1.25)
        for _ in range(100):
            tape.heard(np.zeros(160, np.int16))
        for key in keys:
            tape.key_down(key.digit, key.method, key.start)
            if key.end is not None:
                tape.key_up(round(1000 * (key.end - key.start)))
        self.journal.emit(CallEnded(outcome=outcome, cause=None, by="caller"), call=name, t=2.0)
        tape.over((), [(k.start, k.end or 2.0) for k in keys if not k.secret])
        return self.told[-1]


def keyed(field: str, value: str | None, length: int = 4) -> EntryAccepted:
    return EntryAccepted(field=field, length=len(value) if value else length, value=value)


SAID = {"amount": "12.50", "currency": "MXN", "description": "Café, 2 piezas"}


class TestLabel:
    """What the journal says becomes the label."""

    def test_all_that_a_label_has(self, tmp_path):
        line = Line(tmp_path / "out", language="en-US")
        done = line.call(
            "0001",
            pressed("1001#", secret=False) + pressed(f"{AMEX}#", start=1.6, every=0.05),
            PromptStarted(name="welcome", params={}),
            PromptEnded(name="welcome", cut_by=None),
            keyed("payment_key", "1001"),
            AuthorizerReplied(cause="ok", status=200, ms=3),
            PromptStarted(name="amount", params=SAID),
            PromptEnded(name="amount", cut_by="key"),
            keyed("accept", "3"),
            keyed("accept", "1"),
            keyed("card_number", None, 15),
            ChargeSent(attempt="a", order_id="ord-7", amount=Decimal("12.50")),
            outcome="approved",
        )
        assert done.label == tmp_path / "out" / "approved-0001.call.yaml"
        [case] = read_scenario(done.label)
        read = case.scenario
        assert (read.number, read.language, read.wav) == ("5000", "en-US", "approved-0001.wav")
        assert read.recorded_on == TODAY
        given = read.given
        assert (given.key, given.amount, given.order_id) == ("1001", Decimal("12.50"), "ord-7")
        assert (given.description, given.card, given.state) == ("Café, 2 piezas", "amex-approved", "payable")
        assert read.expect.outcome == "approved"
        assert read.expect.entries == {"payment_key": "1001", "accept": ["3", "1"]}
        assert read.expect.prompts == ["welcome", "amount"]
        assert read.timeline == [(1.25, "welcome", 1.25), (1.25, "amount", 1.25)]
        assert case.wav is not None
        assert heard(dtmf.read_wav(case.wav)[0][:, 0]) == f"1001#{AMEX}#"

    def test_a_key_that_the_merchant_refused(self, tmp_path):
        line = Line(tmp_path)
        refused = AuthorizerReplied(cause="refused", status=422, ms=3)
        done = line.call("1", [], keyed("payment_key", "1001"), refused, outcome="key_refused")
        assert yaml.safe_load(done.label.read_text())["given"] == {"key": "1001", "state": "missing"}

    def test_the_one_that_could_be_paid_counts(self, tmp_path):
        line = Line(tmp_path)
        done = line.call(
            "1", [],
            keyed("payment_key", "1001"), AuthorizerReplied(cause="refused", status=422, ms=3),
            keyed("payment_key", "1002"), AuthorizerReplied(cause="ok", status=200, ms=3),
        )  # fmt: skip
        label = yaml.safe_load(done.label.read_text())
        assert label["given"] == {"key": "1002"}
        assert label["expect"]["entries"] == {"payment_key": ["1001", "1002"]}

    def test_an_authorizer_that_failed_fails_again(self, tmp_path):
        late = AuthorizerReplied(cause="timeout", status=None, ms=5000)
        done = Line(tmp_path).call("1", [], keyed("payment_key", "1001"), late)
        [case] = read_scenario(done.label)
        assert case.scenario.faults.authorizer_delay == 5.1

    def test_names(self, tmp_path):
        line = Line(tmp_path, name="mine")
        names = [line.call(call, []).label.name for call in ("0001", "0002")]
        assert names == ["mine.call.yaml", "mine-2.call.yaml"]

    def test_nothing_is_written_over(self, tmp_path):
        (tmp_path / "rejected-0001.call.yaml").write_text("mine")
        done = Line(tmp_path).call("0001", [])
        assert done.label is None
        assert "is there already" in done.why
        assert [p.name for p in tmp_path.iterdir()] == ["rejected-0001.call.yaml"]
        for name in ("rejected-0001", "free"):
            (tmp_path / "free.wav").touch()
            with pytest.raises(ConfigurationError, match="--name"):
                check_free(tmp_path, name)

    @pytest.mark.parametrize(
        "digits", [NOT_LISTED, NOT_LISTED[:15], f"{VISA[:-1]}2", f"{NOT_LISTED[:4]}#{NOT_LISTED[4:]}#"]
    )
    def test_another_card_leaves_nothing(self, tmp_path, digits):
        refused = EntryRefused(field="card_number", reason="not_test_card")
        done = Line(tmp_path).call("0001", pressed(digits, every=0.05), refused)
        assert done.label is None
        assert "no listed test card" in done.why
        assert not list(tmp_path.iterdir())

    def test_dates_and_codes_are_no_cards(self, tmp_path):
        done = Line(tmp_path).call(
            "0001", pressed(f"{VISA}01201230#12#123#", every=0.05),
            keyed("expiry", None), keyed("cvv", None, 3),
        )  # fmt: skip
        assert done.label is not None

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "out").touch()
        done = Line(tmp_path / "out").call("0001", [])
        assert "cannot be written" in done.why

    def test_an_authorizer_whose_keys_cannot_be_read(self, tmp_path):
        line = Line(tmp_path)
        line.found = StoreUnavailable("the database is gone")
        refused = AuthorizerReplied(cause="refused", status=422, ms=3)
        assert "gone" in line.call("1", [], keyed("payment_key", "1001"), refused).why

    def test_calls_that_are_no_payments_are_not_told(self, tmp_path):
        line = Line(tmp_path)
        for ending in (
            CallEnded(outcome="tried", cause=None, by="caller"),
            CallFailed(status=500, reason="x"),
        ):
            line.journal.emit(CallOffered(from_="1001", to="5009", leg="sip"), call="0001")
            line.journal.emit(ending, call="0001")
        assert line.call("0001", []).label is not None
        assert len(line.told) == 1


# Who keys tones may lose some to a machine that stands still, and would be asked again.
CARD = {"ask_card": [VISA] * 3, "ask_expiry": ["1230"] * 3, "ask_cvv": ["123"] * 3, "approved": ["!"]}
CALLERS = {
    "1001": Script(answers={"welcome": ["123456#"], "ask_key": ["123456#"] * 2, "amount": ["1"] * 3, **CARD},
                   barge_in=True, delay=0.2, by="inband", key_ms=60, gap_ms=60),
    "1002": Script(answers={"welcome": ["999999#"], "ask_key": ["234567#"], "amount": ["2"],
                            "rejected": ["!"]}, barge_in=True, delay=0.3, by="rfc4733", key_ms=60),
    "1003": Script(answers={"welcome": ["345678#"], "amount": ["1"], "ask_card": ["4111111!"]},
                   barge_in=True, delay=0.2, by="info", key_ms=60),
    "1004": Script(answers={"welcome": ["456789#"], "amount": ["1"], "ask_card": [f"{NOT_LISTED}"],
                            "bad_card": ["!"]}, barge_in=True, delay=0.2, by="rfc4733", key_ms=60),
}  # fmt: skip


STOOD_STILL_MS = 400  # audio that is half a second late is left out by who sends it, and a key with it


@pytest.fixture(scope="module")
def recorded(on_reactor, tmp_path_factory) -> tuple[Path, list[Record], dict[str, Recorded]]:
    """Four real calls at once, each keyed in its own way: the folder, the journal, what became of each.

    They are held anew, twice at most, if the machine stood still meanwhile.
    """

    async def place(data: Path) -> tuple[float, list[Record], dict[str, Recorded]]:
        told: dict[str, Recorded] = {}
        records: list[Record] = []
        journal = Journal(local_now)
        merchant = Merchant(reactor, data / "services", now=local_now)
        recorder = CallRecorder(
            data / "calls",
            find=merchant.keys.find,
            today=local_today,
            told=lambda done: told.update({done.call: done}),
        )
        journal.subscribe(recorder.read)
        journal.subscribe(records.append)
        node = Node(reactor, merchant, journal, data=data, accounts=tuple(CALLERS), tapes=recorder.tape)
        merchant.start()
        for key in ("123456", "234567", "345678", "456789"):
            merchant.keys.issue(
                Decimal("200.00"), "Cargo IVR", f"ord-{key}", expires_in=timedelta(hours=1), key=key
            )
        await node.start()
        witness = MediaEngine(reactor)
        witness.start()

        async def call(user: str) -> None:
            phone = node.phone(user)
            await phone.start()
            await Caller(phone, journal).call("5000", CALLERS[user])
            await phone.stop()

        try:
            await gatherResults([Deferred.fromCoroutine(call(user)) for user in CALLERS])
        finally:
            witness.stop()
            await node.settle()
            await node.stop()
            await merchant.stop()
        return witness.beat.worst_ms, records, told

    for _ in range(3):
        data = tmp_path_factory.mktemp("record")
        worst_ms, records, told = on_reactor(place, data, seconds=60)
        if worst_ms < STOOD_STILL_MS:
            break
    return data, records, told


@pytest.mark.sip
def test_real_calls_replay_to_the_same_story(recorded):
    """Tones, telephone-events and INFO alike; with another card than a listed one, nothing is kept."""
    data, records, told = recorded
    users = {r.call: r.event.from_ for r in records if isinstance(r.event, CallOffered)}
    kept = {users[call]: done.label for call, done in told.items()}
    assert len(kept) == len(CALLERS)
    assert kept.pop("1004") is None
    assert sorted(p.suffix for p in (data / "calls").iterdir()) == [".wav"] * 3 + [".yaml"] * 3
    done = subprocess.run(
        [sys.executable, "-m", "ivr_sim", "replay", str(data / "calls"), "--json", str(data / "v.json"),
         "--data", str(data)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    replays = {call["name"]: call for call in json.loads((data / "v.json").read_text())["calls"]}
    outcomes = {}
    for call, user in users.items():
        label = kept.get(user)
        if label is None:
            continue
        events = [r.event for r in records if r.call == call]
        replay = replays[label.name.removesuffix(".call.yaml")]
        assert [(p["name"], p["cut"]) for p in replay["prompts"]] == [
            (e.name, e.cut_by) for e in events if isinstance(e, PromptEnded)
        ]
        entries: dict[str, list[str]] = {}
        for event in events:
            if isinstance(event, EntryAccepted) and event.value is not None:
                entries.setdefault(event.field, []).append(event.value)
        assert replay["entries"] == entries
        outcomes[user] = replay["outcome"]
    assert outcomes == {"1001": "approved", "1002": "rejected", "1003": "abandoned"}


def test_a_tape_keeps_its_own_copy_of_what_is_heard():
    tape = CallTape("0001", lambda done: None)
    frame = np.ones(160, np.int16)
    for _ in range(3):
        tape.heard(frame)
    frame[:] = 0
    assert tape.sound.tolist() == [1] * 160
