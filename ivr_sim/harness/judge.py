"""The verdict on a call: what its scenario expects against what happened. Pure functions.

What explains the rest comes first: a wrong entry explains a wrong outcome, not the other way round; a step
that was never reached explains an entry that was never made; a wrong outcome, the prompts that follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ivr_sim.harness.scenario import Case
from ivr_sim.harness.story import BargeIn, Story
from ivr_sim.journal import Record
from ivr_sim.reports.verdict import Failure

__all__ = ["Seen", "judge", "unjudged"]

# Outcomes that only a call with the right payment key can have.
_WITH_THE_KEY = ("approved", "declined", "rejected")
_SHOWN = 5  # of many things that were heard instead, so many are named
Place = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known of a call beside its records; what is None nobody could see.

    completed: how many completed charges its order has at Openpay, over its amount; others: completed charges
    of other orders or amounts, in words. requests: how many each service got (authorizer, openpay).
    barge_ins: as measured in the audio; otherwise the journal's are judged. step: the step that the caller
    could not do, if there was one. journal: whether the records are the line's own; otherwise they tell only
    what the caller heard.
    """

    completed: int | None = None
    others: Sequence[str] = ()
    requests: Mapping[str, int] | None = None
    barge_ins: Sequence[BargeIn] | None = None
    step: Failure | None = None
    journal: bool = True


@dataclass(frozen=True)
class _Call:
    case: Case
    story: Story
    seen: Seen

    def differs(self, place: Place, step: str, expected: str, heard: str, t: float | None = None) -> Failure:
        return Failure(step, expected, heard, t, str(self.case.path), self.case.line_of(*place))


def judge(case: Case, story: Story, seen: Seen | None = None) -> Failure | None:
    """The first thing in which a call differs from what is expected of it, or None."""
    call = _Call(case, story, seen or Seen())
    for check in _CHECKS:
        failure = next(check(call), None)
        if failure is not None:
            return failure
    return None


def unjudged(case: Case, seen: Seen) -> list[str]:
    """What is expected of a call and could not be seen: the places, such as ``expect.requests``."""
    expect = case.scenario.expect
    found = []
    if not seen.journal:
        found += [name for name in ("entries", "cause", "journal") if getattr(expect, name)]
        if expect.barge_in_ms is not None and seen.barge_ins is None:
            found.append("barge_in_ms")
    if seen.requests is None and (expect.requests.authorizer, expect.requests.openpay) != (None, None):
        found.append("requests")
    if seen.completed is None and expect.charges is not None:
        found.append("charges")
    return [f"expect.{name}" for name in found]


def _not_answered(call: _Call) -> Iterator[Failure]:
    failed = call.story.failed
    if failed is not None and call.story.ended is None:
        yield call.differs(("number",), "answer", "an answered call", f"{failed.status} {failed.reason}")


def _wrong_entries(call: _Call) -> Iterator[Failure]:
    """Entries that were made, but others than expected."""
    if not call.seen.journal:
        return
    scenario, entries = call.case.scenario, call.story.entries
    keyed = entries.get("payment_key", [])
    keys = [key for key, _ in keyed]
    if keyed and scenario.given.key not in keys and scenario.expect.outcome in _WITH_THE_KEY:
        yield call.differs(
            ("given", "key"), "entry payment_key", scenario.given.key, _list(keys), keyed[0][1]
        )
    for field, wanted in scenario.expect.entries.items():
        heard = entries.get(field, [])
        got = [value for value, _ in heard]
        place = ("expect", "entries", field)
        if isinstance(wanted, str):
            # One value is the entry that counted, the last; a list is all of them.
            if got and got[-1] != wanted:
                yield call.differs(place, f"entry {field}", wanted, got[-1], heard[-1][1])
        elif got != wanted[: len(got)]:
            at = next(i for i, value in enumerate(got) if wanted[i : i + 1] != [value])
            yield call.differs(place, f"entry {field}", _list(wanted), _list(got), heard[at][1])


def _amount(call: _Call) -> Iterator[Failure]:
    """What the caller was told to pay, and for what."""
    given = call.case.scenario.given
    for said in call.story.amounts:
        if said.amount is not None and _number(said.amount) != given.amount:
            yield call.differs(("given", "amount"), "prompt amount", f"{given.amount}", said.amount, said.t)
        if said.description not in (None, given.description):
            yield call.differs(
                ("given", "description"), "prompt amount", given.description, said.description, said.t
            )


