"""Session timers: a call whose other side is gone does not last for ever (RFC 4028).

    0 ........ half ............... the interval less a third of it, at most 32 s ... the interval
    agreed     the refresher        whoever heard of no refresh by now says BYE
               sends a re-INVITE
               or an UPDATE

Who refreshes is named from the side of the request that agreed on it: "uac" sent it, "uas" answered it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from ivr_sim.sip.grammar import split_list
from ivr_sim.sip.message import BadMessage, Request, Response

__all__ = ["MIN_SE", "Interval", "SessionTimer", "supports"]

MIN_SE = 90  # seconds: the shortest interval that may be asked for (section 5)
MAX_SE = 86_400

_REFRESHER = re.compile(r"refresher[ \t]*=[ \t]*(uac|uas)", re.IGNORECASE)


def supports(message: Request | Response, option: str) -> bool:
    """Whether the sender has an extension: it says so in Supported, or in Require."""
    named = (*message.headers.get_all("Supported"), *message.headers.get_all("Require"))
    return option in (name.lower() for name in named)


@dataclass(frozen=True)
class Interval:
    """A Session-Expires: seconds until the call ends unless it is refreshed, and by whom it is to be.

    required: whether our answer says ``Require: timer``, as it must when the peer is to refresh.
    """

    seconds: int
    refresher: Literal["uac", "uas"] | None = None
    required: bool = False

    @classmethod
    def parse(cls, message: Request | Response) -> Interval | None:
        """The Session-Expires of a message, None if it has none. Raises BadMessage 400."""
        value = message.headers.get("Session-Expires")
        if value is None:
            return None
        number, *params = split_list(value, ";")
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise BadMessage(400, "Malformed Session-Expires")
        named = next((found for p in params if (found := _REFRESHER.fullmatch(p))), None)
        refresher: Literal["uac", "uas"] | None = None
        if named is not None:
            refresher = "uac" if named[1].lower() == "uac" else "uas"
        return cls(min(int(number), MAX_SE), refresher)

    @classmethod
    def granted(cls, request: Request) -> Interval | None:
        """What we grant to an INVITE or UPDATE (section 9, table 2); None for no timer.

        Raises BadMessage: 400; 422 for an interval below ``MIN_SE``, which the answer names.
        """
        asked = cls.parse(request)
        if asked is None:
            return None
        if not supports(request, "timer"):  # a proxy put it there, and only we can refresh
            return cls(max(asked.seconds, MIN_SE), "uas")
        if asked.seconds < MIN_SE:
            raise BadMessage(422, "Session Interval Too Small")
        refresher = asked.refresher or "uac"
        return cls(asked.seconds, refresher, required=refresher == "uac")

    def headers(self) -> list[tuple[str, str]]:
        """As our request or our 2xx carries it."""
        who = "" if self.refresher is None else f";refresher={self.refresher}"
        required = [("Require", "timer")] if self.required else []
        return [("Session-Expires", f"{self.seconds}{who}"), *required]


class SessionTimer:
    """One call's timer. ``refresh`` is called when we are to refresh, ``expired`` when nobody did in time."""

    def __init__(self, clock: Any, refresh: Callable[[], None], expired: Callable[[], None]) -> None:
        self.interval: Interval | None = None
        self.ours = False
        self._clock = clock
        self._refresh = refresh
        self._expired = expired
        self._running: list[Any] = []

    def set(self, interval: Interval | None, *, ours: bool) -> None:
        """The call was agreed on, or refreshed; ours: it is we who refresh. None ends the timer."""
        self.stop()
        self.interval, self.ours = interval, ours
        if interval is None:
            return
        seconds = interval.seconds
        if ours:
            self._later(seconds / 2, self._refresh)
        self._later(seconds - min(32.0, seconds / 3), self._expired)

    def stop(self) -> None:
        """The call is over."""
        for call in self._running:
            if call.active():
                call.cancel()
        self._running.clear()

    def request_headers(self) -> list[tuple[str, str]]:
        """For a re-INVITE or UPDATE of ours: the roles stay as they are (section 7.4)."""
        if self.interval is None:
            return []
        return [
            *Interval(self.interval.seconds, "uac" if self.ours else "uas").headers(),
            ("Min-SE", str(MIN_SE)),
        ]

    def answered(self, response: Response) -> None:
        """Take what a 2xx to an INVITE or UPDATE of ours says; what cannot be read counts as nothing."""
        try:
            interval = Interval.parse(response)
        except BadMessage:
            interval = None
        if interval is not None and interval.seconds < MIN_SE:  # nobody may ask for less; we would flood
            interval = replace(interval, seconds=MIN_SE)
        self.set(interval, ours=interval is not None and interval.refresher != "uas")

    def refused(self, response: Response) -> bool:
        """Take the interval that a 422 wants; True when trying again with it makes sense (section 7.4)."""
        wanted = response.headers.get("Min-SE") or ""
        if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 10):
            return False
        now = self.interval or Interval(0)
        if not now.seconds < int(wanted) <= MAX_SE:
            return False
        self.interval = Interval(int(wanted), now.refresher)
        return True

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._running.append(self._clock.callLater(seconds, what))
