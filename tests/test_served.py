"""What `serve` has up: standing keys of every kind, numbers, services of somebody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness import Caller, Script
from ivr_sim.journal import (
    AuthorizerReplied,
    CallEnded,
    CallOffered,
    ChargeSent,
    Finding,
    PhoneRegistered,
    PhoneUnregistered,
    Record,
)
from ivr_sim.served import Served, prepare, state_of
from ivr_sim.settings import Settings
from ivr_sim.standing import STANDING

VISA = "4111111111111111"
PORTS = {"sip_port": 0, "authorizer_port": 0, "openpay_port": 0}
PAY = {"ask_accept": ["1"], "ask_card": [VISA], "ask_expiry": ["1230"], "ask_cvv": ["123"]}


async def pay(served: Served, user: str, key: str) -> None:
    phone = served.node.phone(user)
    await phone.start()
    try:
        script = Script(answers={"ask_key": [f"{key}#"] * 3, **PAY}, by="rfc4733", barge_in=True, delay=0.3)
        await Caller(phone, served.journal).call("5000", script)
    finally:
        await phone.stop()


async def play(data: Path) -> SimpleNamespace:
    """Five callers at once, each with another standing key; then the payable one again."""
    served = prepare(reactor, Settings(**PORTS), data, {})
    records: list[Record] = []
    served.journal.subscribe(records.append)
    try:
        await served.start()
        before = state_of(served)
        keys = ["100001", "170001", "170002", "170500", "170051"]
        users = dict(zip(served.node.users, keys, strict=True))
        await gatherResults([Deferred.fromCoroutine(pay(served, u, k)) for u, k in users.items()])
        await pay(served, "1001", "100001")
        await served.node.settle()
        return SimpleNamespace(users=users, records=records, before=before, data=data, after=state_of(served))
    finally:
        await served.stop()


@pytest.fixture(scope="module")
def scene(on_reactor, tmp_path_factory) -> Iterator[SimpleNamespace]:
    return on_reactor(play, tmp_path_factory.mktemp("served"), seconds=110)


def outcomes(scene: Any, user: str) -> list[tuple[str, str | None]]:
    calls = [r.call for r in scene.records if isinstance(r.event, CallOffered) and r.event.from_ == user]
    ends = {r.call: r.event for r in scene.records if isinstance(r.event, CallEnded)}
    return [(ends[call].outcome, ends[call].cause) for call in calls]


@pytest.mark.sip
@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("100001", [("approved", None)] * 2),
        ("170001", [("key_refused", "code_2")]),
        ("170002", [("key_refused", "code_3")]),
        ("170500", [("authorizer_failed", "status")]),
        ("170051", [("authorizer_failed", "timeout")]),
    ],
)
def test_standing_keys(scene, key, wanted):
    [user] = [u for u, k in scene.users.items() if k == key]
    assert outcomes(scene, user) == wanted


@pytest.mark.sip
def test_a_standing_key_is_paid_under_a_fresh_order_each_time(scene):
    orders = [r.event.order_id for r in scene.records if isinstance(r.event, ChargeSent)]
    assert len(orders) == len(set(orders)) == 2
    assert all(order.startswith("standing-") for order in orders)


@pytest.mark.sip
def test_the_late_one_is_late_and_the_broken_one_answers_500(scene):
    replies = [r.event for r in scene.records if isinstance(r.event, AuthorizerReplied)]
    assert any(r.cause == "timeout" and r.ms >= 5000 for r in replies)
    assert any((r.cause, r.status) == ("status", 500) for r in replies)


@pytest.mark.sip
def test_calls_are_numbered_and_leave_a_recording_of_their_own(scene):
    folders = sorted(path.name for path in (scene.data / "calls").iterdir())
    assert folders == [f"{n:04d}" for n in range(1, 7)]
    for name in folders:
        left = {path.name for path in (scene.data / "calls" / name).iterdir()}
        assert {"recording.wav", "journal.jsonl", "ladder.txt", "http.txt", "summary.md"} <= left


@pytest.mark.sip
def test_telephones_are_told_once_as_they_come_and_go(scene):
    came = [r.event.user for r in scene.records if isinstance(r.event, PhoneRegistered)]
    left = [r.event.user for r in scene.records if isinstance(r.event, PhoneUnregistered)]
    # The first one calls twice, from another port each time.
    assert sorted(came) == sorted(left) == ["1001", "1001", "1002", "1003", "1004", "1005"]


@pytest.mark.sip
def test_a_good_call_is_not_accused_of_anything(scene):
    findings = {r.event.code for r in scene.records if isinstance(r.event, Finding)}
    assert findings == set()


@pytest.mark.sip
def test_the_state(scene):
    state = json.loads(json.dumps(scene.before))
    assert state["v"] == 1
    assert set(state) == {"v", "sip", "authorizer", "openpay", "keys", "console"}
    assert state["sip"]["host"] == "127.0.0.1"
    assert len(state["sip"]["accounts"]) == 5
    assert state["sip"]["numbers"] == {"merchant_keys": "5000", "echo": "5008", "keypad": "5009"}
    standing = [key for key in state["keys"] if key["standing"]]
    assert [key["ivr_key"] for key in standing] == [s.key for s in STANDING if s.kind == "payable"]
    assert len(state["keys"]) >= len(standing) + 1
    assert all(set(k) == {"ivr_key", "amount", "order_id", "description", "standing"} for k in state["keys"])
    # The same accounts at the next start, and the same account at the stand-in.
    again = prepare(reactor, Settings(**PORTS), scene.data, {})
    passwords = {a["user"]: a["password"] for a in state["sip"]["accounts"]}
    assert {user: again.node.accounts[user] for user in again.node.users} == passwords
    assert again.merchant.private_key == state["openpay"]["private_key"]


class TestOutside:
    URL = "https://pay.example.com/openpay/authorizer"

    def test_needs_a_user_and_a_password(self, tmp_path):
        with pytest.raises(ConfigurationError, match="--user"):
            prepare(reactor, Settings(authorizer=self.URL), tmp_path, {})
        with pytest.raises(ConfigurationError, match="IVR_AUTHORIZER_PASSWORD"):
            prepare(reactor, Settings(authorizer=self.URL, user="openpay"), tmp_path, {})

    def test_is_asked_instead_of_ours(self, tmp_path):
        given = {"IVR_AUTHORIZER_PASSWORD": "pwd", "IVR_OPENPAY_KEY": "sk_1"}
        settings = Settings(
            authorizer=self.URL, user="openpay", openpay="https://sandbox-api.openpay.mx/v1", merchant_id="m1"
        )
        served = prepare(reactor, settings, tmp_path, given)
        assert (served.merchant.asked.url, served.merchant.charging.user) == (self.URL, "m1")
        assert served.standing is None
        assert set(served.ports) == {"SIP"}
        state = state_of_unstarted(served)
        assert state["keys"] == []
        assert "pwd" not in repr(served.merchant.asked)

    @pytest.mark.parametrize("host", ["api.openpay.mx", "api.openpay.co", "API.openpay.pe"])
    def test_never_production(self, tmp_path, host):
        settings = Settings(openpay=f"https://{host}/v1", merchant_id="m1")
        with pytest.raises(ConfigurationError, match="production"):
            prepare(reactor, settings, tmp_path, {"IVR_OPENPAY_KEY": "sk_1"})

    @pytest.mark.parametrize("address", ["1001", "sip:pbx.example.com", "tel:1", "sip:"])
    def test_a_pbx_is_named_in_full(self, tmp_path, address):
        with pytest.raises(ConfigurationError, match="--register"):
            prepare(reactor, Settings(register_at=address, **PORTS), tmp_path, {})

    def test_a_password_in_the_address_is_refused_and_not_repeated(self, tmp_path):
        with pytest.raises(ConfigurationError, match="IVR_SIM_REGISTER_PASSWORD") as refused:
            prepare(reactor, Settings(register_at="sip:1001:hush@127.0.0.1", **PORTS), tmp_path, {})
        assert "hush" not in str(refused.value)


def state_of_unstarted(served: Served) -> dict[str, Any]:
    served.node.exchange.start()
    try:
        return state_of(served)
    finally:
        served.node.exchange.stop()
