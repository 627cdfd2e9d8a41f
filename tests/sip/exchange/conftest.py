"""An exchange on virtual time, and phones of few words."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from ivr_sim.sip import digest
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.identifiers import new_call_id
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Headers, Request, response_to
from ivr_sim.sip.transactions import TransactionLayer
from ivr_sim.sip.transport import UdpEndpoint
from ivr_sim.sip.uri import NameAddr

HUB = Address("127.0.0.1", 5060)
ACCOUNTS = {name: f"secret-{name}" for name in ("alice", "bob", "line1", "line2", "line3")}
LINES = ["line1", "line2", "line3"]


class Phone:
    """A phone of few words: it registers, answers as told, and keeps all that it saw."""

    def __init__(self, reactor, user: str, port: int, *, hub=HUB, host="127.0.0.1") -> None:
        self.reactor, self.user, self.port, self.hub, self.host = reactor, user, port, hub, host
        self.endpoint = UdpEndpoint(reactor, host, port)
        self.endpoint.start()
        self.layer = TransactionLayer(reactor, self.endpoint, self._on_request, on_ack=self._on_ack)
        self.requests: list[Request] = []
        self.server = None
        self.answer = "accept"
        self.extra: list[tuple[str, str]] = []
        self._numbers = itertools.count(1)

    @property
    def contact(self) -> str:
        return f"<sip:{self.user}@{self.host}:{self.port}>"

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

    def set_up(self, seconds=0.3, **options):
        """A call that is answered and acknowledged; gives its client transaction."""
        client = self.call(**options)
        self.reactor.run(seconds)
        assert client.answers[-1].status == 200
        self.layer.send(self.inside("ACK", client), HUB)
        self.reactor.run(0.1)
        return client


@pytest.fixture
def reactor():
    return MemoryReactor()


@pytest.fixture
def events():
    return []


@pytest.fixture
def new_exchange(reactor) -> Callable[..., Exchange]:
    """Makes exchanges with the usual accounts, started; whoever makes one stops it."""

    def make(net=reactor, **options) -> Exchange:
        made = Exchange(net, port=5060, accounts=ACCOUNTS, lines=LINES, **options)
        made.start()
        return made

    return make


@pytest.fixture
def exchange(reactor, new_exchange, events):
    made = new_exchange(on_event=events.append)
    yield made
    reactor.run(400)
    assert len(made._layer) == 0, "a transaction that never ends"
    assert len(made._forwarder) == 0
    made.stop()


@pytest.fixture
def guarded(new_exchange, events):
    made = new_exchange(require_auth_for_invite=True, on_event=events.append)
    yield made
    made.stop()


@pytest.fixture
def new_phone(reactor) -> Callable[..., Phone]:
    """Makes phones, which register when told."""

    def make(user: str, port: int, *, net=reactor, **options) -> Phone:
        return Phone(net, user, port, **options)

    return make


@pytest.fixture
def alice(reactor, exchange, new_phone):
    phone = new_phone("alice", 5070)
    assert phone.register().status == 200
    return phone


@pytest.fixture
def line(reactor, exchange, new_phone):
    phone = new_phone("line1", 5080)
    assert phone.register().status == 200
    return phone


@pytest.fixture
def lines(reactor, exchange, new_phone):
    phones = [new_phone(name, 5080 + 2 * i) for i, name in enumerate(LINES)]
    for phone in phones:
        phone.register()
    return phones
