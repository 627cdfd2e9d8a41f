"""Calls dealt to the lines in turn; lines that are silent, busy, or refuse."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange_event import LineSilent

HUB = Address("127.0.0.1", 5060)


def taken(lines) -> list[int]:
    return [phone.methods().count("INVITE") for phone in lines]


def test_calls_are_dealt_in_turn(reactor, exchange, alice, lines):
    for _ in range(7):
        alice.set_up(seconds=0.1)
    assert sorted(taken(lines)) == [2, 2, 3]


def test_an_unregistered_line_is_skipped(reactor, exchange, alice, lines):
    lines[1].ask(
        lines[1].request("REGISTER", "sip:ivr.test", to="<sip:line2@ivr.test>", headers=[("Expires", "0")])
    )
    for _ in range(4):
        alice.set_up(seconds=0.1)
    assert taken(lines) == [2, 0, 2]


def test_a_dead_line_is_passed_over_then_asked_last(reactor, exchange, alice, lines, events):
    lines[0].endpoint.stop()
    client = alice.call()
    reactor.run(1.3)
    assert [r.status for r in client.answers] == [100, 180, 200]
    assert LineSilent(contact="sip:line1@127.0.0.1:5080") in events
    alice.layer.send(alice.inside("ACK", client), HUB)
    for _ in range(3):
        alice.set_up(seconds=0.2)  # nobody waits for the dead one again
    assert sum(taken(lines)) == 4


@pytest.mark.parametrize("status", [408, 480, 486, 500, 502, 503, 504])
def test_a_line_that_refuses_gives_way(reactor, exchange, alice, lines, status):
    for phone in lines[:2]:
        phone.answer = status
    client = alice.set_up()
    assert [r.status for r in client.answers] == [100, 180, 200]


@pytest.mark.parametrize("status", [404, 488, 600, 603])
def test_a_refusal_that_means_the_call_goes_back(reactor, exchange, alice, lines, status):
    for phone in lines:
        phone.answer = status
    client = alice.call()
    reactor.run(1)
    assert [r.status for r in client.answers] == [100, status]
    assert sum(taken(lines)) == 1


def test_all_lines_busy(reactor, exchange, alice, lines):
    for phone in lines:
        phone.answer = 486
    client = alice.call()
    reactor.run(1)
    assert [r.status for r in client.answers] == [100, 486]
    assert taken(lines) == [1, 1, 1]


def test_all_lines_dead(reactor, exchange, alice, lines, events):
    for phone in lines:
        phone.endpoint.stop()
    client = alice.call()
    reactor.run(60)
    assert [r.status for r in client.answers] == [100, 408]
    assert len([e for e in events if isinstance(e, LineSilent)]) == 3


BEST = [
    ([503, 486, 480], 486), ([500, 503, 408], 408), ([503, 503, 503], 503), ([480, 486, 503], 486),
    ([503, 500, 502], 500), ([486, 408, 408], 486),
]  # fmt: skip


@pytest.mark.parametrize(("statuses", "best"), BEST)
def test_of_all_refusals_the_one_that_says_most_goes_back(reactor, exchange, alice, lines, statuses, best):
    for phone, status in zip(lines, statuses, strict=True):
        phone.answer = status
    client = alice.call()
    reactor.run(1)
    assert taken(lines) == [1, 1, 1]
    assert [r.status for r in client.answers] == [100, best]


@pytest.mark.parametrize("status", [302, 600, 603, 606])
def test_what_speaks_for_the_whole_ends_the_hunt(reactor, exchange, alice, lines, status):
    lines[0].answer, lines[1].answer = 486, status
    client = alice.call()
    reactor.run(1)
    assert [r.status for r in client.answers] == [100, status]
    assert taken(lines)[2] == 0


def test_a_busy_answer_before_silence_is_what_goes_back(reactor, exchange, alice, lines):
    lines[0].answer = 486
    for phone in lines[1:]:
        phone.endpoint.stop()
    client = alice.call()
    reactor.run(60)
    assert [r.status for r in client.answers] == [100, 486]


def test_the_line_that_took_the_call_has_had_its_turn(reactor, exchange, alice, lines):
    lines[0].answer = 486
    for _ in range(4):
        alice.set_up()
    assert taken(lines)[1:] == [2, 2]


def test_the_contacts_of_a_user_are_tried_by_preference(reactor, exchange, alice, new_phone):
    phones = {q: new_phone("bob", port) for q, port in (("0.3", 5090), ("0.9", 5092), ("0.5", 5094))}
    for q, phone in phones.items():
        request = phone.request("REGISTER", "sip:ivr.test", to="<sip:bob@ivr.test>")
        request.headers.set("Contact", f"{phone.contact};q={q}")
        assert phone.ask(request).status == 200
        phone.answer = 486
    phones["0.5"].answer = "accept"
    alice.set_up(number="bob")
    assert {q: phone.methods() for q, phone in phones.items()} == {
        "0.9": ["INVITE"],
        "0.5": ["INVITE", "ACK"],
        "0.3": [],
    }
