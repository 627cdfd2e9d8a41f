"""The merchant of one call: services of its own on loopback, and the payment key that the call is given.

Each call has a merchant to itself, so that a thousand copies of one file never meet in a database.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from authorizer import AuthorizerError, KeyStore
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.fault_services import way_to_authorizer, way_to_openpay
from ivr_sim.harness.scenario import Case, Given, Scenario
from ivr_sim.merchant import Merchant
from ivr_sim.node import ZONE, local_now

__all__ = ["charged_at", "clock_of", "merchant_of"]

A_DAY = timedelta(days=1)


def clock_of(reactor: Any, scenario: Scenario) -> Callable[[], datetime]:
    """The wall clock of a call: it counts as held at noon of the day that it was recorded on.

    Where that is not said, it is held now.
    """
    if scenario.recorded_on is None:
        return local_now
    noon, start = datetime.combine(scenario.recorded_on, time(12), ZONE), reactor.seconds()
    return lambda: noon + timedelta(seconds=reactor.seconds() - start)


class _Clock:
    """The wall clock, or some time behind it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.behind = timedelta()

    def __call__(self) -> datetime:
        return self._now() - self.behind


def merchant_of(reactor: Any, case: Case, *, folder: Path | None = None, **outside: Any) -> Merchant:
    """The merchant of a call, not yet started, the faults of the scenario on the way to its services.

    folder: for its databases, and for no other call's; None: they are in memory. outside: ``at_authorizer``
    and ``at_openpay``, as ``Merchant`` takes them; whoever has an authorizer of their own provisions its key,
    too. Raises ConfigurationError for a key that no authorizer would issue.
    """
    scenario = case.scenario
    clock = _Clock(clock_of(reactor, scenario))
    merchant = Merchant(
        reactor,
        folder,
        now=clock,
        # The same for all calls: the authorisation number is spoken, and so it is rendered but once.
        seed=f"{scenario.seed}",
        to_authorizer=way_to_authorizer(reactor, scenario.faults),
        to_openpay=way_to_openpay(reactor, scenario.faults),
        **outside,
    )
    if outside.get("at_authorizer") is None:
        _issue(merchant.keys, scenario.given, clock)
    return merchant


def charged_at(merchant: Merchant, given: Given) -> tuple[int | None, list[str]]:
    """How many completed charges the call's order has over its amount, and all others there are, in words.

    None where somebody else's Openpay charges: nobody but the call may have charged there, or many have.
    """
    if not merchant.own_openpay:
        return None, []
    completed = [c for c in merchant.charges.charges() if c.status == "completed"]
    own = [c for c in completed if (c.order_id, c.amount) == (given.order_id, given.amount)]
    return len(own), [f"order {c.order_id} over {c.amount}" for c in reversed(completed) if c not in own]


def _issue(keys: KeyStore, given: Given, clock: _Clock) -> None:
    """Have the key at the merchant's authorizer, in the state that is given. Raises ConfigurationError."""
    if given.state == "missing":
        return
    clock.behind = 2 * A_DAY if given.state == "expired" else timedelta()
    try:
        keys.issue(given.amount, given.description, given.order_id, expires_in=A_DAY, key=given.key)
        if given.state == "paid":
            keys.mark_paid(given.key)
        elif given.state == "cancelled":
            keys.cancel(given.key)
    except AuthorizerError as wrong:
        raise ConfigurationError(f"the authorizer does not issue the key that is given: {wrong}") from wrong
    finally:
        clock.behind = timedelta()
