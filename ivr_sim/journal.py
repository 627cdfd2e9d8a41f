"""The journal: every observable thing of a call is one frozen event.

Console, reports, scenarios and tests read events; nothing else is scraped. As JSON lines they are a
versioned contract: fields may be added, never renamed. No event holds a digit that a caller typed, but
``EntryAccepted.value`` of an entry that is not secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import IO, Any, Literal

import structlog

from ivr_sim.errors import place

__all__ = [
    "AuthorizerReplied",
    "CallAnswered",
    "CallEnded",
    "CallFailed",
    "CallJournal",
    "CallOffered",
    "ChargeReconciled",
    "ChargeSent",
    "ChargeSettled",
    "EntryAccepted",
    "EntryRefused",
    "Event",
    "Finding",
    "Journal",
    "JsonLines",
    "KeyMethod",
    "KeyPressed",
    "KeyRefused",
    "LineEnded",
    "LineStarted",
    "MediaReported",
    "PhoneRegistered",
    "PhoneUnregistered",
    "PromptEnded",
    "PromptStarted",
    "Record",
    "RecordingWritten",
    "SourceBanned",
]

VERSION = 1
log = structlog.get_logger(__name__)

# The ways in which a key can come.
KeyMethod = Literal["rfc4733", "info", "inband"]
AuthorizerCause = Literal[
    "ok", "refused", "dns", "connect", "tls", "timeout", "status", "not_json", "bad_fields", "internal"
]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. A trailing underscore in a field's name is dropped in JSON."""


@dataclass(frozen=True, kw_only=True)
class CallOffered(Event):
    """Somebody calls: ``from_`` and ``to`` as dialled, ``leg`` is sip or recording; call_id is SIP's."""

    from_: str
    to: str
    leg: str
    user_agent: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class CallAnswered(Event):
    """The line answered; its clock starts here. ``key_methods``: rfc4733, info, inband."""

    codec: str
    key_methods: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CallFailed(Event):
    """The call ended before an answer: no outcome, a SIP status and its reason."""

    status: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class PromptStarted(Event):
    """A phrase begins to sound; ``params`` as texts, never secret."""

    name: str
    params: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PromptEnded(Event):
    """A phrase ended: said whole (``cut_by`` null), or cut by a key, a hang-up or the call's time limit."""

    name: str
    cut_by: Literal["key", "hangup", "limit"] | None


@dataclass(frozen=True, kw_only=True)
class KeyPressed(Event):
    """A key was pressed and let go; ``start`` in seconds since the answer. Never which key.

    ``level_dbm0`` is a call's level, told anew when a key is 3 dB away: keys of one line differ by less,
    and each by its own amount, so that exact levels would tell which they are.
    """

    method: KeyMethod
    start: float
    duration_ms: int
    level_dbm0: float | None


@dataclass(frozen=True, kw_only=True)
class KeyRefused(Event):
    """A tone that was heard and not taken for a key; reason: too_short, too_weak, twist, ... Never which.

    ``start`` in seconds since the answer; levels as far as they are known.
    """

    method: KeyMethod
    start: float
    duration_ms: int
    reason: str
    level_dbm0: float | None = None
    twist_db: float | None = None


@dataclass(frozen=True, kw_only=True)
class EntryAccepted(Event):
    """An entry was valid; ``value`` only if it is not secret."""

    field: str
    length: int
    value: str | None


@dataclass(frozen=True, kw_only=True)
class EntryRefused(Event):
    """An entry was not valid; ``reason`` such as silence, too_short, luhn, expired."""

    field: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class AuthorizerReplied(Event):
    """The merchant's service was asked; ``cause`` names success, refusal or the way it failed."""

    cause: AuthorizerCause
    status: int | None
    ms: int


@dataclass(frozen=True, kw_only=True)
class ChargeSent(Event):
    """A charge leaves for Openpay."""

    attempt: str
    order_id: str
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class ChargeSettled(Event):
    """What came of a charge: approved, declined, already_paid, unknown, failed."""

    attempt: str
    result: str
    charge_id: str | None
    error_code: int | None
    ms: int


@dataclass(frozen=True, kw_only=True)
class ChargeReconciled(Event):
    """A charge whose outcome was not known is settled after all, by Openpay's word: maybe after its call.

    result: approved, declined, already_paid or failed (nothing was charged).
    """

    attempt: str
    order_id: str
    amount: Decimal
    result: str
    charge_id: str | None
    error_code: int | None


@dataclass(frozen=True, kw_only=True)
class CallEnded(Event):
    """The call is over: its outcome, the cause in one word, and who ended it (ivr or caller)."""

    outcome: str
    cause: str | None
    by: Literal["ivr", "caller"]


