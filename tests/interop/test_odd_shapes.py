"""What telephones outside of this suite do differently, one oddity at a time, byte for byte.

Each call keys a payment key in its own way, rejects the amount, and is hung up by the IVR. All call at once.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import dtmf
from ivr_sim.journal import CallAnswered, CallEnded, EntryAccepted, KeyPressed
from ivr_sim.media import PCMA, PCMU
from ivr_sim.sip.address import Address

pytestmark = [pytest.mark.interop, pytest.mark.sip]

COMPACT = {
    "Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m", "Content-Type": "c",
    "Content-Length": "l",
}  # fmt: skip
KEYPAD = "0123456789*#"


@dataclass(frozen=True)
class Shape:
    """A call, and in what it is odd.

    law: payload type of its audio. formats, lines: its m= line's formats, and what it says of them. events:
    the payload type by which it keys, None for tones. late: seconds until its first packet. lies: about
    where its audio is. ptime: ms. noise: packets of comfort noise (payload type 13) between its keys. again:
    a re-INVITE right after the answer. rtcp: reports, from the port above. contact: behind its address.
    """

    name: str
    law: int = 0
    formats: str = "0 8 101"
    lines: tuple[str, ...] = ("a=rtpmap:101 telephone-event/8000",)
    events: int | None = None
    names: dict[str, str] = field(default_factory=dict)
    lower: bool = False
    length: bool = True
    late: float = 0.0
    lies: str | None = None
    ptime: int = 20
    noise: bool = False
    again: str | None = None
    rtcp: bool = False
    contact: str = ""
    keep_alive: bool = False


SHAPES = (
    Shape("compact headers", names=COMPACT),
    Shape("lower-case header names", lower=True),
    Shape("no Content-Length", length=False),
    Shape("telephone-event as 96", formats="0 96", lines=("a=rtpmap:96 telephone-event/8000",), events=96),
    Shape(
        "telephone-event as 120, Opus and wide events before it",
        formats="107 0 8 97 120",
        lines=(
            "a=rtpmap:107 opus/48000/2", "a=rtpmap:97 telephone-event/48000",
            "a=rtpmap:120 telephone-event/8000", "a=fmtp:120 0-16",
        ),
        events=120,
    ),
    Shape("PCMA only", law=8, formats="8", lines=()),
    Shape("comfort noise offered and sent", formats="0 8 13 101", noise=True),
    Shape("packets of 10 ms", ptime=10, lines=("a=ptime:10",), formats="0"),
    Shape("packets of 30 ms", ptime=30, lines=("a=ptime:30", "a=maxptime:60"), formats="0"),
    Shape("packets of 40 ms", ptime=40, lines=("a=ptime:40",), formats="0"),
    Shape("early re-INVITE with two codecs", formats="0 8", lines=(), again="8 0"),
    Shape("RTCP on the port above", rtcp=True, lines=("a=rtcp:{rtcp}",), formats="0"),
    Shape("RTP that starts late", late=6.0),
    Shape("RTP from another port than its SDP says", lies="port"),
    Shape("a private address in its SDP", lies="address"),
    Shape(
        "Contact with parameters",
        contact=';transport=udp;ob>;+sip.instance="<urn:uuid:0a1b2c3d>";reg-id=1;expires=300;q=0.5',
    ),
    Shape("CRLF keep-alives in mid-call", keep_alive=True),
)  # fmt: skip


class Wire:
    """A SIP telephone of sockets and text."""

    def __init__(self, server: Address, user: str, shape: Shape = SHAPES[0]) -> None:
        self.server, self.user, self.shape = (server.host, server.port), user, shape
        self.sip, self.rtp = udp(), udp()
        self.sip.settimeout(0.5)
        self.rtp.setblocking(False)
        self.heard = 0
        self._call_id = f"{time.monotonic_ns()}@odd"
        self._branch = 0

    def close(self) -> None:
        self.sip.close()
        self.rtp.close()

    @property
    def port(self) -> int:
        return int(self.sip.getsockname()[1])

    def request(
        self, method: str, uri: str, number: int, *, to_tag: str = "", body: str = "", **more: str
    ) -> None:
        """Send a request in the shape's own spelling."""
        self._branch += 1
        branch = f"z9hG4bK{self._branch}{time.monotonic_ns()}"
        contact = f"<sip:{self.user}@127.0.0.1:{self.port}{self.shape.contact}"
        headers = {
            "Via": f"SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch};rport",
            "From": f"<sip:{self.user}@ivr.test>;tag=odd",
            "To": f"<sip:{self.dialled}@ivr.test>{to_tag}",
            "Call-ID": self._call_id,
            "CSeq": f"{number} {method}",
            "Contact": contact if ">" in self.shape.contact else f"{contact}>",
            "Max-Forwards": "70",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        if body:
            headers["Content-Type"] = "application/sdp"
        if self.shape.length:
            headers["Content-Length"] = str(len(body))
        lines = [f"{self._spelt(name)}: {value}" for name, value in headers.items() if value]
        self.send("\r\n".join([f"{method} {uri} SIP/2.0", *lines, "", body]).encode())

    dialled = "5000"

    def send(self, data: bytes) -> None:
        self.sip.sendto(data, self.server)

    def _spelt(self, name: str) -> str:
        name = self.shape.names.get(name, name)
        return name.lower() if self.shape.lower else name

    def receive(self, wanted: str, seconds: float) -> str:
        """The next message whose first line holds this; BYEs are answered on the way."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                data, source = self.sip.recvfrom(65536)
            except TimeoutError:
                continue
            text = data.decode()
            first = text.partition("\r\n")[0]
            if first.startswith("BYE"):
                self.sip.sendto(answer_to(text), source)
            if wanted in first:
                return text
        raise AssertionError(f"no {wanted!r} for {self.shape.name} within {seconds} s")

    def offer(self, formats: str, version: int) -> str:
        host, port = "127.0.0.1", self.rtp.getsockname()[1]
        if self.shape.lies == "address":
            host = "10.99.0.5"
        elif self.shape.lies == "port":
            port = 9  # discard
        lines = [line.format(rtcp=port + 1) for line in self.shape.lines]
        head = ["v=0", f"o=- 7 {version} IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
        return "\r\n".join([*head, f"m=audio {port} RTP/AVP {formats}", *lines, ""])

    def call(self, speech: list[tuple[float, bytes]]) -> None:
        """Call, say this, and listen until the other side hangs up."""
        target = f"sip:5000@127.0.0.1:{self.server[1]}"
        self.request("INVITE", target, 1, body=self.offer(self.shape.formats, 1))
        media = self._acknowledge(self.receive(" 200 ", 10), 1)
        if self.shape.again is not None:
            self.request(
                "INVITE",
                self._next,
                2,
                to_tag=self._tag,
                body=self.offer(self.shape.again, 2),
                Route=self._route,
            )
            media = self._acknowledge(self.receive(" 200 ", 10), 2)
        talk = threading.Thread(target=self._talk, args=(media, speech), name=self.shape.name)
        talk.start()
        try:
            self.receive("BYE ", 60)
        finally:
            self._over = True
            talk.join()

    _over = False

    def _acknowledge(self, text: str, number: int) -> tuple[str, int]:
        self._tag = ";tag=" + re.search(r"(?mi)^(?:To|t):.*;tag=([^;\s]+)", text)[1]  # type: ignore[index]
        self._next = re.search(r"(?mi)^(?:Contact|m):\s*<([^>]+)>", text)[1]  # type: ignore[index]
        self._route = ", ".join(reversed(re.findall(r"(?mi)^Record-Route:\s*(\S+)", text)))
        self.request("ACK", self._next, number, to_tag=self._tag, Route=self._route)
        port = int(re.search(r"m=audio (\d+)", text)[1])  # type: ignore[index]
        return "127.0.0.1", port

    def _talk(self, media: tuple[str, int], speech: list[tuple[float, bytes]]) -> None:
        shape = self.shape
        rtcp = udp() if shape.rtcp else None
        began = time.monotonic() + shape.late
        for number, (at, packet) in enumerate(speech, 1):
            while (left := began + at - time.monotonic()) > 0 and not self._over:
                threading.Event().wait(left)
            if self._over:
                break
            if left < -0.1:
                began -= left  # held up: a telephone keeps its pace, and does not hurry after
            self.rtp.sendto(packet, media)
            if rtcp is not None and number % 50 == 1:
                rtcp.sendto(
                    struct.pack("!BBHIQIII", 0x80, 200, 6, 7, 0, 0, number, 0), (media[0], media[1] + 1)
                )
            if shape.keep_alive and number % 25 == 0:
                self.send(b"\r\n\r\n" if number % 50 else b"\0\0\0\0")
            self._listen()
        while not self._over:
            threading.Event().wait(0.02)
            self._listen()
        if rtcp is not None:
            rtcp.close()

    def _listen(self) -> None:
        while True:
            try:
                self.heard += len(self.rtp.recv(2048)) > 12
            except BlockingIOError:
                return


def udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def answer_to(request: str) -> bytes:
    kept = [line for line in request.split("\r\n") if re.match(r"(?i)(via|from|to|call-id|cseq):", line)]
    return "\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]).encode()


def packets(shape: Shape, keys: list[tuple[float, str]]) -> list[tuple[float, bytes]]:
    """RTP to be sent, each packet with its time in seconds; keys, each after so much silence."""
    if shape.events is not None:
        return event_packets(shape.events, keys)
    sound = np.concatenate(
        [
            part
            for silence, keyed in keys
            for part in (np.zeros(round(8000 * silence)), dtmf.generate(keyed, tone_ms=100, gap_ms=100))
        ]
    )
    samples = np.round(sound * 32767).astype(np.int16)
    codec, size = (PCMA if shape.law == 8 else PCMU), shape.ptime * 8
    made = []
    for n, at in enumerate(range(0, len(samples) - size + 1, size)):
        frame = samples[at : at + size]
        quiet = shape.noise and not frame.any()
        payload = b"\x46" if quiet else codec.encode(frame)
        made.append((at / 8000, rtp(13 if quiet else shape.law, 500 + n, at, payload)))
    return made


def event_packets(payload_type: int, keys: list[tuple[float, str]]) -> list[tuple[float, bytes]]:
    """Telephone-events alone, no audio between them, and no marker: some telephones set none."""
    made, now = [], 0.0
    for silence, keyed in keys:
        now += silence
        for key in keyed:
            for n in range(1, 9):
                event = struct.pack("!BBH", KEYPAD.index(key), 0x80 * (n > 5) | 10, 160 * min(n, 5))
                made.append((now + 0.02 * n, rtp(payload_type, 500 + len(made), round(now * 8000), event)))
            now += 0.25
    return made


def rtp(payload_type: int, sequence: int, stamp: int, payload: bytes) -> bytes:
    return struct.pack("!BBHII", 0x80, payload_type, sequence & 0xFFFF, stamp, 0x0DD) + payload


def name_of(shape: Shape) -> str:
    return "odd-" + re.sub(r"\W+", "-", shape.name.lower())


@pytest.fixture(scope="module")
def calls(house: Any, on_reactor: Any) -> dict[str, tuple[Wire, list[BaseException]]]:
    made: dict[str, tuple[Wire, list[BaseException]]] = {}
    threads = []
    for n, shape in enumerate(SHAPES):
        user, key, errors = name_of(shape), f"5{n:05d}", []
        on_reactor(house.watch, user)
        on_reactor(house.issue, user, key)
        wire, speech = Wire(house.address, user, shape), packets(shape, [(1.0, f"{key}#"), (4.0, "2")])
        made[user] = wire, errors

        def run(wire: Wire = wire, speech: Any = speech, errors: list[BaseException] = errors) -> None:
            try:
                wire.call(speech)
            except BaseException as error:
                errors.append(error)
            finally:
                wire.close()

        threads.append(threading.Thread(target=run, name=shape.name))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(75)
    on_reactor(house.node.settle, seconds=30)
    return made


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_a_call_in_an_odd_shape(house: Any, report: Any, calls: Any, shape: Shape) -> None:
    report.row("odd shapes", shape.name, "failed")
    user = name_of(shape)
    wire, errors = calls[user]
    assert not errors, f"{errors[0]}\n{house.story(user)}"
    [ended], [answered] = house.of(user, CallEnded), house.of(user, CallAnswered)
    assert (ended.outcome, ended.by) == ("rejected", "ivr"), house.story(user)
    assert answered.codec == ("PCMA" if shape.law == 8 else "PCMU")
    assert [e.value for e in house.of(user, EntryAccepted)] == [f"5{SHAPES.index(shape):05d}", "2"]
    keys = house.of(user, KeyPressed)
    assert {k.method for k in keys} == {"rfc4733" if shape.events is not None else "inband"}
    assert len(keys) == 8
    assert wire.heard > 300  # more than six seconds of prompts
    report.row("odd shapes", shape.name, "passed", f"{len(keys)} keys, {wire.heard} packets heard")


@pytest.fixture
def wire(house: Any) -> Any:
    made = Wire(house.address, "odd", Shape("plain"))
    yield made
    made.close()


def status(text: str) -> int:
    return int(text.split()[1])


def registered(house: Any, wire: Wire, number: int, **more: str) -> str:
    """Register as ``odd`` from this wire; the 200."""
    uri = f"sip:127.0.0.1:{house.address[1]}"
    wire.dialled = "odd"
    wire.request("REGISTER", uri, number, Expires="60", **more)
    asked = wire.receive(" 401 ", 5)
    realm, nonce = (re.search(rf'{word}="([^"]+)"', asked)[1] for word in ("realm", "nonce"))  # type: ignore[index]

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    # As old telephones do it: no qop (RFC 2069).
    secret = md5(f"odd:{realm}:{house.node.accounts['odd']}")
    response = md5(f"{secret}:{nonce}:{md5(f'REGISTER:{uri}')}")
    shown = f'Digest username="odd", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}"'
    wire.request("REGISTER", uri, number + 1, Expires="60", Authorization=shown, **more)
    return wire.receive(" 200 ", 5)


def test_two_registrations_of_one_account(house: Any, report: Any, wire: Wire, on_reactor: Any) -> None:
    feature = "two registrations of one account, digest without qop"
    report.row("odd shapes", feature, "failed")
    other = Wire(house.address, "odd", Shape("plain"))
    try:
        registered(house, wire, 1)
        said = registered(house, other, 1)
        contacts = re.findall(r"(?mi)<sip:odd@127.0.0.1:(\d+)", said)
        assert {str(wire.port), str(other.port)} <= set(contacts)
        assert len(on_reactor(lambda: house.node.exchange.registrations["odd"])) == 2
    finally:
        other.close()
    report.row("odd shapes", feature, "passed", "both are kept")


@pytest.mark.parametrize(
    ("method", "to", "more", "allowed"),
    [
        ("OPTIONS", "", {}, {200}),
        ("OPTIONS", "5000@", {}, {200}),
        ("SUBSCRIBE", "odd@", {"Event": "message-summary", "Expires": "60"}, {489}),
        ("SUBSCRIBE", "5000@", {"Event": "presence", "Expires": "60"}, {403, 405, 480, 489, 501}),
        ("PUBLISH", "odd@", {"Event": "presence", "Expires": "60"}, {405}),
        ("MESSAGE", "5000@", {}, {403, 405, 415, 480, 501}),
        ("NOTIFY", "5000@", {"Event": "keep-alive"}, {200, 403, 405, 480, 481, 489, 501}),
    ],
)  # fmt: skip
def test_what_telephones_ask_beside_calls(
    house: Any, report: Any, wire: Wire, method: str, to: str, more: dict[str, str], allowed: set[int]
) -> None:
    feature = f"{method} {to.rstrip('@') or 'to the exchange'}"
    report.row("odd shapes", feature, "failed")
    registered(house, wire, 1)
    wire.dialled = to.rstrip("@") or "odd"
    wire.request(method, f"sip:{to}127.0.0.1:{house.address[1]}", 10, **more)
    answered = status(wire.receive("SIP/2.0 ", 5))
    if answered < 200:
        answered = status(wire.receive("SIP/2.0 ", 5))
    assert answered in allowed
    report.row("odd shapes", feature, "passed", str(answered))


def test_keep_alives_are_no_messages(house: Any, report: Any, wire: Wire) -> None:
    feature = "CRLF keep-alives and garbage between requests"
    report.row("odd shapes", feature, "failed")
    for keep_alive in (b"\r\n\r\n", b"\r\n", b"\0", b"\0\0\0\0", b"jaK"):
        wire.send(keep_alive)
    wire.request("OPTIONS", f"sip:127.0.0.1:{house.address[1]}", 1)
    assert status(wire.receive("SIP/2.0 ", 5)) == 200
    report.row("odd shapes", feature, "passed", "the next request is answered")
