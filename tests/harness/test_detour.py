"""A detour to a service: what goes by it whole, late, in part or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import deferLater

from ivr_sim.errors import LocalProtocolError
from ivr_sim.harness.detour import Detour, Exchange, HttpMessage, Nobody

reactor: Any = installed
REQUEST = b"POST /a?b=1 HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhello"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nworld"


class Client(Protocol):
    """Sends a request in pieces, and keeps what comes back and how it ends."""

    transport: Any

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.came = b""
        self.ended: Deferred[str] = Deferred()

    def connectionMade(self) -> None:  # noqa: N802
        self.transport.setTcpNoDelay(True)
        self._send()

    def _send(self) -> None:
        if self.pieces:
            self.transport.write(self.pieces.pop(0))
            reactor.callLater(0.002, self._send)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.came += data

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802
        self.ended.callback(reason.type.__name__)


class Service(Protocol):
    """Answers whatever comes, and remembers it."""

    transport: Any
    asked: list[bytes]

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.asked.append(data)
        self.transport.write(ANSWER)
        self.transport.loseConnection()


@pytest.fixture
def by(on_reactor: Callable[..., Any]) -> Callable[..., Any]:
    """Sends a request by a detour with this handler; what came back, how it ended, what was asked."""

    def send(
        handle: Callable[[Exchange], Awaitable[None]],
        *pieces: bytes,
        stop_when: Callable[[], object] | None = None,
        serves: bool = True,
    ) -> tuple[bytes, str, list[bytes]]:
        async def play() -> tuple[bytes, str, list[bytes]]:
            factory = Factory.forProtocol(Service)
            factory.noisy = False
            Service.asked = []
            service = reactor.listenTCP(0, factory, interface="127.0.0.1")
            detour = Detour(reactor, handle)
            detour.start(service.getHost().port)
            if not serves:
                await service.stopListening()
            client = Client(list(pieces or (REQUEST,)))
            clients = ClientFactory()
            clients.noisy = False
            clients.buildProtocol = lambda addr: client  # type: ignore[method-assign, assignment]
            reactor.connectTCP("127.0.0.1", detour.port, clients)
            if stop_when is not None:
                while not stop_when():
                    await deferLater(reactor, 0.002)
                await detour.stop()
            ended = await client.ended
            await detour.stop()
            if serves:
                await service.stopListening()
            return client.came, ended, Service.asked

        result: tuple[bytes, str, list[bytes]] = on_reactor(play)
        return result

    return send


async def straight(exchange: Exchange) -> None:
    exchange.end(await exchange.ask(await exchange.request()))


@pytest.mark.parametrize(
    "pieces", [(REQUEST,), (REQUEST[:10], REQUEST[10:70], REQUEST[70:])], ids=["whole", "pieces"]
)
def test_whole(by: Any, pieces: tuple[bytes, ...]) -> None:
    came, ended, asked = by(straight, *pieces)
    assert (came, ended) == (ANSWER, "ConnectionDone")
    told = HttpMessage.parse(b"".join(asked))
    assert (told.method, told.path, told.body) == ("POST", "/a", b"hello")
    assert (told.header("host"), told.header("connection")) == ("here", "close")


def test_a_part_and_a_reset(by: Any) -> None:
    async def handle(exchange: Exchange) -> None:
        answer = await exchange.ask(await exchange.request())
        exchange.end(answer[:20], how="RST")

    came, ended, asked = by(handle)
    assert (came, ended, len(asked)) == (ANSWER[:20], "ConnectionLost", 1)


def test_nothing_that_is_asked_for(by: Any) -> None:
    async def handle(exchange: Exchange) -> None:
        exchange.end(how="RST")

    assert by(handle) == (b"", "ConnectionLost", [])


def test_whoever_asks_for_the_request_too_late(by: Any) -> None:
    failed: list[Exception] = []

    async def handle(exchange: Exchange) -> None:
        exchange.end(how="RST")
        while exchange.near.open:
            await deferLater(reactor, 0.001)
        try:
            await exchange.request()
        except ConnectionError as error:
            failed.append(error)

    assert by(handle, REQUEST[:30], stop_when=lambda: failed)[:2] == (b"", "ConnectionLost")


def test_a_service_that_is_gone_gives_no_answer(by: Any) -> None:
    assert by(straight, serves=False) == (b"", "ConnectionDone", [])


def test_what_breaks_inside_is_a_reset(by: Any, capsys: pytest.CaptureFixture[str]) -> None:
    async def handle(exchange: Exchange) -> None:
        await exchange.request()
        raise ValueError("4111111111111111")

    assert by(handle) == (b"", "ConnectionLost", [])
    told = capsys.readouterr().out
    assert "a detour broke" in told
    assert "4111" not in told


def test_nobody_waits_any_more(by: Any) -> None:
    begun: list[Exchange] = []
    given_up: list[Exception] = []

    async def handle(exchange: Exchange) -> None:
        await exchange.request()
        begun.append(exchange)
        for _ in range(2):
            try:
                await exchange.wait(30)
            except ConnectionError as error:
                given_up.append(error)

    came, ended, _ = by(handle, stop_when=lambda: begun)
    assert (came, ended) == (b"", "ConnectionLost")
    assert [str(error) for error in given_up] == ["nobody waits for the answer"] * 2


def test_a_request_that_never_comes(by: Any) -> None:
    begun: list[Exchange] = []
    failed: list[Exception] = []

    async def handle(exchange: Exchange) -> None:
        begun.append(exchange)
        try:
            await exchange.request()
        except ConnectionError as error:
            failed.append(error)
            raise

    by(handle, REQUEST[:30], stop_when=lambda: begun)
    assert [str(error) for error in failed] == ["the request never came"]


def test_nobody_listens(on_reactor: Any) -> None:
    async def play() -> None:
        nobody = Nobody()
        nobody.start(80)
        failed: Deferred[str] = Deferred()
        factory = ClientFactory()
        factory.noisy = False
        factory.clientConnectionFailed = (  # type: ignore[method-assign]
            lambda connector, reason: failed.callback(reason.type.__name__)
        )
        reactor.connectTCP("127.0.0.1", nobody.port, factory)
        assert await failed == "ConnectionRefusedError"
        await nobody.stop()

    on_reactor(play)


def test_a_message() -> None:
    message = HttpMessage.parse(ANSWER)
    assert message.to_bytes() == ANSWER
    assert message.header("content-TYPE") == "text/plain"
    assert message.header("Age") is None
    other = message.with_header("content-type", "text/html").with_body(b"<p>")
    assert other.to_bytes() == (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nContent-Length: 3\r\n\r\n<p>")
    assert "<p>" not in repr(other)


def test_a_detour_has_no_port_before_it_starts() -> None:
    with pytest.raises(LocalProtocolError, match="before start"):
        _ = Detour(None, straight).port
