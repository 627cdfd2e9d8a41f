"""The calls that an exchange has set up: how to find both ends again, and how to end a call between them.

A call is known by its Call-ID. It has one caller, and one answered end for each 2xx (section 16.7 lets
several through: a target that was passed over may still answer). It is over when nothing sets it up any more
and all answered ends have left it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ivr_sim.sip.address import Address
from ivr_sim.sip.message import BadMessage, Headers, Request, Response
from ivr_sim.sip.proxy import Target
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = ["CallTable", "End", "KnownCall"]

QUIET = 4 * 3600.0  # seconds without a request after which a call may have lost both its ends
REFRESHING = ("INVITE", "UPDATE", "SUBSCRIBE", "REFER", "NOTIFY")  # what may move a contact


@dataclass
class End:
    """One end of a call.

    address: its From or To, with the tag. routes: proxies between us and it, the next one first. number: the
    highest CSeq of its own requests. over: it left the call, or was left. lost: it will never be heard again.
    """

    target: Target
    address: str
    tag: str | None
    routes: tuple[str, ...]
    number: int = 0
    over: bool = False
    lost: bool = False


@dataclass
class KnownCall:
    """Both ends of a call.

    ways: the address in a contact to the one that its owner writes from. setting_up: how many requests that
    may begin it are under way. heard_at: when its last request came.
    """

    call_id: str
    caller: End | None
    first: Target
    ways: dict[Address, Address]
    answered: dict[str | None, End] = field(default_factory=dict)
    setting_up: int = 0
    heard_at: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nobody is in it, nor on the way into it."""
        return not self.setting_up and all(end.over for end in self.answered.values())

    def other_end(self, request: Request, source: Address) -> Target:
        """The end that a request without Route means. Raises BadMessage 481: it gave no contact.

        By its To tag or, where a client made that up, as pyVoIP does, by where the request comes from.
        """
        end = self.end(request.to.tag)
        if end is None:
            answered = next(reversed(self.answered.values()), None)
            callee = self.first if answered is None else answered.target
            if source != callee.destination:
                return callee
            end = self.caller
        if end is None:
            raise BadMessage(481, "Call/Transaction Does Not Exist")
        return end.target

    def end(self, tag: str | None) -> End | None:
        """The end with this tag."""
        if self.caller is not None and tag is not None and self.caller.tag == tag:
            return self.caller
        return self.answered.get(tag)

    def heard(self, request: Request, source: Address) -> None:
        """Note what a request inside of the call says of its sender: its number and where it is now."""
        end = self.end(request.from_.tag)
        if end is None:
            return
        end.number = max(end.number, request.cseq[0])
        contacts = request.headers.get_all("Contact")
        if request.method in REFRESHING and len(contacts) == 1:
            uri = NameAddr.parse(contacts[0]).uri
            end.target = Target(uri.text, self._way(uri, request, source), end.target.user)

    def _way(self, uri: Uri, request: Request, source: Address) -> Address:
        # Only of a sender without proxies in between is the source its own address.
        address = uri.address()
        way = self.ways[address] = source if len(request.vias) == 1 else address
        return way

    def goodbyes(self, user: str, sources: Sequence[Address]) -> list[tuple[Request, Address]]:
        """What ends this call for the ends that talk to a user who is gone: BYEs, and where they go.

        sources: the addresses of that user, by which he is known as a caller.
        """
        caller = self.caller
        if caller is None:
            return []
        byes = []
        calling = caller.target.destination in sources
        for end in self.answered.values():
            if end.over or not (calling or end.target.user == user):
                continue
            gone, left = (caller, end) if calling else (end, caller)
            gone.lost = end.over = True
            byes.append(self._bye(gone, left))
        return byes

    def refused(self, end: End, answer: Response) -> list[tuple[Request, Address]]:
        """What ends it for an end whose 2xx came when the caller had been refused: ACK, and once a BYE."""
        number = answer.cseq[0]
        caller = self.caller
        if caller is None:  # he named no contact
            caller = End(self.first, answer.headers.get("From") or "", answer.from_.tag, (), number)
        made = [self._request("ACK", number, caller, end)]
        if not end.over:
            end.over = True
            made.append(self._bye(caller, end))
        return made

    def _bye(self, sender: End, receiver: End) -> tuple[Request, Address]:
        sender.number += 1
        return self._request("BYE", sender.number, sender, receiver)

    def _request(self, method: str, number: int, sender: End, receiver: End) -> tuple[Request, Address]:
        headers = Headers(
            [
                *(("Route", route) for route in receiver.routes),
                ("From", sender.address),
                ("To", receiver.address),
                ("Call-ID", self.call_id),
                ("CSeq", f"{number} {method}"),
                ("Max-Forwards", "70"),
            ]
        )
        way = receiver.target.destination
        if receiver.routes:
            hop = NameAddr.parse(receiver.routes[0]).uri.address()
            way = self.ways.get(hop, hop)
        return Request(method, receiver.target.uri, headers), way


def _reachable(addresses: Sequence[str]) -> bool:
    """Whether each of these is an address that a request can be sent to."""
    try:
        for address in addresses:
            NameAddr.parse(address).uri.address()
    except BadMessage:
        return False
    return True


