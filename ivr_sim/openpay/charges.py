"""Charges: by token, settled at once; or to be paid by telephone, waiting under a payment key.

What a charge does to its token and its order stands in one transaction. The token goes first and is used
up for good, even by a decline; but a charge that is refused before the bank was asked (1003, 1006) leaves
everything as it was.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ivr_sim.openpay.bank import card_named
from ivr_sim.openpay.errors import ERRORS, OpenpayError
from ivr_sim.openpay.models import Charge, ChargeRequest, Customer
from ivr_sim.openpay.store import ChargeRow, Store, TokenRow
from ivr_sim.openpay.tokens import new_id
from ivr_sim.openpay.wire import MEXICO

__all__ = ["create_charge", "find_charge"]

KEY_DRAWS = 50  # payment keys drawn before giving up: all taken this often, the key space is nearly full


def create_charge(
    store: Store,
    merchant_id: str,
    asked: ChargeRequest,
    now: datetime,
    *,
    ivr_phone_number: str,
    randbelow: Callable[[int], int],
) -> Charge:
    """Make a charge; the reply is ``completed`` or ``charge_pending``.

    Raises OpenpayError: 1001 (something is missing), 1003 (token used before), 1005 (no such token),
    1006 (the order has a charge), 3xxx (declined: the charge is kept as ``failed``).
    """
    match asked.confirm:
        case "ivr":
            return _for_telephone(store, merchant_id, asked, now, ivr_phone_number, randbelow)
        case "true":
            return _by_token(store, merchant_id, asked, now, randbelow)
        case _:
            raise OpenpayError(1001, "confirm must be true or ivr: the stand-in has no payment pages")


def find_charge(store: Store, merchant_id: str, charge_id: str) -> Charge:
    """The charge with this id. Raises OpenpayError 1005."""
    with store.transaction() as session:
        row = session.scalar(
            select(ChargeRow).where(ChargeRow.id == charge_id, ChargeRow.merchant_id == merchant_id)
        )
        if row is None:
            raise OpenpayError(1005)
        return row.as_model()


def _by_token(
    store: Store,
    merchant_id: str,
    asked: ChargeRequest,
    now: datetime,
    randbelow: Callable[[int], int],
) -> Charge:
    if asked.source_id is None:
        raise OpenpayError(1001, "source_id is required")
    try:
        with store.transaction() as session:
            token = _use_up(session, merchant_id, asked.source_id)
            _check_order(session, merchant_id, asked.order_id)
            outcome = card_named(token.card["name"]).error_code
            declined = None if outcome is None else ERRORS[outcome]
            row = ChargeRow(
                **_common(merchant_id, asked, now, randbelow),
                status="failed" if declined else "completed",
                authorization=None if declined else f"{randbelow(10**6):06}",
                error_code=declined.code if declined else None,
                error_message=declined.text if declined else None,
                card=token.card,
            )
            session.add(row)
    except IntegrityError:
        # Somebody else's charge of this order came between our look and our insert.
        raise OpenpayError(1006) from None
    if declined:
        raise OpenpayError(declined.code)
    return row.as_model()


def _for_telephone(
    store: Store,
    merchant_id: str,
    asked: ChargeRequest,
    now: datetime,
    phone_number: str,
    randbelow: Callable[[int], int],
) -> Charge:
    if asked.customer is None:
        raise OpenpayError(1001, "customer is required")
    for _ in range(KEY_DRAWS):
        row = ChargeRow(
            **_common(merchant_id, asked, now, randbelow),
            status="charge_pending",
            due=_end_of_day(now),
            # Six digits and no leading zero, which a JSON number could not have.
            ivr_key=100_000 + secrets.randbelow(900_000),
            ivr_phone=phone_number,
            attempts=0,
        )
        try:
            with store.transaction() as session:
                _check_order(session, merchant_id, asked.order_id)
                session.add(row)
        except IntegrityError:
            continue  # the key is another pending charge's; or the order is, which the next round tells
        return row.as_model()
    raise OpenpayError(1004)


def _use_up(session: Session, merchant_id: str, token_id: str) -> TokenRow:
    ours = (TokenRow.id == token_id) & (TokenRow.merchant_id == merchant_id)
    taken = session.execute(
        update(TokenRow).where(ours, TokenRow.used.is_(False)).values(used=True).returning(TokenRow.id)
    ).first()
    token = session.scalar(select(TokenRow).where(ours))
    if token is None:
        raise OpenpayError(1005, "The source_id doesn't exist")
    if taken is None:
        raise OpenpayError(1003, "This source_id was already used")
    return token


def _check_order(session: Session, merchant_id: str, order_id: str | None) -> None:
    """Refuse a second charge of an order that has one which did not fail; the index has the last word."""
    if order_id is not None and session.scalar(
        select(ChargeRow.seq).where(
            ChargeRow.merchant_id == merchant_id, ChargeRow.order_id == order_id, ChargeRow.status != "failed"
        )
    ):
        raise OpenpayError(1006)


def _common(
    merchant_id: str, asked: ChargeRequest, now: datetime, randbelow: Callable[[int], int]
) -> dict[str, Any]:
    customer = None
    if asked.customer is not None:
        customer = Customer(**asked.customer.model_dump(), creation_date=now).model_dump(mode="json")
    return {
        "id": new_id("tr", randbelow),
        "merchant_id": merchant_id,
        "cents": int(asked.amount.scaleb(2)),
        "currency": asked.currency,
        "description": asked.description,
        "order_id": asked.order_id,
        "created": now,
        "operated": now,
        "customer": customer,
        "meta": asked.metadata,
    }


def _end_of_day(now: datetime) -> datetime:
    """When a key ends that was given no other end: at the end of its day (from the reference's sample)."""
    midnight = now.astimezone(MEXICO).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1, seconds=-1)
