"""What goes wrong in a call: no audio, keys that are not heard, an answer that is never confirmed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address
from statistics import median
from typing import Any

from ivr_sim.diagnosis.teller import Teller
from ivr_sim.journal import CallAnswered, EntryRefused, KeyPressed, KeyRefused, Record
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import SessionState
from ivr_sim.sip.transport import local_host

__all__ = ["CallWatch"]

AUDIO_BY = 3.0  # seconds after the answer
UNUSABLE = 25  # packets until then that are meant for audio: some telephones send a few of something else
CONFIRMED_BY = 4.0  # by then our 200 has been sent four times
GATHER = 3.0  # seconds from a key that is refused until that is told: others follow
TICKS_PER_SECOND = 50


class CallWatch:
    """Watches one call that came in, from its offer to its end.

    call: its name in the journal. rtp: the ports of our media, as text.
    """

    def __init__(self, clock: Any, teller: Teller, session: Session, call: str, rtp: str) -> None:
        self._clock = clock
        self._teller = teller
        self._session = session
        self._call = call
        self._rtp = rtp
        self._timers: list[Any] = []
        self._told: set[str] = set()
        self._pressed = 0
        self._otherwise = False  # keys came by telephone-events or INFO: tones do not matter
        self._refused: dict[str, list[KeyRefused]] = defaultdict(list)
        self._gathering = False

    def read(self, record: Record) -> None:
        """Take one event of this call. What is to be told of it comes after it."""
        match record.event:
            case CallAnswered():
                self._after(0, self._key_methods)
                self._after(AUDIO_BY, self._audio)
                self._after(CONFIRMED_BY, self._confirmed)
            case KeyPressed(method=method):
                self._pressed += 1
                self._otherwise |= method != "inband"
            case KeyRefused(reason=reason) as refused if reason != "echo":  # its key was taken
                self._refused[reason].append(refused)
                if not self._gathering:
                    self._gathering = True
                    self._after(GATHER, self._tones)
            case EntryRefused(reason="silence"):
                self._after(0, self._silence)

    def over(self) -> None:
        """The call has ended."""
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._tones()

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        self._timers = [timer for timer in self._timers if timer.active()]
        self._timers.append(self._clock.callLater(seconds, then))

    def _tell(self, code: str, **facts: object) -> None:
        if code not in self._told:
            self._told.add(code)
            t = self._session.stream.ticks / TICKS_PER_SECOND
            self._teller.tell_call(code, self._call, t, rtp=self._rtp, **facts)

    def _confirmed(self) -> None:
        if self._session.unconfirmed:
            self._tell("no_ack", seconds=f"{CONFIRMED_BY:g}")

    # Audio --------------------------------------------------------------------------------------

    def _audio(self) -> None:
        self._key_methods()  # of a call whose offer came with the ACK
        session = self._session
        stats, named = session.stream.stats, session.remote_media
        if session.state is SessionState.ENDED or not session.hears or stats.received or named is None:
            return
        host, given, seconds = session.source_host or "", named[0], f"{AUDIO_BY:g}"
        if session.stream.stranger is not None:
            self._tell("rtp_from_stranger", stranger=session.stream.stranger, host=host, given=given)
        elif stats.bad >= UNUSABLE:
            self._tell("rtp_unusable", count=stats.bad, seconds=seconds, codec=session.codec)
        elif not _same(given, host):
            self._tell("no_rtp_other_address", seconds=seconds, host=host, given=given)
        else:
            self._tell("no_rtp", seconds=seconds)

    # Keys ---------------------------------------------------------------------------------------

    def _key_methods(self) -> None:
        if self._session.codec is not None and "rfc4733" not in self._session.key_methods:
            self._tell("no_telephone_event")

    def _tones(self) -> None:
        """Tell of tones that were refused, unless they are a few among many that were taken."""
        self._gathering = False
        if self._otherwise:
            return
        for reason, refused in self._refused.items():
            count = len(refused)
            if count * 4 <= self._pressed or (count == 1 and self._pressed):
                continue
            self._tell(
                f"keys_{reason}",
                count=count,
                duration=_range([key.duration_ms for key in refused]),
                level=_middle([key.level_dbm0 for key in refused]),
                twist=_middle([key.twist_db for key in refused]),
            )

    def _silence(self) -> None:
        """An entry was asked for and none came, although the caller can be heard."""
        if not self._pressed and not self._refused and self._session.stream.stats.received:
            self._tell("no_keys")


def _same(given: str, host: str) -> bool:
    """Whether both addresses are one machine's: on this one a telephone may name any that it has."""
    if given == host:
        return True
    try:
        here = IPv4Address(host).is_loopback
        return here and (IPv4Address(given).is_loopback or local_host("", given) == given)
    except AddressValueError:
        return True  # a name cannot be judged


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _middle(numbers: list[float | None]) -> str:
    known = [number for number in numbers if number is not None]
    return f"{median(known):.0f}" if known else "unknown"
