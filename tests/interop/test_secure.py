"""Telephones that we did not write, by TLS, with audio by SRTP, at an IVR that demands it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from ivr_sim.journal import CallEnded, CallOffered, Finding, KeyPressed, MediaReported, Record
from ivr_sim.node import local_today
from ivr_sim.sip.tls import Tls, self_signed

pytestmark = [pytest.mark.interop, pytest.mark.sip]
pytest.importorskip("pylibsrtp")

PAYERS = {"pjsua2": "play", "baresip": "press", "linphonec": "press"}
VERIFY = ("pjsua2", "linphonec")  # baresip 1.0 verifies no certificate
FEATURE = "TLS and SRTP"


@pytest.fixture(scope="module")
def secure(kit: Any, on_reactor: Callable[..., Any], tmp_path_factory: Any) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("secure")
    certificate, key = self_signed(folder / "tls", ["127.0.0.1"], local_today())
    other, _ = self_signed(folder / "other", ["127.0.0.1"], local_today())
    users = tuple(f"{name}-{word}" for name, word in PAYERS.items()) + tuple(PAYERS)
    house = on_reactor(lambda: kit.House(folder, users, tls=Tls(0, certificate, key)))
    records: list[Record] = []
    house.journal.subscribe(records.append)
    try:
        on_reactor(house.start)
        yield SimpleNamespace(
            house=house, records=records, certificate=str(certificate), other=str(other),
            of=lambda *kinds: [r.event for r in records if isinstance(r.event, kinds)],
        )  # fmt: skip
    finally:
        on_reactor(house.stop)


@pytest.fixture(scope="module")
def payments(secure: Any, kit: Any, on_reactor: Callable[..., Any]) -> dict[str, Any]:
    made = {}
    for n, (name, word) in enumerate(PAYERS.items()):
        if kit.clients[name].missing is None:
            key = f"3{n:05d}"
            on_reactor(secure.house.issue, f"{name}-{word}", key)
            options = ("--tls", secure.certificate, "--srtp")
            made[name] = kit.Payment(secure.house, kit, name, word, key, *options)
    for payment in made.values():
        payment.join()
    on_reactor(secure.house.node.settle)
    return made


@pytest.fixture(params=PAYERS)
def name(request: Any, kit: Any, report: Any) -> str:
    missing = kit.clients[request.param].missing
    if missing is not None:
        report.row(request.param, FEATURE, "skipped", missing)
        pytest.skip(missing)
    return str(request.param)


@pytest.mark.timeout(240)
def test_it_pays(request: Any, secure: Any, kit: Any, report: Any, name: str) -> None:
    feature = f"{FEATURE}: pay, keys {kit.ways[PAYERS[name]]}"
    report.row(name, feature, "failed")
    payment = request.getfixturevalue("payments")[name]
    if payment.error is not None:
        raise payment.error
    house, user = secure.house, payment.user
    [ended], [media] = house.of(user, CallEnded), house.of(user, MediaReported)
    assert (ended.outcome, ended.by) == ("approved", "ivr"), house.story(user)
    assert {key.method for key in house.of(user, KeyPressed)} == {kit.ways[PAYERS[name]]}
    # linphonec sends no audio while it keys, and says the end of a key in copies, which SRTP does not open.
    assert media.received > 100
    assert name == "linphonec" or media.bad <= 1
    kit.paid(house, user)
    report.row(
        name, feature, "passed", f"{media.received} packets opened, approved, ledger and stand-in agree"
    )


def test_audio_in_the_clear_is_refused(secure: Any, kit: Any, report: Any, name: str) -> None:
    feature = f"{FEATURE}: audio in the clear is refused with 488"
    report.row(name, feature, "failed")
    house = secure.house
    phone = kit.Softphone(
        kit.clients[name], house.tls_server, name, house.node.accounts[name], "--tls", secure.certificate
    )
    try:
        phone.wait_for("ready")
        kit.until(lambda: name in house.node.exchange.registrations, f"{name} registered: {phone.output}")
        phone.tell("dial 5000")
        phone.wait_for("ended")
        assert phone.heard("answered") == 0
        told = f"The telephone of {name} offers audio in the clear (RTP/AVP)"
        kit.until(lambda: [f for f in secure.of(Finding) if f.what.startswith(told)], "what was wrong")
    finally:
        phone.close()
    assert name not in [offered.from_ for offered in secure.of(CallOffered)]
    report.row(name, feature, "passed")


@pytest.mark.parametrize("name", VERIFY, indirect=True)
def test_a_certificate_it_does_not_know_is_refused(secure: Any, kit: Any, report: Any, name: str) -> None:
    feature = f"{FEATURE}: it refuses a certificate that it does not know"
    report.row(name, feature, "failed")
    house = secure.house
    with capture_logs() as logs:
        phone = kit.Softphone(
            kit.clients[name], house.tls_server, name, house.node.accounts[name], "--tls", secure.other
        )
        try:
            # pjsua2 says so, linphonec sends an alert.
            kit.until(lambda: "not registered" in phone.output or alerts(logs), "that it gave up")
        finally:
            phone.close()
    assert set(alerts(logs)) <= {"tlsv1 alert unknown ca"}
    assert phone.heard("ready") == 0
    assert name not in house.node.exchange.registrations
    report.row(name, feature, "passed")


def alerts(logs: list[Any]) -> list[str]:
    return [log["error"] for log in logs if log["event"] == "a TLS connection failed"]
