"""The media of one call: a UDP port, what is heard and said on it, and the keys pressed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from types import EllipsisType

import numpy as np
import structlog

import dtmf
from ivr_sim.errors import LocalProtocolError, place
from ivr_sim.media.g711 import FRAME_SAMPLES, Codec, Samples
from ivr_sim.media.keys import KeyDown, KeyUp
from ivr_sim.media.listener import RefusalListener, StreamListener
from ivr_sim.media.reception import Address, Reception
from ivr_sim.media.telephone_event import KEYS, EventQueue, EventSender
from ivr_sim.media.transmission import Transmission

__all__ = ["MediaStream", "StreamListener", "StreamStats"]

log = structlog.get_logger(__name__)

MAX_DATAGRAM = 2048
MAX_PER_TICK = 32  # datagrams of one call; what more there is waits in the kernel's bounded buffer


@dataclass(frozen=True, slots=True)
class StreamStats:
    """Packets of one stream: bad ones were no RTP or from a stranger; late ones came after their turn."""

    sent: int = 0
    received: int = 0
    lost: int = 0
    bad: int = 0
    late: int = 0


class MediaStream:
    """One call's audio and keys; made by :meth:`MediaEngine.open`, of no use after :meth:`close`.

    ticks: frames of 20 ms since ``start``. on_error: called with the exception when the listener raised;
    the stream is closed by then.
    """

    def __init__(
        self, slot: int, sock: socket.socket, sending: Transmission, on_close: Callable[[MediaStream], None]
    ) -> None:
        host, port = sock.getsockname()
        self.slot = slot
        self.local_host: str = host
        self.local_port: int = port
        self.codec: Codec | None = None
        self.on_error: Callable[[Exception], None] | None = None
        self.closed = False
        self._socket = sock
        self._transmission = sending
        self._on_close = on_close
        self._listener: StreamListener | None = None
        self._reception: Reception | None = None
        self._sending = True
        self._sent = 0
        self._presses = EventQueue()
        self._event: tuple[bytes, int, bool] | None = None  # of a key on its way, for this tick

    def __repr__(self) -> str:
        return f"<MediaStream port {self.local_port}, {self.ticks} ticks>"

    @property
    def ticks(self) -> int:
        """Ticks of 20 ms since ``start``."""
        return 0 if self._reception is None else self._reception.ticks

    @property
    def started(self) -> bool:
        """Whether the stream ticks."""
        return self._reception is not None and not self.closed

    @property
    def pressing(self) -> bool:
        """Whether keys given to :meth:`press` are still being sent."""
        return self._presses.busy

    @property
    def stranger(self) -> str | None:
        """The last host whose packets were refused because nothing in the call names it."""
        return None if self._reception is None else self._reception.stranger

    @property
    def stats(self) -> StreamStats:
        """Packets so far."""
        r = self._reception
        if r is None:
            return StreamStats()
        return StreamStats(self._sent, r.received, r.lost, r.bad, r.late)

    def start(
        self,
        listener: StreamListener,
        codec: Codec,
        remote: Address,
        event_payload_type: int | None,
        *,
        sending: bool = True,
        signalling: str | None = None,
    ) -> None:
        """The call is up: silence is sent, and the listener ticks, from the next tick on.

        remote: IPv4 address and port of the session description. signalling: see ``Reception``. Raises
        LocalProtocolError when the stream was started or closed before, or for an address that is none.
        """
        if self.closed or self._reception is not None:
            raise LocalProtocolError(f"{self!r} was {'closed' if self.closed else 'started'} before")
        remote = _checked(remote)
        self._discard_early()
        self._listener = listener
        self.codec = codec
        self._sending = sending
        self._reception = Reception(self.local_host, remote, event_payload_type, signalling)

    def update(
        self,
        *,
        codec: Codec | None = None,
        remote: Address | None = None,
        event_payload_type: int | EllipsisType | None = ...,
        sending: bool | None = None,
    ) -> None:
        """The session description has changed; what is not given stays as it was.

        A remote of 0.0.0.0 or port 0 (hold in the old style) gets nothing until the next update. Raises
        LocalProtocolError before ``start`` and for an address that is none.
        """
        if self._reception is None:
            raise LocalProtocolError(f"{self!r} has not been started")
        if remote is not None:
            self._reception.describe(_checked(remote))
        if codec is not None:
            self.codec = codec
        if not isinstance(event_payload_type, EllipsisType):
            self._reception.event_payload_type = event_payload_type
        if sending is not None:
            self._sending = sending

    def press(self, digit: str, duration_ms: int = 100) -> None:
        """Send a key as telephone-events, after those queued before, with 100 ms between two.

        No audio is sent meanwhile. Raises LocalProtocolError for what is no key, before ``start``, or when
        the other side takes no telephone-events.
        """
        sender = EventSender(digit, duration_ms)
        if self._reception is None or self._reception.event_payload_type is None:
            raise LocalProtocolError("no telephone-events were agreed upon; send INFO or tones instead")
        self._presses.put(sender)

    def info_key(self, digit: str, duration_ms: int) -> None:
        """The caller's SIP INFO brought a key; ignored unless the stream ticks.

        Raises LocalProtocolError for what is no key.
        """
        if len(digit) != 1 or digit not in KEYS:
            raise LocalProtocolError(f"no key on a telephone; use one of {KEYS}")
        if self._reception is None or self.closed:
            return
        merger, start = self._reception.merger, self._reception.now
        self.deliver(
            merger.down(digit, "info", start) + merger.up(digit, "info", start, max(duration_ms, 0), None)
        )

    def close(self) -> None:
        """End the stream and free its port; the listener is not called any more."""
        if not self.closed:
            self.closed = True
            # A session is remembered for a while, and its stream with it; the call's keys and sound are not.
            self._listener = None
            if self._reception is not None:
                self._reception.forget()
            self._socket.close()
            self._on_close(self)

    # What follows is the engine's part of the tick, in this order.

    def receive(self, *, on_time: bool) -> None:
        """Take what has arrived, and tell the listener of the keys in it; on_time: see ``Reception``."""
        reception = self._reception
        if reception is None or self.closed:
            return
        try:
            for _ in range(MAX_PER_TICK):
                try:
                    data, source = self._socket.recvfrom(MAX_DATAGRAM)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # left by a packet of ours (ICMP, on Windows); the next may be good
                keys = reception.datagram(data, source)
                if keys:
                    self.deliver(keys)
                    if self.closed:
                        return
            self.deliver(reception.settle(on_time=on_time))
        except Exception as error:
            self.fail(error)

    def tones(self) -> Samples | None:
        """The next 20 ms to be searched for tones."""
        return None if self._reception is None or self.closed else self._reception.tones()

    def tone_down(self, digit: str, start_s: float) -> None:
        """A tone began in the audio searched."""
        if self._reception is not None:
            self.deliver(self._reception.tone_down(digit, start_s))

    def tone_up(self, digit: str, duration_s: float, level_dbm0: float, twist_db: float) -> None:
        """It ended."""
        if self._reception is not None:
            self.deliver(self._reception.tone_up(digit, duration_s, level_dbm0, twist_db))

    def tone_refused(self, miss: dtmf.Refused) -> None:
        """A tone in the audio searched was not taken for a key."""
        listener, reception = self._listener, self._reception
        if reception is None or not isinstance(listener, RefusalListener):
            return
        start, milliseconds = reception.tone_time(miss.start_s), round(1000 * (miss.end_s - miss.start_s))
        try:
            listener.key_refused("inband", start, milliseconds, miss.reason, miss.level_dbm0, miss.twist_db)
        except Exception as error:
            self.fail(error)

    def converse(self) -> Codec | None:
        """Let the listener hear and speak; the codec to speak in, None if no audio is to be sent now."""
        if self._reception is None or self._listener is None or self.closed:
            return None
        heard = self._reception.hear()
        try:
            spoken = self._listener.tick(np.zeros(FRAME_SAMPLES, np.int16) if heard is None else heard)
            if spoken is not None and (spoken.shape != (FRAME_SAMPLES,) or spoken.dtype != np.int16):
                raise LocalProtocolError(
                    f"a listener spoke {spoken.dtype} {spoken.shape}, not int16 ({FRAME_SAMPLES},)"
                )
        except Exception as error:
            self.fail(error)
            return None
        if self.closed:
            return None
        self._transmission.spoken(self.slot, spoken)
        self._event = self._presses.next(self._transmission.timestamp(self.slot))
        return self.codec if self._event is None and self._destination is not None else None

    def send(self, *, audio: bool) -> None:
        """Send this tick's packet: the audio that was built, or what the key on its way has to say."""
        destination, reception = self._destination, self._reception
        if destination is None or reception is None:
            return
        if audio:
            self._send(self._transmission.packet(self.slot), destination)
        elif self._event is not None and reception.event_payload_type is not None:
            payload, timestamp, marker = self._event
            packet = self._transmission.event(
                self.slot, reception.event_payload_type, payload, timestamp, marker=marker
            )
            self._send(packet, destination)

    def deliver(self, keys: list[KeyDown | KeyUp]) -> None:
        """Tell the listener of keys."""
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

    def fail(self, error: Exception) -> None:
        """Close this stream because of an error; the others go on."""
        log.error("a media stream failed", port=self.local_port, error=type(error).__name__, at=place(error))
        self.close()
        if self.on_error is not None:
            self.on_error(error)

    @property
    def _destination(self) -> Address | None:
        """Where to send: to where packets come from, else to what the session description says."""
        r = self._reception
        if r is None or not self._sending or r.remote[0] == "0.0.0.0" or not r.remote[1]:  # noqa: S104
            return None
        return r.source or r.remote

    def _send(self, packet: bytes | memoryview, destination: Address) -> None:
        try:
            self._socket.sendto(packet, destination)
        except OSError:
            return  # no room or no route: a packet lost, as any may be
        self._sent += 1

    def _discard_early(self) -> None:
        """Forget what came before the call was up: it would be heard late."""
        for _ in range(1000):
            try:
                self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue


def _checked(remote: Address) -> Address:
    """An address that can be sent to without asking anybody where it is."""
    host, port = remote
    try:
        IPv4Address(host)
    except AddressValueError:
        raise LocalProtocolError(f"RTP goes to an IPv4 address, not to {host!r}") from None
    if not 0 <= port <= 65535:
        raise LocalProtocolError(f"no UDP port: {port}")
    return host, port
