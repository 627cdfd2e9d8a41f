"""A way between two hosts that breaks at a chosen point: the one fault that a peer cannot tell apart.

One connection carries one exchange: a request and its answer. Both are read whole before anything is
passed on, so that a point is exact: so many bytes of one of them arrive, and then the connection is ended
on both sides (FIN), reset (RST), or nothing more comes (stall).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from twisted.internet.protocol import ClientFactory, Factory, Protocol

How = Literal["FIN", "RST", "stall"]
HOST = "127.0.0.1"


def _line(data: bytes, head: int) -> int:
    return data.index(b"\r\n") // 2


REQUEST: dict[str, Callable[[bytes, int], int]] = {
    "accepted": lambda data, head: 0,
    "first byte": lambda data, head: 1,
    "request line": _line,
    "headers": lambda data, head: head // 2,
    "after headers": lambda data, head: head,
    "mid body": lambda data, head: (head + len(data)) // 2,
    "last byte missing": lambda data, head: len(data) - 1,
    "whole": lambda data, head: len(data),
}
ANSWER: dict[str, Callable[[bytes, int], int]] = {
    "first byte": lambda data, head: 1,
    "status line": _line,
    "headers": lambda data, head: head // 2,
    "after headers": lambda data, head: head,
    "mid body": lambda data, head: (head + len(data)) // 2,
    "last byte missing": lambda data, head: len(data) - 1,
    "whole": lambda data, head: len(data),
}


@dataclass(frozen=True)
class Cut:
    """Where an exchange breaks: ``refused``, or so far into the request, or into the answer.

    late: of a request that stalled, the exchange before which it arrives after all.
    """

    way: Literal["refused", "request", "answer"]
    point: str = ""
    how: How = "RST"
    late: int | None = None


class Proxy(Factory):
    """Passes exchanges on, in order; the one whose number (from 0) is in ``cuts`` breaks there.

    stalled is called when an exchange stalls: whoever waits for it may lose patience.
    """

    noisy = False

    def __init__(self, reactor: Any, upstream: int) -> None:
        self.reactor = reactor
        self.upstream = upstream
        self.cuts: dict[int, Cut] = {}
        self.seen: list[str] = []
        self.held: dict[int, bytes] = {}
        self.under_way = 0
        self.broken = 0
        self.stalled: Callable[[], None] = lambda: None
        self._nobody = socket.socket()
        self._nobody.bind((HOST, 0))  # and never listens: who connects there is refused
        self._listening = reactor.listenTCP(0, self, interface=HOST)
        self.port = int(self._listening.getHost().port)

    async def stop(self) -> None:
        self._nobody.close()
        await self._listening.stopListening()

    def busy(self) -> bool:
        """Whether an exchange is under way that will go on by itself."""
        return self.under_way > 0

    def where(self, port: int) -> int:
        """Where a connection to ``port`` leads to."""
        cut = self.cuts.get(len(self.seen))
        if port != self.port or cut is None or cut.way != "refused":
            return port
        self.seen.append("refused")
        self.broken += 1
        return int(self._nobody.getsockname()[1])

    def buildProtocol(self, addr: object) -> Protocol:  # noqa: N802
        number = len(self.seen)
        self.seen.append("")
        return _Near(self, number, self.cuts.get(number))

    def ask(self, request: bytes, then: Callable[[bytes], None]) -> None:
        """Have a request answered by the other host."""
        self.under_way += 1
        self._connect(lambda addr: _Far(self, request, then))

    def cut_far(self, part: bytes, how: How) -> None:
        """Let the other host have a part of a request."""

        self._connect(lambda addr: _Short(part, how))

    def _connect(self, build: Callable[[object], Protocol]) -> None:
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = build  # type: ignore[method-assign]
        self.reactor.connectTCP(HOST, self.upstream, factory)


def end(transport: Any, part: bytes, how: How) -> None:
    """Send the last bytes, and end the connection: they are few, so the socket takes them at once."""
    if part:
        assert transport.getHandle().send(part) == len(part)
    if how == "RST":
        transport.abortConnection()
    else:
        transport.loseConnection()


class _Near(Protocol):
    """The side of who asks."""

    def __init__(self, proxy: Proxy, number: int, cut: Cut | None) -> None:
        self.proxy, self.number, self.cut = proxy, number, cut
        self.request = b""
        self.open = True

    def connectionMade(self) -> None:  # noqa: N802
        if self.cut is not None and (self.cut.way, self.cut.point) == ("request", "accepted"):
            self._break(b"")

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802
        self.open = False

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.request += data
        head = _head(self.request)
        if not head or len(self.request) < head + _length(self.request[:head]):
            return
        self.proxy.seen[self.number] = self.request[: self.request.index(b" HTTP/")].decode()
        self._deliver_what_was_held(self._forward)

    def _deliver_what_was_held(self, then: Callable[[], None]) -> None:
        held = self.proxy.held.pop(self.number, None)
        if held is None:
            then()
        else:
            self.proxy.ask(held, lambda answer: then())

    def _forward(self) -> None:
        cut = self.cut
        if cut is None or cut.way == "answer" or (cut.point == "whole" and cut.how != "stall"):
            self.proxy.ask(self.request, self._answer)
            return
        part = self.request[: REQUEST[cut.point](self.request, _head(self.request))]
        if cut.late is not None:
            self.proxy.held[cut.late] = self.request
        elif part:
            self.proxy.cut_far(part, cut.how)
        self._break(b"")

    def _answer(self, answer: bytes) -> None:
        cut = self.cut
        if cut is None:
            if self.open:
                end(self.transport, answer, "FIN")
        elif cut.way == "request":
            self._break(b"")
        else:
            self._break(answer[: ANSWER[cut.point](answer, _head(answer))])

    def _break(self, part: bytes) -> None:
        assert self.cut is not None
        self.proxy.broken += 1
        if self.cut.how == "stall":
            if part:
                self.transport.write(part)  # type: ignore[union-attr]
            self.proxy.stalled()
        else:
            end(self.transport, part, self.cut.how)


class _Short(Protocol):
    """A request that breaks off."""

    def __init__(self, part: bytes, how: How) -> None:
        self.part, self.how = part, how

    def connectionMade(self) -> None:  # noqa: N802
        end(self.transport, self.part, self.how)


class _Far(Protocol):
    """The side of who answers; it ends the connection when it has."""

    def __init__(self, proxy: Proxy, request: bytes, then: Callable[[bytes], None]) -> None:
        self.proxy, self.request, self.then = proxy, request, then
        self.answer = b""

    def connectionMade(self) -> None:  # noqa: N802
        self.transport.write(self.request)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.answer += data

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802
        self.proxy.under_way -= 1
        self.then(self.answer)


def _head(data: bytes) -> int:
    return data.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0
