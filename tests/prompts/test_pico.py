"""The real voice in its child process, on the real reactor."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivr_sim.call import phrase
from ivr_sim.prompts import Catalogue, Library, PicoVoice, VoiceFailed

pytest.importorskip("py_nanotts")

SENTENCE = "Va a pagar doscientos pesos con cincuenta centavos."


@pytest.fixture
def reactor() -> Any:
    from twisted.internet import reactor

    return reactor


def test_it_says_sentences_and_ends(on_reactor: Callable[..., Any], reactor: Any) -> None:
    async def talk() -> list[Any]:
        voice = PicoVoice(reactor)
        try:
            return [await voice.render(text) for text in (SENTENCE, SENTENCE, "No.")]
        finally:
            await voice.stop()

    first, again, short = on_reactor(talk)
    for sound in (first, again, short):
        assert sound.dtype == np.int16
        assert len(sound) % 160 == 0
        assert 2000 < np.abs(sound.astype(int)).max() < 30000
    assert 2 < len(first) / 8000 < 6
    # The engine is not exact to the bit, but says the same.
    assert len(again) == pytest.approx(len(first), rel=0.05)
    assert len(short) < len(first) / 2


def test_what_cannot_be_said_fails_and_the_voice_goes_on(
    on_reactor: Callable[..., Any], reactor: Any
) -> None:
    async def talk() -> Any:
        voice = PicoVoice(reactor)
        try:
            with pytest.raises(VoiceFailed, match="said nothing"):
                await voice.render("")
            with pytest.raises(VoiceFailed):
                await voice.render("\ud800")
            return await voice.render("Hola.")
        finally:
            await voice.stop()

    assert len(on_reactor(talk)) > 2000


def test_a_child_that_dies_is_replaced(on_reactor: Callable[..., Any], reactor: Any, tmp_path: Path) -> None:
    """A stand-in that dies over its first request, remembers that in a file, and answers the next."""
    program = """
import os, struct, sys
sys.stdin.readline()
try:
    os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))
except FileExistsError:
    sys.stdout.buffer.write(struct.pack("!cI", b"S", 4) + bytes([1, 0, 2, 0]))
    sys.stdout.flush()
    sys.stdin.read()
else:
    os._exit(139)
"""

    async def talk() -> Any:
        voice = PicoVoice(reactor, command=[sys.executable, "-c", program, str(tmp_path / "died")])
        try:
            return await voice.render("Hola.")
        finally:
            await voice.stop()

    assert on_reactor(talk).tolist() == [1, 2]


def test_the_library_speaks_amounts(on_reactor: Callable[..., Any], reactor: Any, tmp_path: Path) -> None:
    said = phrase("amount", amount="1250.30", description="Pedido 45", currency="MXN")

    async def talk() -> Any:
        voice = PicoVoice(reactor)
        try:
            return await Library(Catalogue(), voice, cache=tmp_path).sound(said)
        finally:
            await voice.stop()

    sound = on_reactor(talk)
    assert 3 < len(sound) / 8000 < 12
    np.testing.assert_array_equal(Library(Catalogue(), cache=tmp_path).sound_now(said), sound)
