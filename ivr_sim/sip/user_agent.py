"""The user agent: registers one account, takes calls and places them, all on the reactor's thread."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import structlog
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred

from ivr_sim import __version__
from ivr_sim.errors import LocalProtocolError, place
from ivr_sim.media import MediaEngine, NoPortFree, StreamListener, srtp_library
from ivr_sim.sip import sdp
from ivr_sim.sip.address import DEFAULT_PORTS, in_brackets
from ivr_sim.sip.callee import CalleeSession
from ivr_sim.sip.caller import CallerSession
from ivr_sim.sip.capabilities import ALLOW, decline, hints, lacks
from ivr_sim.sip.client import UserAgentClient
from ivr_sim.sip.content import SDP
from ivr_sim.sip.crypto import KEY_BYTES, SrtpUse
from ivr_sim.sip.endpoint import SipEndpoint
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.registration import Registration, RegistrationRefused
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import CallFailed, Ended, SessionState
from ivr_sim.sip.tls import Tls
from ivr_sim.sip.transactions import ServerTransaction, TransactionLayer
from ivr_sim.sip.transport import Address, local_host
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = [
    "CallFailed",
    "Ended",
    "RegistrationRefused",
    "Session",
    "SessionState",
    "UserAgent",
]

log = structlog.get_logger(__name__)

PRODUCT = f"ivr-sim/{__version__}"
FAREWELL = 2.0  # seconds that stop() waits for BYEs and the last REGISTER to be answered
LINGER = 32.0  # seconds that an ended dialog is remembered, for a BYE or ACK that is late (64*T1)


class UserAgent:
    """One account at one server, and its calls.

    reactor: IReactorTime and IReactorUDP. engine: carries the media; started and stopped by its owner.
    server: address of registrar and outbound proxy, which all requests outside of dialogs go to, by the
    transport that it names; what TLS needs is ``tls``.
    host, port: where to listen, 0 for any free port. on_call: is called with each Session that rings;
    without it calls are refused with 486. expires: seconds of a registration. advertise: the address that
    peers off loopback are told, where all addresses are listened on. on_refused: is told of each call that
    cannot be taken as it is offered, and why; the NotAcceptable or BadDescription behind it is its cause.
    only_from: the one address whose calls are taken; others are refused with 403. srtp: whether audio may
    be encrypted, or must be; calls that do not fit are refused with 488.
    """

    def __init__(
        self,
        reactor: Any,
        engine: MediaEngine,
        *,
        server: Address,
        username: str,
        password: str,
        host: str = "127.0.0.1",
        port: int = 0,
        on_call: Callable[[Session], None] | None = None,
        display_name: str | None = None,
        expires: int = 300,
        advertise: str | None = None,
        only_from: str | None = None,
        on_refused: Callable[[Request, BadMessage], None] | None = None,
        srtp: SrtpUse = "off",
        tls: Tls | None = None,
    ) -> None:
        self.server = server
        self.username = username
        self.on_call = on_call
        self._on_refused = on_refused
        self._domain = in_brackets(server.host)
        self._domain_port = None if server.port == DEFAULT_PORTS[server.transport] else server.port
        aor = self._address(username)
        self.name_addr = str(NameAddr(display_name or "", aor))
        self._aor = aor
        self._reactor = reactor
        self._engine = engine
        self._expires = expires
        self._advertise = advertise
        self._only_from = only_from
        if srtp != "off":
            srtp_library()
        self._srtp = srtp
        self._endpoint = SipEndpoint(
            reactor, host, port, tcp=server.transport == "TCP", tls=tls, advertise=advertise
        )
        self.layer = TransactionLayer(reactor, self._endpoint, self._requested, on_ack=self._acknowledged)
        self.client = UserAgentClient(self.layer, username=username, password=password, product=PRODUCT)
        self._registration: Registration | None = None
        self._sessions: dict[str, list[Session]] = {}  # by Call-ID: mostly one, two when we call ourselves
        self._forgetting: dict[Session, Any] = {}
        self._stopping: Deferred[None] | None = None

    # --- what an application does ----------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The SIP port that is listened on. Raises LocalProtocolError before ``start``."""
        return self._endpoint.port

    @property
    def registered(self) -> bool:
        """Whether the registrar knows us at the moment."""
        return self._registration is not None and self._registration.registered

    @property
    def sessions(self) -> tuple[Session, ...]:
        """The calls that ring, dial or talk."""
        return tuple(s for s in self._known if s.state is not SessionState.ENDED)

    def start(self) -> Deferred[None]:
        """Listen and register; fires when registered, fails with RegistrationRefused or CannotListen.

        Registered once, we stay so: refreshes that fail are tried again until ``stop``, which also closes
        what a start that failed has opened.
        """
        if self._registration is not None:
            raise LocalProtocolError("the user agent was started before")

        def listen() -> Deferred[None]:
            self._endpoint.start()
            contact = self.contact_headers(self.server)[0][1]
            self._registration = Registration(
                self._reactor,
                self.client,
                server=self.server,
                aor=self._aor,
                contact=contact,
                expires=self._expires,
            )
            return self._registration.start()

        return maybeDeferred(listen)

    def stop(self) -> Deferred[None]:
        """Hang up all calls, de-register and close; fires after at most two seconds. May be called again."""
        if self._stopping is not None:
            return self._stopping
        done: Deferred[None] = Deferred()
        self._stopping = done
        self.on_call = None
        for session in self._known:
            session.hang_up()
            if session.owes_bye:
                session.say_bye()
        waiting: list[Deferred[Any]] = []
        if self._registration is not None:
            waiting.append(self._registration.stop())
        waiting.append(self.client.idle())
        polite = DeferredList(waiting, consumeErrors=True)
        timer = self._reactor.callLater(FAREWELL, polite.cancel)

        def close(result: object) -> Any:
            if timer.active():
                timer.cancel()
            for forgetting in self._forgetting.values():
                forgetting.cancel()
            self._forgetting.clear()
            self._sessions.clear()
            self.layer.close()
            return self._endpoint.stop()

        polite.addBoth(close)
        polite.addBoth(lambda result: done.callback(None))
        return done

    def dial(self, target: str, listener: StreamListener) -> Session:
        """Call a number ("5000") or a SIP URI; the listener hears and speaks once it is answered.

        Raises BadMessage: neither of these. NoPortFree: no port for its media. LocalProtocolError: not
        started, or stopped.
        """
        if self._registration is None or self._stopping is not None:
            raise LocalProtocolError("the user agent does not run; call start() first")
        if not target:
            raise BadMessage(400, "No number to call")
        uri = Uri.parse(target) if ":" in target else self._address(target)
        if uri.scheme != "sip":
            raise BadMessage(416, "Only numbers and sip: addresses can be called")
        session = CallerSession(self, uri, listener, self._engine.open(), self.server)
        self._sessions.setdefault(session.call_id, []).append(session)
        session.start()
        return session

    # --- what sessions need ----------------------------------------------------------------------------

    def local_address(self, peer: Address) -> Address:
        """Our host and SIP port as this peer should write to us."""
        return self._endpoint.local_address(peer)

    def media_host(self, remote: str) -> str:
        """Our address for media, as whoever sends from ``remote`` should write to it."""
        return local_host(self._engine.host, remote, self._advertise)

    def contact_headers(self, peer: Address) -> tuple[tuple[str, str], ...]:
        """Contact, and what we can: for INVITEs, REGISTERs and their answers."""
        here = self.local_address(peer)
        transport = (("transport", here.transport.lower()),) if here.reliable else ()
        contact = Uri("sip", self.username, in_brackets(here.host), here.port, transport)
        return ("Contact", f"<{contact}>"), ("Allow", ALLOW)

    def new_session_id(self) -> int:
        """For the o= line of a call's descriptions."""
        return secrets.randbits(31)

    def new_secure(self) -> sdp.Secure | None:
        """The key of one call's audio, where it may be encrypted."""
        if self._srtp == "off":
            return None
        return sdp.Secure(self._srtp == "required", secrets.token_bytes(KEY_BYTES))

    def session_ended(self, session: Session) -> None:
        """Called by a session that has ended: its dialog is remembered for a while."""
        if self._stopping is None:
            self._forgetting[session] = self._reactor.callLater(LINGER, self._forget, session)

    def _forget(self, session: Session) -> None:
        self._forgetting.pop(session, None)
        same = self._sessions[session.call_id]
        same.remove(session)
        if not same:
            del self._sessions[session.call_id]

    @property
    def _known(self) -> tuple[Session, ...]:
        return tuple(session for same in self._sessions.values() for session in same)

    def _address(self, user: str) -> Uri:
        return Uri("sip", user, self._domain, self._domain_port)

    # --- requests of others ----------------------------------------------------------------------------

    def _requested(self, server: ServerTransaction, request: Request, source: Address) -> None:
        try:
            if request.to.tag is not None:
                session = self._session_of(request)
                if session is None:
                    server.reply(481)
                elif not lacks(server, request):
                    session.receive(server, request)
            elif self._only_from is not None and source.host != self._only_from:
                server.reply(403)
            elif Uri.parse(request.uri).scheme not in ("sip", "sips", "tel"):
                server.reply(416)
            elif request.method == "INVITE":
                if not lacks(server, request):
                    self._invited(server, request)
            elif request.method != "OPTIONS" or not lacks(server, request):
                decline(server, request)
        except BadMessage as error:
            server.reply(error.status, error.reason, headers=hints(error))
            if request.method == "INVITE" and request.to.tag is None and self._on_refused is not None:
                self._on_refused(request, error)

    def _acknowledged(self, request: Request, source: Address) -> None:
        session = self._session_of(request)
        if session is None:
            # pyVoIP acknowledges with a To tag of its own making; the rest of the dialog's name will do.
            tag = request.from_.tag
            same = self._sessions.get(request.call_id, ())
            session = next((s for s in same if s.dialog and s.dialog.remote_tag == tag), None)
        if session is not None:
            session.acknowledge(request)

    def _session_of(self, request: Request) -> Session | None:
        return next((s for s in self._sessions.get(request.call_id, ()) if s.owns(request)), None)

    def _invited(self, server: ServerTransaction, request: Request) -> None:
        """A new call. Raises BadMessage."""
        accepted = [value.partition(";")[0].strip().lower() for value in request.headers.get_all("Accept")]
        if accepted and not {SDP, "application/*", "*/*"} & set(accepted):
            server.reply(406)  # whatever we answer, it holds a session description
            return
        tag, number = request.from_.tag, request.cseq[0]
        if any(
            s.dialog is not None and s.dialog.remote_tag == tag and number <= (s.dialog.remote_seq or 0)
            for s in self._sessions.get(request.call_id, ())
        ):
            # The same call by another way (section 8.2.2.2), though its caller may be further by now.
            server.reply(482)
            return
        if self.on_call is None:
            server.reply(486)
            return
        try:
            stream = self._engine.open()
        except NoPortFree as error:
            log.warning("a call was refused", reason=str(error))
            server.reply(486)
            return
        try:
            session = CalleeSession(self, server, request, stream)
        except BadMessage:
            stream.close()
            raise
        self._sessions.setdefault(session.call_id, []).append(session)
        session.ring()
        try:
            self.on_call(session)
        except Exception as error:
            log.error(
                "the application failed on a new call",
                call=session.call_id,
                error=type(error).__name__,
                at=place(error),
            )
            if session.state is SessionState.RINGING:
                session.reject(500)
            else:
                session.hang_up()
