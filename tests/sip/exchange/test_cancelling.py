"""Calls that are called off, ring for too long, or lose datagrams."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange_event import LineSilent
from ivr_sim.sip.message import response_to
from ivr_sim.sip.transaction import cancel_for

HUB = Address("127.0.0.1", 5060)


def test_cancel_while_ringing(reactor, exchange, alice, line):
    line.answer = "ring"
    client = alice.call()
    reactor.run(1)
    client.cancel()
    reactor.run(1)
    assert [r.status for r in client.answers] == [100, 180, 487]
    assert line.methods() == ["INVITE"]
    assert line.server.state in ("confirmed", "terminated")


def test_cancel_before_the_line_gave_a_sign(reactor, exchange, alice, line, events):
    line.endpoint.stop()
    client = alice.call()
    reactor.run(1)
    client.cancel()
    reactor.run(0.2)
    assert [r and r.status for r in client.answers] == [100, 487]
    reactor.run(60)
    assert [r and r.status for r in client.answers] == [100, 487]
    assert [event.contact for event in events if isinstance(event, LineSilent)] == [
        "sip:line1@127.0.0.1:5080"
    ]


@pytest.fixture
def called_off(reactor, exchange, alice, line):
    """A call that its caller gave up while the line, which has its INVITE, had not said anything."""
    held = []
    line.layer._on_request = lambda server, request, source: (
        held.append(server) if request.method == "INVITE" else line._on_request(server, request, source)
    )
    client = alice.call()
    reactor.run(0.5)
    client.cancel()
    reactor.run(0.2)
    assert [r.status for r in client.answers] == [100, 487]
    (server,) = held
    line.server = server
    return server


def test_a_silent_line_that_wakes_is_called_off(reactor, alice, line, called_off):
    told = []
    called_off.on_cancel = lambda: (told.append("CANCEL"), called_off.reply(487))
    called_off.reply(180)
    reactor.run(0.2)
    assert told == ["CANCEL"]
    assert called_off.state == "confirmed"
    assert "ACK" not in alice.methods()


@pytest.mark.parametrize("contact", ["<sip:line1@127.0.0.1:5080>", "broken"])
def test_a_silent_line_that_takes_a_call_given_up_is_let_go(
    reactor, exchange, alice, line, called_off, contact
):
    """The caller has his 487; nobody but the exchange can acknowledge this 200, and hang up."""
    ok = response_to(called_off.request, 200, to_tag=called_off.to_tag, headers=[("Contact", contact)])
    called_off.accept(ok)
    reactor.run(0.2)
    assert line.methods() == ["ACK", "BYE"]
    ack, bye = line.requests
    number = called_off.request.cseq[0]
    assert (ack.cseq, bye.cseq) == ((number, "ACK"), (number + 1, "BYE"))
    for request in (ack, bye):
        assert request.headers.get("From") == called_off.request.headers.get("From")
        assert request.to.tag == called_off.to_tag
    called_off.respond(ok)  # its ACK was lost
    reactor.run(0.2)
    assert line.methods() == ["ACK", "BYE", "ACK"]
    assert exchange._calls.get(ok.call_id).over


def test_a_line_that_takes_a_call_when_another_had_refused_it_is_let_go(reactor, exchange, alice, lines):
    """It was passed over, and was too late; its 200 has no way back to a caller who was told 486."""
    held = []
    lines[0].layer._on_request = lambda server, request, source: (
        held.append(server) if request.method == "INVITE" else lines[0]._on_request(server, request, source)
    )
    lines[1].answer = lines[2].answer = 486
    client = alice.call()
    reactor.run(2)
    assert client.answers[-1].status == 486
    (late,) = held
    lines[0].server = late
    late.accept(response_to(late.request, 200, to_tag="late", headers=[("Contact", lines[0].contact)]))
    reactor.run(0.2)
    assert lines[0].methods() == ["ACK", "BYE"]
    assert client.answers[-1].status == 486


def test_ringing_ends_after_three_minutes(reactor, exchange, alice, line):
    line.answer = "ring"
    client = alice.call()
    reactor.run(180)
    assert client.answers[-1].status == 180
    reactor.run(10)
    assert client.answers[-1].status == 408
    assert line.server.state != "proceeding"


def test_a_cancelled_line_that_answers_nevertheless_is_heard(reactor, exchange, alice, lines):
    """A line so slow that it was passed over: its 200 still reaches the caller (section 16.7 step 5)."""
    slow = lines[0]
    held = []
    slow.layer._on_request = lambda server, request, source: held.append(server)
    client = alice.call()
    reactor.run(3)
    assert client.answers[-1].status == 200
    ok = len([r for r in client.answers if r.status == 200])
    slow.server = held[0]
    slow.server.respond(response_to(held[0].request, 200, to_tag="late", headers=[("Contact", slow.contact)]))
    reactor.run(0.1)
    late = [r for r in client.answers if r.status == 200][ok:]
    assert "late" in [r.to.tag for r in late]


PATTERNS = [
    [True], [False, True], [False, False, True], [False, False, False, True], [False] * 4 + [True],
    [False] * 5 + [True], [False, True] * 10, [True, True, False] * 6, [False, False, True, True] * 6,
]  # fmt: skip


@pytest.mark.parametrize("loss", PATTERNS)
def test_calls_survive_lost_datagrams(reactor, exchange, alice, line, loss):
    """Set-up and hang-up under every pattern; copies are absorbed, so each request is seen once."""
    reactor.lose(loss)
    client = alice.call()
    reactor.run(60, until=lambda: bool(client.answers) and client.answers[-1].status == 200)
    ack = alice.inside("ACK", client)
    acknowledged = 0
    for _ in range(64):
        copies = sum(1 for r in client.answers if r.status == 200)
        for _ in range(copies - acknowledged):
            alice.layer.send(ack, HUB)
        acknowledged = copies
        reactor.run(0.5)
    assert line.methods().count("ACK") >= 1
    assert alice.ask(alice.inside("BYE", client), 40).status == 200
    assert line.methods().count("INVITE") == 1
    assert line.methods().count("BYE") == 1


def test_cancel_after_the_answer_changes_nothing(reactor, exchange, alice, line):
    client = alice.set_up()
    cancel = cancel_for(client.request)
    alice.endpoint.send(cancel, HUB)
    reactor.run(1)
    assert line.methods() == ["INVITE", "ACK"]
    assert alice.ask(alice.inside("INFO", client)).status == 200


def test_cancel_while_the_next_line_rings_reaches_both(reactor, exchange, alice, lines):
    """The first line was too slow with its first sign; it rings too when the caller gives up."""
    held = []
    lines[0].layer._on_request = lambda server, request, source: held.append(server)
    lines[1].answer = lines[2].answer = "ring"
    client = alice.call()
    reactor.run(1.5)
    (late,) = held
    told = []
    late.on_cancel = lambda: (told.append("CANCEL"), late.reply(487))
    late.reply(180)
    reactor.run(0.1)
    assert told == ["CANCEL"]  # at its first sign, since another line was asked
    client.cancel()
    reactor.run(1)
    assert client.answers[-1].status == 487
    assert sum(phone.server is not None and phone.server.state != "proceeding" for phone in lines) == 1


def test_a_re_invite_that_is_called_off_is_the_ends_own_affair(reactor, exchange, alice, line):
    """Its 200 comes in spite of the CANCEL, and reaches whoever asked: the call goes on."""
    client = alice.set_up()
    held = []
    line.layer._on_request = lambda server, request, source: (
        held.append(server) if request.method == "INVITE" else line._on_request(server, request, source)
    )
    again = alice.send(alice.inside("INVITE", client))
    reactor.run(0.3)
    again.cancel()
    alice.endpoint.send(cancel_for(again.request), HUB)  # also before any sign, which a phone may not
    reactor.run(0.3)
    assert again.answers == []
    (server,) = held
    server.reply(200, headers=[("Contact", line.contact)])
    reactor.run(0.3)
    assert [r.status for r in again.answers] == [200]
    assert "BYE" not in line.methods()
    assert alice.ask(alice.inside("INFO", client)).status == 200
