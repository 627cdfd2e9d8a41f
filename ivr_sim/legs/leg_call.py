"""The Call that every leg shares: prompts, keys and time-outs, driven by ticks of 20 ms.

A leg calls :meth:`LegCall.tick` with what the caller said and sends what it gets back; it reports keys
by :meth:`LegCall.key_down` and :meth:`LegCall.key_up`. Time is the number of ticks since the answer and
nothing else, so the same code serves a telephone in real time and a recording in virtual time:

    leg                       LegCall                        dialogue
     |-- tick(heard) ---------->| next 160 samples              |
     |<------------- spoken ----|                               |
     |-- key_down ------------->| the prompt stops ------------>| say() returns
     |-- key_up --------------->| journal; into the entry       |
     |-- tick ... ------------->| complete, or a time-out ----->| collect() returns
     |-- hung_up -------------->|------------------------------>| CallerHungUp

While the dialogue awaits something else (HTTP, a prompt being rendered) ``waiting`` is false; a leg in
virtual time then stops ticking, a telephone goes on and the caller hears silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Literal, Protocol

import structlog
from twisted.internet.defer import Deferred

from ivr_sim.call import CallerHungUp, CallTooLong, CannotSay, Ended, Entry, Phrase, Stroke
from ivr_sim.errors import IvrSimError
from ivr_sim.journal import CallJournal, Journal, KeyMethod, KeyPressed, KeyRefused
from ivr_sim.legs.collector import Collector
from ivr_sim.legs.echo import Echo
from ivr_sim.legs.keys import CallerKeys
from ivr_sim.legs.speech import Speech
from ivr_sim.media import FRAME_SAMPLES, Samples

__all__ = ["TICKS_PER_SECOND", "LegCall", "Sounds"]

log = structlog.get_logger(__name__)

TICKS_PER_SECOND = 50
# Between the last word and our hang-up: what was sent last is still on its way to the caller's ear.
PARTING_TICKS = 15
CALM = 50  # ticks
# On one line keys differ by less than this in level, each from each other: told exactly, it tells them.
LEVEL_STEP_DB = 3.0


class Sounds(Protocol):
    """Who turns phrases into sound: int16, shape (n,), 8 kHz."""

    async def sound(self, phrase: Phrase) -> Samples:
        """The phrase as it is to be played."""
        ...


class LegCall:
    """One caller as the dialogue sees it (``ivr_sim.call.Call``), and as a leg drives it.

    sounds renders phrases; limit is the longest a call may last, in seconds; on_hang_up is called when
    the dialogue ends the call, so that the leg ends its connection.
    """

    def __init__(self, journal: Journal, name: str, sounds: Sounds, *, limit: float = 600.0) -> None:
        self._journal = CallJournal(journal, name, lambda: self.now if self._ticks is not None else None)
        self._sounds = sounds
        self._limit = round(limit * TICKS_PER_SECOND)
        self._ticks: int | None = None
        self._waiter: Deferred[None] | None = None
        self._on_waiting: Deferred[None] | None = None
        self._speech = Speech(self._journal, self._prompt_starts)
        self._keys = CallerKeys()
        self._collector: Collector | None = None
        self._entry: Entry | None = None
        self._deadline: int | None = None
        self._digit_ticks = 0
        self._first_ticks = 0
        self._too_long_told = False
        self._parting = 0
        # Ticks that pass without a look, as nothing happens in them unless a key comes: how many there are
        # still, and were at first; what is said in them, None for silence.
        self._calm = self._calm_ticks = 0
        self._calm_frames: Iterator[Samples] | None = None
        self._level: int | None = None
        self.echoing: Echo | None = None
        self.gone: Literal["caller", "ivr"] | None = None
        self.on_hang_up: Callable[[], None] = lambda: None

    # What the dialogue uses ---------------------------------------------------------------------

    @property
    def journal(self) -> CallJournal:
        """This call's journal."""
        return self._journal

    async def say(self, *phrases: Phrase, interruptible: bool = True) -> None:
        """Say the phrases one after the other; see ``ivr_sim.call.Call``."""
        self._check()
        if not phrases or (interruptible and self._keys.keying):
            return
        sounds = [(p, await self._sound(p)) for p in phrases]
        self._check()
        if interruptible and self._keys.keying:
            return  # keyed while the sound was being made
        self._speech.begin(sounds, interruptible=interruptible)
        await self._wait()

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
        """Say the phrases and take one entry; see ``ivr_sim.call.Call``."""
        if phrases:
            await self.say(*phrases)
        self._check()
        self._keys.listen()
        self._collector = Collector(max_digits, complete, terminator, restart)
        self._entry = None
        self._first_ticks = round(first_digit_timeout * TICKS_PER_SECOND)
        self._digit_ticks = round(digit_timeout * TICKS_PER_SECOND)
        self._restart_timer()
        self._take_typed()
        if self._entry is None:
            await self._wait()
        entry, self._entry = self._entry, None  # only who asked for it holds it
        assert entry is not None
        if entry.ended in ("complete", "timeout"):
            # A terminator out of habit is waited for as long as one more digit would have been.
            self._keys.entered(terminator, self.now + digit_timeout)
        return entry

    def flush(self, *, pause: float = 0.0) -> None:
        """Forget what was typed ahead, and the run of keys that goes on; see ``ivr_sim.call.Call``."""
        self._keys.flush(pause)

    def echo(self, *, delay: float) -> None:
        """Let the caller hear themselves; see ``ivr_sim.call.Call``. Only a telephone does."""
        self.echoing = Echo(delay)

    async def hang_up(self) -> None:
        """End the call from our side."""
        if self.gone is None:
            self._parting = PARTING_TICKS
            with suppress(CallerHungUp, CallTooLong):
                await self._wait()
        if self.gone is None:
            self.gone = "ivr"
            self._keys.forget()
            self.on_hang_up()
            self._stir()

    # What a leg uses ----------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the answer, in whole ticks."""
        return (self._ticks or 0) / TICKS_PER_SECOND

    @property
    def waiting(self) -> bool:
        """Whether the dialogue waits for the caller: for a prompt to end, or for a key."""
        return self._waiter is not None

    def when_waiting(self) -> Deferred[None]:
        """Fires when the dialogue waits for the caller (again), or when the call is over."""
        if self._on_waiting is None:
            self._on_waiting = Deferred()
        waits = self._on_waiting
        if self.waiting or self.gone:
            self._stir()
        return waits

    def answered(self) -> None:
        """The call's clock starts."""
        self._ticks = 0

    def tick(self, heard: Samples) -> Samples | None:
        """Let 20 ms pass: what is to be sent in them (160 samples), or None for silence."""
        if self._calm:
            self._calm -= 1
            self._ticks = (self._ticks or 0) + 1
            return None if self._calm_frames is None else next(self._calm_frames)
        self._rouse()
        spoken = self._speech.frame()
        self._ticks = (self._ticks or 0) + 1
        if self._speech.proceed():
            self._resume()
        if self._waiter is not None:
            if self._parting:
                self._parting -= 1
                if not self._parting:
                    self._resume()
            elif self._too_long:
                self._too_long_told = True
                self._speech.stop("limit")
                self._resume(CallTooLong())
            elif self._deadline is not None and self._ticks >= self._deadline and not self._keys.held:
                self._time_out()
        self._calm_down()
        return spoken

    def leap(self, most: int) -> tuple[int, Samples | None]:
        """Let up to ``most`` ticks pass at once, only such as nothing happens in unless a key comes.

        Returns how many passed, and what is to be sent in them (160 samples each), or None for silence. It
        comes to exactly what as many calls of :meth:`tick` come to.
        """
        self._rouse()
        ticks = min(most, self._uneventful)
        if ticks <= 0:
            return 0, None
        self._ticks = (self._ticks or 0) + ticks
        return ticks, self._pass(ticks)

    def key_down(self, digit: str, method: KeyMethod, start: float) -> None:
        """A key's onset is certain: a prompt that may be interrupted stops now."""
        self._rouse()
        counts = self._keys.down(digit, method, start)
        if counts and self._speech.going and self._speech.interruptible:
            self._speech.stop("key")
            self._resume()

    def key_up(
        self,
        digit: str,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        level_dbm0: float | None,
        twist_db: float | None = None,
    ) -> None:
        """The key was let go: into the journal, and into the entry."""
        self._rouse()
        end = start + duration_ms / 1000
        counts = self._keys.up(digit, start, end, Stroke(method, duration_ms, level_dbm0, twist_db))
        if method == "inband":
            # Measured more finely, each key's tone is a little early and short in its own way.
            start, duration_ms = round(start, 2), round(duration_ms, -1)
        self._journal.emit(
            KeyPressed(
                method=method,
                start=round(start, 3),
                duration_ms=duration_ms,
                level_dbm0=None if level_dbm0 is None else self._told_level(level_dbm0),
            )
        )
        if counts:
            self._take_typed()

    def key_refused(
        self,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        reason: str,
        level_dbm0: float,
        twist_db: float,
    ) -> None:
        """A tone was not taken for a key: into the journal, no more exactly than keys that were."""
        self._journal.emit(
            KeyRefused(
                method=method,
                start=round(start, 2),
                duration_ms=round(duration_ms, -1),
                reason=reason,
                level_dbm0=LEVEL_STEP_DB * round(level_dbm0 / LEVEL_STEP_DB),
                twist_db=LEVEL_STEP_DB * round(twist_db / LEVEL_STEP_DB),
            )
        )

    def hung_up(self, by: Literal["caller", "ivr"] = "caller") -> None:
        """The caller has gone, or our side cut the line: every wait of the dialogue ends in CallerHungUp."""
        if self.gone is not None:
            return
        self._rouse()
        self.gone = by
        self._keys.forget()
        self._speech.stop("hangup")
        self._resume(CallerHungUp("the call is over"))
        self._stir()

    def key_spans(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """When keys were down, in seconds since the answer: those that stay secret, and those published."""
        return self._keys.spans(self.now)

    # Inside -------------------------------------------------------------------------------------

    @property
    def _too_long(self) -> bool:
        """Whether to say now that the call lasts too long: once, and never in the midst of a result."""
        telling = self._speech.going and not self._speech.interruptible
        return not self._too_long_told and (self._ticks or 0) >= self._limit and not telling

    @property
    def _uneventful(self) -> int:
        """The ticks to come before the one in which something happens, unless a key comes: see ``tick``."""
        if self._waiter is None:
            return 0
        now = self._ticks or 0
        soonest = [self._speech.steady]
        if self._parting:
            soonest.append(self._parting - 1)
        else:
            if not self._too_long_told and not (self._speech.going and not self._speech.interruptible):
                soonest.append(self._limit - now - 1)
            if self._deadline is not None and not self._keys.held:
                soonest.append(self._deadline - now - 1)
        return max(min(soonest), 0)

    def _pass(self, ticks: int) -> Samples | None:
        """So many ticks have passed in which nothing happened: what was said in them, or None for silence."""
        if self._parting:
            self._parting -= ticks
        return self._speech.leap(ticks)

    def _calm_down(self) -> None:
        """Let the ticks to come pass without a look, as far as nothing happens in them."""
        self._calm = self._calm_ticks = min(self._uneventful, CALM)
        sound = self._speech.ahead(self._calm)
        self._calm_frames = None if sound is None else iter(sound.reshape(-1, FRAME_SAMPLES))

    def _rouse(self) -> None:
        """Something happens, or may: let go by what passed without a look."""
        passed = self._calm_ticks - self._calm
        self._calm = self._calm_ticks = 0
        if passed:
            self._pass(passed)

    def _told_level(self, dbm0: float) -> int:
        """The level at which keys come in on this line; what they differ by among each other is left out."""
        if self._level is None or abs(dbm0 - self._level) >= LEVEL_STEP_DB:
            self._level = round(dbm0)
        return self._level

    async def _sound(self, phrase: Phrase) -> Samples:
        try:
            return await self._sounds.sound(phrase)
        except IvrSimError as error:
            log.error("a phrase cannot be said", call=self._journal.call, phrase=phrase.name, why=str(error))
            raise CannotSay(f"the phrase {phrase.name} cannot be said") from error

    def _check(self) -> None:
        if self.gone is not None:
            raise CallerHungUp("the call is over")

    async def _wait(self) -> None:
        self._waiter = Deferred()
        waiter = self._waiter
        self._stir()
        await waiter

    def _resume(self, error: Exception | None = None) -> None:
        self._collector = None
        self._deadline = None
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            if error is None:
                waiter.callback(None)
            else:
                waiter.errback(error)

    def _stir(self) -> None:
        stirred, self._on_waiting = self._on_waiting, None
        if stirred is not None:
            stirred.callback(None)

    def _prompt_starts(self) -> None:
        self._keys.prompted(self.now)

    def _restart_timer(self) -> None:
        assert self._collector is not None
        ticks = self._first_ticks if self._collector.empty else self._digit_ticks
        self._deadline = (self._ticks or 0) + ticks

    def _take_typed(self) -> None:
        while self._keys.waiting and self._collector is not None:
            ended = self._collector.take(self._keys.take())
            self._restart_timer()
            if ended is not None:
                self._finish(ended)

    def _time_out(self) -> None:
        assert self._collector is not None
        self._finish("silence" if self._collector.empty else "timeout")

    def _finish(self, ended: Ended) -> None:
        assert self._collector is not None
        self._entry = self._collector.entry(ended)
        self._resume()
