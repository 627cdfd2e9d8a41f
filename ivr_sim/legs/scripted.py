"""A caller who acts tick by tick (a script), as a leg in virtual time.

What the caller does is fed to the call as fast as the machine can, 20 ms at a time, and only while the
dialogue waits for the caller, as with a recording:

    caller                    ScriptedLeg                       LegCall
       |<---- tick() -----------|                                  |
       |-- Turn(frame, keys) -->| tones: through a receiver        |
       |                        | events, INFO: through a merger --| key_down, key_up
       |                        |-- tick(frame) ------------------>|
       |                        |<------------------------ spoken--|

The three ways of keying meet in the same merger as on the telephone: what is muted there is muted here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dtmf import KEYS_12, KeyDown, Receiver
from ivr_sim.journal import CallAnswered, KeyMethod
from ivr_sim.legs.leg_call import TICKS_PER_SECOND, LegCall
from ivr_sim.media import FRAME_SAMPLES, Samples
from ivr_sim.media.keys import KeyDown as Pressed
from ivr_sim.media.keys import KeyMerger
from ivr_sim.media.keys import KeyUp as LetGo

__all__ = ["KeySent", "ScriptedLeg", "TickingCaller", "Turn"]

EVENT_DBM0 = -10.0  # the volume that our telephone events tell
# Between two pauses for others on the same reactor: five seconds of a call take it some 20 ms.
TURNS_IN_A_ROW = 250
SILENCE = np.zeros(FRAME_SAMPLES, np.int16)
SILENCE.setflags(write=False)


@dataclass(frozen=True)
class KeySent:
    """A key that goes beside the audio: as a telephone event (rfc4733) or by SIP INFO."""

    digit: str = field(repr=False)
    method: KeyMethod
    duration_ms: int


@dataclass(frozen=True)
class Turn:
    """What a caller does in 20 ms. frame: int16 (160,) at 8 kHz, None for silence; keys that begin now."""

    frame: Samples | None = None
    keys: tuple[KeySent, ...] = ()
    hang_up: bool = False


class TickingCaller(Protocol):
    """Somebody who calls, 20 ms at a time."""

    def tick(self) -> Turn:
        """20 ms begin: what the caller does in them."""
        ...


class ScriptedLeg:
    """Joins a caller to a call, in virtual time.

    rest: awaited now and then, so that others on the same reactor get their turn; None when there are none.
    """

    def __init__(
        self,
        call: LegCall,
        caller: TickingCaller,
        *,
        rest: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._call = call
        self._caller = caller
        self._rest = rest
        self._receiver = Receiver(keys=KEYS_12, refusals=True)
        self._merger = KeyMerger()
        self._tick = 0
        self._said: list[Samples | None] = []
        self._heard: list[Samples | None] = []
        self._held: list[tuple[int, KeySent, float]] = []  # events under way: the tick of their end, start

    @property
    def sides(self) -> tuple[Samples, Samples]:
        """What the caller sent as sound, and what the IVR said: int16, shape (n,), from the answer on."""
        return _joined(self._said), _joined(self._heard)

    async def run(self) -> None:
        """Talk until the caller or the dialogue hangs up."""
        call = self._call
        call.answered()
        call.journal.emit(CallAnswered(codec="L16", key_methods=("rfc4733", "info", "inband")))
        while call.gone is None:
            if not call.waiting:
                await call.when_waiting()
                continue
            if self._rest is not None and self._tick % TURNS_IN_A_ROW == TURNS_IN_A_ROW - 1:
                await self._rest()
            turn = self._caller.tick()
            if turn.hang_up:
                call.hung_up()
                return
            self._send(turn)
            heard = SILENCE if turn.frame is None else turn.frame
            self._listen(heard)
            spoken = call.tick(heard)
            self._tick += 1
            self._said.append(turn.frame)
            self._heard.append(spoken)

    def _send(self, turn: Turn) -> None:
        """Keys beside the audio: an event takes its time, an INFO tells of a key that is over."""
        for ends, key, start in [held for held in self._held if held[0] <= self._tick]:
            self._held.remove((ends, key, start))
            self._deliver(self._merger.up(key.digit, key.method, start, key.duration_ms, EVENT_DBM0))
        now = self._tick / TICKS_PER_SECOND
        for key in turn.keys:
            self._deliver(self._merger.down(key.digit, key.method, now))
            if key.method == "info":
                self._deliver(self._merger.up(key.digit, key.method, now, key.duration_ms, None))
            else:
                ends = self._tick - (-key.duration_ms * TICKS_PER_SECOND // 1000)
                self._held.append((ends, key, now))

    def _listen(self, heard: Samples) -> None:
        """Keys in the audio, as long as anybody listens for them."""
        if not self._merger.listens_inband:
            return
        for event in self._receiver.feed(heard):
            if isinstance(event, KeyDown):
                self._deliver(self._merger.down(event.digit, "inband", event.start_s))
            else:
                tone = event.tone
                length = round((tone.end_s - tone.start_s) * 1000)
                self._deliver(
                    self._merger.up(
                        tone.digit, "inband", tone.start_s, length, tone.level_dbm0, tone.twist_db
                    )
                )
        for miss in self._receiver.refused():
            length = round((miss.end_s - miss.start_s) * 1000)
            self._call.key_refused(
                "inband", miss.start_s, length, miss.reason, miss.level_dbm0, miss.twist_db
            )

    def _deliver(self, keys: list[Pressed | LetGo]) -> None:
        for key in keys:
            if isinstance(key, Pressed):
                self._call.key_down(key.digit, key.method, key.start)
            else:
                self._call.key_up(
                    key.digit, key.method, key.start, key.duration_ms, key.level_dbm0, key.twist_db
                )


def _joined(frames: list[Samples | None]) -> Samples:
    return np.concatenate([np.zeros(0, np.int16), *(SILENCE if f is None else f for f in frames)])
