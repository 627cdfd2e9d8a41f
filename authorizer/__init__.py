"""The merchant's side of a payment by telephone: it knows what each payment key stands for.

Openpay's IVR asks ``POST /openpay/authorizer`` for a payment key; this package answers with amount, order
and description, or with the reason why not. It needs Flask, SQLAlchemy and click, and imports itself
relatively, so that the folder can be copied, renamed or put into a package of yours. What needs Flask and
SQLAlchemy is loaded when it is first used: who only catches its errors does without.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import (
    AuthorizerError,
    ConfigurationError,
    InvalidCharge,
    KeyNotLive,
    KeysExhausted,
    KeyTaken,
    OrderTaken,
    StoreUnavailable,
    UnknownKey,
)

if TYPE_CHECKING:
    from .app import create_app
    from .keys import KeyStore, PaymentKey, State

__all__ = [
    "AuthorizerError",
    "ConfigurationError",
    "InvalidCharge",
    "KeyNotLive",
    "KeyStore",
    "KeyTaken",
    "KeysExhausted",
    "OrderTaken",
    "PaymentKey",
    "State",
    "StoreUnavailable",
    "UnknownKey",
    "create_app",
]

_HOMES = {"KeyStore": "keys", "PaymentKey": "keys", "State": "keys", "create_app": "app"}

if not TYPE_CHECKING:  # to mypy only the names above exist

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        return value
