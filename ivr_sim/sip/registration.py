"""One registration at a registrar, kept alive (RFC 3261 section 10.2)."""

from __future__ import annotations

from typing import Any

import structlog
from twisted.internet.defer import Deferred

from ivr_sim.errors import IvrSimError
from ivr_sim.sip.client import UserAgentClient
from ivr_sim.sip.message import BadMessage, Headers, Request, Response
from ivr_sim.sip.transactions import new_call_id, new_tag
from ivr_sim.sip.transport import Address
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = ["Registration", "RegistrationRefused"]

log = structlog.get_logger(__name__)

RETRY = (2.0, 4.0, 8.0, 16.0, 32.0)  # seconds after a refresh that failed; the last one repeats
MAX_EXPIRES = 7200


class RegistrationRefused(IvrSimError):
    """The registrar does not take us: its status and reason; 408 when it does not answer at all."""

    def __init__(self, status: int, reason: str, server: Address) -> None:
        hint = "; are the user and its password right?" if status in (401, 403, 407) else ""
        super().__init__(f"not registered at {server}: {status} {reason}{hint}")
        self.status = status
        self.reason = reason


class Registration:
    """Registers one contact, refreshes it before it expires, and takes it away again.

    aor: the address of record, without display name. expires: seconds that are asked for. All REGISTERs
    share Call-ID and From tag, and their numbers count up (section 10.2).
    """

    def __init__(
        self, clock: Any, client: UserAgentClient, *, server: Address, aor: Uri, contact: str, expires: int
    ) -> None:
        self.registered = False
        self._clock = clock
        self._client = client
        self._server = server
        self._aor = aor
        self._contact = contact
        self._expires = expires
        self._call_id = new_call_id(aor.host)
        self._tag = new_tag()
        self._number = 0
        self._failures = 0
        self._timer: Any = None
        self._first: Deferred[None] | None = None
        self._stopped = False

    def start(self) -> Deferred[None]:
        """Register; fires when we are, fails with RegistrationRefused. Then refreshes until ``stop``."""
        first: Deferred[None] = Deferred()
        self._first = first
        self._send(self._expires, self._registered)
        return first

    def stop(self) -> Deferred[None]:
        """Take the contact away; fires when the registrar has answered, or will not answer any more."""
        self._stopped = True
        self._cancel_timer()
        done: Deferred[None] = Deferred()
        first, self._first = self._first, None
        if first is not None:
            first.errback(RegistrationRefused(487, "stopped before the answer came", self._server))
        elif not self.registered:
            done.callback(None)
            return done
        self.registered = False

        def answered(response: Response) -> None:
            if response.status >= 200:
                done.callback(None)

        self._send(0, answered)
        return done

    def _send(self, expires: int, on_response: Any) -> None:
        headers = Headers(
            [
                ("From", f"<{self._aor}>;tag={self._tag}"),
                ("To", f"<{self._aor}>"),
                ("Call-ID", self._call_id),
                ("CSeq", f"{self._next_number()} REGISTER"),
                ("Max-Forwards", "70"),
                ("Contact", self._contact),
                ("Expires", str(expires)),
            ]
        )
        uri = Uri("sip", None, self._aor.host, self._aor.port)
        self._client.send(
            Request("REGISTER", str(uri), headers=headers),
            self._server,
            on_response,
            renumber=self._next_number,
        )

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _registered(self, response: Response) -> None:
        if response.status < 200 or self._stopped:
            return
        if response.status < 300:
            self.registered = True
            self._failures = 0
            granted = self._granted(response)
            # Well before it expires, so that one lost refresh can be tried again.
            self._again_in(max(1.0, granted - 10.0 if granted > 40 else granted * 0.75))
            if self._first is not None:
                first, self._first = self._first, None
                first.callback(None)
            return
        minimum = response.headers.get("Min-Expires") or ""
        if response.status == 423 and minimum.isascii() and minimum.isdigit() and len(minimum) < 6:
            wanted = min(int(minimum), MAX_EXPIRES)
            if wanted > self._expires:
                self._expires = wanted
                self._send(self._expires, self._registered)
                return
        self.registered = False
        if self._first is not None:
            self._stopped = True
            first, self._first = self._first, None
            first.errback(RegistrationRefused(response.status, response.reason, self._server))
            return
        log.warning("the registration could not be refreshed", status=response.status, reason=response.reason)
        self._again_in(RETRY[min(self._failures, len(RETRY) - 1)])
        self._failures += 1

    def _granted(self, response: Response) -> int:
        """Seconds that our contact is good for: its own parameter, the header, or what we asked."""
        ours = NameAddr.parse(self._contact).uri
        texts = [response.headers.get("Expires")]
        for value in response.headers.get_all("Contact"):
            try:
                contact = NameAddr.parse(value)
            except BadMessage:
                continue
            if (contact.uri.user, contact.uri.host, contact.uri.port) == (ours.user, ours.host, ours.port):
                texts.insert(0, contact.params.get("expires"))
        for text in texts:
            if text and text.isascii() and text.isdigit() and len(text) < 10:
                return max(1, min(int(text), MAX_EXPIRES))
        return self._expires

    def _again_in(self, seconds: float) -> None:
        self._cancel_timer()
        self._timer = self._clock.callLater(seconds, self._refresh)

    def _refresh(self) -> None:
        self._timer = None
        self._send(self._expires, self._registered)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
