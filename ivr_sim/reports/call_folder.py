"""What every served call leaves: a folder of its own, written as the call goes and when it is over.

    journal.jsonl     its events, as they happen
    recording.wav     both sides, keys masked; written by whoever carries the call
    picture.png       both sides with keys and prompts, drawn in a process of its own
    ladder.txt        the SIP messages, as the exchange saw them
    http.txt          the requests to the authorizer and to Openpay
    summary.md        all that in words, to be pasted into a bug report

What cannot be written costs neither the call nor the other files: it is logged, and the summary names it.
"""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import structlog
from twisted.internet.defer import Deferred

from ivr_sim import journal as j
from ivr_sim.errors import place
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.kept import write_private
from ivr_sim.reports.environment import versions
from ivr_sim.reports.exchanges import exchanges_text
from ivr_sim.reports.ladder import Address, SipMessage, call_id_of, ladder, read_sip
from ivr_sim.reports.pictures import Pictures
from ivr_sim.reports.summary import CallStory, Words, summary

__all__ = ["SUMMARY", "CallFolders"]

log = structlog.get_logger(__name__)

JOURNAL, RECORDING, PICTURE = "journal.jsonl", "recording.wav", "picture.png"
LADDER, HTTP, SUMMARY = "ladder.txt", "http.txt", "summary.md"
LINGER = 1.0  # seconds for what is still said behind a call: the BYE's 200
GIVE_UP = 40.0  # seconds after its end that a call's recording is waited for
AROUND = 60.0  # seconds before a call in which a finding of no call may have to do with it
# So many are kept in memory at most.
MAX_STRANGERS, MAX_MESSAGES, MAX_RECORDS, MAX_EXCHANGES, MAX_AROUND = 64, 400, 5000, 200, 20


@dataclass(eq=False)
class _Kept:
    """A call under way."""

    name: str
    folder: Path
    since: float
    zero: float | None = None  # when it was answered
    records: list[j.Record] = field(default_factory=list)
    sip: list[SipMessage] = field(default_factory=list)
    http: list[tuple[float, HttpExchange]] = field(default_factory=list)
    packets: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str | None] = field(default_factory=dict)
    lines: IO[str] | None = None
    timer: Any = None
    lost: bool = False  # the process that carried it has ended: nobody writes its recording


# Whose requests these are: set where the call is offered, in the context of the coroutine that serves it,
# which all that it awaits share, and nobody else.
_served: ContextVar[_Kept | None] = ContextVar("served", default=None)


