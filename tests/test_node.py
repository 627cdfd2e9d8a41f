"""A whole node and what befalls its ports: garbage, copies, races, floods, calls that come while it stops."""

from __future__ import annotations

import gc
import os
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from structlog.testing import capture_logs
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.call import phrase
from ivr_sim.harness import HANG_UP, Caller, Faults, Script, way_to_authorizer
from ivr_sim.journal import CallEnded, CallOffered, EntryAccepted, Event, Journal, Record
from ivr_sim.merchant import Merchant
from ivr_sim.node import MERCHANT_KEYS, Node, local_now, open_library
from ivr_sim.prompts import Catalogue, UnknownLanguage, VoiceMissing
from ivr_sim.prompts.cache import SoundCache, sound_key
from ivr_sim.sip.message import Request, Response, parse
from ivr_sim.sip.states import Ended

pytestmark = pytest.mark.sip
HERE = "127.0.0.1"
USERS = tuple(f"10{n:02}" for n in range(20))
REJECT = {"welcome": ["{key}#"], "amount": ["2"], "rejected": [HANG_UP]}


class House:
    """A merchant, a node, and telephones that dial it."""

    def __init__(self, folder: Path, faults: Faults | None = None) -> None:
        self.records: list[Record] = []
        self.journal = Journal(local_now)
        self.journal.subscribe(self.records.append)
        way = way_to_authorizer(reactor, faults or Faults())
        self.merchant = Merchant(reactor, folder / "services", now=local_now, to_authorizer=way)
        self.node = Node(reactor, self.merchant, self.journal, data=folder, accounts=USERS)

    async def start(self) -> None:
        self.merchant.start()
        await self.node.start()

    async def stop(self) -> None:
        await self.node.stop()
        await self.merchant.stop()

    async def call(self, user: str, answers: dict[str, list[str]]) -> Ended:
        key = self.merchant.keys.issue(
            Decimal("10.00"), "Cargo IVR", f"ord-{user}-{len(self.records)}", expires_in=timedelta(hours=1)
        )
        turns = {name: [a.replace("{key}", key.key) for a in keys] for name, keys in answers.items()}
        phone = self.node.phone(user)
        try:
            await phone.start()
            script = Script(answers=turns, by="rfc4733", barge_in=True, delay=0.4, key_ms=60)
            return (await Caller(phone, self.journal).call(MERCHANT_KEYS, script)).ended
        finally:
            await phone.stop()

    def of(self, kind: type[Event]) -> list[Any]:
        return [r.event for r in self.records if isinstance(r.event, kind)]

    async def until(self, kind: type[Event], count: int = 1) -> None:
        while len(self.of(kind)) < count:
            await pause(0.02)

    @property
    def line(self) -> tuple[str, int]:
        """Where the IVR's own telephone listens."""
        [binding] = self.node.exchange.registrations["ivr"]
        return binding.contact.address()


def pause(seconds: float) -> Deferred[None]:
    return task.deferLater(reactor, seconds)  # type: ignore[arg-type]


@pytest.fixture
def house(on_reactor, tmp_path) -> Iterator[House]:
    made = House(tmp_path)
    on_reactor(made.start, seconds=30)
    yield made
    on_reactor(made.stop, seconds=30)


def test_recordings_of_each_language_have_a_place(tmp_path: Path) -> None:
    places = {"es-MX": tmp_path / "recorded", "en-US": tmp_path / "recorded" / "en-US"}
    for level, (language, folder) in enumerate(places.items(), 1):
        assert len(open_library(reactor, tmp_path, language)[0].sound_now(phrase("ask_key"))) > 8000
        folder.mkdir()
        soundfile.write(folder / "ask_key.wav", np.full(800, level, np.int16), 8000)
    for level, language in enumerate(places, 1):
        library, _ = open_library(reactor, tmp_path, language)
        assert set(library.sound_now(phrase("ask_key")).tolist()) == {level}
        assert library.catalogue.language == language


