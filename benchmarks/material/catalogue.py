"""Which Debian packages hold speech and music, and which of their files are taken.

Everything here is in Debian's main section: real people reading prompts, playing roles and singing, and
whole albums. None of it holds a key tone.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SETS", "VOICES", "Source"]


@dataclass(frozen=True)
class Source:
    """Sound files of one package: those whose path a regular expression is found in."""

    package: str
    pattern: str = ""


_LANGUAGES = ("en", "es", "fr", "it", "ru")

# By name of a set. Sets differ in what makes a receiver err: careful prompts, the same through a GSM
# codec, acted voices, single words and syllables of many speakers, and three kinds of music.
SETS: dict[str, tuple[Source, ...]] = {
    "prompts": (
        *(Source(f"asterisk-core-sounds-{language}-wav") for language in _LANGUAGES),
        Source("asterisk-prompt-it-menardi-wav"),
        Source("asterisk-prompt-es-co"),
        Source("asterisk-prompt-fr-armelle"),
    ),
    "prompts-gsm": tuple(Source(f"asterisk-core-sounds-{language}-gsm") for language in _LANGUAGES),
    "dialogue": (
        Source("fillets-ng-data-cs"),
        Source("fillets-ng-data-nl"),
        Source("fillets-ng-data", r"/sound/"),
        Source("hedgewars-data", r"/voices/"),
        Source("pocketsphinx-testdata"),
    ),
    "words": (
        Source("tuxpaint-stamps-default"),
        Source("ktuberling-data"),
        Source("klettres-data"),
        Source("gcin-voice"),
    ),
    "hold-music": (Source("asterisk-moh-opsound-wav"), Source("asterisk-moh-opsound-gsm")),
    "game-music": (
        Source("fillets-ng-data", r"/music/"),
        Source("supertux-data", r"/music/"),
        Source("unknown-horizons", r"/music/"),
        Source("hyperrogue-music"),
        Source("singularity-music"),
        Source("planetblupi-music-ogg"),
        Source("drascula-music"),
        Source("marsshooter-data", r"/music/"),
        Source("asc-music"),
    ),
    "orchestra": (Source("wesnoth-1.16-music"), Source("wesnoth-1.18-music"), Source("ufoai-music")),
    "songs": (
        Source("fretsonfire-songs-muldjord"),
        Source("fretsonfire-songs-sectoid"),
        Source("warzone2100-music"),
        Source("nexuiz-music"),
    ),
}

# espeak-ng's names of its voices, and for each the locale that iso-codes has names of countries and
# languages in: real words to be read out.
VOICES: dict[str, str] = {
    "af": "af", "ar": "ar", "bg": "bg", "bn": "bn", "bs": "bs", "ca": "ca", "cmn": "zh_CN", "cs": "cs",
    "cy": "cy", "da": "da", "de": "de", "el": "el", "en-gb": "", "en-us": "", "en-gb-scotland": "",
    "eo": "eo", "es": "es", "es-419": "es", "et": "et", "eu": "eu", "fa": "fa", "fi": "fi", "fr-fr": "fr",
    "ga": "ga", "he": "he", "hi": "hi", "hr": "hr", "hu": "hu", "id": "id", "is": "is", "it": "it",
    "ka": "ka", "kk": "kk", "ko": "ko", "lt": "lt", "lv": "lv", "mk": "mk", "ms": "ms", "nb": "nb_NO",
    "nl": "nl", "pl": "pl", "pt": "pt", "pt-br": "pt_BR", "ro": "ro", "ru": "ru", "sk": "sk", "sl": "sl",
    "sq": "sq", "sr": "sr", "sv": "sv", "ta": "ta", "te": "te", "tr": "tr", "uk": "uk", "vi": "vi",
}  # fmt: skip
