"""A call to ourselves over real SIP and RTP: what a softphone would go through, seen from both ends.

telephone                              IVR, authorizer (all in this process, on one address)
    |-- REGISTER, INVITE ------------------>|
    |<------------- the welcome, as audio --|   compared with the library's own sound of it
    |-- half the payment key, as tones ---->|   the journal tells which way each key came
    |-- some by SIP INFO, some RFC 4733 --->|
    |                                       |-- HTTP --> authorizer
    |-- BYE ------------------------------->|
"""

from __future__ import annotations

import secrets
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TooLate
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater

import dtmf
from ivr_sim.call import phrase
from ivr_sim.doctor.check import Check
from ivr_sim.errors import IvrSimError
from ivr_sim.journal import (
    AuthorizerReplied,
    CallEnded,
    Event,
    Journal,
    KeyMethod,
    KeyPressed,
    PromptStarted,
    Record,
)
from ivr_sim.media import FRAME_SAMPLES, SAMPLE_RATE, Samples
from ivr_sim.merchant import Merchant
from ivr_sim.node import MERCHANT_KEYS, SHOP, Node, local_now
from ivr_sim.settings import Settings
from ivr_sim.sip.session import Session
from ivr_sim.sip.states import CallFailed

__all__ = ["SelfCall", "heard_share", "self_call", "verdict"]

USER = "1001"
START, ANSWER, WELCOME, KEYS, ASKED, GONE = 8.0, 4.0, 6.0, 2.0, 6.0, 3.0  # seconds to wait for each
LISTENED = 2.2  # seconds of the welcome before the first key cuts it
BETWEEN = 0.4  # seconds, so that a digit that comes again by the next way is another key
WAYS: tuple[KeyMethod, ...] = ("inband", "info", "rfc4733")  # tones first: behind events they are not heard
NAMES = {"inband": "tones", "info": "SIP INFO", "rfc4733": "RFC 4733"}
PIECE = SAMPLE_RATE // 4  # of a prompt: the smaller, the less is lost to one packet that came late
ALIKE = 0.9  # correlation from which on a piece was heard
QUIET = 100.0  # root mean square, of 32768: a pause, which is found anywhere
MOST, HALF = 0.9, 0.5  # share of the welcome that must be heard; and with which a call still works somehow
LOST = "Audio is lost on this machine: is the beat above late, or UDP on this address filtered?"


@dataclass
class SelfCall:
    """What came of it. problem: where it ended before its time, empty if it did not.

    heard: the share of the welcome that the telephone heard; keys: per way, those sent and arrived.
    """

    host: str
    answered: bool = False
    heard: float = 0.0
    keys: dict[KeyMethod, tuple[int, int]] = field(default_factory=dict)
    authorizer: str | None = None
    hung_up: bool = False
    problem: str = ""


async def self_call(reactor: Any, settings: Settings, host: str = "127.0.0.1") -> SelfCall:
    """Call ourselves on an address of this machine; nothing of it is kept."""
    call = SelfCall(host)
    with TemporaryDirectory(prefix="ivr-sim-doctor-", ignore_cleanup_errors=True) as folder:
        try:
            await _call(reactor, settings, Path(folder), call)
        except TooLate:
            call.problem = call.problem or "no answer within time"
        except (IvrSimError, ConnectError, OSError) as error:
            call.problem = str(error)
    return call


def verdict(call: SelfCall) -> Check:
    """What the call means."""
    loopback = call.host.startswith("127.")
    name = "call to itself" if loopback else "call by the LAN"
    if not call.answered:
        return Check(
            name,
            "fail",
            f"on {call.host}: {call.problem}",
            "Calls cannot be set up here: do the ports and addresses above say why?",
        )
    faults = _faults(call)
    if faults:
        bearable = len(faults) == 1 and HALF <= call.heard < MOST
        what = "; ".join(fault for fault, _ in faults)
        return Check(name, "warn" if bearable else "fail", f"on {call.host}: {what}", faults[0][1])
    others = "" if loopback else "; whether others get in, is for the firewall to say"
    return Check(
        name,
        "ok",
        f"on {call.host}: registered, answered, {call.heard:.0%} of the welcome heard, keys by "
        f"{', '.join(NAMES[way] for way in call.keys)}, authorizer asked, hung up{others}",
    )


