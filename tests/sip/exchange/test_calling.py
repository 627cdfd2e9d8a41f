"""Calls between phones and lines by the exchange, and requests inside of them."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange_event import CallRouted
from ivr_sim.sip.message import parse

HUB = Address("127.0.0.1", 5060)


def test_a_call_to_a_number_goes_to_a_line(reactor, exchange, alice, line, events):
    line.extra = [("X-From-Line", "  spaced   out ")]
    client = alice.set_up(headers=[("f-x", "caf\udce9;;"), ("Subject", "one, two")], body=b"v=0\r\n\r\nx")
    assert [r.status for r in client.answers] == [100, 180, 200]
    invite = line.requests[0]
    assert invite.uri == "sip:line1@127.0.0.1:5080"
    assert invite.headers.get("To") == "<sip:5000@ivr.test>"  # as dialled
    assert invite.headers.get("From") == '"alice" <sip:alice@ivr.test>;tag=f5070'
    assert invite.headers.get("f-x") == "caf\udce9;;"
    assert invite.headers.get("Subject") == "one, two"
    assert invite.headers.get("Max-Forwards") == "69"
    assert invite.headers.get_all("Record-Route") == ["<sip:127.0.0.1:5060;lr>"]
    assert len(invite.vias) == 2
    assert invite.body == b"v=0\r\n\r\nx"
    ok = client.answers[-1]
    assert len(ok.vias) == 1
    assert ok.headers.get("X-From-Line") == "spaced   out"
    assert ok.headers.get_all("Record-Route") == ["<sip:127.0.0.1:5060;lr>"]
    assert ok.body == b"v=0"
    assert line.methods() == ["INVITE", "ACK"]
    assert events[-1] == CallRouted(
        call_id=ok.call_id,
        caller="alice",
        source=Address("127.0.0.1", 5070),
        dialled="5000",
        user="line1",
        contact="sip:line1@127.0.0.1:5080",
    )


def test_inside_of_a_call_both_ends_are_reached(reactor, exchange, alice, line):
    client = alice.set_up()
    for method in ("INFO", "INVITE", "UPDATE"):
        assert alice.ask(alice.inside(method, client)).status == 200
    alice.layer.send(alice.inside("ACK", client), HUB)
    reactor.run(1)
    assert line.requests[-3].headers.get_all("Record-Route") == ["<sip:127.0.0.1:5060;lr>"]
    assert line.requests[2].headers.get_all("Route") == []
    assert line.requests[2].headers.get("Max-Forwards") == "69"
    assert line.methods() == ["INVITE", "ACK", "INFO", "INVITE", "UPDATE", "ACK"]
    assert line.ask(line.hung_up_by_line()).status == 200
    assert alice.methods() == ["BYE"]
    assert alice.requests[0].uri == "sip:alice@127.0.0.1:5070"


@pytest.mark.parametrize("uri", [None, "sip:5000@ivr.test", "sip:5000@127.0.0.1:5060"])
def test_clients_that_ignore_record_route(reactor, exchange, alice, line, uri):
    """Stock pyVoIP and SIPp's own scenarios write to the exchange for the whole call, without Route."""
    client = alice.call()
    reactor.run(1)
    alice.layer.send(alice.inside("ACK", client, routed=False, uri=uri), HUB)
    reactor.run(1)
    assert alice.ask(alice.inside("INFO", client, routed=False, uri=uri)).status == 200
    assert line.ask(line.hung_up_by_line(routed=False)).status == 200
    assert line.methods() == ["INVITE", "ACK", "INFO"]
    assert alice.methods() == ["BYE"]


def test_a_registered_user_is_called_at_his_phone(reactor, exchange, alice, line, events, new_phone):
    bob = new_phone("bob", 5090)
    bob.register()
    alice.set_up(number="bob")
    assert bob.methods() == ["INVITE", "ACK"]
    assert line.requests == []
    assert events[-1].user == "bob"


def test_a_user_who_is_not_there(reactor, exchange, alice, line):
    assert alice.ask(alice.request("INVITE", "sip:bob@ivr.test")).status == 480
    assert line.requests == []


def test_no_line_at_all(reactor, exchange, alice):
    assert alice.ask(alice.request("INVITE", "sip:5000@ivr.test")).status == 480


@pytest.mark.parametrize(
    ("uri", "status"),
    [("sip:5000@elsewhere.test", 403), ("sip:ivr.test", 404), ("tel:+52551234", 416),
     ("sip:5000@ivr.test:9", 403), ("sip:5000@IVR.TEST", 200), ("sip:5000@127.0.0.1", 200),
     ("sip:5000@localhost:5060", 200)],
)  # fmt: skip
def test_what_is_ours(reactor, exchange, alice, line, uri, status):
    assert alice.ask(alice.request("INVITE", uri)).status == status
    if status == 200:
        line.server.acknowledged()


def test_the_caller_behind_nat_is_reached_where_he_wrote_from(reactor, exchange, line):
    """Contact and Via name a private address; INVITE, answers and BYE go by the public one."""
    public = Address("203.0.113.9", 40_000)
    got = []
    reactor.listenUDP(public[1], Sink(got), public[0])
    invite = (
        "INVITE sip:5000@ivr.test SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5:5070;branch=z9hG4bKn;rport\r\n"
        "From: <sip:x@ivr.test>;tag=f\r\nTo: <sip:5000@ivr.test>\r\nCall-ID: nat\r\nCSeq: 1 INVITE\r\n"
        "Contact: <sip:x@10.0.0.5:5070>\r\n\r\n"
    )
    reactor.inject(invite.encode(), public, HUB)
    reactor.run(0.2)
    assert [parse(data).status for data in got] == [100, 180, 200]
    line.server.acknowledged()
    line.send(line.hung_up_by_line())
    reactor.run(0.2)
    assert got[-1].startswith(b"BYE sip:x@10.0.0.5:5070 SIP/2.0")


class Sink:
    """A port that keeps what it gets."""

    def __init__(self, got: list[bytes]) -> None:
        self.got = got

    def makeConnection(self, transport) -> None:  # noqa: N802
        self.transport = transport

    def datagramReceived(self, data, addr) -> None:  # noqa: N802
        self.got.append(data)

    def doStop(self) -> None:  # noqa: N802
        self.transport = None
