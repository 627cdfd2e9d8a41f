"""Each finding once for its cause and source, and a flood of them ends."""

from __future__ import annotations

import pytest

from ivr_sim.diagnosis.teller import AGAIN, PER_HOST, PER_MINUTE, REMEMBERED, Teller

PHONE = ("192.0.2.9", "1001")


@pytest.fixture
def teller(clock, journal) -> Teller:
    return Teller(clock, journal)


def tell(teller: Teller, source: tuple[str, str] = PHONE, code: str = "bad_credentials") -> None:
    teller.tell(code, source, host=source[0], user=source[1], knocked=1, port=2, deed="call")


def test_once_and_again_after_a_while(teller, clock, found) -> None:
    tell(teller)
    clock.advance(AGAIN - 1)
    tell(teller)
    assert found() == ["bad_credentials"]
    tell(teller, code="tls_only")
    clock.advance(1)
    tell(teller)
    assert found() == ["bad_credentials", "tls_only", "bad_credentials"]


def test_what_has_worked_meanwhile_is_told_anew(teller, found) -> None:
    tell(teller)
    teller.forget(("192.0.2.9", "1002"))
    tell(teller)
    assert found() == ["bad_credentials"]
    teller.forget(PHONE)
    tell(teller)
    assert found() == ["bad_credentials"] * 2


def test_a_host_that_tries_many_users_is_a_scanner(teller, found) -> None:
    for n in range(100):
        tell(teller, ("192.0.2.66", str(n)))
    assert len(found()) == PER_HOST
    assert teller.untold == 100 - PER_HOST
    tell(teller)
    assert len(found()) == PER_HOST + 1


def test_many_hosts_are_told_of_at_a_bounded_rate(teller, clock, found) -> None:
    for n in range(5 * REMEMBERED):
        tell(teller, (f"192.0.2.{n}", ""))
    assert len(found()) == PER_MINUTE
    clock.advance(60)
    tell(teller)
    assert len(found()) == PER_MINUTE + 1
