"""The calls that an exchange has set up: how to find both ends again, and nothing else of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.proxy import Target
from ivr_sim.sip.transport import Address
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = ["CallTable", "KnownCall"]


@dataclass
class KnownCall:
    """Both ends of a call; ways: the address in a contact to the one that its owner writes from."""

    caller: Target | None
    callee: Target
    ways: dict[Address, Address]

    def other_end(self, source: Address) -> Target:
        """The end that is not at ``source``. Raises BadMessage 481: it gave no contact."""
        other = self.caller if source == self.callee.destination else self.callee
        if other is None:
            raise BadMessage(481, "Call/Transaction Does Not Exist")
        return other


class CallTable:
    """Calls by Call-ID, at most ``limit`` of them; one that ended is kept ``keep`` seconds longer, since
    copies of its last requests may still come."""

    def __init__(self, keep: float, *, limit: int = 20_000) -> None:
        self._keep = keep
        self._limit = limit
        self._calls: OrderedDict[str, KnownCall] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, call_id: str) -> KnownCall | None:
        return self._calls.get(call_id)

    def remember(self, request: Request, source: Address, targets: Sequence[Target], now: float) -> None:
        """Note a call that is being set up. Raises BadMessage: a Contact that no request can be sent to."""
        ways = {Uri.parse(target.uri).address(): target.destination for target in reversed(targets)}
        caller = None
        contacts = request.headers.get_all("Contact")
        if len(contacts) == 1:
            uri = NameAddr.parse(contacts[0]).uri
            # Only of a caller without proxies in between is the source its own address.
            address = source if len(request.vias) == 1 else uri.address()
            ways[uri.address()] = address
            caller = Target(uri.text, address)
        while self._ended and next(iter(self._ended.values())) < now - self._keep:
            self._calls.pop(self._ended.popitem(last=False)[0], None)
        self._ended.pop(request.call_id, None)
        self._calls[request.call_id] = KnownCall(caller, targets[0], ways)
        if len(self._calls) > self._limit:
            self._ended.pop(self._calls.popitem(last=False)[0], None)

    def answered(self, call_id: str, target: Target) -> None:
        """It was this target that took the call."""
        call = self._calls.get(call_id)
        if call is not None:
            call.callee = target

    def ended(self, call_id: str, now: float) -> None:
        """The call is over, or came to nothing."""
        if call_id in self._calls:
            self._ended[call_id] = now
            self._ended.move_to_end(call_id)
