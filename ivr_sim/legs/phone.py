"""A telephone call (SIP session and RTP stream) as a leg, in real time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ivr_sim.journal import CallAnswered, KeyMethod
from ivr_sim.legs.leg_call import LegCall
from ivr_sim.media import Recorder, Samples
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import Ended

__all__ = ["PhoneLeg", "Tape"]


class Tape(Protocol):
    """Who keeps what a telephone sent as it came, unmasked: of calls with test cards only."""

    def heard(self, samples: Samples) -> None:
        """The caller's next 20 ms."""
        ...

    def key_down(self, digit: str, method: KeyMethod, start: float) -> None:
        """A key's onset; start in seconds of the tape."""
        ...

    def key_up(self, duration_ms: int) -> None:
        """The end of the key that was down."""
        ...

    def over(self, secret: Sequence[tuple[float, float]], published: Sequence[tuple[float, float]]) -> None:
        """The call has ended; when keys were down, in seconds of the tape: those that stay secret or not."""
        ...


class PhoneLeg:
    """Joins a SIP session to a call: frames and keys one way, frames the other, hang-ups both.

    It is the session's ``StreamListener``; the media engine calls it every 20 ms from the answer on.
    """

    def __init__(self, call: LegCall, session: Session, recorder: Recorder, tape: Tape | None = None) -> None:
        self._call = call
        self._session = session
        self._tick, self._record = call.tick, recorder.append
        self._tape = tape
        call.on_hang_up = session.hang_up
        session.ended.addCallback(self._over)

    def answer(self) -> None:
        """Answer the call; its clock starts."""
        self._session.answer(self)
        self._call.answered()
        codec = self._session.codec or "none until the caller offers one"
        self._call.journal.emit(CallAnswered(codec=codec, key_methods=self._session.key_methods))

    def tick(self, heard: Samples) -> Samples | None:
        """The engine's 20 ms."""
        spoken = self._tick(heard)
        self._record(heard, spoken)
        if self._tape is not None:
            self._tape.heard(heard)
        # What the caller says is recorded, and masked, on the caller's side: not its echo.
        return spoken if self._call.echoing is None else self._call.echoing.frame(heard, spoken)

    def key_down(self, digit: str, method: KeyMethod, start: float) -> None:
        """A key's onset, from whichever way of keying."""
        if self._tape is not None:
            self._tape.key_down(digit, method, start)
        self._call.key_down(digit, method, start)

    def key_up(
        self,
        digit: str,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        level_dbm0: float | None,
        twist_db: float | None = None,
    ) -> None:
        """A key's end."""
        if self._tape is not None:
            self._tape.key_up(duration_ms)
        self._call.key_up(digit, method, start, duration_ms, level_dbm0, twist_db)

    def key_refused(
        self,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        reason: str,
        level_dbm0: float,
        twist_db: float,
    ) -> None:
        """A tone that was not taken for a key."""
        self._call.key_refused(method, start, duration_ms, reason, level_dbm0, twist_db)

    def _over(self, ended: Ended) -> Ended:
        self._call.hung_up("caller" if ended.by == "remote" else "ivr")
        return ended
