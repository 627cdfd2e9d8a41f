"""SIPp, whose scenarios are written here: registers, pays by each way of keying, echoes, holds, calls off.

It hears no prompts, so it keys by the clock: the payment key during the welcome, and the card in one go.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dtmf
from ivr_sim.journal import CallEnded, ChargeSettled, EntryAccepted, KeyPressed
from ivr_sim.media import PCMU

pytestmark = [pytest.mark.interop, pytest.mark.sip]

SECONDS = 90
HEAD = """\
Via: SIP/2.0/UDP [local_ip]:[local_port];branch={branch};rport
{routes}From: <sip:{user}@[remote_ip]:[remote_port]>;tag=[pid]c[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{to_tag}
Call-ID: [call_id]
CSeq: {number} {method}
Contact: <sip:{user}@[local_ip]:[local_port]>
User-Agent: SIPp
Max-Forwards: 70
"""
OFFER = """\
Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a={direction}
"""
EMPTY = "Content-Length: 0\n\n"
OK_TO_BYE = """\
  <recv request="BYE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
"""


class Scenario:
    """One call of SIPp's, step by step. branch: of all its requests, for a call that is called off."""

    def __init__(self, user: str, *, branch: str = "[branch]") -> None:
        self._user = user
        self._branch = branch
        self._number = 0
        self._steps: list[str] = []

    def invite(self, *, direction: str = "sendrecv") -> Scenario:
        inside = self._number > 0
        self._request("INVITE", OFFER.format(version=self._number + 1, direction=direction), inside=inside)
        return self

    def invite_without_an_offer(self) -> Scenario:
        """The callee is to offer; the answer goes with the ACK."""
        self._request("INVITE", EMPTY, inside=self._number > 0)
        return self

    def answered(self, body: str = EMPTY) -> Scenario:
        self._steps += [
            '  <recv response="100" optional="true"/>',
            '  <recv response="180" optional="true"/>',
            '  <recv response="200" rrs="true"/>',
        ]
        self._request("ACK", body, inside=True, number=self._number)
        return self

    def update(self, body: str) -> Scenario:
        self._request("UPDATE", body, inside=True)
        self._steps.append('  <recv response="200"/>')
        return self

    def pause(self, seconds: float) -> Scenario:
        self._steps.append(f'  <pause milliseconds="{round(seconds * 1000)}"/>')
        return self

    def play(self, action: str) -> Scenario:
        self._steps.append(f"  <nop><action><exec {action}/></action></nop>")
        return self

    def info(self, digit: str) -> Scenario:
        body = (
            f"Content-Type: application/dtmf-relay\nContent-Length: [len]\n\nSignal={digit}\nDuration=160\n"
        )
        self._request("INFO", body, inside=True)
        self._steps.append('  <recv response="200"/>')
        return self.pause(0.1)

    def hang_up(self) -> Scenario:
        self._request("BYE", EMPTY, inside=True)
        self._steps.append('  <recv response="200"/>')
        return self

    def is_hung_up(self) -> Scenario:
        self._steps.append(OK_TO_BYE)
        return self

    def ring_and_call_off(self) -> Scenario:
        self._steps += ['  <recv response="100" optional="true"/>', '  <recv response="180"/>']
        self.pause(0.5)
        self._request("CANCEL", EMPTY, inside=False, number=self._number)
        self._steps += ['  <recv response="200"/>', '  <recv response="487"/>']
        self._request("ACK", EMPTY, inside=False, number=self._number, to_tag="[peer_tag_param]")
        return self

    def write(self, path: Path) -> Path:
        steps = "\n".join(self._steps)
        path.write_text(f'<?xml version="1.0"?>\n<scenario name="call">\n{steps}\n</scenario>\n')
        return path

    def _request(
        self, method: str, body: str, *, inside: bool, number: int | None = None, to_tag: str = ""
    ) -> None:
        if number is None:
            number = self._number = self._number + 1
        head = HEAD.format(
            user=self._user, method=method, number=number, branch=self._branch,
            to_tag="[peer_tag_param]" if inside else to_tag, routes="[routes]\n" if inside else "",
        )  # fmt: skip
        target = "[next_url]" if inside else "sip:[service]@[remote_ip]:[remote_port]"
        retrans = "" if method == "ACK" else ' retrans="500"'
        self._steps.append(f"  <send{retrans}><![CDATA[\n{method} {target} SIP/2.0\n{head}{body}\n]]></send>")


class Sipp:
    """Runs SIPp for one user, in a folder of its own."""

    def __init__(self, house: Any, folder: Path, user: str) -> None:
        self.house, self.folder, self.user = house, folder, user
        self._port, self._media = str(free_port()), str(free_port())

    def start(self, scenario: Path, number: str, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                "sipp", self.house.server, "-sf", str(scenario), "-s", number, "-m", "1",
                "-au", self.user, "-ap", self.house.node.accounts[self.user],
                "-i", "127.0.0.1", "-p", self._port, "-mi", "127.0.0.1", "-mp", self._media,
                "-timeout", str(SECONDS), "-timeout_error", "-nostdin", "-trace_err", *more,
            ],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def ended(self, process: subprocess.Popen[str]) -> None:
        """Wait until it is done; it must have found all that it expected."""
        try:
            output, _ = process.communicate(timeout=SECONDS + 10)
        finally:
            process.kill()
        errors = "".join(log.read_text() for log in self.folder.glob("*errors.log"))
        assert process.returncode == 0, output[-2000:] + errors

    def register(self) -> None:
        text = (
            (Path(__file__).parent / "sipp_register.xml")
            .read_text()
            .replace("sip:sipp@", f"sip:{self.user}@")
        )
        (self.folder / "register.xml").write_text(text)
        self.ended(self.start(self.folder / "register.xml", self.user))
        assert self.user in self.house.node.exchange.registrations


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def turns(key: str, card: dict[str, str]) -> list[tuple[float, str]]:
    """What is keyed, each after so many seconds of silence."""
    return [(1.0, f"{key}#"), (4.0, "1"), (3.5, card["number"] + card["expiry"] + card["cvv"])]


def write_tones(path: Path, keyed: list[tuple[float, str]]) -> None:
    parts = [
        part
        for silence, keys in keyed
        for part in (np.zeros(round(8000 * silence)), dtmf.generate(keys, tone_ms=110, gap_ms=120))
    ]
    path.write_bytes(PCMU.encode(np.round(np.concatenate(parts) * 32767).astype(np.int16)))


def write_events(path: Path, keyed: list[tuple[float, str]]) -> None:
    """A capture of telephone-events (RFC 4733, payload type 101), for SIPp to send."""
    now, packets, sequence, ssrc = 0.0, [], 1000, 0x5157
    for silence, keys in keyed:
        now += silence
        for key in keys:
            stamp = round(now * 8000)
            for n in range(1, 9):  # 100 ms in five packets, then the end, three times
                last = n > 5
                event = struct.pack("!BBH", "0123456789*#".index(key), 0x80 * last | 10, 160 * min(n, 5))
                head = struct.pack("!BBHII", 0x80, 101 | 0x80 * (n == 1), sequence & 0xFFFF, stamp, ssrc)
                packets.append((now + 0.02 * n, head + event))
                sequence += 1
            now += 0.25
    with path.open("wb") as capture:
        capture.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for at, payload in packets:
            udp = struct.pack("!HHHH", 5000, 5000, 8 + len(payload), 0) + payload
            here = socket.inet_aton("127.0.0.1")
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, here, here)
            frame = bytes(12) + b"\x08\x00" + ip + udp
            capture.write(struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(frame), len(frame)) + frame)


