"""What is being said: phrases one after the other, in frames of 20 ms, told to the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np

from ivr_sim.call import Phrase
from ivr_sim.journal import CallJournal, PromptEnded, PromptStarted
from ivr_sim.media import FRAME_SAMPLES, Samples

__all__ = ["Speech"]

# Between two phrases said one after the other: as long as a speaker pauses between sentences.
PAUSE_TICKS = 12
FOREVER = 1 << 30  # ticks


class Speech:
    """The phrases that are being said; on_start is called when one of them begins to sound."""

    def __init__(self, journal: CallJournal, on_start: Callable[[], None]) -> None:
        self._journal = journal
        self._on_start = on_start
        self._queue: deque[tuple[Phrase, Samples]] = deque()
        self._position = 0
        self._pause = 0
        self.interruptible = True

    @property
    def going(self) -> bool:
        """Whether something is being said."""
        return bool(self._queue)

    def begin(self, sounds: Iterable[tuple[Phrase, Samples]], *, interruptible: bool) -> None:
        """Say these phrases, of which there is at least one."""
        self.interruptible = interruptible
        self._queue.extend(sounds)
        self._pause = 0
        self._start()

    def stop(self, cut_by: Literal["key", "hangup", "limit"]) -> None:
        """Say no more."""
        if self._queue and not self._pause:
            self._journal.emit(PromptEnded(name=self._queue[0][0].name, cut_by=cut_by))
        self._queue.clear()
        self._pause = 0

    def frame(self) -> Samples | None:
        """The 20 ms to come, or None for silence."""
        if not self._queue or self._pause:
            return None
        _, sound = self._queue[0]
        frame = sound[self._position : self._position + FRAME_SAMPLES]
        self._position += FRAME_SAMPLES
        if len(frame) < FRAME_SAMPLES:
            frame = np.concatenate([frame, np.zeros(FRAME_SAMPLES - len(frame), np.int16)])
        return frame

    def proceed(self) -> bool:
        """20 ms have passed: tell what was said whole, go on to the next; whether that was the last."""
        if not self._queue:
            return False
        if self._pause:
            self._pause -= 1
            if not self._pause:
                self._start()
            return False
        phrase, sound = self._queue[0]
        if self._position < len(sound):
            return False
        self._queue.popleft()
        self._journal.emit(PromptEnded(name=phrase.name, cut_by=None))
        if self._queue:
            self._pause = PAUSE_TICKS
        return not self._queue

    @property
    def steady(self) -> int:
        """The ticks to come in which ``proceed`` would tell nothing: what is said goes on, or silence."""
        if not self._queue:
            return FOREVER
        if self._pause:
            return self._pause - 1
        return -((self._position - len(self._queue[0][1])) // FRAME_SAMPLES) - 1

    def ahead(self, ticks: int) -> Samples | None:
        """What is said in so many steady ticks to come, (ticks * 160,), or None for silence."""
        if not self._queue or self._pause or not ticks:
            return None
        return self._queue[0][1][self._position : self._position + ticks * FRAME_SAMPLES]

    def leap(self, ticks: int) -> Samples | None:
        """So many steady ticks pass at once: what is said in them, or None for silence."""
        said = self.ahead(ticks)
        if self._pause:
            self._pause -= ticks
        elif self._queue:
            self._position += ticks * FRAME_SAMPLES
        return said

    def _start(self) -> None:
        phrase, _ = self._queue[0]
        self._position = 0
        self._on_start()
        params = {name: str(value) for name, value in phrase.params.items()}
        self._journal.emit(PromptStarted(name=phrase.name, params=params))
