"""A recording of the caller's side, and how it is played to a call: as it was, or in pieces. No I/O.

A piece of the recording may wait for a prompt: the keys that answered it are then pressed when it is said in
this call, however long the prompts are by now.

    recording   |--- piece 0 ---|-- piece 1 --|---- piece 2 ----|
                                 ^ 0.4 s after the end of ask_key
    call        |--- piece 0 ---|... silence ...|-- piece 1 --|-- piece 2 ...
                          ask_key -------------|

Ticks are of 20 ms: of the recording from its start, of the call from its answer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dtmf import KEYS_12, KeyDown, KeyUp, Receiver
from dtmf.refusal import Refused
from ivr_sim.legs.leg_call import TICKS_PER_SECOND
from ivr_sim.legs.scripted import Turn
from ivr_sim.legs.speech import FOREVER
from ivr_sim.media import FRAME_SAMPLES, Samples

__all__ = ["Anchor", "CallerTape", "Down", "KeyEvent", "Piece", "Playback", "Told", "Up"]


@dataclass(frozen=True, slots=True)
class Down:
    """A key went down, in seconds."""

    digit: str = field(repr=False)
    start_s: float


@dataclass(frozen=True, slots=True)
class Up:
    """A key was let go; see ``dtmf.Tone``, which shows its digit."""

    digit: str = field(repr=False)
    start_s: float
    end_s: float
    level_dbm0: float
    twist_db: float


KeyEvent = Down | Up | Refused


@dataclass(frozen=True, slots=True)
class Told:
    """What a line would be told of a recording, and the tick in whose beginning it would."""

    tick: int
    event: KeyEvent


class CallerTape:
    """A recording of the caller's side, listened to as a whole.

    samples: int16, shape (n,), 8 kHz, from the answer on; silence is added up to a whole tick. ticks: how
    many there are. told: what was heard in it, in order, as a line hears it that is fed 20 ms at a time.
    Raises ValueError for other shapes and types.
    """

    def __init__(self, samples: Samples) -> None:
        if samples.ndim != 1 or samples.dtype != np.int16:
            raise ValueError(f"samples must be int16 of shape (n,), not {samples.dtype} {samples.shape}")
        rest = -len(samples) % FRAME_SAMPLES
        self.samples = np.concatenate([samples, np.zeros(rest, np.int16)]) if rest else samples
        self.ticks = len(self.samples) // FRAME_SAMPLES
        receiver = Receiver(keys=KEYS_12, refusals=True)
        events = [*receiver.feed(self.samples), *receiver.refused()]
        # What is known at the end of a block is told before the tick of that block passes.
        told = [Told(round(event.known_s * TICKS_PER_SECOND) - 1, _hidden(event)) for event in events]
        self.told = sorted(told, key=lambda one: one.tick)


@dataclass(frozen=True, slots=True)
class Anchor:
    """When a piece begins: so many ticks after a prompt began, or after it was over.

    prompt: its index among the playback's prompts.
    """

    prompt: int
    ticks: int
    from_end: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Ticks of a recording, from ``begin`` up to ``end``, in order.

    busy: up to this tick the piece is always played, even when the next one is due. lead: so many of its
    first ticks are left out where it comes too late. after: when it begins; None: behind the piece before.
    """

    begin: int
    end: int
    busy: int
    lead: int = 0
    after: Anchor | None = None


