"""A call as its user agent sees it: what both directions share, from the answer to the end.

    caller.py     dialing > ringing > answered > ended      we sent the INVITE
    callee.py               ringing > answered > ended      we got it

A session ends exactly once, whatever crosses on the wire; what is left to be said then (a BYE, a CANCEL, the
ACK of a 200 that came too late) is said behind its back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import MediaStream, StreamListener
from ivr_sim.sip import info
from ivr_sim.sip.capabilities import decline
from ivr_sim.sip.content import content_type
from ivr_sim.sip.invite_usage import InviteUsage
from ivr_sim.sip.key_sender import KeySender
from ivr_sim.sip.message import Request, Response
from ivr_sim.sip.states import CallFailed, Ended, Once, SessionState
from ivr_sim.sip.transactions import ServerTransaction
from ivr_sim.sip.transport import Address

if TYPE_CHECKING:
    from ivr_sim.sip.user_agent import UserAgent

__all__ = ["Session"]


class Session(InviteUsage):
    """One call; made by the user agent, never by hand.

    call_id: the Call-ID. incoming: who called whom. caller: the user part of From. dialled: what was
    dialled. user_agent: the peer's own name for itself. stream: its media, whose ticks are the call's
    clock. invite: the request that began it. source_host: where that came from, if it came in.
    """

    def __init__(
        self, agent: UserAgent, stream: MediaStream, *, call_id: str, caller: str, dialled: str, peer: Address
    ) -> None:
        super().__init__(agent, stream, call_id=call_id, peer=peer)
        self.caller = caller
        self.dialled = dialled
        self.user_agent: str | None = None
        self.invite: Request | None = None
        self._ended: Once[Ended] = Once()
        self._keys = KeySender(self._send_key, self._gone)

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
        agreed = self._negotiation.agreed
        return None if agreed is None else agreed.codec_name

    @property
    def key_methods(self) -> tuple[str, ...]:
        """The ways in which keys may come: rfc4733 only where both sides agreed on it."""
        agreed = self._negotiation.agreed
        events = agreed is not None and agreed.event_payload_type is not None
        return ("rfc4733", "info", "inband") if events else ("info", "inband")

    @property
    def remote_media(self) -> tuple[str, int] | None:
        """Where the peer's session description wants its audio; None until both sides agreed."""
        agreed = self._negotiation.agreed
        return None if agreed is None else agreed.remote

    @property
    def hears(self) -> bool:
        """Whether the peer, by its session description, sends audio at the moment."""
        agreed = self._negotiation.agreed
        return agreed is not None and agreed.receiving

    @property
    def unconfirmed(self) -> bool:
        """Whether our 200 still waits for its ACK."""
        return self._accepted is not None

    @property
    def on_hold(self) -> bool:
        """Whether the peer takes no audio at the moment."""
        agreed = self._negotiation.agreed
        return agreed is not None and not agreed.sending

    @property
    def secure(self) -> bool:
        """Whether the audio is encrypted."""
        agreed = self._negotiation.agreed
        return agreed is not None and agreed.crypto is not None

    @property
    def refresh_interval(self) -> int | None:
        """Seconds after which the call ends unless one side refreshes it; None without such a timer."""
        interval = self._timer.interval
        return None if interval is None else interval.seconds

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

    def hold(self, held: bool = True) -> None:
        """Ask the peer to send no audio, or, with False, to send it again. Asked twice, nothing happens.

        Raises LocalProtocolError while nothing is agreed on, before the answer or after the end.
        """
        if self.state is not SessionState.ANSWERED or self._negotiation.agreed is None:
            raise LocalProtocolError(f"{self!r} cannot be held")
        if self._negotiation.listening is held:
            self._negotiation.listening = not held
            self._reinvitation.ask()

    def send_info_key(self, digit: str, duration_ms: int = 160) -> None:
        """Send a key by SIP INFO, after those before it are answered, so that they cannot overtake.

        Raises LocalProtocolError: no such key, too many that wait, or the call is not answered.
        """
        if self.state is not SessionState.ANSWERED:
            raise LocalProtocolError(f"{self!r} sends no keys")
        self._keys.put(digit, duration_ms)

    # --- what the user agent hands on ------------------------------------------------------------------

    def owns(self, request: Request) -> bool:
        """Whether a request is of this call's dialog."""
        return self.dialog is not None and self.dialog.owns(request)

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
        elif request.method == "UPDATE":
            self._updated(server, request)
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
            return
        if self._negotiation.offering:
            self._answer_came(ack, "the ACK")
        self._reinvitation.resume()

    def _informed(self, server: ServerTransaction, request: Request, repeated: bool) -> None:
        """A key by INFO. A copy that came with another branch has the number of the first: it counts once."""
        kind = content_type(request)
        if request.body and kind not in info.CONTENT_TYPES:
            server.reply(415, headers=[("Accept", ", ".join(info.CONTENT_TYPES))])
            return
        server.reply(200)
        key = info.read_key(kind, request.body)
        if key is not None and not repeated:
            self.stream.info_key(key.digit, key.duration_ms)

    def _send_key(self, kind: str, body: bytes, on_response: Callable[[Response], None]) -> None:
        self._request("INFO", on_response, headers=(("Content-Type", kind),), body=body)

    # --- the end ---------------------------------------------------------------------------------------

    def end(self, how: Ended) -> None:
        """The call is over; whoever waits for that is told. The second time nothing happens."""
        if self.state is SessionState.ENDED:
            return
        self.state = SessionState.ENDED
        self._keys.stop()
        self._timer.stop()
        self._reinvitation.stop()
        self._listener = None
        if not self.owes_bye:
            self._acknowledged()
        self.stream.close()
        self._agent.session_ended(self)
        self._answered.happen(lambda deferred: deferred.errback(CallFailed(how)))
        self._ended.happen(lambda deferred: deferred.callback(how))
