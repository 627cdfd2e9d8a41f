"""The registrar: contacts, expiries and refusals, each REGISTER with its credentials."""

from __future__ import annotations

import itertools

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.digest import DigestGate, authorize
from ivr_sim.sip.message import BadMessage, Headers, Request
from ivr_sim.sip.registrar import Registrar

ACCOUNTS = {"alice": "secret-a", "bob": "secret-b"}
SOURCE = Address("127.0.0.1", 5070)
numbers = itertools.count(1)


class Desk:
    """A registrar and its clock; every request shows right credentials unless told otherwise."""

    def __init__(self, **options) -> None:
        self.gate = DigestGate("ivr.test", ACCOUNTS, b"k")
        self.registrar = Registrar(ACCOUNTS, self.gate, **options)
        self.now = 1000.0

    def request(
        self,
        *contacts: str,
        expires: str | None = None,
        user="alice",
        aor=None,
        password=None,
        call_id="c1",
        cseq=None,
        agent=None,
    ):
        headers = Headers([
            ("From", f"<sip:{aor or user}@ivr.test>;tag=f"), ("To", f"<sip:{aor or user}@ivr.test>"),
            ("Call-ID", call_id), ("CSeq", f"{cseq or next(numbers)} REGISTER"),
        ])  # fmt: skip
        for contact in contacts:
            headers.add("Contact", contact)
        if expires is not None:
            headers.add("Expires", expires)
        if agent is not None:
            headers.add("User-Agent", agent)
        if password != "none":
            headers.add("Authorization", authorize(
                self.gate.challenges(self.now)[0], method="REGISTER", uri="sip:ivr.test", user=user,
                password=password or ACCOUNTS.get(user, "?"), cnonce="c",
            ))  # fmt: skip
        return Request("REGISTER", "sip:ivr.test", headers)

    def register(self, *contacts: str, source=SOURCE, **options):
        return self.registrar.register(self.request(*contacts, **options), source, self.now)

    def contacts(self, user="alice") -> list[tuple[str, int]]:
        return [(b.contact.text, round(b.expires - self.now)) for b in self.registrar.lookup(user, self.now)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Contact and Expires as sent, and the expiry that is granted (3600 by default and at most).
EXPIRIES = [
    ("<sip:a@h>", None, 3600),
    ("<sip:a@h>", "60", 60),
    ("<sip:a@h>;expires=90", None, 90),
    ("<sip:a@h>;expires=90", "60", 90),
    ('<sip:a@h>;expires="90"', "60", 90),
    ('<sip:a@h>;expires="9x"', "60", 60),
    ("<sip:a@h>;EXPIRES = 90", "60", 90),
    ("<sip:a@h>", "7200", 3600),
    ("<sip:a@h>", "1000000000000000", 3600),  # RFC 4475 section 3.1.2.4
    ("<sip:a@h>;expires=x", "60", 60),
    ("<sip:a@h>;expires", "60", 60),
    ("<sip:a@h>", "-1", 3600),
    ("sip:a@h;expires=90", None, 90),
    ('<sip:a@h;transport=udp>;+sip.instance="<urn:uuid:1>";expires=299', None, 299),
]


@pytest.mark.parametrize(("contact", "expires", "granted"), EXPIRIES)
def test_expiry(desk, contact, expires, granted):
    outcome = desk.register(contact, expires=expires)
    assert outcome.status == 200
    (uri,) = [uri for uri, seconds in desk.contacts() if seconds == granted]
    assert outcome.headers == (("Contact", f"<{uri}>;expires={granted}"),)


def test_binding_keeps_where_it_came_from(desk):
    outcome = desk.register("<sip:a@10.0.0.5:5070>", source=Address("203.0.113.9", 40_000), agent="phone/1")
    (binding,) = desk.registrar.lookup("alice", desk.now)
    assert (binding.source, binding.user_agent) == (Address("203.0.113.9", 40_000), "phone/1")
    assert outcome.added == (binding,)


def test_registrations_expire(desk):
    desk.register("<sip:a@h>", expires="60")
    desk.now += 59
    assert desk.contacts() == [("sip:a@h", 1)]
    assert list(desk.registrar.registrations(desk.now)) == ["alice"]
    desk.now += 1
    assert desk.contacts() == []
    assert desk.registrar.registrations(desk.now) == {}


def test_several_contacts_the_newest_first(desk):
    desk.register("<sip:a@h:1>, <sip:a@h:2>")
    desk.register("<sip:a@h:3>")
    assert [c for c, _ in desk.contacts()] == ["sip:a@h:3", "sip:a@h:2", "sip:a@h:1"]
    outcome = desk.register("<sip:A@H:1>", call_id="c2")  # another user: users have case, hosts have none
    assert len(outcome.headers) == 4
    desk.register("<sip:a@H:1>;expires=600")
    assert desk.contacts()[0] == ("sip:a@H:1", 600)
    assert len(desk.contacts()) == 4


def test_a_query_changes_nothing(desk):
    desk.register("<sip:a@h>", expires="60")
    outcome = desk.register()
    assert outcome.headers == (("Contact", "<sip:a@h>;expires=60"),)
    assert (outcome.added, outcome.removed) == ((), ())


def test_one_contact_is_taken_back(desk):
    desk.register("<sip:a@h:1>, <sip:a@h:2>")
    outcome = desk.register("<sip:a@h:1>;expires=0")
    assert [b.contact.text for b in outcome.removed] == ["sip:a@h:1"]
    assert [c for c, _ in desk.contacts()] == ["sip:a@h:2"]
    assert desk.register("<sip:a@h:9>;expires=0").removed == ()


def test_star_takes_back_all(desk):
    desk.register("<sip:a@h:1>, <sip:a@h:2>")
    outcome = desk.register("*", expires="0")
    assert (outcome.status, outcome.headers, len(outcome.removed)) == (200, (), 2)
    assert desk.contacts() == []


@pytest.mark.parametrize(
    ("contacts", "expires", "status"),
    [(["*"], None, 400), (["*"], "60", 400), (["*", "<sip:a@h>"], "0", 400), (["< sip:a@h>"], None, 400),
     (["<tel:+52551234>"], None, 416), (['"open <sip:a@h>'], None, 400)],
)  # fmt: skip
def test_bad_contacts_change_nothing(desk, contacts, expires, status):
    desk.register("<sip:a@h:1>")
    with pytest.raises(BadMessage) as caught:
        desk.register(*contacts, expires=expires)
    assert caught.value.status == status
    assert [c for c, _ in desk.contacts()] == ["sip:a@h:1"]


def test_too_brief_is_refused_whole(desk):
    outcome = desk.register("<sip:a@h:1>, <sip:a@h:2>;expires=9")
    assert (outcome.status, outcome.cause) == (423, "too_brief")
    assert outcome.headers == (("Min-Expires", "10"),)
    assert desk.contacts() == []


def test_old_requests_do_not_undo_new_ones(desk):
    assert desk.register("<sip:a@h>", cseq=5000).status == 200
    assert desk.register("<sip:a@h>;expires=0", cseq=4999).cause == "out_of_order"
    assert desk.register("<sip:a@h>;expires=0", cseq=5000).status == 500
    assert len(desk.contacts()) == 1
    assert desk.register("<sip:a@h>;expires=0", cseq=1, call_id="after a restart").status == 200


def test_contacts_are_bounded():
    desk = Desk(max_contacts=3)
    for port in range(1, 6):
        outcome = desk.register(f"<sip:a@h:{port}>")
    assert [b.contact.port for b in outcome.removed] == [2]
    assert [c for c, _ in desk.contacts()] == ["sip:a@h:5", "sip:a@h:4", "sip:a@h:3"]


def test_who_may_register(desk):
    asked = desk.register("<sip:a@h>", password="none")
    assert (asked.status, asked.cause, asked.headers[0][0]) == (401, "missing", "WWW-Authenticate")
    assert "stale" not in asked.headers[0][1]
    refusals = {
        "unknown_user": desk.register("<sip:a@h>", user="mallory"),
        "wrong_password": desk.register("<sip:a@h>", password="guess"),
        "other_user": desk.register("<sip:a@h>", user="alice", aor="bob"),
    }
    assert {cause: (o.status, o.cause) for cause, o in refusals.items()} == {c: (403, c) for c in refusals}
    assert desk.register("<sip:a@h>", aor="nobody").status == 404
    assert desk.contacts("alice") == desk.contacts("bob") == []


def test_an_old_nonce_is_asked_for_again(desk):
    request = desk.request("<sip:a@h>")
    desk.now += 301
    outcome = desk.registrar.register(request, SOURCE, desk.now)
    assert (outcome.status, outcome.cause) == (401, "stale")
    assert "stale=true" in outcome.headers[0][1]


# Preference ----------------------------------------------------------------------------------------

PREFERENCES = [
    (None, 1000, ""), ("1", 1000, ""), ("1.000", 1000, ""), ("0.5", 500, ";q=0.5"), ("0.", 0, ";q=0"),
    ("0.123", 123, ";q=0.123"), ("0", 0, ";q=0"), ("1.1", 1000, ""), ("0.1234", 1000, ""), ("-1", 1000, ""),
    ("x", 1000, ""),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "q", "listed"), PREFERENCES)
