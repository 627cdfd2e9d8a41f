"""A caller with one finger: mostly does as asked, at times anything else, at any moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ivr_sim.journal import PromptEnded, PromptStarted, Record
from ivr_sim.legs import LegCall

from . import wallet
from .clock import TICKS

PAUSE = "~"  # in what is keyed: a pause of 3 to 8 s
HANG_UP = "!"
ANYTHING = "0123456789*#ABCD~"


@dataclass
class Stroke:
    """A key as it was pressed. start: its onset in seconds; down, up: ticks at which it was told."""

    digit: str
    start: float
    down: int
    up: int | None = None


class Caller:
    """Keys into one call; hears it by its journal.

    keys: payment keys that are good. sensible: how often the caller does what was asked for, 0 to 1.
    ``strokes``: what was keyed; ``secrets``: the cards that were.
    """

    def __init__(
        self, chance: Random, call: LegCall, keys: list[str], cards: list[wallet.Plastic], sensible: float
    ) -> None:
        self._chance = chance
        self._call = call
        self._keys = keys
        self._cards = cards
        self._card = cards[0]
        self._sensible = sensible
        self._method = chance.choice(("inband", "rfc4733", "info"))
        self._hasty = chance.choice((0.0, 0.3, 1.0))
        self._slow = chance.choice((0.0, 0.05))  # how often a key is held long, or the next one late
        self._due: deque[tuple[int, Callable[[], None]]] = deque()
        self._free = 0  # the tick from which the finger is free
        self._answered = False
        self._down: Stroke | None = None
        self.strokes: list[Stroke] = []
        if chance.random() < 0.12:
            self._hang_up_at: int | None = chance.randrange(1, 90 * TICKS)
        else:
            self._hang_up_at = None
        if chance.random() < 0.03:
            for _ in range(chance.randrange(1, 40)):
                self._free += chance.randrange(1, 10 * TICKS)
                self._key(chance.choice(ANYTHING))

    @property
    def next_tick(self) -> int | None:
        """The tick of this call at which the caller does something."""
        due = self._due[0][0] if self._due else None
        if self._hang_up_at is None or (due is not None and due <= self._hang_up_at):
            return due
        return self._hang_up_at

    def act(self, tick: int) -> None:
        """Do what is due."""
        if self._hang_up_at is not None and self._hang_up_at <= tick:
            self._call.hung_up()
        while self._due and self._due[0][0] <= tick and self._call.gone is None:
            self._due.popleft()[1]()

    def hear(self, record: Record) -> None:
        """The journal's reader: react to what is said."""
        event = record.event
        if isinstance(event, PromptStarted):
            self._answered = False
            if self._chance.random() < self._hasty:
                self._react(event.name, self._chance.randrange(1, 2 * TICKS))
        elif isinstance(event, PromptEnded) and event.cut_by is None and not self._answered:
            self._react(event.name, self._chance.randrange(1, TICKS))

    def _react(self, prompt: str, delay: int) -> None:
        answer = self._answer(prompt)
        if answer:
            self._answered = True
            self._free = max(self._free, round(self._call.now * TICKS) + delay)
            for sign in answer:
                self._key(sign)

    def _answer(self, prompt: str) -> str:
        chance = self._chance
        wild = chance.random() >= self._sensible
        match prompt:
            case "ask_key" | "ask_accept" | "ask_card" | "ask_expiry" | "ask_cvv" | "ask_another_card":
                if wild and chance.random() < 0.5:
                    return self._whatever()
                return str(getattr(self, f"_{prompt}")(wild))
            case "one_moment" | "approved" | "declined" | "already_paid" | "unknown_outcome" | "goodbye":
                return chance.choice(("5", "#", HANG_UP, PAUSE + HANG_UP)) if wild else ""
        # What leads up to a question: whoever knows what comes need not wait for it.
        return self._whatever() if wild and chance.random() < 0.1 else ""

    def _whatever(self) -> str:
        chance = self._chance
        if chance.random() < 0.4:
            return chance.choice(("", "", HANG_UP, "#", "*", "A", PAUSE + PAUSE + PAUSE + "#"))
        return "".join(chance.choice(ANYTHING) for _ in range(chance.randrange(1, 6)))

    def _ask_key(self, wild: bool) -> str:
        chance = self._chance
        key = chance.choice(self._keys)
        card = chance.choice(self._cards)
        if not wild:
            return chance.choice((key + "#", key + "#", key + "#", key, "*" + key + "#"))
        return chance.choice(
            (
                "0" + key + "#",
                "1789#",
                "1781*" + key + "#",
                key + "#1",
                key + "#1" + card.number,
                card.number + "#",
                card.number + card.expiry + card.cvv,
                card.number[:4] + PAUSE + card.number[4:],
                card.number[:10] + PAUSE + card.number[10:] + PAUSE,
                "178901789017890#",
                "123#",
                "12A4#",
            )
        )

    def _ask_accept(self, wild: bool) -> str:
        usual = ("1", "1", "1", "1", "1", "1#", "3", "2", "31")
        odd = (
            "2#",
            "4",
            "11",
            "*1",
            "A",
            "1" + self._card.number,
            "1" + self._all(),
            "3" * 9 + "1",
            PAUSE * 2 + "1",
        )
        return self._chance.choice(odd if wild else usual)

    def _ask_card(self, wild: bool) -> str:
        self._card = card = self._chance.choice(self._cards)
        end = "#" if not card.ends_by_itself else self._chance.choice(("", "", "#"))
        if not wild:
            return self._chance.choice((card.number + end, card.number + end, card.number + end, self._all()))
        number = card.number
        last = str((int(number[-1]) + 1) % 10)
        return self._chance.choice(
            (
                number[:-1] + last,
                number[:7] + "#",
                number[:7] + "*" + number + end,
                number[:5] + PAUSE + number[5:] + end,
                number + "17890#",
                "A" + number,
                number[:9] + HANG_UP,
                number + PAUSE + "#",
            )
        )

    def _all(self) -> str:
        card = self._card
        return card.number + ("" if card.ends_by_itself else "#") + card.expiry + card.cvv

    def _ask_expiry(self, wild: bool) -> str:
        expiry, cvv = self._card.expiry, self._card.cvv
        if not wild:
            return self._chance.choice((expiry, expiry, expiry + "#", expiry + cvv))
        return self._chance.choice(
            ("0120", "1330", "1250", "12#", "12*" + expiry, "12D4", expiry[:2] + PAUSE, "#")
        )

    def _ask_cvv(self, wild: bool) -> str:
        cvv = self._card.cvv
        if not wild:
            return self._chance.choice((cvv, cvv, cvv + "#"))
        return self._chance.choice(
            (cvv[:2] + "#", "A" + cvv[1:], "#", cvv[:1] + "*" + cvv, cvv + PAUSE + "#")
        )

    def _ask_another_card(self, wild: bool) -> str:
        return self._chance.choice(
            ("4", "#", "11", "*2", self._card.number) if wild else ("1", "1", "1", "2", "2#")
        )

    # The finger ---------------------------------------------------------------------------------

    def _key(self, sign: str) -> None:
        chance = self._chance
        if sign == PAUSE:
            self._free += chance.randrange(3 * TICKS, 8 * TICKS)
        elif sign == HANG_UP:
            self._due.append((self._free, self._call.hung_up))
        else:
            held = chance.random() < self._slow
            length = chance.randrange(TICKS, 13 * TICKS) if held else chance.randrange(2, 10)
            late = chance.randrange(1, 3) if self._method == "inband" else 0
            self._due.append((self._free, lambda: self._press(sign, late)))
            self._due.append((self._free + length, lambda: self._release(length, late)))
            self._free += length + chance.randrange(1, 15)

    def _press(self, sign: str, late: int) -> None:
        tick = round(self._call.now * TICKS)
        stroke = self._down = Stroke(sign, max(0.0, (tick - late) / TICKS), tick)
        self.strokes.append(stroke)
        self._call.key_down(sign, self._method, stroke.start)

    def _release(self, length: int, late: int) -> None:
        stroke, self._down = self._down, None
        assert stroke is not None
        stroke.up = round(self._call.now * TICKS)
        milliseconds = (length + late) * 1000 // TICKS
        level = -10.0 if self._method == "inband" else None
        self._call.key_up(stroke.digit, self._method, stroke.start, milliseconds, level)
