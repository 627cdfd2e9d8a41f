"""Telephones that do not register, or call nobody: what the exchange's events come to."""

from __future__ import annotations

from typing import Any

import pytest

from ivr_sim.diagnosis.telephones import ANSWER, GRACE, MAX_PENDING, Telephones
from ivr_sim.diagnosis.teller import Teller
from ivr_sim.journal import Finding
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange_event import (
    Admitted,
    CallRouted,
    Challenged,
    LineSilent,
    Refused,
    Registered,
    TurnedAway,
    Unregistered,
)

DESK = Address("192.0.2.9", 5060)
CONTACT = "sip:1001@192.0.2.9:5060"
LEFT = Unregistered(user="1001", contact=CONTACT)


@pytest.fixture
def telephones(clock, journal):
    made = Telephones(
        clock,
        Teller(clock, journal),
        accounts=("1001", "1002"),
        domain="ivr.test",
        addresses="192.0.2.1",
    )
    yield made
    made.close()
    assert clock.getDelayedCalls() == []


def registered(user: str = "1001", source: Any = DESK, contact: str = CONTACT, **more: Any) -> Registered:
    return Registered(user=user, contact=contact, source=source, **({"expires_in": 60.0} | more))


def refused(cause: str, **more: Any) -> Refused:
    given = {"method": "REGISTER", "user": "1001", "account": "1001", "source": DESK, "status": 403}
    return Refused(cause=cause, **(given | more))


def admitted(method: str = "REGISTER") -> Admitted:
    return Admitted(method=method, user="1001", source=DESK)


def routed(source: Any = DESK, caller: str = "1001") -> CallRouted:
    return CallRouted(
        call_id="c", caller=caller, source=source, dialled="5000", user="ivr", contact="sip:ivr@x"
    )


@pytest.mark.parametrize(
    ("event", "code", "said"),
    [
        (refused("unknown_user", user="9999"), "unknown_user", "register as 9999"),
        (refused("wrong_password"), "wrong_password", "register as 1001"),
        (refused("wrong_password", method="INVITE"), "wrong_password", "call as 1001"),
        (refused("malformed", user=None), "bad_credentials", "as 1001"),
        (
            refused("other_user", account="1002"),
            "other_user",
            "as 1002 with the credentials of 1001",
        ),
        (refused("not_found", account="x"), "other_user", "as x with the credentials of 1001"),
    ],
)
def test_refused_credentials(telephones, journal, event, code, said) -> None:
    telephones.read(event)
    telephones.read(event)
    [finding] = journal.of(Finding)
    assert finding.code == code
    assert said in finding.what
    assert "192.0.2.9" in finding.what


def test_the_accounts_are_named_to_who_has_none(telephones, journal) -> None:
    telephones.read(refused("unknown_user", user="9999"))
    assert "1001, 1002" in journal.of(Finding)[0].advice


def test_a_repeated_request_is_no_mistake(telephones, found, clock) -> None:
    telephones.read(refused("out_of_order", status=500))
    clock.advance(100)
    assert found() == []


@pytest.mark.parametrize(
    ("method", "cause", "dialled", "code"),
    [
        ("REGISTER", "domain", "1001", "wrong_domain"),
        ("INVITE", "domain", "5000", "wrong_domain"),
        ("INVITE", "absent", "1002", "nobody_there"),
        ("INVITE", "absent", "5000", "no_line"),
    ],
)
def test_requests_that_lead_nowhere(telephones, journal, method, cause, dialled, code) -> None:
    who = {"user": "1001", "uri_user": dialled, "domain": "sip.example", "source": DESK}
    telephones.read(TurnedAway(method=method, status=403, cause=cause, **who))
    [finding] = journal.of(Finding)
    assert finding.code == code
    assert ("sip.example" in finding.what) == (cause == "domain")
    assert (dialled in finding.what) == (cause == "absent" or method == "REGISTER")


