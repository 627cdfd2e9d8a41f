"""Streams that run smoothly are ticked all at once: nobody can tell, but by the clock."""

import socket

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

import dtmf
from ivr_sim.media import PCMA, PCMU, MediaEngine
from ivr_sim.media.rtp import Packet
from ivr_sim.media.telephone_event import event_payload

HERE = "127.0.0.1"
TAPE = np.round(32767 * dtmf.generate("159#D", tone_ms=80, gap_ms=70, lead_ms=60)).astype(np.int16)


@pytest.fixture(scope="module")
def wire():
    """Two sockets: the caller's, and a stranger's."""
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in made:
        sock.bind((HERE, 0))
    yield made
    for sock in made:
        sock.close()


class Sender:
    """Makes packets, each of them as ``what`` says; most are 20 ms of PCMU, next in everything."""

    def __init__(self) -> None:
        self.sequence, self.timestamp, self.ssrc = 65500, 2**32 - 2000, 7
        self.position = 0

    def packet(self, what: str) -> bytes:
        size = {"short": 80, "long": 240, "odd": 100}.get(what, 160)
        codec = PCMA if what == "pcma" else PCMU
        if what == "ssrc":
            self.ssrc, self.sequence, self.timestamp = self.ssrc + 1, 3, 1 << 20
        elif what == "takeover":
            self.ssrc += 1
        elif what == "jump":
            self.timestamp += 160 * 700 + 33
        elif what == "gap":
            self.sequence += 4000
        payload_type, payload = codec.payload_type, codec.encode(self.sound(size))
        if what == "event":
            payload_type, payload, size = 101, event_payload(3, 800, end=True), 160
        elif what == "noise":
            payload_type, payload, size = 13, bytes((60,)), 160
        self.sequence, self.timestamp = (self.sequence + 1) & 0xFFFF, self.timestamp & 0xFFFFFFFF
        extension = (0xBEDE, bytes(4)) if what == "extension" else None
        packet = Packet(
            payload_type,
            self.sequence,
            self.timestamp,
            self.ssrc,
            payload,
            marker=what == "marked",
            extension=extension,
            padding=4 if what == "padded" else 0,
        )
        self.timestamp += size
        return packet.serialise()

    def sound(self, size: int) -> np.ndarray:
        sound = np.resize(np.roll(TAPE, -self.position), size)
        self.position = (self.position + size) % len(TAPE)
        return sound


KINDS = [
    "marked",
    "pcma",
    "short",
    "long",
    "odd",
    "ssrc",
    "takeover",
    "jump",
    "gap",
    "event",
    "noise",
    "extension",
    "padded",
]
FATES = ["lost", "twice", "late", "very late", "stranger", "garbage"]


@st.composite
def schedules(draw):
    """Ticks, each as what is sent before it; and how many ticks pass at once."""
    ticks = []
    for _ in range(draw(st.integers(1, 8))):
        smooth = draw(st.integers(0, 12))
        ticks += [[("", "")]] * smooth
        odd = draw(
            st.lists(st.tuples(st.sampled_from(["", *KINDS]), st.sampled_from(["", *FATES])), max_size=6)
        )
        ticks.append(odd)
    standstills = draw(st.dictionaries(st.integers(0, 60), st.sampled_from([2, 3, 7, 30]), max_size=3))
    return ticks, standstills


def play(ticks, standstills, wire, listener):
    """The same packets for two engines, of which the second takes each by hand: what both made of them."""
    clock = Clock()
    engines = [
        MediaEngine(clock, max_streams=2),
        MediaEngine(clock, max_streams=2, through=lambda sock: sock),
    ]
    caller, stranger = wire
    smooth = 0
    try:
        streams, heard = [engine.open() for engine in engines], [listener(), listener()]
        for engine, stream, ear in zip(engines, streams, heard, strict=True):
            engine.start()
            stream.start(ear, PCMU, caller.getsockname(), 101)
        sender, delayed = Sender(), []
        for n, sent in enumerate(ticks):
            arriving = [data for due, data in delayed if due == n]
            sources = [caller] * len(arriving)
            for what, fate in sent:
                data = sender.packet(what)
                if fate in ("late", "very late"):
                    delayed.append((n + (1 if fate == "late" else 5), data))
                    continue
                copies = {"lost": 0, "twice": 2}.get(fate, 1)
                arriving += [data[:7] if fate == "garbage" else data] * copies
                sources += [stranger if fate == "stranger" else caller] * copies
            for data, source in zip(arriving, sources, strict=True):
                for stream in streams:
                    source.sendto(data, (HERE, stream.local_port))
            clock.advance(0.02 * standstills.get(n, 1))
            smooth += streams[0].smooth
        told = [
            (ear.events, stream.stats, stream.ticks, stream.stranger)
            for ear, stream in zip(heard, streams, strict=True)
        ]
        return told, [ear.heard for ear in heard], smooth
    finally:
        for engine in engines:
            engine.stop()


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it is a class
)
@given(schedule=schedules())
def test_both_ways_are_one(wire, listener, schedule):
    (rows, hand), sounds, _ = play(*schedule, wire, listener)
    assert rows == hand
    assert np.array_equal(*sounds)


def test_what_is_expected_goes_by_the_row(wire, listener):
    (rows, hand), sounds, smooth = play([[("", "")]] * 100, {}, wire, listener)
    assert smooth >= 97
    assert rows == hand
    assert "".join(event[1] for event in rows[0] if event[0] == "up") == "159#D159#D159"
    assert rows[1].received == 100
    assert np.array_equal(*sounds)


@pytest.mark.parametrize("what", ["lost", "twice", "late", "garbage", *KINDS])
def test_what_is_not_is_taken_by_hand_and_then_it_runs_smoothly_again(wire, listener, what):
    odd = ("", what) if what in FATES else (what, "")
    (rows, hand), sounds, smooth = play([[("", "")]] * 30 + [[odd]] + [[("", "")]] * 60, {}, wire, listener)
    assert rows == hand
    assert np.array_equal(*sounds)
    # Packets no longer cut where ours are never go by the row again.
    assert smooth >= (29 if what in ("odd", "short", "long") else 75)


def test_a_stranger_is_not_heard_and_costs_the_call_nothing(wire, listener):
    ticks = [[("", "")], *([[("", ""), ("pcma", "stranger"), ("event", "stranger")]] * 50)]
    # Made by the same sender, so that numbers, clock and SSRC of the stranger's are perfect forgeries.
    (rows, hand), sounds, _ = play(ticks, {}, wire, listener)
    assert rows == hand
    assert np.array_equal(*sounds)
    assert {event[2] for event in rows[0]} <= {"inband"}
    assert rows[1].bad == 100
    assert rows[1].received == 51


def test_a_second_that_comes_at_once(wire, listener):
    """More than a row holds, and more than is read in a tick."""
    ticks = [[("", "")]] * 10 + [[]] * 3 + [[("", "")] * 60] + [[("", "")]] * 60
    (rows, hand), sounds, _ = play(ticks, {}, wire, listener)
    assert rows == hand
    assert rows[1].received == 130
    assert np.array_equal(*sounds)
