"""The proxy core: one request on its way through, from our caller's transaction to those of its targets.

Transaction-stateful (RFC 3261 section 16): what is repeated on one side is not on the other, an INVITE is
called off hop by hop, and a target that does not answer gives way to the next. Headers that are
not ours to change pass as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ivr_sim.sip.message import BadMessage, Request, Response
from ivr_sim.sip.transactions import ClientTransaction, ServerTransaction, TransactionLayer
from ivr_sim.sip.transport import Address
from ivr_sim.sip.uri import NameAddr

__all__ = ["Forwarding", "Target", "onward"]

# Answers of a target that another target may better: nobody there, busy, or out of order.
TRY_NEXT = frozenset({408, 480, 486, 500, 502, 503, 504})
PATIENCE = 2.0  # seconds that a target has for its first answer while there are others
TIMER_C = 185.0  # seconds that it may ring between two provisional answers (section 16.6 step 11)
DIALOG_FORMING = ("INVITE", "SUBSCRIBE", "REFER")


@dataclass(frozen=True)
class Target:
    """Where a request may go: its new Request-URI, and the address that it is sent to."""

    uri: str
    destination: Address


def onward(request: Request, uri: str, record_route: str | None = None) -> Request:
    """The copy of a request that leaves: Request-URI, Max-Forwards, Record-Route (section 16.6).

    A next hop that is a strict router gets its URI as Request-URI. Raises BadMessage 483: no hops left.
    """
    hops = int(request.headers.get("Max-Forwards") or 70)
    if hops == 0:
        raise BadMessage(483, "Too Many Hops")
    copy = request.copy()
    copy.uri = uri
    copy.headers.set("Max-Forwards", str(hops - 1))
    if record_route is not None and request.method in DIALOG_FORMING:
        copy.headers.prepend("Record-Route", record_route)
    route = copy.headers.get("Route")
    if route is not None and NameAddr.parse(route).uri.param("lr") is None:
        copy.headers.pop_first("Route")
        copy.headers.add("Route", f"<{uri}>")
        copy.uri = NameAddr.parse(route).uri.text
    return copy


class Forwarding:
    """One request that is tried at its targets in turn; the best that they say goes back.

    on_silent is told of each target that gave no sign of life in time, on_done of the
    final status and the target that was tried last.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        server: ServerTransaction,
        targets: Sequence[Target],
        *,
        record_route: str,
        on_silent: Callable[[Target], None] = lambda target: None,
        on_done: Callable[[int, Target], None] = lambda status, target: None,
    ) -> None:
        self._layer = layer
        self._server = server
        self._targets = list(targets)
        self._target = targets[0]
        self._record_route = record_route
        self._on_silent = on_silent
        self._on_done = on_done
        self._client: ClientTransaction | None = None
        self._timer: Any = None
        self._cancelled = False
        self._done = False

    def start(self) -> None:
        """Try the first target. Raises BadMessage 483."""
        self._server.on_cancel = self._cancel
        self._try_next()

    def close(self) -> None:
        """Stop waiting; nobody is told."""
        self._wait(None, self._ring_too_long)

    @property
    def _invite(self) -> bool:
        return self._server.request.method == "INVITE"

    def _try_next(self) -> None:
        target = self._target = self._targets.pop(0)
        request = onward(self._server.request, target.uri, self._record_route)
        attempt: list[ClientTransaction] = []
        self._client = None
        client = self._layer.request(
            request,
            target.destination,
            lambda response: self._answered(attempt[0], target, response),
            lambda: self._timed_out(attempt[0], target),
        )
        attempt.append(client)
        self._client = client
        if self._invite:
            if self._targets:
                self._wait(PATIENCE, lambda: self._pass_over(target))
            else:
                self._wait(TIMER_C, self._ring_too_long)

    def _wait(self, seconds: float | None, then: Callable[[], None]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if seconds is None else self._layer.clock.callLater(seconds, then)

    def _answered(self, client: ClientTransaction, target: Target, response: Response) -> None:
        response = response.copy()
        response.headers.pop_first("Via")
        if "Via" not in response.headers:
            return
        if 200 <= response.status < 300:
            # Also of a target that was passed over: its call is up, and only the caller can end it (16.7).
            self._target = target
            self._finish(response)
        elif client is not self._client or self._done:
            return
        elif response.status < 200:
            if self._invite:
                self._wait(TIMER_C, self._ring_too_long)
            if response.status > 100:
                self._server.respond(response)
        elif response.status in TRY_NEXT and self._targets and not self._cancelled:
            self._try_next()
        else:
            self._finish(response)

    def _timed_out(self, client: ClientTransaction, target: Target) -> None:
        if client is not self._client or self._done:
            return
        self._on_silent(target)
        if self._cancelled:
            self._refuse(487)
        elif self._targets:
            self._try_next()
        elif self._invite:
            self._refuse(408)
        else:
            # A 408 would come too late to be of use (RFC 4320 section 4.2).
            self._end(408)

    def _pass_over(self, target: Target) -> None:
        self._on_silent(target)
        if self._client is not None:
            self._client.cancel()
        self._try_next()

    def _ring_too_long(self) -> None:
        if self._client is not None:
            self._client.cancel()
        self._refuse(408)

    def _cancel(self) -> None:
        """The caller called it off: so do we. The 487 comes from the target, or when it stays silent."""
        self._cancelled = True
        self._wait(None, self._ring_too_long)
        if self._client is not None:
            self._client.cancel()

    def _refuse(self, status: int) -> None:
        self._server.reply(status)
        self._end(status)

    def _finish(self, response: Response) -> None:
        self._server.respond(response)
        self._end(response.status)

    def _end(self, status: int) -> None:
        self._wait(None, self._ring_too_long)
        if not self._done:
            self._done = True
            self._on_done(status, self._target)
