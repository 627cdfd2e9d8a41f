"""What whole calls leave in their folders: every way of keying, some endings, all at once."""

from __future__ import annotations

import json
import re
import zipfile
from io import BytesIO
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater

from ivr_sim.journal import CallFailed, CallOffered
from ivr_sim.reports import bundle, find_call

pytestmark = pytest.mark.sip

LATE = "8812345"
FILES = {"journal.jsonl", "recording.wav", "picture.png", "ladder.txt", "http.txt", "summary.md"}
INVITE = """\
INVITE sip:5000@{host}:{port} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{mine};branch=z9hG4bKopusonly;rport
From: "Opus" <sip:opus@{host}>;tag=opus
To: <sip:5000@{host}:{port}>
Call-ID: opus-only@test
CSeq: 1 INVITE
Contact: <sip:opus@127.0.0.1:{mine}>
User-Agent: OpusPhone
Content-Type: application/sdp

v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 40000 RTP/AVP 96
a=rtpmap:96 opus/48000/2
"""


class Opus(DatagramProtocol):
    """A telephone with one codec, which is not ours."""

    def __init__(self, house: Any) -> None:
        self.house = house
        self.refused: Deferred[bytes] = Deferred()

    def startProtocol(self) -> None:  # noqa: N802
        assert self.transport is not None
        here, there = self.transport.getHost().port, ("127.0.0.1", self.house.node.exchange.port)
        text = INVITE.format(host=there[0], port=there[1], mine=here)
        self.transport.write(text.replace("\n", "\r\n").encode(), there)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:  # noqa: N802
        if datagram.startswith(b"SIP/2.0 4") and not self.refused.called:
            self.refused.callback(datagram)


