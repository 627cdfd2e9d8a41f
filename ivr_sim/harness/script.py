"""A caller who follows the steps of a scenario. No I/O: prompts come in, and go out 20 ms of a call.

    whoever holds the call                 ScriptedCaller
     |-- begun("ask_key", {}) ------------->|  the journal says so, or somebody who listens
     |-- tick() --------------------------->|  hear ask_key: begun, but not over yet
     |-- over("ask_key") ------------------>|
     |-- tick() ... ----------------------->|  ``delay`` passes
     |<-- Turn(frame of a tone) ------------|  press 123456#

A ``hear`` takes the first prompt that fits and that no ``hear`` before it took: whether it began before the
step was reached makes no difference, so there is no race. What comes behind a ``hear`` happens when its
prompt is over (cut counts too), or so many seconds after its beginning as ``for`` says. A prompt that does
not come ``within`` its time fails the script, and the caller hangs up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from ivr_sim.harness.keypad import Keypad
from ivr_sim.harness.scenario import HangUp, Hear, Play, Press, Step, Wait
from ivr_sim.legs import TICKS_PER_SECOND
from ivr_sim.legs.scripted import Turn
from ivr_sim.media import Samples
from ivr_sim.reports.verdict import Failure

__all__ = ["ScriptedCaller"]


@dataclass
class _Prompt:
    """A prompt that was heard, and the ticks of its beginning and its end."""

    name: str
    params: Mapping[str, str] | None
    begun: int
    over: int | None = None
    step: int | None = None  # the hear that took it


class ScriptedCaller:
    """Follows steps, one after the other.

    keypad: what it keys with. delay: seconds from a prompt's end to the first key behind it. sounds: the
    samples (int16, 8 kHz) of each ``play``, by its file. failure: why it gave up, if it did.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        keypad: Keypad,
        *,
        delay: float = 0.4,
        sounds: Mapping[str, Samples] | None = None,
    ) -> None:
        self._steps = steps
        self._keypad = keypad
        self._delay = delay
        self._sounds = sounds or {}
        self._tick = 0
        self._at = 0
        self._since = 0  # the tick at which the step was reached
        self._sending = False  # a press or a play that has begun
        self._heard: list[_Prompt] = []
        self._taken = 0  # so many of them were taken by a step, or passed over
        self._prompt: _Prompt | None = None  # the one that the last hear took
        self._hear: Hear | None = None  # until something was done behind it
        self._gone = False
        self.failure: Failure | None = None

    @property
    def now(self) -> float:
        """Seconds since the answer, by the caller's own count."""
        return self._tick / TICKS_PER_SECOND

    @property
    def at(self) -> int | None:
        """The index of the step that the caller is at; None when all are done."""
        return self._at if self._at < len(self._steps) else None

    @property
    def onsets(self) -> list[float]:
        """When the caller's keys went down, in seconds since the answer."""
        return self._keypad.onsets

    def begun(self, name: str, params: Mapping[str, str] | None, *, t: float | None = None) -> None:
        """A prompt begins; params: None where nobody knows them yet; t: when it did, if that is not now."""
        self.over()
        self._heard.append(_Prompt(name, params, self._tick if t is None else _ticks(t)))

    def over(
        self, *, cut: bool = False, params: Mapping[str, str] | None = None, t: float | None = None
    ) -> None:
        """The prompt that sounds, if one does, is over: said whole, or cut.

        params: those that are known only now; what a step wanted of them is compared after all.
        """
        if not self._heard or self._heard[-1].over is not None:
            return
        prompt = self._heard[-1]
        prompt.over = self._tick if t is None else _ticks(t)
        if params is None:
            return
        prompt.params = params
        step = None if prompt.step is None else self._steps[prompt.step]
        if isinstance(step, Hear) and not _fits(step, prompt) and not self._gone:
            self._at, self._taken = prompt.step or 0, len(self._heard) - 1
            self._fail(step)
            self._gone = True

    def tick(self) -> Turn:
        """20 ms begin: what the caller does in them."""
        while not self._gone and self.at is not None and self._done(self._steps[self._at]):
            self._at += 1
            self._since = self._tick
        turn = self._keypad.turn()
        self._tick += 1
        return replace(turn, hang_up=True) if self._gone else turn

    def ended(self, why: str = "the call ended") -> None:
        """The call is over: a step that was not done fails, unless it was only to wait or to hang up."""
        if self.failure is None and not self._gone:
            left = [step for step in self._steps[self._at :] if not isinstance(step, Wait | HangUp)]
            # A press counts as soon as all of it has been sent, even when the call ends in that moment.
            if left and not (len(left) == 1 and self._sending and not self._keypad.busy):
                self._fail(self._steps[self._at], why)
        self._gone = True

    def _done(self, step: Step) -> bool:
        """Go on with a step; whether it is done."""
        match step:
            case Hear():
                return self._listen(step)
            case Press() | Play():
                return self._send(step)
            case Wait():
                moment = self._moment
                if moment is None or self._tick < max(moment, self._since) + _ticks(step.wait):
                    return False
            case HangUp():
                moment = self._moment
                if moment is None or self._tick < moment:
                    return False
                self._gone = True
        self._hear = None
        return True

    def _send(self, step: Press | Play) -> bool:
        if not self._sending:
            moment = self._moment
            heard_out = self._hear is not None and self._hear.for_ is None
            if moment is None or self._tick < moment + _ticks(self._delay) * heard_out:
                return False
            if isinstance(step, Press):
                self._keypad.press(step.press, step.by)
            else:
                self._keypad.play(self._sounds[step.play])
            self._sending = True
            self._hear = None
        if self._keypad.busy:
            return False
        self._sending = False
        return True

    def _listen(self, step: Hear) -> bool:
        for index in range(self._taken, len(self._heard)):
            if _fits(step, self._heard[index]):
                self._taken = index + 1
                self._heard[index].step = self._at
                self._prompt, self._hear = self._heard[index], step
                return True
        # What was heard before may go on for longer than this step waits.
        moment = self._moment
        if moment is not None and self._tick >= max(moment, self._since) + _ticks(step.within):
            self._fail(step)
            self._gone = True
        return False

    @property
    def _moment(self) -> int | None:
        """The tick from which what follows a step counts: of a prompt its end, None while it sounds."""
        if self._hear is None or self._prompt is None:
            return self._since
        if self._hear.for_ is not None:
            return self._prompt.begun + _ticks(self._hear.for_)
        return self._prompt.over

    def _fail(self, step: Step, why: str = "") -> None:
        expected = str(step)
        if isinstance(step, Hear):
            with_ = "".join(f", {name} {value}" for name, value in step.with_.items())
            expected = f"{step.hear}{with_}, within {step.within:g} s"
        missed = ", ".join(_told(prompt, step) for prompt in self._heard[self._taken :])
        heard = "; ".join(part for part in (missed or ("" if why else "nothing"), why) if part)
        self.failure = Failure(f"step {self._at + 1}, {step}", expected, heard, self.now)


def _ticks(seconds: float) -> int:
    return round(seconds * TICKS_PER_SECOND)


def _fits(step: Hear, prompt: _Prompt) -> bool:
    if prompt.name != step.hear:
        return False
    params = prompt.params
    return params is None or all(_same(value, params.get(name)) for name, value in step.with_.items())


def _same(wanted: str, said: str | None) -> bool:
    """Whether a parameter is the one that is wanted: 200 is 200.00."""
    if said is None or wanted == said:
        return wanted == said
    try:
        return Decimal(wanted) == Decimal(said)
    except InvalidOperation:
        return False


def _told(prompt: _Prompt, step: Step) -> str:
    """A prompt's name, with the parameters that the step asks about."""
    asked = step.with_ if isinstance(step, Hear) and step.hear == prompt.name else {}
    said = [f"{name} {(prompt.params or {}).get(name, 'unknown')}" for name in asked]
    return f"{prompt.name} ({', '.join(said)})" if said else prompt.name
