"""What an exchange tells whoever watches it; never a body, never a password."""

from __future__ import annotations

from dataclasses import dataclass

from ivr_sim.sip.transport import Address

__all__ = [
    "CallRouted",
    "ExchangeEvent",
    "LineSilent",
    "MessageRefused",
    "Refused",
    "Registered",
    "Unregistered",
]


@dataclass(frozen=True, kw_only=True)
class ExchangeEvent:
    """Something that happened at the exchange."""


@dataclass(frozen=True, kw_only=True)
class Registered(ExchangeEvent):
    """A phone registered or renewed; ``expires_in`` seconds."""

    user: str
    contact: str
    source: Address
    expires_in: float


@dataclass(frozen=True, kw_only=True)
class Unregistered(ExchangeEvent):
    """A phone took back a contact."""

    user: str
    contact: str


@dataclass(frozen=True, kw_only=True)
class Refused(ExchangeEvent):
    """Credentials that were refused; cause: unknown_user, wrong_password, malformed, other_user, ..."""

    method: str
    user: str | None
    source: Address
    status: int
    cause: str


@dataclass(frozen=True, kw_only=True)
class CallRouted(ExchangeEvent):
    """An INVITE goes to a phone or line; ``contact`` is the first that is tried."""

    call_id: str
    caller: str
    dialled: str
    user: str
    contact: str


@dataclass(frozen=True, kw_only=True)
class LineSilent(ExchangeEvent):
    """A phone or line gave no sign of life and was passed over."""

    contact: str


@dataclass(frozen=True, kw_only=True)
class MessageRefused(ExchangeEvent):
    """A datagram that is no good SIP message."""

    source: Address
    status: int
    reason: str
