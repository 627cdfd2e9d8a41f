"""The test caller: dials over SIP, listens, and keys what its script says, or plays a tape.

It learns from the journal which prompt the IVR has said, as a person does by listening, and hears the
audio itself: what it heard is kept for whoever judges the call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

import dtmf
from ivr_sim.journal import CallOffered, Journal, KeyMethod, PromptEnded, PromptStarted, Record
from ivr_sim.legs import TICKS_PER_SECOND
from ivr_sim.media import FRAME_SAMPLES, Samples
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import Ended
from ivr_sim.sip.user_agent import UserAgent

__all__ = ["HANG_UP", "Caller", "Heard", "Script"]

HANG_UP = "!"


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a caller keys when it hears a prompt.

    answers: per prompt, the keys for each time it is heard (``!`` hangs up). by: the way of keying.
    barge_in: key as soon as the prompt starts, not when it has been said. delay: seconds before the
    first key; key_ms, gap_ms: length of a key and of the pause behind it.
    """

    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    by: KeyMethod = "inband"
    barge_in: bool = False
    delay: float = 0.4
    key_ms: int = 90
    gap_ms: int = 80


@dataclass(frozen=True)
class Heard:
    """What a caller heard: int16, shape (n,), 8 kHz, from the answer on; and how the call ended."""

    samples: Samples
    ended: Ended


class Caller:
    """A person at a telephone (a registered ``UserAgent`` of one account)."""

    def __init__(self, phone: UserAgent, journal: Journal) -> None:
        self._phone = phone
        self._journal = journal

    async def call(self, number: str, script: Script, *, tape: Samples | None = None) -> Heard:
        """Dial, follow the script (and play the tape from the answer on), until the call ends.

        tape: int16, shape (n,), 8 kHz; when it has run out, the caller hangs up.
        """
        ear = _Ear(script, tape, self._phone.username)
        stop = self._journal.subscribe(ear.read)
        try:
            session = self._phone.dial(number, ear)
            ear.session = session
            ended = await session.ended
        finally:
            stop()
        return Heard(np.concatenate(ear.heard) if ear.heard else np.zeros(0, np.int16), ended)


class _Ear:
    """The caller's side of the stream: hears, and sends tones or tape, by ticks of 20 ms."""

    def __init__(self, script: Script, tape: Samples | None, user: str) -> None:
        self._script = script
        self._user = user
        self._answers = {name: deque(keys) for name, keys in script.answers.items()}
        self._frames: deque[Samples] = deque()
        self._due: list[tuple[int, str]] = []
        self._tape = tape
        self._ticks = 0
        self._call: str | None = None
        self.heard: list[Samples] = []
        self.session: Session | None = None

    def read(self, record: Record) -> None:
        """Follow the journal of this caller's own call."""
        event = record.event
        if isinstance(event, CallOffered) and event.from_ == self._user and self._call is None:
            self._call = record.call
        if record.call != self._call:
            return
        kind = PromptStarted if self._script.barge_in else PromptEnded
        if isinstance(event, kind) and not getattr(event, "cut_by", None):
            turns = self._answers.get(event.name)
            if turns:
                self._due.append(
                    (self._ticks + round(self._script.delay * TICKS_PER_SECOND), turns.popleft())
                )

    def tick(self, heard: Samples) -> Samples | None:
        """The engine's 20 ms."""
        self.heard.append(heard.copy())
        self._ticks += 1
        for item in [d for d in self._due if d[0] <= self._ticks]:
            self._due.remove(item)
            self._key(item[1])
        if self._tape is not None:
            return self._next_of_tape()
        return self._frames.popleft() if self._frames else None

    def key_down(self, digit: str, method: KeyMethod, start: float) -> None:
        """The IVR sends no keys."""

    def key_up(
        self,
        digit: str,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        level_dbm0: float | None,
        twist_db: float | None = None,
    ) -> None:
        """The IVR sends no keys."""

    def _next_of_tape(self) -> Samples | None:
        assert self._tape is not None
        frame, self._tape = self._tape[:FRAME_SAMPLES], self._tape[FRAME_SAMPLES:]
        if len(frame) == FRAME_SAMPLES:
            return frame
        if self.session is not None:
            self.session.hang_up()
        return None

    def _key(self, keys: str) -> None:
        session = self.session
        assert session is not None
        digits, hangs_up, _ = keys.partition(HANG_UP)
        match self._script.by:
            case "rfc4733":
                for digit in digits:
                    session.stream.press(digit, self._script.key_ms)
            case "info":
                for digit in digits:
                    session.send_info_key(digit, self._script.key_ms)
            case "inband":
                self._frames.extend(_tones(digits, self._script))
        if hangs_up:
            session.hang_up()


def _tones(digits: str, script: Script) -> list[Samples]:
    if not digits:
        return []
    sound = dtmf.generate(digits, tone_ms=script.key_ms, gap_ms=script.gap_ms, lead_ms=0, tail_ms=0)
    samples = np.round(sound * 32767).astype(np.int16)
    padded = np.concatenate([samples, np.zeros(-len(samples) % FRAME_SAMPLES, np.int16)])
    return list(padded.reshape(-1, FRAME_SAMPLES))
