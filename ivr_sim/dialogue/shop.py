"""What one dialogue works with: the shop on whose line it runs, its limits, and how it can end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final, Literal

from ivr_sim.call import Phrase
from ivr_sim.cards import CardNumber
from ivr_sim.dialogue.services import Acquirer, PaymentKeys
from ivr_sim.errors import IvrSimError

__all__ = ["TRIED", "Ending", "Limits", "Outcome", "Over", "Shop"]

# The outcome of a call that was no payment: to one of the numbers for trying a telephone out.
TRIED: Final = "tried"


class Outcome(StrEnum):
    """How a call that was answered can end."""

    APPROVED = "approved"
    DECLINED = "declined"
    REJECTED = "rejected"
    KEY_REFUSED = "key_refused"
    AUTHORIZER_FAILED = "authorizer_failed"
    OPENPAY_FAILED = "openpay_failed"
    UNKNOWN = "unknown"
    NO_INPUT = "no_input"
    ABANDONED = "abandoned"


AnyOutcome = Outcome | Literal["tried"]


@dataclass(frozen=True)
class Ending:
    """The outcome, and the cause in one word where the outcome alone does not say it."""

    outcome: AnyOutcome
    cause: str | None = None


class Over(IvrSimError):
    """The conversation is over before its last step: how, and what is still to be said."""

    def __init__(self, outcome: AnyOutcome, cause: str | None = None, *farewell: Phrase) -> None:
        super().__init__(f"{outcome}" + (f": {cause}" if cause else ""))
        self.ending = Ending(outcome, cause)
        self.farewell = farewell


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Times in seconds, and how often a caller may try.

    ``key_length`` ends a payment key by its length; unset, ``#`` or a pause ends it.
    """

    first_digit: float = 8.0
    digit: float = 4.0
    card_first_digit: float = 15.0
    card_digit: float = 6.0
    tries: int = 3
    payment_keys: int = 3
    cards: int = 3
    key_length: int | None = None


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A merchant's line: who knows its payment keys, who charges for it, and what is allowed.

    today: the date in the merchant's time zone. card_allowed: false for a card that must not be taken
    here (anything but test cards, against a sandbox). new_attempt: names one try to charge.
    """

    name: str
    keys: PaymentKeys
    acquirer: Acquirer
    today: Callable[[], date]
    new_attempt: Callable[[], str]
    card_allowed: Callable[[CardNumber], bool] = lambda number: True
    limits: Limits = field(default_factory=Limits)
