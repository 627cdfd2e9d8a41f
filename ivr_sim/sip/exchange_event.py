"""What an exchange tells whoever watches it; never a body, never a password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ivr_sim.sip.address import Address

__all__ = [
    "Admitted",
    "BanEnded",
    "CallRouted",
    "Challenged",
    "ExchangeEvent",
    "HostHeard",
    "LineLost",
    "LineSilent",
    "MessageRefused",
    "Refused",
    "Registered",
    "SourceBanned",
    "TlsTried",
    "TurnedAway",
    "Unregistered",
]


@dataclass(frozen=True, kw_only=True)
class ExchangeEvent:
    """Something that happened at the exchange."""


@dataclass(frozen=True, kw_only=True)
class HostHeard(ExchangeEvent):
    """The first datagram of a host, whatever it holds; of so many hosts that a flood ends."""

    host: str


@dataclass(frozen=True, kw_only=True)
class Registered(ExchangeEvent):
    """A phone registered or renewed; ``expires_in`` seconds."""

    user: str
    contact: str
    source: Address
    expires_in: float
    user_agent: str | None = None


@dataclass(frozen=True, kw_only=True)
class Unregistered(ExchangeEvent):
    """A phone took back a contact."""

    user: str
    contact: str


@dataclass(frozen=True, kw_only=True)
class Challenged(ExchangeEvent):
    """Credentials were asked for, by which a REGISTER or INVITE goes on.

    user: whose phone it is, as it says. realm: that of the credentials it gave, which are for somewhere else.
    """

    method: str
    user: str
    source: Address
    realm: str | None = None


@dataclass(frozen=True, kw_only=True)
class Admitted(ExchangeEvent):
    """The credentials of a REGISTER or INVITE are right; what it asked for is done. user: whose they are."""

    method: str
    user: str
    source: Address


@dataclass(frozen=True, kw_only=True)
class Refused(ExchangeEvent):
    """Credentials that were refused; cause: unknown_user, wrong_password, malformed, other_user, ...

    user: the name in the credentials, if any; account: whose phone it is, as it says.
    """

    method: str
    user: str | None
    source: Address
    status: int
    cause: str
    account: str = ""


@dataclass(frozen=True, kw_only=True)
class TurnedAway(ExchangeEvent):
    """A REGISTER or INVITE that leads nowhere here; cause: domain (not ours), absent (nobody registered).

    user: whose phone it is, as it says. uri_user, domain: what the Request-URI or, of a REGISTER, To names.
    """

    method: str
    user: str
    uri_user: str
    domain: str
    source: Address
    status: int
    cause: Literal["domain", "absent"]


@dataclass(frozen=True, kw_only=True)
class CallRouted(ExchangeEvent):
    """An INVITE goes to a phone or line; ``contact`` is the first that is tried, ``source`` the caller's."""

    call_id: str
    caller: str
    source: Address
    dialled: str
    user: str
    contact: str


@dataclass(frozen=True, kw_only=True)
class LineLost(ExchangeEvent):
    """A line is gone: its contacts are forgotten, and its answered calls (Call-IDs) were ended for it."""

    user: str
    contacts: tuple[str, ...]
    calls: tuple[str, ...]


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


@dataclass(frozen=True, kw_only=True)
class TlsTried(ExchangeEvent):
    """A phone began to speak TLS on a port of ours where it is not spoken."""

    source: Address
    port: int


@dataclass(frozen=True, kw_only=True)
class SourceBanned(ExchangeEvent):
    """What comes from a source is not read any more; until: on the reactor's clock, ``seconds`` from now.

    source: a host, or a network of IPv6. reason: flood, no_sip, domain, or the cause of a ``Refused``.
    """

    source: str
    reason: str
    until: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class BanEnded(ExchangeEvent):
    """A source is listened to again."""

    source: str
