"""Openpay's objects as the API writes them: what is asked, and what is answered.

Requests are checked as strictly as Openpay checks them and unknown fields are ignored. Replies leave out
the keys that Openpay leaves out (``error_code`` but on a failed charge, ``payment_method`` but on a
charge that waits for the payer, ...), and are read back leniently: amounts with any number of decimals,
missing keys as None.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic_core import PydanticCustomError

__all__ = [
    "MAX_AMOUNT",
    "Address",
    "Charge",
    "ChargeCard",
    "ChargeRequest",
    "Customer",
    "CustomerData",
    "Fee",
    "PaymentMethod",
    "Token",
    "TokenCard",
    "TokenRequest",
]

MAX_AMOUNT = Decimal("999999999.99")
_CENT = Decimal("0.01")
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")

# What a charge's status can be (reference, "common objects"); replies write it in lower case.
Status = Literal[
    "in_progress",
    "completed",
    "refunded",
    "chargeback_pending",
    "chargeback_accepted",
    "chargeback_adjustment",
    "charge_pending",
    "cancelled",
    "failed",
]


def _asked_amount(value: object) -> Decimal:
    """An amount in pesos, as a number or (as some SDKs send it) a string of digits."""
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise PydanticCustomError("amount", "must be a number")
    amount = Decimal(value)
    if not 0 < amount <= MAX_AMOUNT:
        raise PydanticCustomError("amount", "must be greater than 0 and at most 999999999.99")
    if amount != amount.quantize(_CENT):
        raise PydanticCustomError("decimals", "must have at most two decimals")
    return amount.quantize(_CENT)


def _read_amount(value: Decimal) -> Decimal:
    if not abs(value) < 10**12:
        raise PydanticCustomError("amount", "is not an amount")
    return value.quantize(_CENT)


def _text(value: str) -> str:
    if "\x00" in value:  # no database keeps it, and no name has it
        raise PydanticCustomError("text", "must not hold a NUL")
    if any("\ud800" <= sign <= "\udfff" for sign in value):  # half a sign: nobody could be answered with it
        raise PydanticCustomError("text", "must not hold a lone surrogate")
    return value


def _secret(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _confirm(value: object) -> object:
    """The SDKs send true, "true", false, "false" and "ivr", in any case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


Amount = Annotated[Decimal, BeforeValidator(_asked_amount)]
Money = Annotated[Decimal, AfterValidator(_read_amount)]
Text = Annotated[str, AfterValidator(_text)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]


class _Object(BaseModel):
    model_config = ConfigDict(
        extra="ignore", frozen=True, hide_input_in_errors=True, coerce_numbers_to_str=True
    )

    # Keys that are left out of the JSON rather than written as null.
    omitted_if_null: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _leave_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {k: v for k, v in written.items() if v is not None or k not in self.omitted_if_null}

    def as_json(self) -> dict[str, Any]:
        """The object with JSON's structure; Decimals and datetimes are left to ``wire.dumps``."""
        return self.model_dump()


# ------------------------------------------------------------------------------------------- requests


class Address(_Object):
    """A postal address, both asked and answered."""

    line1: Text | None = Field(None, max_length=250)
    line2: Text | None = Field(None, max_length=250)
    line3: Text | None = Field(None, max_length=250)
    postal_code: Text | None = Field(None, max_length=20)
    state: Text | None = Field(None, max_length=100)
    city: Text | None = Field(None, max_length=100)
    country_code: Text | None = Field(None, max_length=2)


class TokenRequest(_Object):
    """POST /tokens. Number and CVV are masked in everything this object can be turned into."""

    card_number: Secret
    holder_name: Text = Field(min_length=1, max_length=80)
    expiration_month: str = Field(pattern=r"^([1-9]|0[1-9]|1[0-2])$")
    expiration_year: str = Field(pattern=r"^[0-9]{2}$")
    cvv2: Secret | None = None
    address: Address | None = None


class CustomerData(_Object):
    """The customer of a charge, inline: nothing is kept of it but with the charge."""

    name: Text = Field(min_length=1, max_length=100)
    last_name: Text | None = Field(None, max_length=100)
    email: Text = Field(max_length=100, pattern=r"^[^@\s]+@[^@\s]+$")
    phone_number: Text | None = Field(None, max_length=100)
    address: Address | None = None
    external_id: Text | None = Field(None, max_length=100)


class ChargeRequest(_Object):
    """POST /charges: by token (``source_id``), or to be paid by telephone (``confirm`` "ivr")."""

    method: Literal["card"]
    amount: Amount
    description: Text = Field(min_length=1, max_length=250)
    currency: Annotated[Literal["MXN", "USD"], BeforeValidator(_upper)] = "MXN"
    order_id: Text | None = Field(None, min_length=1, max_length=100)
    source_id: Text | None = Field(None, max_length=45)
    confirm: Annotated[Literal["true", "false", "ivr"], BeforeValidator(_confirm)] = "true"
    customer: CustomerData | None = None
    metadata: dict[Text, Text] | None = None


# -------------------------------------------------------------------------------------------- replies


class TokenCard(_Object):
    """The card behind a token; the number masked but for its first six and last four digits."""

    card_number: str
    holder_name: str | None = None
    expiration_year: str | None = None
    expiration_month: str | None = None
    address: Address | None = None
    creation_date: datetime | None = None
    brand: str | None = None


class Token(_Object):
    """What stands for a card in one charge."""

    id: str
    card: TokenCard


class Customer(_Object):
    """A customer as it stands in a charge."""

    name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone_number: str | None = None
    address: Address | None = None
    creation_date: datetime | None = None
    external_id: str | None = None
    clabe: str | None = None


class ChargeCard(_Object):
    """The card of a charge by token: no id, the number masked."""

    type: str | None = None
    brand: str | None = None
    address: Address | None = None
    card_number: str
    holder_name: str | None = None
    expiration_year: str | None = None
    expiration_month: str | None = None
    allows_charges: bool | None = None
    allows_payouts: bool | None = None
    bank_name: str | None = None
    bank_code: str | None = None


class PaymentMethod(_Object):
    """How a pending charge is paid; of type ``ivr``: the number to call and the payment key."""

    omitted_if_null = frozenset({"phone_number", "ivr_key", "attempts", "url"})

    type: str
    phone_number: str | None = None
    ivr_key: int | None = None
    attempts: int | None = None
    url: str | None = None


class Fee(_Object):
    """Openpay's commission on a completed charge, and the VAT on it (up to four decimals)."""

    amount: Decimal
    tax: Decimal
    currency: str | None = None


class Charge(_Object):
    """A charge, as POST, GET and lists answer it."""

    omitted_if_null = frozenset(
        {"error_code", "due_date", "payment_method", "card", "customer", "fee", "metadata"}
    )

    id: str
    authorization: str | None = None
    operation_type: str = "in"
    transaction_type: str = "charge"
    status: Status
    conciliated: bool | None = False
    creation_date: datetime | None = None
    operation_date: datetime | None = None
    description: str | None = None
    error_message: str | None = None
    error_code: int | None = None
    order_id: str | None = None
    due_date: datetime | None = None
    payment_method: PaymentMethod | None = None
    amount: Money
    currency: str = "MXN"
    customer: Customer | None = None
    card: ChargeCard | None = None
    fee: Fee | None = None
    metadata: dict[str, Any] | None = None
    method: str | None = None
