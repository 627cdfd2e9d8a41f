"""What this package raises on purpose: one family, whose messages say what happened and what to try."""

from __future__ import annotations

__all__ = [
    "AuthorizerError",
    "ConfigurationError",
    "InvalidCharge",
    "KeyNotLive",
    "KeyTaken",
    "KeysExhausted",
    "OrderTaken",
    "StoreUnavailable",
    "UnknownKey",
]


class AuthorizerError(Exception):
    """Anything that the authorizer raises on purpose."""


class ConfigurationError(AuthorizerError):
    """A user, password, path or database URL that cannot be used."""


class StoreUnavailable(AuthorizerError):
    """The database did not answer or refused; the cause is chained, never shown to a peer."""


class InvalidCharge(AuthorizerError):
    """An amount, description, order, lifetime or key that no payment key can be issued for."""


class OrderTaken(AuthorizerError):
    """The order has a payment key that was not cancelled: cancel that one first."""


class KeyTaken(AuthorizerError):
    """The key asked for was issued before; a key is never issued twice."""


class KeysExhausted(AuthorizerError):
    """No free key was found: too many of this length were issued. Issue longer ones."""


class UnknownKey(AuthorizerError):
    """No such payment key was ever issued."""


class KeyNotLive(AuthorizerError):
    """The payment key has ended, so nothing more can be done to it; ``state`` says how: paid, cancelled."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the payment key is {state} already")
        self.state = state
