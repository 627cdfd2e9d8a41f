"""What a caller hears: texts per language, amounts in words, the voice, and every phrase as sound."""

from ivr_sim.prompts.catalogue import (
    DEFAULT_LANGUAGE,
    LANGUAGES,
    BadPhrase,
    Catalogue,
    UnknownLanguage,
    UnknownPhrase,
)
from ivr_sim.prompts.library import Library
from ivr_sim.prompts.money import AmountError, amount_in_words
from ivr_sim.prompts.voice import PicoVoice, Voice, VoiceFailed, VoiceMissing
from ivr_sim.prompts.wording import digits_in_words

__all__ = [
    "DEFAULT_LANGUAGE",
    "LANGUAGES",
    "AmountError",
    "BadPhrase",
    "Catalogue",
    "Library",
    "PicoVoice",
    "UnknownLanguage",
    "UnknownPhrase",
    "Voice",
    "VoiceFailed",
    "VoiceMissing",
    "amount_in_words",
    "digits_in_words",
]