def _faults(call: SelfCall) -> list[tuple[str, str]]:
    """What went wrong in a call that was answered, each with what to do about it."""
    faults = []
    if call.heard < MOST:
        faults.append((f"{call.heard:.0%} of the welcome came to the telephone", LOST))
    lost = [
        f"{came} of {sent} keys by {NAMES[way]}" for way, (sent, came) in call.keys.items() if came != sent
    ]
    if lost:
        faults.append((f"{', '.join(lost)} came to the IVR", LOST))
    elif call.keys and call.authorizer != "ok":
        faults.append(
            (
                f"the authorizer on loopback was asked in vain ({call.authorizer or 'no reply'})",
                "Does something on this machine keep programs from TCP on 127.0.0.1?",
            )
        )
    if not call.hung_up:
        faults.append((call.problem, "Is the machine too busy? Try again."))
    return faults


def heard_share(heard: Samples, said: Samples) -> float:
    """The share of what was said that is found in what was heard, piece by piece, pauses left out.

    Both int16, shape (n,), 8 kHz.
    """
    pieces = [said[at : at + PIECE] for at in range(0, len(said) - PIECE + 1, PIECE)]
    pieces = [piece for piece in pieces if np.sqrt(np.mean(piece.astype(float) ** 2)) > QUIET]
    if not pieces or len(heard) < PIECE:
        return 0.0
    sound = heard.astype(float)
    size = 1 << (len(sound) + PIECE - 1).bit_length()
    spectrum = np.fft.rfft(sound, size)
    energy = np.concatenate([[0.0], np.cumsum(sound**2)])
    windows = np.sqrt(np.maximum(energy[PIECE:] - energy[:-PIECE], 1.0))
    found = 0
    for piece in pieces:
        wanted = piece.astype(float)
        products = np.fft.irfft(spectrum * np.conj(np.fft.rfft(wanted, size)), size)[: len(windows)]
        found += bool(np.max(products / windows) / np.linalg.norm(wanted) >= ALIKE)
    return found / len(pieces)


async def _call(reactor: Any, settings: Settings, folder: Path, call: SelfCall) -> None:
    """Set everything up, call, and take it down again. Raises what keeps that from being."""
    journal = Journal(local_now)
    (folder / "merchant").mkdir(mode=0o700)
    merchant = Merchant(reactor, folder / "merchant", now=local_now)
    phone = None
    node = None
    try:
        merchant.start()
        node = Node(
            reactor,
            merchant,
            journal,
            data=folder,
            accounts=(USER,),
            host=call.host,
            rtp_ports=(settings.rtp_first, settings.rtp_last),
            language=settings.language,
            srtp=settings.srtp,
        )
        call.problem = "the IVR did not start"
        await Deferred.fromCoroutine(node.start()).addTimeout(START, reactor)
        call.problem = "the telephone's REGISTER was not answered"
        phone = node.phone(USER)
        await phone.start().addTimeout(ANSWER, reactor)
        order = f"doctor-{secrets.token_hex(4)}"
        key = merchant.keys.issue(Decimal("10.00"), "Cargo IVR", order, expires_in=timedelta(hours=1)).key
        ear = _Ear()
        watch = _Watch(reactor, journal)
        call.problem = "the INVITE was not answered"
        session = phone.dial(MERCHANT_KEYS, ear)
        try:
            await session.answered.addTimeout(ANSWER, reactor)
            call.answered = True
            await _converse(reactor, call, session, ear, watch, key)
            welcome = node.library.sound_now(phrase("welcome", merchant=SHOP))
            call.heard = heard_share(ear.sound, welcome[: round(LISTENED * SAMPLE_RATE)])
        finally:
            session.hang_up()
        if await watch.until(GONE, lambda seen: any(isinstance(event, CallEnded) for event in seen)):
            call.hung_up, call.problem = True, ""
        else:
            call.problem = "the IVR did not notice the hang-up"
    except CallFailed as failed:
        call.problem = f"the call was refused: {failed.ended.status} {failed.ended.reason}"
    finally:
        if phone is not None:
            await phone.stop()
        if node is not None:
            await node.stop()
        await merchant.stop()


