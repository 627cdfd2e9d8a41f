"""Faults on the network: what becomes of packets one by one, and whole calls on a clock that the test moves.

The calls have real RTP sockets on loopback, and SIP in memory through a real exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import pytest
from twisted.internet import reactor as installed
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater

from ivr_sim.harness.fault_network import Impairment, lossy, rtp_through, sip_reactor
from ivr_sim.harness.faults import Faults
from ivr_sim.media import FRAME_SAMPLES, MediaEngine, Samples
from ivr_sim.sip.address import Address
from ivr_sim.sip.exchange import Exchange
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.message import Request, Response, parse
from ivr_sim.sip.states import SessionState
from ivr_sim.sip.user_agent import Session, UserAgent

SERVER = Address("127.0.0.1", 5060)
PACKETS = 20_000


def arrivals(faults: Faults, seed: int = 1, packets: int = PACKETS) -> list[tuple[float, int]]:
    """When each packet arrives, of those sent every 20 ms; in the order in which they do."""
    impairment = Impairment(faults, Random(seed))
    there = [(0.02 * n + seconds, packet) for n in range(packets) for seconds, packet in impairment.carry(n)]
    return sorted(there, key=lambda each: each[0])


def test_nothing_wrong() -> None:
    assert arrivals(Faults(), packets=3) == [(0.0, 0), (0.02, 1), (0.04, 2)]


def test_loss() -> None:
    there = [packet for _, packet in arrivals(Faults(rtp_loss=0.05))]
    assert there == sorted(set(there))
    assert len(there) == pytest.approx(0.95 * PACKETS, rel=0.01)
    assert arrivals(Faults(rtp_loss=1)) == []


def test_jitter() -> None:
    there = arrivals(Faults(rtp_jitter_ms=15))
    late = [seconds - 0.02 * packet for seconds, packet in there]
    assert [packet for _, packet in there] == list(range(PACKETS))
    assert min(late) >= 0
    assert 0.0149 < max(late) <= 0.015
    overtaken = [packet for _, packet in arrivals(Faults(rtp_jitter_ms=50))]
    assert sorted(overtaken) == list(range(PACKETS))
    assert overtaken != sorted(overtaken)


def test_reordering() -> None:
    there = [packet for _, packet in arrivals(Faults(rtp_reorder=0.05))]
    swapped = [n for n, packet in enumerate(there[:-1]) if packet > there[n + 1]]
    assert len(swapped) == pytest.approx(0.05 * PACKETS, rel=0.1)
    for n in swapped:
        there[n], there[n + 1] = there[n + 1], there[n]
    assert there == list(range(len(there)))
    assert len(there) >= PACKETS - 1  # the last may still be held


def test_every_second_packet_waits_for_its_successor() -> None:
    assert [packet for _, packet in arrivals(Faults(rtp_reorder=1), packets=6)] == [1, 0, 3, 2, 5, 4]


def test_duplication() -> None:
    there = [packet for _, packet in arrivals(Faults(rtp_duplicate=0.05))]
    assert sorted(set(there)) == list(range(PACKETS))
    assert len(there) - PACKETS == pytest.approx(0.05 * PACKETS, rel=0.1)


def test_a_seed_is_a_series_of_its_own_and_the_same_each_time() -> None:
    def lost(faults: Faults, seed: int) -> set[int]:
        return set(range(1000)) - {packet for _, packet in arrivals(faults, seed, 1001)}

    assert lost(Faults(rtp_loss=0.1), 1) == lost(Faults(rtp_loss=0.1), 1)
    assert lost(Faults(rtp_loss=0.1), 1) != lost(Faults(rtp_loss=0.1), 2)
    # Nor does another fault change which packets are lost.
    everything = Faults(rtp_loss=0.1, rtp_jitter_ms=30, rtp_duplicate=0.1, rtp_reorder=0.1)
    assert lost(everything, 1) == lost(Faults(rtp_loss=0.1), 1)


def test_a_recording_of_which_packets_were_lost() -> None:
    tape = np.arange(1, 160 * 1000 + 81, dtype=np.int64).astype(np.int16) | 1  # nowhere 0
    faults = Faults(rtp_loss=0.1)
    gone = lossy(tape, faults, seed=1)
    assert gone.dtype == np.int16
    frames = [gone[at : at + FRAME_SAMPLES] for at in range(0, len(gone), FRAME_SAMPLES)]
    lost = [n for n, frame in enumerate(frames) if not frame.any()]
    assert len(lost) == pytest.approx(100, abs=30)
    kept = np.ones(len(tape), bool)
    for n in lost:
        kept[n * FRAME_SAMPLES : (n + 1) * FRAME_SAMPLES] = False
    assert np.array_equal(gone[kept], tape[kept])
    assert np.array_equal(gone, lossy(tape, faults, seed=1))
    assert not np.array_equal(gone, lossy(tape, faults, seed=2))
    assert lossy(tape, Faults(rtp_jitter_ms=20), seed=1) is tape


# ---------------------------------------------------------------------------------------- whole calls


class Ear:
    """Says a tone that is never silent, and keeps what it hears and which keys."""

    def __init__(self) -> None:
        self.heard: list[Samples] = []
        self.keys = ""
        self._said = 0

    def tick(self, heard: Samples) -> Samples:
        self.heard.append(heard)
        self._said += FRAME_SAMPLES
        phase = np.arange(self._said - FRAME_SAMPLES, self._said) * (2 * np.pi * 400 / 8000)
        return np.round(8000 * np.sin(phase)).astype(np.int16)

    def key_down(self, *_: Any) -> None:
        """Only whole keys count."""

    def key_up(self, digit: str, *_: Any) -> None:
        self.keys += digit


class Call:
    """A telephone behind a bad network, in a call with a line of an exchange."""

    def __init__(self, faults: Faults, seed: int = 1) -> None:
        self.net = MemoryReactor()
        self.theirs = MediaEngine(self.net)
        self.ours = MediaEngine(self.net, through=rtp_through(self.net, faults, seed))
        accounts = {"ivr": "secret-ivr", "ana": "secret-ana"}
        self.exchange = Exchange(self.net, port=SERVER[1], accounts=accounts, lines=["ivr"])
        self.exchange.start()
        self.theirs.start()
        self.ours.start()
        self.there, self.here = Ear(), Ear()
        self.taken: list[Session] = []
        self.line = self._agent(self.net, self.theirs, "ivr", self._take)
        self.phone = self._agent(sip_reactor(self.net, faults), self.ours, "ana")
        self.session = self.phone.dial("5000", self.here)

    def _agent(
        self, reactor: Any, engine: MediaEngine, user: str, on_call: Callable[[Session], None] | None = None
    ) -> UserAgent:
        agent = UserAgent(
            reactor, engine, server=SERVER, username=user, password=f"secret-{user}", on_call=on_call
        )
        registered = agent.start()
        self.net.run(1)
        assert registered.called
        return agent

    def _take(self, session: Session) -> None:
        if session.dialled == "7777":
            session.reject(486)
        else:
            self.taken.append(session)
            session.answer(self.there)

    def run(self, seconds: float) -> None:
        self.net.run(seconds)

    def messages(self, what: str | int) -> list[float]:
        """When such messages of the call left the telephone, or came to its host's end of the way."""
        phone = self.phone.port
        found = []
        for t, source, destination, data in self.net.sent:
            message = parse(data)
            if phone not in (source[1], destination[1]) or message is None or message.cseq[1] == "REGISTER":
                continue
            if what == (message.method if isinstance(message, Request) else message.status):
                found.append(t)
        return found

    def close(self) -> None:
        stops = [self.phone.stop(), self.line.stop()]
        self.net.run(3)
        assert all(stop.called for stop in stops)
        self.ours.stop()
        self.theirs.stop()
        self.exchange.stop()


