"""Openpay's API as the IVR and the merchant use it: tokens, charges, payment keys.

The one place where a card gives its digits away: the body of the request that makes a token of it. They
are put together there and nowhere else, and neither exceptions nor logs can show them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pydantic import TypeAdapter

from ivr_sim.cards import Card
from ivr_sim.clients.http import Body, Credentials, HttpClient, HttpFailed, Reply, checked_url
from ivr_sim.clients.shown import Shown, for_charge, for_token
from ivr_sim.errors import ConfigurationError, IvrSimError
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.openpay import wire
from ivr_sim.openpay.models import Charge, Token

__all__ = ["OpenpayClient", "OpenpayRefused", "OpenpayUnreachable"]

TOKENS = "/tokens"
_TOKEN, _CHARGE, _CHARGES = TypeAdapter(Token), TypeAdapter(Charge), TypeAdapter(list[Charge])
Answered = TypeVar("Answered")


class OpenpayRefused(IvrSimError):
    """Openpay answered, and not with a success.

    error_code: Openpay's, or None when the answer was not an error object. description: Openpay's words,
    but never those about a card: they could repeat it.
    """

    def __init__(
        self, http_status: int, error_code: int | None, description: str = "", *, ms: int = 0
    ) -> None:
        super().__init__(
            f"Openpay refused: HTTP {http_status}, error {error_code or 'unknown'} {description}"
        )
        self.http_status = http_status
        self.error_code = error_code
        self.description = description
        self.ms = ms


class OpenpayUnreachable(IvrSimError):
    """No answer, or none that can be read.

    cause: dns, connect, tls, timeout, broken, too_large or bad_reply. sent: whether the request may have
    reached Openpay, so that what it asked for may have been done.
    """

    def __init__(self, cause: str, *, sent: bool, ms: int = 0) -> None:
        super().__init__(f"no usable answer from Openpay: {cause}")
        self.cause = cause
        self.sent = sent
        self.ms = ms


class OpenpayClient:
    """One merchant's view of the API.

    base_url: up to ``/v1``; only https, but for hosts on loopback, because it carries cards. timeout:
    seconds that each request may take, from before DNS to the last byte. on_exchange: ``HttpClient``'s.
    own: it is the stand-in of this very process, wherever that listens. Every method raises OpenpayRefused
    or OpenpayUnreachable.
    """

    def __init__(
        self,
        reactor: Any,
        base_url: str,
        merchant_id: str,
        private_key: str,
        *,
        timeout: float = 20.0,
        agent: Any = None,
        on_exchange: Callable[[HttpExchange], None] | None = None,
        own: bool = False,
    ) -> None:
        parts = urlsplit(checked_url(base_url, "Openpay's"))
        if parts.scheme != "https" and not own and not _on_loopback(parts.hostname or ""):
            raise ConfigurationError("Openpay's URL must begin with https:// unless it is on loopback")
        self._url = f"{base_url.rstrip('/')}/{quote(merchant_id, safe='')}"
        self._credentials = Credentials(private_key, "")
        self._http = HttpClient(reactor, timeout=timeout, agent=agent, on_exchange=on_exchange)

    async def create_token(self, card: Card, holder_name: str) -> Token:
        """Make a token of a card: good for one charge, whatever comes of it."""
        # No variable holds the digits: a traceback that shows variables must not show them.
        return await self._ask(
            _TOKEN,
            "POST",
            TOKENS,
            Body(
                wire.dumps(
                    {
                        "card_number": card.number.reveal(),
                        "holder_name": holder_name,
                        "expiration_year": f"{card.expiry.year % 100:02}",
                        "expiration_month": f"{card.expiry.month:02}",
                        "cvv2": card.security_code.reveal(),
                    }
                )
            ),
            shown=for_token(),
        )

    async def create_charge(
        self,
        source_id: str,
        amount: Decimal,
        description: str,
        order_id: str,
        *,
        metadata: Mapping[str, str] | None = None,
        currency: str = "MXN",
    ) -> Charge:
        """Charge a token. A charge that is declined is OpenpayRefused."""
        asked: dict[str, object] = {
            "method": "card",
            "source_id": source_id,
            "amount": amount,
            "currency": currency,
            "description": description,
            "order_id": order_id,
        }
        if metadata:
            asked["metadata"] = metadata
        return await self._ask(_CHARGE, "POST", "/charges", Body(wire.dumps(asked)), shown=for_charge(asked))

    async def create_ivr_charge(
        self,
        amount: Decimal,
        description: str,
        order_id: str,
        customer: Mapping[str, object],
        *,
        metadata: Mapping[str, str] | None = None,
        currency: str = "MXN",
    ) -> Charge:
        """Make a charge to be paid by telephone; its ``payment_method`` has the number and the payment key.

        customer: name and email, and if known last_name, phone_number, address.
        """
        asked: dict[str, object] = {
            "method": "card",
            "confirm": "ivr",
            "amount": amount,
            "currency": currency,
            "description": description,
            "order_id": order_id,
            "customer": customer,
        }
        if metadata:
            asked["metadata"] = metadata
        return await self._ask(_CHARGE, "POST", "/charges", Body(wire.dumps(asked)), shown=for_charge(asked))

    async def get_charge(self, charge_id: str) -> Charge:
        """The charge with this id."""
        return await self._ask(_CHARGE, "GET", f"/charges/{quote(charge_id, safe='')}")

    async def list_charges(
        self, *, order_id: str | None = None, limit: int = 10, offset: int = 0
    ) -> list[Charge]:
        """Charges, the newest first; of one order, where given."""
        query = {"limit": str(limit), "offset": str(offset)}
        if order_id is not None:
            query["order_id"] = order_id
        return await self._ask(_CHARGES, "GET", f"/charges?{urlencode(query)}")

    async def _ask(
        self,
        form: TypeAdapter[Answered],
        method: str,
        path: str,
        body: Body | None = None,
        *,
        shown: Shown | None = None,
    ) -> Answered:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            reply = await self._http.request(
                method,
                self._url + path,
                headers=headers,
                credentials=self._credentials,
                body=body,
                shown=shown or for_charge(),
            )
        except HttpFailed as failed:
            raise OpenpayUnreachable(failed.cause, sent=failed.sent, ms=failed.ms) from None
        if not 200 <= reply.status < 300:
            raise _refusal(reply, quoted=path != TOKENS)
        try:
            # No variable holds what was read: a peer may repeat what it was sent.
            return form.validate_python(wire.loads(reply.body))
        except ValueError:  # pydantic's ValidationError is one, too
            pass  # and holds what was read: ours must not have it as its context
        raise OpenpayUnreachable("bad_reply", sent=True, ms=reply.ms)


def _refusal(reply: Reply, *, quoted: bool) -> OpenpayRefused:
    try:
        read = wire.loads(reply.body)
    except ValueError:
        read = None
    error = read if isinstance(read, dict) else {}
    code, words = error.get("error_code"), error.get("description")
    if not isinstance(code, int) or isinstance(code, bool):
        code = None
    return OpenpayRefused(
        reply.status, code, words[:200] if quoted and isinstance(words, str) else "", ms=reply.ms
    )


def _on_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
