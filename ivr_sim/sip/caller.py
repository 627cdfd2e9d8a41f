"""A call that we place (RFC 3261 section 13.2), with its provisional responses (RFC 3262).

Whoever is asked may ring in several places at once, and each answers with a tag of its own: an early dialog,
of which the first 2xx makes one the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from ivr_sim.media import MediaStream, StreamListener
from ivr_sim.sip import sdp
from ivr_sim.sip.capabilities import EXTENSIONS, LATER, decline
from ivr_sim.sip.client import Sent
from ivr_sim.sip.content import ACCEPT, SDP, session_description
from ivr_sim.sip.dialog import Dialog
from ivr_sim.sip.message import BadMessage, Headers, Request, Response
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import Ended, SessionState
from ivr_sim.sip.transactions import ServerTransaction, new_call_id, new_tag
from ivr_sim.sip.transport import Address
from ivr_sim.sip.uri import NameAddr, Uri

if TYPE_CHECKING:
    from ivr_sim.sip.user_agent import UserAgent

__all__ = ["CallerSession"]

log = structlog.get_logger(__name__)

MAX_EARLY = 16  # places that ring at once; of more only the answer counts


@dataclass
class _Early:
    """One place that rings: the number of its last reliable response, and what it agreed to so far.

    settled: by a reliable response or an UPDATE, so that the 200 has nothing to add.
    """

    dialog: Dialog
    reliable: int | None = None
    agreed: sdp.Agreed | None = None
    settled: bool = False


class CallerSession(Session):
    """An INVITE of ours. Every final response but a 2xx ends the call with its status."""

    incoming = False

    def __init__(
        self, agent: UserAgent, target: Uri, listener: StreamListener, stream: MediaStream, peer: Address
    ) -> None:
        super().__init__(
            agent,
            stream,
            call_id=new_call_id(agent.local_address(peer).host),
            caller=agent.username,
            dialled=target.user or target.host,
            peer=peer,
        )
        self.local_tag = new_tag()
        self._target = target
        self._listener = listener
        self._early: dict[str, _Early] = {}  # by the tag of who rings
        self._acks: dict[str, tuple[Request, Address]] = {}  # by the tag of who answered
        self._sent: Sent | None = None

    def start(self) -> None:
        """Send the INVITE."""
        self._invite(1)

    def _invite(self, number: int) -> None:
        headers = Headers(
            [
                ("From", f"{self._agent.name_addr};tag={self.local_tag}"),
                ("To", f"<{self._target}>"),
                ("Call-ID", self.call_id),
                ("CSeq", f"{number} INVITE"),
                ("Max-Forwards", "70"),
                *self._agent.contact_headers(self._peer),
                ("Supported", ", ".join((*EXTENSIONS, "100rel"))),
                ("Accept", ACCEPT),
                *self._timer.request_headers(),
                ("Content-Type", SDP),
            ]
        )
        body = self._negotiation.offer()
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
            if response.status > 100 and self.state in (SessionState.DIALING, SessionState.RINGING):
                self.state = SessionState.RINGING
                self._rings(response)
        elif response.status < 300:
            self._picked_up(response)
        elif self.state is SessionState.ENDED:
            return
        elif response.status == 422 and self._sent is not None and self._timer.refused(response):
            self._early.clear()
            self._invite(self._sent.request.cseq[0] + 1)
        else:
            self.end(Ended("remote", response.status, response.reason + _elsewhere(response)))

    # --- before the answer -----------------------------------------------------------------------------

    def _rings(self, response: Response) -> None:
        """A provisional response: its early dialog, its answer to our offer, and its PRACK if it is due."""
        tag = response.to.tag
        invite = self._sent.request if self._sent is not None else None
        if tag is None or invite is None:
            return
        early = self._early.get(tag)
        if early is None:
            if len(self._early) == MAX_EARLY:
                return
            try:
                early = self._early[tag] = _Early(Dialog.calling(invite, response))
            except BadMessage as error:
                log.info("a provisional response leads nowhere", call=self.call_id, reason=error.reason)
                return
        number = _reliable(response)
        if number is not None:
            if early.reliable is not None and number != early.reliable + 1:
                return  # a copy, or one that overtook another (RFC 3262 section 4)
            early.reliable = number
            headers = (("RAck", f"{number} {invite.cseq[0]} INVITE"),)
            prack = early.dialog.request("PRACK", headers=headers)
            self._agent.client.send(
                prack, early.dialog.next_hop, lambda answer: None, renumber=early.dialog.renumber
            )
        if early.settled:
            return
        try:
            if body := session_description(response):
                early.agreed = self._negotiation.understand(body)
                early.settled = number is not None
        except (BadMessage, sdp.BadDescription, sdp.NotAcceptable) as error:
            log.info("a provisional answer cannot be used", call=self.call_id, reason=str(error))

    def owns(self, request: Request) -> bool:
        """Whether a request is of this call's dialog, or, before the answer, of one that may become it."""
        if self.dialog is not None or self.state is SessionState.ENDED:
            return super().owns(request)
        early = self._early.get(request.from_.tag or "")
        return early is not None and early.dialog.owns(request)

    def receive(self, server: ServerTransaction, request: Request) -> None:
        """A request in this dialog; before the answer only UPDATE and questions have a meaning."""
        early = self._early.get(request.from_.tag or "")
        if self.dialog is not None or self.state is SessionState.ENDED or early is None:
            super().receive(server, request)
        elif not early.dialog.admit(request):
            server.reply(500)
        elif request.method == "INVITE":
            server.reply(500, headers=LATER)
        elif request.method == "UPDATE":
            self._updated_early(server, request, early)
        else:
            decline(server, request)

    def _updated_early(self, server: ServerTransaction, request: Request, early: _Early) -> None:
        """Another offer of who rings, once ours is answered (RFC 3311 section 5.2). Raises BadMessage."""
        headers = list(self._agent.contact_headers(self._peer))
        offered = session_description(request)
        if not offered:
            server.reply(200, headers=headers)
            return
        if early.agreed is None:
            server.reply(491)
            return
        made = self._negotiate(offered)
        early.agreed, early.settled = made.media, True
        server.reply(200, headers=[*headers, ("Content-Type", SDP)], body=made.body)

    # --- the answer ------------------------------------------------------------------------------------

    def _picked_up(self, response: Response) -> None:
        """A 2xx: acknowledged each time it comes; the first one that comes in time is the call."""
        tag = response.to.tag or ""
        if tag in self._acks:
            self._agent.layer.send(*self._acks[tag])
            return
        if self._sent is None:
            return
        invite = self._sent.request
        early = self._early.get(tag)
        try:
            dialog = Dialog.calling(invite, response)
        except BadMessage as error:
            log.warning("a 2xx leads nowhere", call=self.call_id, reason=error.reason)
            self.end(Ended("local", 502, f"the answer cannot be acknowledged: {error.reason}"))
            return
        if early is not None:
            dialog.local_seq, dialog.remote_seq = early.dialog.local_seq, early.dialog.remote_seq
        ack = dialog.ack(invite.cseq[0], headers=self._sent.credentials), dialog.next_hop
        self._acks[tag] = ack
        self._agent.layer.send(*ack)
        if self.dialog is not None or self.state is SessionState.ENDED:
            # A second branch of a fork, or an answer that crossed our CANCEL (section 13.2.2.4).
            self._agent.client.send(
                dialog.request("BYE"), dialog.next_hop, lambda answer: None, renumber=dialog.renumber
            )
            return
        self.dialog = dialog
        self.state = SessionState.ANSWERED
        self._early.clear()
        self.user_agent = response.headers.get("User-Agent") or response.headers.get("Server")
        self._refresher.met(response)
        self._timer.answered(response)
        if early is not None and early.agreed is not None and (early.settled or not response.body):
            self._use(early.agreed)
        else:
            self._answer_came(response, "the 200")


def _reliable(response: Response) -> int | None:
    """The RSeq of a provisional response that wants its PRACK, None of any other (RFC 3262 section 4)."""
    required = [option.lower() for option in response.headers.get_all("Require")]
    number = response.headers.get("RSeq") or ""
    if "100rel" in required and number.isascii() and number.isdigit() and 0 < len(number) < 11:
        return int(number)
    return None


def _elsewhere(response: Response) -> str:
    """Where a 3xx says that the call is to go; it is told, and not followed."""
    places: list[str] = []
    if 300 <= response.status < 400:
        for value in response.headers.get_all("Contact")[:4]:
            try:
                places.append(str(NameAddr.parse(value).uri))
            except BadMessage:
                continue
    return f", to {' or '.join(places)}, which is not followed" if places else ""
