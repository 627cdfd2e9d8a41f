"""The proxy core: one request on its way through, from our caller's transaction to those of its targets.

Transaction-stateful (RFC 3261 section 16): what is repeated on one side is not on the other, an INVITE is
called off hop by hop, and a target that does not answer gives way to the next. When all were tried, the best
of their answers goes back. Headers that are not ours to change pass as they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ivr_sim.sip.address import Address
from ivr_sim.sip.message import BadMessage, Request, Response, response_to
from ivr_sim.sip.transactions import ClientTransaction, ServerTransaction, TransactionLayer
from ivr_sim.sip.uri import NameAddr

__all__ = ["Forwarding", "Target", "onward"]

# Answers of a target that another target may better: nobody there, busy, or out of order.
TRY_NEXT = frozenset({408, 480, 486, 500, 502, 503, 504})
PATIENCE = 1.0  # seconds that a target has for its first answer while there are others
TIMER_C = 185.0  # seconds that it may ring between two provisional answers (section 16.6 step 11)
DIALOG_FORMING = ("INVITE", "SUBSCRIBE", "REFER")
# Of refusals of one class, those first that say most to whoever called (section 16.7 step 6).
TELLING = (401, 407, 415, 420, 484, 486, 480)
LEAST = (408, 503)


@dataclass(frozen=True)
class Target:
    """Where a request may go: its new Request-URI, and the address that it is sent to; user: whose it is."""

    uri: str
    destination: Address
    user: str = ""


def best_of(refusals: Sequence[Response]) -> Response:
    """The one of several refusals (300-699) that goes back: a 6xx, or else one of the lowest class."""

    def rank(response: Response) -> tuple[int, int]:
        status = response.status
        telling = TELLING.index(status) if status in TELLING else len(TELLING) + (status in LEAST)
        return (0 if status >= 600 else status // 100), telling

    return min(refusals, key=rank)


def fingerprint(request: Request) -> tuple[object, ...]:
    """What two passages of one request through here share when it loops; in a spiral its Request-URI or Route
    differs (section 16.6 step 8)."""
    routes = tuple(request.headers.get_all("Route"))
    return request.uri, routes, request.call_id, request.from_.tag, request.to.tag, request.cseq


def onward(request: Request, uri: str, record_routes: Sequence[str] = ()) -> Request:
    """The copy of a request that leaves: Request-URI, Max-Forwards, Record-Route (section 16.6).

    record_routes: our own, first that of the side which the request came from. A next hop that is a strict
    router gets its URI as Request-URI. Raises BadMessage 483: no hops left.
    """
    hops = int(request.headers.get("Max-Forwards") or 70)
    if hops == 0:
        raise BadMessage(483, "Too Many Hops")
    copy = request.copy()
    copy.uri = uri
    copy.headers.set("Max-Forwards", str(hops - 1))
    for record_route in record_routes if request.method in DIALOG_FORMING else ():
        copy.headers.prepend("Record-Route", record_route)
    route = copy.headers.get("Route")
    if route is not None and NameAddr.parse(route).uri.param("lr") is None:
        copy.headers.pop_first("Route")
        copy.headers.add("Route", f"<{uri}>")
        copy.uri = NameAddr.parse(route).uri.text
    return copy


class Forwarding:
    """One request that is tried at its targets in turn; the best that they say goes back.

    on_silent is told of each target that gave no sign of life in time, on_alive of those that did; on_answer
    of each 2xx that goes back and who gave it; on_refused_answer of each that takes a call whose caller was
    refused before, and cannot go back: whoever gave it must be let go; on_done of the final status, when
    nothing more is awaited.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        server: ServerTransaction,
        targets: Sequence[Target],
        *,
        record_routes: Sequence[str],
        on_silent: Callable[[Target], None] = lambda target: None,
        on_alive: Callable[[Target], None] = lambda target: None,
        on_answer: Callable[[Response, Target], None] = lambda response, target: None,
        on_refused_answer: Callable[[Response, Target], None] = lambda response, target: None,
        on_done: Callable[[int], None] = lambda status: None,
    ) -> None:
        self.fingerprint = fingerprint(server.request)
        self.branches: set[str] = set()
        self._layer = layer
        self._server = server
        self._targets = list(targets)
        self._target = targets[0]
        self._record_routes = record_routes
        self._on_silent = on_silent
        self._on_alive = on_alive
        self._on_answer = on_answer
        self._on_refused_answer = on_refused_answer
        self._on_done = on_done
        self._client: ClientTransaction | None = None
        self._refusals: list[Response] = []
        self._timer: Any = None
        self._cancelled = False
        self._caller_refused = False
        self._done = False

    def start(self) -> None:
        """Try the first target. Raises BadMessage 483."""
        self._server.on_cancel = self._cancel
        self._try_next()

    def close(self) -> None:
        """Stop waiting; nobody is told."""
        self._wait(None, self._ring_too_long)

    def lost(self, user: str) -> None:
        """A user is gone for certain: his targets are not tried, and nothing is awaited from them."""
        self._targets = [target for target in self._targets if target.user != user]
        if self._done or self._target.user != user:
            return
        client, self._client = self._client, None
        if client is not None:
            client.close()
        inside = self._server.request.to.tag is not None
        self._refused(487 if self._cancelled else 481 if inside else 503)

    @property
    def _invite(self) -> bool:
        return self._server.request.method == "INVITE"

    @property
    def _begins_call(self) -> bool:
        return self._invite and self._server.request.to.tag is None

    def _try_next(self) -> None:
        target = self._target = self._targets.pop(0)
        request = onward(self._server.request, target.uri, self._record_routes)
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
        self.branches.add(client.request.top_via.branch or "")
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
        self._on_alive(target)
        if 200 <= response.status < 300:
            # Also of a target that was passed over: its call is up, and the caller ends it (16.7).
            self._target = target
            if self._caller_refused and self._begins_call:
                self._on_refused_answer(response, target)
                self._end(487)
                return
            self._on_answer(response, target)
            self._finish(response)
        elif client is not self._client or self._done:
            return
        elif response.status < 200:
            if self._invite:
                self._wait(TIMER_C, self._ring_too_long)
            if response.status > 100:
                self._server.respond(response)
        else:
            self._refused(response)

    def _refused(self, refusal: Response | int) -> None:
        """A target said no, or we for it: try the next where that may help, else the best no goes back."""
        if isinstance(refusal, int):
            refusal = response_to(self._server.request, refusal, to_tag=self._server.to_tag)
        if refusal.status in TRY_NEXT and self._targets and not self._cancelled:
            self._refusals.append(refusal)
            self._try_next()
        elif refusal.status in TRY_NEXT:
            self._finish(best_of([*self._refusals, refusal]))
        else:
            self._finish(refusal)

    def _timed_out(self, client: ClientTransaction, target: Target) -> None:
        if client is not self._client or self._done:
            return
        self._on_silent(target)
        if self._cancelled:
            self._refused(487)
        elif self._invite or self._targets:
            self._refused(408)
        else:
            # A 408 would come too late to be of use (RFC 4320 section 4.2).
            self._end(408)

    def _pass_over(self, target: Target) -> None:
        self._on_silent(target)
        if self._client is not None:
            self._client.cancel()
        self._refused(408)

    def _ring_too_long(self) -> None:
        if self._client is not None:
            self._client.cancel()
        self._finish(response_to(self._server.request, 408, to_tag=self._server.to_tag))

    def _cancel(self) -> None:
        """The caller called it off (section 16.10): so do we.

        The 487 comes from the target that has said something. One that has not may not get a CANCEL yet
        (section 9.1), and may stay silent for all of 64*T1; no RFC lets the caller off before. But he has
        hung up, and nothing that the target may say is for him any more: he gets his 487 from us at once.
        The branch goes on without him: a sign of life is followed by CANCEL, a refusal is acknowledged, and
        of a 2xx, which has no way back through a transaction that was refused, on_refused_answer is told.
        Inside of a call he waits: there the target's answer counts for the call, and only he can take it.
        """
        self._cancelled = True
        self._wait(None, self._ring_too_long)
        if self._client is not None:
            silent = self._client.state == "calling"
            self._client.cancel()
            if silent and self._begins_call:
                self._respond(response_to(self._server.request, 487, to_tag=self._server.to_tag))

    def _respond(self, response: Response) -> None:
        self._caller_refused = self._caller_refused or response.status >= 300
        self._server.respond(response)

    def _finish(self, response: Response) -> None:
        self._respond(response)
        self._end(response.status)

    def _end(self, status: int) -> None:
        self._wait(None, self._ring_too_long)
        if not self._done:
            self._done = True
            self._on_done(status)
