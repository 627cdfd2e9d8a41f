"""The number that says each key back: which one, by which way it came, how long, how loud.

To tell keys is what the number is for, and somebody will key a card here all the same. So of digits in a
row only the first five are told, by voice, in the journal and in the recording; what follows is told as
"a key", until a ``*`` or ``#`` starts a new row. A pause starts none: a card is keyed slowly by who listens
to each digit. Twelve in a row look like a card, and behind a card come its expiry and its code: from there
on no key of the call is told at all.

    keys    1  2  3  4  5  6  7  #  8  9 ...
    told    1  2  3  4  5  -  -  #  8  9
"""

from __future__ import annotations

from collections import deque

from ivr_sim.call import Call, Entry, Phrase, Stroke, phrase
from ivr_sim.dialogue.shop import Ending
from ivr_sim.dialogue.trial import held
from ivr_sim.journal import EntryAccepted

__all__ = ["CARD_LIKE", "IN_A_ROW", "keypad_test"]

IN_A_ROW = 5  # digits that may be told
CARD_LIKE = 12  # as many are taken for a card: the shortest has 13, and the last may be yet to come
IDLE = 30.0  # seconds without a key, until the invitation is repeated
RUN = 0.8  # seconds within which the next key belongs to the same run: then it is not talked over
LONGEST_RUN = 24  # keys, said in one go; of more, the last


async def keypad_test(call: Call) -> Ending:
    """Say each key back, until ``#`` is pressed twice, the caller hangs up, or the time limit."""
    return await held(call, _Keypad(call).talk())


class _Keypad:
    """One conversation: how many digits there are in a row, and whether any key is told any more."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._row = 0
        self._silent = False
        self._hashes = 0
        self._notice: Phrase | None = None  # why keys are not told, if that has changed

    async def talk(self) -> None:
        say: tuple[Phrase, ...] = (phrase("keypad"),)
        while self._hashes < 2:
            say = await self._run(*say) or (phrase("keypad"),)
        await self._call.say(*say)

    async def _run(self, *say: Phrase) -> tuple[Phrase, ...]:
        """Say something, take a run of keys, and return what is to be said of it: nothing, if none came."""
        told: deque[Phrase] = deque(maxlen=LONGEST_RUN)
        entry = await self._key(IDLE, *say)
        while entry.ended != "silence":
            told.append(self._tell(entry))
            if self._hashes == 2:
                break
            entry = await self._key(RUN)
        # Said first: who hears it need not wait for what is no longer told anyway.
        notice, self._notice = self._notice, None
        return (*told,) if notice is None else (notice, *told)

    async def _key(self, within: float, *say: Phrase) -> Entry:
        return await self._call.collect(
            *say, max_digits=1, terminator="", restart="", first_digit_timeout=within, digit_timeout=within
        )

    def _tell(self, entry: Entry) -> Phrase:
        """Write a key down, and what is to be said of it."""
        [stroke] = entry.strokes
        self._hashes = self._hashes + 1 if entry.typed.is_one_of("#") else 0
        if entry.typed.is_one_of("*#"):
            self._row = 0
        else:
            self._row += 1
        if not self._silent and self._row == CARD_LIKE:
            self._silent = True
            self._notice = phrase("keypad_hides_all")
        elif not self._silent and self._row == IN_A_ROW + 1:
            self._notice = phrase("keypad_hides")
        if self._silent or self._row > IN_A_ROW:
            self._call.journal.emit(EntryAccepted(field="keypad", length=1, value=None))
            return phrase("keypad_hidden_key", method=stroke.method)
        pressed = entry.publish()
        self._call.journal.emit(EntryAccepted(field="keypad", length=1, value=pressed))
        return _told(pressed, stroke)


def _told(pressed: str, stroke: Stroke) -> Phrase:
    """What is said of a key that is told: of each way of keying, the figures that it has."""
    match stroke:
        case Stroke(method="inband", level_dbm0=float(level), twist_db=float(twist)):
            return phrase(
                "keypad_key",
                pressed=pressed,
                method="inband",
                milliseconds=round(stroke.duration_ms, -1),  # measured, and not more exactly than that
                level=round(level),
                twist=round(twist),
            )
        case Stroke(method="rfc4733", level_dbm0=float(level)):
            return phrase(
                "keypad_key",
                pressed=pressed,
                method="rfc4733",
                milliseconds=stroke.duration_ms,
                level=round(level),
            )
        case Stroke(method="info"):
            return phrase("keypad_key", pressed=pressed, method="info", milliseconds=stroke.duration_ms)
    return phrase("keypad_key", pressed=pressed, milliseconds=stroke.duration_ms)
