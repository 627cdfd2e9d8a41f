"""Cards to key: valid by their check digit, and told at once wherever six of their digits turn up.

Every six digits in a row hold one of 2 to 6; whatever else of a world has six digits or more (payment keys,
authorisation numbers) has at most one of them, as its first. So no digit of a card stands anywhere by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ivr_sim.cards import luhn

PART = 6
BEGINNINGS = {
    "4": 16, "51": 16, "55": 16, "2221": 16, "506199": 16, "34": 15, "37": 15, "6011": 16, "36": 14,
}  # fmt: skip
OF_NO_BRAND = ("6011", "36")  # of which nothing tells that they are whole, but a #


@dataclass(frozen=True)
class Plastic:
    """A card in the hand of a caller."""

    number: str
    expiry: str
    cvv: str
    ends_by_itself: bool


def parts(number: str) -> set[str]:
    """All that is six digits long of a number."""
    return {number[i : i + PART] for i in range(len(number) - PART + 1)}


def _distinct(number: str) -> bool:
    return all(set(part[1:]) & set("23456") for part in parts(number))


def draw(chance: Random) -> Plastic:
    """A card."""
    beginning, length = chance.choice(tuple(BEGINNINGS.items()))
    while True:
        body = beginning + "".join(chance.choice("0123456789") for _ in range(length - len(beginning) - 1))
        number = next(body + d for d in "0123456789" if luhn(body + d))
        if _distinct(number):
            break
    expiry = f"{chance.randrange(1, 13):02}{chance.randrange(27, 46)}"
    # No status of HTTP, and no code of Openpay's: those may stand in a log.
    cvv = "".join(chance.sample("6235", 4 if beginning in ("34", "37") else 3))
    return Plastic(number, expiry, cvv, beginning not in OF_NO_BRAND)
