"""Telephones that we did not write call the IVR, each with its own SIP, RTP and way of keying.

All call at once; each test looks at one of them. A payer keys the payment key, rejects the amount, and the
IVR hangs up; one hangs up itself. The softphones are driven by what the journal says was said.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from twisted.internet import reactor

import dtmf
from ivr_sim.journal import (
    CallAnswered,
    CallEnded,
    CallOffered,
    EntryAccepted,
    Journal,
    KeyPressed,
    PromptStarted,
    Record,
)
from ivr_sim.media import PCMU
from ivr_sim.merchant import Merchant
from ivr_sim.node import MERCHANT_KEYS, Node, local_now

pytestmark = [pytest.mark.interop, pytest.mark.sip]

HERE = Path(__file__).parent
SCRIPTS = HERE.parent.parent / "fixtures" / "softphones"
KEY = "123456"
SECONDS = 60  # that a call may take

NEEDS = {
    "pjsua2": (find_spec("pjsua2") is not None, "pjsua2 is missing: pip install -e '.[interop]'"),
    "baresip": (shutil.which("baresip") is not None, "baresip is missing (Debian: apt install baresip)"),
    "sipp": (shutil.which("sipp") is not None, "SIPp is missing (Debian: apt install sip-tester)"),
}
# Per prompt that begins, what the softphone is told; PLAY: the keys as tones in its own audio.
IN_BAND = {"ask_key": f"PLAY {KEY}#", "ask_accept": "PLAY 2"}
EVENTS = {"ask_key": f"press {KEY}#", "ask_accept": "press 2"}


@dataclass
class Peer:
    """One caller: which softphone it is, and what it does."""

    kind: str
    method: str
    script: dict[str, str] = field(default_factory=dict)
    outcome: str = "rejected"
    by: str = "ivr"


PEERS = {
    "pjsua2-tones": Peer("pjsua2", "inband", IN_BAND),
    "pjsua2-events": Peer("pjsua2", "rfc4733", EVENTS),
    "pjsua2-hangs-up": Peer("pjsua2", "inband", IN_BAND | {"ask_accept": "hangup"}, "abandoned", "caller"),
    "baresip-tones": Peer("baresip", "inband", IN_BAND),
    "baresip-events": Peer("baresip", "rfc4733", EVENTS),
    "sipp": Peer("sipp", "inband, info"),
}


@dataclass
class Call:
    """What came of one peer's call."""

    exit_code: int | None = None
    output: str = ""
    records: list[Record] = field(default_factory=list)
    registered: bool = False

    def of(self, *kinds: type) -> list[Any]:
        return [r.event for r in self.records if isinstance(r.event, kinds)]


class Stage:
    """A node on the running reactor, and what its journal says of each peer."""

    def __init__(self, folder: Path, users: tuple[str, ...]) -> None:
        self.folder = folder
        self.calls = {user: Call() for user in users}
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self._callers: dict[str | None, str] = {}
        self._said: set[tuple[str, str]] = set()
        journal = Journal(local_now)
        journal.subscribe(self._follow)
        self.merchant = Merchant(reactor, folder / "services", now=local_now)
        self.node = Node(reactor, self.merchant, journal, data=folder, accounts=users)

    async def start(self) -> str:
        self.merchant.start()
        self.merchant.keys.issue(
            Decimal("200.00"), "Cargo IVR", "ord-1", expires_in=timedelta(hours=1), key=KEY
        )
        await self.node.start()
        return f"127.0.0.1:{self.node.exchange.port}"

    async def stop(self) -> None:
        await self.node.stop()
        await self.merchant.stop()

    def _follow(self, record: Record) -> None:
        event = record.event
        if isinstance(event, CallOffered):
            self._callers[record.call] = event.from_
        user = self._callers[record.call]
        self.calls[user].records.append(record)
        if isinstance(event, PromptStarted) and (user, event.name) not in self._said:
            self._said.add((user, event.name))
            self.calls[user].registered |= user in self.node.exchange.registrations
            command = PEERS[user].script.get(event.name)
            if command is not None:
                self._tell(user, command)

    def _tell(self, user: str, command: str) -> None:
        word, _, keys = command.partition(" ")
        if word == "PLAY":
            path = self.folder / f"{user}-{len(keys)}.wav"
            dtmf.write_wav(path, tones(keys), 8000)
            command = f"play {path}"
        pipe = self.processes[user].stdin
        assert pipe is not None
        pipe.write(command + "\n")
        pipe.flush()