def test_the_cache_of_rendered_prompts_may_be_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is another than the data folder's, which several of them use."""
    shared = SoundCache(tmp_path / "shared")
    said = phrase("amount", amount=Decimal("731.37"), currency="MXN", description="Cargo IVR")
    text = Catalogue().text(said)
    library, voice = open_library(reactor, tmp_path)
    shared.put(sound_key("es-MX", voice.name, text), np.full(800, 1000, np.int16))
    with pytest.raises(VoiceMissing):
        library.sound_now(said)
    monkeypatch.setenv("IVR_SIM_CACHE", str(tmp_path / "shared"))
    assert len(open_library(reactor, tmp_path)[0].sound_now(said)) == 800


def test_a_language_that_nobody_wrote(tmp_path: Path) -> None:
    with pytest.raises(UnknownLanguage, match="known are en-US, es-MX"):
        open_library(reactor, tmp_path, "../etc")
    assert not list(tmp_path.iterdir())


def rtp(
    payload: bytes, *, pt: int = 0, number: int = 0, at: int = 0, ssrc: int = 1, first: int = 0x80
) -> bytes:
    return struct.pack("!BBHII", first, pt, number & 0xFFFF, at & 0xFFFFFFFF, ssrc) + payload


def bad_rtp(chance: random.Random) -> list[bytes]:
    return [
        b"", b"\x80", b"\x80\0\1", chance.randbytes(11), chance.randbytes(60_000), rtp(b""), rtp(b"x"),
        *(rtp(bytes(160), first=version << 6) for version in (0, 1, 3)),
        rtp(b"", first=0x8F), rtp(b"\0\0\xff\xff", first=0x90), rtp(b"\xff", first=0xA0), rtp(b"x", pt=72),
        *(rtp(bytes(160), number=n * 999, at=chance.getrandbits(32), ssrc=n) for n in range(40)),
        *(rtp(struct.pack("!BBH", code, 0x80, 800), pt=101, number=code, at=code) for code in range(16, 256)),
    ]  # fmt: skip


