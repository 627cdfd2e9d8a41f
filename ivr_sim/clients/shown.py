"""What of a request and its reply may be written down, for each thing that the IVR asks.

    what is asked        of the request                  of the reply
    a payment key        all but the key                 text, without whatever repeats the key
    a token              nothing: it is about a card     nothing: it is about a card
    charges              all but the token               the fields that are known to be harmless

What is not known to be harmless is left out, so that a service which repeats what it was sent, or answers
with what nobody expects, shows nothing by that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ivr_sim.http_exchange import NOT_SHOWN, PAYMENT_KEY, HttpExchange
from ivr_sim.logs import redacted
from ivr_sim.openpay import wire

__all__ = ["HIDDEN", "Shown", "for_charge", "for_key", "for_token", "harmless_headers", "told"]

MAX_SHOWN = 4096  # characters
LOOKED_AT = 2 * MAX_SHOWN
CARD = "(about a card, not shown)"
TELLING = 6  # digits in a row that tell something of a number

# Openpay's charge and error objects; what is not named here is not shown.
HARMLESS = frozenset(
    (
        "id", "amount", "currency", "authorization", "method", "operation_type", "transaction_type", "status",
        "conciliated", "creation_date", "operation_date", "due_date", "description", "order_id", "metadata",
        "error_code", "error_message", "category", "http_code", "request_id", "fraud_rules", "fee",
    )
)  # fmt: skip
HEADERS = ("content-type", "content-length", "server", "date", "retry-after", "location", "www-authenticate")

_RUN = re.compile(r"[0-9](?:[^0-9A-Za-z]{0,4}[0-9])*")
_MASKED = re.compile(r"[0-9]{4,6}[xX*•#]{2,}[0-9]{0,4}|[xX*•#]{4,}[0-9]{2,4}")
_ESCAPE = re.compile(r"\\u00([2-7][0-9a-fA-F])")


@dataclass(frozen=True)
class Shown:
    """What may be written down of one exchange: ``sent`` of the request's body, and ``reply(body)``."""

    service: str
    sent: str
    reply: Callable[[bytes], str]
    with_query: bool = True  # of the URL: a merchant's may hold a secret


def for_key(key: str) -> Shown:
    """Of a look-up: neither the key, nor six digits in a row of it, wherever they stand in the reply."""
    return Shown(
        "authorizer",
        f'{{"ivr_key": {PAYMENT_KEY}}}',
        lambda body: _fit(body, lambda text: _without(key, text)),
        with_query=False,
    )


def for_token() -> Shown:
    """Of the request that carries a card: nothing."""
    return Shown("openpay", "(card, not shown)", lambda body: f"{CARD}: {len(body)} bytes" if body else "")


def for_charge(asked: Mapping[str, object] | None = None) -> Shown:
    """Of a charge that is made or asked about; ``asked``: the request's object."""
    sent = "" if asked is None else wire.dumps(_charge(asked))
    return Shown("openpay", sent[:MAX_SHOWN], _charges)


HIDDEN = Shown("http", NOT_SHOWN, lambda body: f"{NOT_SHOWN}: {len(body)} bytes" if body else "")


def told(
    shown: Shown,
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    basic: bool,
    length: int | None,
    status: int | None,
    reply_headers: Mapping[str, str],
    reply: bytes,
    cause: str | None,
    ms: Sequence[int | None],
) -> HttpExchange:
    """An exchange as it may be written down.

    basic: whether it carried credentials; length: of the request's body; ms: to the connection, to the
    head of the reply, to the end.
    """
    sent = dict(headers)
    if basic:
        sent["Authorization"] = f"Basic {NOT_SHOWN}"
    if length is not None:
        sent["Content-Length"] = str(length)
    path, query, _ = url.partition("?")
    return HttpExchange(
        service=shown.service,
        method=method,
        url=url if shown.with_query or not query else f"{path}?{NOT_SHOWN}",
        sent_headers=sent,
        sent=shown.sent,
        status=status,
        headers=harmless_headers(reply_headers),
        reply=shown.reply(reply),
        cause=cause,
        ms=ms[2] or 0,
        connected_ms=ms[0],
        first_byte_ms=ms[1],
    )


def harmless_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a reply that help to understand it, without long numbers."""
    return {
        name: _plain(_without_numbers(headers[name]))[:200] if name != "date" else headers[name][:40]
        for name in HEADERS
        if name in headers
    }


def _fit(body: bytes, clean: Callable[[str], str]) -> str:
    """A body as text: a part of it, cleaned, on which what was cut off has no bearing."""
    text = body.decode("utf-8", "replace")
    if len(text) > LOOKED_AT:
        text = re.sub(r"[^A-Za-z]*\Z", "", text[:LOOKED_AT])  # no number is cut in two
    text = clean(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text))
    text = _plain(_MASKED.sub(NOT_SHOWN, redacted(text)))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}\n(cut: {len(body)} bytes in all)"


def _plain(text: str) -> str:
    """Printable text: what a service sent must not steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _without(key: str, text: str) -> str:
    """Text without numbers that have six digits in a row of the key (a short key: all of them)."""
    size = min(len(key), TELLING)
    parts = {key[n : n + size] for n in range(len(key) - size + 1)}

    def hide(match: re.Match[str]) -> str:
        digits = re.sub(r"[^0-9]", "", match.group())
        return (
            PAYMENT_KEY if any(digits[n : n + size] in parts for n in range(len(digits))) else match.group()
        )

    return _RUN.sub(hide, text)


def _without_numbers(text: str) -> str:
    return _RUN.sub(
        lambda match: NOT_SHOWN if sum(c.isdigit() for c in match.group()) >= TELLING else match.group(), text
    )


def _charges(body: bytes) -> str:
    """Charges, or an error, as Openpay answers them."""
    try:
        read = wire.loads(body)
    except ValueError:
        return _fit(body, _without_numbers)
    if isinstance(read, list):
        kept: object = [_charge(item) if isinstance(item, dict) else NOT_SHOWN for item in read[:20]]
    else:
        kept = _charge(read) if isinstance(read, dict) else NOT_SHOWN
    text = _plain(_MASKED.sub(NOT_SHOWN, redacted(wire.dumps(kept))))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}\n(cut: {len(body)} bytes in all)"


def _charge(read: Mapping[str, object]) -> dict[str, object]:
    return {name: _value(value) if name in HARMLESS else NOT_SHOWN for name, value in read.items()}


def _value(value: object) -> object:
    match value:
        case Mapping():
            return {str(k): v if isinstance(v, str | bool | int | None) else str(v) for k, v in value.items()}
        case list():
            return [str(item) for item in value]
        case Decimal() if abs(value.adjusted()) > 15:
            return str(value)
    return value
