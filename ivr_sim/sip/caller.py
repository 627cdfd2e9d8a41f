"""A call that we place (RFC 3261 section 13.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ivr_sim.media import MediaStream, StreamListener
from ivr_sim.sip import sdp
from ivr_sim.sip.client import Sent
from ivr_sim.sip.dialog import Dialog
from ivr_sim.sip.message import BadMessage, Headers, Request, Response
from ivr_sim.sip.session import SDP, Session, check_content
from ivr_sim.sip.states import Ended, SessionState
from ivr_sim.sip.transactions import new_call_id, new_tag
from ivr_sim.sip.transport import Address
from ivr_sim.sip.uri import Uri

if TYPE_CHECKING:
    from ivr_sim.sip.user_agent import UserAgent

__all__ = ["CallerSession"]

log = structlog.get_logger(__name__)


class CallerSession(Session):
    """An INVITE of ours. Every final response but a 2xx ends the call with its status."""

    incoming = False

    def __init__(
        self, agent: UserAgent, target: Uri, listener: StreamListener, stream: MediaStream, peer: Address
    ) -> None:
        super().__init__(
            agent,
            stream,
            call_id=new_call_id(agent.local_address(peer)[0]),
            caller=agent.username,
            dialled=target.user or target.host,
            peer=peer,
        )
        self.local_tag = new_tag()
        self._target = target
        self._listener = listener
        self._acks: dict[str, tuple[Request, Address]] = {}  # by the tag of who answered
        self._sent: Sent | None = None

    def start(self) -> None:
        """Send the INVITE."""
        host = self._agent.media_host(self._peer[0])
        headers = Headers(
            [
                ("From", f"{self._agent.name_addr};tag={self.local_tag}"),
                ("To", f"<{self._target}>"),
                ("Call-ID", self.call_id),
                ("CSeq", "1 INVITE"),
                ("Max-Forwards", "70"),
                *self._agent.contact_headers(self._peer),
                ("Content-Type", SDP),
            ]
        )
        body = sdp.offer(host=host, port=self.stream.local_port, origin=self._origin)
        self.invite = Request("INVITE", str(self._target), headers=headers, body=body)
        self._sent = self._agent.client.send(self.invite, self._peer, self._responded)

    def hang_up(self) -> None:
        """End the call; before the answer this cancels it. Should the answer cross that, it gets its BYE."""
        if self.state in (SessionState.DIALING, SessionState.RINGING):
            if self._sent is not None:
                self._sent.cancel()
            self.end(Ended("local", 487, "cancelled"))
        else:
            super().hang_up()

    def _responded(self, response: Response) -> None:
        if response.status < 200:
            if response.status > 100 and self.state is SessionState.DIALING:
                self.state = SessionState.RINGING
        elif response.status < 300:
            self._picked_up(response)
        else:
            self.end(Ended("remote", response.status, response.reason))

    def _picked_up(self, response: Response) -> None:
        """A 2xx: acknowledged each time it comes; the first one that comes in time is the call."""
        tag = response.to.tag or ""
        if tag in self._acks:
            self._agent.layer.send(*self._acks[tag])
            return
        invite = self._sent.request if self._sent is not None else None
        if invite is None:
            return
        try:
            dialog = Dialog.calling(invite, response)
        except BadMessage as error:
            log.warning("a 2xx leads nowhere", call=self.call_id, reason=error.reason)
            self.end(Ended("local", 502, f"the answer cannot be acknowledged: {error.reason}"))
            return
        ack = dialog.ack(invite.cseq[0]), dialog.next_hop
        self._acks[tag] = ack
        self._agent.layer.send(*ack)
        if self.dialog is not None or self.state is SessionState.ENDED:
            # A second branch of a fork, or an answer that crossed our CANCEL (section 13.2.2.4).
            self._agent.client.send(dialog.request("BYE"), dialog.next_hop, lambda answer: None)
            return
        self.dialog = dialog
        self.state = SessionState.ANSWERED
        self.user_agent = response.headers.get("User-Agent") or response.headers.get("Server")
        try:
            if not response.body:
                raise sdp.NotAcceptable("the 200 holds no session description")
            check_content(response)
            agreed = sdp.accept(sdp.parse(response.body))
        except (BadMessage, sdp.BadDescription, sdp.NotAcceptable) as error:
            self._give_up(f"the answer cannot be used: {error}", status=488)
            return
        self._use(agreed)
