"""A dialog: what two user agents remember of each other between requests (RFC 3261 section 12).

    request of ours         From: local    To: remote    CSeq: ours, counting up
    request of theirs       From: remote   To: local     CSeq: theirs, never falling

Requests go to the remote target (the peer's Contact) by way of the route set (the Record-Routes of the
proxies that want to stay in the path). Text that came from the peer goes back as it came.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivr_sim.sip.address import Address
from ivr_sim.sip.grammar import BadMessage
from ivr_sim.sip.message import Headers, Request, Response
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = ["Dialog"]


@dataclass
class Dialog:
    """One dialog, from our side.

    local, remote: From and To of our requests, tags included. route_set: values of Route, nearest first.
    local_seq: CSeq of our last request; remote_seq: of the peer's, None before its first.
    """

    call_id: str
    local: str
    remote: str
    local_tag: str
    remote_tag: str | None
    remote_target: str
    route_set: tuple[str, ...]
    local_seq: int
    remote_seq: int | None

    @classmethod
    def called(cls, invite: Request, *, local_tag: str) -> Dialog:
        """The dialog that an INVITE to us begins (section 12.1.1).

        Raises BadMessage 400: the INVITE has no usable Contact, or a route that leads nowhere.
        """
        to = invite.headers.get("To") or ""
        return cls(
            call_id=invite.call_id,
            local=f"{to};tag={local_tag}",
            remote=invite.headers.get("From") or "",
            local_tag=local_tag,
            remote_tag=invite.from_.tag,
            remote_target=_contact(invite),
            route_set=_routes(invite),
            local_seq=0,
            remote_seq=invite.cseq[0],
        )

    @classmethod
    def calling(cls, invite: Request, response: Response) -> Dialog:
        """The dialog that a response to our INVITE begins (section 12.1.2).

        A 2xx must name a Contact; where it does not, the request's URI is the best that is known. Raises
        BadMessage 400: a route that leads nowhere.
        """
        try:
            target = _contact(response)
        except BadMessage:
            target = invite.uri
        return cls(
            call_id=invite.call_id,
            local=invite.headers.get("From") or "",
            remote=response.headers.get("To") or "",
            local_tag=invite.from_.tag or "",
            remote_tag=response.to.tag,
            remote_target=target,
            route_set=_routes(response)[::-1],
            local_seq=invite.cseq[0],
            remote_seq=None,
        )

    def owns(self, request: Request) -> bool:
        """Whether a request of the peer's belongs here: Call-ID and both tags (section 12)."""
        return (
            request.call_id == self.call_id
            and request.to.tag == self.local_tag
            and request.from_.tag == self.remote_tag
        )

    def admit(self, request: Request) -> bool:
        """Note a request of the peer's; False when it is older than the last (answer 500, section 12.2.2).

        An INVITE or UPDATE that is admitted refreshes the remote target; the route set stays as it was.
        """
        number = request.cseq[0]
        if self.remote_seq is not None and number < self.remote_seq:
            return False
        self.remote_seq = number
        if request.method in ("INVITE", "UPDATE"):
            self.refresh(request)
        return True

    def refresh(self, message: Request | Response) -> None:
        """Take over the Contact of a re-INVITE or of its 2xx, if it has a usable one (section 12.2.1.2)."""
        try:
            self.remote_target = _contact(message)
        except BadMessage:
            return

    def request(
        self, method: str, *, headers: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> Request:
        """Our next request in the dialog (section 12.2.1.1), without its Via."""
        self.local_seq += 1
        return self._request(method, self.local_seq, headers, body)

    def renumber(self) -> int:
        """The number of another try of the request that ``request`` made last."""
        self.local_seq += 1
        return self.local_seq

    def ack(self, number: int, *, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> Request:
        """The ACK for a 2xx to our INVITE of that CSeq number (section 13.2.2.4), without its Via."""
        return self._request("ACK", number, headers, body)

    def _request(self, method: str, number: int, extra: tuple[tuple[str, str], ...], body: bytes) -> Request:
        uri, routes = self._path()
        headers = Headers()
        for route in routes:
            headers.add("Route", route)
        headers.add("From", self.local)
        headers.add("To", self.remote)
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{number} {method}")
        headers.add("Max-Forwards", "70")
        for name, value in extra:
            headers.add(name, value)
        return Request(method, uri, headers=headers, body=body)

    def _path(self) -> tuple[str, tuple[str, ...]]:
        """Request-URI and Routes. A strict router, one without ;lr, wants itself in the Request-URI."""
        if self.route_set and NameAddr.parse(self.route_set[0]).uri.param("lr") is None:
            first = NameAddr.parse(self.route_set[0]).uri.text
            return first, (*self.route_set[1:], f"<{self.remote_target}>")
        return self.remote_target, self.route_set

    @property
    def next_hop(self) -> Address:
        """Where our requests are sent to: the first route, or the remote target itself."""
        if self.route_set:
            return NameAddr.parse(self.route_set[0]).uri.address()
        return Uri.parse(self.remote_target).address()


def _routes(message: Request | Response) -> tuple[str, ...]:
    """The Record-Routes, from the top. Raises BadMessage: one that no request can be sent to."""
    routes = message.headers.get_all("Record-Route")
    for route in routes:
        NameAddr.parse(route).uri.address()
    return tuple(routes)


def _contact(message: Request | Response) -> str:
    """The URI of the one Contact, to send to. Raises BadMessage 400: none, or one that leads nowhere."""
    contacts = message.headers.get_all("Contact")
    if not contacts and isinstance(message, Request) and message.from_.tag is None:
        # From before RFC 3261, which made both a must (RFC 4475 section 3.4.1).
        contacts = [f"<{message.from_.uri}>"]
    if len(contacts) != 1:
        raise BadMessage(400, "One Contact expected")
    uri = NameAddr.parse(contacts[0]).uri
    uri.address()
    return uri.target
