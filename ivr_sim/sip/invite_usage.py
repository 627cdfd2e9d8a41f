"""What an answered INVITE keeps going: offers and answers in a dialog, either way (RFC 5057 names it so).

theirs     INVITE, UPDATE        our 200, repeated until the ACK of an INVITE
ours       INVITE, UPDATE        their 200, whose copies are acknowledged each
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from ivr_sim.media import CODECS, MediaStream, SrtpKey, SrtpPair, StreamListener
from ivr_sim.sip import sdp
from ivr_sim.sip.capabilities import EXTENSIONS
from ivr_sim.sip.client import Sent
from ivr_sim.sip.content import SDP, session_description
from ivr_sim.sip.dialog import Dialog
from ivr_sim.sip.message import BadMessage, Request, Response, response_to
from ivr_sim.sip.negotiation import Negotiation
from ivr_sim.sip.refresher import Refresher
from ivr_sim.sip.reinvitation import Reinvitation
from ivr_sim.sip.session_timer import Interval
from ivr_sim.sip.states import Ended, Once, SessionState
from ivr_sim.sip.transactions import ServerTransaction
from ivr_sim.sip.transport import Address

if TYPE_CHECKING:
    from ivr_sim.sip.user_agent import UserAgent

__all__ = ["InviteUsage"]

log = structlog.get_logger(__name__)


class InviteUsage:
    """The part of a :class:`~ivr_sim.sip.session.Session` that speaks in its dialog; see there."""

    incoming: bool

    def __init__(self, agent: UserAgent, stream: MediaStream, *, call_id: str, peer: Address) -> None:
        self.call_id = call_id
        self.source_host: str | None = None
        self.stream = stream
        self.state = SessionState.RINGING if self.incoming else SessionState.DIALING
        self.dialog: Dialog | None = None
        self.owes_bye = False  # hung up, but the ACK is still to come
        self._agent = agent
        self._peer = peer
        self._negotiation = Negotiation(
            session_id=agent.new_session_id(),
            port=stream.local_port,
            host_for=agent.media_host,
            peer=peer.host,
            secure=agent.new_secure(),
        )
        self._listener: StreamListener | None = None
        self._answered: Once[None] = Once()
        self._accepted: ServerTransaction | None = None  # its 200 is repeated until the ACK comes
        clock = agent.layer.clock
        self._reinvitation = Reinvitation(
            clock,
            owner=not self.incoming,
            send=self._reinvite,
            settled=self._reinvite_answered,
            free=lambda: self._accepted is None,
        )
        self._refresher = Refresher(
            clock,
            update=self._update,
            reinvite=self._reinvitation.ask,
            gone=self._gone,
            expired=lambda: self._give_up("the session was not refreshed in time"),
        )
        self._timer = self._refresher.timer
        stream.on_error = self._media_failed

    # --- media -----------------------------------------------------------------------------------------

    def _describe(self, request: Request) -> tuple[bytes, sdp.Agreed | None]:
        """The body that answers an INVITE, and what it agrees to: nothing yet when it is an offer of ours.

        Raises BadMessage: 400, 415, 488.
        """
        body = session_description(request)
        if not body:
            return self._negotiation.offer(), None
        made = self._negotiate(body)
        return made.body, made.media

    def _negotiate(self, body: bytes) -> sdp.Answer:
        """Our answer to an offer. Raises BadMessage: 400, 488, 491."""
        try:
            return self._negotiation.answer(body)
        except BadMessage as error:
            log.info("an offer was refused", call=self.call_id, reason=str(error.__cause__ or error))
            raise

    def _answer_came(self, message: Request | Response, where: str) -> None:
        """Take the answer to our offer; without a usable one the call cannot go on."""
        try:
            agreed = self._negotiation.understand(_needed(message, where))
        except (BadMessage, sdp.BadDescription, sdp.NotAcceptable) as error:
            self._give_up(f"the answer in {where} cannot be used: {error}", status=488)
            return
        self._use(agreed)

    def _use(self, agreed: sdp.Agreed) -> None:
        """Start the media as agreed, or change it."""
        self._negotiation.agreed = agreed
        codec = CODECS[agreed.payload_type]
        keys = agreed.crypto and SrtpPair(*(SrtpKey(line.suite, line.key) for line in agreed.crypto))
        if self.stream.started:
            self.stream.update(
                codec=codec,
                remote=agreed.remote,
                event_payload_type=agreed.event_payload_type,
                sending=agreed.sending,
                srtp=keys,
            )
        elif self._listener is not None:
            self.stream.start(
                self._listener,
                codec,
                agreed.remote,
                agreed.event_payload_type,
                sending=agreed.sending,
                signalling=self.source_host,
                srtp=keys,
            )
            self._answered.happen(lambda deferred: deferred.callback(None))

    def _media_failed(self, error: Exception) -> None:
        self._give_up("its media failed")

    # --- requests of the peer --------------------------------------------------------------------------

    def _accept(self, server: ServerTransaction, body: bytes, interval: Interval | None) -> None:
        """Answer an INVITE with 200, and repeat that until its ACK (RFC 3261 section 13.3.1.4)."""
        self._acknowledged()
        self._accepted = server
        server.on_no_ack = self._not_acknowledged
        response = response_to(
            server.request, 200, to_tag=server.to_tag, headers=self._agreeing(interval, body), body=body
        )
        server.accept(response)

    def _agreeing(self, interval: Interval | None, body: bytes) -> list[tuple[str, str]]:
        """The headers of a 200 to INVITE or UPDATE; the session's timer runs by it."""
        self._timer.set(interval, ours=interval is not None and interval.refresher == "uas")
        return [
            *self._agent.contact_headers(self._peer),
            ("Supported", ", ".join(EXTENSIONS)),
            *([] if interval is None else interval.headers()),
            *([("Content-Type", SDP)] if body else []),
        ]

    def _acknowledged(self) -> None:
        """Repeat our last 200 no more."""
        accepted, self._accepted = self._accepted, None
        if accepted is not None:
            accepted.acknowledged()

    def _not_acknowledged(self) -> None:
        self._accepted = None
        if self.owes_bye:
            self.say_bye()
        else:
            self._give_up("no ACK came", status=408)

    def _reinvited(self, server: ServerTransaction, request: Request) -> None:
        """Hold, resume, another codec, another address, or just a refresh (section 14.2)."""
        if self._reinvitation.busy or self._negotiation.offering:
            server.reply(491)  # an offer of ours waits for its answer
            return
        interval = Interval.granted(request)
        body, agreed = self._describe(request)
        self._accept(server, body, interval)
        if agreed is not None:
            self._use(agreed)

    def _updated(self, server: ServerTransaction, request: Request) -> None:
        """A refresh, or the same as a re-INVITE in a shorter way (RFC 3311 section 5.2)."""
        interval = Interval.granted(request)
        offered = session_description(request)
        made = self._negotiate(offered) if offered else None
        body = b"" if made is None else made.body
        server.reply(200, headers=self._agreeing(interval, body), body=body)
        if made is not None:
            self._use(made.media)

    # --- requests of ours ------------------------------------------------------------------------------

    def _request(self, method: str, on_response: Callable[[Response], None], **more: object) -> Sent | None:
        dialog = self.dialog
        if dialog is None:
            return None
        request = dialog.request(method, **more)  # type: ignore[arg-type]
        return self._agent.client.send(request, dialog.next_hop, on_response, renumber=dialog.renumber)

    def say_bye(self) -> None:
        """Send the BYE, now that nothing stands in its way any more."""
        self.owes_bye = False
        self._request("BYE", lambda response: None)

    def _modifying(self) -> tuple[tuple[str, str], ...]:
        """The headers of a re-INVITE or UPDATE of ours."""
        supported = ("Supported", ", ".join(EXTENSIONS))
        return (*self._agent.contact_headers(self._peer), supported, *self._timer.request_headers())

    def _reinvite(self, on_final: Callable[[Response], None]) -> None:
        """Send a re-INVITE; each copy of its 2xx is acknowledged, whether the call lives or not."""
        sent: Sent | None = None
        settled = False

        def responded(response: Response) -> None:
            nonlocal settled
            if response.status < 200 or self.dialog is None:
                return
            if response.status < 300:
                self.dialog.refresh(response)
                credentials = () if sent is None else sent.credentials
                ack = self.dialog.ack(response.cseq[0], headers=credentials)
                self._agent.layer.send(ack, self.dialog.next_hop)
            else:
                self._negotiation.withdraw()
            if not settled:
                settled = True
                on_final(response)

        headers = (*self._modifying(), ("Content-Type", SDP))
        sent = self._request("INVITE", responded, headers=headers, body=self._negotiation.offer())

    def _reinvite_answered(self, response: Response) -> None:
        if self.state is SessionState.ENDED:
            return
        if response.status < 300:
            self._timer.answered(response)
            self._answer_came(response, "the 200")
        elif response.status in (408, 481):
            self._gone(response)
        elif response.status == 422 and self._timer.refused(response):
            self._reinvitation.ask()
        else:  # the call goes on as it was (section 14.1)
            log.warning("a re-INVITE was refused", call=self.call_id, status=response.status)

    def _update(self, on_response: Callable[[Response], None]) -> None:
        """Send an UPDATE that only says that we are there."""

        def responded(response: Response) -> None:
            if self.state is SessionState.ANSWERED and self.dialog is not None:
                if 200 <= response.status < 300:
                    self.dialog.refresh(response)
                on_response(response)

        self._request("UPDATE", responded, headers=self._modifying())

    # --- the end ---------------------------------------------------------------------------------------

    def _hang_up(self, how: Ended) -> None:
        """End an answered call from our side. The callee's BYE waits for the ACK (section 15)."""
        if self._accepted is None:
            self.say_bye()
        else:
            self.owes_bye = True
        self.end(how)

    def _gone(self, response: Response) -> None:
        """An answer said that the dialog is no more (section 12.2.1.2)."""
        if self.state is SessionState.ANSWERED:
            reason = f"{response.cseq[1]} was answered {response.status} {response.reason}"
            self._give_up(reason, status=response.status)

    def _give_up(self, reason: str, *, status: int | None = None) -> None:
        """End an answered call for a reason of ours."""
        if self.state is not SessionState.ENDED:
            log.warning("a call was given up", call=self.call_id, reason=reason)
            self._hang_up(Ended("local", status, reason))

    def end(self, how: Ended) -> None:
        """The call is over."""
        raise NotImplementedError


def _needed(message: Request | Response, where: str) -> bytes:
    """The session description of a message that must have one. Raises NotAcceptable, BadMessage."""
    body = session_description(message)
    if not body:
        raise sdp.NotAcceptable(f"{where} holds no session description")
    return body
