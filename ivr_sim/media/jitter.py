"""The jitter buffer: packets as they are heard.

Audio is held back for 40 ms, so that packets that came late or in another order find their place: this is
what is heard and recorded. Tones are searched for in what ``ArrivalQueue`` hands on, sooner.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ivr_sim.media.bridge import EDGE
from ivr_sim.media.comfort_noise import ComfortNoise
from ivr_sim.media.concealment import HISTORY, Concealment
from ivr_sim.media.g711 import FRAME_SAMPLES, Samples
from ivr_sim.media.rtp import timestamp_delta

__all__ = ["QUEUE_FRAMES", "SPAN_FRAMES", "Held", "PlayoutBuffer"]

SPAN_FRAMES = 50  # the ring holds one second
SPAN = SPAN_FRAMES * FRAME_SAMPLES
DELAY = 2 * FRAME_SAMPLES
STARVED = 5  # empty frames in a row, after which a stream counts as beginning anew
# The buffer is deeper than it need be when it held this much ahead at every tick of a second.
TOO_DEEP = DELAY + 3 * FRAME_SAMPLES
PATIENCE = 50

# With so much more than that, it gives up five frames a second, not one.
FAR_TOO_DEEP = DELAY + 6 * FRAME_SAMPLES
HASTE = 10
QUEUE_FRAMES = SPAN_FRAMES - 4  # what the ring has besides is what was heard last
QUEUE = QUEUE_FRAMES * FRAME_SAMPLES

_MISSING = bytes(FRAME_SAMPLES)
_PRESENT = b"\x01"
_FALLING = 1 - np.arange(1, FRAME_SAMPLES + 1) / (FRAME_SAMPLES + 1)


class Held(NamedTuple):
    """What a playout buffer holds that has no hole, in frames of 20 ms.

    at: the place of the next one to be heard, of the 50 of the ring; depth: how many there are. shallowest:
    the fewest there were at a tick of this second, and ticks: how many of its ticks have passed.
    """

    at: int
    depth: int
    shallowest: int
    ticks: int


class PlayoutBuffer:
    """A ring of one second of audio, written by timestamp and read in frames of 20 ms.

    The delay is 40 ms at the start. It grows when the newest packet there is comes too late to be heard,
    and shrinks by a frame a second while it is deeper than need be; that follows the clocks of sender and
    listener apart, too. What is missing is made up: lost audio from what was heard before, silence that the
    sender described as noise from that; where a frame is left out, one blends into the next. Never holds
    more than the ring. ring: int16 (8000,), zeros, of which others may write and read frames between
    ``held`` and ``went_on``.
    """

    def __init__(self, ring: Samples | None = None) -> None:
        self.head: int | None = None  # the RTP time of the next sample to be heard
        self.late = 0
        self._ring = np.zeros(SPAN, np.int16) if ring is None else ring
        self._filled = bytearray(SPAN)
        self._at = 0  # where in the ring the head is: a multiple of a frame, so that frames never wrap
        self._newest = -1
        self._end = 0  # the RTP time behind the newest audio
        self._empty = 0
        self._shallowest = SPAN
        self._ticks = 0
        self._concealment = Concealment()
        self._noise: ComfortNoise | None = None  # since the sender fell silent, by its own word

    def put(self, number: int, timestamp: int, samples: Samples) -> None:
        """Take one packet's audio; number: its extended sequence number."""
        if not len(samples):
            return
        if self.head is None:
            self._begin(timestamp - DELAY)
        newest = number > self._newest
        offset = timestamp_delta(timestamp, self._begun)
        if newest:
            if offset < 0:
                # Nothing newer is to be had, so play it: with all the delay after a pause, else at once.
                self._begin(timestamp - (DELAY if self._empty >= STARVED else 0))
            elif offset + len(samples) > QUEUE:
                self._begin(timestamp - DELAY)  # the sender's clock has jumped
            offset = timestamp_delta(timestamp, self._begun)
            self._newest = number
            self._end = timestamp + len(samples)
            self._noise = None
        elif offset < 0:
            self.late += 1
            samples, offset = samples[-offset:], 0
        elif offset + len(samples) > QUEUE:
            return  # reordered across a jump of the sender's clock
        first = (self._at + offset) % SPAN
        for start, part in ((first, samples[: SPAN - first]), (0, samples[SPAN - first :])):
            if len(part):
                self._ring[start : start + len(part)] = part
                self._filled[start : start + len(part)] = _PRESENT * len(part)

    def quiet(self, number: int, level_dbov: int) -> None:
        """The sender is silent from this packet on, with noise of this level."""
        if self.head is not None and number > self._newest:
            if self._noise is None:
                self._noise = ComfortNoise(level_dbov)
            self._noise.level_dbov = level_dbov

    def get(self) -> Samples | None:
        """The next 20 ms to be heard, int16 (160,), with what is lost made up; None for silence."""
        if self.head is None:
            return None
        too_deep = self._too_deep()
        frame = self._next()
        if too_deep:
            frame = _blended(frame, self._next())
        return frame

    def past(self, timestamp: int) -> Samples:
        """The ``EDGE`` samples before this RTP time, int16; none if the ring does not hold them."""
        offset = SPAN if self.head is None else timestamp_delta(timestamp, self.head)
        if not EDGE - HISTORY <= offset <= QUEUE:
            return np.zeros(0, np.int16)
        return self._ring.take(np.arange(self._at + offset - EDGE, self._at + offset), mode="wrap")

    def reset(self) -> None:
        """Another sender has begun: the next packet starts the buffer anew."""
        self.head = None
        self._newest = -1

    def held(self, newest: int, end: int) -> Held | None:
        """What there is to be heard, if it is whole frames without a hole; else None.

        newest, end: the number of the newest packet there may be, and the RTP time behind it: None, too,
        when the buffer has not taken that packet last.
        """
        if self.head is None or self._newest != newest or self._end & 0xFFFFFFFF != end:
            return None
        if self._noise is not None or self._concealment.active:
            return None
        depth, odd = divmod(timestamp_delta(end, self.head), FRAME_SAMPLES)
        if odd or not 0 <= depth < QUEUE_FRAMES or self._filled.count(1) != depth * FRAME_SAMPLES:
            return None
        shallowest = self._shallowest // FRAME_SAMPLES  # compared with whole frames only
        return Held(self._at // FRAME_SAMPLES, depth, shallowest, self._ticks)

    def went_on(self, packets: int, held: Held) -> None:
        """So many packets of 20 ms came, each in its turn, and the ring was written and read by others."""
        self._newest += packets
        self._end += packets * FRAME_SAMPLES
        self.head = (self._end - held.depth * FRAME_SAMPLES) & 0xFFFFFFFF
        self._at = held.at * FRAME_SAMPLES
        self._empty = 0
        self._shallowest, self._ticks = held.shallowest * FRAME_SAMPLES, held.ticks

    def tidy(self, depth: int) -> None:
        """The ring is the buffer's own again: it holds so many frames, from the head on, and nothing else."""
        self._filled[:] = bytes(SPAN)
        end = self._at + depth * FRAME_SAMPLES
        around = max(end - SPAN, 0)
        self._filled[self._at : end - around] = _PRESENT * (end - around - self._at)
        self._filled[:around] = _PRESENT * around

    def forget(self) -> None:
        """Nothing more will be heard: leave nothing behind in the ring."""
        self.reset()
        self._ring[:] = 0

    @property
    def _begun(self) -> int:
        assert self.head is not None
        return self.head

    def _begin(self, timestamp: int) -> None:
        past = self._history()
        self.head = timestamp & 0xFFFFFFFF
        self._at = 0
        self._ring[-HISTORY:] = past
        self._filled[:] = bytes(SPAN)
        self._ticks, self._shallowest = 0, SPAN

    def _history(self) -> Samples:
        """What was heard last."""
        if self._at >= HISTORY:
            return self._ring[self._at - HISTORY : self._at]
        return np.concatenate([self._ring[self._at - HISTORY :], self._ring[: self._at]])

    def _next(self) -> Samples | None:
        """The next frame, of which there may be as much as of any; the head goes on."""
        at, end = self._at, self._at + FRAME_SAMPLES
        present = self._filled.count(1, at, end)
        if present == FRAME_SAMPLES and not self._concealment.active:
            frame: Samples | None = self._ring[at:end].copy()
        else:
            frame = self._made_up()
        self._empty = 0 if present else self._empty + 1
        self._filled[at:end] = _MISSING
        self._at = end % SPAN
        self.head = (self._begun + FRAME_SAMPLES) & 0xFFFFFFFF
        return frame

    def _made_up(self) -> Samples | None:
        """The frame at the head, written into the ring, too: what is made up next goes on from there."""
        at = self._at
        frame = self._ring[at : at + FRAME_SAMPLES]
        filled = self._filled[at : at + FRAME_SAMPLES]
        start = 0
        while start < FRAME_SAMPLES:
            there = filled[start]
            end = filled.find(1 - there, start)
            end = FRAME_SAMPLES if end < 0 else end
            if there or self._noise is not None:
                part = frame[start:end] if there or self._noise is None else self._noise.next(end - start)
                frame[start:end] = self._concealment.resume(part) if self._concealment.active else part
            else:
                past = np.concatenate([self._history(), frame[:start]])[-HISTORY:]
                frame[start:end] = self._concealment.lose(end - start, past)
            start = end
        return frame.copy() if frame.any() else None

    def _too_deep(self) -> bool:
        """Whether a frame is to be left out now."""
        self._shallowest = min(self._shallowest, timestamp_delta(self._end, self._begun))
        self._ticks += 1
        hasty = self._ticks >= HASTE and self._shallowest >= FAR_TOO_DEEP
        if self._ticks < PATIENCE and not hasty:
            return False
        too_deep = self._shallowest >= TOO_DEEP
        self._ticks, self._shallowest = 0, SPAN
        return too_deep


def _blended(first: Samples | None, second: Samples | None) -> Samples | None:
    """One frame that begins as the first and ends as the second."""
    if first is None or second is None:
        return first if second is None else second
    return np.round(first * _FALLING + second * (1 - _FALLING)).astype(np.int16)
