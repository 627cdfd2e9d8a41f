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

import numpy as np

from ivr_sim.call import Phrase
from ivr_sim.errors import IvrSimError
from ivr_sim.media.g711 import FRAME_SAMPLES, SAMPLE_RATE, Samples
from ivr_sim.prompts.line import QUIET, Line, holes, powers, runs
from ivr_sim.prompts.matched_filter import Searched, Signal, Track, Wanted, follow
from ivr_sim.prompts.search import HEAD, SHORTEST, HeardPrompt, hear, heard_amount

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

_Others = Callable[[], Mapping[Phrase, Samples]]  # made only when there is something to name

LIKE_PART, CERTAIN = 0.75, 0.95
LIKE = 0.35  # where it was announced, less will do than in a search
EARLY, LATE = round(0.3 * SAMPLE_RATE), round(0.5 * SAMPLE_RATE)  # a line's delay; an ear opened late
LENIENCE = round(0.1 * SAMPLE_RATE)
LATE_CUT = round(0.06 * SAMPLE_RATE)
FAINTEST = 100  # of 32768
SOMETHING = "another sound"


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
    line = Line(sound)
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
    line, down = Line(sound), sorted(keys)
    found = []
    for said in announced:
        if said.end_s is None:
            continue
        place = _find(line, said, sounds(said.phrase))
        within = [key for key in down if said.start_s <= key <= said.end_s]
        if (place.exact or place.track is not None) and within:
            found.append(BargeIn(said.phrase, within[-1], (place.at + place.heard) / SAMPLE_RATE))
    return found


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


def _find(line: Line, said: Announced, samples: Samples) -> _Found:
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
    tracks = [(follow(line.heard, wanted.signal, place), place) for place in _places(line, at, wanted, head)]
    if not tracks:
        return _Found(at, length, length, False, wanted, None)
    track, place = max(tracks, key=lambda pair: pair[0].explained)
    return _Found(place, length, track.length, False, wanted, track)


def _places(line: Line, at: int, wanted: Wanted, head: Signal) -> list[int]:
    """Where a prompt may begin near sample ``at``: by its head as a whole, and by its parts.

    Where packets slipped within the head, its parts lie further apart; and a vowel is like itself from one
    period to the next, which can make a wrong place the likeliest for the whole.
    """
    first = at + wanted.onset - EARLY
    missing = np.zeros(max(0, -first), np.float32)
    part = line.heard[max(0, first) : max(0, at + wanted.onset + LATE + len(head))]
    searched = Searched(np.concatenate([missing, part]), HEAD)
    places: list[int] = []
    for start, size in ((0, len(head)), *((start, HEAD // 3) for start in range(0, len(head), HEAD // 3))):
        likely = searched.likeness(head[start : start + size])
        best = int(likely.argmax()) if len(likely) else 0
        if not len(likely) or likely[best] < (LIKE if size == len(head) else LIKE_PART):
            continue
        places.append(first + best - start - wanted.onset)
        if likely[best] > CERTAIN:
            break
    return places


def _wrong(line: Line, said: Announced, found: _Found, others: _Others) -> Mismatch | None:
    """What is wrong with a prompt in the audio, if anything is."""
    wanted, track, at = found.sought, found.track, found.at
    name, start = told(said.phrase), said.start_s
    if wanted is not None:
        if track is None or track.score < LIKE:
            return Mismatch(start, name, _what(line, at, at + found.wanted, others))
        due = min(found.wanted, wanted.offset, len(line.raw) - at)
        for first, last, silent in holes(wanted, track, due):
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


def _unannounced(line: Line, known: list[tuple[int, int]], ours: bool) -> list[tuple[int, int]]:
    """Where something sounds outside the known spans; ours: their edges are exact, to the sample."""
    found = []
    behind = 0
    for first, last in [*sorted(known), (len(line.raw), len(line.raw))]:
        if line.raw[behind : max(first, behind)].any():
            if ours:
                loud = powers(line.raw[behind:first].astype(np.float32)) > QUIET
                found += [
                    (behind + begin * FRAME_SAMPLES, behind + end * FRAME_SAMPLES)
                    for begin, end in runs(loud)
                ]
            else:
                found += line.sounding(behind + (LENIENCE if behind else 0), first - LENIENCE)
        behind = max(behind, last)
    return found


def _what(line: Line, first: int, last: int, others: _Others) -> str:
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
    loud = np.flatnonzero((samples > FAINTEST) | (samples < -FAINTEST))
    return int(loud[-1]) + 1 if len(loud) else 0


def _s(sample: int) -> str:
    return f"{sample / SAMPLE_RATE:.2f} s"
