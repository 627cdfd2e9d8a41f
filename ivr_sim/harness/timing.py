"""When the keys of a recording are pressed in a call: as on the tape, or when their prompts are said.

What was keyed in answer to a prompt is a group, and waits for that prompt: a key pressed so long after the
prompt began on the tape is pressed so long after it begins in this call, or after its end, if it had ended.
Keys of one group stay as far apart as they were. So a recording outlives new wordings.

The label's ``timeline`` tells what was said when. Where there is none, the prompts that are expected must do:
each question among them gets as many keys as the dialogue would take for it, up to ``#``, to the entry's
length or to a pause that is too long, and they are pressed when it has been asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ivr_sim.cards import CardNumber, brand_of
from ivr_sim.dialogue import Limits
from ivr_sim.harness.scenario import Scenario
from ivr_sim.journal import PromptEnded, PromptStarted, Record
from ivr_sim.legs import TICKS_PER_SECOND, Anchor, CallerTape, Piece, Playback
from ivr_sim.legs.playback import Down, Up
from ivr_sim.reports.verdict import Failure

__all__ = ["Keyed", "TapeCaller", "Timeline", "Timing", "keys_of", "playback_of", "timeline_of"]

Timing = Literal["aligned", "recorded"]
# When each prompt began, its name, and when it was over, in seconds; None: the caller was gone.
Timeline = Sequence[tuple[float, str, float | None]]
LEAD = 5  # ticks that are played before a group, if nothing else is under way
AFTER = 20  # ticks from the end of a question to its keys, where nobody knows how long it was
TERMINATOR, RESTART = "#", "*"
_LIMITS = Limits()
# Which question a prompt belongs to: what follows one another of one kind is one question.
QUESTIONS = {
    "welcome": "payment_key",
    "ask_key": "payment_key",
    "amount": "accept",
    "ask_accept": "accept",
    "ask_card": "card_number",
    "ask_expiry": "expiry",
    "ask_cvv": "cvv",
    "ask_another_card": "another_card",
}


@dataclass(frozen=True)
class Keyed:
    """A key on the tape, in ticks; it is told whole once the tape was played up to ``known``."""

    digit: str = field(repr=False)
    begin: int
    end: int
    known: int


def keys_of(tape: CallerTape) -> list[Keyed]:
    """The keys on a tape, in order; one that the tape's end cuts ends with it."""
    keys: list[Keyed] = []
    for told in tape.told:
        match told.event:
            case Down(digit=digit, start_s=start):
                keys.append(Keyed(digit, int(start * TICKS_PER_SECOND), tape.ticks, tape.ticks))
            case Up(digit=digit, start_s=start, end_s=over):
                begin, end = int(start * TICKS_PER_SECOND), math.ceil(over * TICKS_PER_SECOND)
                keys[-1] = Keyed(digit, begin, end, told.tick + 1)
    return keys


def playback_of(tape: CallerTape, scenario: Scenario, timing: Timing | None = None) -> Playback:
    """How a label's recording is played: aligned (the default where the label names prompts) or recorded."""
    if timing != "recorded" and scenario.timeline:
        return _by_timeline(tape, scenario)
    if timing != "recorded" and scenario.expect.prompts:
        return _by_questions(tape, scenario.expect.prompts)
    return Playback(tape)


def timeline_of(records: Sequence[Record]) -> Timeline:
    """When each prompt of a call was said, from its journal."""
    said: list[tuple[float, str, float | None]] = []
    for record in records:
        t = round(record.t or 0.0, 2)
        match record.event:
            case PromptStarted(name=name):
                said.append((t, name, None))
            case PromptEnded(cut_by=cut) if said and cut != "hangup":
                said[-1] = (said[-1][0], said[-1][1], t)
    return said


class TapeCaller:
    """A playback as a caller at a telephone."""

    failure: Failure | None = None
    at: int | None = None

    def __init__(self, playback: Playback) -> None:
        self.begun = playback.begun
        self.over = playback.over
        self.tick = playback.tick

    def ended(self) -> None:
        """The call is over."""


@dataclass(frozen=True)
class _Group:
    """Keys that are pressed together, and when: after; lead: so many ticks before the first."""

    begin: int
    busy: int
    after: Anchor | None


