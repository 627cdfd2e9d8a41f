"""What RFC 3261 section 16 demands of whoever forwards."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address

HUB = Address("127.0.0.1", 5060)


def test_max_forwards(reactor, exchange, alice, line):
    request = alice.request("INVITE", "sip:5000@ivr.test")
    request.headers.set("Max-Forwards", "0")
    assert alice.ask(request).status == 483
    request = alice.request("OPTIONS", "sip:ivr.test")
    request.headers.set("Max-Forwards", "0")
    assert alice.ask(request).status == 200  # it has arrived
    request = alice.request("MESSAGE", "sip:5000@ivr.test")
    request.headers.remove("Max-Forwards")
    assert alice.ask(request).status == 200
    assert line.requests[-1].headers.get("Max-Forwards") == "69"


def test_options_to_the_exchange_itself(reactor, exchange, alice):
    reply = alice.ask(alice.request("OPTIONS", "sip:127.0.0.1:5060"))
    assert reply.status == 200
    assert "INVITE" in reply.headers.get_all("Allow")


def test_extensions_that_nobody_here_has(reactor, exchange, alice, line):
    for method, uri, header in (
        ("INVITE", "sip:5000@ivr.test", "Proxy-Require"),
        ("OPTIONS", "sip:ivr.test", "Require"),
        ("REGISTER", "sip:ivr.test", "Require"),
    ):
        reply = alice.ask(alice.request(method, uri, headers=[(header, "nothingSupportsThis, foo")]))
        assert reply.status == 420
        assert reply.headers.get_all("Unsupported") == ["nothingSupportsThis", "foo"]
    assert line.requests == []


def test_a_loop_is_detected(reactor, exchange, alice, line):
    request = alice.request(
        "INVITE", "sip:5000@ivr.test", headers=[("Via", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKo")]
    )
    assert alice.ask(request).status == 482


def test_no_open_relay(reactor, exchange, alice, line):
    bye = alice.request("BYE", "sip:victim@127.0.0.1:9999", to="<sip:v@h>;tag=t")
    assert alice.ask(bye).status == 481
    routed = alice.request("INVITE", "sip:5000@ivr.test", headers=[("Route", "<sip:127.0.0.1:9999;lr>")])
    assert alice.ask(routed).status == 403
    alice.layer.send(alice.request("ACK", "sip:v@127.0.0.1:9999", to="<sip:v@h>;tag=t"), HUB)
    reactor.run(1)
    assert not [d for _, _, destination, d in reactor.sent if destination[1] == 9999]


def test_preloaded_routes_to_the_exchange_are_taken_off(reactor, exchange, alice, line):
    client = alice.set_up(headers=[("Route", "<sip:127.0.0.1:5060;lr>, <sip:ivr.test;lr>")])
    assert client.answers[-1].status == 200
    assert line.requests[0].headers.get("Route") is None


def test_a_strict_router_before_us(reactor, exchange, alice, line):
    """It put our Record-Route into the Request-URI and the target behind the Routes (section 16.4)."""
    client = alice.set_up()
    info = alice.inside("INFO", client, routed=False, uri="sip:127.0.0.1:5060;lr")
    info.headers.add("Route", "<sip:line1@127.0.0.1:5080>")
    assert alice.ask(info).status == 200
    assert line.requests[-1].uri == "sip:line1@127.0.0.1:5080"


def test_routes_beyond_us_are_followed(reactor, exchange, alice, line, new_phone):
    other = new_phone("other", 5100)
    client = alice.set_up()
    info = alice.inside("INFO", client)
    info.headers.add("Route", "<sip:127.0.0.1:5100;lr>")
    assert alice.ask(info).status == 200
    assert other.requests[0].uri == "sip:line1@127.0.0.1:5080"
    assert other.requests[0].headers.get_all("Route") == ["<sip:127.0.0.1:5100;lr>"]
    strict = alice.inside("INFO", client)
    strict.headers.add("Route", "<sip:127.0.0.1:5100>")
    assert alice.ask(strict).status == 200
    assert other.requests[1].uri == "sip:127.0.0.1:5100"
    assert other.requests[1].headers.get_all("Route") == ["<sip:line1@127.0.0.1:5080>"]


def test_a_call_is_remembered_a_while_after_its_end(reactor, exchange, alice, line):
    client = alice.set_up()
    bye = alice.inside("BYE", client)
    assert alice.ask(bye).status == 200
    again = alice.inside("BYE", client)
    assert alice.ask(again).status == 200  # reaches the line, which says what it thinks of it
    reactor.run(100)
    alice.set_up()
    assert alice.ask(alice.inside("BYE", client)).status == 481
    assert len(exchange._calls) == 1


def test_a_spiral_passes(reactor, exchange, alice, line, new_phone):
    """By way of another proxy a call comes round to us once more, for somebody else: no loop."""
    bob = new_phone("bob", 5090)
    bob.register()

    def onwards(server, request, source) -> None:
        copy = request.copy()
        copy.uri = "sip:5000@ivr.test"
        bob.layer.request(copy, HUB, lambda response: answered(server, response))

    def answered(server, response) -> None:
        response.headers.pop_first("Via")
        server.respond(response)

    bob.layer._on_request = onwards
    client = alice.call("bob")
    reactor.run(0.5)
    assert client.answers[-1].status == 200
    assert line.methods() == ["INVITE"]
    line.server.acknowledged()


def test_a_loop_by_another_proxy_is_detected(reactor, exchange, alice, new_phone):
    bob = new_phone("bob", 5090)
    bob.register()
    refusals = []

    def back(server, request, source) -> None:
        copy = request.copy()
        copy.uri = "sip:bob@ivr.test"
        bob.layer.request(copy, HUB, lambda response: answered(server, response))

    def answered(server, response) -> None:
        refusals.append(response.status)
        response.headers.pop_first("Via")
        server.respond(response)

    bob.layer._on_request = back
    client = alice.call("bob")
    reactor.run(0.5)
    assert refusals == [482]
    assert client.answers[-1].status == 482


@pytest.mark.parametrize(
    "method", ["UPDATE", "PRACK", "INFO", "REFER", "NOTIFY", "MESSAGE", "SUBSCRIBE", "FOO"]
)
def test_all_methods_pass_inside_of_a_call_both_ways(reactor, exchange, alice, line, method):
    client = alice.set_up()
    assert alice.ask(alice.inside(method, client)).status == 200
    back = line.hung_up_by_line()
    back.method = method
    back.headers.set("CSeq", f"99 {method}")
    assert line.ask(back).status == 200
    assert (line.methods()[-1], alice.methods()[-1]) == (method, method)
