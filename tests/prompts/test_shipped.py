"""The prompts that ship: up to date, well made, and plausible to the ear, so far as numbers tell."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest
import soundfile

import dtmf
from ivr_sim.call import phrase
from ivr_sim.media.g711 import PCMA
from ivr_sim.prompts import LANGUAGES, Catalogue, build
from ivr_sim.prompts.cache import sound_key
from ivr_sim.prompts.shipped import ShippedPrompts
from ivr_sim.prompts.voice import pico_name

DATA = files("ivr_sim.prompts") / "data"
SHIPPED = {language: ShippedPrompts(language) for language in LANGUAGES}
TEXTS = {
    language: {
        stem: entry["text"]
        for stem, entry in json.loads((DATA / language / "index.json").read_text("utf-8"))["sounds"].items()
    }
    for language in LANGUAGES
}
each_sound = pytest.mark.parametrize(
    ("language", "stem"), [(language, stem) for language in LANGUAGES for stem in sorted(TEXTS[language])]
)


def sound_of(language: str, stem: str) -> np.ndarray:
    sound = SHIPPED[language].get(SHIPPED[language].stems[stem])
    assert sound is not None
    return sound


def test_nothing_is_stale() -> None:
    """After a text was changed: python -m ivr_sim.prompts.build."""
    assert [build.stale(language) for language in LANGUAGES] == [([], [])] * 2
    assert build.main(["--check"]) == 0


def test_a_changed_text_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Catalogue.text
    monkeypatch.setattr(
        Catalogue,
        "text",
        lambda self, said: original(self, said) + (" Ya." if said.name == "goodbye" else ""),
    )
    assert build.stale("es-MX") == (["goodbye"], [])
    assert build.main(["--check"]) == 1
    assert capsys.readouterr().out == "es-MX goodbye: stale\nen-US goodbye: stale\n"


def test_a_phrase_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Catalogue.closed
    monkeypatch.setattr(
        Catalogue, "closed", lambda self: {k: v for k, v in original(self).items() if k != "goodbye"}
    )
    assert build.stale("es-MX") == ([], ["goodbye"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_closed_phrase_ships(language: str) -> None:
    catalogue, shipped, voice = Catalogue(language), SHIPPED[language], pico_name(language)
    assert shipped.voice == voice
    for said in catalogue.closed().values():
        assert shipped.get(sound_key(language, voice, catalogue.text(said))) is not None
    assert shipped.get(sound_key(language, voice, "Otra cosa.")) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_index_holds_the_texts(language: str) -> None:
    catalogue = Catalogue(language)
    closed = catalogue.closed()
    assert {stem: catalogue.text(closed[stem]) for stem in SHIPPED[language].stems} == TEXTS[language]
    assert TEXTS[language]["ask_key"] == catalogue.text(phrase("ask_key"))


def test_size_and_licence() -> None:
    assert {entry.name for entry in DATA.iterdir() if entry.is_dir()} == set(LANGUAGES)
    for language in LANGUAGES:
        assert sum(len(entry.read_bytes()) for entry in (DATA / language).iterdir()) < 2_500_000
    assert "SVOX" in (DATA / "NOTICE").read_text("utf-8")
    assert "Apache License" in (DATA / "LICENSE-APACHE-2.0.txt").read_text("utf-8")


def test_a_language_that_ships_nothing() -> None:
    nothing = ShippedPrompts("xx-XX")
    assert nothing.voice is None
    assert nothing.stems == {}
    assert nothing.get("0" * 64) is None


@each_sound
def test_the_sound_is_well_made(language: str, stem: str) -> None:
    with (DATA / language / f"{stem}.wav").open("rb") as file:
        info = soundfile.info(file)
    assert (info.samplerate, info.channels, info.subtype) == (8000, 1, "ULAW")

    sound = sound_of(language, stem)
    wave = sound / 32768
    assert sound.dtype == np.int16
    assert len(sound) % 160 == 0
    # Never clipped, and headroom left for what a line adds.
    assert np.abs(wave).max() <= 0.9
    assert abs(wave.mean()) < 0.01
    # The level of what is spoken, by the frames within 15.9 dB of it.
    power = (wave.reshape(-1, 160) ** 2).mean(axis=1)
    heard = power[power > 1e-5]
    level = 10 * np.log10(heard[heard > heard.mean() * 10**-1.59].mean())
    assert level == pytest.approx(-20, abs=0.5)
    # 40 ms of silence before, 160 to 180 ms after, and speech right at both.
    assert not power[:2].max() > 1e-7
    assert not power[-8:].max() > 1e-7
    assert power[2:8].max() > 1e-4
    assert power[-19:-8].max() > 1e-5


@each_sound
def test_its_length_suits_its_text(language: str, stem: str) -> None:
    """Both are read aloud at 12 to 17 characters a second: much less or more would be no speech."""
    spoken = len(sound_of(language, stem)) / 8000 - 0.2
    assert 10 < len(TEXTS[language][stem]) / spoken < 19


@each_sound
def test_it_fills_the_telephone_band_and_keeps_within_it(language: str, stem: str) -> None:
    wave = sound_of(language, stem) / 32768
    spectrum = np.abs(np.fft.rfft(wave)) ** 2
    hertz = np.fft.rfftfreq(len(wave), 1 / 8000)
    share = {
        (low, high): spectrum[(hertz >= low) & (hertz < high)].sum() / spectrum.sum()
        for low, high in ((80, 1000), (1000, 2000), (2000, 3600), (3850, 4001))
    }
    assert share[80, 1000] > 0.3
    assert share[1000, 2000] > 2e-4
    assert share[2000, 3600] > 2e-4
    assert share[3850, 4001] < 1e-3


@each_sound
def test_no_prompt_sounds_like_a_key(language: str, stem: str) -> None:
    """The caller's telephone echoes prompts back: not one may be taken for a key, at any level."""
    sound = sound_of(language, stem)
    for heard in (sound, PCMA.decode(PCMA.encode(sound)), (sound // 8).astype(np.int16)):
        assert dtmf.decode((heard / 32768).astype(np.float32), 8000) == []
