"""The two sides of a transaction: a request of ours until it is answered, and one of a peer's until we have.

Each holds a :class:`Machine`, does what its rows say, and tells its user (RFC 3261 section 17).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ivr_sim.sip.address import DEFAULT_PORTS
from ivr_sim.sip.identifiers import new_tag
from ivr_sim.sip.message import Message, Request, Response, response_to
from ivr_sim.sip.transaction import (
    Event,
    Kind,
    Machine,
    Row,
    Timers,
    ack_for,
    client_key,
    event_of,
    server_key,
)
from ivr_sim.sip.transport import Address, Endpoint

__all__ = ["ClientTransaction", "ServerTransaction", "Side"]


class Layer(Protocol):
    """What a side needs of the layer that it lives in."""

    clock: Any
    endpoint: Endpoint
    timers: Timers

    def send_cancel(self, client: ClientTransaction) -> None:
        """Send the CANCEL of a client transaction, in a transaction of its own."""

    def deliver(self, server: ServerTransaction, request: Request) -> None:
        """Hand a request to its user, and make an answer of what goes wrong there."""

    def forget(self, transaction: Side) -> None:
        """Called by a transaction that has ended."""


class Side:
    """A machine with its timers on the layer's clock. ``state`` is RFC 3261's, in lower case."""

    def __init__(
        self, layer: Layer, kind: Kind, key: tuple[str, ...], request: Request, peer: Address
    ) -> None:
        self.key = key
        self.request = request
        self._layer = layer
        self._machine = Machine(kind, layer.timers, reliable=peer.reliable)
        self._running: dict[str, Any] = {}

    @property
    def state(self) -> str:
        return self._machine.state

    def start(self) -> None:
        """Begin: a client sends its request, a server hands it to its user."""
        self._step("start", self.request)

    def close(self) -> None:
        """Stop the timers and be forgotten; nobody is told."""
        for timer in list(self._running):
            self._stop(timer)
        self._layer.forget(self)

    def _step(self, event: Event, message: Message | None = None) -> None:
        row = self._machine.step(event)
        for timer in row.stop:
            self._stop(timer)
        for timer in row.start:
            self._start(timer)
        try:
            self._do(event, row, message)
        finally:
            if row.state == "terminated":
                self.close()

    def _start(self, timer: Any) -> None:
        self._stop(timer)
        seconds = self._machine.seconds(timer)
        if seconds is not None:
            self._running[timer] = self._layer.clock.callLater(seconds, self._fire, timer)

    def _stop(self, timer: str) -> None:
        call = self._running.pop(timer, None)
        if call is not None:
            call.cancel()

    def _fire(self, timer: Any) -> None:
        del self._running[timer]
        self._step(timer)

    def _do(self, event: Event, row: Row, message: Message | None) -> None:
        raise NotImplementedError


class ClientTransaction(Side):
    """A request of ours on its way to an answer. ``request`` is as it was sent, our Via on top."""

    def __init__(
        self,
        layer: Layer,
        request: Request,
        destination: Address,
        on_response: Callable[[Response], None],
        on_timeout: Callable[[], None],
    ) -> None:
        kind: Kind = "client INVITE" if request.method == "INVITE" else "client non-INVITE"
        super().__init__(layer, kind, client_key(request), request, destination)
        self.destination = destination
        self._on_response = on_response
        self._on_timeout = on_timeout
        self._cancel_later = False

    def cancel(self) -> None:
        """Call an INVITE off (section 9.1): CANCEL goes out once a provisional response is there.

        The 487 comes by ``on_response`` like any other answer; so does a 200 that crossed the CANCEL, which
        must be acknowledged and hung up. If neither comes within 64*T1, ``on_timeout`` is called.
        """
        if self.state == "calling":
            self._cancel_later = True
        elif self.state == "proceeding" and self.request.method == "INVITE" and "X" not in self._running:
            self._start("X")
            self._layer.send_cancel(self)

    def receive(self, response: Response) -> None:
        """Take a response that belongs here."""
        self._step(event_of(response.status), response)
        if self._cancel_later and self.state == "proceeding":
            self._cancel_later = False
            self.cancel()

    def fail(self) -> None:
        """The request cannot be delivered: where nothing was heard yet, its user gets a 503."""
        self._step("error")

    def _do(self, event: Event, row: Row, message: Message | None) -> None:
        for action in row.do:
            if action == "send":
                self._layer.endpoint.send(self.request, self.destination)
            elif action == "ack" and isinstance(message, Response):
                self._layer.endpoint.send(ack_for(self.request, message), self.destination)
            elif action == "pass" and isinstance(message, Response):
                self._on_response(message)
            elif action == "timeout":
                self._on_timeout()
            elif action == "fail":
                self._on_response(response_to(self.request, 503))


class ServerTransaction(Side):
    """A request of a peer's, to be answered once. ``source`` is where it came from.

    ``to_tag`` is ours, the same in all answers that ``reply`` makes. ``on_cancel`` is called when the peer
    calls an INVITE off that has no final answer yet; the CANCEL itself is answered already, the 487 is the
    user's. ``on_no_ack`` is called when a 3xx-6xx, or a 2xx sent by ``accept``, was never acknowledged.
    """

    def __init__(self, layer: Layer, request: Request, source: Address) -> None:
        kind: Kind = "server INVITE" if request.method == "INVITE" else "server non-INVITE"
        super().__init__(layer, kind, server_key(request), request, source)
        self.source = source
        self.to_tag = request.to.tag or new_tag()
        self.on_cancel: Callable[[], None] = lambda: None
        self.on_no_ack: Callable[[], None] = lambda: None
        self._last: Response | None = None
        self._reply_address = request.top_via.reply_address._replace(transport=source.transport)
        if source.reliable:
            # Where the connection that the request came by is gone, a new one goes to the port that its
            # sender listens on (section 18.2.2), not to the one that the old connection had.
            port = request.top_via.port or DEFAULT_PORTS[source.transport]
            self._reply_address = self._reply_address._replace(port=port)

    def reply(
        self,
        status: int,
        reason: str | None = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        """Make an answer with our tag and send it; returns it."""
        response = response_to(self.request, status, reason, to_tag=self.to_tag, headers=headers, body=body)
        self.respond(response)
        return response

    def respond(self, response: Response) -> None:
        """Send an answer, the last of which answers copies of the request.

        3xx-6xx to INVITE are repeated until ACK. A 2xx to INVITE is sent once: repeating it is for the user
        agent, by ``accept``. What comes after a final answer is dropped, but for another 2xx to INVITE.
        """
        kind = event_of(response.status)
        self._step("send 1xx" if kind == "1xx" else "send 2xx" if kind == "2xx" else "send 3xx-6xx", response)

    def accept(self, response: Response) -> None:
        """Answer an INVITE by a 2xx, repeated until ``acknowledged`` (section 13.3.1.4: T1, doubling to T2)
        or, for want of that, for 64*T1."""
        self.respond(response)
        if self.state == "accepted":
            self._repeat_after(self._layer.timers.t1)

    def acknowledged(self) -> None:
        """The ACK for the accepted INVITE has come: to be called by whoever knows its dialog."""
        self._stop("repeat")

    def _repeat_after(self, seconds: float) -> None:
        self._stop("repeat")
        self._running["repeat"] = self._layer.clock.callLater(seconds, self._repeat, seconds)

    def _repeat(self, waited: float) -> None:
        del self._running["repeat"]
        self._repeat_after(min(2 * waited, self._layer.timers.t2))
        self._send_last()

    def receive(self, request: Request) -> None:
        """Take a copy of the request, or the ACK for it."""
        self._step("ACK" if request.method == "ACK" else "request", request)

    def _do(self, event: Event, row: Row, message: Message | None) -> None:
        for action in row.do:
            if action == "send":
                if isinstance(message, Response):
                    self._last = message
                self._send_last()
            elif action == "pass" and isinstance(message, Request):
                self._layer.deliver(self, message)
            elif action == "timeout" and (event == "H" or "repeat" in self._running):
                self.on_no_ack()

    def _send_last(self) -> None:
        if self._last is not None:
            endpoint = self._layer.endpoint
            same = self.source.reliable and endpoint.connected(self.source)
            endpoint.send(self._last, self.source if same else self._reply_address)
