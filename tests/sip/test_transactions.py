"""The transaction layer on virtual time: two ends, one network in memory, and patterns of loss."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.identifiers import new_branch, new_call_id, new_tag
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import BadMessage, Headers, Request, parse, response_to
from ivr_sim.sip.transactions import TransactionLayer
from ivr_sim.sip.transport import UdpEndpoint

CALLER, CALLEE = Address("127.0.0.1", 5070), Address("127.0.0.1", 5080)


class End:
    """One end: a layer, and all that it was told, with the time."""

    def __init__(self, reactor: MemoryReactor, port: int, **options) -> None:
        self.reactor = reactor
        self.endpoint = UdpEndpoint(reactor, port=port)
        self.endpoint.start()
        self.told: list[tuple[float, object]] = []
        self.servers = []
        self.acks = []
        self.strays = []
        self.answer = lambda server, request: server.reply(200)
        self.layer = TransactionLayer(
            reactor,
            self.endpoint,
            self._on_request,
            on_ack=lambda ack, source: self.acks.append(ack),
            on_stray=lambda response, source: self.strays.append(response),
            **options,
        )

    def _on_request(self, server, request, source):
        self.servers.append(server)
        self.answer(server, request)

    def tell(self, what: object) -> None:
        self.told.append((round(self.reactor.seconds(), 3), what))

    def request(self, method: str = "OPTIONS"):
        headers = Headers([
            ("From", "<sip:a@h>;tag=f"), ("To", "<sip:b@h>"), ("Call-ID", "c1"), ("CSeq", f"1 {method}"),
        ])  # fmt: skip
        request = Request(method, "sip:b@127.0.0.1:5080", headers)
        return self.layer.request(
            request, CALLEE, lambda response: self.tell(response.status), lambda: self.tell("timeout")
        )


@pytest.fixture
def reactor():
    reactor = MemoryReactor(latency=0.01)
    yield reactor
    reactor.run(200)
    assert reactor.getDelayedCalls() == [], "a timer that never ends"


@pytest.fixture
def caller(reactor):
    end = End(reactor, CALLER[1])
    yield end
    reactor.run(200)
    assert len(end.layer) == 0, "a transaction that never ends"


@pytest.fixture
def callee(reactor):
    end = End(reactor, CALLEE[1])
    yield end
    reactor.run(200)
    assert len(end.layer) == 0, "a transaction that never ends"


def wire(reactor) -> list[tuple[float, int, str]]:
    """All datagrams: when, from which port, the first word or the status."""
    found = []
    for time, source, _, data in reactor.sent:
        words = data.split(b" ", 2)
        found.append((round(time, 2), source[1], (words[1] if words[0] == b"SIP/2.0" else words[0]).decode()))
    return found


def test_request_and_answer(reactor, caller, callee):
    caller.request()
    reactor.run(1)
    assert caller.told == [(0.02, 200)]
    assert [m for _, _, m in wire(reactor)] == ["OPTIONS", "200"]
    request = callee.servers[0].request
    assert request.top_via.branch.startswith("z9hG4bK")
    assert request.top_via.rport == CALLER[1]
    assert callee.servers[0].source == CALLER


# Which datagrams are lost, when the answer is there, how often the request was handled.
LOSSES = [
    ([], 0.02),
    ([True], 0.52),
    ([True, True, True], 3.52),
    ([False, True], 0.52),  # the answer is lost: the repeated request gets it again
    ([False, True, False, True], 1.52),
    ([True] * 6, 11.52 + 4),
]


@pytest.mark.parametrize(("loss", "when"), LOSSES)
def test_a_lossy_network(reactor, caller, callee, loss, when):
    reactor.lose(loss)
    caller.request()
    reactor.run(40)
    assert caller.told == [(when, 200)]
    assert len(callee.servers) == 1


def test_nobody_there(reactor, caller):
    caller.request()
    reactor.run(100)
    assert caller.told == [(32.0, "timeout")]
    assert [t for t, _, _ in wire(reactor)] == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def test_invite_nobody_there(reactor, caller):
    caller.request("INVITE")
    reactor.run(100)
    assert caller.told == [(32.0, "timeout")]
    assert [t for t, _, _ in wire(reactor)] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


@pytest.mark.parametrize(
    "loss", [[], [True], [False, True], [False, False, True], [True, False, True, False, True]]
)
def test_refused_invite_is_acknowledged_by_the_layer(reactor, caller, callee, loss):
    callee.answer = lambda server, request: server.reply(486)
    no_ack = []
    reactor.lose(loss)
    caller.request("INVITE")
    reactor.run(20, until=lambda: bool(callee.servers))
    callee.servers[0].on_no_ack = lambda: no_ack.append(1)
    reactor.run(50)
    assert [status for _, status in caller.told] == [486]
    assert len(callee.servers) == 1
    assert callee.acks == []  # of 3xx-6xx they are the layer's business
    assert no_ack == []
    kinds = [m for _, _, m in wire(reactor)]
    assert kinds.count("ACK") >= 1
    ack = next(parse(d) for _, _, _, d in reactor.sent if d.startswith(b"ACK"))
    assert ack.to.tag == callee.servers[0].to_tag


def test_refusal_never_acknowledged(reactor, callee):
    callee.answer = lambda server, request: server.reply(486)
    no_ack = []
    reactor.inject(INVITE, CALLER, CALLEE)
    callee.servers[0].on_no_ack = lambda: no_ack.append(round(reactor.seconds(), 2))
    reactor.run(100)
    assert no_ack == [32.0]
    assert [t for t, _, _ in wire(reactor)] == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


INVITE = (
    b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=f\r\n"
    b"To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
)


def accepting(server, request):
    server.reply(180)
    server.accept(response_to(request, 200, to_tag=server.to_tag))


def test_accepted_invite_is_repeated_until_its_ack(reactor, caller, callee):
    callee.answer = accepting
    client = caller.request("INVITE")
    reactor.run(4)
    assert caller.told == [(0.02, 180), (0.02, 200), (0.52, 200), (1.52, 200), (3.52, 200)]
    ack = client.request.copy()
    ack.method = "ACK"
    ack.headers.set("CSeq", "1 ACK")
    ack.headers.remove("Via")
    caller.layer.send(ack, CALLEE)
    reactor.run(0.1)
    assert [a.call_id for a in callee.acks] == ["c1"]
    callee.servers[0].acknowledged()
    reactor.run(100)
    assert len(caller.told) == 5


def test_accepted_invite_never_acknowledged(reactor, callee):
    no_ack = []

    def answer(server, request):
        server.on_no_ack = lambda: no_ack.append(round(reactor.seconds(), 2))
        accepting(server, request)

    callee.answer = answer
    reactor.inject(INVITE, CALLER, CALLEE)
    reactor.inject(INVITE, CALLER, CALLEE)  # absorbed (RFC 6026)
    reactor.run(100)
    assert no_ack == [32.0]
    assert len(callee.servers) == 1
    assert [m for _, _, m in wire(reactor)] == ["180"] + 11 * ["200"]


def test_ack_with_the_branch_of_its_invite_is_passed_on(reactor, callee):
    callee.answer = accepting
    reactor.inject(INVITE, CALLER, CALLEE)
    reactor.inject(INVITE.replace(b"INVITE", b"ACK"), CALLER, CALLEE)
    assert len(callee.acks) == 1
    callee.servers[0].acknowledged()


def test_a_copy_of_an_invite_gets_the_last_answer_again(reactor, callee):
    callee.answer = lambda server, request: (server.reply(180), server.reply(183))
    for _ in range(3):
        reactor.inject(INVITE, CALLER, CALLEE)
    assert [m for _, _, m in wire(reactor)] == ["180", "183", "183", "183"]
    assert len(callee.servers) == 1
    callee.servers[0].reply(480)


# Cancelling ----------------------------------------------------------------------------------------


def ringing(server, request):
    server.on_cancel = lambda: server.reply(487)
    server.reply(180)


@pytest.mark.parametrize("loss", [[], [False, False, True], [False, False, False, True, True]])
def test_cancel_while_ringing(reactor, caller, callee, loss):
    callee.answer = ringing
    reactor.lose(loss)
    client = caller.request("INVITE")
    reactor.run(0.5, until=lambda: client.state == "proceeding")
    client.cancel()
    client.cancel()
    reactor.run(100)
    assert [status for _, status in caller.told] == [180, 487]
    assert len({d for _, _, _, d in reactor.sent if d.startswith(b"CANCEL")}) == 1
    cancel = next(parse(d) for _, _, _, d in reactor.sent if d.startswith(b"CANCEL"))
    assert cancel.top_via.branch == client.request.top_via.branch
    assert len(callee.servers) == 1


def test_cancel_waits_for_a_sign_of_life(reactor, caller, callee):
    callee.answer = ringing
    reactor.lose([True, True])
    client = caller.request("INVITE")
    client.cancel()
    reactor.run(100)
    assert [status for _, status in caller.told] == [180, 487]
    assert [m for _, _, m in wire(reactor)][:4] == ["INVITE", "INVITE", "INVITE", "180"]


def test_cancel_from_within_the_answer_is_sent_once(reactor, caller, callee):
    callee.answer = ringing
    client = caller.request("INVITE")
    client.cancel()
    tell = caller.tell
    caller.tell = lambda what: (tell(what), client.cancel())
    reactor.run(1)
    assert [m for _, _, m in wire(reactor)].count("CANCEL") == 1


def test_cancel_that_crosses_the_answer(reactor, caller, callee):
    callee.answer = accepting
    client = caller.request("INVITE")
    client.cancel()
    reactor.run(0.1)
    assert 200 in [status for _, status in caller.told]
    assert client.state == "accepted"
    callee.servers[0].acknowledged()
    client.cancel()
    reactor.run(10)
    assert [m for _, _, m in wire(reactor)].count(
        "CANCEL"
    ) == 1  # sent on the 180, answered 200, without effect


def test_cancelled_and_no_final_answer(reactor, caller, callee):
    callee.answer = lambda server, request: server.reply(180)
    client = caller.request("INVITE")
    reactor.run(1)
    client.cancel()
    reactor.run(100)
    assert caller.told == [(0.02, 180), (33.0, "timeout")]
    callee.servers[0].reply(480)


def test_cancel_for_nothing(reactor, callee):
    reactor.inject(INVITE.replace(b"INVITE", b"CANCEL"), CALLER, CALLEE)
    assert [m for _, _, m in wire(reactor)] == ["481"]


def test_cancel_is_answered_with_the_tag_of_the_call(reactor, callee):
    callee.answer = ringing
    reactor.inject(INVITE, CALLER, CALLEE)
    reactor.inject(INVITE.replace(b"INVITE", b"CANCEL"), CALLER, CALLEE)
    answers = [parse(d) for _, _, _, d in reactor.sent]
    assert [(a.status, a.cseq[1]) for a in answers] == [(180, "INVITE"), (200, "CANCEL"), (487, "INVITE")]
    assert len({a.to.tag for a in answers}) == 1


# What goes wrong -----------------------------------------------------------------------------------


def test_a_handler_that_fails_is_answered_for(reactor, callee):
    def refuse(server, request):
        raise BadMessage(416, "Unsupported URI Scheme")

    def break_(server, request):
        raise RuntimeError("a bug")

    for answer, status in ((refuse, "416"), (break_, "500")):
        callee.answer = answer
        reactor.inject(
            INVITE.replace(b"INVITE", b"OPTIONS").replace(b"bKx", b"bK" + status.encode()), CALLER, CALLEE
        )
        assert wire(reactor)[-1][2] == status


def test_strays_are_told_apart(reactor, caller):
    reactor.inject(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKno\r\nFrom: <sip:a@h>;tag=f\r\n"
        b"To: <sip:b@h>;tag=t\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n",
        CALLEE,
        CALLER,
    )
    reactor.inject(INVITE.replace(b"INVITE", b"ACK"), CALLEE, CALLER)
    assert [s.status for s in caller.strays] == [200]
    assert len(caller.acks) == 1
    assert reactor.sent == []


def test_a_flood_is_answered_and_forgotten(reactor):
    end = End(reactor, 5090, max_transactions=10)
    for i in range(100):
        reactor.inject(
            INVITE.replace(b"bKx", b"bK%d" % (i + 1000)).replace(b"INVITE", b"OPTIONS"),
            CALLER,
            Address("127.0.0.1", 5090),
        )
    assert len(end.layer) == 10
    assert [m for _, _, m in wire(reactor)] == ["200"] * 10 + ["503"] * 90
    reactor.run(40)
    assert len(end.layer) == 0


def test_a_request_that_is_never_answered_is_forgotten(reactor, callee):
    callee.answer = lambda server, request: None
    reactor.inject(INVITE.replace(b"INVITE", b"OPTIONS"), CALLER, CALLEE)
    assert len(callee.layer) == 1
    reactor.run(33)
    assert len(callee.layer) == 0


def test_close_stops_everything(reactor):
    end = End(reactor, 5090)
    end.answer = accepting
    end.request("INVITE")
    reactor.inject(INVITE, CALLER, Address("127.0.0.1", 5090))
    end.layer.close()
    end.endpoint.stop()
    reactor.run(0.1)
    assert reactor.getDelayedCalls() == []
    assert len(end.layer) == 0


def test_answers_go_to_the_source_when_asked_to(reactor, callee):
    nat = Address("10.9.9.9", 40_000)
    reactor.inject(INVITE.replace(b"branch", b"rport;branch").replace(b"INVITE", b"OPTIONS"), nat, CALLEE)
    reactor.inject(INVITE.replace(b"bKx", b"bKy").replace(b"INVITE", b"OPTIONS"), nat, CALLEE)
    assert [destination for _, _, destination, _ in reactor.sent] == [nat, Address("10.9.9.9", 5070)]


def test_identifiers_do_not_repeat():
    for make in (new_branch, new_tag, lambda: new_call_id("h")):
        assert len({make() for _ in range(1000)}) == 1000
