"""The phone with pyVoIP's face: its documented programs, its 8-bit sound, and its errors."""

from __future__ import annotations

import subprocess
import sys
import threading
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivr_sim.media import MediaEngine
from ivr_sim.sip.audio import Audio
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import response_to
from ivr_sim.sip.phone import (
    AccountRefused,
    Call,
    CallState,
    InvalidRangeError,
    InvalidStateError,
    NoPortsAvailableError,
    Phone,
    PhoneStatus,
    SIPClient,
    VoIPCall,
    VoIPPhone,
)
from ivr_sim.sip.states import SessionState

# A program in the form that pyVoIP's documentation shows: it answers, plays a file, waits for a key,
# and hangs up. Only the line with the import is filled in.
PROGRAM = """
{import_line}
import sys
import threading
import time
import wave

done = threading.Event()

def answer(call):
    try:
        f = wave.open(sys.argv[2], "rb")
        frames = f.getnframes()
        data = f.readframes(frames)
        f.close()

        call.answer()
        call.write_audio(data)
        stop = time.time() + 10
        keys = ""
        while time.time() <= stop and call.state == CallState.ANSWERED:
            dtmf = call.get_dtmf()
            if dtmf == "1":
                keys += dtmf
            elif dtmf == "#":
                heard = call.read_audio(160)
                print("keys", keys, "heard", len(heard), "from", call.request.headers["From"]["number"])
                call.hangup()
                break
            time.sleep(0.05)
        print("state", call.state.value)
    except InvalidStateError:
        print("invalid state")
    finally:
        done.set()

if __name__ == "__main__":
    phone = VoIPPhone("127.0.0.1", int(sys.argv[1]), "doc", "secret-doc", callCallback=answer,
                      myIP="127.0.0.1", sipPort=0, rtpPortLow=21000, rtpPortHigh=23000)
    phone.start()
    print("status", phone.get_status().value, flush=True)
    done.wait(12)
    phone.stop()
    print("status", phone.get_status().value, flush=True)
"""


def in_memory(net: MemoryReactor, engine: MediaEngine, peer: Any, **more: Any) -> Phone:
    """A phone whose reactor is the test's own: everything happens when the clock is advanced."""
    phone = Phone(
        *peer.address[:2], "ivr", "secret", myIP="127.0.0.1", sipPort=0, reactor=net, engine=engine, **more
    )
    phone.start()
    net.run(0.1)
    assert phone.get_status() is PhoneStatus.REGISTERED
    return phone


def ring(net: MemoryReactor, phone: Phone, peer: Any, offer: bytes) -> None:
    peer.request("INVITE", ("127.0.0.1", phone.sip.agent.port), body=offer)
    net.run(0.1)


