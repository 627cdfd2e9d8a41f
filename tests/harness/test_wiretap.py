"""What a placed call leaves at the line: sound on the clock by which its keys are masked."""

from datetime import UTC, datetime

import numpy as np
from twisted.internet.task import Clock

from ivr_sim.harness.wiretap import Wiretap
from ivr_sim.journal import Journal


def test_the_sound_and_the_masks_are_what_the_line_says():
    tap = Wiretap(Clock(), Journal(lambda: datetime(2026, 11, 23, tzinfo=UTC)))
    tape = tap.tape("0001")
    frame = np.zeros(160, np.int16)
    assert len(tap.heard) == 0

    for n in range(3):
        frame[:] = n
        tape.heard(frame)  # the engine uses its buffer again
    tape.over([(1.0, 1.1)], [(0.5, 0.6)])

    np.testing.assert_array_equal(tap.heard, np.repeat(np.arange(3, dtype=np.int16), 160))
    assert tap.masks == ([(1.0, 1.1)], [(0.5, 0.6)])
