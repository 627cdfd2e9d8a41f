"""What docs/card-data.md promises and no other test holds, and that the tests it names exist."""

from __future__ import annotations

import gc
import logging
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from twisted.internet.task import Clock

from authorizer import KeyStore, create_app
from dtmf import KEYS_12
from ivr_sim.cli.running import open_private
from ivr_sim.clients.authorizer import _without
from ivr_sim.legs.collector import Key, Press
from ivr_sim.media import MediaEngine
from ivr_sim.media.g711 import PCMU
from ivr_sim.media.keys import KeyDown, KeyUp
from ivr_sim.media.rtp import Packet
from ivr_sim.media.telephone_event import EventEnded, EventStarted, event_payload
from ivr_sim.sip import info
from ivr_sim.sip.address import Address
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Request, parse, response_to
from ivr_sim.sip.transactions import TransactionLayer
from ivr_sim.sip.transport import UdpEndpoint

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "card-data.md"
HERE, THERE = Address("127.0.0.1", 5060), Address("127.0.0.1", 5070)


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 20
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source or f"class {test}" in source, f"{file}::{test}"


# A key on its way through the house --------------------------------------------------------------


def inform(body: bytes, kind: str = "application/dtmf-relay", **more: str) -> bytes:
    headers = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in more.items())
    return (
        "INFO sip:5000@ivr.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1\r\n"
        "From: <sip:u@h>;tag=f\r\nTo: <sip:h>;tag=t\r\nCall-ID: c\r\nCSeq: 7 INFO\r\n"
        f"{headers}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


@pytest.mark.parametrize("digit", KEYS_12)
def test_what_holds_a_key_does_not_show_it(digit: str) -> None:
    """Two keys look the same in all forms in which they are handed on."""
    other = "5" if digit != "5" else "6"

    def forms(key: str) -> str:
        kind, body = info.write_key(key, 160)
        request = parse(inform(body, kind))
        assert isinstance(request, Request)
        event = KEYS_12.index(key)
        things: list[Any] = [
            request, request.copy(), response_to(request, 200, body=body), info.read_key(kind, body),
            Packet(101, 1, 2, 3, event_payload(event, 800)), EventStarted(key, 1, 2),
            EventEnded(key, 1, 2, 100, -10.0), KeyDown(key, "inband", 1.0),
            KeyUp(key, "inband", 1.0, 100, -10.0), Key(key, Press(1.0)),
        ]  # fmt: skip
        return "\n".join(f"{thing!r} {thing}" for thing in things)

    assert forms(digit) == forms(other)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dtmf-relay", b"Signal=4\r\nDuration=160\r\n"),
        ("application/dtmf", b"4"),
        ("application/vnd.nortelnetworks.digits", b"p=Digit-Collection\r\ny=Digits\r\nd=4\r\n"),
        ("text/plain", b"4111111111111111"),
        ("multipart/mixed;boundary=x", b"--x\r\nContent-Type: application/sdp\r\n\r\n4111\r\n--x--"),
    ],
)
def test_a_trace_shows_no_body_that_may_be_a_key(kind: str, body: bytes) -> None:
    whole = inform(body, kind)
    shown = info.masked(whole)
    assert len(shown) == len(whole)
    assert shown == whole[: -len(body)] + b"x" * len(body)


def test_a_trace_shows_session_descriptions_and_what_has_no_body() -> None:
    for whole in (
        inform(b"v=0\r\n", "application/sdp"),
        inform(b"v=0\r\n", "Application/SDP; charset=utf-8"),
        inform(b""),
        b"\r\n\r\n",
        b"",
    ):
        assert info.masked(whole) == whole
    assert info.masked(inform(b"4", "application/sdp2"))[-1:] == b"x"
    torn = b"INFO sip:h SIP/2.0\r\nContent-Type: application/sdp\r\nSignal=4"
    assert info.masked(torn) == b"INFO sip:h SIP/2.0\r\n" + b"x" * 39


def test_the_endpoints_trace_is_masked_both_ways() -> None:
    reactor = MemoryReactor()
    traced: list[bytes] = []
    endpoint = UdpEndpoint(reactor, port=5060, trace=lambda direction, data, peer: traced.append(data))
    endpoint.start()
    reactor.inject(inform(b"Signal=4\r\n"), THERE, HERE)
    reactor.inject(inform(b"Signal=4\r\n").replace(b"CSeq: 7", b"CSeq: x"), THERE, HERE)
    endpoint.send(parse(inform(b"Signal=4\r\n")), THERE)  # type: ignore[arg-type]
    assert len(traced) == 4  # with the refusal of the one that is broken
    assert not any(b"Signal" in data for data in traced)