def bad_sip(chance: random.Random) -> list[bytes]:
    whole = (
        b"INVITE sip:5000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\n"
        b"From: <sip:a@b>;tag=1\r\nTo: <sip:5000@ivr.test>\r\nCall-ID: zz\r\nCSeq: 1 INVITE\r\n"
        b"Contact: <sip:a@127.0.0.1:9>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )
    spoiled = []
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        spoiled.append(bytes(data))
    noise = [chance.randbytes(chance.randrange(1, 1500)) for _ in range(50)]
    long = [chance.randbytes(60_000), b"A" * 60_000, b"INVITE sip:" + b"a" * 60_000]
    return (
        [whole[:n] for n in range(0, len(whole), 11)] + spoiled + noise + long + [b"SIP/2.0 200 OK\r\n\r\n"]
    )


def test_a_call_goes_on_whatever_arrives_at_its_ports(on_reactor, house) -> None:
    """And so does the next one; nothing of it is an error of ours."""
    chance = random.Random(4)

    async def attack(stranger: socket.socket) -> None:
        await house.until(CallOffered)
        for _ in range(2):
            await pause(0.2)
            for stream in house.node.media.streams:
                for data in bad_rtp(chance):
                    stranger.sendto(data, (HERE, stream.local_port))
            for address in (house.line[:2], (HERE, house.node.exchange.port)):
                for n, data in enumerate(bad_sip(chance)):
                    stranger.sendto(data, address)
                    if n % 20 == 0:
                        await pause(0)  # the socket's buffer is not what is tested
        for stream in house.node.media.streams:
            for n in range(10_000):
                stranger.sendto(rtp(bytes(160), number=n, at=160 * n), (HERE, stream.local_port))

    async def play() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            first = Deferred.fromCoroutine(house.call("1000", REJECT))
            await attack(stranger)
            await first
        await house.call("1001", REJECT)
        await house.node.settle()

    with capture_logs() as logs:
        on_reactor(play, seconds=60)
    assert [ended.outcome for ended in house.of(CallEnded)] == ["rejected"] * 2
    assert [entry for entry in logs if entry["log_level"] not in ("debug", "info")] == []


class WirePhone:
    """A telephone that says what the test says, from the test's own thread; it never registers."""

    def __init__(self, exchange: tuple[str, int]) -> None:
        self.exchange = exchange
        self.sip, self.rtp = self._socket(), self._socket()
        self.port = self.sip.getsockname()[1]
        self.call_id = f"call-{self.port}"
        self.to = f"<sip:{MERCHANT_KEYS}@ivr.test>"
        self.routes: list[str] = []
        self.target = f"sip:{MERCHANT_KEYS}@{HERE}:{exchange[1]}"

    @staticmethod
    def _socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((HERE, 0))
        made.settimeout(5)
        return made

    def close(self) -> None:
        self.sip.close()
        self.rtp.close()

    def request(self, method: str, number: int, branch: str, direction: str | None = None) -> bytes:
        body = ""
        if direction is not None:
            body = (
                f"v=0\r\no=w 1 {number} IN IP4 {HERE}\r\ns=-\r\nc=IN IP4 {HERE}\r\nt=0 0\r\n"
                f"m=audio {self.rtp.getsockname()[1]} RTP/AVP 0 101\r\n"
                f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
            )
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/UDP {HERE}:{self.port};rport;branch=z9hG4bK{self.port}{branch}",
            *(f"Route: {route}" for route in self.routes),
            "Max-Forwards: 70",
            "From: <sip:wire@ivr.test>;tag=w",
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:wire@{HERE}:{self.port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def send(self, *request: Any) -> None:
        self.sip.sendto(self.request(*request), self.exchange)

    def final(self, number: int, method: str) -> Response:
        """The next final response to this request; a request of the node's meanwhile is answered."""
        while True:
            message = parse(self.sip.recv(65_535))
            if isinstance(message, Response) and message.cseq == (number, method) and message.status >= 200:
                return message
            if isinstance(message, Request) and message.method == "BYE":
                raise AssertionError("the node hung up")

    def up(self, response: Response) -> None:
        """The call was answered: what goes into all requests from here on."""
        self.to = response.headers.get("To") or ""
        self.routes = response.headers.get_all("Record-Route")[::-1]
        self.target = re.search(r"<(.+)>", response.headers.get("Contact") or "")[1]  # type: ignore[index]

    def hears(self, seconds: float) -> int:
        """How many RTP packets come within these seconds, after what was on its way already."""
        time.sleep(0.1)
        self.rtp.setblocking(False)
        try:
            while True:
                self.rtp.recv(2048)
        except BlockingIOError:
            pass
        time.sleep(seconds)
        count = 0
        try:
            while True:
                self.rtp.recv(2048)
                count += 1
        except BlockingIOError:
            return count


@pytest.fixture
def wire_phone(house) -> Iterator[Callable[[], WirePhone]]:
    made: list[WirePhone] = []

    def make() -> WirePhone:
        made.append(WirePhone((HERE, house.node.exchange.port)))
        return made[-1]

    yield make
    for phone in made:
        phone.close()


def test_copies_hold_and_two_byes(house, wire_phone) -> None:
    phone = wire_phone()
    for _ in range(3):
        phone.send("INVITE", 1, "a", "sendrecv")
    answer = phone.final(1, "INVITE")
    assert answer.status == 200
    # The call is up: a CANCEL comes too late, and changes nothing.
    phone.send("CANCEL", 1, "a")
    assert phone.final(1, "CANCEL").status == 200
    phone.up(answer)
    phone.send("ACK", 1, "b")
    assert phone.hears(0.2) > 5

    for number, direction, answered, silent in (
        (2, "sendonly", b"recvonly", True),
        (3, "sendrecv", b"", False),
    ):
        for _ in range(2):
            phone.send("INVITE", number, f"c{number}", direction)
        held = phone.final(number, "INVITE")
        assert (held.status, b"a=" + answered in held.body) == (200, True)
        phone.send("ACK", number, f"d{number}")
        assert (phone.hears(0.2) == 0) == silent

    for branch in ("e", "e", "f"):  # once, a copy, and once more
        phone.send("BYE", 4 if branch == "e" else 5, branch)
    assert phone.final(4, "BYE").status == 200
    assert phone.final(5, "BYE").status in (200, 481)
    assert phone.hears(0.1) == 0
    assert len(house.of(CallOffered)) == 1
    assert [(e.outcome, e.by) for e in house.of(CallEnded)] == [("abandoned", "caller")]
    assert house.node.media.streams == ()


def test_a_cancel_on_the_heels_of_the_invite(on_reactor, house, wire_phone) -> None:
    for _ in range(5):
        phone = wire_phone()
        phone.send("INVITE", 1, "a", "sendrecv")
        phone.send("CANCEL", 1, "a")
        answer = phone.final(1, "INVITE")
        assert answer.status in (200, 487)
        if answer.status == 200:  # it had been answered; then it is ours to end
            phone.up(answer)
            phone.send("ACK", 1, "b")
            phone.send("BYE", 2, "c")
            assert phone.final(2, "BYE").status == 200
        else:
            phone.to = answer.headers.get("To") or ""
            phone.send("ACK", 1, "a")
    deadline = time.monotonic() + 10
    while (left := house.node.media.streams) and time.monotonic() < deadline:
        time.sleep(0.02)  # the line may hear of the last call only now
    assert left == ()
    assert len(house.of(CallEnded)) <= len(house.of(CallOffered))


def test_who_calls_while_the_node_stops_is_told_that_it_is_busy(on_reactor, tmp_path) -> None:
    """The call under way is awaited, and none comes after it."""
    house = House(tmp_path, Faults(authorizer_delay=1.5))

    async def play() -> tuple[Ended, Ended]:
        await house.start()
        try:
            second = house.node.phone("1001")
            await second.start()
            first = Deferred.fromCoroutine(house.call("1000", REJECT))
            await house.until(EntryAccepted)  # the authorizer is being asked
            stopping = Deferred.fromCoroutine(house.node.stop())
            refused = await Caller(second, house.journal).call(MERCHANT_KEYS, Script())
            await gatherResults([stopping, second.stop()])
            return await first, refused.ended
        finally:
            await house.stop()

    first, refused = on_reactor(play, seconds=30)
    assert (first.by, first.status) == ("remote", None)
    assert (refused.by, refused.status) == ("remote", 486)
    assert len(house.of(CallOffered)) == len(house.of(CallEnded)) == 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors as Linux shows them")
def test_twenty_calls_leave_nothing_open(on_reactor, tmp_path) -> None:
    async def play(folder: Path) -> None:
        house = House(folder)
        await house.start()
        try:
            hang_up = {"welcome": [f"12{HANG_UP}"]}
            await gatherResults([Deferred.fromCoroutine(house.call(user, hang_up)) for user in USERS])
            await house.node.settle()
        finally:
            await house.stop()
        assert len(house.of(CallEnded)) == len(USERS)

    def held() -> tuple[int, int, int]:
        gc.collect()
        timers = on_reactor(lambda: len(reactor.getDelayedCalls()))  # type: ignore[attr-defined]
        return len(os.listdir("/proc/self/fd")), threading.active_count(), timers

    # What a first call opens for good (the resolver's sockets, random's) is not left open by calls.
    on_reactor(lambda: Deferred.fromCoroutine(play(tmp_path / "first")), seconds=60)
    before = held()
    on_reactor(lambda: Deferred.fromCoroutine(play(tmp_path / "second")), seconds=60)
    assert held() == before
