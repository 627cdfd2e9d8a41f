"""What goes over the wire: the request's body read strictly, the replies written exactly.

Guide, "Request sent by Openpay IVR" (L117-134) and "Service response" (L136-166). Every reply has one shape:
a ``response_code``, which is 0 for a payable key only, and a ``description``; an error's body carries its
HTTP status as the code, so that nobody can take it for a success.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from .errors import AuthorizerError
from .keys import PaymentKey, State

__all__ = ["MAX_BODY", "BadRequest", "describe", "read_request", "write_error", "write_reply"]

MAX_BODY = 4096  # bytes; the guide's request has 25

# The guide shows 1, "Clave de pago inválida" (L157-162). The IVR speaks these to the payer.
REFUSALS: dict[State | None, tuple[int, str]] = {
    None: (1, "Clave de pago inválida"),
    State.EXPIRED: (2, "La clave de pago ya venció"),
    State.PAID: (3, "La clave de pago ya fue pagada"),
    State.CANCELLED: (4, "La clave de pago fue cancelada"),
}

ERRORS: dict[int, str] = {
    400: "Solicitud inválida",
    401: "Credenciales inválidas",
    404: "No existe este servicio",
    405: "Método no permitido",
    411: "Falta Content-Length",
    413: "Solicitud demasiado grande",
    415: "El contenido debe ser application/json",
    500: "Error interno",
    503: "Servicio no disponible por el momento",
}


class BadRequest(AuthorizerError):
    """A body that is not the guide's; the message, in Spanish, is safe to send back."""


class _Number(str):
    """The text of a JSON integer as it stood in the body: it needs no arithmetic, and has no bound."""

    __slots__ = ()


class _Fraction:
    """A JSON number with a fraction or an exponent: 123456.0 is not how a key is written."""

    def __init__(self, text: str) -> None:
        del text


def read_request(body: bytes) -> str:
    """The payment key asked for, as 1 to 12 digits.

    body: UTF-8 JSON, one object with ``ivr_key``: a number as in the guide, or the same digits as a string
    (Openpay's own SDKs type the field so). A byte order mark is skipped, other fields are ignored. Names
    given twice, NaN, fractions, signs, booleans and longer numbers are refused. Raises BadRequest.
    """
    try:
        document = json.loads(
            body.decode("utf-8-sig"),
            parse_int=_Number,
            parse_float=_Fraction,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError:
        raise BadRequest("El cuerpo no está en UTF-8") from None
    except (ValueError, RecursionError):  # not JSON, or nested deeper than the parser goes
        raise BadRequest("El cuerpo no es JSON válido") from None
    if not isinstance(document, dict):
        raise BadRequest("El cuerpo debe ser un objeto JSON")
    if "ivr_key" not in document:
        raise BadRequest("Falta ivr_key")
    key = document["ivr_key"]
    if not isinstance(key, str) or not re.fullmatch("[0-9]{1,12}", key):
        raise BadRequest("ivr_key debe ser un número entero de 1 a 12 dígitos")
    return str(key)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity, which Python would take and JSON does not have


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # RFC 8259 section 4: which of the two wins is anybody's guess
        raise ValueError("a name is given twice")
    return found


def write_reply(payment_key: PaymentKey | None) -> bytes:
    """The answer to a lookup, sent with HTTP 200: the charge of a live key, or why there is none.

    The amount is a JSON number with exactly two decimals, written from the decimal, never from a float.
    """
    if payment_key is None or payment_key.state is not State.LIVE:
        code, description = REFUSALS[payment_key.state if payment_key else None]
        return _dump({"response_code": code, "description": description})
    description, order_id = (
        json.dumps(text, ensure_ascii=False) for text in (payment_key.description, payment_key.order_id)
    )
    return (
        f'{{"response_code": 0, "amount": {payment_key.amount:.2f}, '
        f'"description": {description}, "order_id": {order_id}}}'
    ).encode()


def describe(status: int) -> str:
    """What an HTTP status means, in Spanish."""
    return ERRORS.get(status) or ERRORS[500 if status >= 500 else 400]


def write_error(status: int, description: str | None = None) -> bytes:
    """The body of an HTTP error: its status as the code, never an amount."""
    return _dump({"response_code": status, "description": description or describe(status)})


def _dump(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
