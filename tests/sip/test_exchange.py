"""The exchange end to end on virtual time: phones and lines that register, call, cancel and hang up."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr_sim.errors import ConfigurationError
from ivr_sim.sip import digest
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.exchange_event import (
    Admitted,
    CallRouted,
    Challenged,
    HostHeard,
    LineSilent,
    MessageRefused,
    Refused,
    Registered,
    TurnedAway,
    Unregistered,
)
from ivr_sim.sip.identifiers import new_call_id
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Headers, Request, parse, response_to
from ivr_sim.sip.transactions import TransactionLayer
from ivr_sim.sip.transport import UdpEndpoint
from ivr_sim.sip.uri import NameAddr, Uri

HUB = ("127.0.0.1", 5060)
MALLORY = ("127.0.0.1", 5099)
ACCOUNTS = {name: f"secret-{name}" for name in ("alice", "bob", "line1", "line2", "line3")}
LINES = ["line1", "line2", "line3"]


class Phone:
    """A phone of few words: it registers, answers as told, and keeps all that it saw."""

    def __init__(self, reactor, user: str, port: int, *, hub=HUB) -> None:
        self.reactor, self.user, self.port, self.hub = reactor, user, port, hub
        self.endpoint = UdpEndpoint(reactor, port=port)
        self.endpoint.start()
        self.layer = TransactionLayer(reactor, self.endpoint, self._on_request, on_ack=self._on_ack)
        self.requests: list[Request] = []
        self.server = None
        self.answer = "accept"
        self.extra: list[tuple[str, str]] = []
        self._numbers = itertools.count(1)

    @property
    def contact(self) -> str:
        return f"<sip:{self.user}@127.0.0.1:{self.port}>"

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def _on_request(self, server, request, source) -> None:
        self.requests.append(request)
        if request.method != "INVITE":
            server.reply(200, headers=self.extra)
            return
        self.server = server
        if isinstance(self.answer, int):
            server.reply(self.answer)
            return
        server.reply(180)
        if self.answer == "accept":
            self.accept()
        else:
            server.on_cancel = lambda: server.reply(487)

    def accept(self) -> None:
        server = self.server
        server.accept(response_to(server.request, 200, to_tag=server.to_tag,
                                  headers=[("Contact", self.contact), *self.extra], body=b"v=0"))  # fmt: skip

    def _on_ack(self, request, source) -> None:
        self.requests.append(request)
        if self.server is not None:
            self.server.acknowledged()

    def request(self, method: str, uri: str, *, call_id=None, headers=(), body=b"", to=None) -> Request:
        return Request(method, uri, Headers([
            ("From", f'"{self.user}" <sip:{self.user}@ivr.test>;tag=f{self.port}'), ("To", to or f"<{uri}>"),
            ("Call-ID", call_id or new_call_id("h")), ("CSeq", f"{next(self._numbers)} {method}"),
            ("Max-Forwards", "70"), ("Contact", self.contact), *headers,
        ]), body)  # fmt: skip

    def send(self, request: Request):
        answers = []
        client = self.layer.request(request, self.hub, answers.append, lambda: answers.append(None))
        client.answers = answers
        return client

    def ask(self, request: Request, seconds: float = 1.0):
        """Send a request, let time pass, and give the last answer; challenges are answered."""
        client = self.send(request)
        self.reactor.run(seconds)
        response = client.answers[-1]
        if response is not None and response.status in (401, 407) and "Authorization" not in request.headers:
            name, value = digest.answer(response, method=request.method, uri=request.uri, user=self.user,
                                        password=ACCOUNTS[self.user], cnonce="c")  # fmt: skip
            again = request.copy()
            again.headers.set("CSeq", f"{next(self._numbers)} {request.method}")
            again.headers.set(name, value)
            client = self.send(again)
            self.reactor.run(seconds)
            response = client.answers[-1]
        return response

    def register(self):
        return self.ask(self.request("REGISTER", "sip:ivr.test", to=f"<sip:{self.user}@ivr.test>"))

    def unregister(self):
        headers = [("Expires", "0")]
        return self.ask(
            self.request("REGISTER", "sip:ivr.test", to=f"<sip:{self.user}@ivr.test>", headers=headers)
        )

    def call(self, number: str = "5000", **options):
        """Dial; returns the client transaction."""
        return self.send(self.request("INVITE", f"sip:{number}@ivr.test", **options))

    def inside(self, method: str, client, *, routed=True, uri=None) -> Request:
        """A request inside of the call that a client transaction set up."""
        ok = client.answers[-1]
        request = self.request(method, uri or NameAddr.parse(ok.headers.get("Contact")).uri.text,
                               call_id=ok.call_id, to=ok.headers.get("To"))  # fmt: skip
        if method == "ACK":
            request.headers.set("CSeq", f"{ok.cseq[0]} ACK")
        for route in reversed(ok.headers.get_all("Record-Route")) if routed else ():
            request.headers.add("Route", route)
        return request

    def hung_up_by_line(self, *, routed=True) -> Request:
        """The BYE of a line for the call that it took."""
        invite = self.server.request
        caller = NameAddr.parse(invite.headers.get("Contact")).uri.text
        bye = self.request("BYE", caller, call_id=invite.call_id, to=invite.headers.get("From"))
        answer = response_to(invite, 200, to_tag=self.server.to_tag)
        bye.headers.set("From", answer.headers.get("To"))
        for route in invite.headers.get_all("Record-Route") if routed else ():
            bye.headers.add("Route", route)
        return bye


@pytest.fixture
def reactor():
    return MemoryReactor()


@pytest.fixture
def events():
    return []


@pytest.fixture
def exchange(reactor, events):
    exchange = Exchange(reactor, port=5060, accounts=ACCOUNTS, lines=LINES, on_event=events.append)
    exchange.start()
    yield exchange
    reactor.run(400)
    assert len(exchange._layer) == 0, "a transaction that never ends"
    assert exchange._forwardings == set()
    exchange.stop()


@pytest.fixture
def alice(reactor, exchange):
    phone = Phone(reactor, "alice", 5070)
    assert phone.register().status == 200
    return phone


@pytest.fixture
def line(reactor, exchange):
    phone = Phone(reactor, "line1", 5080)
    assert phone.register().status == 200
    return phone


def set_up(alice, seconds=0.3, **options):
    """A call that is answered and acknowledged."""
    client = alice.call(**options)
    alice.reactor.run(seconds)
    assert client.answers[-1].status == 200
    alice.layer.send(alice.inside("ACK", client), HUB)
    alice.reactor.run(0.1)
    return client


# Registering ---------------------------------------------------------------------------------------


def test_register(reactor, exchange, alice, events):
    (binding,) = exchange.registrations["alice"]
    assert binding.contact.text == "sip:alice@127.0.0.1:5070"
    assert binding.source == ("127.0.0.1", 5070)
    assert [type(event) for event in events] == [HostHeard, Challenged, Admitted, Registered]
    assert events[3:] == [
        Registered(
            user="alice", contact="sip:alice@127.0.0.1:5070", source=("127.0.0.1", 5070), expires_in=3600
        )
    ]
    reply = alice.ask(
        alice.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>", headers=[("Expires", "0")])
    )
    assert reply.status == 200
    assert exchange.registrations == {}
    assert events[-2:] == [
        Admitted(method="REGISTER", user="alice", source=("127.0.0.1", 5070)),
        Unregistered(user="alice", contact="sip:alice@127.0.0.1:5070"),
    ]


def test_refused_registrations_are_told_apart(reactor, exchange, events):
    mallory = Phone(reactor, "mallory", 5099)
    for user, password, cause in (("mallory", "x", "unknown_user"), ("alice", "guess", "wrong_password")):
        first = mallory.request("REGISTER", "sip:ivr.test", to=f"<sip:{user}@ivr.test>")
        client = mallory.send(first)
        reactor.run(1)
        name, value = digest.answer(client.answers[0], method="REGISTER", uri="sip:ivr.test", user=user,
                                    password=password, cnonce="c")  # fmt: skip
        second = mallory.request(
            "REGISTER", "sip:ivr.test", to=f"<sip:{user}@ivr.test>", headers=[(name, value)]
        )
        assert mallory.ask(second).status == 403
        assert events[-1] == Refused(
            method="REGISTER", user=user, account=user, source=MALLORY, status=403, cause=cause
        )
    assert exchange.registrations == {}


@pytest.mark.parametrize(
    ("uri", "to"), [("sip:ivr.example", "alice@ivr.test"), ("sip:127.0.0.1", "alice@ivr.example")]
)
def test_who_registers_in_another_domain_learns_it_at_once(reactor, exchange, events, uri, to):
    mallory = Phone(reactor, "mallory", 5099)
    reply = mallory.ask(mallory.request("REGISTER", uri, to=f"<sip:{to}>"))
    assert (reply.status, reply.reason) == (403, "This exchange serves its own domain only")
    assert events[-1] == TurnedAway(method="REGISTER", user="alice", uri_user="alice", domain="ivr.example",
                                    source=MALLORY, status=403, cause="domain")  # fmt: skip


def test_calls_that_lead_nowhere_are_told_of(reactor, exchange, events):
    mallory = Phone(reactor, "mallory", 5099)
    for uri, status, cause in (
        ("sip:5000@ivr.example", 403, "domain"),
        ("sip:bob@ivr.test", 480, "absent"),
        ("sip:5000@ivr.test", 480, "absent"),
    ):
        assert mallory.ask(mallory.request("INVITE", uri)).status == status
        user, domain = uri.removeprefix("sip:").split("@")
        assert events[-1] == TurnedAway(method="INVITE", user="mallory", uri_user=user, domain=domain,
                                        source=MALLORY, status=status, cause=cause)  # fmt: skip
    count = len(events)
    assert mallory.ask(mallory.request("MESSAGE", "sip:bob@ivr.test")).status == 480
    assert len(events) == count


def test_each_host_is_told_of_once_and_a_flood_of_them_ends(reactor, exchange, events):
    for n in range(300):
        for data in (b"rubbish", b"OPTIONS sip:ivr.test SIP/2.0\r\n\r\n"):
            reactor.inject(data, (f"198.51.{n // 250}.{n % 250}", 5060), HUB)
    heard = [e.host for e in events if isinstance(e, HostHeard)]
    assert len(heard) == len(set(heard)) == 64


def test_credentials_that_are_asked_for_and_those_of_another_realm(reactor, exchange, events):
    mallory = Phone(reactor, "mallory", 5099)
    foreign = ("Authorization", 'Digest username="alice", realm="pbx", nonce="n", uri="u", response="r"')
    for headers, realm in (((), None), ([foreign], "pbx")):
        request = mallory.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>", headers=headers)
        mallory.send(request)
        reactor.run(1)
        assert events[-1] == Challenged(method="REGISTER", user="alice", source=MALLORY, realm=realm)


@pytest.mark.parametrize(("branch", "pjsip"), [("z9hG4bKPj5f1", True), ("z9hG4bK5f1", False)])
def test_phones_that_turn_to_tcp_are_known_by_their_branches(reactor, exchange, events, branch, pjsip):
    alice = Phone(reactor, "alice", 5070)
    asked = alice.send(alice.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>"))
    reactor.run(1)
    name, value = digest.answer(asked.answers[0], method="REGISTER", uri="sip:ivr.test", user="alice",
                                password=ACCOUNTS["alice"], cnonce="c")  # fmt: skip
    request = alice.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>",
                            headers=[(name, value), ("User-Agent", "x/1")])  # fmt: skip
    request.headers.add("Via", f"SIP/2.0/UDP 127.0.0.1:5070;branch={branch}")
    reactor.inject(request.to_bytes(), ("127.0.0.1", 5070), HUB)
    assert (events[-1].user_agent, events[-1].turns_to_tcp) == ("x/1", pjsip)


def test_the_watcher_is_told_before_the_phone_is_answered(reactor):
    """By its answer a phone may dial at once, and what the watcher does for its call has to be done."""
    sent: list[int] = []
    told: list[tuple[str, int]] = []
    made = Exchange(
        reactor,
        port=5060,
        accounts=ACCOUNTS,
        lines=LINES,
        require_auth_for_invite=True,
        on_event=lambda event: told.append((type(event).__name__, len(sent))),
        trace=lambda direction, data, peer: sent.append(1) if direction == "sent" else None,
    )
    made.start()
    alice = Phone(reactor, "alice", 5070)
    alice.register()
    assert told[:4] == [("HostHeard", 0), ("Challenged", 0), ("Admitted", 1), ("Registered", 1)]
    del sent[:], told[:]
    alice.send(alice.request("INVITE", "sip:bob@ivr.test"))
    reactor.run(0.1)
    assert told == [("Challenged", 0)]
    made.stop()


def test_lines_need_accounts(reactor):
    with pytest.raises(ConfigurationError, match="ghost"):
        Exchange(reactor, accounts=ACCOUNTS, lines=["ghost"])


# Calling -------------------------------------------------------------------------------------------


def test_a_call_to_a_number_goes_to_a_line(reactor, exchange, alice, line, events):
    line.extra = [("X-From-Line", "  spaced   out ")]
    client = set_up(alice, headers=[("f-x", "caf\udce9;;"), ("Subject", "one, two")], body=b"v=0\r\n\r\nx")
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
        source=("127.0.0.1", 5070),
        dialled="5000",
        user="line1",
        contact="sip:line1@127.0.0.1:5080",
    )


def test_inside_of_a_call_both_ends_are_reached(reactor, exchange, alice, line):
    client = set_up(alice)
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


def test_a_registered_user_is_called_at_his_phone(reactor, exchange, alice, line, events):
    bob = Phone(reactor, "bob", 5090)
    bob.register()
    set_up(alice, number="bob")
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
    public = ("203.0.113.9", 40_000)
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


# Lines in turn -------------------------------------------------------------------------------------


@pytest.fixture
def lines(reactor, exchange):
    phones = [Phone(reactor, name, 5080 + 2 * i) for i, name in enumerate(LINES)]
    for phone in phones:
        phone.register()
    return phones


def taken(lines) -> list[int]:
    return [phone.methods().count("INVITE") for phone in lines]


def test_calls_are_dealt_in_turn(reactor, exchange, alice, lines):
    for _ in range(7):
        set_up(alice, seconds=0.1)
    assert sorted(taken(lines)) == [2, 2, 3]


def test_an_unregistered_line_is_skipped(reactor, exchange, alice, lines):
    lines[1].ask(
        lines[1].request("REGISTER", "sip:ivr.test", to="<sip:line2@ivr.test>", headers=[("Expires", "0")])
    )
    for _ in range(4):
        set_up(alice, seconds=0.1)
    assert taken(lines) == [2, 0, 2]


def test_a_dead_line_is_passed_over_then_asked_last(reactor, exchange, alice, lines, events):
    lines[0].endpoint.stop()
    client = alice.call()
    reactor.run(2.3)
    assert [r.status for r in client.answers] == [100, 180, 200]
    assert LineSilent(contact="sip:line1@127.0.0.1:5080") in events
    alice.layer.send(alice.inside("ACK", client), HUB)
    for _ in range(3):
        set_up(alice, seconds=0.2)  # nobody waits for the dead one again
    assert sum(taken(lines)) == 4


@pytest.mark.parametrize("status", [408, 480, 486, 500, 502, 503, 504])
def test_a_line_that_refuses_gives_way(reactor, exchange, alice, lines, status):
    for phone in lines[:2]:
        phone.answer = status
    client = set_up(alice)
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


# Cancelling, ringing, time -------------------------------------------------------------------------


def test_cancel_while_ringing(reactor, exchange, alice, line):
    line.answer = "ring"
    client = alice.call()
    reactor.run(1)
    client.cancel()
    reactor.run(1)
    assert [r.status for r in client.answers] == [100, 180, 487]
    assert line.methods() == ["INVITE"]
    assert line.server.state in ("confirmed", "terminated")


def test_cancel_before_the_line_gave_a_sign(reactor, exchange, alice, line):
    line.endpoint.stop()
    client = alice.call()
    reactor.run(1)
    client.cancel()
    reactor.run(60)
    assert [r and r.status for r in client.answers] == [100, 487]


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


# Loss ----------------------------------------------------------------------------------------------

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


# Rules of a proxy ----------------------------------------------------------------------------------


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
    client = set_up(alice, headers=[("Route", "<sip:127.0.0.1:5060;lr>, <sip:ivr.test;lr>")])
    assert client.answers[-1].status == 200
    assert line.requests[0].headers.get("Route") is None


def test_a_strict_router_before_us(reactor, exchange, alice, line):
    """It put our Record-Route into the Request-URI and the target behind the Routes (section 16.4)."""
    client = set_up(alice)
    info = alice.inside("INFO", client, routed=False, uri="sip:127.0.0.1:5060;lr")
    info.headers.add("Route", "<sip:line1@127.0.0.1:5080>")
    assert alice.ask(info).status == 200
    assert line.requests[-1].uri == "sip:line1@127.0.0.1:5080"


def test_routes_beyond_us_are_followed(reactor, exchange, alice, line):
    other = Phone(reactor, "other", 5100)
    client = set_up(alice)
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
    client = set_up(alice)
    bye = alice.inside("BYE", client)
    assert alice.ask(bye).status == 200
    again = alice.inside("BYE", client)
    assert alice.ask(again).status == 200  # reaches the line, which says what it thinks of it
    reactor.run(100)
    set_up(alice)
    assert alice.ask(alice.inside("BYE", client)).status == 481
    assert len(exchange._calls) == 1


# Who may call --------------------------------------------------------------------------------------


@pytest.fixture
def guarded(reactor, events):
    exchange = Exchange(
        reactor,
        port=5060,
        accounts=ACCOUNTS,
        lines=LINES,
        require_auth_for_invite=True,
        on_event=events.append,
    )
    exchange.start()
    yield exchange
    exchange.stop()


def test_calls_need_credentials_when_told_so(reactor, guarded, events):
    line, alice = Phone(reactor, "line1", 5080), Phone(reactor, "alice", 5070)
    line.register()
    client = alice.call()
    reactor.run(1)
    assert [r.status for r in client.answers] == [407]
    assert client.answers[0].headers.get("Proxy-Authenticate").startswith('Digest realm="ivr.test"')
    ok = alice.ask(alice.request("INVITE", "sip:5000@ivr.test"))
    assert ok.status == 200
    there = {"method": "INVITE", "user": "alice", "source": ("127.0.0.1", 5070)}
    assert Challenged(**there) in events
    assert Admitted(**there) in events
    assert "Proxy-Authorization" not in line.requests[0].headers
    line.server.acknowledged()
    assert line.ask(line.hung_up_by_line()).status == 200  # inside of the call nobody is asked again
    mallory = Phone(reactor, "mallory", 5099)
    asked = mallory.send(mallory.request("INVITE", "sip:5000@ivr.test"))
    reactor.run(1)
    name, value = digest.answer(asked.answers[0], method="INVITE", uri="sip:5000@ivr.test", user="alice",
                                password="guess", cnonce="c")  # fmt: skip
    assert mallory.ask(mallory.request("INVITE", "sip:5000@ivr.test", headers=[(name, value)])).status == 403
    assert events[-1] == Refused(
        method="INVITE", user="alice", account="mallory", source=MALLORY, status=403, cause="wrong_password"
    )


def test_foreign_credentials_pass_on(reactor, guarded):
    line, alice = Phone(reactor, "line1", 5080), Phone(reactor, "alice", 5070)
    line.register()
    foreign = 'Digest realm="pbx", username="a", nonce="n", uri="u", response="r"'
    first = alice.request("INVITE", "sip:5000@ivr.test", headers=[("Proxy-Authorization", foreign)])
    asked = alice.send(first)
    reactor.run(1)
    name, value = digest.answer(asked.answers[0], method="INVITE", uri=first.uri, user="alice",
                                password=ACCOUNTS["alice"], cnonce="c")  # fmt: skip
    both = alice.request("INVITE", first.uri, headers=[(name, foreign), (name, value)])
    assert alice.ask(both).status == 200
    assert line.requests[0].headers.get_all("Proxy-Authorization") == [foreign]
    line.server.acknowledged()


def test_off_loopback_calls_always_need_credentials(reactor):
    exchange = Exchange(reactor, host="192.0.2.1", port=5060, accounts=ACCOUNTS, lines=LINES)
    exchange.start()
    alice = Phone(reactor, "alice", 5070, hub=("192.0.2.1", 5060))
    client = alice.call()
    reactor.run(1)
    assert [r.status for r in client.answers] == [407]
    exchange.stop()


# Harm ----------------------------------------------------------------------------------------------

INVITE = b"INVITE sip:5000@ivr.test SIP/2.0\r\n"
REST = b"From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"


def via(branch: bytes) -> bytes:
    return b"Via: SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bK" + branch + b"\r\n"


POISON = [
    b"",
    b"\x00" * 100,
    b"\xff" * 2000,
    b"INVITE",
    INVITE + b"\r\n",
    INVITE + b"Via: SIP/2.0/UDP h\r\nContent-Length: -1\r\n\r\n",
    INVITE + via(b"") + REST + b'Contact: <<>>\r\nRoute: "\r\n\r\n',
    INVITE + via(b"c") + REST + b"Contact: <http://x>\r\n\r\n",
    INVITE + via(b"d") + REST + b'Require: "\r\nProxy-Require: ,\r\n\r\n',
    b"OPTIONS sip:ivr.test SIP/2.0\r\nCall-ID: x\r\n\r\n",
    b"SIP/2.0 200 OK\r\n\r\n",
    b"SIP/2.0 99999999 x\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKnone\r\n" + REST + b"\r\n",
    (INVITE + via(b"a") + REST).replace(b"INVITE", b"ACK") + b"Route: <sip:\r\n\r\n",
]


@pytest.mark.parametrize("data", POISON)
def test_one_bad_datagram_never_harms_the_next(reactor, exchange, alice, line, data):
    reactor.inject(data, ("127.0.0.1", 5999), HUB)
    reactor.run(0.5)
    set_up(alice)
    assert line.methods() == ["INVITE", "ACK"]


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 9), st.binary(max_size=4)), max_size=12), st.data()
)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_datagrams_never_harm_the_next(edits, data):
    reactor = MemoryReactor()
    exchange = Exchange(reactor, port=5060, accounts=ACCOUNTS, lines=LINES)
    exchange.start()
    line, alice = Phone(reactor, "line1", 5080), Phone(reactor, "alice", 5070)
    line.register()
    seen = [d for _, _, to, d in reactor.sent if to == HUB]
    for at, cut, new in edits:
        mutated = bytearray(data.draw(st.sampled_from(seen)))
        mutated[at : at + cut] = new
        reactor.inject(bytes(mutated), ("127.0.0.1", 5999), HUB)
    reactor.run(40)
    set_up(alice)
    exchange.stop()


def test_bad_datagrams_are_told_of(reactor, exchange, events):
    reactor.inject(b"rubbish", ("127.0.0.1", 5999), HUB)
    assert events[1:] == [MessageRefused(source=("127.0.0.1", 5999), status=400, reason="No end of headers")]


def test_a_watcher_that_fails_harms_nobody(reactor):
    def watch(event):
        raise RuntimeError("a bug of the watcher")

    exchange = Exchange(reactor, port=5060, accounts=ACCOUNTS, lines=LINES, on_event=watch)
    exchange.start()
    assert Phone(reactor, "alice", 5070).register().status == 200
    exchange.stop()


def test_stop_leaves_nothing_behind(reactor):
    exchange = Exchange(reactor, port=5060, accounts=ACCOUNTS, lines=LINES)
    exchange.start()
    line, alice = Phone(reactor, "line1", 5080), Phone(reactor, "alice", 5070)
    line.register()
    line.answer = "ring"
    alice.call()
    reactor.run(0.5)
    stopped = []
    exchange.stop().addCallback(stopped.append)
    assert stopped == [None]
    for phone in (line, alice):
        phone.layer.close()
    reactor.run(0.1)
    assert reactor.getDelayedCalls() == []


def test_uris_of_the_phones_quirks(reactor, exchange, line):
    """baresip's contact user is not its account, linphone's contact has parameters and instance."""
    alice = Phone(reactor, "alice", 5070)
    for contact in (
        "<sip:alice-0x55d0c1a0@127.0.0.1:5070>",
        '<sip:alice@127.0.0.1:5070;transport=udp>;+sip.instance="<urn:uuid:1>"',
    ):
        request = alice.request("REGISTER", "sip:ivr.test", to="<sip:alice@ivr.test>")
        request.headers.set("Contact", contact)
        assert alice.ask(request).status == 200
        uri = NameAddr.parse(contact).uri
        assert line.ask(line.request("MESSAGE", "sip:alice@ivr.test")).status == 200
        assert alice.requests[-1].uri == uri.text
        assert Uri.parse(alice.requests[-1].uri) == uri