def test_preference(desk, sent, q, listed):
    outcome = desk.register("<sip:a@h>" + ("" if sent is None else f";q={sent}"))
    (binding,) = desk.registrar.lookup("alice", desk.now)
    assert binding.q == q
    assert outcome.headers == (("Contact", f"<sip:a@h>;expires=3600{listed}"),)


def test_the_preferred_come_first_and_of_those_alike_the_newest(desk):
    for port, q in ((1, "0.2"), (2, "0.9"), (3, "0.2"), (4, "0.9")):
        desk.register(f"<sip:a@h:{port}>;q={q}")
    assert [b.contact.port for b in desk.registrar.lookup("alice", desk.now)] == [4, 2, 3, 1]
    desk.register("<sip:a@h:2>;q=0.9")
    assert [b.contact.port for b in desk.registrar.lookup("alice", desk.now)] == [2, 4, 3, 1]


def test_the_oldest_gives_way_whatever_its_preference():
    desk = Desk(max_contacts=2)
    for port, q in ((1, "1"), (2, "0.1"), (3, "0.1")):
        outcome = desk.register(f"<sip:a@h:{port}>;q={q}")
    assert [b.contact.port for b in outcome.removed] == [1]
    outcome = desk.register("<sip:a@h:5>, <sip:a@h:6>, <sip:a@h:7>")  # more than there may be
    assert [b.contact.port for b in outcome.added] == [6, 7]
    assert [b.contact.port for b in outcome.removed] == [2, 3]


