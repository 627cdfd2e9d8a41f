"""The verdict on a call: what its label expects against what its journal says. Pure functions.

Entries are compared first: a wrong entry explains a wrong outcome, not the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ivr_sim.harness.label import Label
from ivr_sim.journal import CallEnded, EntryAccepted, PromptEnded, PromptStarted, Record

__all__ = ["Failure", "PromptHeard", "Story", "judge"]

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Failure:
    """Where a call left its label: the step, what was expected, what was heard instead, and when."""

    step: str
    expected: str
    heard: str
    t: float | None

    def __str__(self) -> str:
        at = "" if self.t is None else f" (at {self.t:.2f} s)"
        return f"{self.step}: expected {self.expected}, heard {self.heard}{at}"


@dataclass(frozen=True)
class PromptHeard:
    """One prompt: when it started, in seconds since the answer, and what cut it, if anything did."""

    name: str
    start_s: float
    cut: str | None


class Story:
    """What a call's records tell: its entries, its prompts, its end."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.entries: dict[str, list[tuple[str, float | None]]] = {}
        self.prompts: list[PromptHeard] = []
        self.amounts: list[tuple[str, float | None]] = []
        self.ended: CallEnded | None = None
        self.duration_s = 0.0
        for record in records:
            self.duration_s = max(self.duration_s, record.t or 0.0)
            match record.event:
                case EntryAccepted(field=field, value=str() as value):
                    self.entries.setdefault(field, []).append((value, record.t))
                case PromptStarted(name=name, params=params):
                    self.prompts.append(PromptHeard(name, record.t or 0.0, None))
                    if name == "amount":
                        self.amounts.append((params.get("amount", ""), record.t))
                case PromptEnded(cut_by=str() as cut):
                    last = self.prompts.pop()
                    self.prompts.append(PromptHeard(last.name, last.start_s, cut))
                case CallEnded() as ended:
                    self.ended = ended

    @property
    def outcome(self) -> str:
        """The call's outcome, or ``none`` where it never ended."""
        return self.ended.outcome if self.ended else "none"


def judge(label: Label, story: Story) -> Failure | None:
    """The first thing in which the call differs from its label, or None."""
    return _entries(label, story) or _amount(label, story) or _outcome(label, story) or _prompts(label, story)


def _entries(label: Label, story: Story) -> Failure | None:
    keys = story.entries.get("payment_key", [])
    keyed = [key for key, _ in keys]
    if keyed and label.given.key not in keyed and label.expect.outcome == "approved":
        return Failure("entry payment_key", label.given.key, _said(keyed), keys[0][1])
    for field, value in label.expect.entries.items():
        heard = story.entries.get(field, [])
        wanted = [value] if isinstance(value, str) else list(value)
        got = [v for v, _ in heard]
        # One value is the entry that counted, the last; a list is all of them.
        if (got[-1:] if isinstance(value, str) else got) != wanted:
            return Failure(f"entry {field}", _said(wanted), _said(got), heard[-1][1] if heard else None)
    return None


def _amount(label: Label, story: Story) -> Failure | None:
    for amount, t in story.amounts:
        if amount != str(label.given.amount.quantize(_CENT)):
            return Failure("prompt amount", str(label.given.amount), amount, t)
    return None


def _outcome(label: Label, story: Story) -> Failure | None:
    if story.outcome == label.expect.outcome:
        return None
    cause = f" ({story.ended.cause})" if story.ended and story.ended.cause else ""
    return Failure("outcome", label.expect.outcome, f"{story.outcome}{cause}", story.duration_s)


def _prompts(label: Label, story: Story) -> Failure | None:
    """Each expected prompt, in order; others may stand between them."""
    at = 0
    heard = story.prompts
    for name in label.expect.prompts:
        place = next((i for i in range(at, len(heard)) if heard[i].name == name), None)
        if place is None:
            after = heard[at - 1].name if at else "the answer"
            rest = _said([p.name for p in heard[at:]])
            return Failure(
                f"prompt {name}", f"{name} after {after}", rest, heard[at - 1].start_s if at else None
            )
        at = place + 1
    return None


def _said(values: Sequence[str]) -> str:
    return ", ".join(values) if values else "nothing"
