"""How one merchant's services are reached: where they are, by which account, and who asks them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from ivr_sim.clients.acquirer import BETWEEN_LOOKS, OpenpayAcquirer
from ivr_sim.clients.authorizer import AuthorizerClient
from ivr_sim.clients.cashier import Books, Cashier
from ivr_sim.clients.openpay import OpenpayClient
from ivr_sim.dialogue import Limits, Shop
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.journal import Journal
from ivr_sim.openpay import TEST_CARDS

__all__ = ["Access", "Outside"]


def _drawn() -> str:
    return f"{random.SystemRandom().getrandbits(64):016x}"


@dataclass(frozen=True)
class Outside:
    """A service: its URL, and the user (at Openpay, the merchant's id) and password."""

    url: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Access:
    """The authorizer that is asked and the Openpay that charges; stand_in: it is ours. It can be pickled."""

    authorizer: Outside
    openpay: Outside
    stand_in: bool

    def cashier(
        self,
        reactor: Any,
        ledger: Books,
        journal: Journal,
        *,
        now: Callable[[], datetime],
        on_exchange: Callable[[HttpExchange], None] | None = None,
        between_looks: float = BETWEEN_LOOKS,
        in_thread: Callable[..., Awaitable[Any]] | None = None,
    ) -> Cashier:
        """Who charges for this merchant, by a ledger.

        on_exchange: ``HttpClient``'s. between_looks: ``OpenpayAcquirer``'s. in_thread: ``Cashier``'s.
        """
        at = self.openpay
        client = OpenpayClient(
            reactor, at.url, at.user, at.password, on_exchange=on_exchange, own=self.stand_in
        )
        return Cashier(
            OpenpayAcquirer(client, reactor, between_looks=between_looks),
            ledger,
            reactor,
            account=at.user,
            journal=journal,
            now=now,
            in_thread=in_thread,
        )

    def shop(
        self,
        reactor: Any,
        name: str,
        cashier: Cashier,
        *,
        today: Callable[[], date],
        limits: Limits | None = None,
        new_attempt: Callable[[], str] = _drawn,
        on_exchange: Callable[[HttpExchange], None] | None = None,
    ) -> Shop:
        """The merchant's line as the dialogue knows it: clients of these two services."""
        at = self.authorizer
        # A card of our own making means nothing to a sandbox.
        cards = [c.number for c in TEST_CARDS if self.stand_in or not c.ours]
        return Shop(
            name=name,
            keys=AuthorizerClient(reactor, at.url, at.user, at.password, on_exchange=on_exchange),
            acquirer=cashier,
            today=today,
            new_attempt=new_attempt,
            card_allowed=lambda number: number.is_one_of(cards),
            limits=limits or Limits(),
        )