def test_contacts_are_told_apart_by_transport_but_by_no_other_parameter(desk):
    desk.register("<sip:a@h:1>")
    desk.register("<sip:a@h:1;transport=udp;ob>")
    assert [c for c, _ in desk.contacts()] == ["sip:a@h:1;transport=udp;ob"]
    desk.register("<sip:a@h:1;transport=tcp>")
    assert len(desk.contacts()) == 2
    desk.register("<sip:a@h:9>, <sip:a@H:9>;expires=60")  # the same twice: the last word counts
    assert desk.contacts()[0] == ("sip:a@H:9", 60)
    assert len(desk.contacts()) == 3


def test_extensions_that_are_only_offered_change_nothing(desk):
    """Path, outbound and GRUU of phones that support them; nobody here does, so nothing of it comes back."""
    request = desk.request('<sip:a@h:1;ob>;reg-id=1;+sip.instance="<urn:uuid:1>"')
    request.headers.add("Supported", "path, outbound, gruu")
    request.headers.add("Path", "<sip:edge.example;lr>")
    outcome = desk.registrar.register(request, SOURCE, desk.now)
    assert outcome.headers == (("Contact", "<sip:a@h:1;ob>;expires=3600"),)


def test_a_user_who_is_gone_is_forgotten(desk):
    desk.register("<sip:a@h:1>, <sip:a@h:2>")
    desk.register("<sip:b@h>", user="bob")
    assert [b.contact.port for b in desk.registrar.remove("alice", desk.now)] == [2, 1]
    assert desk.registrar.remove("alice", desk.now) == []
    assert list(desk.registrar.registrations(desk.now)) == ["bob"]
