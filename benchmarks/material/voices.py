"""Synthetic speech: espeak-ng reads numbers, amounts and real words in every language that it is asked for.

Such voices are unlike people's in what matters here: their harmonics stand still, and a monotone voice
holds two of them on a pair of keypad frequencies for as long as a vowel lasts.
"""

from __future__ import annotations

import gettext
import io
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping

import numpy as np
import soundfile

from material.packages import MaterialError, downloaded, members
from material.sound import to_8k
from material.store import Piece

__all__ = ["MADE_FROM", "read_out"]

MADE_FROM = "espeak-ng, iso-codes, texts of seed 5, 24 words\n"
_SEED = 5
_READINGS = 8  # per voice, each by another speaker
_WORDS = 24
_DOMAINS = ("iso_3166-1", "iso_639-2", "iso_4217")
_SPEAKERS = ("", "+m1", "+m3", "+m7", "+f1", "+f2", "+f4", "+croak", "+whisper", "+klatt2")
_TIMEOUT_S = 120


def read_out(voices: Mapping[str, str]) -> Iterator[Piece]:
    """Readings of about a minute by each of ``voices``: espeak-ng's name, and a locale of iso-codes.

    The texts are the same whenever they are made anew; the sound hangs on espeak-ng's version. Raises
    MaterialError if espeak-ng or the words cannot be had.
    """
    if shutil.which("espeak-ng") is None:
        raise MaterialError("espeak-ng is not installed (Debian: apt install espeak-ng)")
    words = _words(set(voices.values()) - {""})
    for voice, locale in voices.items():
        for reading in range(_READINGS):
            rng = random.Random(f"{_SEED} {voice} {reading}")
            text = _text(rng, words.get(locale) or words["en"])
            speaker = _SPEAKERS[rng.randrange(len(_SPEAKERS))]
            speed, pitch = rng.randrange(110, 221), rng.randrange(10, 91)
            wav = _spoken(f"{voice}{speaker}", speed, pitch, text)
            try:
                sound, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
            except soundfile.LibsndfileError as error:
                raise MaterialError(f"espeak-ng -v {voice}{speaker}: {error}") from error
            yield Piece(f"espeak-ng/{voice}/{reading}{speaker}", to_8k(np.asarray(sound), int(rate)))


def _words(locales: set[str]) -> dict[str, list[str]]:
    """Names of countries, languages and currencies by locale, and in English."""
    found: dict[str, list[str]] = {"en": []}
    path = re.compile(rf"/locale/([^/]+)/LC_MESSAGES/({'|'.join(_DOMAINS)})\.mo$")
    with downloaded("iso-codes") as deb:
        for name, content in members(deb, {".mo"}):
            match = path.search(name)
            if match is None or match[1] not in locales:
                continue
            catalogue = gettext.GNUTranslations(io.BytesIO(content))
            entries = catalogue._catalog  # type: ignore[attr-defined]  # the one way to list a catalogue
            for english, translated in sorted((k, v) for k, v in entries.items() if k and isinstance(k, str)):
                found.setdefault(match[1], []).append(translated)
                if match[1] == "es":
                    found["en"].append(english)
    if not found["en"]:
        raise MaterialError("iso-codes has no translations where they used to be")
    return found


def _text(rng: random.Random, words: list[str]) -> str:
    """Words with what a payment line says between them: amounts, dates, long numbers, single digits."""
    parts = []
    for _ in range(_WORDS):
        parts.append(rng.choice(words))
        kind = rng.randrange(5)
        if kind == 0:
            parts.append(f"{rng.randrange(1, 20000)}.{rng.randrange(100):02}")
        elif kind == 1:
            parts.append(" ".join(str(rng.randrange(10)) for _ in range(rng.randrange(3, 9))))
        elif kind == 2:
            parts.append(f"{rng.randrange(1, 29)}/{rng.randrange(1, 13)}/{rng.randrange(1950, 2040)}.")
    return ", ".join(parts)


def _spoken(voice: str, speed: int, pitch: int, text: str) -> bytes:
    """A WAV of the text."""
    command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdin", "--stdout"]
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise MaterialError(f"espeak-ng -v {voice}: {error}") from error
    return done.stdout
