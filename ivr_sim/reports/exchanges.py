"""The HTTP exchanges of one call, with the authorizer and with Openpay, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ivr_sim.http_exchange import PAYMENT_KEY, HttpExchange

__all__ = ["MADE", "exchanges_text"]

WHY = {
    "dns": "the host's name could not be resolved",
    "connect": "no connection to the host",
    "tls": "no trustworthy TLS connection",
    "timeout": "no whole reply in time",
    "broken": "the connection broke, or what came was not HTTP",
    "too_large": "the reply was too large",
    "cancelled": "it was given up: nobody waited any longer",
}
MADE = "The IVR made no HTTP request in this call.\n"


def exchanges_text(
    exchanges: Sequence[tuple[float | None, HttpExchange]], *, zero_is: str, keys: Sequence[str | None]
) -> str:
    """Each exchange with the second in which it began.

    zero_is: what happened at 0, in words. keys: of each look-up at the authorizer, in order, the payment
    key where it was published, else None.
    """
    if not exchanges:
        return MADE
    parts = [f"HTTP requests of the IVR. Times in seconds; 0 is {zero_is}."]
    published = iter(keys)
    for n, (start, exchange) in enumerate(exchanges, 1):
        key = next(published, None) if exchange.service == "authorizer" else None
        parts.append(_one(n, start, exchange, key))
    return "\n\n".join(parts) + "\n"


def _one(n: int, start: float | None, exchange: HttpExchange, key: str | None) -> str:
    when = "" if start is None else f"{start:.3f} s: "
    lines = [
        f"--- {n}: {when}{exchange.service}, {_result(exchange)} ---",
        f"{exchange.method} {exchange.url}",
    ]
    lines += [f"{name}: {value}" for name, value in exchange.sent_headers.items()]
    if exchange.sent:
        hidden = key is None and PAYMENT_KEY in exchange.sent
        lines += [
            "",
            _filled(exchange.sent, key) + ("   <- not shown: it could be a card's" if hidden else ""),
        ]
    lines += ["", f"    {_phases(exchange)}", ""]
    if exchange.status is not None:
        lines.append(f"HTTP {exchange.status}")
        lines += [f"{name}: {value}" for name, value in exchange.headers.items()]
        if exchange.reply:
            lines += ["", exchange.reply]
    if exchange.cause is not None:
        lines.append(f"({WHY.get(exchange.cause, exchange.cause)})")
    return "\n".join(lines)


def _filled(text: str, key: str | None) -> str:
    return text if key is None else text.replace(PAYMENT_KEY, key)


def _result(exchange: HttpExchange) -> str:
    if exchange.cause is not None:
        return f"{exchange.cause} after {exchange.ms} ms"
    return f"HTTP {exchange.status} in {exchange.ms} ms"


def _phases(exchange: HttpExchange) -> str:
    """How long each part took: name and connection, request and thinking (with TLS), reply."""
    connected, headed, end = exchange.connected_ms, exchange.first_byte_ms, exchange.ms
    parts = []
    if connected is not None:
        parts.append(f"connected after {connected} ms")
    if headed is not None:
        parts.append(f"reply begins after {headed} ms")
    parts.append(f"{'given up' if exchange.cause else 'all of it'} after {end} ms")
    return ", ".join(parts)
