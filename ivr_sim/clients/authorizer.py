"""How the IVR asks the merchant's authorizer what a payment key stands for.

The request is the one of Openpay's guide ("Service to authorize IVR payments"): POST, HTTP Basic,
``{"ivr_key": 123456}``, and 5 seconds for all of it. Where the guide shows a form, the reply must have
it; the order of keys, more keys, white space and other headers are the merchant's own affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import urlsplit

from ivr_sim.clients.http import Body, Credentials, HttpClient, HttpFailed, Reply, checked_url
from ivr_sim.clients.shown import for_key
from ivr_sim.dialogue.services import AuthorizerFailed, Payable, PaymentKeys, Refusal
from ivr_sim.errors import ConfigurationError, LocalProtocolError
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.openpay import wire
from ivr_sim.openpay.models import MAX_AMOUNT

__all__ = ["AuthorizerClient"]

_KEY = re.compile(r"[1-9][0-9]{3,11}")
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")  # half a UTF-16 pair has no UTF-8, NUL no place in SQL
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
# What the charge that follows can take of an order: Openpay's reference, "Create a charge".
MAX_DESCRIPTION = 250
MAX_ORDER_ID = 100
MAX_CODE = 2**31 - 1


class AuthorizerClient(PaymentKeys):
    """Asks one authorizer.

    url, user, password: as the merchant registered them. timeout: seconds from before DNS to the last
    byte of the body. mode: ``production`` wants https; a certificate is verified in either. agent: an
    IAgent instead of Twisted's own. on_exchange: ``HttpClient``'s. Raises ConfigurationError for what
    cannot work.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        user: str,
        password: str,
        *,
        timeout: float = 5.0,
        mode: Literal["sandbox", "production"] = "sandbox",
        agent: Any = None,
        on_exchange: Callable[[HttpExchange], None] | None = None,
    ) -> None:
        self._url = checked_url(url, "the authorizer's")
        if mode == "production" and urlsplit(url).scheme != "https":
            raise ConfigurationError("in production the authorizer's URL must begin with https://")
        self._credentials = Credentials(user, password)
        self._http = HttpClient(reactor, timeout=timeout, agent=agent, on_exchange=on_exchange)

    async def look_up(self, key: str) -> Payable | Refusal:
        """Ask for one payment key: 4 to 12 digits, no leading zero, sent as a number.

        Raises AuthorizerFailed with the one cause that fits; LocalProtocolError for another key.
        """
        if not _KEY.fullmatch(key):
            raise LocalProtocolError("a payment key is 4 to 12 digits and does not begin with 0")
        try:
            reply = await self._http.request(
                "POST",
                self._url,
                headers=_HEADERS,
                credentials=self._credentials,
                body=Body(f'{{"ivr_key": {key}}}'),
                shown=for_key(key),
            )
        except HttpFailed as failed:
            raise _unreached(failed) from None
        return _understood(key, reply)


def _unreached(failed: HttpFailed) -> AuthorizerFailed:
    match failed.cause:
        case "too_large":
            cause: Literal["dns", "connect", "tls", "timeout", "not_json"] = "not_json"
        case "broken":
            # A connection lost halfway has no cause of its own in the journal; the detail tells.
            cause = "connect"
        case other:
            cause = other
    return AuthorizerFailed(cause, status=failed.status, ms=failed.ms, detail=str(failed))


def _understood(key: str, reply: Reply) -> Payable | Refusal:
    if reply.status != 200:
        raise AuthorizerFailed("status", status=reply.status, ms=reply.ms, detail=f"HTTP {reply.status}")
    try:
        read = wire.loads(reply.body)
    except ValueError as wrong:
        raise AuthorizerFailed("not_json", status=200, ms=reply.ms, detail=str(wrong)) from None
    try:
        return _answer(key, read, reply.ms)
    except _BadField as bad:
        raise AuthorizerFailed("bad_fields", status=200, ms=reply.ms, detail=str(bad)) from None


class _BadField(Exception):
    """What is wrong with which field."""


def _answer(key: str, read: object, ms: int) -> Payable | Refusal:
    if not isinstance(read, dict):
        raise _BadField("the reply is not an object")
    code = read.get("response_code")
    if not isinstance(code, int) or isinstance(code, bool) or abs(code) > MAX_CODE:
        raise _BadField("response_code is not an integer" if "response_code" in read else "no response_code")
    if code != 0:
        # That the key is refused is clear without words; the payer then hears ours.
        said = read.get("description")
        if said is not None and not isinstance(said, str):
            raise _BadField("description is not a string")
        return Refusal(code=code, description=_without(key, _UNWRITABLE.sub("", said or "")), ms=ms)
    return Payable(
        key=key,
        amount=_amount(read),
        order_id=_text(read, "order_id", MAX_ORDER_ID),
        description=_text(read, "description", MAX_DESCRIPTION),
        ms=ms,
    )


def _without(key: str, said: str) -> str:
    """A refusal that does not repeat the key: a caller may have keyed a card where the key was asked for."""
    return re.sub(r"[\s.,-]*".join(key), "", said)


def _amount(read: dict[str, object]) -> Decimal:
    amount = read.get("amount")
    if not isinstance(amount, int | Decimal) or isinstance(amount, bool):
        raise _BadField("amount is not a number" if "amount" in read else "no amount")
    amount = Decimal(amount)
    if not 0 < amount <= MAX_AMOUNT:
        raise _BadField("amount is not above 0 and at most 999999999.99")
    if amount != amount.quantize(Decimal("0.01")):
        raise _BadField("amount has more than two decimals")
    return amount.quantize(Decimal("0.01"))


def _text(read: dict[str, object], name: str, longest: int) -> str:
    value = read.get(name)
    if not isinstance(value, str):
        raise _BadField(f"{name} is not a string" if name in read else f"no {name}")
    if not value.strip():
        raise _BadField(f"{name} is empty")
    if len(value) > longest:
        raise _BadField(f"{name} has more than {longest} characters")
    if _UNWRITABLE.search(value):
        raise _BadField(f"{name} holds characters that cannot be written")
    return value
