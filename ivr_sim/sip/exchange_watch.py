"""How an exchange tells its watcher what happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import structlog

from ivr_sim.errors import place
from ivr_sim.sip.digest import other_realm
from ivr_sim.sip.exchange_event import Admitted, Challenged, ExchangeEvent, HostHeard, Refused, TurnedAway
from ivr_sim.sip.message import Request
from ivr_sim.sip.transport import Address

__all__ = ["Watch"]

log = structlog.get_logger(__name__)

MAX_HOSTS = 64  # that are told of when they are heard for the first time


class Watch:
    """Hands events to ``on_event``, and makes those that say something of a request."""

    def __init__(self, on_event: Callable[[ExchangeEvent], None] | None, realm: str) -> None:
        self._on_event = on_event
        self._realm = realm
        self._hosts: set[str] = set()

    def tell(self, event: ExchangeEvent) -> None:
        """Tell the watcher; a call never fails because somebody who watches it does."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:
            log.error(
                "a watcher of the exchange failed",
                event_name=type(event).__name__,
                error=type(error).__name__,
                at=place(error),
            )

    def heard(self, source: Address) -> None:
        """A datagram came; its host is told of the first time."""
        if source[0] not in self._hosts and len(self._hosts) < MAX_HOSTS:
            self._hosts.add(source[0])
            self.tell(HostHeard(host=source[0]))

    def challenged(self, request: Request, source: Address) -> None:
        """Credentials were asked for; told of requests that a phone cannot do without."""
        if request.method not in ("REGISTER", "INVITE"):
            return
        name = "Authorization" if request.method == "REGISTER" else "Proxy-Authorization"
        realm = other_realm(request.headers.get_all(name), self._realm)
        self.tell(
            Challenged(
                method=request.method,
                user=_sender(request),
                source=source,
                realm=realm,
            )
        )

    def admitted(self, request: Request, source: Address) -> None:
        """Credentials are right."""
        if request.method in ("REGISTER", "INVITE"):
            self.tell(Admitted(method=request.method, user=_sender(request), source=source))

    def refused(self, request: Request, user: str | None, source: Address, status: int, cause: str) -> None:
        """Credentials, or what was asked with them, were refused."""
        self.tell(
            Refused(
                method=request.method,
                user=user,
                source=source,
                status=status,
                cause=cause,
                account=_sender(request),
            )
        )

    def turned_away(
        self,
        request: Request,
        uri_user: str,
        domain: str,
        source: Address,
        status: int,
        cause: Literal["domain", "absent"],
    ) -> None:
        """A request leads nowhere; told of those by which a phone registers or calls."""
        if request.method in ("REGISTER", "INVITE"):
            self.tell(
                TurnedAway(
                    method=request.method,
                    user=_sender(request),
                    uri_user=uri_user,
                    domain=domain,
                    source=source,
                    status=status,
                    cause=cause,
                )
            )


def _sender(request: Request) -> str:
    """Whose telephone it is: a REGISTER may be sent by somebody for somebody else, who is named in To."""
    return (request.to if request.method == "REGISTER" else request.from_).uri.user or ""
