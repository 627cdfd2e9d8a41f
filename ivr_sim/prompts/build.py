"""Render the prompts that ship: ``python -m ivr_sim.prompts.build``, after a text was changed.

Only what changed is rendered, since no two renderings of the engine are alike to the bit. ``--check``
renders nothing and exits 1 if anything is stale; ``--all`` renders everything anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import soundfile

from ivr_sim.media.g711 import SAMPLE_RATE
from ivr_sim.prompts.cache import sound_key
from ivr_sim.prompts.catalogue import LANGUAGES, Catalogue
from ivr_sim.prompts.shipped import ShippedPrompts
from ivr_sim.prompts.speaker import speak
from ivr_sim.prompts.voice import PICO_VOICES, pico_name

__all__ = ["main", "stale"]

DATA = Path(__file__).parent / "data"


def stale(language: str) -> tuple[list[str], list[str]]:
    """The stems whose shipped sound is missing or says another text, and those that nobody needs."""
    wanted = _keys(language)
    shipped = ShippedPrompts(language).stems
    old = [
        stem
        for stem, key in wanted.items()
        if shipped.get(stem) != key or not (DATA / language / f"{stem}.wav").is_file()
    ]
    on_disk = {path.stem for path in (DATA / language).glob("*.wav")}
    return old, sorted((on_disk | shipped.keys()) - wanted.keys())


def _keys(language: str) -> dict[str, str]:
    """Stem -> key of each text, once where several phrases have the same."""
    catalogue = Catalogue(language)
    voice = pico_name(language)
    stems: dict[str, str] = {}
    for stem, phrase in catalogue.closed().items():
        stems.setdefault(sound_key(language, voice, catalogue.text(phrase)), stem)
    return {stem: key for key, stem in stems.items()}


def _build(language: str, everything: bool) -> None:
    folder = DATA / language
    folder.mkdir(parents=True, exist_ok=True)
    catalogue = Catalogue(language)
    old, surplus = stale(language)
    wanted = _keys(language)
    texts = {stem: catalogue.text(phrase) for stem, phrase in catalogue.closed().items()}
    for stem in surplus:
        (folder / f"{stem}.wav").unlink(missing_ok=True)
    for stem in wanted if everything else old:
        sound = speak(texts[stem], PICO_VOICES[language])
        soundfile.write(folder / f"{stem}.wav", sound, SAMPLE_RATE, subtype="ULAW")
        print(f"{language} {stem}: {len(sound) / SAMPLE_RATE:.1f} s")
    index = {
        "voice": pico_name(language),
        "sounds": {stem: {"text": texts[stem], "key": key} for stem, key in wanted.items()},
    }
    (folder / "index.json").write_text(json.dumps(index, ensure_ascii=False, indent=1) + "\n", "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Render, or check; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ivr_sim.prompts.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="render nothing; exit 1 if anything is stale")
    parser.add_argument("--all", action="store_true", help="render everything anew")
    options = parser.parse_args(arguments)
    code = 0
    for language in LANGUAGES:
        if options.check:
            for stem in (*stale(language)[0], *stale(language)[1]):
                print(f"{language} {stem}: stale")
                code = 1
        else:
            _build(language, options.all)
    return code


if __name__ == "__main__":
    sys.exit(main())
