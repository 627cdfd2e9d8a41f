"""What a call's journal tells, gathered once: entries, prompts, refusals, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ivr_sim.journal import (
    CallEnded,
    CallFailed,
    EntryAccepted,
    EntryRefused,
    KeyPressed,
    PromptEnded,
    PromptStarted,
    Record,
)
from ivr_sim.reports.verdict import PromptHeard

__all__ = ["BargeIn", "Said", "Story"]

# A key's onset is measured to 10 ms, a prompt's end to the tick in which it was cut.
TICK = 0.02


@dataclass(frozen=True)
class Said:
    """What was said of an amount: None where that is not known."""

    amount: str | None
    description: str | None
    t: float | None


@dataclass(frozen=True)
class BargeIn:
    """A prompt that a key cut: when, in seconds since the answer, and how long after the key's onset."""

    prompt: str
    t: float
    ms: float


class Story:
    """What the records of one call tell.

    entries: per field the accepted values that are not secret, each with its time; hidden: per field how
    many accepted entries show no value; refused: field, reason and time. Times in seconds since the answer.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)
        self.entries: dict[str, list[tuple[str, float | None]]] = {}
        self.hidden: dict[str, int] = {}
        self.refused: list[tuple[str, str, float | None]] = []
        self.prompts: list[PromptHeard] = []
        self.amounts: list[Said] = []
        self.ended: CallEnded | None = None
        self.failed: CallFailed | None = None
        self.duration_s = 0.0
        for record in self.records:
            self._read(record)

    def _read(self, record: Record) -> None:
        t = record.t
        if t is not None and t > self.duration_s:
            self.duration_s = t
        match record.event:
            case EntryAccepted(field=field, value=None):
                self.hidden[field] = self.hidden.get(field, 0) + 1
            case EntryAccepted(field=field, value=str() as value):
                self.entries.setdefault(field, []).append((value, t))
            case EntryRefused(field=field, reason=reason):
                self.refused.append((field, reason, t))
            case PromptStarted(name=name, params=params):
                self.prompts.append(PromptHeard(name, t or 0.0, None))
                if name == "amount":
                    self.amounts.append(Said(params.get("amount"), params.get("description"), t))
            case PromptEnded(cut_by=str() as cut) if self.prompts:
                last = self.prompts.pop()
                self.prompts.append(PromptHeard(last.name, last.start_s, cut))
            case CallEnded() as ended:
                self.ended = ended
            case CallFailed() as failed:
                self.failed = failed

    @property
    def outcome(self) -> str:
        """The call's outcome, or ``none`` where it never ended."""
        return self.ended.outcome if self.ended else "none"

    def barge_ins(self) -> list[BargeIn]:
        """The prompts that keys cut, by the journal's times: what the line decided, not what was heard.

        What counts is the first key that was pressed while the prompt was said, not the one that cut it.
        """
        onsets = sorted(r.event.start for r in self.records if isinstance(r.event, KeyPressed))
        found = []
        begun = 0.0
        for record in self.records:
            match record:
                case Record(event=PromptStarted(), t=float() as t):
                    begun = t
                case Record(event=PromptEnded(name=name, cut_by="key"), t=float() as t):
                    into = [start for start in onsets if begun <= start <= t + TICK]
                    before = [start for start in onsets if start < begun]
                    if onset := into[:1] or before[-1:]:
                        found.append(BargeIn(name, t, max(0.0, 1000 * (t - onset[0]))))
        return found