@pytest.fixture
def sipp(house: Any, kit: Any, report: Any, tmp_path: Path) -> Any:
    missing = kit.clients["sipp"].missing
    if missing is not None:
        report.row("sipp", "all", "skipped", missing)
        pytest.skip(missing)

    def make(user: str) -> Sipp:
        folder = tmp_path / user
        folder.mkdir()
        return Sipp(house, folder, user)

    return make


def test_it_registers_and_pays_by_each_way_of_keying(
    house: Any, kit: Any, report: Any, sipp: Any, on_reactor: Any
) -> None:
    card = kit.cards["visa-approved"]
    words = [word for word in ("play", "press", "info") if word != "press" or os.geteuid() == 0]
    if "press" not in words:
        report.row("sipp", "pay, keys rfc4733", "skipped", "SIPp sends captures as root only")
    under_way = []
    for n, word in enumerate(words):
        user, key = f"sipp-{word}", f"41000{n}"
        report.row("sipp", f"pay, keys {kit.ways[word]}", "failed")
        on_reactor(house.issue, user, key)
        peer, script, keyed = sipp(user), Scenario(user).invite().answered(), turns(key, card)
        peer.register()
        if word == "play":
            write_tones(peer.folder / "keys.ulaw", keyed)
            script.play('rtp_stream="keys.ulaw,1,0"')
        elif word == "press":
            write_events(peer.folder / "keys.pcap", keyed)
            script.play('play_pcap_audio="keys.pcap"')
        else:
            for silence, keys in keyed:
                script.pause(silence)
                for digit in keys:
                    script.info(digit)
        script.is_hung_up()
        under_way.append((word, key, peer, peer.start(script.write(peer.folder / "pay.xml"), "5000")))
    for _, _, peer, process in under_way:
        peer.ended(process)
    on_reactor(house.node.settle)
    for word, key, peer, _ in under_way:
        [ended] = house.of(peer.user, CallEnded)
        assert (ended.outcome, ended.by) == ("approved", "ivr"), house.story(peer.user)
        assert [e.value for e in house.of(peer.user, EntryAccepted)] == [key, "1", None, None, None]
        keys = house.of(peer.user, KeyPressed)
        assert {k.method for k in keys} == {kit.ways[word]}
        assert len(keys) == 31
        [settled] = house.of(peer.user, ChargeSettled)
        [charge] = house.merchant.charges.charges(order_id=f"ord-{peer.user}")
        assert (settled.result, charge.status, charge.id) == ("approved", "completed", settled.charge_id)
        report.row(
            "sipp", f"pay, keys {kit.ways[word]}", "passed", "31 keys, approved, ledger and stand-in agree"
        )
    report.row("sipp", "register with digest", "passed")
    report.row("sipp", "call", "passed", "PCMU")
    report.row("sipp", "hang-up by the IVR", "passed")


