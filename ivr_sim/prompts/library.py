"""The library: the sound of every phrase, from wherever it is had soonest.

In this order: a person's recording; memory; what ships; the cache on disk; the voice.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from ivr_sim.call import Phrase
from ivr_sim.media.g711 import PCMU, Samples
from ivr_sim.prompts.cache import SoundCache, sound_key
from ivr_sim.prompts.catalogue import Catalogue
from ivr_sim.prompts.recorded import read_recordings
from ivr_sim.prompts.shipped import ShippedPrompts
from ivr_sim.prompts.voice import Voice, VoiceMissing

__all__ = ["Library"]


class Library:
    """All phrases of a catalogue as sound: int16, shape (n,), 8 kHz, read-only.

    voice says what is neither shipped nor cached; without one, VoiceMissing is raised for that. cache: a
    folder that may be shared between processes. overrides: a folder of recordings by phrase name (see
    ``read_recordings``), read at once. memory: bytes of sound kept at hand. Raises ConfigurationError.

    Every sound but a recording has been through mu-law: what is played the first time is to the sample
    what is played from the cache ever after.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        voice: Voice | None = None,
        *,
        cache: Path,
        overrides: Path | None = None,
        memory: int = 32_000_000,
    ) -> None:
        self.catalogue = catalogue
        self._voice = voice
        self._recorded = {} if overrides is None else read_recordings(overrides, catalogue)
        self._shipped = ShippedPrompts(catalogue.language)
        self._voice_name = voice.name if voice is not None else (self._shipped.voice or "none")
        self._cache = SoundCache(cache)
        self._room = memory
        self._memory: OrderedDict[str, Samples] = OrderedDict()
        self._phrases: dict[str, Phrase] = {}
        self._waiting: dict[str, list[Deferred[Samples]]] = {}

    async def sound(self, phrase: Phrase) -> Samples:
        """The sound of a phrase, rendered if need be; the same text is never rendered twice at a time.

        Raises UnknownPhrase, BadPhrase, AmountError, VoiceMissing, VoiceFailed.
        """
        text, key, known = self._look_up(phrase)
        if known is not None:
            return known
        if self._voice is None:
            raise VoiceMissing(f"phrase {phrase.name!r} was never rendered, and there is no voice to do it")
        ready: Deferred[Samples] = Deferred()
        if key in self._waiting:
            self._waiting[key].append(ready)
        else:
            self._waiting[key] = [ready]
            # On its own, not within this await: whoever waits may be cancelled, the others still wait.
            ensureDeferred(self._render(self._voice, key, text))
        return await ready

    def sound_now(self, phrase: Phrase) -> Samples:
        """The sound of a phrase that needs no rendering; no reactor is needed either.

        Raises VoiceMissing if only the voice could tell, besides what ``sound`` raises.
        """
        _, _, known = self._look_up(phrase)
        if known is None:
            raise VoiceMissing(f"phrase {phrase.name!r} was not rendered yet")
        return known

    @property
    def at_hand(self) -> list[Phrase]:
        """The phrases that were asked for and whose sounds are in memory."""
        return [phrase for key, phrase in self._phrases.items() if key in self._memory]

    def _look_up(self, phrase: Phrase) -> tuple[str, str, Samples | None]:
        """The phrase's text and key, and its sound if it is at hand."""
        text = self.catalogue.text(phrase)
        key = sound_key(self.catalogue.language, self._voice_name, text)
        for stem in self.catalogue.stems(phrase):
            if stem in self._recorded:
                return text, key, self._recorded[stem]
        self._phrases[key] = phrase
        if key in self._memory:
            self._memory.move_to_end(key)
            return text, key, self._memory[key]
        for source in (self._shipped, self._cache):
            sound = source.get(key)
            if sound is not None:
                return text, key, self._remember(key, sound)
        return text, key, None

    async def _render(self, voice: Voice, key: str, text: str) -> None:
        try:
            sound = PCMU.decode(PCMU.encode(await voice.render(text)))
            self._cache.put(key, sound)
            self._remember(key, sound)
        except Exception:
            failure = Failure()
            for ready in self._waiting.pop(key):
                ready.errback(failure)
            return
        for ready in self._waiting.pop(key):
            ready.callback(sound)

    def _remember(self, key: str, sound: Samples) -> Samples:
        sound.setflags(write=False)
        self._memory[key] = sound
        self._room -= sound.nbytes
        while self._room < 0 and len(self._memory) > 1:
            key, forgotten = self._memory.popitem(last=False)
            self._phrases.pop(key, None)
            self._room += forgotten.nbytes
        return sound