@pytest.mark.sip
def test_a_documented_program_runs_by_changing_its_import(live: Any, tmp_path: Path, listener: Any) -> None:
    sound = tmp_path / "prompt.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        tone = 128 + 60 * np.sin(2 * np.pi * 440 * np.arange(24000) / 8000)
        file.writeframes(tone.astype(np.uint8).tobytes())
    program = tmp_path / "program.py"
    line = "from ivr_sim.sip.phone import VoIPPhone, CallState, InvalidStateError"
    program.write_text(PROGRAM.format(import_line=line))
    command = [sys.executable, "-W", "error", str(program), str(live.exchange.port), str(sound)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        killer = threading.Timer(25, running.kill)
        killer.start()
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "status REGISTERED\n"
            ana = live.agent("ana")
            ear = listener(level=3000)
            session = live.run(ana.dial, "doc", ear)
            live.wait(session, "answered")
            for digit in "11#":
                live.run(session.stream.press, digit)
            ended = live.wait(session, "ended")
            output, _ = running.communicate(timeout=20)
        finally:
            killer.cancel()
    assert output.splitlines() == [
        "keys 11 heard 160 from ana",
        "state ENDED",
        "status INACTIVE",
    ]
    assert running.returncode == 0
    assert (ended.by, ended.status) == ("remote", None)
    assert 14000 < ear.loudest() < 17000


@pytest.mark.sip
def test_phone_calls_phone(live: Any) -> None:
    """Plain callback and blocking methods on one side, a blocking caller on the other."""
    attended: dict[str, Any] = {}
    over = threading.Event()

    def attend(call: Call) -> None:
        attended["thread"] = threading.current_thread()
        call.answer()
        attended["first"] = call.read_audio(8000)
        attended["state"] = call.state
        while call.state == CallState.ANSWERED:
            call.read_audio(1600)  # released by the end of the call
        attended["after"] = call.read_audio(160)
        over.set()

    options: dict[str, Any] = {
        "myIP": "127.0.0.1",
        "sipPort": 0,
        "reactor": live.reactor,
        "engine": live.engine,
    }
    bob = Phone(*live.server[:2], "bob", "secret-bob", callCallback=attend, **options)
    ana = Phone(*live.server[:2], "ana", "secret-ana", **options)
    bob.start()
    ana.start()
    call = ana.call("bob")
    assert call.state in (CallState.DIALING, CallState.ANSWERED)
    live.wait(call.session, "answered")
    assert call.state == CallState.ANSWERED
    call.write_audio(bytes([128 + 64, 128 - 64] * 8000))
    assert len(call.read_audio(320)) == 320
    with pytest.raises(InvalidStateError):
        call.answer()
    live.wait(bob.calls[next(iter(bob.calls))].session, "answered")
    assert live.run(lambda: None) is None
    waited = threading.Event()
    live.reactor.callFromThread(live.reactor.callLater, 1.5, waited.set)
    assert waited.wait(10)
    call.hangup()
    assert over.wait(10)
    assert call.state == CallState.ENDED
    assert attended["thread"].daemon
    assert attended["state"] == CallState.ANSWERED
    samples = np.frombuffer(attended["first"], np.uint8).astype(int) - 128
    assert samples.max() == pytest.approx(64, abs=3)
    assert samples.min() == pytest.approx(-64, abs=3)
    assert len(attended["after"]) == 160
    assert bob.calls == {}
    with pytest.raises(InvalidStateError):
        call.hangup()
    assert call.read_audio() == b"\x80" * 160
    for phone in (ana, bob):
        phone.stop()
        assert phone.get_status() is PhoneStatus.INACTIVE


@pytest.mark.sip
def test_a_wrong_password_is_told_in_both_languages(live: Any) -> None:
    from pyVoIP.SIP import InvalidAccountInfoError

    phone = Phone(*live.server[:2], "ana", "wrong", myIP="127.0.0.1", sipPort=0, reactor=live.reactor)
    with pytest.raises(AccountRefused, match="not registered at 127") as caught:
        phone.start()
    assert isinstance(caught.value, InvalidAccountInfoError)
    assert phone.get_status() is PhoneStatus.FAILED


def test_the_names_are_pyvoip_s(net: MemoryReactor, engine: MediaEngine) -> None:
    import pyVoIP.VoIP
    from pyVoIP import SIP

    assert VoIPPhone is Phone
    assert VoIPCall is Call
    assert issubclass(Phone, pyVoIP.VoIP.VoIPPhone)
    assert issubclass(Call, pyVoIP.VoIP.VoIPCall)
    assert issubclass(SIPClient, SIP.SIPClient)
    assert CallState is pyVoIP.VoIP.CallState
    with pytest.raises(InvalidRangeError):
        Phone("127.0.0.1", 5060, "a", "b", rtpPortLow=20000, rtpPortHigh=10000, reactor=net, engine=engine)


def test_a_coroutine_runs_on_the_reactor_with_the_same_call(
    net: MemoryReactor, engine: MediaEngine, peer: Any, offer: bytes, listener: Any
) -> None:
    seen: list[Any] = []
    ear = listener()

    async def attend(call: Call) -> None:
        seen.append(call)
        call.session.answer(ear)
        await call.session.answered
        seen.append(threading.current_thread())
        ended = await call.session.ended
        seen.append(ended.by)

    phone = in_memory(net, engine, peer, callCallback=attend)
    ring(net, phone, peer, offer)
    call, thread = seen
    assert phone.calls == {"call-1": call}
    assert thread is threading.current_thread()
    headers = call.request.headers
    assert headers["From"] == {
        "raw": '"Ana" <sip:ana@ivr.test>',
        "tag": "them",
        "address": "ana@ivr.test",
        "number": "ana",
        "caller": "Ana",
        "host": "ivr.test",
    }
    assert headers["To"]["number"] == "5000"
    assert headers["Call-ID"] == call.call_id == "call-1"
    peer.request("BYE", ("127.0.0.1", phone.sip.agent.port), to_tag=peer.take(200).to.tag, number=2)
    net.run(0.1)
    assert seen[2] == "remote"
    assert phone.calls == {}
    phone.stop()
    net.run(3)
    assert phone.get_status() is PhoneStatus.INACTIVE


def test_a_callback_that_fails_does_not_leave_the_call_ringing(
    net: MemoryReactor, engine: MediaEngine, peer: Any, offer: bytes
) -> None:
    async def attend(call: Call) -> None:
        raise RuntimeError("dialogue")

    phone = in_memory(net, engine, peer, callCallback=attend)
    ring(net, phone, peer, offer)
    assert peer.take(480).call_id == "call-1"
    phone.stop()
    net.run(3)


def test_without_a_callback_calls_are_busy(
    net: MemoryReactor, engine: MediaEngine, peer: Any, offer: bytes
) -> None:
    phone = in_memory(net, engine, peer)
    ring(net, phone, peer, offer)
    assert peer.take(486).call_id == "call-1"
    assert phone.calls == {}
    phone.stop()
    net.run(3)


def test_states_and_what_they_allow(net: MemoryReactor, engine: MediaEngine, peer: Any, offer: bytes) -> None:
    rang: list[Call] = []

    async def attend(call: Call) -> None:
        rang.append(call)

    phone = in_memory(net, engine, peer, callCallback=attend)
    ring(net, phone, peer, offer)
    (call,) = rang
    assert call.state is CallState.RINGING
    with pytest.raises(InvalidStateError):
        call.hangup()
    call.deny()
    assert call.state is CallState.ENDED
    with pytest.raises(InvalidStateError):
        call.deny()
    with pytest.raises(InvalidStateError):
        call.answer()
    dialled = phone.call("5000")
    net.run(0.1)
    invite = peer.take("INVITE")
    peer.send(response_to(invite, 180, to_tag="x"), ("127.0.0.1", phone.sip.agent.port))
    net.run(0.1)
    assert dialled.session.state is SessionState.RINGING
    assert dialled.state is CallState.DIALING
    dialled.hangup()
    net.run(0.1)
    peer.take("CANCEL")
    assert dialled.state is CallState.ENDED
    phone.stop()
    net.run(3)
    with pytest.raises(InvalidStateError):
        phone.call("5000")


def test_keys_sound_and_no_waiting_on_the_reactor(
    net: MemoryReactor, engine: MediaEngine, peer: Any, offer: bytes
) -> None:
    rang: list[Call] = []

    async def attend(call: Call) -> None:
        rang.append(call)
        call.answer()

    phone = in_memory(net, engine, peer, callCallback=attend)
    ring(net, phone, peer, offer)
    (call,) = rang
    assert call.get_dtmf() == ""
    for key in "12#":
        call.session.stream.info_key(key, 100)
        net.run(0.3)
    assert [call.get_dtmf(), call.get_dtmf(5), call.get_dtmf()] == ["1", "2#", ""]
    heard = call.read_audio(1600, blocking=True)
    assert heard == b"\x80" * 1600
    phone.stop()
    net.run(3)


def test_no_port_for_media_is_told(net: MemoryReactor, peer: Any) -> None:
    small = MediaEngine(net, max_streams=1)
    phone = in_memory(net, small, peer)
    phone.call("5000")
    with pytest.raises(NoPortsAvailableError):
        phone.call("5001")
    phone.stop()
    net.run(3)
    small.stop()


def test_a_phone_has_an_engine_of_its_own_when_none_is_given(net: MemoryReactor, peer: Any) -> None:
    phone = Phone(
        *peer.address[:2],
        "ivr",
        "x",
        myIP="127.0.0.1",
        sipPort=0,
        rtpPortLow=24000,
        rtpPortHigh=25000,
        reactor=net,
    )
    phone.start()
    net.run(0.1)
    call = phone.call("5000")
    assert 24000 <= call.session.stream.local_port <= 25000
    phone.stop()
    net.run(3)
    assert net.getDelayedCalls() == []


def frames(audio: Audio, count: int) -> bytes:
    """What is spoken in so many ticks, as 8-bit bytes."""
    said = (audio.tick(np.zeros(160, np.int16)) for _ in range(count))
    return b"".join(
        b"." * 160 if frame is None else ((frame >> 8) + 128).astype(np.uint8).tobytes() for frame in said
    )


def test_eight_bit_sound_goes_out_as_it_was_written_in_pieces_of_any_length() -> None:
    audio = Audio(lambda digit: None)
    data = bytes(range(256)) * 2
    for start, end in ((0, 1), (1, 200), (200, 200), (200, 512)):
        audio.write(data[start:end])
    spoken = frames(audio, 5)
    assert spoken[:512] == data
    assert spoken[512:640] == b"\x80" * 128
    assert spoken[640:] == b"." * 160


def test_eight_bit_sound_that_was_heard() -> None:
    audio = Audio(lambda digit: None)
    audio.tick(np.array([-32768, -256, -1, 0, 255, 256, 32767] + [0] * 153, np.int16))
    assert audio.read(7, wait=True) == bytes([0, 127, 127, 128, 128, 129, 255])
    assert audio.read(200, wait=False) == b"\x80" * 200
    for _ in range(3100):
        audio.tick(np.full(160, 256, np.int16))
    assert len(audio.read(10**6, wait=False).rstrip(b"\x80")) == 60 * 8000  # no more is kept
    audio.close()
    assert audio.read(160, wait=True) == b"\x80" * 160


def run_together(function: Callable[[], bytes], release: Callable[[], None]) -> bytes:
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(function()), daemon=True)
    thread.start()
    release()
    thread.join(10)
    assert not thread.is_alive()
    return got[0]


def test_the_end_of_the_call_releases_who_waits_for_sound() -> None:
    audio = Audio(lambda digit: None)
    assert run_together(lambda: audio.read(160, wait=True), audio.close) == b"\x80" * 160