def test_audio_comes_back_and_a_hold_is_resumed(
    house: Any, kit: Any, report: Any, sipp: Any, on_reactor: Any
) -> None:
    features = ("audio there and back", "hold and resume", "hang-up by the caller")
    for feature in features:
        report.row("sipp", feature, "failed")
    peer = sipp("sipp")
    script = Scenario("sipp").invite().answered().pause(3.5)
    script.invite(direction="sendonly").answered().pause(1).invite().answered().pause(3).hang_up()
    before = len(house.studios)
    process = peer.start(script.write(peer.folder / "echo.xml"), "studio", "-rtp_echo")
    studio = kit.until(lambda: house.studios[before:], "the studio was called")[0]
    kit.until(lambda: studio.session.on_hold, "on hold")
    snr, seconds = kit.snr_db(np.concatenate(studio.frames))
    assert seconds > 2
    assert snr > 35
    report.row("sipp", features[0], "passed", f"SNR {snr:.1f} dB")
    kit.until(lambda: not studio.session.on_hold, "resumed")
    at = len(studio.frames)
    ended = on_reactor(lambda: studio.session.ended)
    peer.ended(process)
    assert (ended.by, ended.status) == ("remote", None)
    snr, seconds = kit.snr_db(np.concatenate(studio.frames[at:]))
    assert seconds > 2
    assert snr > 35
    report.row("sipp", features[1], "passed", f"SNR {snr:.1f} dB after it")
    report.row("sipp", features[2], "passed")


def test_a_late_offer_and_a_codec_changed_by_re_invite_and_by_update(
    house: Any, kit: Any, report: Any, sipp: Any, on_reactor: Any
) -> None:
    features = ("offer in the 200, answer in the ACK", "PCMU to PCMA by re-INVITE", "and back by UPDATE")
    for feature in features:
        report.row("sipp", feature, "failed")
    peer = sipp("sipp")
    ulaw = [OFFER.format(version=n, direction="sendrecv") for n in (1, 3, 4)]
    alaw = OFFER.replace("AVP 0", "AVP 8").replace("rtpmap:0 PCMU", "rtpmap:8 PCMA")
    script = Scenario("sipp").invite_without_an_offer().answered(ulaw[0]).pause(3)
    script.invite_without_an_offer().answered(alaw.format(version=2, direction="sendrecv")).pause(3)
    script.update(ulaw[2]).pause(3).hang_up()
    before = len(house.studios)
    process = peer.start(script.write(peer.folder / "late.xml"), "studio", "-rtp_echo")
    studio = kit.until(lambda: house.studios[before:], "the studio was called")[0]
    for feature, codec in zip(features, ("PCMU", "PCMA", "PCMU"), strict=True):
        kit.until(lambda codec=codec: studio.session.codec == codec, codec)
        at = len(studio.frames) + 25
        kit.until(lambda at=at: len(studio.frames) > at + 100, "two seconds of sound")
        snr, _ = kit.snr_db(np.concatenate(studio.frames[at : at + 100]))
        assert snr > 35
        report.row("sipp", feature, "passed", f"SNR {snr:.1f} dB")
    ended = on_reactor(lambda: studio.session.ended)
    peer.ended(process)
    assert (ended.by, ended.status) == ("remote", None)


def test_calling_off_while_it_rings(house: Any, kit: Any, report: Any, sipp: Any, on_reactor: Any) -> None:
    report.row("sipp", "cancel while ringing", "failed")
    peer = sipp("sipp")
    script = Scenario("sipp", branch="z9hG4bK-off-[pid]").invite().ring_and_call_off()
    before = len(house.ringing)
    process = peer.start(script.write(peer.folder / "cancel.xml"), "ringer")
    session = kit.until(lambda: house.ringing[before:], "it rings")[0]
    on_reactor(session.ring)
    ended = on_reactor(lambda: session.ended)
    assert (ended.by, ended.status) == ("remote", 487)
    peer.ended(process)
    report.row("sipp", "cancel while ringing", "passed", "487")
