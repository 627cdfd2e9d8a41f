"""A recording of the caller's side as a leg, in virtual time.

The recording is fed to the call as fast as the machine can, 20 ms at a time, and only while the dialogue
waits for the caller. When it has run out, the caller has hung up. What happens depends on the samples
and the dialogue alone, never on how long anything took.
"""

from __future__ import annotations

import numpy as np

from dtmf import KEYS_12, KeyDown, Receiver
from ivr_sim.journal import CallAnswered
from ivr_sim.legs.leg_call import LegCall
from ivr_sim.media import FRAME_SAMPLES, Samples

__all__ = ["RecordingLeg"]


class RecordingLeg:
    """Feeds one recording to one call.

    samples: the caller's side, int16, shape (n,), 8 kHz, from the answer on.
    """

    def __init__(self, call: LegCall, samples: Samples) -> None:
        if samples.ndim != 1 or samples.dtype != np.int16:
            raise ValueError(f"samples must be int16 of shape (n,), not {samples.dtype} {samples.shape}")
        self._call = call
        self._samples = samples
        self._receiver = Receiver(keys=KEYS_12, refusals=True)

    async def run(self) -> None:
        """Play the recording to its end, or until the dialogue hangs up."""
        call = self._call
        position = 0
        call.answered()
        call.journal.emit(CallAnswered(codec="L16", key_methods=("inband",)))
        while call.gone is None:
            if not call.waiting:
                await call.when_waiting()
                continue
            heard = self._samples[position : position + FRAME_SAMPLES]
            if not len(heard):
                call.hung_up()
                break
            position += FRAME_SAMPLES
            if len(heard) < FRAME_SAMPLES:
                heard = np.concatenate([heard, np.zeros(FRAME_SAMPLES - len(heard), np.int16)])
            for event in self._receiver.feed(heard):
                if isinstance(event, KeyDown):
                    call.key_down(event.digit, "inband", event.start_s)
                else:
                    tone = event.tone
                    length = round((tone.end_s - tone.start_s) * 1000)
                    call.key_up(tone.digit, "inband", tone.start_s, length, tone.level_dbm0, tone.twist_db)
            for miss in self._receiver.refused():
                length = round((miss.end_s - miss.start_s) * 1000)
                call.key_refused("inband", miss.start_s, length, miss.reason, miss.level_dbm0, miss.twist_db)
            call.tick(heard)
