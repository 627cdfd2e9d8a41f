"""What goes wrong before a call: telephones that do not register, and calls that lead nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ivr_sim.diagnosis.teller import Teller
from ivr_sim.sip.exchange_event import (
    Admitted,
    CallRouted,
    Challenged,
    ExchangeEvent,
    Refused,
    Registered,
    TurnedAway,
    Unregistered,
)
from ivr_sim.sip.transport import Address

__all__ = ["Telephones"]

ANSWER = 8.0  # seconds that a telephone has to answer when its password is asked for
GRACE = 2.0  # seconds after the end of a registration before it is missed
MAX_PENDING = 256
MAX_PHONES = 1024
CODES = {
    "unknown_user": "unknown_user",
    "wrong_password": "wrong_password",
    "malformed": "bad_credentials",
    "other_user": "other_user",
    "not_found": "other_user",
}

# A telephone: a user, and where it wrote from.
Phone = tuple[str, Address]


class Telephones:
    """Follows the exchange's events.

    clock: IReactorTime. accounts: the names that telephones may have. domain: the exchange's. addresses:
    what telephones may take for their server, as text.
    """

    def __init__(
        self,
        clock: Any,
        teller: Teller,
        *,
        accounts: tuple[str, ...],
        domain: str,
        addresses: str,
    ) -> None:
        self._clock = clock
        self._teller = teller
        self._accounts = accounts
        self._domain = domain
        self._addresses = addresses
        self._pending: dict[Phone, tuple[Any, str, Mapping[str, object]]] = {}
        self._registered: dict[tuple[str, str], tuple[str, Any]] = {}  # user, contact: host, expiry timer

    def close(self) -> None:
        """Wait for nothing any more."""
        for timer, *_ in self._pending.values():
            timer.cancel()
        for _, timer in self._registered.values():
            timer.cancel()
        self._pending.clear()
        self._registered.clear()

    def read(self, event: ExchangeEvent) -> None:
        """Take one event of the exchange."""
        match event:
            case Challenged():
                self._challenged(event)
            case Refused():
                self._refused(event)
            case TurnedAway():
                self._turned_away(event)
            case Admitted():
                self._settled(event.user, event.source)
            case Registered():
                self._add(event)
            case Unregistered():
                self._drop(event.user, event.contact)
            case CallRouted():
                self._calls(event.caller, event.source[0])

    # Credentials --------------------------------------------------------------------------------

    def _challenged(self, event: Challenged) -> None:
        """Whoever knows an account answers; one that is silent has no password, or does not hear us."""
        if event.realm is not None:
            facts = {"given": event.realm, "domain": self._domain}
            self._expect(event.user, event.source, "wrong_realm", facts)
        elif event.user in self._accounts:
            facts = {"seconds": f"{ANSWER:g}", "domain": self._domain}
            self._expect(event.user, event.source, "no_credentials", facts)

    def _refused(self, event: Refused) -> None:
        user = event.user or event.account
        self._settled(event.account, event.source)
        if event.cause == "too_brief":
            self._expect(event.account, event.source, "registration_too_brief", {})
            return
        code = CODES.get(event.cause)
        if code is not None:
            self._teller.tell(
                code,
                (event.source[0], user),
                host=event.source[0],
                deed=_deed(event.method),
                user=user,
                account=event.account,
                accounts=", ".join(self._accounts),
            )

    def _turned_away(self, event: TurnedAway) -> None:
        host = event.source[0]
        if event.cause == "domain":
            self._teller.tell(
                "wrong_domain",
                (host, event.user),
                host=host,
                user=event.user,
                deed=_deed(event.method),
                given=event.domain,
                domain=self._domain,
                addresses=self._addresses,
            )
        elif event.method == "INVITE":
            code = "nobody_there" if event.uri_user in self._accounts else "no_line"
            self._teller.tell(code, (host, event.user), user=event.user, number=event.uri_user)

    def _expect(self, user: str, source: Address, code: str, facts: Mapping[str, object]) -> None:
        """Tell this unless the telephone goes on in time."""
        key = user, source
        waiting = self._pending.get(key)
        if waiting is not None:
            timer = waiting[0]
        elif len(self._pending) < MAX_PENDING:
            timer = self._clock.callLater(ANSWER, self._missed, key)
        else:
            return
        self._pending[key] = timer, code, facts

    def _missed(self, key: Phone) -> None:
        _, code, facts = self._pending.pop(key)
        user, host = key[0], key[1].host
        self._teller.tell(code, (host, user), host=host, user=user, **facts)

    def _settled(self, user: str, source: Address) -> None:
        waiting = self._pending.pop((user, source), None)
        if waiting is not None:
            waiting[0].cancel()

    # Registrations ------------------------------------------------------------------------------

    def _add(self, event: Registered) -> None:
        if event.user not in self._accounts:
            return  # a line of the IVR
        host, key = event.source[0], (event.user, event.contact)
        self._teller.forget((host, event.user))
        self._drop(*key)
        if len(self._registered) < MAX_PHONES:
            timer = self._clock.callLater(event.expires_in + GRACE, self._expired, key)
            self._registered[key] = host, timer

    def _drop(self, user: str, contact: str) -> None:
        known = self._registered.pop((user, contact), None)
        if known is not None and known[1].active():
            known[1].cancel()

    def _expired(self, key: tuple[str, str]) -> None:
        user, host = key[0], self._registered[key][0]
        self._drop(*key)
        if not self._hosts(user):
            self._teller.tell("registration_expired", (host, user), host=host, user=user)

    def _calls(self, user: str, host: str) -> None:
        hosts = self._hosts(user)
        if hosts and host not in hosts:
            registered = " and ".join(sorted(hosts))
            self._teller.tell("other_address", (host, user), host=host, user=user, registered=registered)

    def _hosts(self, user: str) -> set[str]:
        return {host for (owner, _), (host, _) in self._registered.items() if owner == user}


def _deed(method: str) -> str:
    return "register" if method == "REGISTER" else "call"