def late_for_one(app: Any, usual: Any) -> Any:
    """An authorizer that is late for one payment key."""

    def serve(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        late = LATE in body.decode()
        if late:
            Event().wait(5.3)
        return (app if late else usual)({**environ, "wsgi.input": BytesIO(body)}, start_response)

    return serve


async def call_with_opus(house: Any) -> None:
    phone = Opus(house)
    port = reactor.listenUDP(0, phone, interface="127.0.0.1")
    assert (await phone.refused).startswith(b"SIP/2.0 488")
    await deferLater(reactor, 1.2, lambda: None)  # longer than the folder waits for an ACK
    await port.stopListening()


@pytest.fixture(scope="module")
def house(play, leaks, tmp_path_factory) -> Any:
    scenes = leaks.scenes
    pay = {"ask_key": ["{key}#"], **scenes.paying(scenes.MASTERCARD)}
    calls = {
        "inband": (pay, "inband"),
        "rfc-events": ({**pay, **scenes.paying(scenes.AMEX, scenes.AMEX_CODE)}, "rfc4733"),
        "info": ({**pay, **scenes.paying(scenes.CARNET)}, "info"),
        "declined": ({**pay, "ask_card": [scenes.DECLINED], "ask_another_card": ["2"]}, "rfc4733"),
        "silent": ({}, "inband"),
        "late": ({"ask_key": [f"{LATE}#"]}, "rfc4733"),
        "unknown": ({"ask_key": ["999999#", scenes.MASTERCARD[:12] + "#", scenes.REPEATING + "#"]}, "info"),
    }
    return play(
        tmp_path_factory.mktemp("house"),
        calls,
        also=call_with_opus,
        around=lambda app: late_for_one(app, scenes.around(app, scenes.failing_authorizer)),
    )


@pytest.fixture
def of(house):
    """The texts of a caller's folder, by name."""

    def texts(user: str) -> SimpleNamespace:
        folder = house.root / house.number_of(user)
        return SimpleNamespace(
            folder=folder, **{p.stem: p.read_text() for p in folder.iterdir() if p.suffix in (".txt", ".md")}
        )

    return texts


PAID = ("inband", "rfc-events", "info")


@pytest.mark.parametrize("user", [*PAID, "declined", "silent", "unknown"])
def test_every_call_leaves_every_file(of, user):
    told = of(user)
    assert {path.name for path in told.folder.iterdir()} == FILES
    assert "missing" not in told.summary
    assert all(path.stat().st_mode & 0o077 == 0 for path in told.folder.iterdir())


@pytest.mark.parametrize("user", [*PAID, "silent"])
def test_the_journal_is_the_calls_own(house, of, user):
    lines = [json.loads(line) for line in (of(user).folder / "journal.jsonl").read_text().splitlines()]
    assert lines == [r.as_json() for r in house.records if r.call == house.number_of(user)]


@pytest.mark.parametrize("user", PAID)
def test_the_ladder_has_both_legs_in_order(of, user):
    first, _, _ = of(user).ladder.partition("\n---")
    arrows = re.findall(r"^ *\d+ +-?[0-9.]+  \|([^|]*)\|([^|]*)\|", first, re.MULTILINE)
    names = [
        (re.sub(r"[-<> ]+", " ", left).strip(), re.sub(r"[-<> ]+", " ", right).strip())
        for left, right in arrows
    ]
    ways = [
        ("phone" if left.strip() else "line", (left + right).strip()[-1] == ">") for left, right in arrows
    ]
    steps = [(side, (left or right), out) for (left, right), (side, out) in zip(names, ways, strict=True)]
    told = iter(steps)
    for expected in [
        ("phone", "INVITE +SDP", True), ("line", "INVITE +SDP", True),
        ("line", "200 OK (INVITE) +SDP", False),
        ("phone", "200 OK (INVITE) +SDP", False), ("phone", "ACK", True), ("line", "ACK", True),
        ("line", "BYE", False), ("phone", "BYE", False), ("phone", "200 OK (BYE)", True),
        ("line", "200 OK (BYE)", True),
    ]:  # fmt: skip
        assert expected in told, (expected, steps)


def test_keys_in_the_ladder_are_not_shown(of):
    ladder = of("info").ladder
    assert ladder.count("(a key, not shown)") >= 20
    assert "Signal=" not in ladder


@pytest.mark.parametrize("user", PAID)
def test_http_of_a_payment(house, of, user):
    http = of(user).http
    [key] = [
        r.event.value for r in house.records
        if r.call == house.number_of(user) and getattr(r.event, "field", "") == "payment_key"
    ]  # fmt: skip
    assert f'{{"ivr_key": {key}}}' in http
    assert f'"order_id": "ord-{user}"' in http
    assert http.count("(card, not shown)") == 1
    assert '"status":"completed"' in http
    assert '"card":"(not shown)"' in http
    assert [f"--- {n}:" in http for n in (1, 2, 3)] == [True] * 3
    assert "connected after" in http


def test_a_key_that_may_be_a_card_is_not_shown(of):
    http = of("unknown").http
    assert http.count('{"ivr_key": (the payment key)}') == 2
    assert '{"ivr_key": 999999}' in http
    assert '"La clave (the payment key)) no existe"' in http


def test_calls_at_once_do_not_mix(house, of):
    users = [*PAID, "declined"]
    for user in users:
        told = of(user)
        assert set(re.findall(r"ord-(\w+(?:-events)?)", told.http + told.summary)) == {user}
        ids = set(re.findall(r"^Call-ID: (.*)$", told.ladder, re.MULTILINE))
        [offered] = [
            r.event for r in house.records if isinstance(r.event, CallOffered) and r.event.from_ == user
        ]
        assert ids == {offered.call_id}


@pytest.mark.parametrize("user", ["inband", "silent"])
def test_the_picture_shows_something(of, user):
    with Image.open(of(user).folder / "picture.png") as image:
        image.load()
        assert image.width == 1600
        assert image.height > 400
        colours = image.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 30
    # The bars of prompts, in their own green.
    assert sum(count for count, colour in colours if colour == (190, 222, 196)) > 500


def test_summaries_say_it_in_two_lines(of):
    assert "The payment was approved, 200.00 for order ord-info" in of("info").summary.splitlines()[0]
    declined = of("declined").summary.splitlines()
    assert "the card was declined with error 30" in declined[0]
    assert "«" in declined[1]
    silent = of("silent").summary.splitlines()
    assert "no key was heard" in silent[0]
    assert "RFC 4733, SIP INFO, in-band tones" in silent[1]
    assert "the authorizer refused the payment key (response_code" in of("unknown").summary.splitlines()[0]


def test_settings_without_secrets(of):
    assert "- language = es-MX" in of("info").summary
    assert (
        "- api\\_password = (not shown)" in of("info").summary
        or "api_password = (not shown)" in of("info").summary
    )


def test_a_call_that_is_refused_before_the_ivr_hears_of_it(house, of):
    told = of("opus")
    assert {path.name for path in told.folder.iterdir()} == FILES - {"recording.wav"}
    assert "488 Not Acceptable Here" in told.summary.splitlines()[0]
    assert "User-Agent: OpusPhone" in told.summary
    assert "a=rtpmap:96 opus/48000/2" in told.ladder
    assert "no HTTP request" in told.http
    [failed] = [r for r in house.records if isinstance(r.event, CallFailed)]
    assert failed.call == told.folder.name


def test_no_digit_of_a_card_in_any_file_or_zip(house, leaks, tmp_path):
    folders = sorted(house.root.iterdir())
    for folder in folders:
        bundle(folder, tmp_path / "call.zip")
        with zipfile.ZipFile(tmp_path / "call.zip") as zipped:
            assert zipped.testzip() is None
            zipped.extractall(tmp_path / "open")
        for path in folder.iterdir():
            assert (tmp_path / "open" / f"call-{folder.name}" / path.name).read_bytes() == path.read_bytes()
        if folder != folders[0]:  # to search the pixels of one picture takes long enough
            (tmp_path / "open" / f"call-{folder.name}" / "picture.png").unlink()
    assert len(folders) == 8
    assert leaks.search(tmp_path) == []
    # That it looks there at all:
    with (tmp_path / "open" / "call-0002" / "http.txt").open("a") as file:
        file.write(leaks.scenes.AMEX)
    assert {finding.where for finding in leaks.search(tmp_path)} == {"open/call-0002/http.txt"}


def test_the_last_call_is_the_last_number(house):
    assert find_call(house.root, "last").name == "0008"
    assert find_call(house.root, "3") == house.root / "0003"


def test_a_late_authorizer_is_the_first_thing_said(of):
    told = of("late")
    summary = told.summary.splitlines()
    assert "the authorizer failed: it gave no whole answer in time (5 s are allowed)" in summary[0]
    assert "See what the authorizer does meanwhile" in summary[1]
    assert "timeout after 50" in told.http
    assert "(no whole reply in time)" in told.http
