"""What goes wrong on the network between a telephone and the IVR: its RTP packets and its SIP messages.

It is the telephone's side that is impaired, both ways, so that it is the same whoever answers:

    telephone                  impairment                                 exchange, line
       | UserAgent(reactor) -----| 200 to an INVITE late, ACKs lost |---------- SIP
       | MediaEngine(through) ---| lost, late, reordered, twice     |---------- RTP

What becomes of the n-th packet of a direction depends on the seed alone.
"""

from __future__ import annotations

import heapq
import socket
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import numpy as np

from ivr_sim.harness.faults import Faults
from ivr_sim.media import FRAME_SAMPLES, Samples
from ivr_sim.sip.message import BadMessage, Request, Response, parse

__all__ = ["Impairment", "lossy", "rtp_through", "sip_reactor"]

Address = tuple[str, int]
MAX_DATAGRAM = 2048


def rtp_through(clock: Any, faults: Faults, seed: int) -> Callable[[socket.socket], Any] | None:
    """What a telephone's ``MediaEngine`` puts its sockets behind; None: nothing.

    clock: IReactorTime. Every socket has a series of chances of its own, and so has each direction.
    """
    if not (faults.rtp_loss or faults.rtp_jitter_ms or faults.rtp_reorder or faults.rtp_duplicate):
        return None
    numbers = count()

    def put_behind(sock: socket.socket) -> _ImpairedSocket:
        number = next(numbers)
        sending, receiving = (
            Impairment(faults, Random(f"{seed} {number} {direction}")) for direction in ("sent", "received")
        )
        return _ImpairedSocket(sock, clock, sending, receiving)

    return put_behind


def sip_reactor(reactor: Any, faults: Faults) -> Any:
    """The reactor for a telephone's ``UserAgent``: whatever it opens for UDP has these faults.

    reactor: IReactorTime and IReactorUDP; itself, where SIP has no faults.
    """
    return _SipReactor(reactor, faults) if faults.sip_late_200 or faults.sip_lost_ack else reactor


def lossy(tape: Samples, faults: Faults, seed: int) -> Samples:
    """A recording as a receiver searches it for tones when packets of it were lost: silence in their place.

    tape: int16, shape (n,), 8 kHz; packets are 20 ms.
    """
    if not faults.rtp_loss:
        return tape
    chance = Random(f"{seed} tape")
    lost = [chance.random() < faults.rtp_loss for _ in range(-(-len(tape) // FRAME_SAMPLES))]
    gone: Samples = np.where(np.repeat(lost, FRAME_SAMPLES)[: len(tape)], 0, tape).astype(np.int16)
    return gone


class Impairment:
    """What becomes of the packets of one direction, one by one. No I/O."""

    def __init__(self, faults: Faults, chance: Random) -> None:
        self._faults = faults
        self._chance = chance
        self._held: list[Any] = []  # what comes after its successor

    def carry(self, packet: Any) -> list[tuple[float, Any]]:
        """What arrives now that this packet was sent: in how many seconds, and which.

        A packet is lost, or held until the next one was sent, or late, or there twice.
        """
        faults = self._faults
        # All are drawn for every packet, so that one fault does not change what another does.
        lost, reordered, doubled, late = (self._chance.random() for _ in range(4))
        held, self._held = self._held, []
        copies = 0 if lost < faults.rtp_loss else 2 if doubled < faults.rtp_duplicate else 1
        seconds = late * faults.rtp_jitter_ms / 1000
        if copies and not held and reordered < faults.rtp_reorder:
            self._held = [packet] * copies
            return []
        return [(seconds, packet)] * copies + [(seconds, each) for each in held]


class _ImpairedSocket:
    """A UDP socket as a stream uses it, non-blocking, behind an impairment each way."""

    def __init__(self, sock: socket.socket, clock: Any, sending: Impairment, receiving: Impairment) -> None:
        self._socket = sock
        self._clock = clock
        self._sending = sending
        self._receiving = receiving
        self._order = count()
        self._arrived: list[tuple[float, int, bytes, Address]] = []  # a heap, by when it is there
        self._on_way: deque[Any] = deque()  # calls that send what is late
        self.getsockname = sock.getsockname
        self.recv = sock.recv  # what came before the call was up, and is thrown away

    def sendto(self, packet: bytes | memoryview, destination: Address) -> None:
        for seconds, each in self._sending.carry(bytes(packet)):
            if seconds:
                while self._on_way and not self._on_way[0].active():
                    self._on_way.popleft()
                self._on_way.append(self._clock.callLater(seconds, self._send, each, destination))
            else:
                self._send(each, destination)

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        now = self._clock.seconds()
        while True:
            try:
                data, source = self._socket.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                break
            for seconds, (each, sender) in self._receiving.carry((data, source)):
                heapq.heappush(self._arrived, (now + seconds, next(self._order), each, sender))
        if not self._arrived or self._arrived[0][0] > now:
            raise BlockingIOError
        _, _, data, source = heapq.heappop(self._arrived)
        return data[:size], source

    def close(self) -> None:
        for late in self._on_way:
            if late.active():
                late.cancel()
        self._socket.close()

    def _send(self, packet: bytes, destination: Address) -> None:
        try:
            self._socket.sendto(packet, destination)
        except OSError:
            return  # no room or no route: lost, as any packet may be


class _SipReactor:
    """A reactor whose UDP ports have faults; all else is the reactor's own."""

    def __init__(self, reactor: Any, faults: Faults) -> None:
        self._reactor = reactor
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:  # noqa: N802, N803
        """Open a port whose messages come and go by the faults."""
        way = _SipWay(self._reactor, self._faults, protocol)
        return self._reactor.listenUDP(port, way, interface=interface, maxPacketSize=maxPacketSize)


class _SipWay:
    """Stands between a UDP port and the protocol on it, and is each one's other side."""

    def __init__(self, clock: Any, faults: Faults, protocol: Any) -> None:
        self._clock = clock
        self._faults = faults
        self._protocol = protocol
        self._transport: Any = None
        self._late: list[Any] = []
        # ACKs of each accepted INVITE that were lost so far, by Call-ID and CSeq number.
        self._lost: dict[tuple[str, int], int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def makeConnection(self, transport: Any) -> None:  # noqa: N802
        self._transport = transport
        self._protocol.makeConnection(self)

    def doStop(self) -> None:  # noqa: N802
        for late in self._late:
            if late.active():
                late.cancel()
        self._protocol.doStop()

    def datagramReceived(self, data: bytes, source: Address) -> None:  # noqa: N802
        message = _read(data)
        if not (isinstance(message, Response) and message.cseq[1] == "INVITE" and message.status // 100 == 2):
            self._protocol.datagramReceived(data, source)
            return
        self._lost.setdefault((message.call_id, message.cseq[0]), 0)
        if not self._faults.sip_late_200:
            self._protocol.datagramReceived(data, source)
            return
        self._late = [late for late in self._late if late.active()]
        self._late.append(
            self._clock.callLater(self._faults.sip_late_200, self._protocol.datagramReceived, data, source)
        )

    def write(self, data: bytes, destination: Address) -> None:
        if self._faults.sip_lost_ack:
            message = _read(data)
            if isinstance(message, Request) and message.method == "ACK":
                # The ACK of a refused INVITE belongs to its transaction, and is none of these.
                of = message.call_id, message.cseq[0]
                if of in self._lost and self._lost[of] < self._faults.sip_lost_ack:
                    self._lost[of] += 1
                    return
        self._transport.write(data, destination)


def _read(data: bytes) -> Request | Response | None:
    try:
        return parse(data)
    except BadMessage:
        return None
