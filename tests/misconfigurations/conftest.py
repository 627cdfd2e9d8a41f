"""A line of an IVR on the real reactor, and telephones that are set up wrongly, all at once."""

from __future__ import annotations

import re
import secrets
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from twisted.internet import reactor as installed
from twisted.internet import task
from twisted.internet.defer import Deferred, DeferredQueue, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import DatagramProtocol, Protocol

import dtmf
from ivr_sim.call import CallerHungUp
from ivr_sim.diagnosis import Diagnosis
from ivr_sim.journal import CallEnded, CallOffered, EntryAccepted, EntryRefused, Finding, Journal, Record
from ivr_sim.legs import LegCall, PhoneLeg
from ivr_sim.media import FRAME_SAMPLES, PCMU, MediaEngine, Recorder
from ivr_sim.media.telephone_event import KEYS, event_payload
from ivr_sim.node import local_now
from ivr_sim.sip import digest
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.message import Request, Response, parse, response_to
from ivr_sim.sip.session import Session
from ivr_sim.sip.user_agent import UserAgent

reactor: Any = installed
HERE = "127.0.0.1"
PASSWORD = "tomavilune"

AUDIO = "m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
TONES = "m=audio {port} RTP/AVP 0\r\n"
SRTP = "m=audio {port} RTP/SAVP 0 8 101\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0\r\n"
OPUS = "m=audio {port} RTP/AVP 96 97\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\n"
VIDEO = "m=video {port} RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a telephone is set up, and what its user does; a good one by default.

    known: whether there is an account of its name. password, domain: as typed into the telephone. number:
    what is dialled. media: its m= lines; host: for its c= line. sends: what comes of its microphone
    ("audio", "opus", or nothing). keys: sent as events, or as tones of key_ms, level and twist. acks: whether
    it confirms the answer. seconds: how long it holds the line. by: udp, tcp or tls.
    """

    known: bool = True
    password: str = PASSWORD
    domain: str = HERE
    number: str = "5000"
    media: str = AUDIO
    host: str = HERE
    sends: str | None = "audio"
    keys: str = "1234#"
    key_ms: float = 90
    level_dbm0: float = -12.0
    twist_db: float = 0.0
    events: bool = False
    acks: bool = True
    seconds: float = 5.5
    by: str = "udp"


class Phone(DatagramProtocol):
    """A telephone on the wire, with one setting."""

    noisy = False

    def __init__(self, name: str, setting: Setting, server: tuple[str, int]) -> None:
        self.user = name
        self.setting = setting
        self.server = server
        self.number = 0
        self.answers: DeferredQueue[Response] = DeferredQueue()
        self.statuses: list[int] = []
        self.reason = ""
        self.call_id = secrets.token_hex(8)
        self.port = reactor.listenUDP(0, self, interface=HERE)
        self.rtp = reactor.listenUDP(0, DatagramProtocol(), interface=HERE)
        self.beat: Any = None

    def datagramReceived(self, data: bytes, addr: Any) -> None:  # noqa: N802
        message = parse(data)
        if isinstance(message, Request):
            if message.method == "BYE":
                self.transport.write(response_to(message, 200).to_bytes(), addr)  # type: ignore[union-attr]
        elif message is not None and message.status >= 200:
            self.answers.put(message)

    def close(self) -> Deferred[Any]:
        if self.beat is not None and self.beat.running:
            self.beat.stop()
        return gatherResults([self.port.stopListening(), self.rtp.stopListening()])

    # Signalling ---------------------------------------------------------------------------------

    def text(self, method: str, uri: str, to: str, *more: str, body: str = "", number: int = 0) -> str:
        me = f"{HERE}:{self.port.getHost().port}"
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.setting.by.upper()} {me};rport;branch=z9hG4bK{secrets.token_hex(6)}",
            "Max-Forwards: 70",
            f"From: <sip:{self.user}@{self.setting.domain}>;tag=t{self.call_id}",
            f"To: {to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number or self.next()} {method}",
            f"Contact: <sip:{self.user}@{me}>",
            *more,
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*head, "", body])

    def next(self) -> int:
        self.number += 1
        return self.number

    def write(self, text: str) -> None:
        self.transport.write(text.encode(), self.server)  # type: ignore[union-attr]

    async def ask(self, method: str, uri: str, to: str, *more: str, body: str = "") -> Response:
        """Send a request, and once again with credentials if they are asked for."""
        credentials: tuple[str, ...] = ()
        for _ in range(3):
            self.write(self.text(method, uri, to, *more, *credentials, body=body))
            answer = await self.final()
            self.statuses.append(answer.status)
            if method == "INVITE" and answer.status >= 300:
                self.write(self.text("ACK", uri, answer.headers.get("To") or "", number=self.number))
            if answer.status != 401:
                break
            name, value = digest.answer(
                answer, method=method, uri=uri, user=self.user, password=self.setting.password, cnonce="c"
            )
            credentials = (f"{name}: {value}",)
        return answer

    async def final(self) -> Response:
        while True:
            answer = await self.answers.get().addTimeout(5, reactor)
            if answer.cseq[0] == self.number:
                return answer

    async def use(self) -> None:
        """What the user does: registers, dials, keys, hangs up."""
        domain = self.setting.domain
        me = f"<sip:{self.user}@{domain}>"
        answer = await self.ask("REGISTER", f"sip:{domain}", me, "Expires: 60")
        self.reason = answer.reason
        if answer.status != 200:
            return
        self.call_id = secrets.token_hex(8)
        uri = f"sip:{self.setting.number}@{domain}"
        answer = await self.ask("INVITE", uri, f"<{uri}>", body=self.description())
        self.reason = answer.reason
        if answer.status == 200:
            await self.talk(answer)

    def description(self) -> str:
        media = self.setting.media.format(port=self.rtp.getHost().port)
        return f"v=0\r\no=- 1 1 IN IP4 {HERE}\r\ns=-\r\nc=IN IP4 {self.setting.host}\r\nt=0 0\r\n{media}"

    async def talk(self, answer: Response) -> None:
        to = answer.headers.get("To") or ""
        uri = re.search("<(.+)>", answer.headers.get("Contact") or "")[1]  # type: ignore[index]
        routes = [f"Route: {route}" for route in answer.headers.get_all("Record-Route")[::-1]]
        if self.setting.acks:
            self.write(self.text("ACK", uri, to, *routes, number=self.number))
        address = re.search(rb"m=audio (\d+)", answer.body)
        assert address is not None
        if self.setting.sends:
            self.speak((HERE, int(address[1])))
        await task.deferLater(reactor, self.setting.seconds)
        if self.setting.acks:
            self.write(self.text("BYE", uri, to, *routes))
            await self.final()

    # Audio --------------------------------------------------------------------------------------

    def speak(self, to: tuple[str, int]) -> None:
        """Send what the microphone hears, a packet every 20 ms."""
        packets = self.packets()

        def tick(count: int) -> None:
            for _ in range(count):
                self.rtp.write(next(packets), to)

        self.beat = task.LoopingCall.withCount(tick)
        self.beat.start(0.02)

    def packets(self) -> Iterator[bytes]:
        s = self.setting
        tones = np.zeros(0, np.float32)
        if s.keys and not s.events:
            tones = dtmf.generate(
                s.keys, tone_ms=s.key_ms, gap_ms=90, lead_ms=600, tail_ms=100,
                level_dbm0=s.level_dbm0, twist_db=s.twist_db,
            )  # fmt: skip
        samples = np.round(tones * 32767).astype(np.int16)
        samples = np.concatenate([samples, np.zeros(-len(samples) % FRAME_SAMPLES, np.int16)])
        frames = samples.reshape(-1, FRAME_SAMPLES)
        silence = np.zeros(FRAME_SAMPLES, np.int16)
        presses = event_payloads(s.keys, first=30) if s.events else {}
        n = 0
        while True:
            at = n * FRAME_SAMPLES
            if s.sends == "opus":
                yield rtp(96, n, at, b"\xfc" + bytes(40))
            elif n in presses:
                start, payload = presses[n]
                yield rtp(101, n, start * FRAME_SAMPLES, payload)
            else:
                yield rtp(0, n, at, PCMU.encode(frames[n] if n < len(frames) else silence))
            n += 1


def rtp(payload_type: int, number: int, timestamp: int, payload: bytes) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, number & 0xFFFF, timestamp, 7) + payload


def event_payloads(keys: str, *, first: int) -> dict[int, tuple[int, bytes]]:
    """Keys of 100 ms by RFC 4733: by packet, the packet in which its key began, and what it says."""
    said = {}
    for i, key in enumerate(keys):
        start = first + 12 * i
        for n in range(7):
            duration = FRAME_SAMPLES * min(n + 1, 5)
            said[start + n] = start, event_payload(KEYS.index(key), duration, end=n >= 4)
    return said


class Knocker(Protocol):
    """A telephone that was told to use TLS."""

    def __init__(self, first: bytes) -> None:
        self.first = first
        self.data = b""
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:  # noqa: N802
        self.transport.write(self.first)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.data += data

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802
        self.lost.callback(None)


def client_hello() -> tuple[bytes, ssl.SSLObject, ssl.MemoryBIO]:
    """The first bytes of a TLS client, and the client, which reads what is put into the last one."""
    inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(inbound, outbound, server_hostname="ivr.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outbound.read(), client, inbound


class NoSounds:
    async def sound(self, phrase: object) -> Any:
        raise AssertionError("this line says nothing")


@dataclass
class Stage:
    """The line, and what it said of each telephone."""

    journal: Journal = field(default_factory=lambda: Journal(local_now))
    records: list[Record] = field(default_factory=list)
    phones: dict[str, Phone] = field(default_factory=dict)
    knocks: dict[str, bytes] = field(default_factory=dict)

    async def run(self, settings: dict[str, Setting]) -> None:
        """All telephones at once, from their registration to their hanging up."""
        self.journal.subscribe(self.records.append)
        names = [name for name, s in settings.items() if s.known]
        accounts = dict.fromkeys((*names, "nobody", "ivr"), PASSWORD)
        engine = MediaEngine(reactor, keys=dtmf.KEYS_12)
        engine.start()
        diagnosis = Diagnosis(reactor, self.journal, domain="ivr.test", accounts=(*names, "nobody"))
        exchange = Exchange(reactor, accounts=accounts, lines=["ivr"], on_event=diagnosis.exchange_event)
        exchange.start()
        diagnosis.start(HERE, exchange.port)
        server = Address(HERE, exchange.port)
        line = UserAgent(
            reactor,
            engine,
            server=server,
            username="ivr",
            password=PASSWORD,
            on_call=diagnosis.watching(self.offered),
            on_refused=diagnosis.call_refused,
        )
        await line.start()
        self.phones = {name: Phone(name, s, server[:2]) for name, s in settings.items()}
        try:
            uses = [self.use(name, phone, server) for name, phone in self.phones.items()]
            await gatherResults([Deferred.fromCoroutine(use) for use in uses], consumeErrors=True)
        finally:
            await line.stop()
            diagnosis.stop()
            await exchange.stop()
            engine.stop()
            await gatherResults([phone.close() for phone in self.phones.values()])

    async def use(self, name: str, phone: Phone, server: tuple[str, int]) -> None:
        if phone.setting.by == "udp":
            await phone.use()
        else:
            hello, client, inbound = client_hello()
            endpoint = HostnameEndpoint(reactor, *server[:2])
            knocker = await connectProtocol(endpoint, Knocker(hello))
            await knocker.lost.addTimeout(5, reactor)
            self.knocks[name] = knocker.data
            inbound.write(knocker.data)
            with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
                client.do_handshake()

    def offered(self, session: Session) -> Deferred[None]:
        return Deferred.fromCoroutine(self.serve(session))

    async def serve(self, session: Session) -> None:
        """Ask for one entry after the other, without a word, until the caller hangs up."""
        call = LegCall(self.journal, f"call-{session.caller}", NoSounds())
        call.journal.emit(
            CallOffered(from_=session.caller, to=session.dialled, leg="sip", call_id=session.call_id)
        )
        leg = PhoneLeg(call, session, Recorder())
        leg.answer()
        try:
            while True:
                entry = await call.collect(max_digits=12, first_digit_timeout=3.5, digit_timeout=3.0)
                if entry.ended == "silence":
                    call.journal.emit(EntryRefused(field="test", reason="silence"))
                else:
                    digits = entry.publish()
                    call.journal.emit(EntryAccepted(field="test", length=len(digits), value=digits))
        except CallerHungUp:
            call.journal.emit(CallEnded(outcome="abandoned", cause=None, by="caller"))

    def findings(self, name: str) -> list[Finding]:
        """What was found of this telephone: in its call, or by its name."""
        word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
        return [
            record.event
            for record in self.records
            if isinstance(record.event, Finding)
            and (record.call == f"call-{name}" if record.call else word.search(record.event.what))
        ]

    def entries(self, name: str) -> list[str | None]:
        events = [r.event for r in self.records if r.call == f"call-{name}"]
        return [event.value for event in events if isinstance(event, EntryAccepted)]


@pytest.fixture(scope="session")
def setting() -> type[Setting]:
    return Setting


@pytest.fixture(scope="session")
def lines() -> dict[str, str]:
    """m= lines that telephones offer."""
    return {"tones": TONES, "srtp": SRTP, "opus": OPUS, "video": VIDEO}


@pytest.fixture(scope="session")
def play(on_reactor: Callable[..., Any]) -> Callable[[dict[str, Setting]], Stage]:
    """Lets telephones with these settings do what their users do, all at once."""

    def run(settings: dict[str, Setting]) -> Stage:
        stage = Stage()
        on_reactor(lambda: Deferred.fromCoroutine(stage.run(settings)), seconds=40)
        return stage

    return run
