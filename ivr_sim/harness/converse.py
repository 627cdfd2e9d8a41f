"""A scenario's caller, and its call in virtual time: through the very same dialogue, as fast as it can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.caller import follow
from ivr_sim.harness.keypad import Keypad
from ivr_sim.harness.profile import manner_of, steps_of
from ivr_sim.harness.scenario import Case, Play
from ivr_sim.harness.script import ScriptedCaller
from ivr_sim.harness.tape import read_caller
from ivr_sim.ivr import Ivr
from ivr_sim.journal import KeyMethod
from ivr_sim.key_mask import Span
from ivr_sim.legs.scripted import ScriptedLeg
from ivr_sim.media import Samples
from ivr_sim.reports.verdict import Failure

__all__ = ["Conversation", "caller_of", "converse", "failure_of"]


@dataclass(frozen=True)
class Conversation:
    """What a call in virtual time leaves besides its journal.

    failure: the step that the caller could not do, if there was one. said, heard: the caller's sound and the
    IVR's, int16, shape (n,), 8 kHz, from the answer on. onsets: when its keys went down, in seconds.
    masks: ``LegCall.key_spans()``.
    """

    failure: Failure | None
    said: Samples
    heard: Samples
    onsets: Sequence[float]
    masks: tuple[list[Span], list[Span]]


def caller_of(case: Case, *, by: KeyMethod | None = None) -> ScriptedCaller:
    """The caller of a scenario that has steps or a profile; by: another way of keying than its own.

    Raises ConfigurationError: the case is a recording, or one that is to be played cannot be read.
    """
    scenario = case.scenario
    if scenario.wav is not None:
        raise ConfigurationError(f"{case.path} is a recorded call: ivr-sim replay --sip places it")
    steps, manner, tone = steps_of(scenario), manner_of(scenario.caller), scenario.tone
    keypad = Keypad(
        by=by or scenario.caller.by,
        key_ms=manner.key_ms,
        gap_ms=manner.gap_ms,
        level_dbm0=tone.level_dbm0,
        twist_db=tone.twist_db,
        noise_dbm0=tone.noise_dbm0,
        snr_db=tone.snr_db,
        seed=scenario.seed,
    )
    sounds = {
        step.play: _sound(case, index, step.play)
        for index, step in enumerate(steps)
        if isinstance(step, Play)
    }
    return ScriptedCaller(steps, keypad, delay=manner.delay, sounds=sounds)


def failure_of(caller: ScriptedCaller, case: Case) -> Failure | None:
    """What the caller, whose call is over, could not do, and where in the scenario that is written."""
    caller.ended()
    if caller.failure is None or caller.at is None:
        return None
    place = ("steps", caller.at) if case.scenario.steps else ("caller", "profile")
    return replace(caller.failure, file=str(case.path), line=case.line_of(*place))


async def converse(
    ivr: Ivr,
    case: Case,
    *,
    by: KeyMethod | None = None,
    rest: Callable[[], Awaitable[object]] | None = None,
) -> Conversation:
    """Hold the call of a scenario that has steps or a profile, in virtual time.

    ivr: the line of the call's merchant, in whose journal the call goes by the case's name. rest: see
    ``ScriptedLeg``. Raises ConfigurationError, as ``caller_of`` does.
    """
    caller = caller_of(case, by=by)
    call = ivr.call(case.name)
    leg = ScriptedLeg(call, caller, rest=rest)
    stop = follow(ivr.journal, caller, call=case.name)
    try:
        await ivr.held(call, leg, to=case.scenario.number)
    finally:
        stop()
    said, heard = leg.sides
    return Conversation(failure_of(caller, case), said, heard, caller.onsets, call.key_spans())


def _sound(case: Case, index: int, name: str) -> Samples:
    try:
        return read_caller(case.path.parent / name)
    except ConfigurationError as error:
        line = case.line_of("steps", index)
        raise ConfigurationError(f"{case.path}:{line}: cannot be played: {error}") from error