def _by_timeline(tape: CallerTape, scenario: Scenario) -> Playback:
    begins = [round(said[0] * TICKS_PER_SECOND) for said in scenario.timeline]
    ends = [round(said[2] * TICKS_PER_SECOND) if len(said) > 2 else None for said in scenario.timeline]

    def anchor(tick: int) -> Anchor | None:
        """The prompt that sounded last at a tick of the tape, and how long before."""
        at = max((n for n, begin in enumerate(begins) if begin <= tick), default=None)
        if at is None:
            return None
        end = ends[at]
        if end is None or tick < end:
            return Anchor(at, tick - begins[at], False)
        return Anchor(at, tick - end, True)

    groups: list[_Group] = []
    last: int | None = None
    for key in keys_of(tape):
        after = anchor(key.begin)
        prompt = None if after is None else after.prompt
        if groups and prompt == last:
            groups[-1] = _Group(groups[-1].begin, key.known, groups[-1].after)
        else:
            groups.append(_Group(key.begin, key.known, after))
        last = prompt
    busy = groups[-1].busy if groups else 0
    # The caller is gone so long after the last prompt as on the tape.
    hangs_up = max(busy, begins[-1], ends[-1] or 0)
    groups.append(_Group(hangs_up, hangs_up, anchor(hangs_up)))
    return Playback(tape, list(_pieces(tape, groups)), [said[1] for said in scenario.timeline])


def _by_questions(tape: CallerTape, prompts: Sequence[str]) -> Playback:
    questions = [
        at
        for at, name in enumerate(prompts)
        if name in QUESTIONS and (at + 1 == len(prompts) or QUESTIONS.get(prompts[at + 1]) != QUESTIONS[name])
    ]
    keys = keys_of(tape)
    groups: list[_Group] = []
    brand = brand_of("")
    first = 0
    for question in questions:
        if first == len(keys):
            break
        behind = _entry(keys, first, QUESTIONS[prompts[question]], brand.cvv)
        if QUESTIONS[prompts[question]] == "card_number":
            brand = brand_of("".join(key.digit for key in keys[first:behind]))
        after = Anchor(question, AFTER, True)
        groups.append(_Group(keys[first].begin, keys[behind - 1].known, after))
        first = behind
    if first < len(keys) and groups:
        # Typed ahead: no question was heard before these.
        groups[-1] = _Group(groups[-1].begin, keys[-1].known, groups[-1].after)
    said = len(prompts) - 1
    if groups and prompts[said] not in QUESTIONS:
        # Who answered everything hears the end of it, too.
        groups.append(_Group(groups[-1].busy, groups[-1].busy, Anchor(said, 0, True)))
    return Playback(tape, list(_pieces(tape, groups)), prompts)


def _entry(keys: Sequence[Keyed], first: int, field: str, cvv: int) -> int:
    """The index behind the keys of one entry that begins with the first."""
    patience = (_LIMITS.digit if field == "payment_key" else _LIMITS.card_digit) * TICKS_PER_SECOND
    digits = ""
    for at in range(first, len(keys)):
        key = keys[at]
        if at > first and key.begin - keys[at - 1].end > patience:
            return at
        if key.digit == TERMINATOR:
            return at + 1
        digits = "" if key.digit == RESTART else digits + key.digit
        if _is_whole(field, digits, cvv):
            return at + 2 if at + 1 < len(keys) and keys[at + 1].digit == TERMINATOR else at + 1
    return len(keys)


def _is_whole(field: str, digits: str, cvv: int) -> bool:
    match field:
        case "accept" | "another_card":
            return len(digits) == 1
        case "card_number":
            return CardNumber.complete(digits)
        case "expiry":
            return len(digits) == 4
        case "cvv":
            return len(digits) == cvv
    return False


def _pieces(tape: CallerTape, groups: Sequence[_Group]) -> Iterator[Piece]:
    """The tape in pieces: what is before the first group, then each group up to the next."""
    begins, busy = [], 0
    for group in groups:
        begins.append(max(group.begin - LEAD, busy) if group.busy > group.begin else group.begin)
        busy = group.busy
    yield Piece(0, begins[0] if begins else tape.ticks, 0 if begins else tape.ticks)
    for at, group in enumerate(groups):
        begin = begins[at]
        end = begins[at + 1] if at + 1 < len(groups) else tape.ticks
        lead = group.begin - begin if group.busy > group.begin else end - begin
        after = group.after
        if after is not None:
            after = Anchor(after.prompt, after.ticks - (group.begin - begin), after.from_end)
        yield Piece(begin, end, group.busy, lead, after)