@dataclass(frozen=True, kw_only=True)
class MediaReported(Event):
    """The packets of a call on the telephone, told once, at its end.

    sent: by us. received: those that were audio or keys. lost: missing from the sequence; duplicated: came
    again; reordered: came after a later one; late: too late to be heard; bad: no RTP, or from a stranger.
    jitter_ms: RFC 3550 section 6.4.1. By the other side's RTCP reports, null without any: remote_lost, of
    those sent; round_trip_ms.
    """

    sent: int
    received: int
    lost: int
    duplicated: int
    reordered: int
    late: int
    bad: int
    jitter_ms: float
    remote_lost: int | None
    round_trip_ms: float | None


@dataclass(frozen=True, kw_only=True)
class RecordingWritten(Event):
    """Where the masked stereo recording of the call lies."""

    path: str


@dataclass(frozen=True, kw_only=True)
class PhoneRegistered(Event):
    """A telephone registered, or moved: ``source`` is where it wrote from, ``expires_in`` in seconds."""

    user: str
    source: str
    contact: str
    user_agent: str | None
    expires_in: int


@dataclass(frozen=True, kw_only=True)
class PhoneUnregistered(Event):
    """A telephone took its contact back."""

    user: str
    contact: str


@dataclass(frozen=True, kw_only=True)
class SourceBanned(Event):
    """What comes from a source is not read for some seconds: it floods, or guesses users and passwords.

    source: a host, or a network of IPv6. reason: the exchange's word for it, such as flood.
    """

    source: str
    reason: str
    seconds: int


@dataclass(frozen=True, kw_only=True)
class LineStarted(Event):
    """A line in a process of its own has registered."""

    line: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class LineEnded(Event):
    """A line's process has ended, with ``calls`` under way, each of which ends as ``line_lost``.

    why: such as "signal 9". again_in: seconds until it is started again; null: it is given up.
    """

    line: str
    why: str
    calls: int
    again_in: float | None


@dataclass(frozen=True, kw_only=True)
class Finding(Event):
    """Something that does not work, in plain words: what was seen, and what to do about it.

    code: stable, in snake_case, for programs.
    """

    code: str
    what: str
    advice: str


@dataclass(frozen=True)
class Record:
    """An event with its place: sequence number, call, seconds since the answer, and UTC time."""

    seq: int
    call: str | None
    t: float | None
    at: datetime
    event: Event

    def as_json(self) -> dict[str, Any]:
        """The record as the journal's JSON object."""
        head: dict[str, Any] = {
            "v": VERSION,
            "seq": self.seq,
            "call": self.call,
            "t": None if self.t is None else round(self.t, 3),
            "at": self.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event": type(self.event).__name__,
        }
        for f in fields(self.event):
            head[f.name.rstrip("_")] = _plain(getattr(self.event, f.name))
        return head


def _plain(value: object) -> object:
    """JSON's types only; money as a string, never a float."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, str):
        return str(value)  # an enumeration's member, too
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"no JSON form for {type(value).__name__} in the journal")


class Journal:
    """Numbers events and hands them to its readers, in order.

    now: the wall clock, aware of its zone. A reader that raises is logged and does not stop the others:
    a call never fails because somebody who watches it does.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._seq = 0
        self._readers: list[Callable[[Record], None]] = []

    def subscribe(self, reader: Callable[[Record], None]) -> Callable[[], None]:
        """Call ``reader`` with each record from now on; returns the way to stop that."""
        self._readers.append(reader)
        return lambda: self._readers.remove(reader) if reader in self._readers else None

    def emit(self, event: Event, *, call: str | None = None, t: float | None = None) -> Record:
        """Write one event down."""
        self._seq += 1
        record = Record(self._seq, call, t, self._now(), event)
        for reader in tuple(self._readers):
            try:
                reader(record)
            except Exception as error:
                log.error(
                    "a reader of the journal failed",
                    event_name=type(event).__name__,
                    error=type(error).__name__,
                    at=place(error),
                )
        return record


class CallJournal:
    """The journal as one call writes it: the call's name and clock are filled in."""

    def __init__(self, journal: Journal, call: str, clock: Callable[[], float | None]) -> None:
        self._journal = journal
        self._clock = clock
        self.call = call

    def emit(self, event: Event) -> None:
        """Write one event of this call down, at the call's own time."""
        self._journal.emit(event, call=self.call, t=self._clock())


class JsonLines:
    """A reader that writes each record as one JSON line, flushed, to a text stream."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, record: Record) -> None:
        line = json.dumps(record.as_json(), ensure_ascii=False)
        # A header of a telephone may hold bytes that are no text; they must not cost the whole line.
        self._stream.write(line.encode("utf-8", "replace").decode("utf-8") + "\n")
        self._stream.flush()
