"""The words that a file about calls may use: outcomes, entries, prompts, events, cards.

They are what the dialogues, the catalogue, the journal and the bank have. Whoever writes another word is told
which may have been meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from ivr_sim import journal
from ivr_sim.dialogue import TRIED, Outcome
from ivr_sim.openpay import TEST_CARDS
from ivr_sim.prompts import DEFAULT_LANGUAGE, LANGUAGES
from ivr_sim.prompts.template import parameters_of

__all__ = [
    "CARDS",
    "ENTRIES",
    "EVENTS",
    "OUTCOMES",
    "PARAMETERS",
    "PROMPTS",
    "SECRET_ENTRIES",
    "CardName",
    "OutcomeName",
    "PromptName",
    "known",
    "nearest",
    "shown",
]

# What the dialogues ask for; what is secret is in no journal, so nothing can be expected of it.
ENTRIES = ("payment_key", "accept", "another_card", "keypad")
SECRET_ENTRIES = ("card_number", "expiry", "cvv")
OUTCOMES = (*map(str, Outcome), TRIED)
CARDS = tuple(card.name for card in TEST_CARDS)
# What may be heard, and what each prompt says; amounts come with their currency.
PARAMETERS: Mapping[str, set[str]] = {
    name: parameters_of(text) | ({"currency"} if "amount" in parameters_of(text) else set())
    for name, text in LANGUAGES[DEFAULT_LANGUAGE].items()
}
PROMPTS = tuple(PARAMETERS)
EVENTS: Mapping[str, tuple[str, ...]] = {
    kind.__name__: tuple(f.name.rstrip("_") for f in fields(kind)) for kind in journal.Event.__subclasses__()
}
# More digits in a row than an order's number is likely to have; they could be a card's.
_LONG_NUMBER = re.compile(r"\d{12,}")


def nearest(word: str, words: Iterable[str]) -> str:
    """The end of a sentence: which of ``words`` may have been meant, or which there are."""
    words = list(words)
    found = get_close_matches(word, words, n=1, cutoff=0.6)
    if found:
        return f"did you mean {found[0]}?"
    return f"known are {', '.join(words)}" if words else "there are none"


def known(what: str, word: str, words: Iterable[str]) -> str:
    """``word``, if it is one of ``words``. Raises ValueError that says which may have been meant."""
    words = list(words)
    if word not in words:
        raise ValueError(f"there is no {what} {shown(word)}; {nearest(word, words)}")
    return word


def shown(value: Any) -> str:
    """A value as it may be shown: short, and without what could be a card's number."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = _LONG_NUMBER.sub(lambda digits: f"<{len(digits[0])} digits>", str(value))
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _one_of(what: str, words: tuple[str, ...]) -> AfterValidator:
    return AfterValidator(lambda word: known(what, word, words))


def _listed(words: tuple[str, ...]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(words)})


PromptName = Annotated[str, _one_of("prompt", PROMPTS), _listed(PROMPTS)]
CardName = Annotated[str, _one_of("test card", CARDS), _listed(CARDS)]
OutcomeName = Annotated[str, _one_of("outcome", OUTCOMES), _listed(OUTCOMES)]
