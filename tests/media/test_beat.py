"""The engine's beat: late ticks are counted, and what they had to say is not all sent at once."""

import gc
import socket
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from twisted.internet.task import Clock

from ivr_sim.errors import ConfigurationError
from ivr_sim.media import PCMU, Beat, MediaEngine
from ivr_sim.media.beat import Metronome
from ivr_sim.media.engine import MAX_BURST
from ivr_sim.media.rtp import Packet, sequence_delta, timestamp_delta

HERE = "127.0.0.1"


@pytest.fixture
def phone():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HERE, 0))
        sock.setblocking(False)
        yield sock


def packets(sock) -> list[Packet]:
    out = []
    while True:
        try:
            out.append(Packet.parse(sock.recv(2048)))
        except BlockingIOError:
            return out


def test_late_ticks_are_counted(engine, clock):
    for step in (0.02, 0.02, 0.024, 0.016, 0.026, 0.014, 0.06):
        clock.advance(step)
    # Due at 140, 160 and 180 ms, begun at 180 ms: two of the last three; and the one at 100, by 6 ms.
    assert engine.beat == Beat(ticks=9, late=3, worst_ms=40.0)


def test_overload_is_three_seconds_in_which_the_beat_is_not_caught_up_with(clock):
    metronome, seen = Metronome(clock), []

    def slow(late):
        seen.append(metronome.overloaded)
        clock.advance(0.025 if len(seen) <= 160 else 0)  # of the 20 ms that there are

    metronome.start(slow)
    clock.advance(0.02)
    assert seen.index(True) == 122  # three seconds later
    assert all(seen[122:160])
    assert not metronome.overloaded  # it was caught up with
    metronome.stop()


def test_a_standstill_is_no_overload(clock):
    metronome = Metronome(clock)
    metronome.start(lambda late: None)
    for standstill in (0.5, 5.0, 0.02, 0.02):
        clock.advance(standstill)
        assert not metronome.overloaded
    metronome.stop()


def test_a_short_standstill_is_made_up_for(engine, clock, ticks, listener, phone):
    engine.open().start(listener(), PCMU, phone.getsockname(), None)
    ticks(5)
    clock.advance(0.02 * MAX_BURST)
    sent = packets(phone)
    assert len(sent) == 5 + MAX_BURST
    assert not any(packet.marker for packet in sent)


def test_after_a_long_one_only_what_is_not_too_late_is_sent(engine, clock, ticks, listener, phone):
    ear = listener()
    engine.open().start(ear, PCMU, phone.getsockname(), None)
    ticks(5)
    before = packets(phone)
    clock.advance(0.02 * (MAX_BURST + 10))
    ticks(3)
    after = packets(phone)
    assert len(after) == MAX_BURST + 3
    assert [packet.marker for packet in after] == [True] + [False] * (len(after) - 1)
    assert sequence_delta(after[0].sequence, before[-1].sequence) == 1  # none is missing
    assert timestamp_delta(after[0].timestamp, before[-1].timestamp) == 11 * 160  # and time has passed
    assert len(ear.frames) == 5 + MAX_BURST + 10 + 3  # for the listener, too


def test_keys_are_sent_however_late_we_are(engine, clock, ticks, listener, phone):
    stream = engine.open()
    stream.start(listener(), PCMU, phone.getsockname(), 101)
    ticks(2)
    stream.press("5")
    clock.advance(0.02 * (MAX_BURST + 12))
    events = [packet.payload.hex() for packet in packets(phone) if packet.payload_type == 101]
    assert events == ["050a00a0", "050a0140", "050a01e0", "050a0280"] + ["058a0320"] * 3


def test_an_icmp_error_deafens_nobody(two_streams, ticks, sine, monkeypatch):
    """Windows tells of a packet that nobody took by an error of the next read."""
    speech = sine(2)
    call = two_streams(speech, speech)
    ticks(20)
    read, errors = call.b.receive_into, [ConnectionResetError(), ConnectionResetError()]

    def reset(*args):
        if errors:
            raise errors.pop()
        return read(*args)

    monkeypatch.setattr(call.b, "receive_into", reset)
    ticks(40)
    assert not errors
    assert call.b.stats.lost == 0
    assert call.b.stats.received >= 58


def test_without_poll_every_socket_is_asked(make_engine, ticks, listener, sine, monkeypatch):
    """As on Windows."""
    monkeypatch.delattr("select.poll", raising=False)
    engine, speech = make_engine(max_streams=2), sine(1)
    engine.start()
    streams, ears = [engine.open() for _ in range(2)], [listener(speech), listener(speech)]
    for stream, other, ear in zip(streams, streams[::-1], ears, strict=True):
        stream.start(ear, PCMU, (HERE, other.local_port), 101)
    ticks(60)
    assert all(stream.stats.lost == 0 and stream.stats.received >= 59 for stream in streams)
    assert all(ear.heard.any() for ear in ears)


def test_an_engine_that_was_stopped_is_freed_at_once():
    """It holds a second of audio for each call that there may be."""
    engine = MediaEngine(Clock(), max_streams=2)
    engine.start()
    engine.open()
    engine.stop()
    gone = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert gone() is None
    finally:
        gc.enable()


def test_windows_is_asked_for_finer_timers_while_it_ticks(make_engine, monkeypatch):
    asked = []
    winmm = SimpleNamespace(
        timeBeginPeriod=lambda ms: asked.append(("begin", ms)),
        timeEndPeriod=lambda ms: asked.append(("end", ms)),
    )
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr("ctypes.windll", SimpleNamespace(winmm=winmm), raising=False)
    engine = make_engine(max_streams=1)
    assert asked == []
    engine.start()
    assert asked == [("begin", 1)]
    engine.stop()
    engine.stop()
    assert asked == [("begin", 1), ("end", 1)]


def test_ipv6(make_engine, ticks, listener, tones):
    engine = make_engine(host="::1", max_streams=2)
    try:
        streams = [engine.open() for _ in range(2)]
    except ConfigurationError:
        pytest.skip("this machine has no IPv6")
    engine.start()
    ears = [listener(tones("159", lead_ms=100)), listener()]
    for stream, other, ear in zip(streams, streams[::-1], ears, strict=True):
        stream.start(ear, PCMU, ("::1", other.local_port), 101)
    ticks(60)
    assert (ears[1].downs, ears[0].downs) == ("159", "")
    assert streams[1].smooth
    assert np.asarray(ears[1].heard).any()
