"""The media of one call: a UDP port, what is heard and said on it, and the keys pressed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import EllipsisType
from typing import Any, Protocol

import numpy as np
import structlog

import dtmf
from ivr_sim.errors import LocalProtocolError, place
from ivr_sim.media.control import Receiving, Sending
from ivr_sim.media.g711 import FRAME_SAMPLES, Codec, Samples
from ivr_sim.media.keys import KeyDown, KeyUp
from ivr_sim.media.listener import RefusalListener, StreamListener
from ivr_sim.media.peer import Address, checked, named
from ivr_sim.media.reception import Reception
from ivr_sim.media.reports import ReportPort
from ivr_sim.media.rows import MAX_DATAGRAM, Rows
from ivr_sim.media.secure_socket import secured
from ivr_sim.media.srtp import SrtpPair, SrtpSession
from ivr_sim.media.statistics import StreamStats
from ivr_sim.media.telephone_event import EVENT_SIZE, KEYS, EventQueue, EventSender
from ivr_sim.media.transmission import Transmission

__all__ = ["MediaStream", "StreamListener", "StreamStats"]

log = structlog.get_logger(__name__)

MAX_PER_TICK = 32  # datagrams of one call; what more there is waits in the kernel's bounded buffer


class Engine(Protocol):
    """Who has to know which streams there are."""

    def started(self, stream: MediaStream) -> None:
        """The stream ticks from the next tick on."""
        ...

    def closed(self, stream: MediaStream) -> None:
        """The stream is about to be closed."""
        ...


class MediaStream:
    """One call's audio and keys; made by :meth:`MediaEngine.open`.

    on_error: called with the exception when the listener raised; the stream is closed by then. After
    ``close`` it tells how many ``ticks`` there were, whose packets were refused, and ``stats``; all else of
    the call, its keys and its sound above all, is forgotten then, though a session may be remembered for a
    while, and its stream with it.
    """

    def __init__(
        self,
        slot: int,
        sockets: tuple[Any, socket.socket],
        sending: Transmission,
        rows: Rows | None,
        engine: Engine,
    ) -> None:
        self._socket = self._plain = sockets[0]
        self._srtp: SrtpSession | None = None
        self._sendto = self._socket.sendto
        self.reports = ReportPort(sockets[1])
        host, port = self._socket.getsockname()[:2]
        self.slot = slot
        self.local_host: str = host
        self.local_port: int = port
        self.codec: Codec | None = None
        self.on_error: Callable[[Exception], None] | None = None
        self.closed = False
        self.started = False
        self._transmission = sending
        self._rows = rows
        self._engine = engine
        self._listener: StreamListener | None = None
        self._reception: Reception | None = None  # from the start to the end
        # What is told before and after that.
        self._ticks = 0
        self._stranger: str | None = None
        self._stats = StreamStats()
        self._sending = True
        self._sent = self._sent_events = 0
        self._presses = EventQueue()
        # What the engine looks at for every stream in every tick.
        self.smooth = False  # whether the stream's packets go by its row
        self.fileno: int = self._socket.fileno() if rows is not None else -1
        self.receive_into: Any = getattr(self._socket, "recvfrom_into", None)
        self.source: Any = None  # as the socket names it
        self.destination: Address | None = None
        self.speak: Callable[[Samples], Samples | None] = _say_nothing
        self.waits = False  # whether keys wait to be sent

    def __repr__(self) -> str:
        return f"<MediaStream port {self.local_port}, {self.ticks} ticks>"

    @property
    def ticks(self) -> int:
        """Ticks of 20 ms since ``start``."""
        reception = self._present()
        return self._ticks if reception is None else reception.ticks

    @property
    def pressing(self) -> bool:
        """Whether keys given to :meth:`press` are still being sent."""
        return self._presses.busy

    @property
    def stranger(self) -> str | None:
        """The last host whose packets were refused because nothing in the call names it."""
        return self._stranger if self._reception is None else self._reception.peer.stranger

    @property
    def stats(self) -> StreamStats:
        """Packets so far."""
        r = self._present()
        if r is None:
            return self._stats
        control = self.reports.control
        return StreamStats(
            sent=self._sent,
            received=r.received,
            lost=r.lost,
            duplicated=r.duplicated,
            reordered=r.reordered,
            late=r.late,
            bad=r.bad,
            jitter_ms=round(r.jitter_ms, 1),
            remote_lost=None if control is None else control.remote_lost,
            round_trip_ms=None if control is None else control.round_trip_ms,
        )

    def start(
        self,
        listener: StreamListener,
        codec: Codec,
        remote: Address,
        event_payload_type: int | None,
        *,
        sending: bool = True,
        signalling: str | None = None,
        srtp: SrtpPair | None = None,
    ) -> None:
        """The call is up: silence is sent, and the listener ticks, from the next tick on.

        remote: IP address and port of the session description. signalling: see ``Peer``. srtp: the keys,
        if the packets are encrypted. Raises LocalProtocolError when the stream was started or closed before,
        or for an address that is none; ConfigurationError when what encrypts is not installed.
        """
        if self.closed or self._reception is not None:
            raise LocalProtocolError(f"{self!r} was {'closed' if self.closed else 'started'} before")
        remote = checked(remote, self.local_host)
        self._discard_early()
        self._encrypt(srtp)
        self._listener, self.speak = listener, listener.tick
        self.codec = codec
        self._sending = sending
        ring = None if self._rows is None else self._rows.ring(self.slot)
        self._reception = Reception(self.local_host, remote, event_payload_type, signalling, ring=ring)
        self.started = True
        self._direct()
        self._engine.started(self)

    def update(
        self,
        *,
        codec: Codec | None = None,
        remote: Address | None = None,
        event_payload_type: int | EllipsisType | None = ...,
        sending: bool | None = None,
        srtp: SrtpPair | EllipsisType | None = ...,
    ) -> None:
        """The session description has changed; what is not given stays as it was.

        A remote of 0.0.0.0 or port 0 (hold in the old style) gets nothing until the next update. Raises
        LocalProtocolError before ``start``, after ``close`` and for an address that is none.
        """
        if self._reception is None:
            raise LocalProtocolError(f"{self!r} {'was closed' if self.closed else 'has not been started'}")
        self.by_hand()
        if not isinstance(srtp, EllipsisType):
            self._encrypt(srtp)
        if remote is not None:
            self._reception.peer.describe(checked(remote, self.local_host))
        if codec is not None:
            self.codec = codec
        if not isinstance(event_payload_type, EllipsisType):
            self._reception.event_payload_type = event_payload_type
        if sending is not None:
            self._sending = sending
        self._direct()

    def press(self, digit: str, duration_ms: int = 100) -> None:
        """Send a key as telephone-events, after those queued before, with 100 ms between two.

        No audio is sent meanwhile; ignored once the stream is closed. Raises LocalProtocolError for what is
        no key, before ``start``, or when the other side takes no telephone-events.
        """
        sender = EventSender(digit, duration_ms)
        if self.closed:
            return
        if self._reception is None or self._reception.event_payload_type is None:
            raise LocalProtocolError("no telephone-events were agreed upon; send INFO or tones instead")
        self._presses.put(sender)
        self.waits = True

    def info_key(self, digit: str, duration_ms: int) -> None:
        """The caller's SIP INFO brought a key; ignored unless the stream ticks.

        Raises LocalProtocolError for what is no key.
        """
        if len(digit) != 1 or digit not in KEYS:
            raise LocalProtocolError(f"no key on a telephone; use one of {KEYS}")
        reception = self._present()
        if reception is None or self.closed:
            return
        merger, start = reception.merger, reception.now
        self._tell(
            merger.down(digit, "info", start) + merger.up(digit, "info", start, max(duration_ms, 0), None)
        )

    def close(self) -> None:
        """End the stream and free its port; the listener is not called any more."""
        if self.closed:
            return
        self.by_hand()
        self._engine.closed(self)  # while the socket still has its number
        self._ticks, self._stranger, self._stats = self.ticks, self.stranger, self.stats
        self.reports.close(self._peer, self._transmission.ssrc(self.slot))
        self._plain.close()
        self.closed, self.started = True, False
        self.destination, self.speak = None, _say_nothing
        self._listener = None
        self._encrypt(None)
        self._presses, self.waits = EventQueue(), False
        if self._reception is not None:
            self._reception.forget()
            self._reception = None

    # What follows is the engine's part of the tick, in this order.

    def by_hand(self) -> None:
        """The stream runs smoothly no more, to all that we know: its packets are taken one by one."""
        if self.smooth and self._rows is not None and self._reception is not None:
            self._reception.went_on(self._rows.passed(self.slot), by_hand=True)
            self._rows.leave(self.slot)
            self.smooth = False

    def refuse(self, datagram: bytes, source: Any) -> None:
        """A stranger's packet, while the stream runs smoothly: it changes nothing but what is counted."""
        if self._reception is not None:
            self._reception.datagram(datagram, named(source))

    def receive(self, *, on_time: bool, first: tuple[bytes, Any] | None = None) -> None:
        """Take what has arrived, and tell the listener of the keys in it.

        on_time: see ``Reception``; first: a datagram that was read already, and its source.
        """
        reception = self._reception
        if reception is None or self.closed:
            return
        try:
            for _ in range(MAX_PER_TICK):
                try:
                    data, source = first or self._socket.recvfrom(MAX_DATAGRAM)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # left by a packet of ours (ICMP, on Windows); the next may be good
                first = None
                address = named(source)
                keys = reception.datagram(data, address)
                if reception.peer.source == address:
                    self.source = source
                if keys:
                    self._deliver(keys)
                    if self.closed:
                        return
            self._deliver(reception.settle(on_time=on_time))
            self._direct()
        except Exception as error:
            self.fail(error)

    def tones(self) -> Samples | None:
        """The next 20 ms to be searched for tones."""
        return None if self._reception is None or self.closed else self._reception.tones()

    def tone_down(self, digit: str, start_s: float) -> None:
        """A tone began in the audio searched."""
        reception = self._present()
        if reception is not None:
            self._tell(reception.tone_down(digit, start_s))

    def tone_up(self, digit: str, duration_s: float, level_dbm0: float, twist_db: float) -> None:
        """It ended."""
        reception = self._reception
        if reception is not None:
            self._tell(reception.tone_up(digit, duration_s, level_dbm0, twist_db))

    def tone_refused(self, miss: dtmf.Refused) -> None:
        """A tone in the audio searched was not taken for a key."""
        listener, reception = self._listener, self._present()
        if reception is None or not isinstance(listener, RefusalListener):
            return
        start, milliseconds = reception.tone_time(miss.start_s), round(1000 * (miss.end_s - miss.start_s))
        try:
            listener.key_refused("inband", start, milliseconds, miss.reason, miss.level_dbm0, miss.twist_db)
        except Exception as error:
            self.fail(error)

    def hear(self) -> Samples:
        """What is heard in this tick, which ends it for a stream taken by hand."""
        heard = None if self._reception is None else self._reception.hear()
        return np.zeros(FRAME_SAMPLES, np.int16) if heard is None else heard

    def key_to_send(self) -> tuple[int, bytes, int, bool] | None:
        """What a key on its way says in this tick: payload type, payload, RTP time, marker."""
        told = self._presses.next(self._transmission.timestamp(self.slot))
        self.waits = self._presses.busy
        if told is None or self._reception is None:
            return None
        payload_type = self._reception.event_payload_type
        self._sent_events += payload_type is not None and self.destination is not None
        return None if payload_type is None else (payload_type, *told)

    def send(self, packet: bytes | memoryview) -> None:
        """Send one packet to where it goes now, if anywhere."""
        if self.destination is None:
            return
        try:
            self._sendto(packet, self.destination)
        except OSError:
            return  # no room or no route: a packet lost, as any may be
        self._sent += 1

    def smoothen(self) -> None:
        """At the end of a tick: go by a row from the next one on, if the stream runs smoothly."""
        if self._reception is None or self._rows is None or self.closed or self._srtp is not None:
            return
        coming = self._reception.next()
        if coming is not None:
            self._rows.enter(self.slot, coming)
            self.smooth = True

    def read_reports(self, now: float) -> None:
        """Something has come to the port of reports."""
        hosts = () if self._reception is None else self._reception.peer.hosts
        self.reports.receive(now, hosts, self._transmission.ssrc(self.slot))

    def send_report(self, now: float) -> None:
        """A second has passed."""
        self.reports.send(now, self._peer, self._told)

    def fail(self, error: Exception) -> None:
        """Close this stream because of an error; the others go on."""
        log.error("a media stream failed", port=self.local_port, error=type(error).__name__, at=place(error))
        self.close()
        if self.on_error is not None:
            self.on_error(error)

    def _present(self) -> Reception | None:
        """The reception, told of what went by in the row."""
        if self.smooth and self._rows is not None and self._reception is not None:
            self._reception.went_on(self._rows.passed(self.slot), by_hand=False)
        return self._reception

    def _tell(self, keys: list[KeyDown | KeyUp]) -> None:
        """Tell the listener of keys that came beside the packets."""
        if self.smooth and self._rows is not None and self._reception is not None:
            self._rows.listen(self.slot, self._reception.merger.listens_inband)
        self._deliver(keys)

    def _deliver(self, keys: list[KeyDown | KeyUp]) -> None:
        for key in keys:
            if self.closed or self._listener is None:
                return
            try:
                if isinstance(key, KeyDown):
                    self._listener.key_down(key.digit, key.method, key.start)
                else:
                    self._listener.key_up(
                        key.digit, key.method, key.start, key.duration_ms, key.level_dbm0, key.twist_db
                    )
            except Exception as error:
                self.fail(error)

    def _direct(self) -> None:
        self.destination = self._peer if self._sending else None

    @property
    def _peer(self) -> Address | None:
        """Where packets go, unless there are none to be sent."""
        return None if self._reception is None else self._reception.peer.destination

    def _told(self) -> tuple[Sending, Receiving | None]:
        """What a report of now tells."""
        slot, r = self.slot, self._present()
        octets = FRAME_SAMPLES * (self._sent - self._sent_events) + EVENT_SIZE * self._sent_events
        sending = Sending(
            self._transmission.ssrc(slot), self._sent, octets, self._transmission.timestamp(slot)
        )
        if r is None or r.ssrc is None:
            return sending, None
        return sending, Receiving(r.ssrc, r.received, r.lost, r.highest, r.jitter_ms)

    def _encrypt(self, srtp: SrtpPair | None) -> None:
        """Packets are encrypted with these keys from now on, or are not."""
        if srtp is not None and self._srtp is not None:
            self._srtp.rekey(srtp)
        elif srtp is not None or self._srtp is not None:
            srtp_session = self._srtp = None if srtp is None else SrtpSession(srtp)
            self._socket = secured(self._plain, srtp_session)
            self._sendto = self._socket.sendto
            self.reports.encrypt(srtp_session)

    def _discard_early(self) -> None:
        """Forget what came before the call was up: it would be heard late."""
        for _ in range(1000):
            try:
                self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                break
            except OSError:
                continue


def _say_nothing(heard: Samples) -> Samples | None:
    return None
