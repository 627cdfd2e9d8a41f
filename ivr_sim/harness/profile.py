"""Callers that need no steps: what each kind of caller does with the call that it is given."""

from __future__ import annotations

from dataclasses import dataclass

from ivr_sim.harness.scenario import CallerSettings, Given, Hear, Press, Profile, Scenario, Step

__all__ = ["Manner", "manner_of", "steps_of"]


@dataclass(frozen=True)
class Manner:
    """How a caller keys: delay in seconds from a prompt's end to the first key, the others in ms."""

    delay: float = 0.4
    key_ms: int = 90
    gap_ms: int = 80


MANNERS: dict[Profile, Manner] = {
    "fast": Manner(delay=0.1, key_ms=60, gap_ms=60),
    "slow": Manner(delay=2.0, key_ms=300, gap_ms=900),
    "hesitant": Manner(delay=3.0, key_ms=150, gap_ms=300),
    "interrupts": Manner(),
    "corrects": Manner(),
    "silent": Manner(),
    "hangs_up": Manner(),
}


def manner_of(caller: CallerSettings) -> Manner:
    """How this caller keys: what is set, otherwise the profile's own."""
    own = MANNERS[caller.profile] if caller.profile else Manner()
    return Manner(
        delay=own.delay if caller.delay is None else caller.delay,
        key_ms=own.key_ms if caller.key_ms is None else caller.key_ms,
        gap_ms=own.gap_ms if caller.gap_ms is None else caller.gap_ms,
    )


def steps_of(scenario: Scenario) -> list[Step]:
    """The steps of a scenario: as written, or those of its caller's profile."""
    if scenario.steps or scenario.caller.profile is None:
        return scenario.steps
    return _answers(scenario.given)


def _answers(given: Given) -> list[Step]:
    return [Hear(hear="ask_key"), Press(press=f"{given.key}#")]
