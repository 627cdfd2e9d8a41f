"""Card numbers among digits, hidden."""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "mask_text", "masked"]

HIDDEN = "•"
_CARD_LENGTHS = range(13, 20)  # ISO/IEC 7812: the card numbers in use


def masked(digits: str) -> str:
    """Digits with every run that may be a card number hidden: 13 to 19 digits in a row that pass Luhn.

    Runs are looked for at every place, so that a number is found between others that were typed without
    a pause or a key between them.
    """
    hidden = [False] * len(digits)
    for first in range(len(digits)):
        for length in _CARD_LENGTHS:
            run = digits[first : first + length]
            if len(run) == length and run.isdecimal() and _luhn(run):
                hidden[first : first + length] = [True] * length
    return "".join(HIDDEN if hide else digit for digit, hide in zip(digits, hidden, strict=True))


def mask_text(text: str) -> str:
    """A text, such as a file's name, with the card numbers in it hidden."""
    return re.sub("[0-9]{13,}", lambda run: masked(run[0]), text)


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
