"""The prompts that ship rendered: every sentence that is known beforehand, as WAV files.

``data/LANGUAGE/index.json`` says for each file which text it holds, and under which key; a text that was
changed since has another key, so that a stale sound is never played. Phrases with the same text share a
file.
"""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np

from ivr_sim.media.g711 import SAMPLE_RATE, Samples

__all__ = ["ShippedPrompts"]


class ShippedPrompts:
    """What ships in one language; none at all in a language without a folder.

    voice: the name of the voice that said them, or None. stems: stem of the file -> key of its text.
    """

    def __init__(self, language: str) -> None:
        self._folder = files("ivr_sim.prompts") / "data" / language
        index = self._folder / "index.json"
        known = json.loads(index.read_text("utf-8")) if index.is_file() else {"voice": None, "sounds": {}}
        self.voice: str | None = known["voice"]
        self.stems: dict[str, str] = {stem: entry["key"] for stem, entry in known["sounds"].items()}
        self._stem_of = {key: stem for stem, key in self.stems.items()}

    def get(self, key: str) -> Samples | None:
        """The sound of a text's key: int16, 8 kHz; None if it does not ship."""
        import soundfile  # a tenth of a second, and many who import us never play a prompt

        stem = self._stem_of.get(key)
        if stem is None:
            return None
        with (self._folder / f"{stem}.wav").open("rb") as file:
            sound, rate = soundfile.read(file, dtype="int16")
        if rate != SAMPLE_RATE or sound.ndim != 1:
            raise ValueError(f"shipped prompt {stem}.wav is not mono at {SAMPLE_RATE} Hz")
        return np.asarray(sound, np.int16)
