"""The catalogue: what is said for a phrase, in one language.

A phrase's text is always whole sentences, so that its sound is rendered in one breath. How a parameter is
said depends on its name: ``amount`` (with ``currency``) as money in words, ``description`` and
``merchant`` cleaned of what cannot be said, ``authorization`` digit by digit, ``pressed`` as the key of a
keypad, ``milliseconds``, ``level`` and ``twist`` (both in dB) as whole numbers with their units. Any other
parameter (a reason, a code, a number of digits) only chooses among texts, and a value that no language
knows gets the phrase's general sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from ivr_sim.call import Param, Phrase
from ivr_sim.errors import IvrSimError
from ivr_sim.prompts import en_us, es_mx
from ivr_sim.prompts.money import Language, amount_in_words
from ivr_sim.prompts.template import Choice, Texts, fields_of, parameters_of
from ivr_sim.prompts.wording import (
    decibels_in_words,
    digits_in_words,
    key_in_words,
    milliseconds_in_words,
    spoken,
)

__all__ = ["DEFAULT_LANGUAGE", "LANGUAGES", "BadPhrase", "Catalogue", "UnknownLanguage", "UnknownPhrase"]

LANGUAGES: Mapping[str, Texts] = {"es-MX": es_mx.TEXTS, "en-US": en_us.TEXTS}
DEFAULT_LANGUAGE = "es-MX"

# What must be said as it is: no single recording can stand for it.
_SAID = {"amount", "authorization", "description", "level", "milliseconds", "pressed", "twist"}


class UnknownLanguage(IvrSimError, ValueError):
    """A language that has no texts; the message names those that have."""


class UnknownPhrase(IvrSimError):
    """A phrase that is not in the catalogue; ``nearest`` is the name it may have been meant for, or None."""

    def __init__(self, name: str, nearest: str | None) -> None:
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        super().__init__(f"no phrase is called {name!r}{meant}")
        self.name = name
        self.nearest = nearest


class BadPhrase(IvrSimError):
    """A phrase with a parameter missing, or with one that it does not take."""


class Catalogue:
    """All phrases of one language: their names, their texts, and which of them can be recorded beforehand.

    Raises UnknownLanguage.
    """

    def __init__(self, language: str = DEFAULT_LANGUAGE) -> None:
        if language not in LANGUAGES:
            raise UnknownLanguage(f"no prompts in {language!r}: known are {', '.join(sorted(LANGUAGES))}")
        self.language = language
        self._texts = LANGUAGES[language]
        self._words: Language = "en" if language.startswith("en") else "es"

    def names(self) -> tuple[str, ...]:
        """Every phrase's name, in the order of a call."""
        return tuple(self._texts)

    def text(self, phrase: Phrase) -> str:
        """What is said for a phrase.

        Raises UnknownPhrase, BadPhrase, and AmountError for an amount that cannot be said.
        """
        template = self._template(phrase.name)
        takes = parameters_of(template)
        if "amount" in takes:
            takes.add("currency")
        if surplus := sorted(phrase.params.keys() - takes):
            known = ", ".join(sorted(takes)) or "none"
            raise BadPhrase(f"phrase {phrase.name!r} takes no {', '.join(surplus)}; it takes: {known}")
        said = {name: self._say(name, value, phrase.params) for name, value in phrase.params.items()}
        text = template if isinstance(template, str) else template.text(said.get(template.by, ""))
        if missing := sorted(fields_of(text) - said.keys()):
            raise BadPhrase(f"phrase {phrase.name!r} needs {', '.join(missing)}")
        return text.format_map(said)

    def closed(self) -> dict[str, Phrase]:
        """Every phrase whose text is known beforehand, by its stem: ``ask_key``, ``bad_card.luhn``.

        The stem is the phrase's name, and the value that chose its text where there is one.
        """
        found: dict[str, Phrase] = {}
        for name, template in self._texts.items():
            if isinstance(template, str):
                if not fields_of(template):
                    found[name] = Phrase(name)
                continue
            if "" not in template.cases and not fields_of(template.otherwise):
                found[name] = Phrase(name)
            for value, text in template.cases.items():
                if not fields_of(text):
                    found[f"{name}.{value}" if value else name] = Phrase(
                        name, {template.by: value} if value else {}
                    )
        return found

    def recordable(self) -> tuple[str, ...]:
        """The stems for which a person's recording may stand in for the voice.

        A recording of ``NAME`` serves the phrase whatever its parameters, unless one for ``NAME.value``
        fits better; so a phrase that says an amount or a number is not among them.
        """
        whole = [name for name, template in self._texts.items() if not parameters_of(template) & _SAID]
        return tuple(
            dict.fromkeys([*whole, *(stem for stem in self.closed() if stem.split(".")[0] in whole)])
        )

    def stems(self, phrase: Phrase) -> tuple[str, ...]:
        """The stems under which a recording of a phrase is looked for, best first. Raises UnknownPhrase."""
        template = self._template(phrase.name)
        value = "" if isinstance(template, str) else str(phrase.params.get(template.by, ""))
        return (f"{phrase.name}.{value}", phrase.name) if value else (phrase.name,)

    def _template(self, name: str) -> str | Choice:
        template = self._texts.get(name)
        if template is None:
            raise UnknownPhrase(name, next(iter(get_close_matches(name, self._texts, n=1)), None))
        return template

    def _say(self, name: str, value: Param, params: Mapping[str, Param]) -> str:
        if name == "amount":
            if isinstance(value, int):
                raise BadPhrase(
                    "an amount is a Decimal or a text: an int leaves open whether cents are meant"
                )
            return amount_in_words(value, str(params.get("currency", "MXN")), self._words)
        if name == "authorization":
            return digits_in_words(str(value), self._words)
        if name in ("description", "merchant"):
            return spoken(str(value), self._words)
        if name == "pressed":
            return key_in_words(str(value), self._words)
        if name == "milliseconds":
            return milliseconds_in_words(int(value), self._words)
        if name in ("level", "twist"):
            return decibels_in_words(float(value), self._words)
        return str(value)
