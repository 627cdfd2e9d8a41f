"""What the caller says, played back a little later."""

from __future__ import annotations

from collections import deque

import numpy as np

from ivr_sim.media import FRAME_SAMPLES, Samples

__all__ = ["Echo"]

FRAMES_PER_SECOND = 50


class Echo:
    """A delay line of whole frames; delay in seconds, at least one frame of 20 ms."""

    def __init__(self, delay: float) -> None:
        frames = max(round(delay * FRAMES_PER_SECOND), 1)
        self._line = deque([np.zeros(FRAME_SAMPLES, np.int16)] * frames)

    def frame(self, heard: Samples, spoken: Samples | None) -> Samples:
        """The 20 ms to be sent: what is said if anything is, or what was heard ``delay`` ago."""
        self._line.append(heard.copy())  # or all that all calls heard in that tick would be kept
        echoed = self._line.popleft()
        return echoed if spoken is None else spoken
