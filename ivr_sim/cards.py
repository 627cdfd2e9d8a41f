"""Cards as a caller keys them: types that mask themselves, brands, Luhn, expiry, security code.

``CardNumber`` and ``SecurityCode`` give their digits to ``reveal()`` only, and that is called in one
place: the request to Openpay. Nothing else that they can be turned into (str, repr, format, JSON, a copy,
a pickle, a hash) holds a digit that could be put together again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ivr_sim.call import Typed
from ivr_sim.errors import IvrSimError

__all__ = [
    "BRANDS",
    "Brand",
    "Card",
    "CardNumber",
    "Expiry",
    "InvalidCard",
    "SecurityCode",
    "brand_of",
    "luhn",
]


class InvalidCard(IvrSimError):
    """A card entry that cannot be right; ``reason`` is the journal's word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"card entry refused: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Brand:
    """A card brand: the prefixes that tell it, the lengths its numbers have, its CVV's length.

    ``complete`` is the length at which an entry is known to be whole; None where lengths differ, so
    that the caller ends it by ``#`` or by pausing.
    """

    name: str
    prefixes: tuple[tuple[int, int], ...]
    lengths: tuple[int, ...]
    complete: int | None
    cvv: int = 3


# Prefixes as (first, last) of an inclusive range of equal length; the first match wins.
BRANDS = (
    Brand("american_express", ((34, 34), (37, 37)), (15,), 15, cvv=4),
    Brand("carnet", ((286900, 286900), (502275, 502275), (506199, 506499), (588772, 588772),
                     (60462203, 60462204), (606333, 606333), (627535, 627535), (636318, 636318),
                     (636379, 636379), (639388, 639388), (639484, 639484), (639559, 639559)), (16,), 16),
    Brand("visa", ((4, 4),), (16,), 16),
    Brand("mastercard", ((51, 55), (2221, 2720)), (16,), 16),
)  # fmt: skip
OTHER = Brand("other", (), tuple(range(13, 20)), None)


def brand_of(digits: str) -> Brand:
    """The brand that a number's first digits tell; ``other`` while unknown or not one of ours."""
    for brand in BRANDS:
        for first, last in brand.prefixes:
            width = len(str(first))
            head = digits[:width]  # may hold anything that a keypad has, A to D too
            if len(head) == width and head.isdecimal() and first <= int(head) <= last:
                return brand
    return OTHER


def luhn(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B)."""
    if not digits.isascii() or not digits.isdigit():
        return False
    total = 0
    for i, c in enumerate(reversed(digits)):
        n = int(c) * (1 + i % 2)
        total += n - 9 if n > 9 else n
    return total % 10 == 0


class CardNumber(Typed):
    """A card number that passed Luhn and has its brand's length."""

    __slots__ = ("brand",)

    def __init__(self, digits: str) -> None:
        """Raises InvalidCard: length, luhn."""
        if not (digits.isascii() and digits.isdigit()):
            raise InvalidCard("not_digits")
        self.brand = brand_of(digits)
        if len(digits) < min(self.brand.lengths):
            raise InvalidCard("too_short")
        if len(digits) > max(self.brand.lengths):
            raise InvalidCard("too_long")
        if not luhn(digits):
            raise InvalidCard("luhn")
        super().__init__(digits)

    @staticmethod
    def complete(digits: str) -> bool:
        """Whether the digits so far are a whole number by their brand's length."""
        return len(digits) == brand_of(digits).complete

    def __repr__(self) -> str:
        return f"CardNumber(<{self.brand.name}, {len(self)} digits>)"

    __str__ = __repr__


class SecurityCode(Typed):
    """The CVV; forgotten when the charge returns."""

    __slots__ = ()

    def __init__(self, digits: str, brand: Brand) -> None:
        """Raises InvalidCard: cvv_length."""
        if len(digits) != brand.cvv or not (digits.isascii() and digits.isdigit()):
            raise InvalidCard("cvv_length")
        super().__init__(digits)

    def __repr__(self) -> str:
        return "SecurityCode(<hidden>)"

    __str__ = __repr__


class Expiry(Typed):
    """The last month in which a card is valid: four digits, MMYY, and the year (2000 to 2099) and month."""

    __slots__ = ("month", "year")

    def __init__(self, year: int, month: int) -> None:
        self.year = year
        self.month = month
        super().__init__(f"{month:02}{year % 100:02}")

    @classmethod
    def keyed(cls, digits: str, today: date) -> Expiry:
        """From MMYY as keyed. Raises InvalidCard: expiry_length, month, expired, too_far (20 years)."""
        if len(digits) != 4 or not (digits.isascii() and digits.isdigit()):
            raise InvalidCard("expiry_length")
        month, year = int(digits[:2]), 2000 + int(digits[2:])
        if not 1 <= month <= 12:
            raise InvalidCard("month")
        if (year, month) < (today.year, today.month):
            raise InvalidCard("expired")
        if year > today.year + 20:
            raise InvalidCard("too_far")
        return cls(year, month)

    def __repr__(self) -> str:
        return "Expiry(<hidden>)"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Card:
    """All that one charge needs of a card. It is dropped, and its security code with it, after the charge."""

    number: CardNumber
    expiry: Expiry
    security_code: SecurityCode
