"""Callers that need no steps: what each kind of caller does with the call that it is given.

All of them want to pay what is given, with the cards that are given, in turn:

    fast         hears each prompt out and keys at once, quickly
    slow         takes seconds before a key, and long over each
    hesitant     pauses in the midst of every entry, near the time-out
    interrupts   keys while the prompt is still being said
    corrects     mistypes every entry, takes it back with ``*`` and keys it anew
    silent       as fast, until the prompt ``at`` (ask_key), and no key from there on
    hangs_up     as fast, until the prompt ``at`` (ask_key), in the midst of which it hangs up

A key that cannot be paid is tried three times, as long as the dialogue lets it be. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ivr_sim.cards import CardNumber, brand_of
from ivr_sim.harness.scenario import CallerSettings, HangUp, Hear, Press, Profile, Scenario, Step, Wait
from ivr_sim.openpay import card_named

__all__ = ["CardKeys", "Manner", "card_keys", "manner_of", "steps_of"]

EXPIRY = "1240"  # any month to come does, at a bank for test cards; this one may be keyed from 2020 on
PATIENCE = 120.0  # seconds for which a caller waits for a prompt: the line's own limits come first
CUT_AFTER = 0.6  # seconds of a prompt that somebody hears who does not hear it out
GROUP = 4  # digits between two pauses of one who reads them off
PAUSE = 2.5  # seconds: shorter than the 4 after which an entry counts as whole
KEY_TRIES = 3

# A prompt, and the keys that answer it, if any do.
Turn = tuple[str, str | None]


@dataclass(frozen=True)
class Manner:
    """How a caller keys: delay in seconds from a prompt's end to the first key, the others in ms."""

    delay: float = 0.4
    key_ms: int = 100
    gap_ms: int = 100


_FAST = Manner(delay=0.1, key_ms=60, gap_ms=60)
MANNERS: dict[Profile | None, Manner] = {
    None: Manner(),
    "fast": _FAST,
    "slow": Manner(delay=2.0, key_ms=300, gap_ms=900),
    "hesitant": Manner(delay=3.0, key_ms=160, gap_ms=300),
    "interrupts": Manner(),
    "corrects": Manner(),
    "silent": _FAST,
    "hangs_up": _FAST,
}


@dataclass(frozen=True)
class CardKeys:
    """What is keyed of a test card."""

    number: str
    expiry: str
    cvv: str


def card_keys(name: str) -> CardKeys:
    """What is keyed of the test card of this name. Raises KeyError."""
    number = card_named(name).number
    return CardKeys(number, EXPIRY, "1234"[: brand_of(number).cvv])


def manner_of(caller: CallerSettings) -> Manner:
    """How this caller keys: what is set, otherwise the profile's own."""
    own = MANNERS[caller.profile]
    return Manner(
        delay=own.delay if caller.delay is None else caller.delay,
        key_ms=own.key_ms if caller.key_ms is None else caller.key_ms,
        gap_ms=own.gap_ms if caller.gap_ms is None else caller.gap_ms,
    )


def steps_of(scenario: Scenario) -> list[Step]:
    """The steps of a scenario: as written, or those of its caller's profile.

    Raises ValueError: ``caller.at`` is no prompt on the way of this call.
    """
    profile = scenario.caller.profile
    if profile is None:
        return scenario.steps
    turns = list(_turns(scenario))
    match profile:
        case "silent" | "hangs_up":
            at = scenario.caller.at or "ask_key"
            way = list(dict.fromkeys(prompt for prompt, _ in turns))
            if at not in way:
                raise ValueError(f"this caller never hears {at}; on its way are {', '.join(way)}")
            steps = _heard_out(turns[: [prompt for prompt, _ in turns].index(at)])
            return [*steps, *_stop(at, hangs_up=profile == "hangs_up")]
        case "interrupts":
            return _interrupted(turns)
        case "hesitant":
            return [step for prompt, keys in _asking(turns) for step in (_hear(prompt), *_halting(keys))]
        case "corrects":
            return _heard_out([(prompt, _mistyped(keys)) for prompt, keys in _asking(turns)])
    return _heard_out(turns)


def _turns(scenario: Scenario) -> Iterator[Turn]:
    """Every prompt on the way of a caller who wants to pay, and what it answers."""
    given = scenario.given
    key: Turn = ("ask_key", f"{given.key}#")
    yield "welcome", None
    if given.state != "payable":
        for _ in range(KEY_TRIES):
            yield from (key, ("key_refused", None))
        yield "goodbye", None
        return
    yield from (key, ("amount", None), ("ask_accept", scenario.caller.accept))
    if scenario.caller.accept == "2":
        yield from (("rejected", None), ("goodbye", None))
        return
    for number, name in enumerate(given.cards):
        if number:
            yield from (("declined", None), ("ask_another_card", "1"))
        card = card_keys(name)
        yield "ask_card", card.number if CardNumber.complete(card.number) else f"{card.number}#"
        yield from (("ask_expiry", card.expiry), ("ask_cvv", card.cvv), ("one_moment", None))
    if card_named(given.cards[-1]).error_code is None:
        yield "approved", None
    else:
        yield from (("declined", None), ("ask_another_card", "2"))
    yield "goodbye", None


def _asking(turns: list[Turn]) -> list[tuple[str, str]]:
    """The prompts that are answered."""
    return [(prompt, keys) for prompt, keys in turns if keys is not None]


def _hear(prompt: str, seconds: float | None = None) -> Hear:
    return Hear(hear=prompt, within=PATIENCE, for_=seconds)


def _heard_out(turns: list[Turn] | list[tuple[str, str]]) -> list[Step]:
    """Each answer behind its prompt."""
    steps: list[Step] = []
    for prompt, keys in turns:
        if keys is not None:
            steps += (_hear(prompt), Press(press=keys))
    return steps


def _interrupted(turns: list[Turn]) -> list[Step]:
    """Each answer into its prompt; to the amount itself, so that ask_accept is never said."""
    steps: list[Step] = []
    for prompt, keys in _asking(turns):
        steps += (_hear("amount" if prompt == "ask_accept" else prompt, CUT_AFTER), Press(press=keys))
    return steps


def _halting(keys: str) -> Iterator[Step]:
    """The keys in groups, with pauses between; what is short in two parts."""
    size = min(GROUP, max(1, len(keys.rstrip("#")) // 2))
    digits, end = keys.rstrip("#"), keys[len(keys.rstrip("#")) :]
    groups = [digits[at : at + size] for at in range(0, len(digits), size)]
    for at, group in enumerate(groups):
        if at:
            yield Wait(wait=PAUSE)
        yield Press(press=group + (end if at == len(groups) - 1 else ""))


def _mistyped(keys: str) -> str:
    """Half of the entry, taken back, and the whole; a single key is right at once."""
    digits = keys.rstrip("#")
    return keys if len(digits) < 2 else f"{digits[: len(digits) // 2]}*{keys}"


def _stop(at: str, *, hangs_up: bool) -> list[Step]:
    return [_hear(at, CUT_AFTER), HangUp()] if hangs_up else [_hear(at)]
