"""A way between two hosts that breaks at a chosen point: the one fault that a peer cannot tell apart.

One connection carries one exchange: a request and its answer. Both are read whole before anything is
passed on, so that a point is exact: so many bytes of one of them arrive, and then the connection is ended
on both sides (FIN), reset (RST), or nothing more comes (stall).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from twisted.internet.protocol import Protocol

from ivr_sim.harness.detour import Detour, Exchange, Nobody

How = Literal["FIN", "RST", "stall"]


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


class Proxy:
    """Passes exchanges on, in order; the one whose number (from 0) is in ``cuts`` breaks there.

    stalled is called when an exchange stalls: whoever waits for it may lose patience.
    """

    def __init__(self, reactor: Any, upstream: int) -> None:
        self.cuts: dict[int, Cut] = {}
        self.seen: list[str] = []
        self.held: dict[int, bytes] = {}
        self.under_way = 0
        self.broken = 0
        self.stalled: Callable[[], None] = lambda: None
        self._nobody = Nobody()
        self._detour = Detour(reactor, self._pass)
        self._detour.start(upstream)
        self.port = self._detour.port

    async def stop(self) -> None:
        await self._nobody.stop()
        await self._detour.stop()

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
        return self._nobody.port

    async def ask(self, request: bytes) -> bytes:
        """Have a request answered by the other host."""
        self.under_way += 1
        try:
            return await self._detour.ask(request)
        finally:
            self.under_way -= 1

    async def _pass(self, exchange: Exchange) -> None:
        number = len(self.seen)
        self.seen.append("")
        cut = self.cuts.get(number)
        if cut is not None and (cut.way, cut.point) == ("request", "accepted"):
            self._break(exchange, cut, b"")
            return
        request = await exchange.request()
        self.seen[number] = request[: request.index(b" HTTP/")].decode()
        held = self.held.pop(number, None)
        if held is not None:
            await self.ask(held)
        if cut is None:
            exchange.end(await self.ask(request))
        elif cut.way == "answer":
            answer = await self.ask(request)
            self._break(exchange, cut, answer[: ANSWER[cut.point](answer, _head(answer))])
        else:
            await self._deliver(request, cut)
            self._break(exchange, cut, b"")

    async def _deliver(self, request: bytes, cut: Cut) -> None:
        """Let the other host have so much of a request as arrives."""
        if cut.point == "whole" and cut.how != "stall":
            await self.ask(request)
            return
        part = request[: REQUEST[cut.point](request, _head(request))]
        if cut.late is not None:
            self.held[cut.late] = request
        elif part:
            self._detour.connect(lambda addr: _Short(part, cut.how))

    def _break(self, exchange: Exchange, cut: Cut, part: bytes) -> None:
        self.broken += 1
        if cut.how == "stall":
            exchange.send(part)
            self.stalled()
        else:
            exchange.end(part, how=cut.how)


class _Short(Protocol):
    """A request that breaks off."""

    transport: Any

    def __init__(self, part: bytes, how: How) -> None:
        self.part, self.how = part, how

    def connectionMade(self) -> None:  # noqa: N802
        assert self.transport.getHandle().send(self.part) == len(self.part)
        if self.how == "RST":
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()


def _head(data: bytes) -> int:
    return data.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0
