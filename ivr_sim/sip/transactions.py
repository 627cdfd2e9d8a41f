"""The transaction layer: what exchange and phone send and receive SIP through (RFC 3261 section 17).

It adds nothing but its own Via, repeats what UDP loses, absorbs what the peer repeats, and answers CANCEL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from ivr_sim.errors import place
from ivr_sim.sip.address import in_brackets
from ivr_sim.sip.identifiers import new_branch, new_call_id, new_tag
from ivr_sim.sip.message import BadMessage, Message, Request, Response, response_to
from ivr_sim.sip.transaction import Timers, cancel_for, client_key, server_key
from ivr_sim.sip.transaction_sides import ClientTransaction, ServerTransaction, Side
from ivr_sim.sip.transport import Address, Endpoint
from ivr_sim.sip.via import Via

__all__ = ["ClientTransaction", "ServerTransaction", "TransactionLayer", "new_call_id", "new_tag"]

log = structlog.get_logger(__name__)

MTU = 1300  # bytes of a request that a datagram is trusted with (section 18.1.1)


class TransactionLayer:
    """All transactions of one endpoint.

    ``on_request(server, request, source)`` gets each new request once. ``on_ack(request, source)`` gets each
    ACK for a 2xx, and each that belongs to nothing; ``on_stray(response, source)`` responses that belong
    to nothing (by default both are dropped). A BadMessage that ``on_request`` raises becomes the
    answer; any other exception becomes a 500.

    A request longer than 1,300 bytes goes by TCP where a connection to its destination is there (section
    18.1.1): longer datagrams come in pieces, and are lost with any one of them.

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
        self._by_connection: dict[Address, set[ClientTransaction]] = {}
        endpoint.on_message = self._receive
        endpoint.on_lost = self._lost

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
        A request that the transport cannot deliver is answered 503 here, later than this returns.
        ``on_timeout`` is called when there is no final answer, and none will come.
        """
        ready, destination = self._with_via(request, destination)
        return self._begin(ClientTransaction(self, ready, destination, on_response, on_timeout))

    def send(self, request: Request, destination: Address) -> None:
        """Send a request outside of transactions, our Via on top of a copy: the ACK for a 2xx."""
        self.endpoint.send(*self._with_via(request, destination))

    def close(self) -> None:
        """Forget all transactions; nobody is told."""
        for each in (*self._clients.values(), *self._servers.values()):
            each.close()

    def __len__(self) -> int:
        """How many transactions there are."""
        return len(self._clients) + len(self._servers)

    def _begin(self, client: ClientTransaction) -> ClientTransaction:
        self._clients[client.key] = client
        if client.destination.reliable:
            self._by_connection.setdefault(client.destination, set()).add(client)
        client.start()
        return client

    def _with_via(self, request: Request, destination: Address) -> tuple[Request, Address]:
        """The request as it leaves, and where to."""
        ready = request.copy()
        via = self._via(destination)
        ready.headers.prepend("Via", via)
        by_tcp = destination._replace(transport="TCP")
        if not destination.reliable and self.endpoint.connected(by_tcp) and len(ready.to_bytes()) > MTU:
            ready.headers.replace_first("Via", self._via(by_tcp))
            return ready, by_tcp
        return ready, destination

    def _via(self, destination: Address) -> str:
        here = self.endpoint.local_address(destination)
        params = {"branch": new_branch(), "rport": None}
        return str(Via(here.transport, in_brackets(here.host), here.port, params))

    def send_cancel(self, client: ClientTransaction) -> None:
        """Send the CANCEL of a client transaction, in a transaction of its own."""
        cancel = cancel_for(client.request)
        self._begin(ClientTransaction(self, cancel, client.destination, lambda _: None, lambda: None))

    def forget(self, transaction: Side) -> None:
        """Called by a transaction that has ended."""
        if not isinstance(transaction, ClientTransaction):
            self._servers.pop(transaction.key, None)
            return
        self._clients.pop(transaction.key, None)
        same = self._by_connection.get(transaction.destination)
        if same is not None:
            same.discard(transaction)
            if not same:
                del self._by_connection[transaction.destination]

    def _lost(self, peer: Address) -> None:
        """No connection to a peer, or none any more: what it has not answered yet has failed."""
        for client in tuple(self._by_connection.get(peer, ())):
            client.fail()

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
