"""What an exchange has on its way: requests to their targets, with all that follows from the answers."""

from __future__ import annotations

from collections.abc import Sequence

from ivr_sim.sip.address import Address
from ivr_sim.sip.call_table import CallTable
from ivr_sim.sip.domain import Domain
from ivr_sim.sip.exchange_event import LineSilent
from ivr_sim.sip.exchange_watch import Watch
from ivr_sim.sip.hunt_group import HuntGroup
from ivr_sim.sip.message import BadMessage, Request, Response
from ivr_sim.sip.proxy import DIALOG_FORMING, Forwarding, Target, fingerprint, onward
from ivr_sim.sip.transactions import ServerTransaction, TransactionLayer

__all__ = ["Forwarder"]


class Forwarder:
    """Sends requests on, and tells calls and lines of what came of them."""

    def __init__(
        self, layer: TransactionLayer, domain: Domain, calls: CallTable, lines: HuntGroup, watch: Watch
    ) -> None:
        self._layer = layer
        self._domain = domain
        self._calls = calls
        self._lines = lines
        self._watch = watch
        self._under_way: set[Forwarding] = set()

    def __len__(self) -> int:
        """How many requests are under way."""
        return len(self._under_way)

    def close(self) -> None:
        """Forget what is under way; nobody is told."""
        for forwarding in self._under_way:
            forwarding.close()
        self._under_way.clear()

    def lost(self, user: str) -> None:
        """A user is gone for certain: what waits for him goes on to the next, or is refused."""
        for forwarding in tuple(self._under_way):
            forwarding.lost(user)

    def look_for_loops(self, request: Request, source: Address) -> None:
        """Raises BadMessage 482: it has passed here before, to where it would go now."""
        here = self._domain.local(source)
        ours = [via for via in request.vias[1:] if (via.host.strip("[]"), via.port or 5060) == here[:2]]
        if ours:
            passage = fingerprint(request)
            for via in ours:
                earlier = [each for each in self._under_way if via.branch in each.branches]
                if not earlier or earlier[0].fingerprint == passage:
                    raise BadMessage(482, "Loop Detected")

    def forward(self, server: ServerTransaction, targets: Sequence[Target], source: Address) -> None:
        """Send a request on to its targets, one after the other. Raises BadMessage 483."""
        request = server.request
        self._domain.drop_credentials(request)
        outside = request.to.tag is None
        routes = self._domain.record_routes(source, targets[0].destination)

        def answered(response: Response, target: Target) -> None:
            if outside:
                self._calls.answered(response, target, routes[-1])
                self._lines.given(target.uri)

        def refused(response: Response, target: Target) -> None:
            for made, way in self._calls.refused(response, target, routes[-1], self._layer.clock.seconds()):
                self.send_own(made, way)

        def finished(status: int) -> None:
            if request.method == "BYE" and not outside and status not in (401, 407):
                self._calls.ended(request, self._layer.clock.seconds())
            forget()

        def forget() -> None:
            self._under_way.discard(forwarding)
            if outside and request.method in DIALOG_FORMING:
                self._calls.settled(request, self._layer.clock.seconds())

        forwarding = Forwarding(
            self._layer,
            server,
            targets,
            record_routes=routes,
            on_silent=self._silent,
            on_alive=lambda target: self._lines.alive(target.uri),
            on_answer=answered,
            on_refused_answer=refused,
            on_done=finished,
        )
        self._under_way.add(forwarding)
        try:
            forwarding.start()
        except Exception:
            forget()
            raise

    def send_own(self, request: Request, way: Address) -> None:
        """Send what ends a call in the place of one of its ends."""
        ready = onward(request, request.uri)
        if request.method == "ACK":
            self._layer.send(ready, way)
        else:
            self._layer.request(ready, way, lambda response: None)

    def _silent(self, target: Target) -> None:
        self._lines.silent(target.uri, self._layer.clock.seconds())
        self._watch.tell(LineSilent(contact=target.uri))
