"""Openpay's errors: each code with its HTTP status, category and text, and the exception that carries one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ivr_sim.errors import IvrSimError

__all__ = ["ERRORS", "Category", "ErrorKind", "OpenpayError", "is_card_error"]

Category = Literal["request", "gateway", "internal"]


@dataclass(frozen=True)
class ErrorKind:
    """One row of the table. ``ours``: the HTTP status is not documented and was chosen here."""

    code: int
    http: int
    category: Category
    text: str
    ours: bool = False


# Openpay's API reference, "Errors" (code, HTTP status, meaning). category: request = the caller's fault,
# gateway = card or bank, internal = Openpay. Texts are those of live replies where one is known.
ERRORS: dict[int, ErrorKind] = {
    kind.code: kind
    for kind in (
        ErrorKind(1000, 500, "internal", "Internal server error, contact support"),
        ErrorKind(1001, 400, "request", "Bad Request"),
        ErrorKind(1002, 401, "request", "The api key or merchant id are invalid"),
        ErrorKind(1003, 422, "request", "Parameters look valid but request failed"),
        ErrorKind(
            1004, 503, "internal", "The resource is unavailable at this moment. Please try again later"
        ),
        ErrorKind(1005, 404, "request", "The requested resource doesn't exist"),
        ErrorKind(1006, 409, "request", "The order_id has already been processed"),
        ErrorKind(1007, 402, "gateway", "Operation rejected by processor"),
        ErrorKind(1008, 423, "request", "The account is inactive"),
        ErrorKind(1009, 413, "request", "The request is too large"),
        ErrorKind(1010, 403, "request", "Method not allowed for public API key, use private key instead"),
        ErrorKind(1013, 412, "request", "The operation is not allowed on the resource", ours=True),
        ErrorKind(1015, 504, "gateway", "Could not get any response from gateway", ours=True),
        ErrorKind(1017, 503, "gateway", "The payment gateway is not available at the moment", ours=True),
        ErrorKind(1018, 412, "request", "The number of retries of charge is greater than allowed", ours=True),
        ErrorKind(
            1020, 400, "request", "The number of decimal digits is not valid for this currency", ours=True
        ),
        ErrorKind(2004, 422, "request", "The card number verification digit is invalid"),
        ErrorKind(2005, 400, "request", "The expiration date has expired"),
        ErrorKind(2006, 400, "request", "The CVV2 security code is required"),
        ErrorKind(2007, 412, "request", "The card number is only valid in sandbox"),
        ErrorKind(2008, 412, "request", "The card is not valid for points"),
        ErrorKind(2009, 412, "request", "The CVV2 security code is invalid"),
        ErrorKind(2010, 402, "gateway", "3D Secure authentication failed", ours=True),
        ErrorKind(2011, 412, "request", "Card product type not supported", ours=True),
        ErrorKind(3001, 402, "gateway", "The card was declined"),
        ErrorKind(3002, 402, "gateway", "The card has expired"),
        ErrorKind(3003, 402, "gateway", "The card doesn't have sufficient funds"),
        ErrorKind(3004, 402, "gateway", "The card was reported as stolen"),
        ErrorKind(3005, 402, "gateway", "Fraud risk detected by anti-fraud system"),
        ErrorKind(3006, 412, "gateway", "Request not allowed"),
        ErrorKind(3008, 412, "gateway", "The card is not supported on online transactions"),
        ErrorKind(3009, 402, "gateway", "The card was reported as lost"),
        ErrorKind(3010, 402, "gateway", "The bank has restricted the card"),
        ErrorKind(3011, 402, "gateway", "The bank has requested the card to be retained"),
        ErrorKind(3012, 412, "gateway", "Bank authorization is required for this charge"),
    )
}


def is_card_error(code: int | None) -> bool:
    """Whether a code says that this card was refused and nothing was charged: 1007, 2004-2011, 3xxx."""
    return code is not None and (code == 1007 or 2004 <= code <= 2011 or 3000 <= code <= 3999)


class OpenpayError(IvrSimError):
    """An answer of the API that is not a success.

    description: instead of the table's text; http: instead of the table's status. Neither ever repeats
    what the request held.
    """

    def __init__(self, code: int, description: str | None = None, *, http: int | None = None) -> None:
        self.kind = ERRORS[code]
        self.code = code
        self.http = http or self.kind.http
        self.description = description or self.kind.text
        super().__init__(f"{code}: {self.description}")

    def as_json(self, request_id: str) -> dict[str, object]:
        """The error object of the API; ``request_id`` is a UUID."""
        return {
            "category": self.kind.category,
            "description": self.description,
            "http_code": self.http,
            "error_code": self.code,
            "request_id": request_id,
        }
