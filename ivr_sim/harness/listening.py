"""Whether what the journal announces is what the caller hears: each call's own audio, sample by sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ivr_sim.call import Phrase
from ivr_sim.harness.scenario import Case
from ivr_sim.harness.story import BargeIn
from ivr_sim.journal import PromptEnded, PromptStarted, Record
from ivr_sim.legs import Sounds
from ivr_sim.media import Samples
from ivr_sim.prompts import Library
from ivr_sim.prompts.hearing import Announced, barge_ins, verify
from ivr_sim.reports.verdict import Failure

__all__ = ["Listener"]


class Listener(Sounds):
    """Stands before a library, and knows afterwards what phrases were asked of it."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._phrases: dict[tuple[str, tuple[tuple[str, str], ...]], Phrase] = {}

    async def sound(self, phrase: Phrase) -> Samples:
        """The phrase as it is to be played."""
        named = phrase.name, tuple(sorted((name, str(value)) for name, value in phrase.params.items()))
        self._phrases[named] = phrase
        return await self._library.sound(phrase)

    def announced(self, records: Iterable[Record]) -> list[Announced]:
        """What the journal says was said."""
        said: list[Announced] = []
        for record in records:
            match record.event:
                case PromptStarted(name=name, params=params):
                    phrase = self._phrases.get((name, tuple(sorted(params.items()))), Phrase(name, params))
                    said.append(Announced(phrase, record.t or 0.0))
                case PromptEnded(cut_by=str()) if said:
                    said[-1] = Announced(said[-1].phrase, said[-1].start_s, record.t)
        return said

    def judge(self, case: Case, announced: Sequence[Announced], heard: Samples) -> Failure | None:
        """The first thing that was announced and not heard, or heard and not announced.

        Raises VoiceMissing where there is no sound to compare with.
        """
        found = verify(heard, announced, self._library.sound_now, rivals=self._library.at_hand)
        if not found:
            return None
        wrong = found[0]
        line = case.line_of("expect", "prompts")
        return Failure("hearing", wrong.expected, wrong.heard, round(wrong.t, 2), str(case.path), line)

    def barge_ins(
        self, announced: Sequence[Announced], heard: Samples, onsets: Iterable[float]
    ) -> list[BargeIn]:
        """How long prompts went on when keys cut them, as measured in the audio."""
        cuts = barge_ins(heard, announced, self._library.sound_now, onsets)
        return [BargeIn(cut.phrase.name, cut.key_s, cut.ms) for cut in cuts]
