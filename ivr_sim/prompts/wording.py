"""Texts and figures made fit to be said: digits one by one, measures, and a merchant's own words, cleaned.

What a merchant writes as a description was meant to be read, not heard. It may hold tags (which the
voice would obey), addresses, figures (which the voice would read by its own rules), or a flood.
"""

from __future__ import annotations

import re
import unicodedata

from ivr_sim.prompts.money import MAX_NUMBER, AmountError, Language, amount_in_words, cardinal, counted

__all__ = ["decibels_in_words", "digits_in_words", "key_in_words", "milliseconds_in_words", "spoken"]

LIMIT = 250  # characters of the original, as long as a description may be at Openpay
SPOKEN_LIMIT = 400  # characters of what is said: figures grow when they become words

# fmt: off
_LETTERS: dict[Language, dict[str, str]] = {
    "es": {
        "a": "a", "b": "be", "c": "ce", "d": "de", "e": "e", "f": "efe", "g": "ge", "h": "hache", "i": "i",
        "j": "jota", "k": "ka", "l": "ele", "m": "eme", "n": "ene", "ñ": "eñe", "o": "o", "p": "pe",
        "q": "cu", "r": "erre", "s": "ese", "t": "te", "u": "u", "v": "uve", "w": "doble u",
        "x": "equis", "y": "ye", "z": "zeta",
    },
    "en": {letter: letter.upper() for letter in "abcdefghijklmnopqrstuvwxyz"},
}
# fmt: on
_SYMBOLS: dict[Language, dict[str, str]] = {
    "es": {"&": "y", "@": "arroba", "%": "por ciento", "+": "más", "=": "igual a", "#": "número"},
    "en": {"&": "and", "@": "at", "%": "percent", "+": "plus", "=": "equals", "#": "number"},
}
_KEYS: dict[Language, dict[str, str]] = {
    "es": {"*": "asterisco", "#": "gato"},
    "en": {"*": "star", "#": "pound"},
}
_MINUS: dict[Language, str] = {"es": "menos", "en": "minus"}
_MILLISECONDS: dict[Language, tuple[str, str]] = {
    "es": ("milisegundo", "milisegundos"),
    "en": ("millisecond", "milliseconds"),
}
_DECIBELS: dict[Language, tuple[str, str]] = {"es": ("decibel", "decibeles"), "en": ("decibel", "decibels")}
_POINT: dict[Language, str] = {"es": "punto", "en": "point"}

_FORMATTING = ("Cf", "Mn", "Me")  # soft hyphens, joiners, stray accents: within a word, not between words
_TAG = re.compile(r"<[^<>]*>")
_ADDRESS = re.compile(r"(?i)\b(?:[a-z][a-z0-9+.-]{1,9}://|www\.)\S*|[^\s@]+@[^\s@]+\.[^\s@]+")
_VOWELS = "AEIOUÁÉÍÓÚÜ"
# Short words (DE, LUZ, IVA) as against initials (IVR, CFE), where a whole text is in capitals.
_PRONOUNCEABLE = re.compile(rf"[^{_VOWELS}]?[{_VOWELS}]+[^{_VOWELS}]?[{_VOWELS}]*")
_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_SUM = _NUMBER + r"(?:\.[0-9]{1,2})?(?![0-9])"
_TOKEN = re.compile(
    rf"""
      \$\ ?(?P<price>{_SUM})(?:\ ?(?P<currency>MXN|USD)\b)?
    | (?P<sum>{_SUM})\ ?(?P<unit>MXN|USD)\b
    | (?P<whole>{_NUMBER})(?![0-9])(?:\.(?P<decimals>[0-9]+))?
    | (?P<initials>(?:[A-Za-zÑñ]\.){{2,}})
    | (?P<word>[A-Za-zÀ-ÖØ-öø-ɏ]+)
    | (?P<symbol>[&@%+=#])
    | (?P<stop>[.!?])
    | (?P<comma>[,;:()/])
    """,
    re.VERBOSE,
)


