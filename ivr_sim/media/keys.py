"""One sequence of keys out of the three ways in which a caller's keypad reaches us.

A telephone sends a key as telephone-events (RFC 4733), as SIP INFO, as tones in the audio, or by two of
these at once, since a gateway on the way may do so. Whoever listens wants each key once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ivr_sim.journal import KeyMethod

__all__ = ["KeyDown", "KeyMerger", "KeyUp"]


TOGETHER = 0.120  # seconds within which the same key by two ways is one
REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class KeyDown:
    """A key certainly went down; start in seconds of the stream's clock."""

    digit: str = field(repr=False)
    method: KeyMethod
    start: float


@dataclass(frozen=True, slots=True)
class KeyUp:
    """The key that was down went up; digit, method and start are those of its KeyDown."""

    digit: str = field(repr=False)
    method: KeyMethod
    start: float
    duration_ms: int
    level_dbm0: float | None
    twist_db: float | None = None


@dataclass(slots=True)
class _Key:
    digit: str = field(repr=False)
    method: KeyMethod
    start: float
    end: float
    level: float | None = None
    twist: float | None = None
    sounding: set[KeyMethod] = field(default_factory=set)
    told_by: set[KeyMethod] = field(default_factory=set)
    reported: bool = False  # its KeyUp has gone out


class KeyMerger:
    """Merges key presses by several ways into one sequence in which KeyDown and KeyUp take turns.

    The same digit by two ways, begun within 120 ms of the other or while it sounds, is one key; a way that
    tells of the digit twice means two keys. A merged key goes by the way that told of it first, and is up
    when it is up by every way that told of it. Once telephone-events were seen, tones are not listened to.
    """

    def __init__(self) -> None:
        self.events_seen = False
        self._recent: deque[_Key] = deque(maxlen=REMEMBERED)
        self._open: _Key | None = None

    @property
    def listens_inband(self) -> bool:
        """Whether tones matter: until telephone-events were seen, and to the end of a tone begun before."""
        return not self.events_seen or any("inband" in key.sounding for key in self._recent)

    def down(self, digit: str, method: KeyMethod, start: float) -> list[KeyDown | KeyUp]:
        """A way tells that a key went down at ``start`` seconds."""
        if method == "rfc4733":
            self.events_seen = True
        elif method == "inband" and self.events_seen:
            return []
        known = self._known(digit, method, start)
        if known is not None:
            known.told_by.add(method)
            known.sounding.add(method)
            return []
        out: list[KeyDown | KeyUp] = []
        if self._open is not None:  # nobody holds two keys: the end of the first one is lost or late
            self._open.end = max(self._open.start, start)
            out.append(self._release(self._open))
        key = _Key(digit, method, start, start, sounding={method}, told_by={method})
        self._recent.append(key)
        self._open = key
        out.append(KeyDown(digit, method, start))
        return out

    def up(
        self,
        digit: str,
        method: KeyMethod,
        start: float,
        duration_ms: int,
        level_dbm0: float | None,
        twist_db: float | None = None,
    ) -> list[KeyDown | KeyUp]:
        """The same way tells that this key went up."""
        for key in self._recent:
            if key.digit == digit and method in key.sounding:
                break
        else:
            return []
        key.sounding.discard(method)
        if key.reported:
            return []
        key.end = max(key.end, start + duration_ms / 1000)
        if key.level is None:
            key.level = level_dbm0
        if key.twist is None:
            key.twist = twist_db
        return [] if key.sounding else [self._release(key)]

    def _known(self, digit: str, method: KeyMethod, start: float) -> _Key | None:
        """The key that another way has told of already."""
        for key in self._recent:
            if key.digit != digit or method in key.told_by:
                continue
            after_onset = start - key.start
            if abs(after_onset) <= TOGETHER or (key is self._open and after_onset > 0):
                return key
            if after_onset > 0 and start - key.end <= TOGETHER:
                return key
        return None

    def _release(self, key: _Key) -> KeyUp:
        key.reported = True
        self._open = None
        duration_ms = round(1000 * (key.end - key.start))
        return KeyUp(key.digit, key.method, key.start, duration_ms, key.level, key.twist)
