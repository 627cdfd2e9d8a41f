"""A recording of the caller's side as a leg, in virtual time.

The recording is played to the call as fast as the machine can, and only while the dialogue waits for the
caller. When it has run out, the caller has hung up. What happens depends on the samples and the dialogue
alone, never on how long anything took.

Most ticks of a call are like the one before. So the recording is listened to as a whole beforehand, and the
call leaps from one tick in which something happens to the next: a key, a prompt's end, a time-out.
"""

from __future__ import annotations

import numpy as np

from dtmf.refusal import Refused
from ivr_sim.journal import CallAnswered
from ivr_sim.legs.leg_call import LegCall
from ivr_sim.legs.playback import Down, KeyEvent, Playback, Up
from ivr_sim.media import FRAME_SAMPLES, Samples

__all__ = ["RecordingLeg"]

SILENCE = np.zeros(FRAME_SAMPLES, np.int16)
SILENCE.setflags(write=False)


class RecordingLeg:
    """Plays one recording to one call. leaping: false to take each tick singly, which comes to the same."""

    def __init__(self, call: LegCall, playback: Playback, *, leaping: bool = True) -> None:
        self._call = call
        self._playback = playback
        self._leaping = leaping
        self._spoken: list[tuple[int, Samples]] = []  # the tick of its beginning
        self._ticks = 0
        self.onsets: list[float] = []  # when keys went down, in seconds since the answer

    async def run(self) -> None:
        """Play the recording to its end, or until the dialogue hangs up."""
        call, playback = self._call, self._playback
        call.answered()
        call.journal.emit(CallAnswered(codec="L16", key_methods=("inband",)))
        while call.gone is None:
            if not call.waiting:
                await call.when_waiting()
                continue
            if playback.ended:
                call.hung_up()
                break
            for event in playback.told():
                self._tell(event)
            still = playback.still
            if self._leaping:
                ticks, spoken = call.leap(still)
                self._keep(ticks, spoken)
                playback.leap(ticks)
                if ticks == still:
                    continue
            playback.leap(1)  # before the call's tick: a prompt that begins by it is heard in the next one
            self._keep(1, call.tick(SILENCE))

    @property
    def heard(self) -> Samples:
        """What the caller said, as the call heard it: int16, shape (n,), 8 kHz."""
        return self._playback.sound()

    @property
    def spoken(self) -> Samples:
        """What the caller heard, as long."""
        sound = np.zeros(self._ticks * FRAME_SAMPLES, np.int16)
        for tick, part in self._spoken:
            sound[tick * FRAME_SAMPLES : tick * FRAME_SAMPLES + len(part)] = part
        return sound

    def _keep(self, ticks: int, spoken: Samples | None) -> None:
        if spoken is not None:
            self._spoken.append((self._ticks, spoken))
        self._ticks += ticks

    def _tell(self, event: KeyEvent) -> None:
        match event:
            case Down(digit=digit, start_s=start):
                self.onsets.append(start)
                self._call.key_down(digit, "inband", start)
            case Up(digit=digit, start_s=start, level_dbm0=level, twist_db=twist):
                length = round((event.end_s - start) * 1000)
                self._call.key_up(digit, "inband", start, length, level, twist)
            case Refused():
                length = round((event.end_s - event.start_s) * 1000)
                self._call.key_refused(
                    "inband", event.start_s, length, event.reason, event.level_dbm0, event.twist_db
                )
