"""The offers and answers of one call, one after the other (RFC 3264, RFC 3261 section 13.2.1).

offer                        answer                        where the bodies travel
INVITE                       200, or a provisional one     calls either way, re-INVITEs
200 to an INVITE without     ACK                           late offer
UPDATE                       200                           RFC 3311
"""

from __future__ import annotations

from collections.abc import Callable

from ivr_sim.sip import sdp
from ivr_sim.sip.message import BadMessage

__all__ = ["Negotiation"]


class Negotiation:
    """What one call's two sides said of its media.

    agreed: what holds now, None before the first answer. offering: an offer of ours waits for its answer;
    meanwhile the peer may make none. listening: False while we hold the call.

    session_id: of our o= line. port: where we take the audio. host_for: our address as a host sees it that
    sends us audio. peer: the host of the SIP peer, until a description says who does. secure: see ``sdp``.
    """

    def __init__(
        self,
        *,
        session_id: int,
        port: int,
        host_for: Callable[[str], str],
        peer: str,
        secure: sdp.Secure | None = None,
    ) -> None:
        self.agreed: sdp.Agreed | None = None
        self.offering = False
        self.listening = True
        self._origin = sdp.Origin(session_id)
        self._port = port
        self._host_for = host_for
        self._peer = peer
        self._secure = secure
        self._host = ""  # ours, as we told it in the last offer
        self._before: sdp.Agreed | None = None  # what held when we made it

    def offer(self) -> bytes:
        """A description that begins something new; the peer's answer is for ``accept``."""
        self._host = self._host_for(self._source)
        self._before = self.agreed
        self.offering = True
        return sdp.offer(
            host=self._host,
            port=self._port,
            origin=self._origin,
            secure=self._secure,
            listening=self.listening,
            before=self._before,
        )

    def withdraw(self) -> None:
        """Our offer got no answer: all stays as it was."""
        self.offering = False

    def understand(self, body: bytes) -> sdp.Agreed:
        """What an answer to our offer says; several may come, from the branches of a fork.

        Raises BadDescription or NotAcceptable. From now on none is waited for.
        """
        self.offering = False
        return sdp.accept(
            sdp.parse(body),
            host=self._host,
            secure=self._secure,
            listening=self.listening,
            before=self._before,
        )

    def answer(self, body: bytes) -> sdp.Answer:
        """Our answer to the peer's offer. It does not hold before it is sent, and ``agreed`` set.

        Raises BadMessage 400 or 488, whose cause says why; 491 while an offer of ours waits.
        """
        if self.offering:
            raise BadMessage(491, "Request Pending")
        try:
            offered = sdp.parse(body)
            # Behind an exchange the SIP peer is not who sends the audio: the description says who does.
            return sdp.answer(
                offered,
                host=self._host_for(sdp.media_host(offered) or self._source),
                port=self._port,
                origin=self._origin,
                secure=self._secure,
                listening=self.listening,
            )
        except (sdp.BadDescription, sdp.NotAcceptable) as error:
            reason = "Not Acceptable Here" if error.status == 488 else "Bad SDP"
            raise BadMessage(error.status, reason) from error

    @property
    def _source(self) -> str:
        """The host that sends us audio, as far as we know."""
        return self._peer if self.agreed is None else self.agreed.remote[0]
