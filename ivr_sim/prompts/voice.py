"""The voice: text to sound, in a child process, so that the process that carries calls never waits."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from ivr_sim.errors import IvrSimError
from ivr_sim.media.g711 import Samples
from ivr_sim.prompts import speaker

__all__ = ["PICO_VOICES", "PicoVoice", "Voice", "VoiceFailed", "VoiceMissing", "pico_name"]

log = structlog.get_logger(__name__)

# Language -> the engine's voice. The Spanish one is Castilian; the speaker respells for it.
PICO_VOICES = {"es-MX": "es-ES", "en-US": "en-US"}

MAX_TEXT = 2000  # characters; the longest sentence of the catalogue has a quarter of that
MAX_SOUND = 10_000_000  # bytes: ten minutes
MAX_WAITING = 1000
TRIES = 2
PARTING = 2.0  # seconds that the child has to end by itself when it is asked to


class VoiceMissing(IvrSimError):
    """There is no voice to say a text that was never rendered."""


class VoiceFailed(IvrSimError):
    """The voice could not say a text."""


class Voice(Protocol):
    """Who says a text."""

    @property
    def name(self) -> str:
        """What tells this voice's sounds from any other's, its version included."""
        ...

    async def render(self, text: str) -> Samples:
        """Say a text: int16, shape (n,), 8 kHz. Raises VoiceMissing, VoiceFailed."""
        ...


def pico_name(language: str) -> str:
    """The name under which the sounds of SVOX Pico are kept. Raises VoiceMissing."""
    if language not in PICO_VOICES:
        raise VoiceMissing(f"SVOX Pico has no voice for {language}: known are {', '.join(PICO_VOICES)}")
    return f"pico-{PICO_VOICES[language]}-{speaker.EDITION}"


class _Request:
    def __init__(self, text: str) -> None:
        self.text = text
        self.done: Deferred[Samples] = Deferred()
        self.tries = 0


class PicoVoice:
    """SVOX Pico in a child process: one text at a time, in order.

    The child starts with the first text. When it dies or says nothing for ``timeout`` seconds, it is
    replaced; a text during which it dies twice fails. reactor: IReactorProcess and IReactorTime, whose
    thread this must be used in. command: what to start instead of our speaker. Without the engine
    (``py-nanotts``, which has no macOS wheel) every text raises VoiceMissing. Raises VoiceMissing for a
    language without a voice.
    """

    def __init__(
        self,
        reactor: Any,
        language: str = "es-MX",
        *,
        timeout: float = 10.0,
        command: Sequence[str] | None = None,
    ) -> None:
        self.name = pico_name(language)
        self._voice = PICO_VOICES[language]
        self._reactor = reactor
        self._timeout = timeout
        self._missing = command is None and find_spec("py_nanotts") is None
        # -P: the folder of the speaker's file is no place to import from.
        self._command = list(command or (sys.executable, "-P", str(Path(speaker.__file__))))
        self._waiting: deque[_Request] = deque()
        self._current: _Request | None = None
        self._timer: Any = None
        self._child: _Child | None = None
        self._stopped = False

    async def render(self, text: str) -> Samples:
        """Say a text: int16, shape (n,), 8 kHz, read-only. Raises VoiceMissing, VoiceFailed."""
        if self._missing:
            raise VoiceMissing("there is no voice here to render a prompt: pip install py-nanotts")
        if self._stopped:
            raise VoiceFailed("the voice was stopped")
        if len(text) > MAX_TEXT:
            raise VoiceFailed(f"a text of {len(text)} characters is too long to be said ({MAX_TEXT} at most)")
        if len(self._waiting) >= MAX_WAITING:
            raise VoiceFailed(f"{MAX_WAITING} texts wait to be said already")
        request = _Request(text)
        self._waiting.append(request)
        self._next()
        return await request.done

    def stop(self) -> Deferred[None]:
        """End the child; texts still waiting fail. Fires when the child is gone."""
        self._stopped = True
        waiting, self._waiting = [*self._waiting], deque()
        if self._current is not None:
            waiting.insert(0, self._current)
        self._settle_current()
        child, self._child = self._child, None
        gone = succeed(None) if child is None else child.part()
        for request in waiting:
            request.done.errback(Failure(VoiceFailed("the voice was stopped")))
        return gone

    def _next(self) -> None:
        while self._current is None and self._waiting:
            self._current = request = self._waiting.popleft()
            if request.done.called:  # cancelled while it waited
                self._current = None
                continue
            request.tries += 1
            try:
                if self._child is None:
                    self._child = _Child(self, self._reactor)
                    self._reactor.spawnProcess(self._child, self._command[0], self._command, env=None)
                self._child.ask({"text": request.text, "voice": self._voice})
            except OSError as error:
                self._child = None
                self._settle_current()
                request.done.errback(Failure(VoiceFailed(f"the voice could not be started: {error}")))
                continue
            self._timer = self._reactor.callLater(self._timeout, self._late)

    def _settle_current(self) -> _Request | None:
        """Forget the request under way."""
        request, self._current = self._current, None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        return request

    def _fail_current(self, why: str) -> None:
        request = self._settle_current()
        if request is not None:
            request.done.errback(Failure(VoiceFailed(why)))

    def _late(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
        self._fail_current(f"the voice said nothing within {self._timeout:g} s")
        self._next()

    def replied(self, child: _Child, status: bytes, body: bytes) -> None:
        """One whole reply came."""
        if child is not self._child or self._current is None:
            return
        if status == b"E":
            self._fail_current(f"the voice could not say it: {body.decode('utf-8', 'replace')}")
        elif not body or len(body) % 2:
            self._fail_current("the voice gave no sound")
        else:
            request = self._settle_current()
            sound = np.frombuffer(body, "<i2").astype(np.int16)
            sound.setflags(write=False)
            if request is not None:
                request.done.callback(sound)
        self._next()

    def died(self, child: _Child) -> None:
        """A child is gone, or talks nonsense."""
        if child is not self._child:
            return
        self._child = None
        request = self._current
        if request is None:
            return
        if request.tries >= TRIES:
            self._fail_current(f"the voice died {TRIES} times over one text")
        else:
            self._settle_current()
            self._waiting.appendleft(request)
        self._next()


class _Child(ProcessProtocol):
    """One speaker. Its end is the end of its output: a reactor without signals learns of it so too."""

    transport: Any

    def __init__(self, voice: PicoVoice, reactor: Any) -> None:
        self._voice = voice
        self._reactor = reactor
        self._buffer = bytearray()
        self._ended = False
        self._gone: Deferred[None] | None = None

    def ask(self, request: dict[str, str]) -> None:
        self.transport.write(json.dumps(request).encode() + b"\n")

    def kill(self) -> None:
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def part(self) -> Deferred[None]:
        """Ask the child to end, then make it; fires when it is gone."""
        self._gone = Deferred()
        if self._ended:
            self._gone.callback(None)
        else:
            self.transport.closeStdin()
            self._reap(self._reactor.seconds())
        return self._gone

    def _reap(self, since: float) -> None:
        """Look for the child's end: a reactor in a second thread gets no signal of it."""
        reap = getattr(self.transport, "reapProcess", None)
        if reap is not None and not self._ended:
            reap()
        if self._ended:
            return
        waited = self._reactor.seconds() - since
        if waited > 2 * PARTING:
            self.processEnded(None)  # nobody need wait for it any longer
            return
        if waited > PARTING:
            self.kill()
        self._reactor.callLater(0.02, self._reap, since)

    def outReceived(self, data: bytes) -> None:  # noqa: N802
        self._buffer += data
        while len(self._buffer) >= speaker.HEADER.size:
            status, length = speaker.HEADER.unpack_from(self._buffer)
            if status not in (b"S", b"E") or length > MAX_SOUND:
                self._buffer.clear()
                self.kill()
                self._voice.died(self)
                return
            end = speaker.HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[speaker.HEADER.size : end])
            del self._buffer[:end]
            self._voice.replied(self, status, body)

    def errReceived(self, data: bytes) -> None:  # noqa: N802
        log.warning("the voice's process complains", said=data[:2000].decode("utf-8", "replace"))

    def outConnectionLost(self) -> None:  # noqa: N802
        self.kill()
        self._voice.died(self)

    def processEnded(self, reason: Failure | None) -> None:  # noqa: N802
        self._ended = True
        self._voice.died(self)
        if self._gone is not None and not self._gone.called:
            self._gone.callback(None)
