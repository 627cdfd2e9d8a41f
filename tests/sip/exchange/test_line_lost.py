"""Lines that are gone for certain: their calls end, and those under way go on elsewhere."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange_event import LineLost

HUB = Address("127.0.0.1", 5060)
DEAD = "sip:line1@127.0.0.1:5080"


def kill(exchange, phone):
    phone.layer.close()
    phone.endpoint.stop()
    exchange.line_lost(phone.user)


def test_answered_calls_are_hung_up_as_the_line_would_have(reactor, exchange, alice, line, events):
    client = alice.set_up()
    kill(exchange, line)
    reactor.run(0.1)
    assert exchange.registrations.keys() == {"alice"}
    ok = client.answers[-1]
    assert events[-1] == LineLost(user="line1", contacts=(DEAD,), calls=(ok.call_id,))
    (bye,) = alice.requests
    assert (bye.method, bye.uri, bye.cseq) == ("BYE", "sip:alice@127.0.0.1:5070", (1, "BYE"))
    assert bye.headers.get("From") == ok.headers.get("To")
    assert bye.headers.get("To") == ok.headers.get("From")
    assert bye.headers.get_all("Route") == []
    assert len(bye.vias) == 1


def test_its_number_follows_those_of_the_line(reactor, exchange, alice, line):
    alice.set_up()
    info = line.hung_up_by_line()
    info.method = "INFO"
    info.headers.set("CSeq", "41 INFO")
    assert line.ask(info).status == 200
    kill(exchange, line)
    reactor.run(0.1)
    assert alice.requests[-1].cseq == (42, "BYE")


def test_a_caller_who_moved_is_found_where_he_is_now(reactor, exchange, alice, line, new_phone):
    client = alice.set_up()
    moved = new_phone("alice", 5074)
    update = alice.inside("UPDATE", client)
    update.headers.set("Contact", moved.contact)
    update.headers.set("CSeq", "50 UPDATE")
    assert moved.ask(update).status == 200
    kill(exchange, line)
    reactor.run(0.1)
    assert moved.methods() == ["BYE"]
    assert alice.requests == []


def test_a_caller_behind_another_proxy_is_reached_by_it(reactor, exchange, alice, line, new_phone):
    proxy = new_phone("proxy", 5066)
    alice.set_up(headers=[("Record-Route", "<sip:127.0.0.1:5066;lr>"), ("Record-Route", "<sip:9.9.9.9;lr>")])
    kill(exchange, line)
    reactor.run(0.1)
    (bye,) = proxy.requests
    assert bye.uri == "sip:alice@127.0.0.1:5070"
    assert bye.headers.get_all("Route") == ["<sip:127.0.0.1:5066;lr>", "<sip:9.9.9.9;lr>"]


def test_calls_that_a_line_placed_end_too(reactor, exchange, line, new_phone, events):
    bob = new_phone("bob", 5090)
    bob.register()
    client = line.set_up(number="bob")
    kill(exchange, line)
    reactor.run(0.1)
    assert bob.methods() == ["INVITE", "ACK", "BYE"]
    assert bob.requests[-1].cseq[0] > client.answers[-1].cseq[0]
    assert len(events[-1].calls) == 1


def test_other_calls_go_on(reactor, exchange, alice, lines, new_phone):
    bob = new_phone("bob", 5090)
    first, second = alice.set_up(), bob.set_up()
    lost = next(phone for phone in lines if phone.requests and phone.requests[0].from_.uri.user == "alice")
    kill(exchange, lost)
    reactor.run(0.1)
    assert (alice.methods(), bob.methods()) == (["BYE"], [])
    assert bob.ask(bob.inside("INFO", second)).status == 200
    assert alice.ask(alice.inside("BYE", first)).status == 481


def test_calls_that_are_over_are_not_ended_again(reactor, exchange, alice, line):
    client = alice.set_up()
    assert alice.ask(alice.inside("BYE", client)).status == 200
    kill(exchange, line)
    reactor.run(1)
    assert alice.requests == []


@pytest.mark.parametrize("answer", ["ring", "silent"])
def test_a_call_under_way_goes_on_to_the_next_line(reactor, exchange, alice, lines, answer):
    lines[0].answer = "ring"
    if answer == "silent":
        lines[0].endpoint.stop()
    client = alice.call()
    reactor.run(0.1)
    kill(exchange, lines[0])
    reactor.run(0.1)
    assert client.answers[-1].status == 200
    alice.layer.send(alice.inside("ACK", client), HUB)
    reactor.run(0.1)
    assert sum(phone.methods().count("ACK") for phone in lines[1:]) == 1


def test_a_call_under_way_to_the_last_line_is_refused(reactor, exchange, alice, line):
    line.answer = "ring"
    client = alice.call()
    reactor.run(0.1)
    kill(exchange, line)
    reactor.run(0.1)
    assert [r.status for r in client.answers] == [100, 180, 503]


def test_a_cancelled_call_to_it_is_cancelled(reactor, exchange, alice, lines):
    lines[0].answer = "ring"
    client = alice.call()
    reactor.run(0.1)
    lines[0].layer.close()
    lines[0].endpoint.stop()
    client.cancel()
    reactor.run(0.1)
    exchange.line_lost("line1")
    reactor.run(0.1)
    assert client.answers[-1].status == 487
    assert [phone.methods() for phone in lines[1:]] == [[], []]


def test_a_request_inside_of_a_call_that_waits_for_it_is_refused(reactor, exchange, alice, line):
    client = alice.set_up()
    line.endpoint.stop()
    info = alice.send(alice.inside("INFO", client))
    reactor.run(0.1)
    exchange.line_lost("line1")
    reactor.run(0.1)
    assert info.answers[-1].status == 481


def test_a_line_that_comes_back_is_called_again(reactor, exchange, alice, line, new_phone):
    kill(exchange, line)
    assert alice.ask(alice.request("INVITE", "sip:5000@ivr.test")).status == 480
    again = new_phone("line1", 5082)
    again.register()
    alice.set_up()
    assert again.methods() == ["INVITE", "ACK"]


def test_a_second_answer_to_one_call_is_ended_by_itself(reactor, exchange, alice, lines):
    """The first line was slow, so the next one was asked; both took the call, and the caller let one go."""
    slow = lines[0]
    held = []
    slow.layer._on_request = lambda server, request, source: held.append(server)
    client = alice.call()
    reactor.run(1.3)
    kept = client.answers[-1]
    alice.layer.send(alice.inside("ACK", client), HUB)
    slow.server = held[0]
    slow.accept()
    reactor.run(0.1)
    late = client.answers[-1]
    assert late.to.tag != kept.to.tag
    alice.layer.send(alice.inside("ACK", client), HUB)
    slow.layer._on_request = slow._on_request
    assert alice.ask(alice.inside("BYE", client)).status == 200
    assert slow.methods() == ["ACK", "BYE"]
    reactor.run(100)
    taker = next(phone for phone in lines[1:] if phone.requests)
    assert taker.ask(taker.hung_up_by_line()).status == 200  # long after the other one ended
    assert alice.methods() == ["BYE"]


def test_a_user_without_bindings_or_calls(reactor, exchange, events):
    exchange.line_lost("line2")
    assert events == [LineLost(user="line2", contacts=(), calls=())]


def test_a_bye_that_nobody_answers_ends_by_itself(reactor, exchange, alice, line):
    alice.set_up()
    alice.endpoint.stop()
    kill(exchange, line)
    reactor.run(40)
    assert len(exchange._layer) == 0
