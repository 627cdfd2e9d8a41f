"""One call from its offer to its end: the dialogue on a leg, its journal, its masked recording."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ivr_sim.dialogue import Ending, Outcome, Shop, take_payment
from ivr_sim.errors import place
from ivr_sim.journal import CallEnded, CallFailed, CallOffered, Journal, MediaReported, RecordingWritten
from ivr_sim.legs import CallerTape, LegCall, PhoneLeg, Playback, RecordingLeg, Sounds, Tape
from ivr_sim.media import Recorder, Samples, StreamStats
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import SessionState

__all__ = ["CallFiles", "Conversation", "Ivr", "Recordings", "VirtualLeg"]

log = structlog.get_logger(__name__)
T = TypeVar("T")
Conversation = Callable[[LegCall], Awaitable[Ending]]


class CallFiles(Protocol):
    """Who numbers calls, and says where their files go."""

    def new(self) -> str:
        """The next call's name."""
        ...

    def recording(self, name: str) -> Path | None:
        """Where a call's recording goes, if anywhere."""
        ...


class VirtualLeg(Protocol):
    """A caller's connection in virtual time."""

    async def run(self) -> None:
        """Be on the line from the answer until one of both hangs up."""
        ...


class Recordings:
    """Calls numbered from 0001, their recordings in one folder; None for no recordings."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._calls = 0

    def new(self) -> str:
        """The next number."""
        self._calls += 1
        return f"{self._calls:04d}"

    def recording(self, name: str) -> Path | None:
        """``call-0001.wav`` and so on."""
        return None if self._folder is None else self._folder / f"call-{name}.wav"


class Ivr:
    """Answers calls for one shop.

    files: names each call, in the journal and in files alike, and says where its masked stereo recording
    goes (left the caller, right the IVR). numbers: other conversations than the payment, by the number
    dialled. tapes: by the call's name, who keeps what the telephone of a payment sent.
    """

    def __init__(
        self,
        shop: Shop,
        sounds: Sounds,
        journal: Journal,
        *,
        files: CallFiles | None = None,
        numbers: Mapping[str, Conversation] | None = None,
        tapes: Callable[[str], Tape] | None = None,
    ) -> None:
        self._shop = shop
        self._sounds = sounds
        self._journal = journal
        self._files = files or Recordings(None)
        self._numbers = numbers or {}
        self._tapes = tapes
        self._under_way: set[Deferred[Ending | None]] = set()
        self._sessions: set[Session] = set()

    def offered(self, session: Session) -> Deferred[Ending | None]:
        """Take a call that a telephone offers; fires with how it ended (None: before the answer)."""
        serving = Deferred.fromCoroutine(self._attend(session))
        self._under_way.add(serving)
        self._sessions.add(session)

        def over(ending: Ending | None) -> Ending | None:
            self._under_way.discard(serving)
            self._sessions.discard(session)
            return ending

        return serving.addCallback(over)

    async def replayed(self, samples: Samples, *, name: str, to: str) -> Ending:
        """Hold the conversation with a recording of the caller's side, in virtual time.

        samples: int16, shape (n,), 8 kHz, from the answer on; name: the call in the journal.
        """
        call = LegCall(self._journal, name, self._sounds)
        return await self.held(call, RecordingLeg(call, Playback(CallerTape(samples))), to=to)

    async def held(self, call: LegCall, leg: VirtualLeg, *, to: str) -> Ending:
        """Hold the conversation over a leg in virtual time; to: the number that it dials."""
        call.journal.emit(CallOffered(from_="recording", to=to, leg="recording"))

        def broke(failure: Failure) -> Failure:
            call.hung_up("ivr")  # or nobody would ever tell the dialogue
            return failure

        running = Deferred.fromCoroutine(leg.run()).addErrback(broke)  # it answers first
        ending = await self._converse(call, self._numbers.get(to))
        await running
        return ending

    @property
    def journal(self) -> Journal:
        """Where its calls are told."""
        return self._journal

    def call(self, name: str) -> LegCall:
        """A new call of this line, by its name in the journal, for ``held``."""
        return LegCall(self._journal, name, self._sounds)

    async def drain(self) -> None:
        """Hang up what is under way, and wait until every charge and recording is done."""
        for session in tuple(self._sessions):
            session.hang_up()
        await self.settle()

    async def settle(self) -> None:
        """Wait until the calls under way are over, their charges known and recordings written.

        Whoever waits may be cancelled; the calls are not.
        """
        for serving in tuple(self._under_way):
            over: Deferred[None] = Deferred()
            serving.addBoth(_tell, over)
            await over

    async def _attend(self, session: Session) -> Ending | None:
        try:
            return await self._serve(session)
        except Exception as error:
            log.error("a call could not be wound up", error=type(error).__name__, at=place(error))
            return None

    async def _serve(self, session: Session) -> Ending | None:
        name = self._files.new()
        call = LegCall(self._journal, name, self._sounds)
        call.journal.emit(
            CallOffered(
                from_=session.caller,
                to=session.dialled,
                leg="sip",
                user_agent=session.user_agent,
                call_id=session.call_id,
            )
        )
        if session.state is SessionState.ENDED:  # given up before it was taken
            ended = await session.ended
            call.journal.emit(CallFailed(status=ended.status or 487, reason=ended.reason))
            return None
        recorder = Recorder()
        conversation = self._numbers.get(session.dialled)
        tape = None if self._tapes is None or conversation is not None else self._tapes(name)
        leg = PhoneLeg(call, session, recorder, tape)
        try:
            leg.answer()
        except Exception as error:
            log.error(
                "the call could not be answered", call=name, error=type(error).__name__, at=place(error)
            )
            session.hang_up()
            call.journal.emit(CallFailed(status=500, reason=f"{type(error).__name__}: not answered"))
            return None
        ending = await self._converse(call, conversation)
        await session.ended
        call.journal.emit(_media(session.stream.stats))
        self._keep(name, call, recorder)
        if tape is not None:
            tape.over(*call.key_spans())
        return ending

    async def _converse(self, call: LegCall, conversation: Conversation | None = None) -> Ending:
        try:
            ending = await (conversation(call) if conversation else take_payment(call, self._shop))
        except Exception as error:
            log.error(
                "the conversation broke",
                call=call.journal.call,
                error=type(error).__name__,
                at=place(error),
            )
            ending = Ending(Outcome.ABANDONED, f"internal_error_{type(error).__name__}")
            await call.hang_up()
        if call.gone == "ivr" and ending.cause == "hung_up":
            ending = replace(ending, cause="cut_off")  # the caller did not: we lost or stopped the call
        call.journal.emit(CallEnded(outcome=ending.outcome, cause=ending.cause, by=call.gone or "ivr"))
        return ending

    def _keep(self, name: str, call: LegCall, recorder: Recorder) -> None:
        path = self._files.recording(name)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            secret, published = call.key_spans()
            recorder.mask(secret, published=published)
            recorder.write(path)
        except OSError as error:
            log.error("the recording could not be written", call=name, path=str(path), error=str(error))
            return
        call.journal.emit(RecordingWritten(path=os.fspath(path)))


def _media(stats: StreamStats) -> MediaReported:
    counts = asdict(stats)
    for name in ("jitter_ms", "round_trip_ms"):
        if counts[name] is not None:
            counts[name] = round(counts[name], 1)
    return MediaReported(**counts)


def _tell(result: T, over: Deferred[None]) -> T:
    over.callback(None)
    return result
