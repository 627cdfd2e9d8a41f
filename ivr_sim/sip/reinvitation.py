"""Re-INVITEs of ours, one at a time, and again after a while when they met one of the peer's (section 14.1).

491 to who made the Call-ID       tried again after 2.1 to 4.0 s
491 to the other side             tried again after 0.0 to 2.0 s
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from ivr_sim.sip.message import Response

__all__ = ["Reinvitation"]

MAX_GLARES = 10  # two sides that wait by chance do not meet that often


class Reinvitation:
    """What one dialog has to say anew.

    owner: whether the Call-ID is ours. send: makes the re-INVITE as it is due now, sends it, and gives the
    function its first final response. settled: is told of that response, unless it is a 491 that is tried
    again. free: whether no INVITE of the peer's is under way.
    """

    def __init__(
        self,
        clock: Any,
        *,
        owner: bool,
        send: Callable[[Callable[[Response], None]], None],
        settled: Callable[[Response], None],
        free: Callable[[], bool],
    ) -> None:
        self.busy = False  # one is under way
        self._clock = clock
        self._owner = owner
        self._send = send
        self._settled = settled
        self._free = free
        self._wanted = False
        self._glares = 0
        self._waiting: Any = None

    def ask(self) -> None:
        """Send one, now or as soon as none is under way in either direction."""
        self._wanted = True
        self.resume()

    def resume(self) -> None:
        """The peer's INVITE is done with; send what is due."""
        if self._wanted and not self.busy and self._waiting is None and self._free():
            self._wanted = False
            self.busy = True
            self._send(self._answered)

    def stop(self) -> None:
        """The call is over."""
        self._wanted = False
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _answered(self, response: Response) -> None:
        self.busy = False
        if response.status == 491 and self._glares < MAX_GLARES:
            self._glares += 1
            self._wanted = True
            slots = secrets.randbelow(191) + 210 if self._owner else secrets.randbelow(201)
            self._waiting = self._clock.callLater(slots / 100, self._again)
            return
        self._glares = 0
        self._settled(response)
        self.resume()

    def _again(self) -> None:
        self._waiting = None
        self.resume()
