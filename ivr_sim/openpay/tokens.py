"""Tokens: a card goes in, and what comes out stands for it in one charge.

The number is looked at once, here. What is kept of it is the name of the test card that it belongs to,
which tells all the rest: what the bank will say, and what the API shows.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from datetime import datetime

from ivr_sim.cards import brand_of, luhn
from ivr_sim.openpay.bank import card_of
from ivr_sim.openpay.errors import OpenpayError
from ivr_sim.openpay.models import Token, TokenRequest
from ivr_sim.openpay.store import Store, TokenRow
from ivr_sim.openpay.wire import MEXICO

__all__ = ["create_token", "find_token", "new_id"]

_ALPHABET = string.ascii_lowercase + string.digits


def new_id(prefix: str, randbelow: Callable[[int], int] = secrets.randbelow) -> str:
    """A new id as Openpay's look: 20 of [a-z0-9], the first ones telling the kind (k, tr, m)."""
    return prefix + "".join(_ALPHABET[randbelow(len(_ALPHABET))] for _ in range(20 - len(prefix)))


def create_token(store: Store, merchant_id: str, asked: TokenRequest, now: datetime) -> Token:
    """Make a token of a card. Raises OpenpayError 1001, 2004, 2005, 2006, 2007 or 2009."""
    number = asked.card_number.get_secret_value()
    if not (number.isascii() and number.isdigit() and 13 <= len(number) <= 19):
        raise OpenpayError(1001, "card_number must be 13 to 19 digits")
    if not luhn(number):
        raise OpenpayError(2004)
    listed = card_of(number)
    if listed is None:
        # Ours: the sandbox may take other numbers. Here a real card, keyed by mistake, leaves no trace.
        raise OpenpayError(2007, "Only listed test cards are accepted here")
    today = now.astimezone(MEXICO)
    year, month = 2000 + int(asked.expiration_year), int(asked.expiration_month)
    if (year, month) < (today.year, today.month):
        raise OpenpayError(2005)
    code = asked.cvv2.get_secret_value() if asked.cvv2 else ""
    if not code:
        raise OpenpayError(2006)
    if not (code.isascii() and code.isdigit() and len(code) == brand_of(number).cvv):
        raise OpenpayError(2009)
    row = TokenRow(
        id=new_id("k"),
        merchant_id=merchant_id,
        card={
            "name": listed.name,
            "holder_name": asked.holder_name,
            "expiration_year": asked.expiration_year,
            "expiration_month": asked.expiration_month.zfill(2),
            "address": None if asked.address is None else asked.address.model_dump(mode="json"),
        },
        created=now,
    )
    with store.transaction() as session:
        session.add(row)
    return row.as_model()


def find_token(store: Store, merchant_id: str, token_id: str) -> Token:
    """The token with this id. Raises OpenpayError 1005."""
    with store.transaction() as session:
        row = session.get(TokenRow, token_id)
        if row is None or row.merchant_id != merchant_id:
            raise OpenpayError(1005)
        return row.as_model()
