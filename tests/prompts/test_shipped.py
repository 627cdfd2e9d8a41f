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
from ivr_sim.prompts import Catalogue, build
from ivr_sim.prompts.cache import sound_key
from ivr_sim.prompts.shipped import ShippedPrompts
from ivr_sim.prompts.voice import pico_name

SHIPPED = ShippedPrompts("es-MX")
STEMS = sorted(SHIPPED.stems)
DATA = files("ivr_sim.prompts") / "data"
TEXTS = {
    stem: entry["text"]
    for stem, entry in json.loads((DATA / "es-MX" / "index.json").read_text("utf-8"))["sounds"].items()
}


def sound_of(stem: str) -> np.ndarray:
    sound = SHIPPED.get(SHIPPED.stems[stem])
    assert sound is not None
    return sound


def test_nothing_is_stale() -> None:
    """After a text was changed: python -m ivr_sim.prompts.build."""
    assert build.stale("es-MX") == ([], [])
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
    assert capsys.readouterr().out == "es-MX goodbye: stale\n"


def test_a_phrase_that_is_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Catalogue.closed
    monkeypatch.setattr(
        Catalogue, "closed", lambda self: {k: v for k, v in original(self).items() if k != "goodbye"}
    )
    assert build.stale("es-MX") == ([], ["goodbye"])


def test_every_closed_phrase_ships(catalogue: Catalogue) -> None:
    assert SHIPPED.voice == pico_name("es-MX")
    for said in catalogue.closed().values():
        assert SHIPPED.get(sound_key("es-MX", pico_name("es-MX"), catalogue.text(said))) is not None
    assert SHIPPED.get(sound_key("es-MX", pico_name("es-MX"), "Otra cosa.")) is None


def test_the_index_holds_the_texts(catalogue: Catalogue) -> None:
    closed = catalogue.closed()
    assert {stem: catalogue.text(closed[stem]) for stem in STEMS} == TEXTS
    assert TEXTS["ask_key"] == catalogue.text(phrase("ask_key"))


def test_size_and_licence() -> None:
    assert sum(len(entry.read_bytes()) for entry in (DATA / "es-MX").iterdir()) < 2_000_000
    assert "SVOX" in (DATA / "NOTICE").read_text("utf-8")
    assert "Apache License" in (DATA / "LICENSE-APACHE-2.0.txt").read_text("utf-8")


def test_a_language_that_ships_nothing() -> None:
    nothing = ShippedPrompts("xx-XX")
    assert nothing.voice is None
    assert nothing.stems == {}
    assert nothing.get("0" * 64) is None


@pytest.mark.parametrize("stem", STEMS)
def test_the_sound_is_well_made(stem: str) -> None:
    with (DATA / "es-MX" / f"{stem}.wav").open("rb") as file:
        info = soundfile.info(file)
    assert (info.samplerate, info.channels, info.subtype) == (8000, 1, "ULAW")

    sound = sound_of(stem)
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


@pytest.mark.parametrize("stem", STEMS)
def test_its_length_suits_its_text(stem: str) -> None:
    """Spanish is read aloud at 12 to 17 characters a second: much less or more would be no speech."""
    spoken = len(sound_of(stem)) / 8000 - 0.2
    assert 10 < len(TEXTS[stem]) / spoken < 19


@pytest.mark.parametrize("stem", STEMS)
def test_it_fills_the_telephone_band_and_keeps_within_it(stem: str) -> None:
    wave = sound_of(stem) / 32768
    spectrum = np.abs(np.fft.rfft(wave)) ** 2
    hertz = np.fft.rfftfreq(len(wave), 1 / 8000)
    share = {
        (low, high): spectrum[(hertz >= low) & (hertz < high)].sum() / spectrum.sum()
        for low, high in ((80, 1000), (1000, 2000), (2000, 3600), (3850, 4001))
    }
    assert share[80, 1000] > 0.3
    assert share[1000, 2000] > 1e-3
    assert share[2000, 3600] > 2e-4
    assert share[3850, 4001] < 1e-3


@pytest.mark.parametrize("stem", STEMS)
def test_no_prompt_sounds_like_a_key(stem: str) -> None:
    """The caller's telephone echoes prompts back: not one may be taken for a key, at any level."""
    sound = sound_of(stem)
    for heard in (sound, PCMA.decode(PCMA.encode(sound)), (sound // 8).astype(np.int16)):
        assert dtmf.decode((heard / 32768).astype(np.float32), 8000) == []
