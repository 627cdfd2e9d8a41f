"""Telephones that we did not write pay, each by every way of keying that it has.

All payments are made at once, each telephone told what to key by what the IVR begins to say; each test looks
at one of them.
"""

from __future__ import annotations

from typing import Any

import pytest

from ivr_sim.journal import CallAnswered, CallEnded, CallOffered, EntryAccepted, KeyPressed

pytestmark = [pytest.mark.interop, pytest.mark.sip]

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


@pytest.fixture(scope="module")
def payments(house: Any, kit: Any, on_reactor: Any) -> dict[tuple[str, str], Any]:
    made = {}
    for n, (name, word) in enumerate(PAYERS):
        if kit.clients[name].missing is None:
            key = f"2{n:05d}"
            on_reactor(house.issue, f"{name}-{word}", key)
            made[name, word] = kit.Payment(house, kit, name, word, key)
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
    kit.paid(house, user)
    report.row(name, "register with digest", "passed")
    report.row(name, "call", "passed", f"{answered.codec}, {', '.join(answered.key_methods)}")
    report.row(name, feature, "passed", f"{len(keys)} keys, approved, ledger and stand-in agree")
    report.row(name, "hang-up by the IVR", "passed")
