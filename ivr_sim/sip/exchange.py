"""The exchange: registrar and proxy of one domain, what phones and IVR lines register with.

    registered user          that phone, at the contact registered last
    any other number         the IVR lines in turn; one that does not answer is passed over
    inside of a call         where Route and Request-URI say, for calls that were set up here

It stays in the path of each call (Record-Route) and is never an end of one: headers and bodies pass as
they came. The To header stays as dialled, so that a line knows the number.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from twisted.internet.defer import Deferred

from ivr_sim.errors import ConfigurationError
from ivr_sim.sip.call_table import CallTable
from ivr_sim.sip.digest import DigestGate
from ivr_sim.sip.exchange_event import (
    Admitted,
    CallRouted,
    Challenged,
    ExchangeEvent,
    HostHeard,
    LineSilent,
    MessageRefused,
    Refused,
    Registered,
    TurnedAway,
    Unregistered,
)
from ivr_sim.sip.exchange_watch import Watch, turns_to_tcp
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.proxy import DIALOG_FORMING, Forwarding, Target, onward
from ivr_sim.sip.registrar import Binding, Registrar
from ivr_sim.sip.transactions import ServerTransaction, TransactionLayer
from ivr_sim.sip.transport import WILDCARDS, Address, UdpEndpoint, is_of_this_machine
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = [
    "Admitted",
    "CallRouted",
    "Challenged",
    "Exchange",
    "ExchangeEvent",
    "HostHeard",
    "LineSilent",
    "MessageRefused",
    "Refused",
    "Registered",
    "TurnedAway",
    "Unregistered",
]

log = structlog.get_logger(__name__)

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, INFO, UPDATE, PRACK, MESSAGE, NOTIFY, SUBSCRIBE, REFER"
# What a telephone asks about itself, and how it is told that nobody here keeps that (RFC 6665, RFC 3903).
TO_THE_SERVER = {"SUBSCRIBE": 489, "PUBLISH": 405}
SUSPECT = 30.0  # seconds for which a line that was silent is asked last
WRONG_DOMAIN = "This exchange serves its own domain only"


class Exchange:
    """Registrar and proxy on one UDP port.

    accounts: user to password; lines: those of the accounts that are IVR lines. Off loopback, or with
    ``require_auth_for_invite``, whatever begins a call needs digest credentials too (407). domain is the
    realm as well. ``on_event(event)`` hears what happens; ``trace`` and ``advertise`` are ``UdpEndpoint``'s.
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
        on_event: Callable[[ExchangeEvent], None] | None = None,
        trace: Callable[[str, bytes, Address], None] | None = None,
        advertise: str | None = None,
    ) -> None:
        unknown = [line for line in lines if line not in accounts]
        if unknown:
            raise ConfigurationError(f"no account for the lines {', '.join(unknown)}; add them to accounts")
        self._clock = reactor
        self._host = host
        self._domain = domain
        self._accounts = accounts
        self._lines = tuple(lines)
        self._auth = require_auth_for_invite or not _is_loopback(host)
        self._watch = Watch(on_event, domain)
        self._endpoint = UdpEndpoint(
            reactor, host, port, on_bad=self._bad_message, trace=trace, advertise=advertise
        )
        self._told: set[str] = set()  # addresses of ours that peers were told
        self._layer = TransactionLayer(reactor, self._endpoint, self._request, on_ack=self._ack)
        self._gate = DigestGate(domain, accounts, secrets.token_bytes(32))
        self._registrar = Registrar(accounts, self._gate)
        self._forwardings: set[Forwarding] = set()
        self._calls = CallTable(self._layer.timers.give_up)
        self._dealt: dict[str, int] = {}
        self._suspects: dict[str, float] = {}
        self._turn = 0

    def start(self) -> None:
        """Listen. Raises CannotListen."""
        self._endpoint.start()

    def stop(self) -> Deferred[None]:
        """Close the port and forget what was under way; fires when it is closed."""
        for forwarding in self._forwardings:
            forwarding.close()
        self._forwardings.clear()
        self._layer.close()
        return self._endpoint.stop()

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return self._endpoint.port

    @property
    def registrations(self) -> dict[str, list[Binding]]:
        """The users that can be reached now, each with its bindings, the newest first."""
        return self._registrar.registrations(self._clock.seconds())

    # Requests ------------------------------------------------------------------------------------

    def _request(self, server: ServerTransaction, request: Request, source: Address) -> None:
        self._watch.heard(source)
        self._pop_routes(request, source)
        uri = Uri.parse(request.uri)
        uri.address()  # 416 unless it is a SIP URI
        here = self._local(source)
        if any((via.host.strip("[]"), via.port or 5060) == here for via in request.vias[1:]):
            raise BadMessage(482, "Loop Detected")
        if request.method == "REGISTER":
            self._register(server, request, uri, source)
        elif request.method == "OPTIONS" and uri.user is None and self._is_ours(uri, source):
            if self._supported(server, "Require"):
                server.reply(200, headers=[("Allow", ALLOW), ("Accept", "application/sdp")])
        elif not self._supported(server, "Proxy-Require"):
            return
        elif request.to.tag is not None:
            targets = [self._inside(request, uri, source)]
            self._forward(server, targets, source, done=request.method == "BYE")
        elif request.method in TO_THE_SERVER and request.from_.uri.user == uri.user:
            # Voice mail waiting, presence: meant for a server that keeps such things, not for the telephone.
            server.reply(TO_THE_SERVER[request.method], headers=[("Allow", ALLOW)])
        elif not self._auth or self._admit(server, request, source):
            self._begin(server, request, uri, source)

    def _supported(self, server: ServerTransaction, header: str) -> bool:
        """Whether no extension is demanded of us; refuses the request otherwise (420)."""
        demanded = server.request.headers.get_all(header)
        if demanded:
            server.reply(420, headers=[("Unsupported", ", ".join(demanded))])
        return not demanded

    def _register(self, server: ServerTransaction, request: Request, uri: Uri, source: Address) -> None:
        if not self._supported(server, "Require"):
            return
        # Calls for another domain are refused: whoever registers in one should learn of it now.
        for domain in (uri.host, request.to.uri.host):
            if not self._is_here(domain, source):
                self._watch.turned_away(request, request.to.uri.user or "", domain, source, 403, "domain")
                raise BadMessage(403, WRONG_DOMAIN)
        now = self._clock.seconds()
        outcome = self._registrar.register(request, source, now)
        # The watcher comes first: a telephone that has its answer may dial before we do anything else.
        if outcome.cause == "ok":
            self._watch.admitted(request, source)
        for binding in outcome.added:
            self._suspects.pop(binding.contact.text, None)
            self._watch.tell(
                Registered(
                    user=binding.user,
                    contact=binding.contact.text,
                    source=source,
                    expires_in=binding.expires - now,
                    user_agent=binding.user_agent,
                    turns_to_tcp=turns_to_tcp(request),
                )
            )
        for binding in outcome.removed:
            self._watch.tell(Unregistered(user=binding.user, contact=binding.contact.text))
        if outcome.cause in ("missing", "stale"):
            self._watch.challenged(request, source)
        elif outcome.cause != "ok":
            self._watch.refused(request, outcome.user, source, outcome.status, outcome.cause)
        server.reply(outcome.status, headers=outcome.headers)

    def _admit(self, server: ServerTransaction, request: Request, source: Address) -> bool:
        """Whether whoever begins something has shown credentials; asks for them otherwise (section 22.3)."""
        now = self._clock.seconds()
        verdict = self._gate.check(request, now, proxy=True)
        if verdict.cause == "ok":
            self._watch.admitted(request, source)
            return True
        if verdict.cause in ("missing", "stale"):
            asked = self._gate.challenge(now, stale=verdict.cause == "stale")
            self._watch.challenged(request, source)
            server.reply(407, headers=[("Proxy-Authenticate", asked)])
        else:
            status = 400 if verdict.cause == "malformed" else 403
            self._watch.refused(request, verdict.user, source, status, verdict.cause)
            server.reply(status)
        return False

    def _begin(self, server: ServerTransaction, request: Request, uri: Uri, source: Address) -> None:
        """Route what is not inside of a call: by the user that the Request-URI names."""
        if "Route" in request.headers or not self._is_ours(uri, source):
            self._watch.turned_away(request, uri.user or "", uri.host, source, 403, "domain")
            raise BadMessage(403, WRONG_DOMAIN)
        if uri.user is None:
            raise BadMessage(404, "Not Found")
        bindings = self._find(uri.user)
        if not bindings:
            self._watch.turned_away(request, uri.user, uri.host, source, 480, "absent")
            raise BadMessage(480, "Temporarily Unavailable")
        targets = [Target(binding.contact.text, binding.source) for binding in bindings]
        if request.method in DIALOG_FORMING:
            self._calls.remember(request, source, targets, self._clock.seconds())
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
        self._forward(server, targets, source)

    def _find(self, user: str) -> list[Binding]:
        """The bindings to try: of a registered user the newest first, otherwise of all lines in turn."""
        now = self._clock.seconds()
        if user in self._accounts:
            return self._registrar.lookup(user, now)
        bindings = [binding for line in self._lines for binding in self._registrar.lookup(line, now)]
        known = {binding.contact.text for binding in bindings}
        self._dealt = {contact: turn for contact, turn in self._dealt.items() if contact in known}
        self._suspects = {contact: until for contact, until in self._suspects.items() if until > now}
        bindings.sort(key=lambda b: (b.contact.text in self._suspects, self._dealt.get(b.contact.text, 0)))
        if bindings:
            self._turn += 1
            self._dealt[bindings[0].contact.text] = self._turn
        return bindings

    def _forward(
        self, server: ServerTransaction, targets: Sequence[Target], source: Address, *, done: bool = False
    ) -> None:
        request = server.request
        self._drop_credentials(request)
        call_id, outside = request.call_id, request.to.tag is None

        def finished(status: int, target: Target) -> None:
            self._forwardings.discard(forwarding)
            if done or (outside and status >= 300):
                self._calls.ended(call_id, self._clock.seconds())
            elif outside:
                self._calls.answered(call_id, target)

        # Of the two ends one may be on this machine, and reach us by the other's way; not so the reverse.
        ways = [self._local(peer) for peer in (source, targets[0].destination)]
        host, port = next((way for way in ways if not _is_loopback(way[0])), ways[0])
        forwarding = Forwarding(
            self._layer,
            server,
            targets,
            record_route=f"<sip:{host}:{port};lr>",
            on_silent=self._silent,
            on_done=finished,
        )
        self._forwardings.add(forwarding)
        try:
            forwarding.start()
        except BadMessage:
            self._forwardings.discard(forwarding)
            raise

    def _silent(self, target: Target) -> None:
        self._suspects[target.uri] = self._clock.seconds() + SUSPECT
        self._watch.tell(LineSilent(contact=target.uri))

    # Inside of calls -----------------------------------------------------------------------------

    def _ack(self, ack: Request, source: Address) -> None:
        """Pass on the ACK for a 2xx; one that leads nowhere is dropped, since nothing may answer it."""
        try:
            self._pop_routes(ack, source)
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
        if call is None:
            raise BadMessage(481, "Call/Transaction Does Not Exist")
        route = request.headers.get("Route")
        address = (NameAddr.parse(route).uri if route is not None else uri).address()
        if route is None and address not in call.ways and self._is_ours(uri, source):
            return call.other_end(source)
        return Target(request.uri, call.ways.get(address, address))

    # Addresses -----------------------------------------------------------------------------------

    def _local(self, peer: Address) -> Address:
        local = self._endpoint.local_address(peer)
        self._told.add(local[0])
        return local

    def _is_ours(self, uri: Uri, peer: Address) -> bool:
        """Whether a URI means this exchange or its domain; a port that is not named is any."""
        return self._is_here(uri.host, peer) and uri.port in (None, self._local(peer)[1])

    def _is_here(self, name: str, peer: Address) -> bool:
        """Whether a host name means this exchange or its domain."""
        name = name.strip("[]").lower()
        names = (self._domain.lower(), self._host, self._local(peer)[0], "localhost", *self._told)
        return name in names or (self._host in WILDCARDS and is_of_this_machine(name))

    def _pop_routes(self, request: Request, source: Address) -> None:
        """Take our own entries off the Route (section 16.4), also where a strict router put one into the
        Request-URI."""
        routes = request.headers.get_all("Route")
        uri = Uri.parse(request.uri)
        if routes and uri.user is None and uri.param("lr") is not None and self._is_ours(uri, source):
            request.uri = NameAddr.parse(routes.pop()).uri.text
            request.headers.remove("Route")
            for route in routes:
                request.headers.add("Route", route)
        while routes and self._is_ours(NameAddr.parse(routes[0]).uri, source):
            request.headers.pop_first("Route")
            del routes[0]

    def _drop_credentials(self, request: Request) -> None:
        """Credentials for our realm are for us alone (section 22.3)."""
        values = request.headers.get_all("Proxy-Authorization")
        if values:
            request.headers.remove("Proxy-Authorization")
            for value in values:
                if f'realm="{self._domain}"' not in value:
                    request.headers.add("Proxy-Authorization", value)

    def _bad_message(self, error: BadMessage, source: Address) -> None:
        self._watch.heard(source)
        self._watch.tell(MessageRefused(source=source, status=error.status, reason=error.reason))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