def digits_in_words(text: str, language: Language = "es") -> str:
    """Say digits, and letters if there are any, one by one with pauses: ``cero, uno, dos``.

    Anything else in the text is passed over; no digit and no letter at all gives an empty text.
    """
    names = _LETTERS[language]
    said = []
    for sign in text.lower():
        if sign.isascii() and sign.isdigit():
            said.append(cardinal(int(sign), language))
        elif sign in names:
            said.append(names[sign])
    return ", ".join(said)


def key_in_words(key: str, language: Language = "es") -> str:
    """Say a key of the keypad, to begin a sentence with: ``Cinco``, ``Gato``, ``Be``."""
    return (_KEYS[language].get(key) or digits_in_words(key, language)).capitalize()


def milliseconds_in_words(milliseconds: int, language: Language = "es") -> str:
    """Say a duration: ``ciento veinte milisegundos``. Raises AmountError below zero."""
    return counted(milliseconds, *_MILLISECONDS[language], language)


def decibels_in_words(decibels: float, language: Language = "es") -> str:
    """Say a level or a ratio in whole decibels: ``menos diez decibeles``."""
    whole = round(decibels)
    said = counted(abs(whole), *_DECIBELS[language], language)
    return f"{_MINUS[language]} {said}" if whole < 0 else said


def spoken(text: str, language: Language = "es") -> str:
    """Make somebody else's text fit to be said: one line, no tags, addresses or signs, figures in words.

    Never longer than 400 characters, never ends in punctuation, empty if nothing can be said, and never
    raises.
    """
    text = unicodedata.normalize("NFKC", text[: 4 * LIMIT])
    text = "".join(sign for sign in text if unicodedata.category(sign) not in _FORMATTING)
    text = _cut(_ADDRESS.sub(" ", _TAG.sub(" ", text)), LIMIT)
    said = ""
    for token in _TOKEN.finditer(text):
        if token["stop"] or token["comma"]:
            if said and said[-1] not in ",.":
                said += "." if token["stop"] else ","
        elif words := _words(token, language):
            said += f" {words}" if said else words
    return _cut(said, SPOKEN_LIMIT).rstrip(",. ")


def _words(token: re.Match[str], language: Language) -> str:
    """What one token of the text is said as."""
    if price := token["price"] or token["sum"]:
        try:
            currency = token["currency"] or token["unit"] or "MXN"
            return amount_in_words(price.replace(",", ""), currency, language)
        except AmountError:  # nothing, or more than anybody pays
            whole, _, decimals = price.partition(".")
            return _number(whole, decimals, language)
    if token["whole"]:
        return _number(token["whole"], token["decimals"] or "", language)
    if token["initials"]:
        return token["initials"].replace(".", " ").strip()
    if token["symbol"]:
        return _SYMBOLS[language][token["symbol"]]
    word = token["word"]
    return (
        word.lower()
        if _shouted(word) or (token.string.isupper() and _PRONOUNCEABLE.fullmatch(word))
        else word
    )


def _shouted(word: str) -> bool:
    """A word in capitals, which the voice would spell; what has no vowel is spelt for good."""
    return len(word) > 3 and word.isupper() and any(sign in _VOWELS for sign in word)


def _number(whole: str, decimals: str, language: Language) -> str:
    said = _figure(whole, language)
    return f"{said} {_POINT[language]} {_figure(decimals, language)}" if decimals else said


def _figure(figure: str, language: Language) -> str:
    """A number as one, if it is one: with a leading zero, or too long to be grasped, digit by digit."""
    digits = figure.replace(",", "")
    # A comma says that it was written to be read as a number; without one, six digits are a quantity.
    longest = len(str(MAX_NUMBER)) if "," in figure else 6
    if len(digits) > longest or (digits.startswith("0") and len(digits) > 1):
        return digits_in_words(digits, language)
    return cardinal(int(digits), language)


def _cut(text: str, limit: int) -> str:
    """Shorten to the last whole word within the limit."""
    if len(text) <= limit:
        return text
    head, space, _ = text[: limit + 1].rpartition(" ")
    return head if space else text[:limit]