def _step(call: _Call) -> Iterator[Failure]:
    """A step, as written, that could not be done; one of a profile explains nothing that was written."""
    if call.seen.step is not None and call.case.scenario.steps:
        yield call.seen.step


def _refused_entries(call: _Call) -> Iterator[Failure]:
    yield from _missing_entries(call, refused=True)


def _outcome(call: _Call) -> Iterator[Failure]:
    wanted = call.case.scenario.expect.outcome
    if wanted is None or call.story.outcome == wanted:
        return
    heard = _end(call.story) if call.story.ended is None else _outcome_heard(call.story)
    yield call.differs(("expect", "outcome"), "outcome", wanted, heard, call.story.duration_s)


def _never_ended(call: _Call) -> Iterator[Failure]:
    if call.story.ended is None and call.case.labelled:
        yield call.differs(("expect",), "end", "a call that ends", _end(call.story), call.story.duration_s)


def _entries_not_made(call: _Call) -> Iterator[Failure]:
    yield from _missing_entries(call, refused=False)


def _missing_entries(call: _Call, *, refused: bool) -> Iterator[Failure]:
    """Entries that were not made at all: those that were refused instead, or those that were not."""
    if not call.seen.journal:
        return
    for field, wanted in call.case.scenario.expect.entries.items():
        got = [value for value, _ in call.story.entries.get(field, [])]
        if len(got) >= (1 if isinstance(wanted, str) else len(wanted)):
            continue
        why = [(reason, t) for name, reason, t in call.story.refused if name == field]
        if bool(why) != refused:
            continue
        heard = _list(got)
        if why:
            heard += f"; refused: {_list([reason for reason, _ in why])}"
        elif hidden := call.story.hidden.get(field):
            heard += f"; {hidden} accepted but not shown"
        expected = wanted if isinstance(wanted, str) else _list(wanted)
        yield call.differs(
            ("expect", "entries", field), f"entry {field}", expected, heard, why[-1][1] if why else None
        )


def _cause(call: _Call) -> Iterator[Failure]:
    wanted, ended = call.case.scenario.expect.cause, call.story.ended
    if wanted is not None and ended is not None and call.seen.journal:
        heard = ended.cause or "null"
        if heard != wanted:
            yield call.differs(("expect", "cause"), "cause", wanted, heard, call.story.duration_s)


def _prompts(call: _Call) -> Iterator[Failure]:
    """Each expected prompt, in order; others may stand between them."""
    at = 0
    heard = call.story.prompts
    for index, name in enumerate(call.case.scenario.expect.prompts):
        place = next((i for i in range(at, len(heard)) if heard[i].name == name), None)
        if place is None:
            after, t = (heard[at - 1].name, heard[at - 1].start_s) if at else ("the answer", None)
            rest = _list([p.name for p in heard[at:]])
            place_ = ("expect", "prompts", index)
            yield call.differs(place_, f"prompt {name}", f"{name} after {after}", rest, t)
            return
        at = place + 1


def _journal(call: _Call) -> Iterator[Failure]:
    """Each expected event, in order; others may stand between them."""
    wanted = call.case.scenario.expect.journal
    if not wanted or not call.seen.journal:
        return
    rest = iter([_Event(record) for record in call.story.records])
    t: float | None = None
    for index, pattern in enumerate(wanted):
        others = []
        for event in rest:
            if event.name == pattern["event"]:
                if all(_matches(event.fields[k], v) for k, v in pattern.items() if k != "event"):
                    t = event.record.t
                    break
                others.append(event.shown(pattern))
        else:
            name = pattern["event"]
            shown = ", ".join(f"{k}={_text(v)}" for k, v in pattern.items() if k != "event")
            heard = _list(others) if others else f"no {name}" + (" after the one before" if index else "")
            yield call.differs(("expect", "journal", index), f"event {name}", f"{name}({shown})", heard, t)
            return