@pytest.mark.parametrize("broken", ["handler", "layer"])
def test_an_error_on_the_way_of_a_key_is_logged_without_it(
    broken: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by structlog's own settings, which show the variables of every frame."""
    structlog.reset_defaults()
    reactor = MemoryReactor()
    endpoint = UdpEndpoint(reactor, port=5060)

    def fail(*what: Any) -> None:
        digits = "4111" + "1111"
        raise ValueError(f"{digits} is more than I can take: {what}")

    layer = TransactionLayer(reactor, endpoint, fail)
    if broken == "layer":
        monkeypatch.setattr(endpoint, "on_message", fail)
    endpoint.start()
    reactor.inject(inform(b"Signal=4\r\nDuration=41111\r\n"), THERE, HERE)
    layer.close()
    said = "".join(capsys.readouterr())
    assert "could not be handled" in said
    assert "ValueError" in said
    assert "test_card_data.py" in said  # where it happened
    assert "4111" not in said
    assert "Signal" not in said


def test_a_stream_that_is_closed_knows_no_key() -> None:
    engine = MediaEngine(Clock())
    try:
        stream = engine.open()
        nothing = SimpleNamespace(
            tick=lambda heard: None, key_down=lambda *key: None, key_up=lambda *key: None
        )
        stream.start(nothing, PCMU, ("127.0.0.1", 9), 101)
        for digit in "987":
            stream.info_key(digit, 81_007)
            stream.press(digit)

        def known() -> list[object]:
            """The keys that came and that wait to be sent; and who would hear of the next."""
            gc.collect()
            objects = gc.get_objects()
            came = [o for o in objects if type(o).__name__ == "_Key" and o.end - o.start > 81]
            waiting = [o for o in objects if type(o).__name__ == "EventSender"]
            return [*came, *waiting, *(o for o in gc.get_referrers(nothing) if o is stream.__dict__)]

        assert len(known()) >= 6
        stream.close()
        assert known() == []
    finally:
        engine.stop()


def test_digits_are_revealed_in_three_places() -> None:
    revealing = {
        path.relative_to(ROOT).as_posix()
        for package in ("ivr_sim", "authorizer", "dtmf")
        for path in (ROOT / package).rglob("*.py")
        if ".reveal()" in path.read_text(encoding="utf-8")
    }
    assert revealing == {"ivr_sim/call.py", "ivr_sim/clients/openpay.py", "ivr_sim/dialogue/entry.py"}


# A card keyed where the payment key was asked for ------------------------------------------------


def test_the_authorizer_neither_logs_nor_keeps_a_key_that_it_refuses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store = KeyStore(f"sqlite:///{tmp_path}/keys.sqlite3", now=lambda: datetime(2026, 11, 23, tzinfo=UTC))
    store.issue(Decimal("200.00"), "Cargo IVR", "ord-1", expires_in=timedelta(hours=1), key="730915")
    client = create_app(store, user="openpay", password="a long password").test_client()
    bodies = ['{"ivr_key": 411111111111}', '{"ivr_key": "4111111111111111"}', '{"ivr_key": 4111111111111111',
              '{"ivr_key": 411111.5}', '{"4111111111111111": 1}', "4111111111111111"]  # fmt: skip
    for body in bodies:
        for auth in (("openpay", "a long password"), ("openpay", "4111111111111111"), None):
            reply = client.post("/openpay/authorizer", data=body, content_type="application/json", auth=auth)
            assert b"4111" not in reply.data + str(reply.headers).encode()
    store.close()
    assert "looked a payment key up: unknown" in caplog.text
    assert "4111" not in caplog.text
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"730915" in kept
    assert b"4111" not in kept


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("La clave 411111111111 no existe", "La clave  no existe"),
        ("4111 1111-1111? 411111111111", "? "),
        ("La clave 411.111,111.111 no", "La clave  no"),
        ("La clave 123 no existe", "La clave 123 no existe"),
    ],
)
def test_a_refusal_that_repeats_the_key_is_said_without_it(said: str, left: str) -> None:
    assert _without("411111111111", said) == left


# Crashes and files ---------------------------------------------------------------------------------

CRASH = """
import os, resource, subprocess, sys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
from ivr_sim import cli
cli.cli = lambda **more: None
cli.main()
print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
show = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])"
subprocess.run([sys.executable, "-c", show], check=True)
os.abort()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no core dumps there")
def test_a_crash_of_a_command_or_of_its_children_leaves_no_core(tmp_path: Path) -> None:
    crashed = subprocess.run(
        [sys.executable, "-c", CRASH],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert crashed.returncode == -6, crashed.stderr
    ours, childs = crashed.stdout.split()
    assert ours == childs
    # Linux takes a limit of 1 to mean that no program gets the image either.
    assert int(ours) <= 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="rights are otherwise there")
def test_a_journal_is_for_its_owner_only(tmp_path: Path) -> None:
    old = tmp_path / "journal.jsonl"
    old.write_text("an older one, for everybody\n")
    old.chmod(0o644)
    for path in (old, tmp_path / "new.jsonl"):
        before = os.umask(0)
        try:
            with open_private(path) as file:
                file.write("{}\n")
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() == "{}\n"