@pytest.fixture
def place() -> Iterator[Callable[..., Call]]:
    calls: list[Call] = []

    def place_(faults: Faults, seed: int = 1) -> Call:
        calls.append(Call(faults, seed))
        return calls[-1]

    yield place_
    for call in calls:
        call.close()


KEYS = "1234567890*#"


@pytest.mark.parametrize(
    "faults",
    [
        Faults(rtp_loss=0.1),
        Faults(rtp_jitter_ms=30),
        Faults(rtp_reorder=0.1),
        Faults(rtp_duplicate=0.1),
        Faults(rtp_loss=0.05, rtp_jitter_ms=30, rtp_reorder=0.05, rtp_duplicate=0.05),
    ],
    ids=lambda faults: "+".join(faults.asked_for),
)
def test_rtp(place: Any, faults: Faults) -> None:
    """Each key is heard once, and what is lost is as much as was asked for, each way."""
    call = place(faults)
    call.run(2)
    for key in KEYS:
        call.session.stream.press(key)
    call.run(8)
    assert call.there.keys == KEYS
    [theirs] = call.taken
    for stream in (theirs.stream, call.session.stream):
        stats = stream.stats
        assert stats.bad == 0
        share = stats.lost / (stats.received + stats.lost)
        assert share == pytest.approx(faults.rtp_loss, abs=0.04)
        assert stats.received + stats.lost >= 450
    silent = [not frame.any() for frame in call.here.heard[50:]]
    assert sum(silent) <= 2 * faults.rtp_loss * len(silent) + 5