def tones(keys: str) -> np.ndarray:
    """The keys as a person's telephone would sound: float32, shape (n,), 8 kHz."""
    return dtmf.generate(keys, tone_ms=110, gap_ms=120, lead_ms=500, tail_ms=200)


def call_by_script(stage: Stage, user: str, server: str) -> None:
    """A headless softphone, told by lines on its standard input."""
    script = SCRIPTS / f"{PEERS[user].kind}_phone.py"
    process = subprocess.Popen(
        [sys.executable, str(script), server, user, stage.node.accounts[user], MERCHANT_KEYS],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    stage.processes[user] = process
    watch(stage, user, process)


def call_by_sipp(stage: Stage, user: str, server: str) -> None:
    """SIPp registers, then calls, from one port."""
    folder = stage.folder / "sipp"
    folder.mkdir()
    samples = np.round(tones(f"{KEY}#") * 32767).astype(np.int16)
    (folder / "key.ulaw").write_bytes(PCMU.encode(samples))
    port, media = str(free_port()), str(free_port())
    for scenario in ("sipp_register.xml", "sipp_call.xml"):
        process = subprocess.Popen(
            [
                "sipp", server, "-sf", str(HERE / scenario), "-s", MERCHANT_KEYS, "-m", "1",
                "-au", user, "-ap", stage.node.accounts[user],
                "-i", "127.0.0.1", "-p", port, "-mi", "127.0.0.1", "-mp", media,
                "-timeout", str(SECONDS), "-timeout_error", "-nostdin", "-trace_err",
            ],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        watch(stage, user, process)
        if process.returncode != 0:
            break
    for log in folder.glob("*errors.log"):
        stage.calls[user].output += log.read_text()


def watch(stage: Stage, user: str, process: subprocess.Popen[str]) -> None:
    """Wait for a process's end, or make an end of it."""
    killer = threading.Timer(SECONDS + 5, process.kill)
    killer.start()
    output = ""
    assert process.stdout is not None
    with process:
        output = process.stdout.read()
        process.wait()
    killer.cancel()
    stage.calls[user].output += output
    stage.calls[user].exit_code = process.returncode


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def scene(on_reactor: Callable[..., Any], tmp_path_factory: Any) -> Iterator[dict[str, Call]]:
    users = tuple(user for user, peer in PEERS.items() if NEEDS[peer.kind][0])
    stage = on_reactor(lambda: Stage(tmp_path_factory.mktemp("stage"), users))
    try:
        server = on_reactor(stage.start)
        threads = [
            threading.Thread(
                target=call_by_sipp if PEERS[user].kind == "sipp" else call_by_script,
                args=(stage, user, server), name=user,
            )
            for user in users
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 2 * SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        on_reactor(stage.node.settle)
        yield stage.calls
    finally:
        on_reactor(stage.stop)


@pytest.mark.parametrize("user", PEERS)
def test_a_foreign_telephone(request: Any, user: str) -> None:
    peer = PEERS[user]
    found, missing = NEEDS[peer.kind]
    if not found:
        pytest.skip(missing)
    call = request.getfixturevalue("scene")[user]
    assert call.exit_code == 0, call.output
    assert call.registered
    [offered], [answered], [ended] = call.of(CallOffered), call.of(CallAnswered), call.of(CallEnded)
    assert peer.kind in offered.user_agent.lower()
    assert (offered.to, answered.codec) == (MERCHANT_KEYS, "PCMU")
    assert (ended.outcome, ended.by) == (peer.outcome, peer.by)
    entries = {e.field: e.value for e in call.of(EntryAccepted)}
    assert entries == {"payment_key": KEY} | ({"accept": "2"} if peer.by == "ivr" else {})
    keys = call.of(KeyPressed)
    assert len(keys) == len(f"{KEY}#") + (peer.by == "ivr")
    assert {k.method for k in keys} == set(peer.method.split(", "))
    if peer.kind != "sipp":
        said = [line for line in call.output.splitlines() if line in ("answered", "ended")]
        assert said == ["answered", "ended"]
