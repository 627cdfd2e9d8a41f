"""Asking for one thing until it is valid.

No digit leaves this module before its entry is known not to be secret: a check may see digits, the
journal gets the length of a secret entry and the reason of a refused one, never what was typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ivr_sim.call import Call, Entry, Phrase, Typed, phrase
from ivr_sim.cards import Brand, CardNumber, Expiry, InvalidCard, SecurityCode
from ivr_sim.dialogue.shop import Outcome, Over, Shop
from ivr_sim.errors import IvrSimError
from ivr_sim.journal import EntryAccepted, EntryRefused

__all__ = [
    "RUN",
    "Question",
    "Refused",
    "accept",
    "ask",
    "ask_entry",
    "card_number",
    "choice",
    "expiry",
    "may_begin_a_card",
    "payment_key",
    "security_code",
]

T = TypeVar("T")
KEY_DIGITS = range(4, 13)
# Keys that follow each other within a second are typed in one go, not in answer to what is being said.
RUN = 1.0


class Refused(IvrSimError):
    """An entry that is not valid; ``reason`` is the journal's word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"entry refused: {reason}")
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Question(Generic[T]):
    """One thing to ask for.

    check turns what was typed into the value, or raises Refused or InvalidCard. wrong names the phrase
    that says what was wrong, with the reason as its parameter.
    """

    field: str
    say: tuple[Phrase, ...]
    wrong: str
    check: Callable[[Typed], T]
    max_digits: int
    first_digit: float
    digit: float
    secret: bool
    complete: Callable[[str], bool] | None = None


async def ask(call: Call, question: Question[T], *, tries: int) -> T:
    """Ask until the entry is valid, and write it to the journal; see ``ask_entry``."""
    value, entry, _ = await ask_entry(call, question, tries=tries)
    accept(call, question, entry, shown=not question.secret)
    return value


def accept(call: Call, question: Question[T], entry: Entry, *, shown: bool) -> None:
    """Write a valid entry to the journal: what was keyed, if it is shown, or only how much."""
    value = entry.publish() if shown else None
    call.journal.emit(EntryAccepted(field=question.field, length=len(entry.typed), value=value))


async def ask_entry(call: Call, question: Question[T], *, tries: int) -> tuple[T, Entry, int]:
    """Ask until the entry is valid, ``tries`` times at the most.

    Its value, the entry still secret, and how many wrong ones came before it.

    Raises Over (no_input, the cause names the field) after the last wrong entry; CallerHungUp.
    """
    lead: tuple[Phrase, ...] = ()
    for wrongs in range(tries):
        entry = await call.collect(
            *lead,
            *question.say,
            max_digits=question.max_digits,
            complete=question.complete,
            first_digit_timeout=question.first_digit,
            digit_timeout=question.digit,
        )
        try:
            value = _judge(question, entry)
        except (Refused, InvalidCard) as wrong:
            call.journal.emit(EntryRefused(field=question.field, reason=wrong.reason))
            # What was typed behind a wrong entry was meant for something that will not come.
            call.flush(pause=RUN)
            lead = (phrase(question.wrong, reason=wrong.reason),)
            continue
        return value, entry, wrongs
    raise Over(Outcome.NO_INPUT, question.field, phrase("too_many_tries"), phrase("goodbye"))


def _judge(question: Question[T], entry: Entry) -> T:
    if entry.ended == "silence":
        raise Refused("silence")
    if not entry.typed:
        raise Refused("empty")
    return question.check(entry.typed)


def may_begin_a_card(digits: str) -> bool:
    """Whether these may be the first digits of a payment card.

    The first digit tells the industry: 3 to 6 are cards one pays with, 2 Mastercard's second series
    (ISO/IEC 7812-1, section 4.2).
    """
    return digits[:1] in set("23456")


def payment_key(shop: Shop) -> Question[str]:
    """The payment key: 4 to 12 digits that a JSON number can hold, so no leading zero (guide L126)."""
    length = shop.limits.key_length

    def check(typed: Typed) -> str:
        digits = typed.reveal()
        if not digits.isdigit():
            raise Refused("not_digits")
        if len(digits) < (length or KEY_DIGITS[0]):
            raise Refused("too_short")
        if len(digits) > (length or KEY_DIGITS[-1]):
            raise Refused("too_long")
        if digits.startswith("0"):
            raise Refused("leading_zero")
        return digits

    return Question(
        field="payment_key",
        say=(phrase("ask_key"),),
        wrong="bad_key",
        check=check,
        max_digits=length or KEY_DIGITS[-1],
        complete=None if length else lambda digits: False,
        first_digit=shop.limits.first_digit,
        digit=shop.limits.digit,
        secret=False,
    )


def choice(shop: Shop, field: str, allowed: str, *say: Phrase) -> Question[str]:
    """One key out of ``allowed``."""

    def check(typed: Typed) -> str:
        if typed.reveal() not in tuple(allowed):
            raise Refused("not_a_choice")
        return typed.reveal()

    return Question(
        field=field,
        say=say,
        wrong="bad_choice",
        check=check,
        max_digits=1,
        first_digit=shop.limits.first_digit,
        digit=shop.limits.digit,
        secret=False,
    )


def card_number(shop: Shop) -> Question[CardNumber]:
    """The card number, whole by its brand's length, or ended by ``#`` or a pause."""

    def check(typed: Typed) -> CardNumber:
        number = CardNumber(typed.reveal())
        if not shop.card_allowed(number):
            raise Refused("not_test_card")
        return number

    return Question(
        field="card_number",
        say=(phrase("ask_card"),),
        wrong="bad_card",
        check=check,
        max_digits=19,
        complete=CardNumber.complete,
        first_digit=shop.limits.card_first_digit,
        digit=shop.limits.card_digit,
        secret=True,
    )


def expiry(shop: Shop) -> Question[Expiry]:
    """The card's expiry, MMYY, not in the past."""
    return Question(
        field="expiry",
        say=(phrase("ask_expiry"),),
        wrong="bad_expiry",
        check=lambda typed: Expiry.keyed(typed.reveal(), shop.today()),
        max_digits=4,
        first_digit=shop.limits.card_first_digit,
        digit=shop.limits.card_digit,
        secret=True,
    )


def security_code(shop: Shop, brand: Brand) -> Question[SecurityCode]:
    """The security code: three digits, four for American Express."""
    return Question(
        field="cvv",
        say=(phrase("ask_cvv", digits=brand.cvv),),
        wrong="bad_cvv",
        check=lambda typed: SecurityCode(typed.reveal(), brand),
        max_digits=brand.cvv,
        first_digit=shop.limits.card_first_digit,
        digit=shop.limits.card_digit,
        secret=True,
    )
