"""Calls of a softphone, kept as recordings with labels: ``NAME.wav`` and ``NAME.call.yaml``, to be replayed.

The recording is the caller's side as it came, unmasked, or it could not be replayed; a call in which any
card but a listed test card was keyed leaves none. The label says what the journal tells: what the call was
given, what it came to, and when each prompt started on the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from authorizer import AuthorizerError, PaymentKey
from authorizer import State as Standing
from dtmf.wave_format import wav_bytes
from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.scenario import SUFFIX, State
from ivr_sim.harness.table import literal
from ivr_sim.harness.taping import CallTape, NotReplayable, cards_keyed, keys_of_no_card, with_tones
from ivr_sim.harness.timing import timeline_of
from ivr_sim.journal import (
    AuthorizerReplied,
    CallEnded,
    CallFailed,
    CallOffered,
    ChargeSent,
    EntryAccepted,
    PromptStarted,
    Record,
)
from ivr_sim.media import SAMPLE_RATE
from ivr_sim.prompts import DEFAULT_LANGUAGE

__all__ = ["CallRecorder", "Recorded", "check_free", "label_of"]

# The first six digits of a card's number tell its bank and no more; so many may be of anything.
HARMLESS = 6
# The card's entries that are no number: their digits are those of no listed card.
DATES_AND_CODES = ("expiry", "cvv")
STATES: Mapping[Standing | None, State] = {
    None: "missing",
    Standing.LIVE: "payable",
    Standing.PAID: "paid",
    Standing.CANCELLED: "cancelled",
    Standing.EXPIRED: "expired",
}
# How an authorizer that failed is made to fail again.
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "timeout": {"authorizer_delay": 5.1},
    "status": {"authorizer": "500"},
    "connect": {"authorizer": "down"},
    "not_json": {"authorizer": "bad_json"},
    "bad_fields": {"authorizer": "wrong_amount_type"},
}


@dataclass(frozen=True)
class Recorded:
    """What became of one call: label, when it was kept; why, when it was not."""

    call: str
    outcome: str
    duration_s: float
    label: Path | None = None
    why: str | None = None


class CallRecorder:
    """Keeps the payments of one line as recordings with labels. Reads the journal; gives out tapes.

    out: the folder they go to. name: of the files; unless given, the outcome and the call's own number, and
    from the second call on with a number behind it. find: the payment key of the authorizer as it stands,
    by what was keyed. today: the day that cards are judged by. told: called with what became of each call.
    """

    def __init__(
        self,
        out: Path,
        *,
        name: str | None = None,
        language: str = DEFAULT_LANGUAGE,
        find: Callable[[str], PaymentKey | None],
        today: Callable[[], date],
        told: Callable[[Recorded], None],
    ) -> None:
        self._out = out
        self._name = name
        self._language = language
        self._find = find
        self._today = today
        self._told = told
        self._records: dict[str, list[Record]] = {}
        self._taped: set[str] = set()
        self._kept = 0

    def tape(self, call: str) -> CallTape:
        """A tape for the call of this name in the journal."""
        self._taped.add(call)
        return CallTape(call, self._over)

    def read(self, record: Record) -> None:
        """Take one event of the journal."""
        if record.call is None:
            return
        if isinstance(record.event, CallOffered):
            self._records[record.call] = []
        if record.call in self._records:
            self._records[record.call].append(record)
        if isinstance(record.event, CallFailed) or (
            isinstance(record.event, CallEnded) and record.call not in self._taped
        ):
            self._forget(record.call)  # no payment, or none that was answered

    def _over(self, tape: CallTape) -> None:
        records = self._forget(tape.call)
        ended = next(r for r in reversed(records) if isinstance(r.event, CallEnded))
        assert isinstance(ended.event, CallEnded)
        label, why = None, None
        try:
            label = self._keep(tape, records, ended.event.outcome)
        except (NotReplayable, AuthorizerError) as error:
            why = str(error)
        except OSError as error:
            why = f"{self._out} cannot be written: {error.strerror}"
        self._told(Recorded(tape.call, ended.event.outcome, ended.t or 0.0, label, why))

    def _forget(self, call: str) -> list[Record]:
        self._taped.discard(call)
        return self._records.pop(call, [])

    def _keep(self, tape: CallTape, records: Sequence[Record], outcome: str) -> Path:
        told = sum(
            r.event.length
            for r in records
            if isinstance(r.event, EntryAccepted) and r.event.field in DATES_AND_CODES
        )
        if keys_of_no_card(tape.keys) - told > HARMLESS:
            raise NotReplayable("what was keyed is no listed test card, and nothing is kept of it")
        samples = with_tones(tape.sound, tape.keys)
        name = self._name or f"{outcome}-{tape.call}"
        if self._name and self._kept:
            name = f"{name}-{self._kept + 1}"
        label = label_of(
            f"{name}.wav",
            records,
            cards=cards_keyed(tape.keys),
            find=self._find,
            today=self._today(),
            language=self._language,
        )
        path = self._out / f"{name}{SUFFIX}"
        if path.exists():
            raise NotReplayable(f"{path} is there already")
        self._out.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{name}.wav").write_bytes(wav_bytes(samples, SAMPLE_RATE))
        path.write_text(label, encoding="utf-8")
        self._kept += 1
        return path


def label_of(
    wav: str,
    records: Sequence[Record],
    *,
    cards: Sequence[str],
    find: Callable[[str], PaymentKey | None],
    today: date,
    language: str = DEFAULT_LANGUAGE,
) -> str:
    """The label of a call, as YAML. wav: its recording. records: its events. cards: those keyed, by name."""
    events = [record.event for record in records]
    offered = next(e for e in events if isinstance(e, CallOffered))
    ended = next(e for e in events if isinstance(e, CallEnded))
    started = [(r.t or 0.0, r.event) for r in records if isinstance(r.event, PromptStarted)]
    entries: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, EntryAccepted) and event.value is not None:
            entries.setdefault(event.field, []).append(event.value)
    given, faults = _given(events, entries.get("payment_key", []), find)
    if cards:
        given["card"] = cards[0] if len(set(cards)) == 1 else list(cards)
    label: dict[str, Any] = {"version": "1", "number": offered.to}
    if language != DEFAULT_LANGUAGE:
        label["language"] = language
    label |= {"wav": wav, "recorded_on": today.isoformat(), "given": given}
    if faults:
        label["faults"] = dict(faults)
    label["expect"] = {
        "outcome": str(ended.outcome),
        "entries": {field: values[0] if len(values) == 1 else values for field, values in entries.items()},
        "prompts": [event.name for _, event in started],
    }
    label["timeline"] = [[t for t in said if t is not None] for said in timeline_of(records)]
    return yaml.safe_dump(label, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def _given(
    events: Sequence[object], keyed: Sequence[str], find: Callable[[str], PaymentKey | None]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """What the authorizer and the caller were given, and the faults, as far as the call tells."""
    given: dict[str, Any] = {}
    faults: Mapping[str, Any] = {}
    if keyed:
        given["key"] = keyed[-1]
    for event in events:
        match event:
            case AuthorizerReplied(cause="refused") if keyed:
                found = find(keyed[-1])
                given["state"] = STATES[None if found is None else found.state]
            case AuthorizerReplied(cause="ok"):
                given.pop("state", None)
            case AuthorizerReplied(cause=cause):
                faults = FAULTS.get(cause, {})
            case PromptStarted(name="amount", params=said):
                given |= {"amount": said["amount"], "description": literal(said["description"])}
            case ChargeSent(order_id=order):
                given["order_id"] = literal(order)
    return given, faults


def check_free(out: Path, name: str) -> None:
    """Whether nothing of this name is there yet. Raises ConfigurationError."""
    for path in (out / f"{name}{SUFFIX}", out / f"{name}.wav"):
        if path.exists():
            raise ConfigurationError(f"{path} is there already: choose another --name, or move it away")