async def _converse(
    reactor: Any, call: SelfCall, session: Session, ear: _Ear, watch: _Watch, key: str
) -> None:
    call.problem = "the welcome was not said"
    if not await watch.until(WELCOME, lambda seen: any(isinstance(event, PromptStarted) for event in seen)):
        return
    await deferLater(reactor, LISTENED)
    call.problem = "the keys did not arrive"
    parts: dict[KeyMethod, str] = dict(zip(WAYS, (key[:2], key[2:4], f"{key[4:]}#"), strict=True))
    for way, digits in parts.items():
        await deferLater(reactor, BETWEEN)
        match way:
            case "inband":
                ear.play(digits)
            case "info":
                for digit in digits:
                    session.send_info_key(digit)
            case "rfc4733":
                if way in session.key_methods:
                    for digit in digits:
                        session.stream.press(digit)
        await watch.until(KEYS + len(digits) * 0.2, partial(_all_came, way, len(digits)))
        call.keys[way] = len(digits), _came(watch.seen)[way]
    await watch.until(ASKED, lambda seen: any(isinstance(event, AuthorizerReplied) for event in seen))
    replies = [event for event in watch.seen if isinstance(event, AuthorizerReplied)]
    call.authorizer = replies[0].cause if replies else None


def _came(seen: list[Event]) -> Counter[KeyMethod]:
    """How many keys have come, by each way."""
    return Counter(event.method for event in seen if isinstance(event, KeyPressed))


def _all_came(way: KeyMethod, count: int, seen: list[Event]) -> bool:
    return _came(seen)[way] >= count


class _Watch:
    """What the journal has told so far, and who waits for more of it."""

    def __init__(self, reactor: Any, journal: Journal) -> None:
        self.seen: list[Event] = []
        self._reactor = reactor
        self._waiting: tuple[Callable[[list[Event]], bool], Deferred[None]] | None = None
        journal.subscribe(self._read)

    async def until(self, seconds: float, holds: Callable[[list[Event]], bool]) -> bool:
        """Wait until this holds of what was seen; false when it does not within these seconds."""
        if holds(self.seen):
            return True
        done: Deferred[None] = Deferred()
        self._waiting = holds, done
        done.addTimeout(seconds, self._reactor)
        with suppress(TooLate):
            await done
        self._waiting = None
        return holds(self.seen)

    def _read(self, record: Record) -> None:
        self.seen.append(record.event)
        if self._waiting is not None:
            holds, done = self._waiting
            if holds(self.seen) and not done.called:
                self._reactor.callLater(0, _fire, done)


def _fire(done: Deferred[None]) -> None:
    if not done.called:
        done.callback(None)


class _Ear:
    """The telephone's side of the audio."""

    def __init__(self) -> None:
        self._heard: list[Samples] = []
        self._frames: deque[Samples] = deque()

    @property
    def sound(self) -> Samples:
        """All that was heard since the answer."""
        return np.concatenate([np.zeros(0, np.int16), *self._heard])

    def play(self, digits: str) -> None:
        """Send keys as tones."""
        tones = dtmf.generate(digits, tone_ms=100, gap_ms=100, lead_ms=0, tail_ms=0)
        samples = np.round(tones * 32767).astype(np.int16)
        padded = np.concatenate([samples, np.zeros(-len(samples) % FRAME_SAMPLES, np.int16)])
        self._frames.extend(padded.reshape(-1, FRAME_SAMPLES))

    def tick(self, heard: Samples) -> Samples | None:
        """The engine's 20 ms."""
        self._heard.append(heard.copy())
        return self._frames.popleft() if self._frames else None

    def key_down(self, digit: str, method: KeyMethod, start: float) -> None:
        """The IVR sends no keys."""

    def key_up(
        self,
        digit: str,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        level_dbm0: float | None,
        twist_db: float | None = None,
    ) -> None:
        """The IVR sends no keys."""
