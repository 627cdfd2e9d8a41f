"""Telephones that we did not write pay, each by every way of keying that it has.

All payments are made at once, each telephone told what to key by what the IVR begins to say; each test looks
at one of them.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

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
