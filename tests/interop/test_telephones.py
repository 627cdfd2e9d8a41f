"""Telephones that we did not write: register, call, pay by each way of keying, talk, hold, hang up, call off.

All payments are made at once, each telephone told what to key by what the IVR begins to say; each test looks
at one of them. Audio is measured one telephone at a time.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import soundfile

from ivr_sim.journal import CallAnswered, CallEnded, CallOffered, ChargeSettled, EntryAccepted, KeyPressed

pytestmark = [pytest.mark.interop, pytest.mark.sip]

SECONDS = 150  # that a payment may take; the slowest telephone needs 65, and sleeps for most of them
CARD = "visa-approved"
PAYERS = [
    (name, word)
    for name, words in {
        "pjsua2": ("play", "press", "info"),
        "baresip": ("play", "press"),
        "linphonec": ("play", "press", "info"),
        "pyvoip": ("play",),
    }.items()
    for word in words
]


class Payment:
    """One telephone that pays: it registers, calls, keys, and listens until the IVR hangs up."""

    def __init__(self, house: Any, kit: Any, name: str, word: str, key: str) -> None:
        self.user = f"{name}-{word}"
        self.key = key
        self.error: BaseException | None = None
        self.phone: Any = None
        self._house = house
        self._kit = kit
        self._client = kit.clients[name]
        self._word = word
        self._thread = threading.Thread(target=self._run, name=self.user)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(SECONDS + 40)

    def _run(self) -> None:
        try:
            self._pay()
        except BaseException as error:
            self.error = error
        finally:
            if self.phone is not None:
                self.phone.close()

    def _pay(self) -> None:
        house, user = self._house, self.user
        card = self._kit.cards[CARD]
        house.on_prompt(
            user,
            {
                "ask_key": f"{self.key}#", "amount": "1", "ask_card": card["number"],
                "ask_expiry": card["expiry"], "ask_cvv": card["cvv"],
            },
            self._type,
        )  # fmt: skip
        self.phone = self._kit.Softphone(self._client, house.server, user, house.node.accounts[user])
        self.phone.wait_for("ready")
        self._kit.until(lambda: user in house.node.exchange.registrations, f"{user} registered")
        self.phone.tell("dial 5000")
        self.phone.wait_for("ended", seconds=SECONDS)

    def _type(self, keys: str) -> None:
        if self._word == "play":
            path = self._house.folder / f"{self.user}-{len(keys)}.wav"
            self.phone.tell(f"play {self._kit.write_keys(path, keys)}")
        else:
            self.phone.tell(f"{self._word} {keys}")


@pytest.fixture(scope="module")
def payments(house: Any, kit: Any, on_reactor: Any) -> dict[tuple[str, str], Payment]:
    made = {}
    for n, (name, word) in enumerate(PAYERS):
        if kit.clients[name].missing is None:
            key = f"2{n:05d}"
            on_reactor(house.issue, f"{name}-{word}", key)
            made[name, word] = Payment(house, kit, name, word, key)
    for payment in made.values():
        payment.join()
    on_reactor(house.node.settle)
    return made


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("name", "word"), PAYERS, ids=[f"{n}-{w}" for n, w in PAYERS])
def test_it_registers_calls_and_pays(
    request: Any, house: Any, kit: Any, report: Any, name: str, word: str
) -> None:
    client = kit.clients[name]
    if client.missing is not None:
        report.row(name, "all", "skipped", client.missing)
        pytest.skip(client.missing)
    feature = f"pay, keys {kit.ways[word]}"
    report.row(name, feature, "failed")
    payment = request.getfixturevalue("payments")[name, word]
    if payment.error is not None:
        raise payment.error
    user = payment.user
    [offered], [answered], [ended] = (house.of(user, k) for k in (CallOffered, CallAnswered, CallEnded))
    assert name in (offered.user_agent or "").lower() or name == "linphonec"
    assert (offered.to, answered.codec[:3]) == ("5000", "PCM")
    assert (ended.outcome, ended.by) == ("approved", "ivr"), house.story(user)
    assert payment.phone.heard("answered") == payment.phone.heard("ended") == 1
    assert {e.field: e.value for e in house.of(user, EntryAccepted)} == {
        "payment_key": payment.key, "accept": "1", "card_number": None, "expiry": None, "cvv": None,
    }  # fmt: skip
    keys = house.of(user, KeyPressed)
    assert {k.method for k in keys} == {kit.ways[word]}
    assert len(keys) == len("2xxxxx#") + 1 + 16 + 4 + 3
    paid(house, user)
    report.row(name, "register with digest", "passed")
    report.row(name, "call", "passed", f"{answered.codec}, {', '.join(answered.key_methods)}")
    report.row(name, feature, "passed", f"{len(keys)} keys, approved, ledger and stand-in agree")
    report.row(name, "hang-up by the IVR", "passed")


def paid(house: Any, user: str) -> None:
    """Journal, ledger and stand-in tell of one completed charge."""
    [settled] = house.of(user, ChargeSettled)
    [charge] = house.merchant.charges.charges(order_id=f"ord-{user}")
    [entry] = house.node._ledger.entries(order_id=f"ord-{user}")
    assert charge.status == "completed"
    assert settled.result == entry.result == "approved"
    assert settled.charge_id == entry.charge_id == charge.id


def test_audio_hold_and_hang_ups(
    house: Any, kit: Any, report: Any, client: Any, phones: Any, tmp_path: Any, on_reactor: Any
) -> None:
    phone = phones(client, client.name)
    tone, tape = kit.write_tone(tmp_path / "tone.wav"), tmp_path / "heard.wav"
    features = ["audio to the IVR", "audio from the IVR", "hang-up by the caller"]
    for feature in features + ["hold and resume"] * client.holds:
        report.row(client.name, feature, "failed")

    studio = call_studio(house, kit, phone)
    phone.tell(f"record {tape}")
    phone.tell(f"play {tone}")
    hear(kit, studio, 4.5)
    there, seconds = kit.snr_db(np.concatenate(studio.frames))
    assert seconds > 3
    assert there > client.limit_db
    report.row(client.name, "audio to the IVR", "passed", f"SNR {there:.1f} dB")
    if client.holds:
        phone.tell("hold")
        kit.until(lambda: studio.session.on_hold, "on hold")
        hear(kit, studio, 1)
        phone.tell("resume")
        kit.until(lambda: not studio.session.on_hold, "resumed")
        again = len(studio.frames)
        phone.tell(f"play {tone}")
        hear(kit, studio, 4)
        resumed, seconds = kit.snr_db(np.concatenate(studio.frames[again:]))
        assert seconds > 2
        assert resumed > client.limit_db
        report.row(client.name, "hold and resume", "passed", f"SNR {resumed:.1f} dB after it")
    phone.tell("hangup")
    ended = on_reactor(lambda: studio.session.ended)
    assert (ended.by, ended.status) == ("remote", None)
    phone.wait_for("ended")
    report.row(client.name, "hang-up by the caller", "passed")
    phone.close()  # with the call's end alone, some have not written all of it yet
    heard, rate = soundfile.read(tape, dtype="int16")
    assert rate == 8000
    back, seconds = kit.snr_db(heard if heard.ndim == 1 else heard[:, 0])
    assert seconds > 3
    assert back > client.limit_db
    report.row(client.name, "audio from the IVR", "passed", f"SNR {back:.1f} dB")


def test_calling_off_while_it_rings(
    house: Any, kit: Any, report: Any, client: Any, phones: Any, on_reactor: Any
) -> None:
    if not client.cancels:
        report.row(client.name, "cancel while ringing", "not in the client")
        pytest.skip(f"{client.name} cannot call off a call")
    report.row(client.name, "cancel while ringing", "failed")
    phone = phones(client, client.name)
    before = len(house.ringing)
    phone.tell("dial ringer")
    kit.until(lambda: len(house.ringing) > before, f"it rings: {phone.output}")
    session = house.ringing[-1]
    on_reactor(session.ring)
    threading.Event().wait(0.5)
    phone.tell("hangup")
    ended = on_reactor(lambda: session.ended)
    assert (ended.by, ended.status) == ("remote", 487)
    phone.wait_for("ended")
    report.row(client.name, "cancel while ringing", "passed", "487")


def call_studio(house: Any, kit: Any, phone: Any) -> Any:
    before = len(house.studios)
    phone.tell("dial studio")
    phone.wait_for("answered")
    kit.until(lambda: len(house.studios) > before, "the studio was called")
    return house.studios[-1]


def hear(kit: Any, studio: Any, seconds: float) -> None:
    """Let the studio listen for so long, by the call's own clock."""
    wanted = len(studio.frames) + round(seconds * 50)
    kit.until(lambda: len(studio.frames) >= wanted, f"{seconds} s heard", seconds + 15)
