"""The registrar: who can be reached where (RFC 3261 section 10.3), without I/O.

A binding keeps the address that its REGISTER came from beside the contact that it names: calls go to the
former, where a phone behind NAT can be reached, with the latter as Request-URI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ivr_sim.sip.digest import DigestGate
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.uri import NameAddr, Uri

__all__ = ["Binding", "Outcome", "Registrar"]

Address = tuple[str, int]


@dataclass(frozen=True)
class Binding:
    """One contact of a user. ``expires`` is a time on the registrar's clock; ``source`` where it registered
    from; ``call_id`` and ``cseq`` are those of the REGISTER that last renewed it."""

    user: str
    contact: Uri
    source: Address
    expires: float
    call_id: str
    cseq: int
    user_agent: str | None = None


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
        self._bindings: dict[str, dict[str, Binding]] = {}

    def lookup(self, user: str, now: float) -> list[Binding]:
        """The live bindings of a user, the one renewed last first."""
        bindings = self._bindings.get(user, {})
        for key in [key for key, binding in bindings.items() if binding.expires <= now]:
            del bindings[key]
        return list(reversed(bindings.values()))

    def registrations(self, now: float) -> dict[str, list[Binding]]:
        """All users with live bindings."""
        found = {user: self.lookup(user, now) for user in self._bindings}
        return {user: bindings for user, bindings in found.items() if bindings}

    def register(self, request: Request, source: Address, now: float) -> Outcome:
        """Serve one REGISTER from ``source``. All its contacts take effect, or none (section 10.3 step 7).

        Raises BadMessage 400: contacts that cannot be read, ``*`` with anything else than ``Expires: 0``.
        """
        verdict = self._gate.check(request, now)
        if verdict.cause in ("missing", "stale"):
            asked = self._gate.challenge(now, stale=verdict.cause == "stale")
            return Outcome(401, verdict.cause, verdict.user, (("WWW-Authenticate", asked),))
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
        bound = {binding.contact.text: binding for binding in reversed(self.lookup(user, now))}
        call_id, cseq = request.call_id, request.cseq[0]
        header = _seconds(request.headers.get("Expires"), self._default)
        contacts = request.headers.get_all("Contact")
        asked: dict[str, tuple[Uri, int]] = {}
        if "*" in contacts:
            if len(contacts) > 1 or header != 0:
                raise BadMessage(400, "Contact: * needs Expires: 0 and no other contact")
            asked = {binding.contact.text: (binding.contact, 0) for binding in bound.values()}
        for contact in contacts if "*" not in contacts else ():
            address = NameAddr.parse(contact)
            address.uri.address()  # 416 where no call could go
            seconds = _seconds(address.params.get("expires"), header)
            if 0 < seconds < self._shortest:
                brief = (("Min-Expires", str(self._shortest)),)
                return Outcome(423, "too_brief", user, brief)
            asked[_key(address.uri, bound)] = address.uri, min(seconds, self._longest)
        for key in asked:
            old = bound.get(key)
            if old is not None and old.call_id == call_id and cseq <= old.cseq:
                return Outcome(500, "out_of_order", user)
        agent = request.headers.get("User-Agent")
        added: list[Binding] = []
        removed: list[Binding] = []
        for key, (uri, seconds) in asked.items():
            old = bound.pop(key, None)
            if seconds:
                bound[key] = Binding(user, uri, source, now + seconds, call_id, cseq, agent)
                added.append(bound[key])
            elif old is not None:
                removed.append(old)
        while len(bound) > self._max_contacts:
            removed.append(bound.pop(next(iter(bound))))
        self._bindings[user] = bound
        listed = tuple(
            ("Contact", f"<{binding.contact}>;expires={max(1, round(binding.expires - now))}")
            for binding in bound.values()
        )
        return Outcome(200, "ok", user, listed, tuple(added), tuple(removed))


def _key(uri: Uri, bound: Mapping[str, Binding]) -> str:
    """The text of the bound contact that is the same URI (section 19.1.4, but for parameters), or its own."""
    for text, binding in bound.items():
        old = binding.contact
        if (old.user, old.host.lower(), old.port) == (uri.user, uri.host.lower(), uri.port):
            return text
    return uri.text


def _seconds(text: str | None, default: int) -> int:
    """An expiry; one that is malformed counts as not given (RFC 4475 section 3.1.2.4)."""
    if text is None or not re.fullmatch(r"[0-9]{1,10}", text) or int(text) >= 2**32:
        return default
    return int(text)
