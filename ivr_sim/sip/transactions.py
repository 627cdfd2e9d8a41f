"""The transaction layer: what exchange and phone send and receive SIP through (RFC 3261 section 17).

It adds nothing but its own Via, repeats what UDP loses, absorbs what the peer repeats, and answers CANCEL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog

from ivr_sim.errors import place
from ivr_sim.sip.identifiers import new_branch, new_call_id, new_tag
from ivr_sim.sip.message import BadMessage, Message, Request, Response, response_to
from ivr_sim.sip.transaction import (
    Event,
    Kind,
    Machine,
    Row,
    Timers,
    ack_for,
    cancel_for,
    client_key,
    event_of,
    server_key,
)
from ivr_sim.sip.transport import Address, Endpoint
from ivr_sim.sip.via import Via

__all__ = ["ClientTransaction", "ServerTransaction", "TransactionLayer", "new_call_id", "new_tag"]

log = structlog.get_logger(__name__)


class _Transaction:
    """A machine with its timers on the layer's clock. ``state`` is RFC 3261's, in lower case."""

    def __init__(self, layer: TransactionLayer, kind: Kind, key: tuple[str, ...], request: Request) -> None:
        self.key = key
        self.request = request
        self._layer = layer
        self._machine = Machine(kind, layer.timers)
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


class ClientTransaction(_Transaction):
    """A request of ours on its way to an answer. ``request`` is as it was sent, our Via on top."""

    def __init__(
        self,
        layer: TransactionLayer,
        request: Request,
        destination: Address,
        on_response: Callable[[Response], None],
        on_timeout: Callable[[], None],
    ) -> None:
        kind: Kind = "client INVITE" if request.method == "INVITE" else "client non-INVITE"
        super().__init__(layer, kind, client_key(request), request)
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


class ServerTransaction(_Transaction):
    """A request of a peer's, to be answered once. ``source`` is where it came from.

    ``to_tag`` is ours, the same in all answers that ``reply`` makes. ``on_cancel`` is called when the peer
    calls an INVITE off that has no final answer yet; the CANCEL itself is answered already, the 487 is the
    user's. ``on_no_ack`` is called when a 3xx-6xx, or a 2xx sent by ``accept``, was never acknowledged.
    """

    def __init__(self, layer: TransactionLayer, request: Request, source: Address) -> None:
        kind: Kind = "server INVITE" if request.method == "INVITE" else "server non-INVITE"
        super().__init__(layer, kind, server_key(request), request)
        self.source = source
        self.to_tag = request.to.tag or new_tag()
        self.on_cancel: Callable[[], None] = lambda: None
        self.on_no_ack: Callable[[], None] = lambda: None
        self._last: Response | None = None
        self._reply_address = request.top_via.reply_address

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
            self._layer.endpoint.send(self._last, self._reply_address)


class TransactionLayer:
    """All transactions of one endpoint.

    ``on_request(server, request, source)`` gets each new request once. ``on_ack(request, source)`` gets each
    ACK for a 2xx, and each that belongs to nothing; ``on_stray(response, source)`` responses that belong
    to nothing (by default both are dropped). A BadMessage that ``on_request`` raises becomes the
    answer; any other exception becomes a 500.

    clock: IReactorTime. max_transactions: beyond it new requests are answered 503 and forgotten.
    """

    def __init__(
        self,
        clock: Any,
        endpoint: Endpoint,
        on_request: Callable[[ServerTransaction, Request, Address], None],
        *,
        on_ack: Callable[[Request, Address], None] = lambda ack, source: None,
        on_stray: Callable[[Response, Address], None] = lambda response, source: None,
        timers: Timers | None = None,
        max_transactions: int = 20_000,
    ) -> None:
        self.clock = clock
        self.endpoint = endpoint
        self.timers = timers or Timers()
        self._on_request = on_request
        self._on_ack = on_ack
        self._on_stray = on_stray
        self._max = max_transactions
        self._clients: dict[tuple[str, ...], ClientTransaction] = {}
        self._servers: dict[tuple[str, ...], ServerTransaction] = {}
        endpoint.on_message = self._receive

    def request(
        self,
        request: Request,
        destination: Address,
        on_response: Callable[[Response], None],
        on_timeout: Callable[[], None] = lambda: None,
    ) -> ClientTransaction:
        """Send a request in a transaction of its own; our Via is put on top of a copy.

        ``on_response`` is called for each provisional response, for the final one, and for each copy of a
        2xx to INVITE (each of which wants its ACK: ``send``). 3xx-6xx to INVITE are acknowledged here.
        ``on_timeout`` is called when there is no final answer, and none will come.
        """
        client = ClientTransaction(
            self, self._with_via(request, destination), destination, on_response, on_timeout
        )
        return self._begin(client)

    def send(self, request: Request, destination: Address) -> None:
        """Send a request outside of transactions, our Via on top of a copy: the ACK for a 2xx."""
        self.endpoint.send(self._with_via(request, destination), destination)

    def close(self) -> None:
        """Forget all transactions; nobody is told."""
        for each in (*self._clients.values(), *self._servers.values()):
            each.close()

    def __len__(self) -> int:
        """How many transactions there are."""
        return len(self._clients) + len(self._servers)

    def _begin(self, client: ClientTransaction) -> ClientTransaction:
        self._clients[client.key] = client
        client.start()
        return client

    def _with_via(self, request: Request, destination: Address) -> Request:
        request = request.copy()
        host, port = self.endpoint.local_address(destination)
        host = f"[{host}]" if ":" in host else host
        request.headers.prepend("Via", str(Via("UDP", host, port, {"branch": new_branch(), "rport": None})))
        return request

    def send_cancel(self, client: ClientTransaction) -> None:
        """Send the CANCEL of a client transaction, in a transaction of its own."""
        cancel = cancel_for(client.request)
        self._begin(ClientTransaction(self, cancel, client.destination, lambda _: None, lambda: None))

    def forget(self, transaction: _Transaction) -> None:
        """Called by a transaction that has ended."""
        table: dict[Any, Any] = self._clients if isinstance(transaction, ClientTransaction) else self._servers
        table.pop(transaction.key, None)

    def deliver(self, server: ServerTransaction, request: Request) -> None:
        """Hand a request to its user, and make an answer of what goes wrong there."""
        if request.method == "ACK":
            self._on_ack(request, server.source)
            return
        try:
            if request.method == "CANCEL":
                self._cancel(server, request)
            else:
                self._on_request(server, request, server.source)
        except BadMessage as error:
            server.reply(error.status, error.reason)
        except Exception as error:
            # Not its message, nor a variable: the body of an INFO is a key.
            log.error(
                "a SIP request could not be handled",
                method=request.method,
                error=type(error).__name__,
                at=place(error),
            )
            server.reply(500)

    def _receive(self, message: Message, source: Address) -> None:
        if isinstance(message, Response):
            client = self._clients.get(client_key(message))
            if client is not None:
                client.receive(message)
            else:
                self._on_stray(message, source)
            return
        message.headers.replace_first("Via", str(message.top_via.stamped(source)))
        server = self._servers.get(server_key(message))
        if server is not None:
            server.receive(message)
        elif message.method == "ACK":
            self._on_ack(message, source)
        elif len(self) >= self._max:
            self.endpoint.send(response_to(message, 503, headers=[("Retry-After", "10")]), source)
        else:
            server = ServerTransaction(self, message, source)
            self._servers[server.key] = server
            server.start()

    def _cancel(self, server: ServerTransaction, request: Request) -> None:
        """Answer a CANCEL (section 9.2), alike for user agents and stateful proxies."""
        invite = self._servers.get(server_key(request, "INVITE"))
        if invite is None:
            server.reply(481)
            return
        server.to_tag = invite.to_tag
        server.reply(200)
        if invite.state == "proceeding":
            invite.on_cancel()
