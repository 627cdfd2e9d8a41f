"""Keeps one call alive: its session timer, and the refreshes that are ours to send (RFC 4028 section 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from ivr_sim.sip.message import Request, Response
from ivr_sim.sip.session_timer import SessionTimer

__all__ = ["Refresher"]

log = structlog.get_logger(__name__)


class Refresher:
    """Refreshes by UPDATE where the peer takes it, and by re-INVITE where it does not.

    update: sends an UPDATE and gives the function its responses. reinvite: sends a re-INVITE, whose 2xx is
    for ``timer.answered``. gone: is told of an answer that says that the dialog is no more. expired: the
    peer has not refreshed in time.
    """

    def __init__(
        self,
        clock: Any,
        *,
        update: Callable[[Callable[[Response], None]], None],
        reinvite: Callable[[], None],
        gone: Callable[[Response], None],
        expired: Callable[[], None],
    ) -> None:
        self.timer = SessionTimer(clock, self._refresh, expired)
        self._update = update
        self._reinvite = reinvite
        self._gone = gone
        self._by_update = False

    def met(self, message: Request | Response) -> None:
        """The peer's INVITE, or its 2xx to ours, says what it takes."""
        self._by_update = "UPDATE" in message.headers.get_all("Allow")

    def _refresh(self) -> None:
        if self._by_update:
            self._update(self._answered)
        else:
            self._reinvite()

    def _answered(self, response: Response) -> None:
        if response.status < 200:
            return
        if response.status < 300:
            self.timer.answered(response)
        elif response.status in (405, 501):
            self._by_update = False
            self._refresh()
        elif response.status in (408, 481):
            self._gone(response)
        elif response.status == 422 and self.timer.refused(response):
            self._refresh()
        else:  # the timer's end is the call's, unless the peer refreshes
            log.warning("a refresh was refused", status=response.status)
