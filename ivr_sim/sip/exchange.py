"""The exchange: registrar and proxy of one domain, what phones and IVR lines register with.

    registered user          that phone, at the contact registered last
    any other number         the IVR lines in turn; one that is busy or does not answer is passed over
    inside of a call         where Route and Request-URI say, for calls that were set up here

It stays in the path of each call (Record-Route) and is never an end of one: headers and bodies pass as
they came. The To header stays as dialled, so that a line knows the number. Only where a line is gone for
certain does it speak in that line's place: it ends the calls that the line had.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from twisted.internet.defer import Deferred

from ivr_sim.errors import ConfigurationError
from ivr_sim.sip.address import Address
from ivr_sim.sip.admission import Admission
from ivr_sim.sip.call_table import CallTable
from ivr_sim.sip.digest import DigestGate
from ivr_sim.sip.domain import Domain, is_loopback
from ivr_sim.sip.endpoint import SipEndpoint
from ivr_sim.sip.exchange_event import (
    CallRouted,
    ExchangeEvent,
    LineLost,
    MessageRefused,
    TlsTried,
)
from ivr_sim.sip.exchange_watch import Watch
from ivr_sim.sip.forwarder import Forwarder
from ivr_sim.sip.guard import Guard
from ivr_sim.sip.hunt_group import HuntGroup
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.proxy import DIALOG_FORMING, Target, onward
from ivr_sim.sip.registrar import Binding, Registrar
from ivr_sim.sip.tls import Tls
from ivr_sim.sip.transactions import ServerTransaction, TransactionLayer
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = ["Exchange"]

log = structlog.get_logger(__name__)

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, INFO, UPDATE, PRACK, MESSAGE, NOTIFY, SUBSCRIBE, REFER"
# What a telephone asks about itself, and how it is told that nobody here keeps that (RFC 6665, RFC 3903).
TO_THE_SERVER = {"SUBSCRIBE": 489, "PUBLISH": 405}
WRONG_DOMAIN = "This exchange serves its own domain only"


class Exchange:
    """Registrar and proxy on one port, by UDP and TCP, and by TLS on a port of its own.

    accounts: user to password; lines: those of the accounts that are IVR lines. Off loopback, or with
    ``require_auth_for_invite``, whatever begins a call needs digest credentials too (407). domain is the
    realm as well. algorithms: of the digests asked for; baresip 1.0, which Debian has, gives up where
    it is asked for more than one, or for another than MD5. guard: who is listened to; by default, who keeps
    within the limits of ``Guard()``. ``on_event(event)`` hears what happens; ``trace``, ``advertise`` and
    ``tls`` are ``SipEndpoint``'s.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        domain: str = "ivr.test",
        accounts: Mapping[str, str],
        lines: Sequence[str],
        require_auth_for_invite: bool = False,
        algorithms: Sequence[str] = ("MD5",),
        guard: Guard | None = None,
        on_event: Callable[[ExchangeEvent], None] | None = None,
        trace: Callable[[str, bytes, Address], None] | None = None,
        advertise: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        unknown = [line for line in lines if line not in accounts]
        if unknown:
            raise ConfigurationError(f"no account for the lines {', '.join(unknown)}; add them to accounts")
        self._clock = reactor
        self._host = host
        self._accounts = accounts
        self._auth = require_auth_for_invite or not is_loopback(host)
        self._watch = Watch(on_event, domain)
        self._endpoint = SipEndpoint(
            reactor,
            host,
            port,
            tcp=True,
            tls=tls,
            on_bad=self._bad_message,
            on_tls=self._tls_tried,
            trace=trace,
            advertise=advertise,
        )
        self._domain = Domain(domain, host, self._endpoint)
        self._layer = TransactionLayer(reactor, self._endpoint, self._request, on_ack=self._ack)
        gate = DigestGate(domain, accounts, secrets.token_bytes(32), algorithms=algorithms)
        self._registrar = Registrar(accounts, gate)
        guard = guard or Guard()
        if not is_loopback(host):
            guard.spare(host)  # whoever has our own address is on this machine
        self._endpoint.admits = lambda source: guard.admits(source, reactor.seconds())
        self._admission = Admission(reactor, accounts, gate, self._registrar, guard, self._watch)
        self._calls = CallTable(self._layer.timers.give_up)
        self._lines = HuntGroup(lines, self._registrar)
        self._forwarder = Forwarder(self._layer, self._domain, self._calls, self._lines, self._watch)

    def start(self) -> None:
        """Listen. Raises CannotListen."""
        self._endpoint.start()

    def stop(self) -> Deferred[None]:
        """Close the port and forget what was under way; fires when it is closed."""
        self._forwarder.close()
        self._admission.close()
        self._layer.close()
        return self._endpoint.stop()

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return self._endpoint.port

    @property
    def tls_port(self) -> int | None:
        """The port that TLS is taken at, None where it is not."""
        return self._endpoint.tls_port

    @property
    def calls(self) -> int:
        """How many calls are up, or being set up."""
        return self._calls.live

    @property
    def registrations(self) -> dict[str, list[Binding]]:
        """The users that can be reached now, each with its bindings, the newest first."""
        return self._registrar.registrations(self._clock.seconds())

    def line_lost(self, user: str) -> None:
        """Tell that a line is gone for certain, as when its process has ended.

        Nobody can call it any more; a call that it has not taken yet goes on to the next line, or is refused
        (503); the other ends of the calls that it had taken get a BYE in its place. It is back once it
        registers.
        """
        now = self._clock.seconds()
        gone = self._registrar.remove(user, now)
        self._forwarder.lost(user)
        byes = self._calls.goodbyes(user, [binding.source for binding in gone], now)
        for bye, way in byes:
            self._forwarder.send_own(bye, way)
        contacts = tuple(binding.contact.text for binding in gone)
        self._watch.tell(LineLost(user=user, contacts=contacts, calls=tuple(bye.call_id for bye, _ in byes)))

    # Requests ------------------------------------------------------------------------------------

    def _request(self, server: ServerTransaction, request: Request, source: Address) -> None:
        self._watch.heard(source)
        try:
            self._domain.pop_routes(request, source)
            self._forwarder.look_for_loops(request, source)
            uri = Uri.parse(request.uri)
            uri.address()  # 416 unless it is a SIP URI
            admitted = self._serve(server, request, uri, source)
        except BadMessage as error:
            self._reply_once(server, error.status, error.reason)
            return
        if admitted:
            self._begin(server, request, uri, source)

    def _serve(self, server: ServerTransaction, request: Request, uri: Uri, source: Address) -> bool:
        """Serve what needs nobody's password, or say whether something new may begin. Raises BadMessage."""
        if request.method == "REGISTER":
            self._register(server, request, uri, source)
        elif request.method == "OPTIONS" and uri.user is None and self._domain.means(uri, source):
            if self._supported(server, "Require"):
                self._reply_once(server, 200, headers=[("Allow", ALLOW), ("Accept", "application/sdp")])
        elif not self._supported(server, "Proxy-Require"):
            pass
        elif request.to.tag is not None:
            targets = [self._inside(request, uri, source)]
            self._forwarder.forward(server, targets, source)
        elif request.method in TO_THE_SERVER and request.from_.uri.user == uri.user:
            # Voice mail waiting, presence: meant for a server that keeps such things, not for the telephone.
            self._reply_once(server, TO_THE_SERVER[request.method], headers=[("Allow", ALLOW)])
        else:
            return not self._auth or self._admission.admit(server, request, source)
        return False

    def _reply_once(
        self,
        server: ServerTransaction,
        status: int,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Answer somebody who has shown no password: where one is asked for, he costs no memory either."""
        server.reply(status, reason, headers=headers)
        if self._auth:
            server.close()

    def _supported(self, server: ServerTransaction, header: str) -> bool:
        """Whether no extension is demanded of us; refuses the request otherwise (420)."""
        demanded = server.request.headers.get_all(header)
        if demanded:
            self._reply_once(server, 420, headers=[("Unsupported", ", ".join(demanded))])
        return not demanded

    def _register(self, server: ServerTransaction, request: Request, uri: Uri, source: Address) -> None:
        if not self._supported(server, "Require"):
            return
        if request.to.uri.scheme not in ("sip", "sips"):
            raise BadMessage(400, "The address of record is no SIP URI")
        # Calls for another domain are refused: whoever registers in one should learn of it now.
        for domain in (uri.host, request.to.uri.host):
            if not self._domain.has(domain, source):
                self._watch.turned_away(request, request.to.uri.user or "", domain, source, 403, "domain")
                self._admission.failed(source, "domain", request)
                raise BadMessage(403, WRONG_DOMAIN)
        for binding in self._admission.register(server, request, source):
            self._lines.alive(binding.contact.text)

    def _begin(self, server: ServerTransaction, request: Request, uri: Uri, source: Address) -> None:
        """Route what is not inside of a call: by the user that the Request-URI names."""
        if "Route" in request.headers or not self._domain.means(uri, source):
            self._watch.turned_away(request, uri.user or "", uri.host, source, 403, "domain")
            raise BadMessage(403, WRONG_DOMAIN)
        if uri.user is None:
            # For the exchange itself, and nothing that it does; the method comes first (section 8.2.1).
            server.reply(404 if request.method in ALLOW.split(", ") else 501, headers=[("Allow", ALLOW)])
            return
        now = self._clock.seconds()
        known = uri.user in self._accounts
        bindings = self._registrar.lookup(uri.user, now) if known else self._lines.deal(now)
        if not bindings:
            self._watch.turned_away(request, uri.user, uri.host, source, 480, "absent")
            raise BadMessage(480, "Temporarily Unavailable")
        targets = [
            Target(each.contact.target, self._way(each.source, each.contact.address()), each.user)
            for each in bindings
        ]
        if request.method in DIALOG_FORMING:
            self._calls.remember(request, source, targets, now)
        if request.method == "INVITE":
            server.reply(100)
            self._watch.tell(
                CallRouted(
                    call_id=request.call_id,
                    caller=request.from_.uri.user or "",
                    source=source,
                    dialled=uri.user,
                    user=bindings[0].user,
                    contact=bindings[0].contact.text,
                )
            )
        self._forwarder.forward(server, targets, source)

    # Inside of calls -----------------------------------------------------------------------------

    def _ack(self, ack: Request, source: Address) -> None:
        """Pass on the ACK for a 2xx; one that leads nowhere is dropped, since nothing may answer it."""
        try:
            self._domain.pop_routes(ack, source)
            target = self._inside(ack, Uri.parse(ack.uri), source)
            self._layer.send(onward(ack, target.uri), target.destination)
        except BadMessage as error:
            log.debug("ACK dropped", reason=error.reason)

    def _inside(self, request: Request, uri: Uri, source: Address) -> Target:
        """Where a request inside of a call goes. Raises BadMessage 481: not a call that was set up here.

        That keeps the exchange from being an open relay. Clients that ignore Record-Route and go on
        writing to the exchange itself are led to the other end.
        """
        call = self._calls.get(request.call_id)
        end = None if call is None else call.end(request.to.tag)
        if call is None or (end is not None and end.lost):
            raise BadMessage(481, "Call/Transaction Does Not Exist")
        self._calls.heard(call, request, source, self._clock.seconds())
        route = request.headers.get("Route")
        address = (NameAddr.parse(route).uri if route is not None else uri).address()
        if route is None and address not in call.ways and self._domain.means(uri, source):
            return call.other_end(request, source)
        user = "" if end is None else end.target.user
        return Target(request.uri, self._way(call.ways.get(address, address), address), user)

    def _way(self, source: Address, contact: Address) -> Address:
        """The way to whoever wrote from ``source``; when that connection is gone, where the contact says."""
        lost = source.reliable and not self._endpoint.connected(source)
        return contact if lost else source

    def _tls_tried(self, source: Address, port: int) -> None:
        self._watch.heard(source)
        self._watch.tell(TlsTried(source=source, port=port))

    def _bad_message(self, error: BadMessage, source: Address) -> None:
        self._watch.heard(source)
        self._watch.tell(MessageRefused(source=source, status=error.status, reason=error.reason))
        self._admission.failed(source, "no_sip", cost=0.2)  # odd bytes keep some phones' way open
