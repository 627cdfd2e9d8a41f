"""Servers and clients on the real reactor, a merchant's account at the stand-in, and canned replies."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers

from ivr_sim.cards import Card, CardNumber, Expiry, SecurityCode
from ivr_sim.dialogue.services import Payable
from ivr_sim.openpay import Store, create_app
from ivr_sim.wsgi import WebServer

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
MERCHANT = "mzdtln0bmtms6o3kck8f"
PRIVATE = "sk_e568c42a6c384b7ab02cd47d2e407cab"
PUBLIC = "pk_f0660ad5a39f4912872e24a7a660370c"

Run = Callable[..., Any]


@pytest.fixture
def reactor_run(on_reactor: Run) -> Run:
    """Runs a coroutine function on the real reactor and returns its result; bounded by 60 s."""
    return lambda make: on_reactor(make, seconds=60)


@pytest.fixture
def web(reactor_run: Run) -> Iterator[Callable[..., WebServer]]:
    """Starts WSGI applications on free ports; all are stopped at the end."""
    servers: list[WebServer] = []

    def start(app: Any, **options: Any) -> WebServer:
        server = WebServer(reactor, app, **options)
        servers.append(server)

        async def listen() -> None:
            server.start()

        reactor_run(listen)
        return server

    yield start
    for server in servers:

        async def stop(server: WebServer = server) -> None:
            await server.stop()

        reactor_run(stop)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/openpay.db")
    yield store
    store.close()


@pytest.fixture
def openpay(web: Callable[..., WebServer], store: Store) -> SimpleNamespace:
    """The stand-in on a real port: url, merchant_id, private_key, store, app."""
    app = create_app(store, merchant_id=MERCHANT, private_key=PRIVATE, public_key=PUBLIC, now=lambda: NOW)
    server = web(app, name="openpay")
    return SimpleNamespace(
        url=f"{server.url}/v1", merchant_id=MERCHANT, private_key=PRIVATE, store=store, app=app
    )


@pytest.fixture
def make_card() -> Callable[..., Card]:
    def make(number: str = "4111111111111111", code: str | None = None) -> Card:
        digits = CardNumber(number)
        cvv = code or "7391"[: digits.brand.cvv]
        return Card(digits, Expiry.keyed("1229", date(2026, 11, 23)), SecurityCode(cvv, digits.brand))

    return make


@pytest.fixture
def payable() -> Payable:
    return Payable(key="123456", amount=Decimal("200.00"), order_id="ord-234", description="Cargo IVR")


class Canned:
    """An IAgent that gives prepared replies, in order, and remembers what was asked.

    A reply is (status, body) or an exception; the request's body must be sent before either comes, unless
    the exception is one of those that happen before there is a connection.
    """

    def __init__(self) -> None:
        self.replies: list[tuple[int, bytes] | Exception] = []
        self.asked: list[tuple[str, str, bytes]] = []

    def request(self, method: bytes, url: bytes, headers: Headers, body: Any) -> Deferred[Any]:
        reply = self.replies.pop(0)
        sent = BytesIO()
        if body is not None and not isinstance(reply, DNSLookupError | ConnectError):
            body.startProducing(sent)
        self.asked.append((method.decode(), url.decode(), sent.getvalue()))
        if isinstance(reply, Exception):
            return fail(reply)
        return succeed(CannedResponse(*reply))


class CannedResponse:
    """As much of an IResponse as a client needs."""

    def __init__(self, code: int, body: bytes) -> None:
        self.code = code
        self.headers = Headers({"Content-Type": ["application/json"]})
        self._body = body

    def deliverBody(self, protocol: Any) -> None:  # noqa: N802
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))


@pytest.fixture
def canned() -> Canned:
    return Canned()


@pytest.fixture
def now_or_later() -> Callable[[Coroutine[Deferred[Any], Any, Any]], SimpleNamespace]:
    """Starts a coroutine; what it returned or raised is in ``result`` or ``error`` as soon as it has."""

    def start(coroutine: Coroutine[Deferred[Any], Any, Any]) -> SimpleNamespace:
        outcome = SimpleNamespace(result=None, error=None, done=False)

        def returned(result: Any) -> None:
            outcome.result, outcome.done = result, True

        def raised(failure: Failure) -> None:
            outcome.error, outcome.done = failure.value, True

        Deferred.fromCoroutine(coroutine).addCallbacks(returned, raised)
        return outcome

    return start
