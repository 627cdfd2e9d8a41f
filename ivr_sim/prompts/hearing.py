"""What a caller hears: which prompt sounds where, and whether it is what the IVR says it said.

``verify`` asks of every prompt that was announced whether it is in the audio, whole or cut as announced,
and of everything else whether it is silent. Audio of our own is compared to the sample, at next to no
cost; what came over a line is compared by matched filter. ``hear`` knows of no announcements and searches.

Times are seconds from the sound's first sample. A prompt starts with its sound's first sample, a moment of
silence, and ends with the last that can be heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ivr_sim.call import Phrase
from ivr_sim.errors import IvrSimError
from ivr_sim.media.g711 import FRAME_SAMPLES, SAMPLE_RATE, Samples
from ivr_sim.prompts.matched_filter import Searched, Signal, Track, Wanted, band_limited, follow, peaks

__all__ = [
    "Announced",
    "BargeIn",
    "HeardPrompt",
    "Mismatch",
    "barge_ins",
    "hear",
    "heard_amount",
    "told",
    "verify",
]

K = TypeVar("K")
_Others = Callable[[], Mapping[Phrase, Samples]]  # made only when there is something to name

HEAD = round(1.2 * SAMPLE_RATE)  # by so much of its beginning a prompt is found
SHORTEST = round(0.25 * SAMPLE_RATE)  # less than this of a prompt tells nothing
LIKE = 0.45
LIKE_HERE = 0.35  # where it was announced, less will do
EARLY, LATE = round(0.3 * SAMPLE_RATE), round(0.5 * SAMPLE_RATE)  # a line's delay; an ear opened late
LENIENCE = round(0.1 * SAMPLE_RATE)
LATE_CUT = round(0.06 * SAMPLE_RATE)
GONE = round(0.2 * SAMPLE_RATE)  # so long a silence is none within a sentence
QUIET = 100.0**2  # power: -50 dBFS
FAINTEST = 100
OVER_FLOOR = 4.0
SOUNDING = 3  # frames in a row: what is shorter is a click
NO_KEYS = 0.1  # of the power, outside the tones of keys: less is left of keys alone
WINDOW = 10  # frames: what is missing of a prompt is judged over 200 ms
HOLE = 5  # such windows in a row, if there is silence instead: 280 ms, which are no lost packets
DEAD = 0.1  # of the power that is due: next to nothing
PRESENT = 0.4  # of what should be heard in them


@dataclass(frozen=True)
class Announced:
    """A prompt as the journal tells it; end_s: when it was cut, None if it was said to its end."""

    phrase: Phrase
    start_s: float
    end_s: float | None = None


@dataclass(frozen=True)
class Mismatch:
    """Something announced that was not heard so, or heard and not announced, at ``t`` seconds."""

    t: float
    expected: str
    heard: str


@dataclass(frozen=True)
class HeardPrompt:
    """A prompt that was heard; cut: it fell silent before its end.

    score: how like its sound, 0 to 1. margin: by how much it explains more of what was heard than the next
    best candidate that begins alike, 0 to 1; near 0 when it was cut before the two differ.
    """

    phrase: Phrase
    start_s: float
    end_s: float
    cut: bool
    score: float
    margin: float


@dataclass(frozen=True)
class BargeIn:
    """A key that cut a prompt: when it went down, and when nothing of the prompt could be heard any more."""

    phrase: Phrase
    key_s: float
    silent_s: float

    @property
    def ms(self) -> float:
        """Milliseconds from the key to silence."""
        return max(0.0, self.silent_s - self.key_s) * 1000


def told(phrase: Phrase) -> str:
    """A phrase in one line: ``amount (amount=200.00)``."""
    if not phrase.params:
        return phrase.name
    return f"{phrase.name} ({', '.join(f'{name}={value}' for name, value in phrase.params.items())})"


def verify(
    sound: Samples,
    announced: Sequence[Announced],
    sounds: Callable[[Phrase], Samples],
    *,
    rivals: Iterable[Phrase] = (),
) -> list[Mismatch]:
    """Is what was announced really in the audio, at its place, and nothing else? Empty when it is.

    sound: the IVR's side, int16, shape (n,), 8 kHz, from the answer on. announced: in order. sounds: the
    very renderings that were played, such as ``Library.sound_now``. rivals: other phrases, by which a
    mismatch can name what was heard instead; whatever of them has no sound is passed over. Audio that
    is not ours to the sample is found from 0.3 s before to 0.5 s after its announced time.
    """
    line = _Line(sound)
    mismatches: list[Mismatch] = []
    known: list[tuple[int, int]] = []
    ours = True
    for said in announced:
        found = _find(line, said, sounds(said.phrase))
        ours &= found.exact
        others = partial(_others, said.phrase, announced, rivals, sounds)
        if (wrong := _wrong(line, said, found, others)) is not None:
            mismatches.append(wrong)
        known.append((found.at, found.at + max(found.wanted, found.heard)))
    for first, last in _unannounced(line, known, ours):
        heard = _what(line, first, last, partial(_others, None, announced, rivals, sounds))
        mismatches.append(
            Mismatch(
                first / SAMPLE_RATE, "silence", f"{heard}, from {_s(first)} to {_s(last)}, not announced"
            )
        )
    return sorted(mismatches, key=lambda mismatch: mismatch.t)


def hear(sound: Samples, candidates: Mapping[Phrase, Samples]) -> list[HeardPrompt]:
    """Search a sound for prompts; those that were heard, in order, none over another.

    sound: int16 (or float of that scale), shape (n,), 8 kHz. candidates: all prompts that may sound in
    it, as they are rendered. Gains, noise to 0 dB, clocks 500 ppm apart and packets replaced by silence
    do no harm. A sentence that only begins like a candidate is none.
    """
    line = _Line(sound)
    searched = Searched(line.heard, HEAD)
    hits: list[_Hit] = []
    for phrase, samples in candidates.items():
        wanted = Wanted(samples)
        head = wanted.head(HEAD)
        if len(head) >= SHORTEST:
            for place in peaks(searched.likeness(head), LIKE, HEAD // 2):
                hits.append(_Hit(phrase, wanted, place - wanted.onset, line))
    chosen: list[HeardPrompt] = []
    taken: list[tuple[int, int]] = []
    for hit in sorted(hits, key=lambda hit: -hit.track.explained):
        if any(hit.onset < last - LENIENCE and hit.end > first + LENIENCE for first, last in taken):
            continue
        if hit.track.score < LIKE or hit.end - hit.onset < SHORTEST or not _is_whole(line, hit, hits):
            continue
        taken.append((hit.onset, hit.end))
        rival = max(
            (
                other.track.explained
                for other in hits
                if other.phrase != hit.phrase and abs(other.onset - hit.onset) < LENIENCE
            ),
            default=0.0,
        )
        chosen.append(
            HeardPrompt(
                hit.phrase,
                max(hit.at, 0) / SAMPLE_RATE,
                hit.end / SAMPLE_RATE,
                hit.cut,
                hit.track.score,
                1 - rival / hit.track.explained,
            )
        )
    return sorted(chosen, key=lambda prompt: prompt.start_s)


def heard_amount(sound: Samples, candidates: Mapping[K, Samples]) -> tuple[K | None, float]:
    """Which of several sounds that begin alike was heard, and by what margin, 0 to 1, over the next best.

    sound: int16, shape (n,), 8 kHz, with one of them somewhere in it. None, and 0, when it is none of them.
    """
    names = {Phrase(str(number)): key for number, key in enumerate(candidates)}
    heard = hear(sound, dict(zip(names, candidates.values(), strict=True)))
    if not heard:
        return None, 0.0
    best = max(heard, key=lambda prompt: prompt.score * (prompt.end_s - prompt.start_s))
    return names[best.phrase], best.margin


def barge_ins(
    sound: Samples,
    announced: Iterable[Announced],
    sounds: Callable[[Phrase], Samples],
    keys: Iterable[float],
) -> list[BargeIn]:
    """For every prompt that was cut by a key: when the key went down, and when the prompt fell silent.

    keys: when keys went down on the caller's side, in seconds on the sound's own clock. A prompt that is
    not in the sound, or during which no key went down, is left out.
    """
    line, down = _Line(sound), sorted(keys)
    found = []
    for said in announced:
        if said.end_s is None:
            continue
        place = _find(line, said, sounds(said.phrase))
        within = [key for key in down if said.start_s <= key <= said.end_s]
        if (place.exact or place.track is not None) and within:
            found.append(BargeIn(said.phrase, within[-1], (place.at + place.heard) / SAMPLE_RATE))
    return found


class _Line:
    """What came over the line, filtered only when that is needed."""

    def __init__(self, sound: Samples) -> None:
        self.raw = np.asarray(sound)
        self._heard: Signal | None = None
        self._powers: npt.NDArray[np.float32] | None = None

    @property
    def heard(self) -> Signal:
        if self._heard is None:
            self._heard = band_limited(self.raw)
        return self._heard

    @property
    def powers(self) -> npt.NDArray[np.float32]:
        """Power per 20 ms."""
        if self._powers is None:
            self._powers = _powers(self.heard)
        return self._powers

    @property
    def quiet(self) -> float:
        """The power up to which nothing sounds: over that of the line's own noise."""
        floor = float(np.percentile(self.powers, 10)) if len(self.powers) else 0.0
        return max(QUIET, OVER_FLOOR * floor)

    def sounding(self, first: int, last: int) -> list[tuple[int, int]]:
        """Where something but the tones of keys sounds between two samples: spans of at least 60 ms."""
        start, end = -(-max(first, 0) // FRAME_SAMPLES), max(last, 0) // FRAME_SAMPLES
        before = _powers(self.raw[start * FRAME_SAMPLES : end * FRAME_SAMPLES].astype(np.float32))
        loud = self.powers[start:end] > np.maximum(self.quiet, NO_KEYS * before)
        loud &= before > QUIET  # elsewhere, the filter rings
        return [
            ((start + begin) * FRAME_SAMPLES, (start + end) * FRAME_SAMPLES)
            for begin, end in _runs(loud)
            if end - begin >= SOUNDING
        ]


class _Hit:
    """A candidate where it may be."""

    def __init__(self, phrase: Phrase, wanted: Wanted, at: int, line: _Line) -> None:
        self.phrase = phrase
        self.wanted = wanted
        self.at = at
        self.track = follow(line.heard, wanted.signal, at)
        self.cut = not wanted.faint_from(self.track.length)
        self.onset = at + wanted.onset
        self.end = at + (self.track.length if self.cut else wanted.offset)


@dataclass(frozen=True)
class _Found:
    """An announced prompt in the audio, from sample ``at`` on.

    wanted: samples of it that were announced; heard: that were heard; exact: those are ours to the sample.
    """

    at: int
    wanted: int
    heard: int
    exact: bool
    sought: Wanted | None
    track: Track | None


def _find(line: _Line, said: Announced, samples: Samples) -> _Found:
    at = round(said.start_s * SAMPLE_RATE)
    length = len(samples)
    if said.end_s is not None:
        length = min(length, max(0, round(said.end_s * SAMPLE_RATE) - at))
    there = line.raw[at : at + len(samples)]
    alike = samples[: len(there)] == there
    same = len(alike) if alike.all() else int(alike.argmin())
    if same >= length:
        return _Found(at, length, _audible(samples[:same]), True, None, None)
    wanted = Wanted(samples)
    head = wanted.head(min(HEAD, length - wanted.onset))
    if len(head) < SHORTEST:
        return _Found(at, length, length, False, None, None)
    first = at + wanted.onset - EARLY
    missing = np.zeros(max(0, -first), np.float32)
    part = line.heard[max(0, first) : max(0, at + wanted.onset + LATE + len(head))]
    likely = Searched(np.concatenate([missing, part]), HEAD).likeness(head)
    if not len(likely) or likely.max() < LIKE_HERE:
        return _Found(at, length, length, False, wanted, None)
    place = first + int(likely.argmax()) - wanted.onset
    track = follow(line.heard, wanted.signal, place)
    return _Found(place, length, track.length, False, wanted, track)


def _wrong(line: _Line, said: Announced, found: _Found, others: _Others) -> Mismatch | None:
    """What is wrong with a prompt in the audio, if anything is."""
    wanted, track, at = found.sought, found.track, found.at
    name, start = told(said.phrase), said.start_s
    if wanted is not None:
        if track is None or track.score < LIKE_HERE:
            return Mismatch(start, name, _what(line, at, at + found.wanted, others))
        for first, last, silent in _holes(
            wanted, track, min(found.wanted, wanted.offset, len(line.raw) - at)
        ):
            if silent and at + last < LATE:
                continue  # the caller's ear opened a little after the answer
            t = (at + first) / SAMPLE_RATE
            if silent:
                return Mismatch(t, name, f"{name}, silent from {t:.2f} s to {_s(at + last)}")
            instead = _what(line, at, at + found.wanted, others)
            if instead == SOMETHING:
                instead = f"something that is not {name} from {t:.2f} s on"
            return Mismatch(start, name, instead)
    late = 0 if found.exact else LATE_CUT
    if said.end_s is not None and found.heard > found.wanted + late:
        return Mismatch(
            said.end_s, f"{name}, cut at {said.end_s:.2f} s", f"{name} until {_s(at + found.heard)}"
        )
    return None


def _holes(wanted: Wanted, track: Track, due: int) -> list[tuple[int, int, bool]]:
    """What is missing of a prompt, of which so many samples are due: first, last, whether silence is there.

    Judged over 200 ms, in which it counts how loud a frame should be, not how powerful: one lost packet
    in the middle of a vowel is no hole.
    """
    sought, there = wanted.signal[:due], track.aligned[:due]
    frames = len(sought) // FRAME_SAMPLES
    if frames < WINDOW or track.gain <= 0:
        return []
    energy = _sums(sought * sought, frames)
    other = _sums(there * there, frames)
    loud = np.sqrt(energy)
    found = np.clip(_sums(sought * there, frames) / np.maximum(track.gain * energy, 1.0), -1, 1)
    loudness = _windows(loud)
    missing = (loudness > 0.3 * loudness.mean()) & (_windows(loud * found) < PRESENT * loudness)
    holes = []
    for first, last in _runs(missing):
        span = slice(first, last + WINDOW - 1)
        unheard = loud[span] * (found[span] < PRESENT)
        dead = other[span] < DEAD * track.gain**2 * energy[span]
        louder = (unheard * dead).sum() < 0.5 * unheard.sum()
        if louder or last - first >= HOLE:
            holes.append((first * FRAME_SAMPLES, (last + WINDOW - 1) * FRAME_SAMPLES, not louder))
    return holes


def _is_whole(line: _Line, hit: _Hit, hits: Iterable[_Hit]) -> bool:
    """Whether a prompt was said to its end, or fell silent; a sentence that only begins like it goes on."""
    due = hit.end - hit.at
    if any(not silent for _, _, silent in _holes(hit.wanted, hit.track, due)):
        return False
    if not hit.cut:
        return True
    behind = hit.end + FRAME_SAMPLES
    spans = line.sounding(behind, behind + GONE)
    return not spans or any(abs(other.onset - spans[0][0]) < LENIENCE for other in hits if other.at > hit.at)


def _unannounced(line: _Line, known: list[tuple[int, int]], ours: bool) -> list[tuple[int, int]]:
    """Where something sounds outside the known spans; ours: their edges are exact, to the sample."""
    found = []
    behind = 0
    for first, last in [*sorted(known), (len(line.raw), len(line.raw))]:
        if line.raw[behind : max(first, behind)].any():
            if ours:
                loud = _powers(line.raw[behind:first].astype(np.float32)) > QUIET
                found += [
                    (behind + begin * FRAME_SAMPLES, behind + end * FRAME_SAMPLES)
                    for begin, end in _runs(loud)
                ]
            else:
                found += line.sounding(behind + (LENIENCE if behind else 0), first - LENIENCE)
        behind = max(behind, last)
    return found


SOMETHING = "another sound"


def _what(line: _Line, first: int, last: int, others: _Others) -> str:
    """What sounds between two samples, in words."""
    if not line.sounding(first, last):
        return "silence"
    begin = max(0, first - EARLY)
    part = line.raw[begin : last + 2 * LATE]
    heard = [
        prompt
        for prompt in hear(part, others())
        if prompt.start_s * SAMPLE_RATE + begin < last and prompt.end_s * SAMPLE_RATE + begin > first
    ]
    return " and ".join(told(prompt.phrase) for prompt in heard) or SOMETHING


def _others(
    phrase: Phrase | None,
    announced: Iterable[Announced],
    rivals: Iterable[Phrase],
    sounds: Callable[[Phrase], Samples],
) -> dict[Phrase, Samples]:
    """The sounds by which to name what was heard instead of a phrase."""
    found = {}
    for other in (*(said.phrase for said in announced), *rivals):
        if other != phrase and other not in found:
            with suppress(IvrSimError):
                found[other] = sounds(other)
    return found


def _audible(samples: Samples) -> int:
    """Samples up to the last that can be heard."""
    loud = np.flatnonzero(np.abs(samples) > FAINTEST)
    return int(loud[-1]) + 1 if len(loud) else 0


def _powers(signal: Signal) -> npt.NDArray[np.float32]:
    whole = len(signal) // FRAME_SAMPLES * FRAME_SAMPLES
    return np.asarray(np.square(signal[:whole]).reshape(-1, FRAME_SAMPLES).mean(axis=1))


def _sums(signal: Signal, frames: int) -> npt.NDArray[np.float64]:
    """Sums over each of so many frames."""
    each = signal[: frames * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return np.asarray(each.sum(axis=1, dtype=np.float64))


def _windows(frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums over every ten frames in a row."""
    total = np.concatenate([[0.0], np.cumsum(frames)])
    return np.asarray(total[WINDOW:] - total[:-WINDOW])


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and behind-the-last index of each run of true ones."""
    steps = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(first), int(last)) for first, last in steps.reshape(-1, 2)]


def _s(sample: int) -> str:
    return f"{sample / SAMPLE_RATE:.2f} s"