class Playback:
    """Plays a recording to one call.

    pieces: all of it, in order (default: one piece). prompts: the names of those that anchors speak of, in
    the order in which they were said on the recording; the n-th of a name is the n-th of that name in this
    call. Where a later one begins first, the one that was left out is waited for no longer.

    Whoever holds the call tells it of prompts (``begun``, ``over``) and lets ticks pass, one by one
    (``tick``) or many (``leap``, of up to ``still``).
    """

    def __init__(
        self, tape: CallerTape, pieces: Sequence[Piece] | None = None, prompts: Sequence[str] = ()
    ) -> None:
        self._tape = tape
        self._pieces = pieces or [Piece(0, tape.ticks, tape.ticks)]
        self._places: dict[tuple[str, int], int] = {}
        counted: Counter[str] = Counter()
        for index, name in enumerate(prompts):
            counted[name] += 1
            self._places[name, counted[name]] = index
        self._said: Counter[str] = Counter()
        self._begun: dict[int, int] = {}
        self._over: dict[int, int] = {}
        self._sounding: int | None = None
        self._ticks = 0
        self._at = -1  # the piece being played
        self._shift = 0  # the call's tick minus the recording's
        self._next = 0  # of what is to be told
        self._played: list[tuple[int, int, int]] = []  # ticks: of the call, of the recording, the piece's end
        self._follow()

    # What is said to the caller -----------------------------------------------------------------

    def begun(self, name: str, params: Mapping[str, str] | None = None) -> None:
        """A prompt begins to sound."""
        self.over()
        self._said[name] += 1
        self._sounding = self._places.get((name, self._said[name]))
        if self._sounding is not None:
            self._begun[self._sounding] = self._ticks

    def over(self, *, cut: bool = False) -> None:
        """The prompt that sounds, if one does, is over."""
        if self._sounding is not None:
            self._over[self._sounding] = self._ticks
            self._sounding = None

    # What the caller does -----------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the recording has run out: the caller hangs up."""
        self._follow()
        last = self._at == len(self._pieces) - 1
        return last and self._position >= self._pieces[self._at].end

    def told(self) -> list[KeyEvent]:
        """What a line is told in this tick, in the call's own time."""
        self._follow()
        events = []
        piece = self._pieces[self._at]
        while self._next < len(self._tape.told):
            tick, event = self._tape.told[self._next].tick, self._tape.told[self._next].event
            if tick > self._position or tick >= piece.end:
                break
            self._next += 1
            events.append(_shifted(event, self._shift / TICKS_PER_SECOND) if self._shift else event)
        return events

    @property
    def still(self) -> int:
        """The ticks from now on at whose beginnings, but for the first, nothing is to be told or done."""
        self._follow()
        piece = self._pieces[self._at]
        soonest = [FOREVER]
        if self._next < len(self._tape.told) and (tick := self._tape.told[self._next].tick) < piece.end:
            soonest.append(tick - self._position)
        following = self._due
        if following is not None:
            soonest.append(following - self._ticks)
        elif self._at == len(self._pieces) - 1:
            soonest.append(piece.end - self._position)
        return max(min(soonest), 1)

    def leap(self, ticks: int) -> None:
        """So many ticks pass."""
        self._ticks += ticks

    def frame(self) -> Samples | None:
        """The caller's 20 ms of this tick: int16 (160,), or None for silence."""
        self._follow()
        if self._position >= self._pieces[self._at].end:
            return None
        return self._tape.samples[self._position * FRAME_SAMPLES : (self._position + 1) * FRAME_SAMPLES]

    def tick(self) -> Turn:
        """20 ms pass: what the caller does in them."""
        if self.ended:
            return Turn(hang_up=True)
        frame = self.frame()
        self._ticks += 1
        return Turn(frame)

    def sound(self) -> Samples:
        """What was played up to now, as the call heard it: int16, shape (n,), 8 kHz."""
        heard = np.zeros(self._ticks * FRAME_SAMPLES, np.int16)
        ends = [began for began, _, _ in self._played[1:]] + [self._ticks]
        for (began, tape, last), until in zip(self._played, ends, strict=True):
            ticks = max(min(until - began, last - tape), 0)
            part = self._tape.samples[tape * FRAME_SAMPLES : (tape + ticks) * FRAME_SAMPLES]
            heard[began * FRAME_SAMPLES : began * FRAME_SAMPLES + len(part)] = part
        return heard

    # Inside -------------------------------------------------------------------------------------

    @property
    def _position(self) -> int:
        """The tick of the recording."""
        return self._ticks - self._shift

    @property
    def _due(self) -> int | None:
        """The tick in which the next piece begins, as far as that is known."""
        if self._at == len(self._pieces) - 1:
            return None
        released = self._released(self._pieces[self._at + 1].after)
        if released is None or self._at < 0:
            return released
        return max(released, self._pieces[self._at].busy + self._shift)

    def _released(self, after: Anchor | None) -> int | None:
        if after is None:
            return 0 if self._at < 0 else self._pieces[self._at].end + self._shift
        when = self._over if after.from_end else self._begun
        if after.prompt in when:
            return when[after.prompt] + after.ticks
        later = [tick for prompt, tick in self._begun.items() if prompt > after.prompt]
        return min(later) if later and after.prompt not in self._begun else None

    def _follow(self) -> None:
        """Begin the pieces that are due by now."""
        while (due := self._due) is not None and due <= self._ticks:
            piece = self._pieces[self._at + 1]
            released = self._released(piece.after)
            late = 0 if released is None else self._ticks - released
            self._at += 1
            self._shift = self._ticks - piece.begin - min(late, piece.lead)
            self._next = bisect_left(self._tape.told, self._position, key=lambda one: one.tick)
            self._played.append((self._ticks, self._position, piece.end))


def _hidden(event: KeyDown | KeyUp | Refused) -> KeyEvent:
    """The same, as something that shows no digit."""
    match event:
        case KeyDown(digit=digit, start_s=start):
            return Down(digit, start)
        case KeyUp(tone=tone):
            return Up(tone.digit, tone.start_s, tone.end_s, tone.level_dbm0, tone.twist_db)
    return event


def _shifted(event: KeyEvent, seconds: float) -> KeyEvent:
    """The same at another time."""
    if isinstance(event, Down):
        return replace(event, start_s=event.start_s + seconds)
    return replace(event, start_s=event.start_s + seconds, end_s=event.end_s + seconds)
