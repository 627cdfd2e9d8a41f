"""The merchant of one call: services of its own on loopback, and the payment key that the call is given.

Each call has a merchant to itself, so that a thousand copies of one file never meet in a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from authorizer import AuthorizerError, KeyStore
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.fault_services import way_to_authorizer, way_to_openpay
from ivr_sim.harness.scenario import Case, Given
from ivr_sim.merchant import Merchant

__all__ = ["issue", "merchant_of"]

A_DAY = timedelta(days=1)


def merchant_of(
    reactor: Any, folder: Path, case: Case, *, now: Callable[[], datetime], **outside: Any
) -> Merchant:
    """The merchant of a call, not yet started, the faults of the scenario on the way to its services.

    folder: for its databases, and for no other call's. outside: ``at_authorizer`` and ``at_openpay``, as
    ``Merchant`` takes them; whoever has an authorizer of their own provisions its key, too. Raises
    ConfigurationError for a key that no authorizer would issue.
    """
    scenario = case.scenario
    merchant = Merchant(
        reactor,
        folder,
        now=now,
        seed=f"{case.name} {scenario.seed}",
        to_authorizer=way_to_authorizer(reactor, scenario.faults),
        to_openpay=way_to_openpay(reactor, scenario.faults),
        **outside,
    )
    if outside.get("at_authorizer") is None:
        issue(merchant, scenario.given, now=now)
    return merchant


def issue(merchant: Merchant, given: Given, *, now: Callable[[], datetime]) -> None:
    """Have the key at the merchant's authorizer, in the state that is given. Raises ConfigurationError."""
    if given.state == "missing":
        return
    try:
        with _at(merchant, now, given.state == "expired") as keys:
            keys.issue(given.amount, given.description, given.order_id, expires_in=A_DAY, key=given.key)
            if given.state == "paid":
                keys.mark_paid(given.key)
            elif given.state == "cancelled":
                keys.cancel(given.key)
    except AuthorizerError as wrong:
        raise ConfigurationError(f"the authorizer does not issue the key that is given: {wrong}") from wrong


@contextmanager
def _at(merchant: Merchant, now: Callable[[], datetime], long_ago: bool) -> Iterator[KeyStore]:
    """The merchant's keys, today or two days ago."""
    if not long_ago:
        yield merchant.keys
        return
    earlier = KeyStore(merchant.keys_url, now=lambda: now() - 2 * A_DAY)
    try:
        yield earlier
    finally:
        earlier.close()
