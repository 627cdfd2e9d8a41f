"""The test caller: dials over SIP, listens, and keys what its script says, or plays a tape.

It learns from the journal which prompt the IVR has said, as a person does by listening, and hears the
audio itself: what it heard is kept for whoever judges the call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from ivr_sim.errors import LocalProtocolError
from ivr_sim.harness.keypad import Keypad
from ivr_sim.journal import CallOffered, Journal, KeyMethod, PromptEnded, PromptStarted, Record
from ivr_sim.legs import TICKS_PER_SECOND
from ivr_sim.legs.scripted import TickingCaller, Turn
from ivr_sim.media import FRAME_SAMPLES, Samples
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import Ended
from ivr_sim.sip.user_agent import UserAgent

__all__ = ["HANG_UP", "Answers", "Caller", "Heard", "Hearer", "Script", "Tape", "Telephone", "follow"]

HANG_UP = "!"


class Hearer(Protocol):
    """Who wants to know what the IVR says."""

    def begun(self, name: str, params: Mapping[str, str] | None) -> None:
        """A prompt begins; params: None where nobody knows them."""
        ...

    def over(self, *, cut: bool = False) -> None:
        """It is over: said whole, or cut."""
        ...


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a caller keys when it hears a prompt.

    answers: per prompt, the keys for each time it is heard (``!`` hangs up). by: the way of keying.
    barge_in: key as soon as the prompt starts, not when it has been said. delay: seconds before the
    first key; key_ms, gap_ms: length of a key and of the pause behind it.
    """

    answers: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
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
        """Dial, follow the script (or play the tape from the answer on), until the call ends.

        tape: int16, shape (n,), 8 kHz; when it has run out, the caller hangs up.
        """
        answers = Answers(script)
        telephone = Telephone(answers if tape is None else Tape(tape))
        stop = follow(self._journal, answers, user=self._phone.username)
        try:
            ended = await telephone.dial(self._phone, number)
        finally:
            stop()
        return Heard(telephone.heard, ended)


class Telephone:
    """A telephone in somebody's hand: sends what its caller does, and keeps what both sides sent.

    ear: is given each frame that is heard. problem: why the caller could not do what it meant to.
    """

    def __init__(self, caller: TickingCaller, *, ear: Callable[[Samples], None] | None = None) -> None:
        self._caller = caller
        self._ear = ear
        self._heard: list[Samples] = []
        self._sent: list[Samples] = []
        self._session: Session | None = None
        self.problem = ""

    async def dial(self, phone: UserAgent, target: str) -> Ended:
        """Call a number or a SIP URI; returns when the call is over. Cancelled, it hangs up.

        Raises BadMessage for what cannot be called.
        """
        session = self._session = phone.dial(target, self)
        try:
            return await session.ended
        finally:
            session.hang_up()

    @property
    def heard(self) -> Samples:
        """All that was heard since the answer: int16, shape (n,), 8 kHz."""
        return np.concatenate([np.zeros(0, np.int16), *self._heard])

    @property
    def sent(self) -> Samples:
        """All that was said at the same time, as long; keys that went beside the audio are not in it."""
        return np.concatenate([np.zeros(0, np.int16), *self._sent])

    def tick(self, heard: Samples) -> Samples | None:
        """The engine's 20 ms."""
        session = self._session
        assert session is not None
        self._heard.append(heard.copy())
        if self._ear is not None:
            self._ear(heard)
        turn = self._caller.tick()
        self._sent.append(np.zeros(FRAME_SAMPLES, np.int16) if turn.frame is None else turn.frame)
        try:
            for key in turn.keys:
                if key.method == "info":
                    session.send_info_key(key.digit, key.duration_ms)
                else:
                    session.stream.press(key.digit, key.duration_ms)
        except LocalProtocolError as error:
            self.problem = str(error)
            session.hang_up()
            return None
        if turn.hang_up:
            session.hang_up()
        return turn.frame

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


class Answers:
    """A caller who answers whatever is asked, each prompt by its own list of answers."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._answers = {name: deque(keys) for name, keys in script.answers.items()}
        self._keypad = Keypad(by=script.by, key_ms=script.key_ms, gap_ms=script.gap_ms)
        self._due: deque[tuple[int, str]] = deque()
        self._prompt = ""
        self._tick = 0
        self._leaves = False

    def begun(self, name: str, params: Mapping[str, str] | None) -> None:
        """A prompt begins."""
        self._prompt = name
        if self._script.barge_in:
            self._answer()

    def over(self, *, cut: bool = False) -> None:
        """It is over."""
        if not (cut or self._script.barge_in):
            self._answer()

    def tick(self) -> Turn:
        """20 ms begin."""
        self._tick += 1
        while self._due and self._due[0][0] <= self._tick and not self._leaves:
            keys, hangs_up, _ = self._due.popleft()[1].partition(HANG_UP)
            self._keypad.press(keys)
            self._leaves = bool(hangs_up)
        gone = self._leaves and not self._keypad.busy
        return replace(self._keypad.turn(), hang_up=gone)

    def _answer(self) -> None:
        turns = self._answers.get(self._prompt)
        if turns:
            self._due.append((self._tick + round(self._script.delay * TICKS_PER_SECOND), turns.popleft()))


class Tape:
    """A caller who is a recording: int16, shape (n,), 8 kHz; when it has run out, they hang up."""

    def __init__(self, samples: Samples) -> None:
        self._rest = samples

    def tick(self) -> Turn:
        """20 ms begin."""
        frame, self._rest = self._rest[:FRAME_SAMPLES], self._rest[FRAME_SAMPLES:]
        return Turn(frame) if len(frame) == FRAME_SAMPLES else Turn(hang_up=True)


def follow(
    journal: Journal, hearer: Hearer, *, user: str | None = None, call: str | None = None
) -> Callable[[], None]:
    """Tell what the journal says of a call, by its name, or of the next one of this user.

    Returns the way to stop that.
    """

    def read(record: Record) -> None:
        nonlocal call
        event = record.event
        if call is None and isinstance(event, CallOffered) and event.from_ == user:
            call = record.call
        if call is None or record.call != call:
            return
        if isinstance(event, PromptStarted):
            hearer.begun(event.name, event.params)
        elif isinstance(event, PromptEnded):
            hearer.over(cut=event.cut_by is not None)

    return journal.subscribe(read)