class _Event:
    """A record as its JSON, made when it is first needed."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.name = type(record.event).__name__
        self._fields: dict[str, Any] | None = None

    @property
    def fields(self) -> dict[str, Any]:
        if self._fields is None:
            self._fields = self.record.as_json()
        return self._fields

    def shown(self, pattern: Mapping[str, Any]) -> str:
        """The event with those of its fields that were asked for."""
        return f"{self.name}({', '.join(f'{k}={_text(self.fields[k])}' for k in pattern if k != 'event')})"


def _charges(call: _Call) -> Iterator[Failure]:
    """What Openpay holds must agree with what the caller was told."""
    completed, expect = call.seen.completed, call.case.scenario.expect
    if completed is None:
        return
    outcome = expect.outcome or call.story.outcome
    least, most = {"approved": (1, 1), "unknown": (0, 1)}.get(outcome, (0, 0))
    if expect.charges is not None:
        least = most = expect.charges
    if not least <= completed <= most:
        expected = f"{most} completed" if least == most else f"{most} completed at the most"
        heard = f"{completed} completed" if completed else "no completed charge"
        if call.seen.others:
            heard += f" but of {_list(call.seen.others)}"
        order = call.case.scenario.given.order_id
        yield call.differs(("expect", "charges"), f"charges of order {order}", expected, heard)
    if call.seen.others:
        given = call.case.scenario.given
        yield call.differs(
            ("expect", "charges"),
            "charges of another order",
            f"none but of order {given.order_id} over {given.amount}",
            _list(call.seen.others),
        )


def _requests(call: _Call) -> Iterator[Failure]:
    if call.seen.requests is None:
        return
    for service, wanted in call.case.scenario.expect.requests:
        made = call.seen.requests.get(service, 0)
        if wanted is not None and made != wanted:
            yield call.differs(
                ("expect", "requests", service), f"requests to {service}", f"{wanted}", f"{made}"
            )


def _barge_in(call: _Call) -> Iterator[Failure]:
    limit = call.case.scenario.expect.barge_in_ms
    measured = call.seen.barge_ins
    if limit is None or (measured is None and not call.seen.journal):
        return
    place = ("expect", "barge_in_ms")
    cuts = call.story.barge_ins() if measured is None else measured
    if not cuts:
        yield call.differs(place, "barge-in", "a prompt that a key cuts", "none was cut")
    for cut in cuts:
        if cut.ms > limit:
            expected = f"silence within {limit:g} ms of the key"
            yield call.differs(place, f"barge-in at {cut.prompt}", expected, f"{cut.ms:.0f} ms", cut.t)


_CHECKS: tuple[Callable[[_Call], Iterator[Failure]], ...] = (
    _not_answered, _wrong_entries, _amount, _step, _refused_entries, _outcome, _never_ended,
    _entries_not_made, _cause, _prompts, _journal, _charges, _requests, _barge_in,
)  # fmt: skip


def _end(story: Story) -> str:
    if story.ended is not None:
        return f"the call ended {_outcome_heard(story)}"
    return f"no end of the call; {_last_heard(story)}"


def _last_heard(story: Story) -> str:
    if not story.prompts:
        return "no prompt at all"
    return _list([p.name for p in story.prompts[-_SHOWN:]])


def _outcome_heard(story: Story) -> str:
    """The outcome as it was, and what explains that nothing came of the call."""
    assert story.ended is not None
    cause = f" ({story.ended.cause})" if story.ended.cause else ""
    why = ""
    if story.ended.outcome in ("no_input", "abandoned") and story.refused:
        why = "; refused: " + _list([f"{field} {reason}" for field, reason, _ in story.refused])
    return f"{story.ended.outcome}{cause}{why}"


def _matches(value: object, wanted: object) -> bool:
    """Whether a value of the journal is what was written: a mapping by its named parts, a number by value."""
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(
            k in value and _matches(value[k], v) for k, v in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(_matches(v, w) for v, w in zip(value, wanted, strict=True))
        )
    if _text(value) == wanted:
        return True
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and _number(str(wanted)) == _number(str(value))


def _text(value: object) -> str:
    """A value as one writes it in YAML."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _list(values: Iterable[str]) -> str:
    values = list(values)
    more = len(values) - 2 * _SHOWN
    if more > 0:
        values = [*values[: 2 * _SHOWN], f"and {more} more"]
    return ", ".join(values) if values else "nothing"
