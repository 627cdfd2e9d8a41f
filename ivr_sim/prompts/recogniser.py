"""The recogniser: tells, while it listens, which prompt has begun and when it is over.

For callers of an IVR in somebody else's process, who have nothing but what they hear. Frames come in, events
come out; there is no clock but the frames'.

    frames of 20 ms --> band, without key tones --> something sounds: which head is like it?
                                                        |  one name is left: PromptBegun
                                                        v
                                                    followed, every 100 ms, with all that begin alike
                                                        |  said, or silent, or something else: PromptOver
                                                        v
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ivr_sim.call import Phrase
from ivr_sim.media.g711 import FRAME_SAMPLES, SAMPLE_RATE, Samples
from ivr_sim.prompts.matched_filter import DELAY, Band, Signal, Track, Wanted, follow

__all__ = ["PromptBegun", "PromptOver", "Recogniser"]

LOOK = 5  # frames from one look to the next
HEAD = round(0.5 * SAMPLE_RATE)  # of a prompt's beginning, by which it is found
SIZE = 1 << 13  # samples, the newest, in which heads are looked for
LIKE = 0.75
BESIDE = 0.2  # heads so much less like than the best are followed, too
APART = 0.05  # what explains so much less than the best is dropped
UNDECIDED = round(1.5 * SAMPLE_RATE)  # by then the best of those that begin alike is taken
INTERRUPTED = round(0.3 * SAMPLE_RATE)
TOGETHER = round(0.05 * SAMPLE_RATE)
MISSED = round(0.16 * SAMPLE_RATE)  # so much of a prompt missing, without silence of its own: it has stopped
SILENT = round(0.8 * SAMPLE_RATE)  # longer than sentences pause within
QUIET = 100.0**2  # power: -50 dBFS
OVER_FLOOR = 2.5
FLOOR_FRAMES = 150
SOUNDING = 12  # of the last 25 frames
EAGER, SELDOM = 12, 4  # so many looks at an unknown sound; then one in so many


@dataclass(frozen=True)
class PromptBegun:
    """A prompt has begun at ``start_s``, in seconds since the first frame: its name is certain."""

    name: str
    start_s: float


@dataclass(frozen=True)
class PromptOver:
    """The prompt that had begun is over at ``end_s``; cut: before its end.

    phrase: which of that name it was; None when it went on in a way that none of the candidates has.
    """

    name: str
    phrase: Phrase | None
    start_s: float
    end_s: float
    cut: bool


@dataclass(frozen=True)
class _Candidate:
    phrase: Phrase
    wanted: Wanted


@dataclass(frozen=True)
class _Rival:
    """What the prompt that sounds may be, from sample ``at`` on."""

    candidate: _Candidate
    at: int


@dataclass
class _Current:
    """The prompt that sounds: everything that it may be yet, the likeliest first."""

    rivals: list[_Rival]
    told: bool = False
    stopped: int | None = None  # since when it goes on like none of them


class Recogniser:
    """Listens to one call.

    candidates: every prompt that may sound, as it is rendered. A prompt is told within about 0.7 s of its
    start; one that begins like others of another name, as soon as they differ. Its end is told within 0.2 s,
    that it was cut within half a second. Key tones that come back from the line are not heard.
    """

    def __init__(self, candidates: Mapping[Phrase, Samples]) -> None:
        every = [_Candidate(phrase, Wanted(sound)) for phrase, sound in candidates.items()]
        self._candidates = [each for each in every if len(each.wanted.head(HEAD)) >= HEAD // 2]
        self._heads = np.zeros((len(self._candidates), SIZE // 2 + 1), np.complex64)
        self._norms = np.ones(len(self._candidates), np.float32)
        for row, each in enumerate(self._candidates):
            head = each.wanted.head(HEAD)
            self._heads[row] = np.conj(np.fft.rfft(head, SIZE))
            self._norms[row] = np.sqrt(np.dot(head, head))
        self._band = Band()
        self._fresh: list[Samples] = []
        self._heard: Signal = np.zeros(0, np.float32)  # as it is compared
        self._first = -DELAY  # the number of its first sample, since the start
        self._from = 0  # what comes before this sample is settled
        self._powers: list[float] = []  # of the last frames
        self._looks = 0  # at a sound that is not known yet
        self._current: _Current | None = None

    def feed(self, frame: Samples) -> list[PromptBegun | PromptOver]:
        """Hear 20 ms: int16, shape (160,). Tells what has become certain.

        Raises ValueError for a frame of another shape.
        """
        if frame.shape != (FRAME_SAMPLES,):
            raise ValueError(f"a frame has {FRAME_SAMPLES} samples, not the shape {frame.shape}")
        self._fresh.append(frame)
        if len(self._fresh) < LOOK:
            return []
        heard = self._band.feed(np.concatenate(self._fresh))
        self._fresh.clear()
        self._heard = np.concatenate([self._heard, heard])
        self._powers += [float(np.dot(part, part)) / FRAME_SAMPLES for part in heard.reshape(LOOK, -1)]
        del self._powers[:-FLOOR_FRAMES]
        events = self._follow() if self._current is not None else []
        if self._current is None or self._current.stopped is not None:
            events += self._search()
        self._forget()
        return events

    @property
    def _end(self) -> int:
        return self._first + len(self._heard)

    @property
    def _quiet(self) -> float:
        return max(QUIET, OVER_FLOOR * float(np.percentile(self._powers, 10)))

    def _part(self, first: int, last: int | None = None) -> Signal:
        """What was heard from one sample to another."""
        return self._heard[max(first - self._first, 0) : None if last is None else last - self._first]

    def _forget(self) -> None:
        needed = self._end - SIZE
        if self._current is not None:
            needed = min(needed, *(rival.at for rival in self._current.rivals))
        surplus = max(0, min(needed, self._end - HEAD) - self._first)
        self._heard = self._heard[surplus:]
        self._first += surplus

    def _search(self) -> list[PromptBegun | PromptOver]:
        sounding = sum(power > self._quiet for power in self._powers[-25:])
        if sounding < SOUNDING or not self._candidates:
            self._looks = 0
            return []
        self._looks += 1
        if self._looks > EAGER and self._looks % SELDOM:
            return []
        first = max(self._end - SIZE, self._from, self._first)
        found = self._found(self._part(first), first)
        if found is None:
            return []
        events = [] if self._current is None else self._interrupted(found.rivals[0].at)
        self._current = found
        return [*events, *self._follow()]

    def _found(self, sound: Signal, first: int) -> _Current | None:
        """Every prompt whose head is in the sound, at the place of the likeliest."""
        likely = self._likeness(sound)
        places = likely.argmax(axis=1)
        scores = likely[np.arange(len(likely)), places]
        best = int(scores.argmax())
        if scores[best] < LIKE:
            return None
        return _Current(
            [
                _Rival(each, first + int(place) - each.wanted.onset)
                for each, place, score in zip(self._candidates, places, scores, strict=True)
                if abs(int(place) - int(places[best])) < TOGETHER and score > scores[best] - BESIDE
            ]
        )

    def _likeness(self, sound: Signal) -> npt.NDArray[np.float32]:
        """How like each head is to the sound, from each of its samples on: shape (candidates, places)."""
        places = len(sound) - HEAD + 1
        if places <= 0:
            return np.zeros((len(self._heads), 1), np.float32)
        products = np.fft.irfft(np.fft.rfft(sound, SIZE).astype(np.complex64) * self._heads, SIZE)[:, :places]
        energy = np.concatenate([[0.0], np.cumsum(np.square(sound), dtype=np.float64)])
        windows = np.sqrt(np.maximum(energy[HEAD:] - energy[:-HEAD], HEAD))
        return np.asarray(products / (self._norms[:, None] * windows), np.float32)

    def _follow(self) -> list[PromptBegun | PromptOver]:
        current = self._current
        assert current is not None
        if current.stopped is not None:
            return self._over(self._end - SILENT) if self._silent_for(SILENT) else []
        track = self._narrow(current)
        at, wanted = current.rivals[0].at, current.rivals[0].candidate.wanted
        available = self._end - at
        if available >= wanted.offset and wanted.faint_from(track.length):
            return self._over(at + wanted.offset)
        named = len({rival.candidate.phrase.name for rival in current.rivals}) == 1
        if wanted.audible(track.length, available) >= MISSED:
            stopped = self._from = at + track.length
            if self._silent_for(available - track.length - 2 * FRAME_SAMPLES):
                return self._over(stopped, cut=True)
            if not current.told:
                self._current = None  # something else that only begins so
                return []
            current.stopped = stopped
            # The next may have begun at once, and its beginning may have passed for this one's.
            self._from = stopped - 2 * MISSED
        if track.score < LIKE - BESIDE and not current.told:
            self._current = None
            return []
        return self._begun() if named or available - wanted.onset >= UNDECIDED else []

    def _narrow(self, current: _Current) -> Track:
        """Follow all that it may be as far as anything was heard; keep what explains most of it."""
        tracks = []
        for rival in current.rivals:
            sought = rival.candidate.wanted.signal[: max(self._end - rival.at, 0)]
            tracks.append((follow(self._heard, sought, rival.at - self._first), rival))
        tracks.sort(key=lambda pair: -pair[0].explained)
        least = (1 - APART) * tracks[0][0].explained
        current.rivals = [rival for track, rival in tracks if track.explained >= least]
        return tracks[0][0]

    def _begun(self) -> list[PromptBegun | PromptOver]:
        current = self._current
        assert current is not None
        if current.told:
            return []
        current.told = True
        likeliest = current.rivals[0]
        return [PromptBegun(likeliest.candidate.phrase.name, max(likeliest.at, 0) / SAMPLE_RATE)]

    def _interrupted(self, at: int) -> list[PromptBegun | PromptOver]:
        """Another prompt begins: the last one was cut, if it stopped right before."""
        current = self._current
        assert current is not None
        assert current.stopped is not None
        if at - current.stopped > INTERRUPTED:
            return self._over(at)
        end, current.stopped = min(current.stopped, at), None
        return self._over(end, cut=True)

    def _silent_for(self, samples: int) -> bool:
        frames = max(1, samples // FRAME_SAMPLES)
        return all(power <= self._quiet for power in self._powers[-frames:])

    def _over(self, end: int, cut: bool = False) -> list[PromptBegun | PromptOver]:
        current = self._current
        assert current is not None
        events = self._begun()
        likeliest = current.rivals[0]
        phrase = likeliest.candidate.phrase
        start = max(likeliest.at, 0) / SAMPLE_RATE
        self._current = None
        self._from = end
        self._looks = 0
        known = phrase if current.stopped is None else None
        return [*events, PromptOver(phrase.name, known, start, end / SAMPLE_RATE, cut)]
