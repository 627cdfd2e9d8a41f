"""What the dialogue asks of the world: who knows payment keys, and who charges cards.

Clients implement these protocols (``ivr_sim.clients``); tests and replays may bring their own. A service
never raises into the dialogue but with the exceptions named here, and it is never cancelled by a caller
who hangs up.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from ivr_sim.cards import Card
from ivr_sim.errors import IvrSimError

__all__ = [
    "Acquirer",
    "AcquirerFailed",
    "AlreadyPaid",
    "Approved",
    "AuthorizerFailed",
    "Charged",
    "Declined",
    "Payable",
    "PaymentKeys",
    "Refusal",
    "Unknown",
]


@dataclass(frozen=True, kw_only=True)
class Payable:
    """A payment key that can be paid. amount in ``currency`` with two decimals; ms: how long it took."""

    key: str
    amount: Decimal
    order_id: str
    description: str
    currency: str = "MXN"
    status: int = 200
    ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A payment key that the merchant refuses: the code (never 0) and the merchant's own words."""

    code: int
    description: str
    status: int = 200
    ms: int = 0


class AuthorizerFailed(IvrSimError):
    """The merchant's service gave no usable answer.

    cause: dns, connect, tls, timeout, status, not_json or bad_fields; status: the HTTP status, if one
    came; ms: how long it took; detail: what was wrong, without the body.
    """

    def __init__(
        self,
        cause: Literal["dns", "connect", "tls", "timeout", "status", "not_json", "bad_fields"],
        *,
        status: int | None = None,
        ms: int = 0,
        detail: str = "",
    ) -> None:
        super().__init__(f"the authorizer failed: {cause}" + (f" ({detail})" if detail else ""))
        self.cause = cause
        self.status = status
        self.ms = ms
        self.detail = detail


class PaymentKeys(Protocol):
    """Who knows what a payment key stands for."""

    async def look_up(self, key: str) -> Payable | Refusal:
        """Ask for one payment key (4 to 12 digits, no leading zero). Raises AuthorizerFailed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Approved:
    """The charge is completed."""

    charge_id: str
    authorization: str
    ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Declined:
    """The card was refused, and nothing was charged; error_code is Openpay's (3001, 3003, ...)."""

    error_code: int
    charge_id: str | None = None
    ms: int = 0


@dataclass(frozen=True, kw_only=True)
class AlreadyPaid:
    """The order was paid before this try (Openpay's 1006, or a completed charge found)."""

    charge_id: str | None = None
    ms: int = 0


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """The charge was sent and nobody can say yet what came of it: never charge again blindly."""

    ms: int = 0


class AcquirerFailed(IvrSimError):
    """Openpay could not be used, and it is certain that nothing was charged."""

    def __init__(self, cause: str, *, error_code: int | None = None, ms: int = 0) -> None:
        super().__init__(f"Openpay could not be used: {cause}")
        self.cause = cause
        self.error_code = error_code
        self.ms = ms


Charged = Approved | Declined | AlreadyPaid | Unknown


class Acquirer(Protocol):
    """Who charges cards, and remembers every charge that was sent."""

    async def earlier(self, payable: Payable) -> AlreadyPaid | Unknown | None:
        """What became of earlier charges of this order: paid, not known yet, or None: it may be charged.

        Raises AcquirerFailed when that cannot be told.
        """
        ...

    async def charge(self, payable: Payable, card: Card, *, attempt: str, call: str) -> Charged:
        """Charge a payable to a card, once.

        ``attempt`` names this try in ``metadata.attempt``, ``call`` is the call's name in the journal.
        Raises AcquirerFailed only where nothing was charged for certain.
        """
        ...