def test_the_same_seed_loses_the_same_packets(place: Any) -> None:
    def heard(seed: int) -> int:
        call = place(Faults(rtp_loss=0.3), seed)
        call.run(3)
        return int(call.session.stream.stats.lost)

    first, again, other = heard(1), heard(1), heard(2)
    assert first == again
    assert first != other


def test_a_late_200(place: Any) -> None:
    """The line repeats it until the telephone, once it has heard, acknowledges each copy."""
    call = place(Faults(sip_late_200=3))
    call.run(2.9)
    assert call.taken[0].state is SessionState.ANSWERED
    assert call.session.state is not SessionState.ANSWERED
    assert call.messages("ACK") == []
    call.run(5)
    assert call.session.state is SessionState.ANSWERED
    answers, acks = call.messages(200), call.messages("ACK")
    assert len(answers) > 2
    assert acks == pytest.approx([t + 3 for t in answers], abs=0.01)
    call.run(5)
    assert len(call.messages(200)) == len(answers)
    assert len(call.taken) == 1
    call.session.stream.press("5")
    call.run(1)
    assert call.there.keys == "5"


def test_lost_acks(place: Any) -> None:
    call = place(Faults(sip_lost_ack=3))
    call.run(34)
    assert len(call.messages(200)) == 4
    assert len(call.messages("ACK")) == 1
    assert call.session.state is call.taken[0].state is SessionState.ANSWERED
    assert len(call.taken) == 1


def test_a_line_that_is_never_acknowledged_gives_up(place: Any) -> None:
    call = place(Faults(sip_lost_ack=20))
    call.run(34)
    assert call.messages("ACK") == []
    assert call.session.state is call.taken[0].state is SessionState.ENDED


def test_a_refused_call_is_acknowledged_all_the_same(place: Any) -> None:
    call = place(Faults(sip_lost_ack=20))
    call.run(1)
    call.session.hang_up()
    refused = call.phone.dial("7777", Ear())
    call.run(5)
    assert refused.state is SessionState.ENDED
    assert call.messages(486)
    assert len(call.messages("ACK")) == len(call.messages(486)) == 1


def test_without_faults_nothing_is_in_between() -> None:
    net = MemoryReactor()
    assert rtp_through(net, Faults(sip_lost_ack=1, authorizer="down"), 1) is None
    assert sip_reactor(net, Faults(rtp_loss=0.1)) is net


def test_sip_on_the_real_reactor(on_reactor: Any) -> None:
    """The ports are the reactor's own: datagrams come and go, late where they must."""
    ok = (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    assert isinstance(parse(ok), Response)

    class Keeping(DatagramProtocol):
        def __init__(self) -> None:
            self.came: list[tuple[bytes, float]] = []

        def datagramReceived(self, datagram: bytes, addr: Any) -> None:  # noqa: N802
            self.came.append((datagram, reactor.seconds()))

    reactor: Any = installed

    async def play() -> None:
        phone, peer = Keeping(), Keeping()
        opened = sip_reactor(reactor, Faults(sip_late_200=0.2)).listenUDP(0, phone, interface="127.0.0.1")
        other = reactor.listenUDP(0, peer, interface="127.0.0.1")
        began = reactor.seconds()
        peer.transport.write(ok, ("127.0.0.1", opened.getHost().port))
        peer.transport.write(b"\r\n\r\n", ("127.0.0.1", opened.getHost().port))
        phone.transport.write(b"hello", ("127.0.0.1", other.getHost().port))
        while len(phone.came) < 2 or not peer.came:
            await deferLater(reactor, 0.005)
        assert [data for data, _ in phone.came] == [b"\r\n\r\n", ok]
        assert phone.came[1][1] - began >= 0.2
        assert peer.came[0][0] == b"hello"
        await opened.stopListening()
        await other.stopListening()

    on_reactor(play)
