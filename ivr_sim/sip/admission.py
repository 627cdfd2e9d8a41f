"""Who may register with an exchange, and who may begin something at it: credentials asked for and judged.

What is refused here is answered once and forgotten, also an INVITE (section 26.3.2.4): who asks without a
password costs no memory, and gets no more than one answer to each datagram.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import Any

from ivr_sim.sip.address import Address
from ivr_sim.sip.digest import DigestGate
from ivr_sim.sip.exchange_event import BanEnded, Registered, SourceBanned, Unregistered
from ivr_sim.sip.exchange_watch import Watch
from ivr_sim.sip.guard import Ban, Guard
from ivr_sim.sip.message import Request
from ivr_sim.sip.registrar import Binding, Outcome, Registrar
from ivr_sim.sip.transactions import ServerTransaction

__all__ = ["Admission"]

# How many mistyped passwords a refusal weighs as.
WEIGHTS = {"unknown_user": 2.0, "other_user": 2.0, "not_found": 2.0}
# Names that scanners give themselves. Whoever wants to hides it, so it only makes other failures weigh more.
SCANNERS = re.compile(
    r"friendly-scanner|sipvicious|sundayddr|sipscan|sip-scan|sipsak|iwar|sipptk|pplsip", re.I
)
SCANNER_WEIGHT = 5.0


class Admission:
    """The door of an exchange. accounts: those whom a request may come from without being odd."""

    def __init__(
        self,
        clock: Any,
        accounts: Container[str],
        gate: DigestGate,
        registrar: Registrar,
        guard: Guard,
        watch: Watch,
    ) -> None:
        self._clock = clock
        self._accounts = accounts
        self._gate = gate
        self._registrar = registrar
        self._guard = guard
        self._watch = watch
        self._lifting: Any = None
        guard.on_ban = self._banned

    def close(self) -> None:
        """Tell of no ban's end any more."""
        if self._lifting is not None:
            self._lifting.cancel()
            self._lifting = None

    def register(self, server: ServerTransaction, request: Request, source: Address) -> Sequence[Binding]:
        """Serve a REGISTER; gives the bindings that it made or renewed. Raises BadMessage."""
        now = self._clock.seconds()
        outcome = self._registrar.register(request, source, now)
        # The watcher comes first: a telephone that has its answer may dial before we do anything else.
        if outcome.cause == "ok":
            self._watch.admitted(request, source)
        self._tell(outcome, now)
        if outcome.cause == "ok":
            server.reply(outcome.status, headers=outcome.headers)
        else:
            self._refuse(server, outcome.cause, outcome.user, outcome.status, outcome.headers)
        return outcome.added

    def admit(self, server: ServerTransaction, request: Request, source: Address) -> bool:
        """Whether whoever begins something has shown credentials; asks for them otherwise (section 22.3)."""
        now = self._clock.seconds()
        verdict = self._gate.check(request, now, proxy=True)
        if verdict.cause == "ok":
            self._watch.admitted(request, source)
            return True
        if verdict.cause in ("missing", "stale"):
            asked = self._gate.challenges(now, stale=verdict.cause == "stale")
            headers = tuple(("Proxy-Authenticate", each) for each in asked)
            self._refuse(server, verdict.cause, verdict.user, 407, headers)
        else:
            self._refuse(server, verdict.cause, verdict.user, 400 if verdict.cause == "malformed" else 403)
        return False

    def failed(self, source: Address, cause: str, request: Request | None = None, cost: float = 1.0) -> None:
        """Count against a source what it asked for in vain."""
        agent = None if request is None else request.headers.get("User-Agent")
        if agent is not None and SCANNERS.search(agent):
            cost *= SCANNER_WEIGHT
        self._guard.failed(source, cause, self._clock.seconds(), cost=cost)

    def _refuse(
        self,
        server: ServerTransaction,
        cause: str,
        user: str | None,
        status: int,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        request, source = server.request, server.source
        if cause in ("missing", "stale"):
            self._watch.challenged(request, source)
            sender = (request.to if request.method == "REGISTER" else request.from_).uri.user
            if cause == "missing" and sender not in self._accounts:
                self.failed(source, "unknown_user", request)
        else:
            self._watch.refused(request, user, source, status, cause)
            if cause not in ("too_brief", "out_of_order"):
                self.failed(source, cause, request, WEIGHTS.get(cause, 1.0))
        server.reply(status, headers=headers)
        server.close()

    def _banned(self, ban: Ban) -> None:
        seconds = ban.until - self._clock.seconds()
        self._watch.tell(SourceBanned(source=ban.source, reason=ban.reason, until=ban.until, seconds=seconds))
        if self._lifting is None:
            self._lifting = self._clock.callLater(seconds, self._lift)

    def _lift(self) -> None:
        self._lifting = None
        now = self._clock.seconds()
        for ban in self._guard.lift(now):
            self._watch.tell(BanEnded(source=ban.source))
        soonest = self._guard.next_end()
        if soonest is not None:
            self._lifting = self._clock.callLater(max(0.0, soonest - now), self._lift)

    def _tell(self, outcome: Outcome, now: float) -> None:
        for binding in outcome.removed:
            self._guard.distrust(binding.source)
        for binding in outcome.added:
            self._guard.trust(binding.source, binding.expires)
            self._watch.tell(
                Registered(
                    user=binding.user,
                    contact=binding.contact.text,
                    source=binding.source,
                    expires_in=binding.expires - now,
                    user_agent=binding.user_agent,
                )
            )
        for binding in outcome.removed:
            self._watch.tell(Unregistered(user=binding.user, contact=binding.contact.text))
