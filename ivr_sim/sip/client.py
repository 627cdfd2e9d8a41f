"""The client half of a user agent: sends requests, answers challenges, and always gets a final response."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed

from ivr_sim.sip import digest
from ivr_sim.sip.message import BadMessage, Request, Response, response_to
from ivr_sim.sip.transactions import ClientTransaction, TransactionLayer
from ivr_sim.sip.transport import Address

__all__ = ["Sent", "UserAgentClient"]

MAX_TRIES = 5  # the request itself, one 401, one 407 each of two proxies, one nonce gone stale


class UserAgentClient:
    """Sends requests in the name of one account."""

    def __init__(self, layer: TransactionLayer, *, username: str, password: str, product: str) -> None:
        self.layer = layer
        self.username = username
        self.password = password
        self.product = product
        self._pending: set[Sent] = set()
        self._waiting: list[Deferred[None]] = []

    def send(
        self,
        request: Request,
        destination: Address,
        on_response: Callable[[Response], None],
        *,
        renumber: Callable[[], int] | None = None,
    ) -> Sent:
        """Send a request, and again with credentials when it is challenged (RFC 3261 section 22).

        ``on_response`` gets each provisional response, then one final: a 408 of our own making when none
        came (section 8.1.3.1); of a 2xx to INVITE also its copies. ``renumber`` gives the CSeq number of
        each further try; without it the numbers count on from the request's own.
        """
        request.headers.set("User-Agent", self.product)
        sent = Sent(self, request, destination, on_response, renumber)
        self._pending.add(sent)
        sent.try_()
        return sent

    def idle(self) -> Deferred[None]:
        """Fires when no request of ours waits for its final response."""
        if not self._pending:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def settle(self, sent: Sent) -> None:
        """Called by a request that has its final response."""
        self._pending.discard(sent)
        if not self._pending:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)


class Sent:
    """One request through all its tries; ``request`` is the last of them."""

    def __init__(
        self,
        client: UserAgentClient,
        request: Request,
        destination: Address,
        on_response: Callable[[Response], None],
        renumber: Callable[[], int] | None,
    ) -> None:
        self.request = request
        self.destination = destination
        self._client = client
        self._on_response = on_response
        self._renumber = renumber
        self._transaction: ClientTransaction | None = None
        self._tries = 0
        self._final = False
        self._cancelled = False
        self._answers: dict[tuple[str, str], str] = {}  # credentials, by their header and realm

    @property
    def credentials(self) -> tuple[tuple[str, str], ...]:
        """Those that the last try carried; the ACK for its 2xx carries the same (section 13.2.2.4)."""
        return tuple((name, value) for (name, _), value in self._answers.items())

    def try_(self) -> None:
        """Send the request as it is now."""
        self._tries += 1
        self._transaction = self._client.layer.request(
            self.request, self.destination, self._responded, self._timed_out
        )

    def cancel(self) -> None:
        """Call an INVITE off; its final response, mostly a 487, still comes."""
        self._cancelled = True
        if self._transaction is not None:
            self._transaction.cancel()

    def _responded(self, response: Response) -> None:
        if response.status in (401, 407) and not self._final and self._authorized(response):
            self.try_()
            return
        if response.status >= 200 and not self._final:
            self._final = True
            self._client.settle(self)
        self._on_response(response)

    def _timed_out(self) -> None:
        if not self._final:
            self._final = True
            self._client.settle(self)
            self._on_response(response_to(self.request, 408))

    def _authorized(self, response: Response) -> bool:
        """Prepare the next try; False when the challenge cannot be answered, or our answer was refused."""
        if self._cancelled or self._tries >= MAX_TRIES or not self._answered(response):
            return False
        number = self.request.cseq[0] + 1 if self._renumber is None else self._renumber()
        again = self.request.copy()
        again.headers.set("CSeq", f"{number} {again.method}")
        for name in ("Authorization", "Proxy-Authorization"):
            again.headers.remove(name)
        for name, value in self.credentials:
            again.headers.add(name, value)
        self.request = again
        return True

    def _answered(self, response: Response) -> bool:
        """Answer one challenge of each realm, the first that we can; False if one stays without.

        Several proxies on the way ask in turn, or all at once (section 22.3). A realm that asks again has
        refused what it got, unless it says that only the nonce was too old.
        """
        asks, answers = (
            ("Proxy-Authenticate", "Proxy-Authorization")
            if response.status == 407
            else ("WWW-Authenticate", "Authorization")
        )
        found: dict[tuple[str, str], str] = {}
        refused = False
        for value in response.headers.get_all(asks):
            try:
                asked = digest.parse(value)
                key = answers, asked.get("realm", "")
                if key in found:
                    continue
                if key in self._answers and asked.get("stale", "").lower() != "true":
                    refused = True
                    continue
                found[key] = digest.authorize(
                    value,
                    method=self.request.method,
                    uri=self.request.uri,
                    user=self._client.username,
                    password=self._client.password,
                    cnonce=secrets.token_hex(8),
                )
            except BadMessage:
                continue  # another scheme, another algorithm: the next one may do
        self._answers |= found
        return bool(found) and not refused
