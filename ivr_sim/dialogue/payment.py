"""Paying by telephone, as the guide's steps (guide, "Authorize IVR Charge with payment key").

``take_payment`` is the whole conversation; every ending is mapped to an outcome there and nowhere else.
No await that a caller can interrupt encloses a charge: a charge under way is awaited to its end and
gives the call its outcome, whether or not somebody is still there to hear it.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import Literal

import structlog

from ivr_sim.call import Call, CallerHungUp, CallTooLong, CannotSay, Phrase, phrase
from ivr_sim.cards import Card
from ivr_sim.dialogue.entry import (
    RUN,
    accept,
    ask,
    ask_entry,
    card_number,
    choice,
    expiry,
    may_begin_a_card,
    payment_key,
    security_code,
)
from ivr_sim.dialogue.services import (
    AcquirerFailed,
    AlreadyPaid,
    Approved,
    AuthorizerFailed,
    Charged,
    Declined,
    Payable,
    Refusal,
    Unknown,
)
from ivr_sim.dialogue.shop import Ending, Outcome, Over, Shop
from ivr_sim.errors import place
from ivr_sim.journal import AuthorizerReplied, ChargeSent, ChargeSettled

__all__ = ["take_payment"]

log = structlog.get_logger(__name__)

TOO_LONG = (phrase("time_limit"), phrase("goodbye"))


async def take_payment(call: Call, shop: Shop) -> Ending:
    """Hold the conversation and end the call. Returns how it ended; raises nothing on purpose."""
    farewell: tuple[Phrase, ...] = ()
    try:
        ending = await _pay(call, shop)
    except Over as over:
        ending, farewell = over.ending, over.farewell
    except CallTooLong:
        ending, farewell = Ending(Outcome.NO_INPUT, "time_limit"), TOO_LONG
    except CallerHungUp:
        ending = Ending(Outcome.ABANDONED, "hung_up")
    except CannotSay:
        ending = Ending(Outcome.ABANDONED, "no_voice")
    # Said only now: as long as an exception is handled, it holds all that it came through, the card too.
    with suppress(CallerHungUp, CallTooLong, CannotSay):
        await call.say(*farewell, interruptible=False)
    await call.hang_up()
    return ending


async def _pay(call: Call, shop: Shop) -> Ending:
    await call.say(phrase("welcome", merchant=shop.name))
    payable = await _find_payable(call, shop)  # steps 1 to 3
    await _confirm_amount(call, shop, payable)  # steps 4 and 5
    ending: Ending | None = None
    for cards in count(1):
        card = await _take_card(call, shop, ending)  # step 5
        ending, result = await _charge(call, shop, payable, card)  # steps 6 and 7
        del card  # with it, the security code
        try:
            if not await _tell(call, shop, result, another=cards < shop.limits.cards):  # step 8
                return ending
        except CallTooLong:
            raise Over(ending.outcome, ending.cause, *TOO_LONG) from None
        except (CallerHungUp, CannotSay):
            return ending
        except Exception as broken:
            # Whatever went wrong in telling it: what became of the money is the call's outcome.
            log.error("telling a result broke", error=type(broken).__name__, at=place(broken))
            return ending
    raise AssertionError("endless")


async def _find_payable(call: Call, shop: Shop) -> Payable:
    """Steps 1 to 3: ask for the payment key and look it up, as often as the limits allow."""
    for keys in count(1):
        answer = await _look_up(call, shop, doubtful=keys > 1)
        if isinstance(answer, Payable):
            await _check_earlier(shop, answer)
            return answer
        call.flush(pause=RUN)
        said = phrase("key_refused", description=answer.description)
        if keys == shop.limits.payment_keys:
            raise Over(Outcome.KEY_REFUSED, f"code_{answer.code}", said, phrase("goodbye"))
        await call.say(said)
    raise AssertionError("endless")


async def _look_up(call: Call, shop: Shop, *, doubtful: bool) -> Payable | Refusal:
    """Ask for one payment key, and the merchant about it.

    A caller may key a card where the key was asked for, with pauses even. So what could begin a card's
    number is shown only once the merchant knows it for a payment key, and so is what comes behind a wrong
    or refused entry (``doubtful``): it could be the rest of a number, whose beginning was forgotten.
    """
    question = payment_key(shop)
    key, entry, wrongs = await ask_entry(call, question, tries=shop.limits.tries)
    doubtful = doubtful or wrongs > 0 or may_begin_a_card(key)
    if not doubtful:
        accept(call, question, entry, shown=True)
    answer: Payable | Refusal | None = None
    try:
        answer = await shop.keys.look_up(key)
    except AuthorizerFailed as failed:
        replied = AuthorizerReplied(cause=failed.cause, status=failed.status, ms=failed.ms)
    except Exception as broken:
        log.error("the look-up broke", error=type(broken).__name__, at=place(broken))
        replied = AuthorizerReplied(cause="internal", status=None, ms=0)
    else:
        cause: Literal["ok", "refused"] = "ok" if isinstance(answer, Payable) else "refused"
        replied = AuthorizerReplied(cause=cause, status=answer.status, ms=answer.ms)
    if doubtful:
        accept(call, question, entry, shown=isinstance(answer, Payable))
    call.journal.emit(replied)
    if answer is None:
        raise Over(
            Outcome.AUTHORIZER_FAILED, replied.cause, phrase("authorizer_failed"), phrase("goodbye")
        ) from None
    return answer


async def _check_earlier(shop: Shop, payable: Payable) -> None:
    """An order that was charged before, or may have been, is not charged again."""
    try:
        earlier = await shop.acquirer.earlier(payable)
    except AcquirerFailed as failed:
        raise _openpay_failed(failed.cause) from failed
    except Exception as broken:
        log.error("looking for earlier charges broke", error=type(broken).__name__, at=place(broken))
        raise _openpay_failed("internal") from None
    match earlier:
        case AlreadyPaid():
            raise Over(Outcome.KEY_REFUSED, "already_paid", phrase("already_paid"), phrase("goodbye"))
        case Unknown():
            raise Over(Outcome.UNKNOWN, "earlier_charge", phrase("unknown_outcome"), phrase("goodbye"))


def _openpay_failed(cause: str) -> Over:
    return Over(Outcome.OPENPAY_FAILED, cause, phrase("openpay_failed"), phrase("goodbye"))


async def _confirm_amount(call: Call, shop: Shop, payable: Payable) -> None:
    """Steps 4 and 5: say the amount and hear whether the caller accepts; 3 says it again.

    What was typed before the amount is heard never accepts it.
    """
    said = phrase("amount", amount=payable.amount, currency=payable.currency, description=payable.description)
    question = choice(shop, "accept", "123", said, phrase("ask_accept"))
    while True:
        call.flush()
        match await ask(call, question, tries=shop.limits.tries):
            case "1":
                return
            case "2":
                raise Over(Outcome.REJECTED, None, phrase("rejected"), phrase("goodbye"))


async def _take_card(call: Call, shop: Shop, declined: Ending | None) -> Card:
    """Step 5: the card, in separate steps, each until it is valid.

    declined: how the call ends when the last card was refused and this one does not come to be charged.
    """
    tries = shop.limits.tries
    farewell: tuple[Phrase, ...] = ()
    try:
        number = await ask(call, card_number(shop), tries=tries)
        valid_until = await ask(call, expiry(shop), tries=tries)
        code = await ask(call, security_code(shop, number.brand), tries=tries)
        await call.say(phrase("one_moment"), interruptible=False)
        return Card(number, valid_until, code)
    except Over as over:
        if declined is None:
            raise
        farewell = over.farewell
    except CallTooLong:
        if declined is None:
            raise
        farewell = TOO_LONG
    except (CallerHungUp, CannotSay):
        if declined is None:
            raise
    raise Over(declined.outcome, declined.cause, *farewell)


async def _charge(call: Call, shop: Shop, payable: Payable, card: Card) -> tuple[Ending, Charged]:
    """Steps 6 and 7: charge once, and know what the call's outcome is from here on."""
    attempt = shop.new_attempt()
    call.journal.emit(ChargeSent(attempt=attempt, order_id=payable.order_id, amount=payable.amount))
    try:
        result = await shop.acquirer.charge(payable, card, attempt=attempt, call=call.journal.call)
    except AcquirerFailed as failed:
        call.journal.emit(
            ChargeSettled(
                attempt=attempt, result="failed", charge_id=None, error_code=failed.error_code, ms=failed.ms
            )
        )
        raise _openpay_failed(failed.cause) from failed
    except Exception as broken:
        # Nobody foresaw this, so nobody knows what was charged: the caller must not pay again blindly.
        log.error("charging broke", attempt=attempt, error=type(broken).__name__, at=place(broken))
        result = Unknown()
    word, ending = _ending(result)
    call.journal.emit(
        ChargeSettled(
            attempt=attempt,
            result=word,
            charge_id=None if isinstance(result, Unknown) else result.charge_id,
            error_code=result.error_code if isinstance(result, Declined) else None,
            ms=result.ms,
        )
    )
    return ending, result


