"""Which calls the exchange remembers, for how long, and what it makes of answers that are half broken."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.call_table import QUIET, CallTable
from ivr_sim.sip.message import BadMessage, Headers, Request, response_to
from ivr_sim.sip.proxy import Target

HUB = Address("127.0.0.1", 5060)
CALLER = Address("127.0.0.1", 5070)
TARGET = Target("sip:line1@127.0.0.1:5080", Address("127.0.0.1", 5080), "line1")
BROKEN = [
    "<sip:line1@127.0.0.1:5080", "sip:", "<>", "", "*", "line1", "<tel:+525512345678>", "<http://h/>",
    "<sip:line1@127.0.0.1:99999>", "<sip:line1@[::1>", "sip:line1@h?a=b", '"open <sip:line1@127.0.0.1>',
    "<sip:@127.0.0.1>", "<sip:a@b@c>", "<sip:line1@127.0.0.1;=x>",
]  # fmt: skip


def invite(call_id: str, *more: tuple[str, str], to_tag: str = "", method: str = "INVITE") -> Request:
    return Request(method, "sip:5000@ivr.test", Headers([
        ("Via", f"SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK{call_id}{method}"),
        ("From", "<sip:a@ivr.test>;tag=a"), ("To", "<sip:5000@ivr.test>" + to_tag),
        ("Call-ID", call_id), ("CSeq", f"1 {method}"),
        ("Contact", "<sip:a@127.0.0.1:5070>"), *more,
    ]))  # fmt: skip


def remember(table: CallTable, call_id: str, now: float = 0.0, *, up: bool = False) -> Request:
    """A call that is being set up or, ``up``, was answered."""
    request = invite(call_id)
    table.remember(request, CALLER, [TARGET], now)
    if up:
        table.answered(response_to(request, 200, to_tag="l"), TARGET, "<sip:us;lr>")
        table.settled(request, now)
    return request


@pytest.mark.parametrize("contact", BROKEN)
def test_an_answer_whose_contact_is_broken_reaches_the_caller(reactor, exchange, alice, line, contact):
    line.answer = "wait"
    client = alice.call()
    reactor.run(0.2)
    server = line.server
    server.accept(response_to(server.request, 200, to_tag=server.to_tag, headers=[("Contact", contact)]))
    reactor.run(0.2)
    assert client.answers[-1].status == 200
    alice.layer.send(alice.request("ACK", "sip:line1@127.0.0.1:5080", call_id=client.request.call_id,
                                   to=client.answers[-1].headers.get("To")), HUB)  # fmt: skip
    exchange.line_lost("line1")
    reactor.run(0.2)
    assert alice.methods() == ["BYE"]  # the call is known, and can be ended for the line


def test_an_answer_with_record_routes_that_lead_nowhere(reactor, exchange, alice, line):
    line.answer = "wait"
    client = alice.call()
    reactor.run(0.2)
    server = line.server
    answer = response_to(server.request, 200, to_tag=server.to_tag, headers=[("Contact", line.contact)])
    answer.headers.prepend("Record-Route", "<tel:5>")
    server.accept(answer)
    reactor.run(0.2)
    assert client.answers[-1].status == 200
    call = exchange._calls.get(client.request.call_id)
    assert [end.routes for end in call.answered.values()] == [()]


def test_an_invite_that_could_not_be_answered_by_its_record_route_is_refused(reactor, exchange, alice, line):
    client = alice.call(headers=[("Record-Route", "<tel:5>")])
    reactor.run(0.2)
    assert client.answers[-1].status == 416
    assert len(exchange._calls) == 0


@pytest.mark.parametrize("method", ["INVITE", "SUBSCRIBE", "REFER"])
def test_a_request_without_hops_leaves_nothing_behind(reactor, exchange, alice, line, method):
    request = alice.request(method, "sip:5000@ivr.test")
    request.headers.set("Max-Forwards", "0")
    assert alice.ask(request).status == 483
    assert exchange._calls.get(request.call_id).over
    reactor.run(40)
    alice.ask(alice.request(method, "sip:5000@ivr.test"))
    assert exchange._calls.get(request.call_id) is None


@pytest.mark.parametrize("status", [302, 404, 408, 480, 482, 487, 503, 603, None])
def test_whatever_an_invite_comes_to_it_is_over_afterwards(reactor, exchange, alice, line, status):
    if status is None:
        line.endpoint.stop()
    line.answer = status
    client = alice.call()
    reactor.run(40)
    assert exchange.calls == 0
    assert client.answers[-1].status == (status or 408)
    assert exchange._calls.get(client.request.call_id).over


def test_what_cannot_be_sent_at_all_leaves_nothing_behind(reactor, exchange, alice, line, monkeypatch):
    def fails(*args):
        raise OSError("no way")

    monkeypatch.setattr(exchange._layer, "request", fails)
    client = alice.call()
    reactor.run(0.2)
    assert client.answers[-1].status == 500
    assert len(exchange._forwarder) == 0
    assert exchange._calls.get(client.request.call_id).over


def test_a_copy_that_is_refused_does_not_end_the_call(reactor, exchange, alice, line):
    """As when an INVITE comes by two ways: the second is refused (482), and the call goes on."""
    client = alice.set_up()
    line.answer = 482
    copy = alice.request("INVITE", "sip:5000@ivr.test", call_id=client.request.call_id)
    assert alice.ask(copy).status == 482
    reactor.run(40)
    alice.call("5001")
    reactor.run(0.2)
    assert alice.ask(alice.inside("BYE", client)).status == 200


def test_a_bye_without_hops_does_not_end_the_call(reactor, exchange, alice, line):
    client = alice.set_up()
    bye = alice.inside("BYE", client)
    bye.headers.set("Max-Forwards", "0")
    assert alice.ask(bye).status == 483
    assert not exchange._calls.get(client.request.call_id).over
    assert exchange.calls == 1


def test_calls_that_are_over_give_way_first():
    table = CallTable(32.0, limit=3)
    remember(table, "up", 0, up=True)
    table.settled(remember(table, "failed", 1), 2)
    remember(table, "ringing", 3)
    remember(table, "new", 4)
    assert [table.get(name) is not None for name in ("up", "failed", "ringing", "new")] == [
        True, False, True, True,
    ]  # fmt: skip


def test_without_room_the_new_call_is_refused():
    table = CallTable(32.0, limit=2)
    remember(table, "up", 0, up=True)
    remember(table, "ringing", 1)
    with pytest.raises(BadMessage) as caught:
        remember(table, "new", 2)
    assert caught.value.status == 503
    remember(table, "up", 3)  # again, as with credentials: it has its room
    assert len(table) == 2
    table.ended(invite("up", to_tag=";tag=l", method="BYE"), 4)
    table.settled(invite("up"), 4)
    remember(table, "new", 5)
    assert table.get("up") is None


def test_the_exchange_without_room_says_so(reactor, exchange, alice, line):
    exchange._calls._limit = 1
    alice.set_up()
    other = alice.call("5001")
    reactor.run(0.2)
    assert other.answers[-1].status == 503


def test_a_call_whose_ends_vanished_gives_way_after_hours_of_silence():
    table = CallTable(32.0, limit=2)
    request = remember(table, "heard", 0, up=True)
    remember(table, "vanished", 1, up=True)
    table.heard(table.get("heard"), request, CALLER, QUIET)
    remember(table, "new", QUIET + 2)
    assert table.get("vanished") is None
    assert table.get("heard") is not None


def test_a_call_that_rings_for_long_is_still_known_when_another_way_to_it_failed():
    table = CallTable(32.0)
    request = remember(table, "call")
    remember(table, "call", 1)
    table.settled(request, 2)  # one of the two
    remember(table, "other", 100)
    assert table.answered(response_to(request, 200, to_tag="l"), TARGET, "<sip:us;lr>") is not None


def test_a_second_answer_takes_a_call_back_that_was_over():
    table = CallTable(32.0)
    request = remember(table, "call", up=True)
    table.ended(invite("call", to_tag=";tag=l", method="BYE"), 1)
    assert table.get("call").over
    table.answered(response_to(request, 200, to_tag="late"), TARGET, "<sip:us;lr>")
    remember(table, "other", 100)
    assert table.get("call") is not None