class CallTable:
    """Calls by Call-ID, at most ``limit`` of them; one that is over is kept ``keep`` seconds longer, since
    copies of its last requests may still come.

    Where there is no room, calls that are over give way at once. One that is not gives way only when nothing
    was heard in it for four hours: both its ends may have vanished without a BYE.
    """

    def __init__(self, keep: float, *, limit: int = 20_000) -> None:
        self._keep = keep
        self._limit = limit
        self._calls: OrderedDict[str, KnownCall] = OrderedDict()  # heard longest ago first
        self._ended: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def live(self) -> int:
        """How many of them are not over."""
        return len(self._calls) - len(self._ended)

    def get(self, call_id: str) -> KnownCall | None:
        return self._calls.get(call_id)

    def remember(self, request: Request, source: Address, targets: Sequence[Target], now: float) -> None:
        """Note a call that is being set up, until ``settled``. Raises BadMessage: a Contact or Record-Route
        that no request can be sent to (416), or no room (503)."""
        ways = {Uri.parse(target.uri).address(): target.destination for target in reversed(targets)}
        contacts = request.headers.get_all("Contact")
        call = self._calls.get(request.call_id)
        if call is not None and call.caller is not None and call.caller.tag == request.from_.tag:
            # It came round by another proxy, or again with credentials: its first way says where it is.
            call.first, call.ways = targets[0], ways | call.ways
            call.caller.number = max(call.caller.number, request.cseq[0])
        else:
            setting_up = 0 if call is None else call.setting_up
            call = KnownCall(request.call_id, None, targets[0], ways, setting_up=setting_up)
        if call.caller is None and len(contacts) == 1:
            uri = NameAddr.parse(contacts[0]).uri
            target = Target(uri.text, call._way(uri, request, source))
            routes = tuple(request.headers.get_all("Record-Route"))
            if not _reachable(routes):
                raise BadMessage(416, "Unsupported URI Scheme")
            sender = request.from_
            call.caller = End(target, request.headers.get("From") or "", sender.tag, routes, request.cseq[0])
        if request.call_id not in self._calls:
            self._make_room(now)
        self._ended.pop(request.call_id, None)
        call.setting_up += 1
        call.heard_at = now
        self._calls[request.call_id] = call
        self._calls.move_to_end(request.call_id)

    def settled(self, request: Request, now: float) -> None:
        """What was to set a call up has its final answer, of whatever kind, or was never sent on."""
        call = self._calls.get(request.call_id)
        if call is not None:
            call.setting_up = max(0, call.setting_up - 1)
            self._let_go(call, now)

    def heard(self, call: KnownCall, request: Request, source: Address, now: float) -> None:
        """Note a request inside of a call."""
        call.heard(request, source)
        call.heard_at = now
        self._calls.move_to_end(call.call_id)

    def answered(self, response: Response, target: Target, record_route: str) -> End | None:
        """A target took the call by this 2xx; record_route: ours, what is before it lies beyond us.

        Gives its end. Whatever the answer says, the call is up: without a usable Contact the target is where
        it was called, and Record-Routes that lead nowhere count as none.
        """
        call = self._calls.get(response.call_id)
        if call is None:
            return None
        tag = response.to.tag
        old = call.answered.pop(tag, None)
        beyond = response.headers.get_all("Record-Route")
        beyond = beyond[: beyond.index(record_route)] if record_route in beyond else []
        contacts = response.headers.get_all("Contact")
        named = len(contacts) == 1 and _reachable(contacts)
        end = call.answered[tag] = End(
            Target(
                NameAddr.parse(contacts[0]).uri.text if named else target.uri, target.destination, target.user
            ),
            response.headers.get("To") or "",
            tag,
            tuple(reversed(beyond)) if _reachable(beyond) else (),
            0 if old is None else old.number,
            old is not None and old.over,
            old is not None and old.lost,
        )
        if not end.over:
            self._ended.pop(call.call_id, None)
        return end

    def refused(
        self, response: Response, target: Target, record_route: str, now: float
    ) -> list[tuple[Request, Address]]:
        """A target took, by this 2xx, a call that its caller is out of: what ends it for the target."""
        end = self.answered(response, target, record_route)
        call = self._calls.get(response.call_id)
        if end is None or call is None:
            return []
        made = call.refused(end, response)
        self._let_go(call, now)
        return made

    def ended(self, request: Request, now: float) -> None:
        """The end that this BYE names has left its call; where it names none, all have."""
        call = self._calls.get(request.call_id)
        if call is None:
            return
        named = [call.answered.get(tag) for tag in (request.to.tag, request.from_.tag)]
        for end in [end for end in named if end is not None] or call.answered.values():
            end.over = True
        self._let_go(call, now)

    def goodbyes(self, user: str, sources: Sequence[Address], now: float) -> list[tuple[Request, Address]]:
        """What ends all answered calls of a user who is gone; these calls are over."""
        byes = []
        for call in self._calls.values():
            found = call.goodbyes(user, sources)
            if found:
                byes += found
                self._let_go(call, now)
        return byes

    def _let_go(self, call: KnownCall, now: float) -> None:
        if call.over:
            self._ended[call.call_id] = now
            self._ended.move_to_end(call.call_id)

    def _make_room(self, now: float) -> None:
        """Forget what was kept long enough, and more where there is no room. Raises BadMessage 503."""
        while self._ended and (
            len(self._calls) >= self._limit or next(iter(self._ended.values())) < now - self._keep
        ):
            self._calls.pop(self._ended.popitem(last=False)[0], None)
        if len(self._calls) >= self._limit:
            oldest = next(iter(self._calls.values()))
            if oldest.setting_up or oldest.heard_at > now - QUIET:
                raise BadMessage(503, "Too many calls")
            del self._calls[oldest.call_id]
