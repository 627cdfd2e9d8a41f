"""What goes wrong at the merchant's authorizer and at Openpay, carried out on the way to the real ones.

The services themselves know nothing of it: what they were asked they have done, whatever becomes of their
answers. So the books on both sides can be compared afterwards.
"""

from __future__ import annotations

from typing import Any

from ivr_sim.harness.detour import Detour, Exchange, HttpMessage, Nobody
from ivr_sim.harness.faults import Faults
from ivr_sim.merchant import Way
from ivr_sim.openpay import TEST_CARDS, OpenpayError, wire

__all__ = ["way_to_authorizer", "way_to_openpay"]

DRIP_SECONDS = 0.1  # between two bytes
SOMEBODY = {  # who pays an order by another way
    "card_number": TEST_CARDS[0].number,
    "holder_name": "OTRA PERSONA",
    "expiration_year": "39",
    "expiration_month": "12",
    "cvv2": "123",
}
REQUEST_ID = "00000000-0000-4000-8000-000000000000"  # of answers that no Openpay gave


def way_to_authorizer(reactor: Any, faults: Faults) -> Way | None:
    """The way on which the IVR finds the merchant's authorizer under these faults; None: the straight one."""
    if faults.authorizer == "down":
        return Nobody()
    if faults.authorizer is None and not faults.authorizer_delay:
        return None
    return Detour(reactor, lambda exchange: _ask_authorizer(exchange, faults))


def way_to_openpay(reactor: Any, faults: Faults) -> Way | None:
    """The way on which the IVR finds Openpay under these faults; None: the straight one."""
    if faults.openpay == "down":
        return Nobody()
    if faults.openpay is None and not faults.openpay_delay:
        return None
    return Detour(reactor, lambda exchange: _ask_openpay(exchange, faults))


async def _ask_authorizer(exchange: Exchange, faults: Faults) -> None:
    answer = HttpMessage.parse(await exchange.ask(await exchange.request()))
    await exchange.wait(faults.authorizer_delay)
    match faults.authorizer:
        case "reset":
            exchange.end(how="RST")
            return
        case "dripping":
            for byte in answer.to_bytes():
                exchange.send(bytes([byte]))
                await exchange.wait(DRIP_SECONDS)
        case "500":
            page = b"<!doctype html><title>500</title><h1>Internal Server Error</h1>"
            answer = HttpMessage.answer(500, "Internal Server Error", "text/html; charset=utf-8", page)
        case "wrong_type":
            answer = answer.with_header("Content-Type", "text/html; charset=utf-8")
        case "bad_json":
            answer = answer.with_body(answer.body[: len(answer.body) // 2])
        case "wrong_amount_type":
            read: Any = wire.loads(answer.body)
            read = {name: str(value) if name == "amount" else value for name, value in read.items()}
            answer = answer.with_body(wire.dumps(read).encode())
    exchange.end(answer.to_bytes() if faults.authorizer != "dripping" else b"")


async def _ask_openpay(exchange: Exchange, faults: Faults) -> None:
    request = await exchange.request()
    asked = HttpMessage.parse(request)
    if asked.method == "POST" and asked.path.endswith("/tokens") and faults.declined_with is not None:
        request = _with_card_that_is_declined(asked, faults.declined_with).to_bytes()
    if not (asked.method == "POST" and asked.path.endswith("/charges")):
        exchange.end(await exchange.ask(request))
        return
    answer = b""
    match faults.openpay:
        case "5xx":
            answer = _error(1004)
        case "5xx_charged":
            await exchange.ask(request)
            answer = _error(1015)
        case "twice":
            await exchange.ask(request)
            answer = await exchange.ask(request)
        case "duplicate_order":
            await _pay_by_another(exchange, asked)
            answer = await exchange.ask(request)
        case _:
            answer = await exchange.ask(request)
    await exchange.wait(faults.openpay_delay)
    if faults.openpay == "lost_answer":
        exchange.end(how="RST")
    else:
        exchange.end(answer)


def _with_card_that_is_declined(token: HttpMessage, code: int) -> HttpMessage:
    """The request for a token of a card that the bank declines so, instead of the test card in it."""
    card: Any = wire.loads(token.body)
    if card.get("card_number") not in {listed.number for listed in TEST_CARDS}:
        return token
    declined = next(listed for listed in TEST_CARDS if listed.error_code == code)
    return token.with_body(wire.dumps({**card, "card_number": declined.number, "cvv2": "123"}).encode())


async def _pay_by_another(exchange: Exchange, charge: HttpMessage) -> None:
    """Have the order paid with somebody else's card, as the merchant's web shop might do just now."""
    asked: Any = wire.loads(charge.body)
    tokens = charge.start.replace(b"/charges ", b"/tokens ", 1)
    token = HttpMessage(tokens, charge.headers, b"").with_body(wire.dumps(SOMEBODY).encode())
    made: Any = wire.loads(HttpMessage.parse(await exchange.ask(token.to_bytes())).body)
    other = {name: value for name, value in asked.items() if name != "metadata"} | {"source_id": made["id"]}
    await exchange.ask(charge.with_body(wire.dumps(other).encode()).to_bytes())


def _error(code: int) -> bytes:
    error = OpenpayError(code)
    body = wire.dumps(error.as_json(REQUEST_ID)).encode()
    return HttpMessage.answer(error.http, "Error", "application/json", body).to_bytes()