class CallFolders:
    """Writes the folders of one data folder's calls: ``root/0001`` and so on, counted for ever.

    A reader of the journal, which it subscribes to; besides, ``sip`` is for the exchange's trace, and
    ``http`` for the clients' ``on_exchange``. words: the text of a phrase by name and parameters. settings:
    for the summary, secrets masked. lines: the users of the IVR's lines; a call to one that is refused before
    the IVR hears of it is told in the journal here, so that it has its number, too. reactor: IReactorTime
    and IReactorProcess.
    """

    def __init__(
        self,
        root: Path,
        journal: j.Journal,
        reactor: Any,
        *,
        words: Words,
        settings: Mapping[str, object] | None = None,
        lines: Collection[str] = ("ivr",),
        pictures: Pictures | None = None,
    ) -> None:
        self._root = root
        self._journal = journal
        self._reactor = reactor
        self._words = words
        self._settings = dict(settings or {})
        self._lines = lines
        self._pictures = pictures or Pictures(reactor)
        self._versions = versions()
        self._last: int | None = None
        self._live: dict[str, _Kept] = {}
        self._by_call_id: dict[str, _Kept] = {}
        self._strangers: OrderedDict[str, list[SipMessage]] = OrderedDict()
        self._around: deque[tuple[float, j.Record]] = deque(maxlen=MAX_AROUND)
        self._refusing: dict[str, Any] = {}
        self._unsubscribe = journal.subscribe(self._read)

    # --- what the house calls --------------------------------------------------------------------------

    def new(self) -> str:
        """The next call's number, such as ``0007``; its folder is made, if it can be."""
        if self._last is None:
            self._last = max(_numbers(self._root), default=0)
        while True:
            self._last += 1
            name = f"{self._last:04d}"
            try:
                self.folder(name).mkdir(mode=0o700, parents=True)
            except FileExistsError:
                continue  # another process on the same folder
            except OSError as error:
                log.error("a call's folder could not be made", call=name, error=str(error))
            return name

    def folder(self, name: str) -> Path:
        """Where a call's files lie; ``recording.wav`` is to be written there before RecordingWritten."""
        return self._root / name

    def recording(self, name: str) -> Path:
        """Where a call's recording goes."""
        return self.folder(name) / RECORDING

    def sip(self, direction: str, data: bytes, peer: Address) -> None:
        """A datagram that the exchange received or sent; see ``UdpEndpoint``."""
        try:
            self._traced(direction, data, peer)
        except Exception as error:
            log.error("a SIP message was not kept", error=type(error).__name__, at=place(error))

    def http(self, exchange: HttpExchange) -> None:
        """A request that is over, in the context of the call that it was made for."""
        kept = _served.get()
        if kept is not None and self._live.get(kept.name) is kept and len(kept.http) < MAX_EXCHANGES:
            kept.http.append((self._reactor.seconds() - exchange.ms / 1000, exchange))

    async def stop(self) -> None:
        """Write what is still to be written, and wait for the pictures, ten seconds at most."""
        for call_id, timer in tuple(self._refusing.items()):
            timer.cancel()
            self._refused(call_id)
        self._unsubscribe()
        for kept in tuple(self._live.values()):
            self._finish(kept)
        await self._pictures.stop()

    # --- what happens ----------------------------------------------------------------------------------

    def _read(self, record: j.Record) -> None:
        event = record.event
        if record.call is None:
            if isinstance(event, j.Finding):
                self._around.append((self._reactor.seconds(), record))
            return
        if isinstance(event, j.CallOffered) and event.leg == "sip" and record.call not in self._live:
            self._offered(record.call, event)
        kept = self._live.get(record.call)
        if kept is None:
            if isinstance(event, j.ChargeReconciled):
                self._settled_later(record.call, record)
            return
        if len(kept.records) < MAX_RECORDS:
            kept.records.append(record)
            self._note(kept, record)
        if isinstance(event, j.MediaReported):
            kept.packets = {name: count for name, count in asdict(event).items() if count is not None}
        elif isinstance(event, j.CallAnswered):
            kept.zero = self._reactor.seconds() - (record.t or 0.0)
        elif isinstance(event, j.CallEnded):
            kept.lost = event.cause == "line_lost"
            self._finish_in(kept, LINGER if kept.lost else GIVE_UP)
        elif isinstance(event, j.CallFailed | j.RecordingWritten):
            self._finish_in(kept, LINGER)

    def _offered(self, name: str, event: j.CallOffered) -> None:
        kept = self._live[name] = _Kept(name, self.folder(name), self._reactor.seconds())
        _served.set(kept)
        if event.call_id is not None:
            kept.sip = self._strangers.pop(event.call_id, [])
            self._by_call_id[event.call_id] = kept
        try:
            kept.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept.lines = open(  # noqa: SIM115  closed when the call is over
                kept.folder / JOURNAL, "a", encoding="utf-8", opener=_private
            )
        except OSError as error:
            self._failed(kept, JOURNAL, error)

    def _note(self, kept: _Kept, record: j.Record) -> None:
        """Write one event down; after the first one that cannot be written, no more."""
        if kept.lines is None:
            return
        try:
            j.JsonLines(kept.lines)(record)
        except (OSError, ValueError) as error:
            self._failed(kept, JOURNAL, error)
            self._close(kept)

    def _settled_later(self, name: str, record: j.Record) -> None:
        """A charge of a call that is over, maybe since long ago."""
        path = self.folder(name) / JOURNAL
        with suppress(OSError), open(path, "r+", encoding="utf-8") as lines:
            lines.seek(0, os.SEEK_END)
            j.JsonLines(lines)(record)

    def _traced(self, direction: str, data: bytes, peer: Address) -> None:
        call_id = call_id_of(data)
        if call_id is None:
            return
        kept = self._by_call_id.get(call_id)
        if kept is not None:
            messages = kept.sip
        elif call_id in self._strangers:
            messages = self._strangers[call_id]
        elif direction == "received" and data.startswith(b"INVITE "):
            messages = self._strangers[call_id] = []
            if len(self._strangers) > MAX_STRANGERS:
                self._strangers.popitem(last=False)
        else:
            return
        message = read_sip(direction, data, peer, self._reactor.seconds())
        if message is None or len(messages) >= MAX_MESSAGES:
            return
        messages.append(message)
        refused = message.method == "INVITE" and (message.status or 0) >= 300 and not message.received
        if refused and kept is None and call_id not in self._refusing and self._for_us(messages):
            self._refusing[call_id] = self._reactor.callLater(LINGER, self._refused, call_id)

    def _for_us(self, messages: list[SipMessage]) -> bool:
        """Whether the exchange passed this call on to the line: so nobody's who may not call."""
        return any(
            m.method == "INVITE" and m.status is None and not m.received and m.to_user in self._lines
            for m in messages
        )

    def _refused(self, call_id: str) -> None:
        """A call to the line that was refused, and of which the IVR never heard."""
        del self._refusing[call_id]
        messages = self._strangers.get(call_id)
        if not messages:
            return  # somebody told of it meanwhile
        first = messages[0]
        last = next(m for m in reversed(messages) if not m.received and (m.status or 0) >= 300)
        reason = last.start_line.split(" ", 2)[2:]
        name = self.new()
        self._journal.emit(
            j.CallOffered(
                from_=first.from_user or "anonymous",
                to=first.to_user,
                leg="sip",
                user_agent=first.user_agent,
                call_id=call_id,
            ),
            call=name,
        )
        _served.set(None)  # no coroutine serves it, and the reactor's own context is everybody's
        self._journal.emit(
            j.CallFailed(status=last.status or 500, reason=reason[0] if reason else "refused"), call=name
        )

    # --- when it is over -------------------------------------------------------------------------------

    def _finish_in(self, kept: _Kept, seconds: float) -> None:
        if kept.timer is not None and kept.timer.active():
            kept.timer.cancel()
        kept.timer = self._reactor.callLater(seconds, self._finish, kept)

    def _finish(self, kept: _Kept) -> None:
        if kept.timer is not None and kept.timer.active():
            kept.timer.cancel()
        del self._live[kept.name]
        self._by_call_id = {c: k for c, k in self._by_call_id.items() if k is not kept}
        self._close(kept)
        zero, zero_is = kept.zero, "the answer"
        if zero is None:
            zero, zero_is = (
                (kept.sip[0].at, "the INVITE") if kept.sip else (kept.since, "the call's beginning")
            )
        self._write(kept, LADDER, lambda: ladder(kept.sip, zero=zero, zero_is=zero_is))
        keys = [
            e.value
            for r in kept.records
            if isinstance(e := r.event, j.EntryAccepted) and e.field == "payment_key"
        ]
        requests = [(start - zero, exchange) for start, exchange in kept.http]
        self._write(kept, HTTP, lambda: exchanges_text(requests, zero_is=zero_is, keys=keys))
        around = [r for at, r in self._around if at >= kept.since - AROUND]
        if not (kept.folder / RECORDING).exists():
            lost = ": the line's process ended in mid-call" if kept.lost else ""
            kept.failed[RECORDING] = f"none was written{lost}"
        if JOURNAL in kept.failed:
            kept.failed[PICTURE] = "there is no journal to draw it from"
            self._summarise(kept, around)
            return
        kept.failed[PICTURE] = "not drawn yet"
        self._summarise(kept, around)
        drawn: Deferred[str | None] = self._pictures.draw(
            *(kept.folder / name for name in (JOURNAL, RECORDING, PICTURE))
        )

        def told(why: str | None) -> None:
            kept.failed[PICTURE] = why
            if why is not None:
                log.error("a call's picture could not be drawn", call=kept.name, error=why)
            self._summarise(kept, around)

        drawn.addCallback(told)

    def _summarise(self, kept: _Kept, around: list[j.Record]) -> None:
        names = (SUMMARY, JOURNAL, RECORDING, PICTURE, LADDER, HTTP)
        story = CallStory(
            name=kept.name,
            records=kept.records,
            around=around,
            packets=kept.packets,
            settings=self._settings,
            versions=self._versions,
            files={name: kept.failed.get(name) for name in names},
            folder=str(kept.folder),
        )
        self._write(kept, SUMMARY, lambda: summary(story, self._words))

    def _write(self, kept: _Kept, name: str, text: Callable[[], str]) -> None:
        try:
            # What a telephone sent may hold bytes that are no text.
            written = text().encode("utf-8", "replace").decode("utf-8")
            write_private(kept.folder / name, written)
        except Exception as error:
            self._failed(kept, name, error)

    def _failed(self, kept: _Kept, name: str, error: Exception) -> None:
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        kept.failed[name] = why
        log.error("a call's file could not be written", call=kept.name, file=name, error=why, at=place(error))

    def _close(self, kept: _Kept) -> None:
        lines, kept.lines = kept.lines, None
        if lines is not None:
            with suppress(OSError):
                lines.close()


def _numbers(root: Path) -> list[int]:
    with suppress(OSError):
        return [int(path.name) for path in root.iterdir() if path.name.isascii() and path.name.isdigit()]
    return []


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
