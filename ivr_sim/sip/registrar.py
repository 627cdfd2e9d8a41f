"""The registrar: who can be reached where (RFC 3261 section 10.3), without I/O.

A binding keeps the address that its REGISTER came from beside the contact that it names: calls go to the
former, where a phone behind NAT can be reached, with the latter as Request-URI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ivr_sim.sip.address import Address
from ivr_sim.sip.digest import DigestGate
from ivr_sim.sip.grammar import unquote
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = ["Binding", "Outcome", "Registrar"]


Identity = tuple[str | None, str, int | None, str]


@dataclass(frozen=True)
class Binding:
    """One contact of a user. ``expires`` is a time on the registrar's clock; ``source`` where it registered
    from; ``call_id`` and ``cseq`` are those of the REGISTER that last renewed it; ``q``, in thousandths, says
    how much it is preferred to others."""

    user: str
    contact: Uri
    source: Address
    expires: float
    call_id: str
    cseq: int
    user_agent: str | None = None
    q: int = 1000


@dataclass(frozen=True)
class Outcome:
    """What came of a REGISTER: the answer's status and headers, the user, and what it changed.

    cause: ok; or why not: missing (credentials were asked for), stale, unknown_user, wrong_password,
    malformed, other_user, not_found, too_brief, out_of_order.
    """

    status: int
    cause: str
    user: str | None
    headers: tuple[tuple[str, str], ...] = ()
    added: tuple[Binding, ...] = ()
    removed: tuple[Binding, ...] = ()


class Registrar:
    """Bindings of the users of one domain.

    accounts: user to password. Expiry, in seconds: ``default`` where none is asked for, never more than
    ``longest``; less than ``shortest`` is refused (423). max_contacts a user: the oldest gives way.
    """

    def __init__(
        self,
        accounts: Mapping[str, str],
        gate: DigestGate,
        *,
        shortest: int = 10,
        default: int = 3600,
        longest: int = 3600,
        max_contacts: int = 10,
    ) -> None:
        self._accounts = accounts
        self._gate = gate
        self._shortest = shortest
        self._default = default
        self._longest = longest
        self._max_contacts = max_contacts
        self._bindings: dict[str, dict[Identity, Binding]] = {}

    def lookup(self, user: str, now: float) -> list[Binding]:
        """The live bindings of a user: the most preferred first, of those alike the one renewed last."""
        bindings = self._bindings.get(user, {})
        for key in [key for key, binding in bindings.items() if binding.expires <= now]:
            del bindings[key]
        newest_first = list(reversed(bindings.values()))
        newest_first.sort(key=lambda binding: -binding.q)
        return newest_first

    def registrations(self, now: float) -> dict[str, list[Binding]]:
        """All users with live bindings."""
        found = {user: self.lookup(user, now) for user in self._bindings}
        return {user: bindings for user, bindings in found.items() if bindings}

    def remove(self, user: str, now: float) -> list[Binding]:
        """Forget all bindings of a user; gives those that were live."""
        gone = self.lookup(user, now)
        self._bindings.pop(user, None)
        return gone

    def register(self, request: Request, source: Address, now: float) -> Outcome:
        """Serve one REGISTER from ``source``. All its contacts take effect, or none (section 10.3 step 7).

        Raises BadMessage 400: contacts that cannot be read, ``*`` with anything else than ``Expires: 0``.
        """
        verdict = self._gate.check(request, now)
        if verdict.cause in ("missing", "stale"):
            asked = self._gate.challenges(now, stale=verdict.cause == "stale")
            headers = tuple(("WWW-Authenticate", each) for each in asked)
            return Outcome(401, verdict.cause, verdict.user, headers)
        if verdict.cause == "malformed":
            return Outcome(400, "malformed", verdict.user)
        if verdict.cause != "ok":
            return Outcome(403, verdict.cause, verdict.user)
        user = request.to.uri.user or ""
        if user not in self._accounts:
            return Outcome(404, "not_found", verdict.user)
        if user != verdict.user:
            return Outcome(403, "other_user", verdict.user)
        return self._update(user, request, source, now)

    def _update(self, user: str, request: Request, source: Address, now: float) -> Outcome:
        self.lookup(user, now)  # which forgets those that have expired
        bound = dict(self._bindings.get(user, {}))
        call_id, cseq = request.call_id, request.cseq[0]
        header = _seconds(request.headers.get("Expires"), self._default)
        contacts = request.headers.get_all("Contact")
        asked: dict[Identity, tuple[Uri, int, int]] = {}
        if "*" in contacts:
            if len(contacts) > 1 or header != 0:
                raise BadMessage(400, "Contact: * needs Expires: 0 and no other contact")
            asked = {key: (binding.contact, 0, 0) for key, binding in bound.items()}
        for contact in contacts if "*" not in contacts else ():
            address = NameAddr.parse(contact)
            address.uri.address()  # 416 where no call could go
            seconds = _seconds(unquote(address.params.get("expires") or ""), header)
            if 0 < seconds < self._shortest:
                brief = (("Min-Expires", str(self._shortest)),)
                return Outcome(423, "too_brief", user, brief)
            q = _thousandths(address.params.get("q"))
            asked[_identity(address.uri)] = address.uri, min(seconds, self._longest), q
        for key in asked:
            old = bound.get(key)
            if old is not None and old.call_id == call_id and cseq <= old.cseq:
                return Outcome(500, "out_of_order", user)
        agent = request.headers.get("User-Agent")
        added: list[Binding] = []
        removed: list[Binding] = []
        for key, (uri, seconds, q) in asked.items():
            old = bound.pop(key, None)
            if seconds:
                bound[key] = Binding(user, uri, source, now + seconds, call_id, cseq, agent, q)
                added.append(bound[key])
            elif old is not None:
                removed.append(old)
        while len(bound) > self._max_contacts:
            evicted = bound.pop(next(iter(bound)))
            if evicted in added:
                added.remove(evicted)
            else:
                removed.append(evicted)
        self._bindings[user] = bound
        listed = tuple(("Contact", _listed(binding, now)) for binding in bound.values())
        return Outcome(200, "ok", user, listed, tuple(added), tuple(removed))


def _listed(binding: Binding, now: float) -> str:
    q = "" if binding.q == 1000 else f";q={binding.q / 1000:g}"
    return f"<{binding.contact}>;expires={max(1, round(binding.expires - now))}{q}"


def _identity(uri: Uri) -> Identity:
    """What contacts share that are the same URI (section 19.1.4). Of the parameters only the transport
    counts: others phones change as they like."""
    return uri.user, uri.host.lower(), uri.port, uri.address().transport


def _thousandths(text: str | None) -> int:
    """A q-value; one that is malformed counts as not given, which is the highest."""
    if text is None or not re.fullmatch(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", text):
        return 1000
    return round(float(text) * 1000)


def _seconds(text: str | None, default: int) -> int:
    """An expiry; one that is malformed counts as not given (RFC 4475 section 3.1.2.4)."""
    if text is None or not re.fullmatch(r"[0-9]{1,10}", text) or int(text) >= 2**32:
        return default
    return int(text)
