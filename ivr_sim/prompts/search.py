"""The search: which prompts sound in a recording of which nothing else is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ivr_sim.call import Phrase
from ivr_sim.media.g711 import FRAME_SAMPLES, SAMPLE_RATE, Samples
from ivr_sim.prompts.line import Line, holes
from ivr_sim.prompts.matched_filter import Searched, Wanted, follow, peaks

__all__ = ["HEAD", "SHORTEST", "HeardPrompt", "hear", "heard_amount"]

K = TypeVar("K")

HEAD = round(1.2 * SAMPLE_RATE)  # by so much of its beginning a prompt is found
SHORTEST = round(0.25 * SAMPLE_RATE)  # less than this of a prompt tells nothing
LIKE = 0.45
LENIENCE = round(0.1 * SAMPLE_RATE)
GONE = round(0.2 * SAMPLE_RATE)  # so long a silence is none within a sentence


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


def hear(sound: Samples, candidates: Mapping[Phrase, Samples]) -> list[HeardPrompt]:
    """Search a sound for prompts; those that were heard, in order, none over another.

    sound: int16 (or float of that scale), shape (n,), 8 kHz. candidates: all prompts that may sound in
    it, as they are rendered. Gains, noise to 0 dB, clocks 500 ppm apart and packets replaced by silence
    do no harm. A sentence that only begins like a candidate is none.
    """
    line = Line(sound)
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


class _Hit:
    """A candidate where it may be."""

    def __init__(self, phrase: Phrase, wanted: Wanted, at: int, line: Line) -> None:
        self.phrase = phrase
        self.wanted = wanted
        self.at = at
        self.track = follow(line.heard, wanted.signal, at)
        self.cut = not wanted.faint_from(self.track.length)
        self.onset = at + wanted.onset
        self.end = at + (self.track.length if self.cut else wanted.offset)


def _is_whole(line: Line, hit: _Hit, hits: Iterable[_Hit]) -> bool:
    """Whether a prompt was said to its end, or fell silent; a sentence that only begins like it goes on."""
    due = hit.end - hit.at
    if any(not silent for _, _, silent in holes(hit.wanted, hit.track, due)):
        return False
    if not hit.cut:
        return True
    behind = hit.end + FRAME_SAMPLES
    spans = line.sounding(behind, behind + GONE)
    return not spans or any(abs(other.onset - spans[0][0]) < LENIENCE for other in hits if other.at > hit.at)
