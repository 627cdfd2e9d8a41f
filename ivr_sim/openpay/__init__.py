"""Openpay: the objects and errors of its API, and a stand-in for it that runs locally.

The stand-in keeps the documented behaviour where there is any. These choices are ours: only the listed
test cards are taken (412, error 2007); a key for payment by telephone ends with its day; a charge that is
refused before the bank was asked does not use up its token; the HTTP status of the codes that
``errors.ERRORS`` marks as ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ivr_sim.openpay.bank import TEST_CARDS, TestCard, card_named, is_test_card
from ivr_sim.openpay.errors import ERRORS, OpenpayError, is_card_error
from ivr_sim.openpay.models import Charge, Customer, PaymentMethod, Token

if TYPE_CHECKING:
    from ivr_sim.openpay.app import create_app
    from ivr_sim.openpay.store import Store

__all__ = [
    "ERRORS",
    "TEST_CARDS",
    "Charge",
    "Customer",
    "OpenpayError",
    "PaymentMethod",
    "Store",
    "TestCard",
    "Token",
    "card_named",
    "create_app",
    "is_card_error",
    "is_test_card",
]


def __getattr__(name: str) -> Any:
    """The stand-in's application and store, loaded by who runs it: clients need neither Flask nor SQL."""
    if name == "create_app":
        from ivr_sim.openpay.app import create_app

        return create_app
    if name == "Store":
        from ivr_sim.openpay.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
