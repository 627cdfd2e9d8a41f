"""What a line process and its parent tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ivr_sim.clients import Access
from ivr_sim.dialogue import Limits
from ivr_sim.http_exchange import HttpExchange
from ivr_sim.journal import Event
from ivr_sim.lines.line import PbxAccount
from ivr_sim.sip.crypto import SrtpUse

__all__ = [
    "Ask",
    "Exchanged",
    "LineOrder",
    "NotStarted",
    "Ping",
    "Pong",
    "Ready",
    "Reply",
    "Stop",
    "Told",
    "split_ports",
]


@dataclass(frozen=True, kw_only=True)
class LineOrder:
    """All that a line process needs to know: told by the pipe alone, since it holds passwords.

    account: of our exchange; pbx: an account elsewhere to register with as well. host, rtp_ports: of its
    media. data: the folder with the prompts. watch: whether what is wrong with calls is told. srtp: see
    ``UserAgent``.
    """

    account: PbxAccount
    access: Access
    data: Path
    shop: str
    language: str
    host: str
    rtp_ports: tuple[int, int]
    limits: Limits = field(default_factory=Limits)
    pbx: PbxAccount | None = None
    advertise: str | None = None
    srtp: SrtpUse = "off"
    watch: bool = True


# From the parent ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ping:
    """Answer, if you can."""

    number: int


@dataclass(frozen=True)
class Reply:
    """The answer to a question; refused: why there is none, in words."""

    number: int
    value: Any = None
    refused: str | None = None


@dataclass(frozen=True)
class Stop:
    """End calls politely, await their charges, and end."""


# From the line -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """The line has registered."""


@dataclass(frozen=True)
class NotStarted:
    """Why it will not."""

    why: str


@dataclass(frozen=True)
class Pong:
    """It can."""

    number: int


@dataclass(frozen=True)
class Told:
    """An event of the journal, in its call's name and time."""

    event: Event
    call: str | None
    t: float | None


@dataclass(frozen=True)
class Exchanged:
    """A request that is over, and the call that it was made for."""

    exchange: HttpExchange
    call: str


@dataclass(frozen=True)
class Ask:
    """A question: ``call`` for a new call's name and the path of its recording, or a method of the ledger."""

    number: int
    what: Literal["call", "open", "settle", "entries"]
    args: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)


def split_ports(first: int, last: int, parts: int) -> list[tuple[int, int]]:
    """A range of media ports, both ends included, dealt in equal parts that begin even.

    Raises ValueError when a part would hold no even port.
    """
    first += first % 2
    pairs = (last + 2 - first) // 2  # even ports
    if pairs < parts:
        raise ValueError(f"{first}-{last} has {max(pairs, 0)} even ports, too few for {parts} lines")
    each = pairs // parts
    return [(first + 2 * each * n, min(first + 2 * each * (n + 1) - 1, last)) for n in range(parts)]
