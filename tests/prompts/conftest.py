"""A voice that is no engine, a reactor that starts no process, awaiting without one; tapes of prompts."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import Clock

from ivr_sim.call import Phrase
from ivr_sim.media.g711 import PCMU, Codec, Samples
from ivr_sim.prompts import Catalogue, Library
from ivr_sim.prompts.hearing import Announced
from ivr_sim.prompts.shipped import ShippedPrompts


class FakeVoice:
    """Gives every text a sound of its own; says nothing until ``release`` while ``held``."""

    name = "fake-1"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.held = False
        self.error: Exception | None = None
        self._waiting: list[Deferred[None]] = []

    async def render(self, text: str) -> Any:
        self.texts.append(text)
        if self.held:
            gate: Deferred[None] = Deferred()
            self._waiting.append(gate)
            await gate
        if self.error is not None:
            raise self.error
        seed = sum(ord(sign) * i for i, sign in enumerate(text, 1)) % 5000
        return np.arange(seed, seed + 320, dtype=np.int16)

    def release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for gate in waiting:
            gate.callback(None)


class FakeProcess:
    """The transport of a child process that does only what the test says."""

    def __init__(self, protocol: Any, command: list[str]) -> None:
        self.protocol = protocol
        self.command = command
        self.written = b""
        self.killed = False
        self.stdin_closed = False
        self.exited = False

    def write(self, data: bytes) -> None:
        self.written += data

    def closeStdin(self) -> None:  # noqa: N802
        self.stdin_closed = True

    def signalProcess(self, name: str) -> None:  # noqa: N802
        if self.exited:
            raise ProcessExitedAlready
        assert name == "KILL"
        self.killed = True

    def exit(self) -> None:
        """Be gone, as Twisted tells it: the pipe first, then the process."""
        self.exited = True
        self.protocol.outConnectionLost()
        self.protocol.processEnded(None)


class FakeReactor(Clock):
    """Virtual time, and processes that are only written down."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.refuse: OSError | None = None

    def spawnProcess(self, protocol: Any, executable: str, args: list[str], env: Any = None) -> None:  # noqa: N802
        if self.refuse is not None:
            raise self.refuse
        process = FakeProcess(protocol, args)
        self.processes.append(process)
        protocol.makeConnection(process)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture
def voice() -> FakeVoice:
    return FakeVoice()


@pytest.fixture
def processes() -> FakeReactor:
    return FakeReactor()


@pytest.fixture
def library(catalogue: Catalogue, voice: FakeVoice, tmp_path: Path) -> Library:
    return Library(catalogue, voice, cache=tmp_path / "cache")


class Outcome:
    """What a coroutine that was started gave, so far."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.deferred = ensureDeferred(coroutine)
        self.deferred.addCallbacks(self._done, self._failed)

    def _done(self, value: Any) -> None:
        self.value = value

    def _failed(self, failure: Any) -> None:
        self.error = failure.value

    @property
    def pending(self) -> bool:
        return not self.deferred.called


@pytest.fixture
def begin() -> Callable[[Coroutine[Any, Any, Any]], Outcome]:
    """Starts a coroutine; its outcome can be looked at at any time."""
    return Outcome


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine that never has to wait, and gives its value or raises its error."""

    def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
        outcome = Outcome(coroutine)
        assert not outcome.pending, "it waits for something"
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    return finish


class Tape:
    """What an IVR said: prompts one after the other, each whole or cut, a pause behind each."""

    def __init__(self, sounds: dict[Phrase, Samples]) -> None:
        self.sounds = sounds
        self.announced: list[Announced] = []
        self._parts: list[Samples] = []
        self._length = 0

    def say(self, phrase: Phrase, cut: float | None = None, pause: float = 0.8) -> Tape:
        sound = self.sounds[phrase]
        start = self._length / 8000
        self.announced.append(Announced(phrase, start, None if cut is None else start + cut))
        self._add(sound if cut is None else sound[: round(cut * 8000)])
        return self.wait(pause)

    def wait(self, seconds: float) -> Tape:
        self._add(np.zeros(round(seconds * 50) * 160, np.int16))
        return self

    def _add(self, sound: Samples) -> None:
        self._parts.append(sound)
        self._length += len(sound)

    @property
    def sound(self) -> Samples:
        return np.concatenate(self._parts)


@pytest.fixture
def tape() -> type[Tape]:
    return Tape


def _shipped(language: str) -> dict[Phrase, Samples]:
    shipped = ShippedPrompts(language)
    sounds = {}
    for stem, phrase in Catalogue(language).closed().items():
        if stem in shipped.stems:
            sound = shipped.get(shipped.stems[stem])
            assert sound is not None
            sounds[phrase] = sound
    return sounds


@pytest.fixture(scope="session")
def spanish() -> dict[Phrase, Samples]:
    """Every prompt that ships in Mexican Spanish; each text once."""
    return _shipped("es-MX")


@pytest.fixture(scope="session")
def english() -> dict[Phrase, Samples]:
    """Every prompt that ships in English; each text once."""
    return _shipped("en-US")


@pytest.fixture
def over_a_line() -> Callable[..., Samples]:
    """What comes of a sound over a line: at a gain (dB), in white noise (dB below the speech), in G.711.

    lost: share of packets that were lost, silence in their place. ppm: how much slower the far clock goes.
    """

    def carry(
        sound: Samples,
        *,
        gain: float = 0.0,
        snr: float | None = None,
        lost: float = 0.0,
        ppm: float = 0.0,
        codec: Codec = PCMU,
        seed: int = 1,
    ) -> Samples:
        dice = np.random.default_rng(seed)
        wave = sound * 10 ** (gain / 20)
        if ppm:
            wave = np.interp(np.arange(0, len(wave) - 1, 1 - ppm * 1e-6), np.arange(len(wave)), wave)
        if snr is not None:
            power = np.mean(wave[np.abs(wave) > 30] ** 2)
            wave = wave + dice.normal(scale=np.sqrt(power * 10 ** (-snr / 10)), size=len(wave))
        heard = codec.decode(codec.encode(np.clip(np.rint(wave), -32768, 32767).astype(np.int16)))
        frames = heard[: len(heard) // 160 * 160].reshape(-1, 160)
        frames[dice.random(len(frames)) < lost] = 0
        return heard

    return carry
