"""An HTTP exchange with the authorizer or Openpay, as it may be written down: nothing in it is secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["NOT_SHOWN", "PAYMENT_KEY", "HttpExchange"]

NOT_SHOWN = "(not shown)"
# Stands where a payment key was sent: whether it may be shown, the journal's EntryAccepted says later.
PAYMENT_KEY = "(the payment key)"


@dataclass(frozen=True, kw_only=True)
class HttpExchange:
    """One request and what came of it.

    service: authorizer or openpay. sent, reply: the bodies as they may be shown, cut to 4,096 characters.
    cause: why no whole reply came (dns, connect, tls, timeout, broken, too_large, cancelled), or None.
    ms: from before DNS to the end; connected_ms, first_byte_ms: to the TCP connection and to the head of
    the reply, None when it did not come so far.
    """

    service: str
    method: str
    url: str
    sent_headers: Mapping[str, str]
    sent: str
    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    reply: str = ""
    cause: str | None = None
    ms: int = 0
    connected_ms: int | None = None
    first_byte_ms: int | None = None