class TestChallenge:
    def test_who_answers_is_not_accused(self, telephones, clock, found) -> None:
        for event in (admitted(), refused("wrong_password"), admitted("INVITE")):
            telephones.read(Challenged(method="REGISTER", user="1001", source=DESK))
            clock.advance(ANSWER - 0.1)
            telephones.read(event)
        clock.advance(ANSWER)
        assert found() == ["wrong_password"]

    def test_who_never_answers(self, telephones, clock, journal) -> None:
        for _ in range(5):
            telephones.read(Challenged(method="REGISTER", user="1001", source=DESK))
            clock.advance(ANSWER / 2)
        [finding] = journal.of(Finding)
        assert finding.code == "no_credentials"
        assert "192.0.2.9, as 1001," in finding.what

    def test_credentials_for_another_realm(self, telephones, clock, journal) -> None:
        telephones.read(Challenged(method="REGISTER", user="1001", source=DESK))
        telephones.read(Challenged(method="REGISTER", user="1001", source=DESK, realm="asterisk"))
        clock.advance(ANSWER)
        [finding] = journal.of(Finding)
        assert finding.code == "wrong_realm"
        assert "asterisk" in finding.what
        assert "ivr.test" in finding.what

    def test_a_registration_too_brief_that_is_asked_for_anew(self, telephones, clock, found) -> None:
        telephones.read(refused("too_brief", status=423))
        clock.advance(1)
        telephones.read(admitted())
        clock.advance(ANSWER)
        assert found() == []
        telephones.read(refused("too_brief", status=423))
        clock.advance(ANSWER)
        assert found() == ["registration_too_brief"]

    def test_scanners_are_not_waited_for(self, telephones, clock, found) -> None:
        for n in range(3000):
            telephones.read(Challenged(method="REGISTER", user=f"x{n}", source=Address("192.0.2.66", n)))
        assert clock.getDelayedCalls() == []
        for n in range(3000):
            telephones.read(Challenged(method="REGISTER", user="1001", source=Address("192.0.2.66", n)))
        assert len(clock.getDelayedCalls()) == MAX_PENDING
        clock.advance(ANSWER)
        assert found() == ["no_credentials"]


class TestRegistration:
    def test_one_that_is_not_renewed(self, telephones, clock, journal) -> None:
        telephones.read(registered())
        clock.advance(50)
        telephones.read(registered())
        clock.advance(60 + GRACE - 0.1)
        assert journal.of(Finding) == []
        clock.advance(0.1)
        [finding] = journal.of(Finding)
        assert finding.code == "registration_expired"
        assert "1001 at 192.0.2.9" in finding.what

    def test_one_taken_back_or_followed_by_another_is_not_missed(self, telephones, clock, found) -> None:
        telephones.read(registered())
        telephones.read(Unregistered(user="1001", contact=CONTACT))
        telephones.read(registered(contact="sip:1001@192.0.2.9:1"))
        telephones.read(registered(contact="sip:1001@192.0.2.9:2", expires_in=600.0))
        clock.advance(100)
        assert found() == []

    def test_a_line_of_the_ivr_is_no_telephone(self, telephones, clock, found) -> None:
        telephones.read(registered(user="ivr"))
        telephones.read(LineSilent(contact="sip:ivr@x"))
        clock.advance(100)
        assert found() == []

    def test_a_call_from_another_address(self, telephones, journal) -> None:
        telephones.read(routed())  # never registered: nothing to compare with
        telephones.read(registered())
        telephones.read(routed(Address("192.0.2.9", 40000)))
        assert journal.of(Finding) == []
        telephones.read(routed(Address("198.51.100.7", 5060)))
        [finding] = journal.of(Finding)
        assert finding.code == "other_address"
        assert "calls from 198.51.100.7, and has registered from 192.0.2.9" in finding.what

    def test_two_telephones_of_one_account_may_both_call(self, telephones, found) -> None:
        telephones.read(registered())
        telephones.read(registered(source=Address("198.51.100.7", 5060), contact="sip:1001@198.51.100.7"))
        telephones.read(routed(Address("198.51.100.7", 5060)))
        assert found() == []

    def test_after_it_has_worked_the_same_mistake_is_told_again(self, telephones, found) -> None:
        for _ in range(2):
            telephones.read(refused("wrong_password"))
            telephones.read(refused("wrong_password"))
            telephones.read(registered())
        assert found() == ["wrong_password"] * 2
