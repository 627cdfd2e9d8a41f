"""What the child process does with a text and with the engine's samples."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ivr_sim.prompts import speaker
from ivr_sim.prompts.speaker import HEADER, narrowband, respelt, trimmed, with_level


def tone(hertz: float, seconds: float, rate: int, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def gain_db(hertz: float, heard_at: float) -> float:
    """What the way to 8 kHz makes of a tone, looked for at a frequency of the result."""
    out = narrowband((tone(hertz, 1, 16000) * 32767).astype(np.int16))[2000:6000]
    probe = np.exp(-2j * np.pi * heard_at * np.arange(len(out)) / 8000)
    return float(20 * np.log10(abs(out @ probe) / len(out) * 2 / 0.5))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Gracias por marcar el cinco.", "Grasias por marcar el sinco."),
        ("CINCO CERO", "SINCO SERO"),
        ("Cien, ciento; once, doce", "Sien, siento; onse, dose"),
        ("piscina, escena", "pisina, esena"),
        ("acción, dirección, excelente", "acsión, direcsión, exelente"),
        ("rechazado, plaza, Zapata, ZONA", "rechasado, plasa, Sapata, SONA"),
        ("carta, cuota, Cuenca, clave", "carta, cuota, Cuenca, clave"),
        ("feliz capaz Veracruz", "felís capás Veracrús"),
        ("diez, vez", "diés, vés"),
        ("lápiz, Pérez", "lápis, Péres"),
        ("", ""),
    ],
)
def test_castilian_is_respelt_as_mexican(text: str, said: str) -> None:
    assert respelt(text, "es-ES") == said
    assert respelt(text, "en-US") == text


@pytest.mark.parametrize("hertz", [150, 300, 697, 1000, 1633, 2500, 3000, 3400])
def test_the_telephone_band_passes(hertz: float) -> None:
    assert abs(gain_db(hertz, hertz)) < 0.2


@pytest.mark.parametrize("hertz", [4100, 4500, 5000, 6000, 7000, 7900])
def test_nothing_is_folded_into_it(hertz: float) -> None:
    assert gain_db(hertz, 8000 - hertz) < -65


def test_silence_is_cut_to_a_set_pause() -> None:
    rng = np.random.default_rng(1)
    speech = rng.normal(0, 0.1, 8000)
    sound = np.concatenate([np.zeros(4000), speech, rng.normal(0, 1e-4, 8000)])
    cut = trimmed(sound)
    assert len(cut) % 160 == 0
    assert not cut[: speaker.LEAD].any()
    assert not cut[-speaker.TAIL :].any()
    assert len(speech) <= len(cut) - speaker.LEAD - speaker.TAIL <= len(speech) + 3 * 160
    inside = cut[speaker.LEAD + 160 : speaker.LEAD + 160 + 7000]
    start = int(np.flatnonzero(np.isclose(sound, inside[0], atol=1e-12))[0])
    np.testing.assert_allclose(inside, sound[start : start + 7000])


@pytest.mark.parametrize("nothing", [np.zeros(0), np.zeros(8000), np.full(8000, 1e-4)])
def test_a_sound_without_speech_is_an_error(nothing: np.ndarray) -> None:
    with pytest.raises(ValueError, match="said nothing"):
        trimmed(nothing)


@pytest.mark.parametrize("amplitude", [0.01, 0.1, 0.9])
def test_the_level_of_what_is_spoken(amplitude: float) -> None:
    """A sine has its level to within rounding, however much silence stands around it."""
    out = with_level(np.concatenate([np.zeros(8000), tone(440, 1, 8000, amplitude), np.zeros(8000)]))
    assert out.dtype == np.int16
    level = 10 * np.log10(((out[8000:16000] / 32768.0) ** 2).mean())
    assert level == pytest.approx(-20, abs=0.05)


def test_a_peaky_sound_is_lowered_rather_than_clipped() -> None:
    sound = tone(440, 1, 8000, 0.05)
    sound[4000] = 0.9
    out = with_level(sound)
    assert np.abs(out.astype(int)).max() == round(0.89 * 32767)
    assert (np.abs(out.astype(int)) > 20000).sum() == 1


def replies(*lines: bytes) -> list[tuple[bytes, bytes]]:
    out = io.BytesIO()
    speaker.serve(io.BytesIO(b"".join(lines)), out)
    data, found = out.getvalue(), []
    while data:
        status, length = HEADER.unpack_from(data)
        found.append((status, data[HEADER.size : HEADER.size + length]))
        data = data[HEADER.size + length :]
    return found


def test_requests_are_answered_in_order_and_errors_are_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def speak(text: str, voice: str) -> np.ndarray:
        if text == "mal":
            raise ValueError("nada: ñ")
        return np.arange(len(text), dtype=np.int16)

    monkeypatch.setattr(speaker, "speak", speak)
    asked = [json.dumps({"text": text, "voice": "es-ES"}).encode() + b"\n" for text in ("hola", "mal", "sí")]
    found = replies(asked[0], b"garbage\n", b"[]\n", b'{"text": 1}\n', b"\xff\n", b"\n", *asked[1:])
    assert [status for status, _ in found] == [b"S", *[b"E"] * 6, b"S"]
    assert found[0][1] == np.arange(4, dtype="<i2").tobytes()
    assert found[6][1].decode() == "ValueError: nada: ñ"
    assert found[7][1] == np.arange(2, dtype="<i2").tobytes()


def test_no_request_no_reply() -> None:
    assert replies() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="texts are said by one process here")
def test_what_a_text_sounds_like_does_not_depend_on_what_was_said_before():
    pytest.importorskip("py_nanotts")
    text = "El número de autorización es: ocho, seis, cinco, nueve, tres, nueve."

    def said(*texts: str) -> bytes:
        lines = "".join(json.dumps({"text": one, "voice": "es-ES"}) + "\n" for one in texts)
        done = subprocess.run(
            [sys.executable, speaker.__file__], input=lines.encode(), capture_output=True, timeout=60
        )
        return done.stdout

    alone = said(text)
    assert alone[:1] == b"S"
    assert said("Usted pagará doscientos pesos.", "Gracias por llamar.", text).endswith(alone)
