"""The states of a call, and the two things that happen to it once: it is answered, and it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Literal, TypeVar

from twisted.internet.defer import Deferred

from ivr_sim.errors import IvrSimError

__all__ = ["CallFailed", "Ended", "Once", "SessionState"]

T = TypeVar("T")


class SessionState(Enum):
    """Where a call stands; ``dialing`` becomes ``ringing`` when the other side says so."""

    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"


@dataclass(frozen=True)
class Ended:
    """How a call ended: by whom, with which SIP status (None: a BYE after the answer), and why."""

    by: Literal["local", "remote"]
    status: int | None
    reason: str


class CallFailed(IvrSimError):
    """A call ended before it was answered; ``ended`` says how."""

    def __init__(self, ended: Ended) -> None:
        status = "" if ended.status is None else f"{ended.status} "
        super().__init__(f"the call was not answered: {status}{ended.reason}")
        self.ended = ended


class Once(Generic[T]):
    """Something that happens at most once, and that any number may wait for, before or after."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[T]] = []
        self._tell: Callable[[Deferred[T]], None] | None = None

    def wait(self) -> Deferred[T]:
        """A Deferred of one's own, which may be cancelled."""
        deferred: Deferred[T] = Deferred(self._forget)
        if self._tell is not None:
            self._tell(deferred)
        else:
            self._waiting.append(deferred)
        return deferred

    def happen(self, tell: Callable[[Deferred[T]], None]) -> None:
        """It happens: ``tell`` fires each Deferred, now and later. The second time nothing happens."""
        if self._tell is None:
            self._tell = tell
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                tell(deferred)

    def _forget(self, deferred: Deferred[T]) -> None:
        """Somebody who waited has been cancelled."""
        if deferred in self._waiting:
            self._waiting.remove(deferred)
