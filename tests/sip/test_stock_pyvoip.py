"""Stock pyVoIP, which we did not write, as a caller: registers, is answered, hears us, hangs up."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

STOCK = """
import sys, time, warnings
warnings.simplefilter("ignore")
from pyVoIP.VoIP import VoIPPhone, CallState

phone = VoIPPhone("127.0.0.1", int(sys.argv[1]), "ana", "secret-ana", myIP="127.0.0.1",
                  sipPort=int(sys.argv[2]), rtpPortLow=26000, rtpPortHigh=28000, callCallback=None)
phone.start()
print("status", phone.get_status().value, flush=True)
time.sleep(1.2)  # its receive loop starts that late
call = phone.call("5000")
deadline = time.monotonic() + 6
while call.state == CallState.DIALING and time.monotonic() < deadline:
    time.sleep(0.02)
print("state", call.state.value, flush=True)
loudest = 0
deadline = time.monotonic() + 6
while loudest < 50 and time.monotonic() < deadline and call.state == CallState.ANSWERED:
    loudest = max(abs(byte - 128) for byte in call.read_audio(160, False))
    time.sleep(0.01)
print("heard", loudest, flush=True)
call.write_audio(bytes([188, 68]) * 4000)
time.sleep(1)
call.hangup()
time.sleep(0.5)
import os
os._exit(0)
"""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.sip
@pytest.mark.interop
def test_stock_pyvoip_calls_our_phone(live: Any, listener: Any) -> None:
    ear = listener(level=16000)
    rang: list[Any] = []
    ringing = threading.Event()

    def answer(session: Any) -> None:
        rang.append(session)
        session.answer(ear)
        ringing.set()

    live.agent("ivr", answer)
    command = [sys.executable, "-c", STOCK, str(live.exchange.port), str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        killer = threading.Timer(25, running.kill)
        killer.start()
        try:
            assert ringing.wait(12)
            ended = live.wait(rang[0], "ended", 14)
            output, _ = running.communicate(timeout=20)
        finally:
            killer.cancel()
    lines = output.splitlines()
    assert lines[0] == "status REGISTERED"
    assert lines[1] == "state ANSWERED"
    assert int(lines[2].split()[1]) == pytest.approx(16000 / 256, abs=3)
    assert (ended.by, ended.status) == ("remote", None)
    (session,) = rang
    assert (session.caller, session.dialled, session.codec) == ("ana", "5000", "PCMU")
    assert session.user_agent.startswith("pyVoIP")
    assert ear.loudest() > 10000
