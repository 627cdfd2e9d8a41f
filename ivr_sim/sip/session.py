"""A call as its user agent sees it: what both directions share, from the answer to the end.

    caller.py     dialing > ringing > answered > ended      we sent the INVITE
    callee.py               ringing > answered > ended      we got it

A session ends exactly once, whatever crosses on the wire; what is left to be said then (a BYE, a CANCEL, the
ACK of a 200 that came too late) is said behind its back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from twisted.internet.defer import Deferred

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import CODECS, MediaStream, StreamListener
from ivr_sim.sip import info, sdp
from ivr_sim.sip.dialog import Dialog
from ivr_sim.sip.message import BadMessage, Request, Response, response_to
from ivr_sim.sip.states import CallFailed, Ended, Once, SessionState
from ivr_sim.sip.transactions import ServerTransaction
from ivr_sim.sip.transport import Address

if TYPE_CHECKING:
    from ivr_sim.sip.user_agent import UserAgent

__all__ = ["ALLOW", "SDP", "Session", "check_content", "decline"]

log = structlog.get_logger(__name__)

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO"
KNOWN_METHODS = ("UPDATE", "PRACK", "REFER", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REGISTER")
SDP = "application/sdp"
MAX_QUEUED_KEYS = 64


class Session:
    """One call; made by the user agent, never by hand.

    call_id: the Call-ID. incoming: who called whom. caller: the user part of From. dialled: what was
    dialled. user_agent: the peer's own name for itself. stream: its media, whose ticks are the call's
    clock. invite: the request that began it. source_host: where that came from, if it came in.
    """

    incoming: bool

    def __init__(
        self, agent: UserAgent, stream: MediaStream, *, call_id: str, caller: str, dialled: str, peer: Address
    ) -> None:
        self.call_id = call_id
        self.caller = caller
        self.dialled = dialled
        self.user_agent: str | None = None
        self.source_host: str | None = None
        self.stream = stream
        self.state = SessionState.RINGING if self.incoming else SessionState.DIALING
        self.dialog: Dialog | None = None
        self.invite: Request | None = None
        self._agent = agent
        self._peer = peer
        self._origin = sdp.Origin(agent.new_session_id())
        self._listener: StreamListener | None = None
        self._agreed: sdp.Agreed | None = None
        self._answered: Once[None] = Once()
        self._ended: Once[Ended] = Once()
        self._accepted: ServerTransaction | None = None  # its 200 is repeated until the ACK comes
        self.owes_bye = False  # hung up, but the ACK is still to come
        self._offered = False  # our 200 holds an offer, and the ACK will bring its answer
        self._keys: deque[tuple[str, int]] = deque()  # to be sent by INFO, one after the other
        self._sending_key = False
        stream.on_error = self._media_failed

    def __repr__(self) -> str:
        return f"<Session {self.call_id} {self.state.value}, {self.caller} to {self.dialled}>"

    # --- what an application does ----------------------------------------------------------------------

    @property
    def answered(self) -> Deferred[None]:
        """Fires when media flows; fails with CallFailed when the call ends before. One for each asker."""
        return self._answered.wait()

    @property
    def ended(self) -> Deferred[Ended]:
        """Fires when the call is over, and never fails. One for each asker."""
        return self._ended.wait()

    @property
    def codec(self) -> str | None:
        """PCMU or PCMA."""
        return None if self._agreed is None else self._agreed.codec_name

    @property
    def key_methods(self) -> tuple[str, ...]:
        """The ways in which keys may come: rfc4733 only where both sides agreed on it."""
        events = self._agreed is not None and self._agreed.event_payload_type is not None
        return ("rfc4733", "info", "inband") if events else ("info", "inband")

    @property
    def remote_media(self) -> Address | None:
        """Where the peer's session description wants its audio; None until both sides agreed."""
        return None if self._agreed is None else self._agreed.remote

    @property
    def hears(self) -> bool:
        """Whether the peer, by its session description, sends audio at the moment."""
        return self._agreed is not None and self._agreed.receiving

    @property
    def unconfirmed(self) -> bool:
        """Whether our 200 still waits for its ACK."""
        return self._accepted is not None

    @property
    def on_hold(self) -> bool:
        """Whether the peer takes no audio at the moment."""
        return self._agreed is not None and not self._agreed.sending

    def answer(self, listener: StreamListener) -> None:
        """Take the call. Raises LocalProtocolError unless it comes in and rings."""
        raise LocalProtocolError(f"{self!r} cannot be answered")

    def reject(self, status: int = 486) -> None:
        """Refuse the call. Raises LocalProtocolError unless it comes in and rings."""
        raise LocalProtocolError(f"{self!r} cannot be rejected")

    def hang_up(self) -> None:
        """End the call in whatever state it is; ended already, it stays so."""
        if self.state is SessionState.ANSWERED:
            self._hang_up(Ended("local", None, "hung up"))

    def send_info_key(self, digit: str, duration_ms: int = 160) -> None:
        """Send a key by SIP INFO, after those before it are answered, so that they cannot overtake.

        Raises LocalProtocolError: no such key, or the call is not answered.
        """
        info.write_key(digit, duration_ms)
        if self.state is not SessionState.ANSWERED:
            raise LocalProtocolError(f"{self!r} sends no keys")
        if len(self._keys) >= MAX_QUEUED_KEYS:
            raise LocalProtocolError(f"{MAX_QUEUED_KEYS} keys are waiting already; the other side is silent")
        self._keys.append((digit, duration_ms))
        self._send_next_key()

    # --- what the user agent hands on ------------------------------------------------------------------

    def receive(self, server: ServerTransaction, request: Request) -> None:
        """A request in this dialog, but ACK. Raises BadMessage, which becomes the answer."""
        if self.state is SessionState.ENDED or self.dialog is None:
            # Both hung up at once: their BYE is as good as ours.
            server.reply(200 if request.method == "BYE" else 481)
            return
        repeated = request.cseq[0] == self.dialog.remote_seq
        if not self.dialog.admit(request):
            server.reply(500)
        elif request.method == "INVITE":
            self._reinvited(server, request)
        elif request.method == "BYE":
            server.reply(200)
            self.end(Ended("remote", None, "hung up"))
        elif request.method == "INFO":
            self._informed(server, request, repeated)
        else:
            decline(server, request)

    def acknowledge(self, ack: Request) -> None:
        """The ACK for a 200 of ours."""
        if self._accepted is None or ack.cseq[0] != self._accepted.request.cseq[0]:
            return
        self._acknowledged()
        if self.owes_bye:
            self.say_bye()
        elif self._offered:
            self._offered = False
            try:
                check_content(ack)
                agreed = sdp.accept(sdp.parse(ack.body))
            except (BadMessage, sdp.BadDescription, sdp.NotAcceptable) as error:
                self._give_up(f"the answer in the ACK cannot be used: {error}")
                return
            self._use(agreed)

    # --- media -----------------------------------------------------------------------------------------

    def _describe(self, request: Request) -> tuple[bytes, sdp.Agreed | None]:
        """The body that answers an INVITE, and what it agrees to: nothing yet when it is an offer of ours.

        Raises BadMessage: 400, 415, 488.
        """
        port = self.stream.local_port
        if not request.body:
            host = self._agent.media_host(self._peer[0])
            return sdp.offer(host=host, port=port, origin=self._origin), None
        check_content(request)
        try:
            offered = sdp.parse(request.body)
            # Behind an exchange the SIP peer is not who sends the audio: the description says who does.
            before = self._agreed.remote[0] if self._agreed is not None else self._peer[0]
            host = self._agent.media_host(sdp.media_host(offered) or before)
            made = sdp.answer(offered, host=host, port=port, origin=self._origin)
        except (sdp.BadDescription, sdp.NotAcceptable) as error:
            log.info("an offer was refused", call=self.call_id, reason=str(error))
            raise BadMessage(
                error.status, "Not Acceptable Here" if error.status == 488 else "Bad SDP"
            ) from error
        return made.body, made.media

    def _use(self, agreed: sdp.Agreed) -> None:
        """Start the media as agreed, or change it."""
        self._agreed = agreed
        codec = CODECS[agreed.payload_type]
        if self.stream.started:
            self.stream.update(
                codec=codec,
                remote=agreed.remote,
                event_payload_type=agreed.event_payload_type,
                sending=agreed.sending,
            )
        elif self._listener is not None:
            self.stream.start(
                self._listener,
                codec,
                agreed.remote,
                agreed.event_payload_type,
                sending=agreed.sending,
                signalling=self.source_host,
            )
            self._answered.happen(lambda deferred: deferred.callback(None))

    def _media_failed(self, error: Exception) -> None:
        self._give_up("its media failed")

    # --- requests of the peer --------------------------------------------------------------------------

    def _accept(self, server: ServerTransaction, body: bytes, *, offered: bool) -> None:
        """Answer an INVITE with 200, and repeat that until its ACK (RFC 3261 section 13.3.1.4)."""
        self._acknowledged()
        self._offered = offered
        self._accepted = server
        server.on_no_ack = self._not_acknowledged
        headers = (*self._agent.contact_headers(self._peer), ("Content-Type", SDP))
        response = response_to(server.request, 200, to_tag=server.to_tag, headers=headers, body=body)
        server.accept(response)

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
        """Hold, resume, another codec, another address (section 14.2)."""
        if self.state is not SessionState.ANSWERED:
            server.reply(500, headers=[("Retry-After", "2")])
        elif self._offered:
            server.reply(491)  # our own offer waits for its answer
        else:
            body, agreed = self._describe(request)
            self._accept(server, body, offered=agreed is None)
            if agreed is not None:
                self._use(agreed)

    def _informed(self, server: ServerTransaction, request: Request, repeated: bool) -> None:
        """A key by INFO. A copy that came with another branch has the number of the first: it counts once."""
        kind = _content_type(request)
        if request.body and kind not in info.CONTENT_TYPES:
            server.reply(415, headers=[("Accept", ", ".join(info.CONTENT_TYPES))])
            return
        server.reply(200)
        key = info.read_key(kind, request.body)
        if key is not None and not repeated and self.state is SessionState.ANSWERED:
            self.stream.info_key(key.digit, key.duration_ms)

    # --- requests of ours ------------------------------------------------------------------------------

    def _request(self, method: str, on_response: Callable[[Response], None], **more: object) -> None:
        dialog = self.dialog
        if dialog is None:
            return

        def renumber() -> int:
            dialog.local_seq += 1
            return dialog.local_seq

        request = dialog.request(method, **more)  # type: ignore[arg-type]
        self._agent.client.send(request, dialog.next_hop, on_response, renumber=renumber)

    def say_bye(self) -> None:
        """Send the BYE, now that nothing stands in its way any more."""
        self.owes_bye = False
        self._request("BYE", lambda response: None)

    def _hang_up(self, how: Ended) -> None:
        """End an answered call from our side. The callee's BYE waits for the ACK (section 15)."""
        if self._accepted is None:
            self.say_bye()
        else:
            self.owes_bye = True
        self.end(how)

    def _send_next_key(self) -> None:
        if self._sending_key or not self._keys:
            return
        content_type, body = info.write_key(*self._keys.popleft())
        self._sending_key = True
        self._request("INFO", self._key_answered, headers=(("Content-Type", content_type),), body=body)

    def _key_answered(self, response: Response) -> None:
        if response.status < 200:
            return
        self._sending_key = False
        if self.state is not SessionState.ANSWERED:
            return
        if response.status in (408, 481):  # the dialog is gone (section 12.2.1.2)
            self._give_up(f"INFO was answered {response.status} {response.reason}", status=response.status)
            return
        if response.status >= 300:
            log.warning("a key by INFO was refused", call=self.call_id, status=response.status)
        self._send_next_key()

    # --- the end ---------------------------------------------------------------------------------------

    def _give_up(self, reason: str, *, status: int | None = None) -> None:
        """End an answered call for a reason of ours."""
        if self.state is not SessionState.ENDED:
            log.warning("a call was given up", call=self.call_id, reason=reason)
            self._hang_up(Ended("local", status, reason))

    def end(self, how: Ended) -> None:
        """The call is over; whoever waits for that is told. The second time nothing happens."""
        if self.state is SessionState.ENDED:
            return
        self.state = SessionState.ENDED
        self._keys.clear()
        self._listener = None
        if not self.owes_bye:
            self._acknowledged()
        self.stream.close()
        self._agent.session_ended(self)
        self._answered.happen(lambda deferred: deferred.errback(CallFailed(how)))
        self._ended.happen(lambda deferred: deferred.callback(how))


def _content_type(message: Request | Response) -> str:
    return (message.headers.get("Content-Type") or "").partition(";")[0].strip().lower()


def check_content(message: Request | Response) -> None:
    """Whether a body is a session description in the clear. Raises BadMessage 415."""
    encoding = message.headers.get("Content-Encoding") or "identity"
    if _content_type(message) != SDP or encoding.lower() != "identity":
        raise BadMessage(415, "Unsupported Media Type")


def decline(server: ServerTransaction, request: Request) -> None:
    """Answer what we do not do: OPTIONS is told what we do, the rest is refused (section 8.2.1)."""
    if request.method == "OPTIONS":
        server.reply(200, headers=[("Allow", ALLOW), ("Accept", SDP), ("Supported", "")])
    elif request.method in ("BYE", "INFO"):
        server.reply(481)
    else:
        server.reply(405 if request.method in KNOWN_METHODS else 501, headers=[("Allow", ALLOW)])
