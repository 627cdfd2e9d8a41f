"""A whole `serve` that demands TLS and SRTP, and telephones made of OpenSSL's sockets and libsrtp.

What is seen of a call from outside, on the wire and in what it leaves behind, is searched for its audio and
for the keys that encrypt it.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.testing import MemoryReactorClock

from ivr_sim.call import phrase
from ivr_sim.errors import ConfigurationError
from ivr_sim.journal import CallAnswered, CallFailed, Finding, KeyPressed, MediaReported, Record
from ivr_sim.media import PCMU
from ivr_sim.media.rtp import BadPacket, Packet
from ivr_sim.media.srtp import SrtpKey, SrtpPair, SrtpSession
from ivr_sim.media.telephone_event import event_payload
from ivr_sim.served import Served, prepare, state_of
from ivr_sim.settings import Settings
from ivr_sim.sip.crypto import SUITES
from ivr_sim.sip.message import Response, parse

pytest.importorskip("pylibsrtp")

HERE = "127.0.0.1"
PORTS = {"sip_port": 0, "tls_port": 0, "authorizer_port": 0, "openpay_port": 0}
PACKETS = 75  # of the welcome that are listened to


class TlsPhone:
    """Speaks SIP over TLS as OpenSSL does it, and RTP on a socket of its own."""

    def __init__(self, port: int, authority: str) -> None:
        plain = socket.create_connection((HERE, port), timeout=10)
        self.sip = ssl.create_default_context(cafile=authority).wrap_socket(plain, server_hostname=HERE)
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((HERE, 0))
        self.rtp.settimeout(5)
        self.key = secrets.token_bytes(30)
        self._unread = b""
        self._id = secrets.token_hex(6)
        self.to = "<sip:5000@ivr.test>"
        self.routes: list[str] = []
        self.target = "sip:5000@ivr.test"

    def close(self) -> None:
        self.sip.close()
        self.rtp.close()

    def send(self, method: str, number: int, *, profile: str = "", branch: str = "") -> None:
        host, port = self.sip.getsockname()
        body = ""
        if profile:
            body = (
                f"v=0\r\no=- 1 1 IN IP4 {HERE}\r\ns=-\r\nc=IN IP4 {HERE}\r\nt=0 0\r\n"
                f"m=audio {self.rtp.getsockname()[1]} {profile} 0 101\r\n"
                "a=rtpmap:101 telephone-event/8000\r\n"
            )
            if "SAVP" in profile:
                body += f"a=crypto:1 {SUITES[0]} inline:{base64.b64encode(self.key).decode()}\r\n"
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/TLS {host}:{port};branch=z9hG4bK{self._id}{branch or number}",
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in self.routes),
            f"From: <sip:1001@ivr.test>;tag={self._id}",
            f"To: {self.to}",
            f"Call-ID: {self._id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:1001@{host}:{port};transport=tls>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self.sip.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def final(self) -> Response:
        """The next final response."""
        while True:
            head, blank, rest = self._unread.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1]) if blank else 0  # type: ignore[index]
            if blank and len(rest) >= length:
                self._unread = rest[length:]
                message = parse(head + blank + rest[:length])
                if isinstance(message, Response) and message.status >= 200:
                    return message
            else:
                data = self.sip.recv(65_536)
                assert data, "the connection was closed"
                self._unread += data

    def up(self, response: Response) -> None:
        """The call was answered: what goes into all requests from here on."""
        self.to = response.headers.get("To") or ""
        self.routes = response.headers.get_all("Record-Route")[::-1]
        self.target = re.search(r"<(.+)>", response.headers.get("Contact") or "")[1]  # type: ignore[index]


def until(true: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 15
    while not (value := true()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return value


@pytest.fixture(scope="module")
def scene(on_reactor: Any, tmp_path_factory: Any) -> SimpleNamespace:
    """A plain call and an encrypted one; ``wire`` is what came for audio, ``left`` the data folder."""
    data = tmp_path_factory.mktemp("secure")
    served: Served = on_reactor(prepare, reactor, Settings(srtp="required", **PORTS), data, {})
    records: list[Record] = []
    served.journal.subscribe(records.append)
    of = lambda *kinds: [r.event for r in records if isinstance(r.event, kinds)]  # noqa: E731
    phones: list[TlsPhone] = []
    with capture_logs() as logs:
        try:
            on_reactor(served.start, seconds=60)
            state = on_reactor(state_of, served)
            tls = state["sip"]["tls"]
            plain, phone = phones[:] = [TlsPhone(tls["port"], tls["certificate"]) for _ in range(2)]
            shown = ssl.DER_cert_to_PEM_cert(phone.sip.getpeercert(binary_form=True))
            plain.send("INVITE", 1, profile="RTP/AVP")
            refused = plain.final()

            phone.send("INVITE", 1, profile="RTP/SAVP")
            answered = phone.final()
            phone.up(answered)
            phone.send("ACK", 1, branch="ack")
            wire = [phone.rtp.recvfrom(2048) for _ in range(PACKETS)]
            found = re.search(r"a=crypto:1 (\S+) inline:([^\s|]+)", answered.body.decode())
            assert found is not None
            theirs = base64.b64decode(found[2])
            session = SrtpSession(SrtpPair(SrtpKey(SUITES[0], phone.key), SrtpKey(SUITES[0], theirs)))
            for n in range(6):
                payload = event_payload(5, 160 * (n + 1), end=n > 2)
                packet = Packet(101, n, 8000, 7, payload, marker=n == 0).serialise()
                phone.rtp.sendto(session.protect(packet), wire[0][1])
                in_the_clear = Packet(101, n, 8000, 8, event_payload(7, 160 * (n + 1), end=n > 2))
                phone.rtp.sendto(in_the_clear.serialise(), wire[0][1])
            until(lambda: of(KeyPressed), "the key")
            phone.send("BYE", 2)
            gone = phone.final()
            until(lambda: of(MediaReported), "the end")
            on_reactor(served.node.settle)
            welcome = on_reactor(served.node.library.sound_now, phrase("welcome", merchant="Tienda Demo"))
            told = f"{served!r} {served.node.__dict__!r} {served.node.media.__dict__!r}"
        finally:
            for phone in phones:
                phone.close()
            on_reactor(served.stop, seconds=60)
    return SimpleNamespace(
        wire=[data for data, _ in wire], refused=refused, answered=answered, gone=gone, session=session,
        keys=(phone.key, theirs), welcome=welcome, of=of, records=records, left=data, logs=logs, told=told,
        state=state, shown=shown,
    )  # fmt: skip


def alike(heard: np.ndarray, sound: np.ndarray) -> float:
    """The best correlation of what was heard with a piece of a sound, 0 to 1."""
    a, b = heard.astype(float), sound.astype(float)
    products = np.abs(np.correlate(b, a, "valid"))
    energy = np.concatenate([[0.0], np.cumsum(b * b)])
    norms = np.sqrt(np.maximum(energy[len(a) :] - energy[: -len(a)], 1.0)) * np.linalg.norm(a)
    return float(np.max(products[: len(norms)] / norms))


@pytest.mark.sip
class TestServeWithBoth:
    def test_a_call_in_the_clear_is_refused_and_told_why(self, scene: Any) -> None:
        assert scene.refused.status == 488
        assert scene.refused.headers.get("Warning").startswith('302 ivr-sim "the profile RTP/AVP')
        [finding] = scene.of(Finding)
        assert finding.code == "srtp_missing"
        assert "The telephone of 1001 offers audio in the clear (RTP/AVP)" in finding.what
        assert [failed.status for failed in scene.of(CallFailed)] == [488]
        assert len(scene.of(CallAnswered)) == 1

    def test_the_audio_on_the_wire_is_the_prompt_to_who_has_the_key_alone(self, scene: Any) -> None:
        assert (scene.answered.status, scene.gone.status) == (200, 200)
        assert {len(data) for data in scene.wire} == {12 + 160 + 10}
        opened = [Packet.parse(scene.session.unprotect(data)).payload for data in scene.wire]
        welcome = scene.welcome.astype(np.int16)
        assert alike(PCMU.decode(b"".join(opened[10:])), welcome) > 0.9
        sniffed = b"".join(Packet.parse(data).payload[:160] for data in scene.wire[10:])
        assert alike(PCMU.decode(sniffed), welcome) < 0.2
        assert len(set(sniffed)) == 256  # G.711 speech leaves many of the values out, noise none
        assert not any(payload in data for payload, data in zip(opened, scene.wire, strict=True))
        with pytest.raises(BadPacket):
            scene.session.unprotect(scene.wire[0])  # again

    def test_keys_count_when_they_are_encrypted(self, scene: Any) -> None:
        assert [key.method for key in scene.of(KeyPressed)] == ["rfc4733"]
        [media] = scene.of(MediaReported)
        assert media.bad == 6

    def test_the_keys_of_the_audio_are_written_nowhere(self, scene: Any) -> None:
        texts = {"logs": repr(scene.logs), "objects": scene.told, "journal": repr(scene.records)}
        for path in scene.left.rglob("*"):
            if path.is_file():
                texts[str(path)] = path.read_bytes().decode("latin-1")
        ladder = next(text for name, text in texts.items() if name.endswith("ladder.txt"))
        assert ladder.count("inline:" + "x" * 40) == 4  # offer and answer, before and behind the exchange
        for key in scene.keys:
            b64 = base64.b64encode(key).decode()
            for form in (b64, b64[:20], key.decode("latin-1"), key.hex(), repr(key)[2:-1]):
                assert [name for name, text in texts.items() if form in text] == []

    def test_programs_find_their_way(self, scene: Any) -> None:
        sip = json.loads(json.dumps(scene.state))["sip"]
        assert sip["srtp"] == "required"
        assert Path(sip["tls"]["certificate"]).read_text().strip() == scene.shown.strip()
        assert re.fullmatch(r"[0-9A-F:]{95}", sip["tls"]["sha256"])


def test_srtp_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pylibsrtp", None)
    prepare(MemoryReactorClock(), Settings(**PORTS), tmp_path, {})
    for lines in (0, 2):
        settings = Settings(srtp="allowed", lines=lines, **PORTS)
        with pytest.raises(ConfigurationError, match=r"pip install 'ivr-sim\[secure\]'"):
            prepare(MemoryReactorClock(), settings, tmp_path, {})
