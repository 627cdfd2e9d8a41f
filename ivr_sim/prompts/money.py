"""Numbers and amounts in words, as they are said on the telephone.

Spanish follows the Real Academia's orthography (Ortografía de la lengua española, chapter VIII):
``uno`` loses its ending before the noun and before ``mil`` (veintiún pesos, treinta y un mil), ``cien`` is
``ciento`` as soon as something follows within its own thousand, and ``millón`` takes ``de`` when the noun
follows at once (un millón de pesos, but un millón un pesos).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from ivr_sim.errors import IvrSimError

__all__ = [
    "CURRENCIES",
    "MAX_AMOUNT",
    "MAX_NUMBER",
    "AmountError",
    "Language",
    "amount_in_words",
    "cardinal",
    "counted",
]

Language = Literal["es", "en"]
MAX_AMOUNT = Decimal("999999999.99")
MAX_NUMBER = 999_999_999


class AmountError(IvrSimError, ValueError):
    """An amount or number that cannot be said: not a number, out of range, or of an unknown currency."""


@dataclass(frozen=True)
class _Unit:
    """A currency's two units as (singular, plural); all of ours are masculine in Spanish."""

    whole: dict[Language, tuple[str, str]]
    cent: dict[Language, tuple[str, str]]


CURRENCIES = {
    "MXN": _Unit(
        {"es": ("peso", "pesos"), "en": ("peso", "pesos")},
        {"es": ("centavo", "centavos"), "en": ("centavo", "centavos")},
    ),
    "USD": _Unit(
        {"es": ("dólar", "dólares"), "en": ("dollar", "dollars")},
        {"es": ("centavo", "centavos"), "en": ("cent", "cents")},
    ),
}

# fmt: off
_ES_UNITS = (
    "cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez", "once", "doce",
    "trece", "catorce", "quince", "dieciséis", "diecisiete", "dieciocho", "diecinueve", "veinte", "veintiuno",
    "veintidós", "veintitrés", "veinticuatro", "veinticinco", "veintiséis", "veintisiete", "veintiocho",
    "veintinueve",
)
_ES_TENS = ("treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa")
_ES_HUNDREDS = (
    "ciento", "doscientos", "trescientos", "cuatrocientos", "quinientos", "seiscientos", "setecientos",
    "ochocientos", "novecientos",
)
_EN_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_EN_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on


def cardinal(number: int, language: Language = "es") -> str:
    """Say a whole number, standing alone: ``veintiuno``, ``mil uno``.

    number: 0 to 999,999,999. Raises AmountError outside that range.
    """
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MAX_NUMBER:
        raise AmountError(f"cannot say {number!r}: give a whole number from 0 to {MAX_NUMBER}")
    return _es(number) if language == "es" else _en(number)


def counted(number: int, one: str, many: str, language: Language = "es") -> str:
    """Say so many of something, masculine in Spanish: ``veintiún decibeles``, ``un decibel``.

    number: 0 to 999,999,999. Raises AmountError outside that range.
    """
    words = cardinal(number, language)
    return f"{_es_before_noun(number) if language == 'es' else words} {one if number == 1 else many}"


def amount_in_words(amount: Decimal | str, currency: str = "MXN", language: Language = "es") -> str:
    """Say an amount of money, exactly: ``veintiún mil un pesos con cincuenta centavos``.

    amount: 0.01 to 999,999,999.99 with at most two decimals, as Decimal or text such as "200.00"; never a
    float, and never an int, which might be meant as cents. No zero pesos and no zero cents are said.
    Raises AmountError.
    """
    units = CURRENCIES.get(currency)
    if units is None:
        raise AmountError(f"cannot say amounts in {currency!r}: known are {', '.join(sorted(CURRENCIES))}")
    whole, cents = divmod(_in_cents(amount), 100)
    say: Callable[[int], str] = _es_before_noun if language == "es" else _en
    parts = []
    if whole:
        # A round number of millions is a noun: un millón de pesos.
        link = " de " if language == "es" and whole % 1_000_000 == 0 else " "
        parts.append(f"{say(whole)}{link}{units.whole[language][whole != 1]}")
    if cents:
        parts.append(f"{say(cents)} {units.cent[language][cents != 1]}")
    return (" con " if language == "es" else " and ").join(parts)


def _in_cents(amount: Decimal | str) -> int:
    if not isinstance(amount, Decimal | str):
        raise AmountError(f"cannot say an amount of type {type(amount).__name__}: give a Decimal or a text")
    try:
        exact = Decimal(amount)
    except InvalidOperation:
        raise AmountError("cannot say an amount that is not a number") from None
    # Compared before it is scaled: 1e999999 would otherwise become a number of a million digits.
    if not exact.is_finite() or not Decimal("0.01") <= exact <= MAX_AMOUNT:
        raise AmountError(f"cannot say this amount: it must lie between 0.01 and {MAX_AMOUNT}")
    rounded = exact.quantize(Decimal("0.01"))
    if rounded != exact:
        raise AmountError("cannot say an amount with more than two decimals")
    return int(rounded.scaleb(2))


def _es(number: int) -> str:
    if number >= 1_000_000:
        millions, rest = divmod(number, 1_000_000)
        head = "un millón" if millions == 1 else f"{_es_before_noun(millions)} millones"
    elif number >= 1000:
        thousands, rest = divmod(number, 1000)
        head = "mil" if thousands == 1 else f"{_es_before_noun(thousands)} mil"
    elif number > 100:
        hundreds, rest = divmod(number, 100)
        head = _ES_HUNDREDS[hundreds - 1]
    elif number == 100:
        return "cien"
    elif number >= 30:
        tens, unit = divmod(number, 10)
        return _ES_TENS[tens - 3] + (f" y {_ES_UNITS[unit]}" if unit else "")
    else:
        return _ES_UNITS[number]
    return f"{head} {_es(rest)}" if rest else head


def _es_before_noun(number: int) -> str:
    """As before a masculine noun: un, veintiún, treinta y un."""
    words = _es(number)
    if words.endswith("veintiuno"):
        return words.removesuffix("veintiuno") + "veintiún"
    return words.removesuffix("o") if words.endswith("uno") else words


def _en(number: int) -> str:
    """American usage: no "and" inside a number, so that "and" announces the cents."""
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            count, rest = divmod(number, size)
            return f"{_en(count)} {name}" + (f" {_en(rest)}" if rest else "")
    if number >= 20:
        tens, unit = divmod(number, 10)
        return _EN_TENS[tens - 2] + (f"-{_EN_UNITS[unit]}" if unit else "")
    return _EN_UNITS[number]
