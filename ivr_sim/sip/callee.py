"""A call that comes in: rings until it is answered, rejected, or called off (RFC 3261 section 13.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import MediaStream, StreamListener
from ivr_sim.sip.capabilities import LATER, decline
from ivr_sim.sip.dialog import Dialog
from ivr_sim.sip.message import REASONS, BadMessage, Request
from ivr_sim.sip.session import Session
from ivr_sim.sip.session_timer import Interval
from ivr_sim.sip.states import Ended, SessionState
from ivr_sim.sip.transactions import ServerTransaction
from ivr_sim.sip.uri import Uri

if TYPE_CHECKING:
    from ivr_sim.sip.user_agent import UserAgent

__all__ = ["CalleeSession"]


class CalleeSession(Session):
    """An INVITE of the peer's. What can be refused of it is refused before it rings."""

    incoming = True

    def __init__(
        self, agent: UserAgent, server: ServerTransaction, request: Request, stream: MediaStream
    ) -> None:
        """Raises BadMessage: no Contact (400), no usable offer (400, 415, 488), a timer too short (422)."""
        super().__init__(
            agent,
            stream,
            call_id=request.call_id,
            caller=request.from_.uri.user or "anonymous",
            dialled=_dialled(request, agent.username),
            peer=server.source,
        )
        self.user_agent = request.headers.get("User-Agent")
        self.dialog = Dialog.called(request, local_tag=server.to_tag)
        self.invite = request
        # The exchange stamped the first Via with the address that the INVITE came from.
        self.source_host = request.vias[-1].reply_address[0]
        self._server = server
        self._refresher.met(request)
        self._interval = Interval.granted(request)
        self._body, self._on_answer = self._describe(request)
        server.on_cancel = self._called_off

    def ring(self) -> None:
        """Tell the caller that we ring."""
        self._server.reply(180, headers=self._agent.contact_headers(self._peer))

    def answer(self, listener: StreamListener) -> None:
        """Take the call: media runs from here on, or from the ACK on when that brings the answer.

        Raises LocalProtocolError unless it rings.
        """
        self._must_ring("answered")
        self.state = SessionState.ANSWERED
        self._listener = listener
        self._accept(self._server, self._body, self._interval)
        if self._on_answer is not None:
            self._use(self._on_answer)

    def reject(self, status: int = 486) -> None:
        """Refuse the call with a status of 300-699. Raises LocalProtocolError unless it rings."""
        if not 300 <= status <= 699:
            raise LocalProtocolError(f"a call is rejected with a status of 300-699, not {status}")
        self._must_ring("rejected")
        self._server.reply(status)
        self.end(Ended("local", status, REASONS.get(status, "rejected")))

    def hang_up(self) -> None:
        """End the call; while it rings, this rejects it with 480."""
        if self.state is SessionState.RINGING:
            self.reject(480)
        else:
            super().hang_up()

    def receive(self, server: ServerTransaction, request: Request) -> None:
        """A request in this dialog; before the answer only BYE and questions have a meaning."""
        if self.state is not SessionState.RINGING or self.dialog is None:
            super().receive(server, request)
        elif not self.dialog.admit(request):
            server.reply(500)
        elif request.method == "BYE":
            server.reply(200)
            self._server.reply(487)
            self.end(Ended("remote", 487, "hung up while ringing"))
        elif request.method == "INVITE" or (request.method == "UPDATE" and request.body):
            server.reply(500, headers=LATER)  # the first offer is not answered yet (RFC 3311 section 5.2)
        elif request.method == "UPDATE":
            server.reply(200, headers=self._agent.contact_headers(self._peer))
        elif request.method == "INFO":
            server.reply(200)
        else:
            decline(server, request)

    def _called_off(self) -> None:
        if self.state is SessionState.RINGING:
            self._server.reply(487)
            self.end(Ended("remote", 487, "cancelled"))

    def _must_ring(self, verb: str) -> None:
        if self.state is not SessionState.RINGING:
            raise LocalProtocolError(f"{self!r} does not ring, so it cannot be {verb}")


def _dialled(request: Request, ourselves: str) -> str:
    """What the caller dialled: the user of the Request-URI, unless a proxy put our own there; then of To."""
    try:
        user = Uri.parse(request.uri).user
    except BadMessage:
        user = None
    return user if user and user != ourselves else request.to.uri.user or ourselves
