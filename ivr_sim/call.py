"""The Call seam: all that a dialogue may do with a caller.

A dialogue is a coroutine that talks to a :class:`Call`. It knows nothing of SIP, RTP, WAV files or the
clock; whoever implements the seam (``ivr_sim.legs``) turns phrases into sound, and sound into entries.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, Protocol

from ivr_sim.errors import IvrSimError
from ivr_sim.journal import CallJournal, KeyMethod

__all__ = [
    "Call",
    "CallTooLong",
    "CallerHungUp",
    "CannotSay",
    "Ended",
    "Entry",
    "Param",
    "Phrase",
    "Stroke",
    "Typed",
    "phrase",
]

Param = str | int | Decimal
Ended = Literal["terminator", "complete", "timeout", "silence"]


class CallerHungUp(IvrSimError):
    """The caller has gone; raised only from a Call's own awaits, never into other awaits."""


class CallTooLong(IvrSimError):
    """The call reached its time limit; raised once, from a Call's own awaits, so that we may say so."""


class CannotSay(IvrSimError):
    """A phrase has no sound and none can be made; raised from a Call's own awaits."""


@dataclass(frozen=True)
class Phrase:
    """What is to be said, by name and parameters: the catalogue makes its text, the library its sound.

    ``params`` never holds anything secret: names and parameters are written to the journal as they are.
    """

    name: str
    params: Mapping[str, Param] = field(default_factory=lambda: MappingProxyType({}))

    def __hash__(self) -> int:
        return hash((self.name, tuple(sorted((k, str(v)) for k, v in self.params.items()))))


def phrase(name: str, **params: Param) -> Phrase:
    """Name a phrase: ``phrase("amount", amount=Decimal("200.00"))``."""
    return Phrase(name, MappingProxyType(dict(params)))


class Typed:
    """Digits that a caller typed and that count as secret until somebody says otherwise.

    ``str``, ``repr``, ``format`` and pickling give nothing away; comparison takes constant time.
    :meth:`reveal` is the one way to the digits; whether they are among known ones, :meth:`is_one_of` says.
    """

    __slots__ = ("__digits",)

    def __init__(self, digits: str) -> None:
        self.__digits = digits

    def reveal(self) -> str:
        """The digits themselves."""
        return self.__digits

    def is_one_of(self, numbers: Iterable[str]) -> bool:
        """Whether these are the digits of one of ``numbers``; every one is looked at, whichever it is."""
        mine = self.__digits.encode()
        found = [hmac.compare_digest(mine, number.encode()) for number in numbers]
        return any(found)

    def __len__(self) -> int:
        return len(self.__digits)

    def __bool__(self) -> bool:
        return bool(self.__digits)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Typed):
            return NotImplemented
        return hmac.compare_digest(self.__digits.encode(), other.__digits.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash of so few digits would give them away

    def __repr__(self) -> str:
        return f"Typed(<{len(self.__digits)} digits>)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> str:
        raise TypeError("typed digits are not pickled")


@dataclass(frozen=True)
class Stroke:
    """How a key was pressed, not which: by which way, how long, and of tones how loud (see ``dtmf.Tone``).

    The figures are exact, and may tell which key it was: they are as secret as the entry.
    """

    method: KeyMethod
    duration_ms: int
    level_dbm0: float | None
    twist_db: float | None


@dataclass(frozen=True)
class Entry:
    """What ``collect`` got: the digits (without terminator), how the entry ended, and who may see it.

    ended: ``terminator`` (the caller pressed it), ``complete`` (the entry's own rule or length),
    ``timeout`` (digits, then too long a pause), ``silence`` (no digit at all in time). strokes: how each
    of its keys was pressed, the terminator's among them.
    """

    typed: Typed
    ended: Ended
    on_publish: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)
    strokes: tuple[Stroke, ...] = field(default=(), repr=False, compare=False)

    def publish(self) -> str:
        """The digits of an entry now known not to be secret: its tones stay audible in the recording."""
        self.on_publish()
        return self.typed.reveal()


class Call(Protocol):
    """One caller, as the dialogue sees it."""

    @property
    def journal(self) -> CallJournal:
        """Where this call's events go."""
        ...

    async def say(self, *phrases: Phrase, interruptible: bool = True) -> None:
        """Say the phrases; return when said, or at once when the caller barges in.

        Raises CallerHungUp, CannotSay.
        """
        ...

    async def collect(
        self,
        *phrases: Phrase,
        max_digits: int,
        complete: Callable[[str], bool] | None = None,
        terminator: str = "#",
        restart: str = "*",
        first_digit_timeout: float,
        digit_timeout: float,
    ) -> Entry:
        """Say the phrases and take one entry.

        ``complete`` says of the digits so far whether the entry is whole (default: ``max_digits`` are
        there). A terminator that is the next key behind an entry which ended without one, and comes
        within ``digit_timeout``, is swallowed. Digits beyond ``max_digits`` are counted, up to one more,
        so that the dialogue can tell "too long". Times in seconds, counted from the end of the prompt or
        of the last key. Every entry is secret until its
        ``publish`` is called. Raises CallerHungUp, CannotSay.
        """
        ...

    def flush(self, *, pause: float = 0.0) -> None:
        """Forget what was typed ahead, and all that is typed until the next prompt starts.

        With ``pause`` (seconds) also what goes on behind that, until no key comes for so long: a run of
        keys is typed in one go, whatever is said meanwhile. What is forgotten interrupts nothing.
        """
        ...

    def echo(self, *, delay: float) -> None:
        """From now on the caller hears themselves, ``delay`` seconds later, while nothing else is said."""
        ...

    async def hang_up(self) -> None:
        """End the call from our side."""
        ...
