"""The merchant's side of a payment by telephone: it knows what each payment key stands for.

Openpay's IVR asks ``POST /openpay/authorizer`` for a payment key; this package answers with amount, order
and description, or with the reason why not. It needs Flask, SQLAlchemy and click, and imports itself
relatively, so that the folder can be copied, renamed or put into a package of yours.
"""

from .app import create_app
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
