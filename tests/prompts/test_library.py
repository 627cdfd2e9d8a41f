"""Where a phrase's sound comes from, and that nothing is rendered twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from twisted.internet.defer import CancelledError

from ivr_sim.call import phrase
from ivr_sim.errors import ConfigurationError
from ivr_sim.prompts import (
    LANGUAGES,
    AmountError,
    BadPhrase,
    Catalogue,
    Library,
    UnknownPhrase,
    VoiceFailed,
    VoiceMissing,
)
from ivr_sim.prompts.shipped import ShippedPrompts

AMOUNT = phrase("amount", amount="200.00", description="Cargo IVR")


def test_a_new_text_is_rendered_once_and_then_at_hand(library: Library, voice: Any, run: Any) -> None:
    with pytest.raises(VoiceMissing, match="amount"):
        library.sound_now(AMOUNT)
    first = run(library.sound(AMOUNT))
    assert voice.texts == ["Va a pagar doscientos pesos. Concepto: Cargo IVR."]
    assert first.dtype == np.int16
    assert first.ndim == 1
    assert not first.flags.writeable
    assert run(library.sound(AMOUNT)) is first
    assert library.sound_now(AMOUNT) is first
    assert len(voice.texts) == 1


def test_the_cache_serves_other_libraries_to_the_sample(
    catalogue: Catalogue, voice: Any, tmp_path: Path, run: Any, library: Library
) -> None:
    first = run(library.sound(AMOUNT))
    second = Library(catalogue, voice, cache=tmp_path / "cache").sound_now(AMOUNT)
    np.testing.assert_array_equal(first, second)
    assert not second.flags.writeable
    assert len(voice.texts) == 1


def test_a_damaged_cache_is_mended(
    catalogue: Catalogue, voice: Any, tmp_path: Path, run: Any, library: Library
) -> None:
    first = run(library.sound(AMOUNT))
    (path,) = (tmp_path / "cache").rglob("*.sound")
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    np.testing.assert_array_equal(
        run(Library(catalogue, voice, cache=tmp_path / "cache").sound(AMOUNT)), first
    )
    assert len(voice.texts) == 2
    assert path.read_bytes() == whole


def test_another_voice_or_text_is_another_sound(
    catalogue: Catalogue, voice: Any, tmp_path: Path, run: Any, library: Library
) -> None:
    run(library.sound(AMOUNT))
    run(library.sound(phrase("amount", amount="200.01", description="Cargo IVR")))
    voice.name = "fake-2"
    run(Library(catalogue, voice, cache=tmp_path / "cache").sound(AMOUNT))
    assert len(voice.texts) == 3


def test_who_asks_at_once_shares_one_rendering(
    library: Library, voice: Any, begin: Callable[..., Any]
) -> None:
    voice.held = True
    outcomes = [begin(library.sound(AMOUNT)) for _ in range(5)]
    other = begin(library.sound(phrase("amount", amount="1", description="Cargo IVR")))
    assert len(voice.texts) == 2
    voice.release()
    assert all(outcome.value is outcomes[0].value for outcome in outcomes)
    assert other.value is not None
    assert other.value is not outcomes[0].value


def test_one_who_waits_may_be_cancelled(library: Library, voice: Any, begin: Callable[..., Any]) -> None:
    voice.held = True
    first, second = begin(library.sound(AMOUNT)), begin(library.sound(AMOUNT))
    first.deferred.cancel()
    assert isinstance(first.error, CancelledError)
    assert second.pending
    voice.release()
    assert second.value is library.sound_now(AMOUNT)


def test_a_failure_reaches_all_and_is_not_kept(
    library: Library, voice: Any, begin: Callable[..., Any], run: Any
) -> None:
    voice.held, voice.error = True, VoiceFailed("hoarse")
    outcomes = [begin(library.sound(AMOUNT)) for _ in range(2)]
    voice.release()
    assert all(isinstance(outcome.error, VoiceFailed) for outcome in outcomes)
    voice.held, voice.error = False, None
    assert len(run(library.sound(AMOUNT))) == 320


def test_without_a_voice_what_ships_is_heard(catalogue: Catalogue, tmp_path: Path, run: Any) -> None:
    library = Library(catalogue, cache=tmp_path)
    for said in catalogue.closed().values():
        sound = run(library.sound(said))
        assert library.sound_now(said) is sound
        assert len(sound) > 4000
        assert not sound.flags.writeable
    with pytest.raises(VoiceMissing, match="amount"):
        run(library.sound(AMOUNT))
    assert list(tmp_path.iterdir()) == []


def test_without_a_voice_what_that_voice_cached_is_heard(
    catalogue: Catalogue, voice: Any, tmp_path: Path, run: Any
) -> None:
    voice.name = ShippedPrompts("es-MX").voice
    first = run(Library(catalogue, voice, cache=tmp_path).sound(AMOUNT))
    np.testing.assert_array_equal(run(Library(catalogue, cache=tmp_path).sound(AMOUNT)), first)


def test_what_ships_is_not_mixed_with_another_voice(library: Library, voice: Any, run: Any) -> None:
    run(library.sound(phrase("ask_key")))
    assert len(voice.texts) == 1


def test_a_library_speaks_its_own_language(voice: Any, tmp_path: Path, run: Any) -> None:
    voice.name = ShippedPrompts("en-US").voice  # what both languages say may come from one cache
    spanish, english = (Library(Catalogue(language), voice, cache=tmp_path) for language in LANGUAGES)
    assert len(run(english.sound(phrase("ask_key")))) > 4000  # shipped
    sounds = [run(library.sound(AMOUNT)) for library in (spanish, english, english)]
    assert voice.texts == [
        "Va a pagar doscientos pesos. Concepto: Cargo IVR.",
        "You are about to pay two hundred pesos. Description: Cargo IVR.",
    ]
    assert sounds[1] is sounds[2]
    assert not np.array_equal(sounds[0], sounds[1])


def test_recordings_come_first(catalogue: Catalogue, voice: Any, tmp_path: Path, run: Any) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    for number, name in enumerate(("ask_key", "welcome", "bad_card", "bad_card.luhn"), 1):
        soundfile.write(folder / f"{name}.wav", np.full(200, number, np.int16), 8000)
    library = Library(catalogue, voice, cache=tmp_path / "cache", overrides=folder)
    said = {
        phrase("ask_key"): 1,
        phrase("welcome", merchant="Tienda Demo"): 2,
        phrase("welcome"): 2,
        phrase("bad_card", reason="luhn"): 4,
        phrase("bad_card", reason="empty"): 3,
    }
    for what, number in said.items():
        assert set(run(library.sound(what)).tolist()) == {number}
        assert set(library.sound_now(what).tolist()) == {number}
    assert voice.texts == []
    run(library.sound(phrase("goodbye")))
    assert len(voice.texts) == 1


def test_a_bad_folder_of_recordings_is_told_at_once(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        Library(catalogue, cache=tmp_path, overrides=tmp_path / "nowhere")


def test_memory_is_bounded(catalogue: Catalogue, voice: Any, tmp_path: Path, run: Any) -> None:
    library = Library(catalogue, voice, cache=tmp_path, memory=2000)  # three sounds of 640 bytes
    sounds = [run(library.sound(phrase("amount", amount=str(n)))) for n in range(1, 6)]
    assert run(library.sound(phrase("amount", amount="5"))) is sounds[4]
    assert run(library.sound(phrase("amount", amount="3"))) is sounds[2]
    assert run(library.sound(phrase("amount", amount="1"))) is not sounds[0]
    assert run(library.sound(phrase("amount", amount="3"))) is sounds[2]
    assert run(library.sound(phrase("amount", amount="4"))) is not sounds[3]
    assert len(voice.texts) == 5


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (phrase("amuont"), UnknownPhrase),
        (phrase("amount"), BadPhrase),
        (phrase("amount", amount="0"), AmountError),
    ],
)
def test_mistakes_are_raised_before_anything_is_rendered(
    library: Library, voice: Any, run: Any, said: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        run(library.sound(said))
    with pytest.raises(error):
        library.sound_now(said)
    assert voice.texts == []
