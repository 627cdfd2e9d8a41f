"""What a telephone sent, as a recording of its own: the sound as it came, and every key in it as a tone.

Keys that came by RFC 4733 or SIP INFO make no sound, so they are given one, where they were pressed. What
is recorded here is not masked, or it could not be replayed. Therefore only calls in which no card was keyed
but listed test cards become recordings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

import dtmf
from ivr_sim.errors import IvrSimError
from ivr_sim.journal import KeyMethod
from ivr_sim.key_mask import mask_keys
from ivr_sim.media import FRAME_SAMPLES, SAMPLE_RATE, Samples
from ivr_sim.openpay import TEST_CARDS

__all__ = ["CallTape", "NotReplayable", "TapedKey", "cards_keyed", "keys_of_no_card", "with_tones"]

SHORTEST, PAUSE = 0.05, 0.05  # seconds: a tone that is put in, and the silence around it, are as long
HELD_BACK = 2  # frames that wait before they are heard (media.jitter)
DELAY = HELD_BACK * FRAME_SAMPLES / SAMPLE_RATE
KNOWN = 0.021  # seconds from a tone's onset to the tick in which it is certain (dtmf.Receiver)
NEAR = 0.15  # seconds between when a key was pressed and where its tone is found
NUMBERS = sorted((card.number for card in TEST_CARDS), key=len, reverse=True)
NUMBER = re.compile("|".join(NUMBERS))
NAMES = {card.number: card.name for card in TEST_CARDS}


class NotReplayable(IvrSimError):
    """What a telephone sent cannot be turned into a recording in which the same keys are heard."""


@dataclass
class TapedKey:
    """A key: which one, how it came, when it was down (seconds of the tape), whether it stays secret."""

    digit: str = field(repr=False)
    method: KeyMethod
    start: float
    end: float | None = None
    secret: bool = True


class CallTape:
    """Tapes one call (``legs.Tape``). then: called with the tape once the call is over.

    A line hears what arrives only after 40 ms, and is told of keys at once. On the tape all is as it arrived,
    so that a replay knows of each key when the line did.
    """

    def __init__(self, call: str, then: Callable[[CallTape], None]) -> None:
        self.call = call
        self.keys: list[TapedKey] = []
        self._then = then
        self._frames: list[Samples] = []
        self._told: list[float] = []

    @property
    def sound(self) -> Samples:
        """What came: int16, shape (n,), 8 kHz, from the answer on."""
        frames = self._frames[HELD_BACK:]
        return np.concatenate(frames) if frames else np.zeros(0, np.int16)

    def heard(self, samples: Samples) -> None:
        """The caller's next 20 ms."""
        self._frames.append(samples.copy())

    def key_down(self, digit: str, method: KeyMethod, start: float) -> None:
        """A key's onset."""
        self.keys.append(TapedKey(digit, method, start))
        self._told.append(len(self._frames) * FRAME_SAMPLES / SAMPLE_RATE)

    def key_up(self, duration_ms: int) -> None:
        """The end of the key that was down."""
        self.keys[-1].end = self.keys[-1].start + duration_ms / 1000

    def over(self, secret: Sequence[tuple[float, float]], published: Sequence[tuple[float, float]]) -> None:
        """The call has ended."""
        shown = {start for start, _ in published}
        for key, told in zip(self.keys, self._told, strict=True):
            key.secret = key.start not in shown
            begin = key.start - DELAY if key.method == "inband" else told - KNOWN
            length = None if key.end is None else key.end - key.start
            key.start = max(begin, 0.0)
            key.end = None if length is None else key.start + length
        self._then(self)
        self.keys.clear()  # whatever was keyed, it is not needed any more
        self._frames.clear()


def keys_of_no_card(keys: Sequence[TapedKey]) -> int:
    """How many secret digits belong to no listed test card's number, nor to the beginning of one."""
    pieces = re.split(r"\D+", NUMBER.sub(" ", _secret(keys)))
    return sum(len(piece) for piece in pieces if not any(n.startswith(piece) for n in NUMBERS))


def cards_keyed(keys: Sequence[TapedKey]) -> list[str]:
    """The names of the test cards whose numbers were keyed, in order."""
    return [NAMES[number] for number in NUMBER.findall(_secret(keys))]


def with_tones(sound: Samples, keys: Sequence[TapedKey]) -> Samples:
    """The sound with each key as a tone where it was pressed, and no other tones of keys.

    sound: int16, shape (n,), 8 kHz. Raises NotReplayable.
    """
    sound = sound.copy()
    length = len(sound) / SAMPLE_RATE
    spans = [(key.start, length if key.end is None else key.end) for key in keys]
    audible = [span for key, span in zip(keys, spans, strict=True) if key.method == "inband"]
    mask_keys(sound, (), published=audible)
    found = _matched(sound, keys)
    free = 0.0
    for key, (start, end), there in zip(keys, spans, found, strict=True):
        if key.method == "inband" and there is not None:
            free = there + PAUSE
            continue
        start = max(start, free)
        end = max(end, start + SHORTEST)
        sound = _put(sound, key.digit, start, end)
        free = end + PAUSE
    heard = [tone.digit for tone in dtmf.decode(sound, SAMPLE_RATE, keys=dtmf.KEYS_12)]
    if heard != [key.digit for key in keys]:
        raise NotReplayable(f"of {len(keys)} keys, {len(heard)} can be heard in the recording, or others")
    return sound


def _secret(keys: Sequence[TapedKey]) -> str:
    """The secret digits in order, with a mark wherever another key was pressed."""
    return "".join(key.digit if key.secret and key.digit.isdigit() else "|" for key in keys)


def _matched(sound: Samples, keys: Sequence[TapedKey]) -> list[float | None]:
    """Of each key, where its tone ends in the sound, or None where it is not heard."""
    tones = dtmf.decode(sound, SAMPLE_RATE, keys=dtmf.KEYS_12)
    ends: list[float | None] = []
    for key in keys:
        tone = next((t for t in tones if t.digit == key.digit and abs(t.start_s - key.start) <= NEAR), None)
        if tone is not None:
            tones = tones[tones.index(tone) + 1 :]
        ends.append(None if tone is None else tone.end_s)
    return ends


def _put(sound: Samples, digit: str, start: float, end: float) -> Samples:
    """The sound with this key in it, and quiet around it; longer, if the key lasts longer."""
    tone = dtmf.generate(digit, tone_ms=1000 * (end - start))
    first = round(start * SAMPLE_RATE)
    last = first + len(tone)
    quiet = round(PAUSE * SAMPLE_RATE)
    if last > len(sound):
        sound = np.concatenate([sound, np.zeros(last - len(sound), np.int16)])
    sound[max(first - quiet, 0) : last + quiet] = 0
    sound[first:last] = np.round(tone * 32767)
    return sound