def _ending(result: Charged) -> tuple[str, Ending]:
    """The journal's word for a charge's result, and the ending that it gives the call."""
    match result:
        case Approved():
            return "approved", Ending(Outcome.APPROVED)
        case Declined():
            return "declined", Ending(Outcome.DECLINED, f"code_{result.error_code}")
        case AlreadyPaid():
            return "already_paid", Ending(Outcome.KEY_REFUSED, "already_paid")
        case Unknown():
            return "unknown", Ending(Outcome.UNKNOWN)


async def _tell(call: Call, shop: Shop, result: Charged, *, another: bool) -> bool:
    """Step 8: tell the result; returns whether the caller will try another card."""
    match result:
        case Approved():
            said = phrase("approved", authorization=result.authorization)
        case AlreadyPaid():
            said = phrase("already_paid")
        case Unknown():
            said = phrase("unknown_outcome")
        case Declined():
            said = phrase("declined", code=result.error_code)
            if another:
                await _say_result(call, said)
                # Keys pressed while nobody listened are no answer to what is asked now.
                call.flush()
                question = choice(shop, "another_card", "12", phrase("ask_another_card"))
                with suppress(Over):
                    if await ask(call, question, tries=shop.limits.tries) == "1":
                        return True
                await call.say(phrase("goodbye"), interruptible=False)
                return False
    await _say_result(call, said, phrase("goodbye"))
    return False


async def _say_result(call: Call, *said: Phrase) -> None:
    """Say a result; where its particulars have no sound, without them rather than not at all."""
    try:
        await call.say(*said, interruptible=False)
    except CannotSay:
        await call.say(*(phrase(p.name) for p in said), interruptible=False)
