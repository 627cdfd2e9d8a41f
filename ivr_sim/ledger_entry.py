"""What the ledger says of a charge: the words of it, without its database.

A process that carries calls asks another one for the ledger; it loads these, and no SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from ivr_sim.errors import IvrSimError

__all__ = ["Intent", "LedgerEntry", "LedgerFailed", "Settled"]

Settled = Literal["approved", "declined", "already_paid", "failed"]


class LedgerFailed(IvrSimError):
    """The ledger could not be read or written: nothing may be charged without it."""


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A charge about to be sent.

    attempt: its name, also in Openpay's ``metadata.attempt``. account: the merchant's id at Openpay, who
    alone can be asked about it. call: the call's name in the journal. amount: with two decimals.
    """

    attempt: str
    account: str
    call: str
    order_id: str
    amount: Decimal
    currency: str = "MXN"


@dataclass(frozen=True, kw_only=True)
class LedgerEntry(Intent):
    """An intent, when it was opened, and what came of it. result: None while nobody knows."""

    opened: datetime
    settled: datetime | None = None
    result: Settled | None = None
    charge_id: str | None = None
    error_code: int | None = None
