"""The second port of a stream: reports of the other side come in by it, and ours go out."""

from __future__ import annotations

import random
import secrets
import socket
from collections.abc import Callable, Collection
from typing import Any

from ivr_sim.media.control import ControlSession, Receiving, Sending
from ivr_sim.media.peer import Address, named
from ivr_sim.media.rtp import BadPacket
from ivr_sim.media.secure_socket import secured_reports
from ivr_sim.media.srtp import SrtpSession

__all__ = ["ReportPort"]

MAX_REPORT = 2048
MAX_AT_ONCE = 8  # datagrams; two sides that report every five seconds send fewer

_CHANCE = random.Random()


class ReportPort:
    """The reports of one stream; control: what is known by them, None until the call is up."""

    def __init__(self, sock: socket.socket) -> None:
        self.control: ControlSession | None = None
        self._socket: Any = sock
        self._plain = sock

    def fileno(self) -> int:
        """The number of the socket, to be told when something has come."""
        return self._socket.fileno()

    def start(self, now: float) -> None:
        """The call is up."""
        # The name means nothing, and is another one in each call (RFC 7022 section 4.2).
        self.control = ControlSession(secrets.token_urlsafe(12), now, _CHANCE)

    def encrypt(self, session: SrtpSession | None) -> None:
        """Reports are encrypted from now on, or are not."""
        self._socket = secured_reports(self._plain, session)

    def receive(self, now: float, hosts: Collection[str | None], ssrc: int) -> None:
        """Take what has come from one of these hosts; ssrc: ours."""
        for _ in range(MAX_AT_ONCE):
            try:
                data, source = self._socket.recvfrom(MAX_REPORT)
            except BlockingIOError:
                return
            except OSError:
                continue  # left by a report of ours (ICMP, on Windows)
            if self.control is not None and named(source)[0] in hosts:
                try:
                    self.control.receive(data, now, ssrc)
                except BadPacket:
                    continue  # whatever that was, it is no report

    def send(
        self, now: float, destination: Address | None, told: Callable[[], tuple[Sending, Receiving | None]]
    ) -> None:
        """Report, if it is time to; to be called once a second or so.

        destination: where the audio goes; reports go to the port above (RFC 3550 section 11). told: gives
        what there is to report.
        """
        if self.control is not None and destination is not None and self.control.due(now):
            self._send(self.control.report(now, *told()), destination)

    def close(self, destination: Address | None, ssrc: int) -> None:
        """The stream ends: say so, if anything was said before, and free the port."""
        if self.control is not None and destination is not None:
            self._send(self.control.goodbye(ssrc), destination)
        self.control = None
        self._plain.close()

    def _send(self, data: bytes, destination: Address) -> None:
        host, port = destination
        try:
            self._socket.sendto(data, (host, port + 1))
        except (OSError, OverflowError):
            return  # no room, no route, no such port: a report lost, as any may be
