"""The four transactions of RFC 3261 section 17 as tables, without I/O; INVITE as mended by RFC 6026.

A transaction is one request with all its copies and answers. What may happen to it is an *event*: its
start, a message, a message that its user sends, or a timer. A row says, for a state and an event, which
state follows and what is to be done; what has no row is absorbed. Whoever holds a :class:`Machine` does
what it says: sends the request or the last response again, tells its user, sets and stops timers.

    client INVITE       calling > proceeding > accepted (2xx) or completed (3xx-6xx, acknowledged here)
    client non-INVITE   trying > proceeding > completed
    server INVITE       proceeding > accepted (2xx) or completed (3xx-6xx, repeated until ACK) > confirmed
    server non-INVITE   trying > proceeding > completed

Timers carry RFC 3261's letters (table 4); L and M are RFC 6026's. A, E and G double; a transport that is
reliable (TCP, TLS) repeats what is lost by itself, so there A, E and G are not set, and D, I, J and K, which
wait for copies, run out at once. "error" is the transport's: the request cannot be delivered. One timer is
added here: X ends, after 64*T1, what nobody else would: a cancelled INVITE that gets no final answer
(section 9.1), and a request that our own user never answers, when its sender has given up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ivr_sim.sip.message import Headers, Request, Response
from ivr_sim.sip.via import MAGIC

__all__ = [
    "TABLES",
    "Action",
    "Event",
    "Kind",
    "Machine",
    "Row",
    "State",
    "Timers",
    "ack_for",
    "cancel_for",
    "client_key",
    "server_key",
]

Kind = Literal["client INVITE", "client non-INVITE", "server INVITE", "server non-INVITE"]
State = Literal[
    "initial", "calling", "trying", "proceeding", "accepted", "completed", "confirmed", "terminated"
]
Timer = Literal["A", "B", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "X"]
# Messages of the peer: its request again, its ACK, its answers. Those of our user: send *.
Event = Literal[
    "start", "request", "ACK", "1xx", "2xx", "3xx-6xx", "send 1xx", "send 2xx", "send 3xx-6xx",
    "A", "B", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "X", "error",
]  # fmt: skip
# send: the request, or the last response, once (again). ack: acknowledge this 3xx-6xx. pass: this message
# is for the user. timeout: tell the user that nobody answered (or acknowledged). fail: tell the user that
# the request does not get there, as if it had been answered 503 (section 8.1.3.1).
Action = Literal["send", "ack", "pass", "timeout", "fail"]


@dataclass(frozen=True)
class Timers:
    """The three constants all timers are made of, in seconds (RFC 3261 section 17.1.1.1)."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def give_up(self) -> float:
        """64*T1: how long a request is tried."""
        return 64 * self.t1


@dataclass(frozen=True)
class Row:
    """What follows an event: the state, what is to be done in order, and the timers set and stopped."""

    state: State
    do: tuple[Action, ...] = ()
    start: tuple[Timer, ...] = ()
    stop: tuple[Timer, ...] = ()


REPEATING: frozenset[Timer] = frozenset(("A", "E", "G"))  # the message again, where it may be lost
LINGERING: frozenset[Timer] = frozenset(("D", "I", "J", "K"))  # copies may still come, where there are any

_END = Row("terminated")
_TIMEOUT = Row("terminated", ("timeout",))
_FAIL = Row("terminated", ("fail",))

Table = Mapping[tuple[State, Event], Row]

CLIENT_INVITE: Table = {  # section 17.1.1, figure 5; RFC 6026 figure 4
    ("initial", "start"): Row("calling", ("send",), start=("A", "B")),
    ("calling", "A"): Row("calling", ("send",), start=("A",)),
    ("calling", "B"): _TIMEOUT,
    ("calling", "error"): _FAIL,
    ("calling", "1xx"): Row("proceeding", ("pass",), stop=("A", "B")),
    ("calling", "2xx"): Row("accepted", ("pass",), start=("M",), stop=("A", "B")),
    ("calling", "3xx-6xx"): Row("completed", ("ack", "pass"), start=("D",), stop=("A", "B")),
    ("proceeding", "1xx"): Row("proceeding", ("pass",)),
    ("proceeding", "2xx"): Row("accepted", ("pass",), start=("M",), stop=("X",)),
    ("proceeding", "3xx-6xx"): Row("completed", ("ack", "pass"), start=("D",), stop=("X",)),
    ("proceeding", "X"): _TIMEOUT,
    ("accepted", "2xx"): Row("accepted", ("pass",)),  # the 200 again: its user repeats the ACK
    ("accepted", "M"): _END,
    ("completed", "3xx-6xx"): Row("completed", ("ack",)),
    ("completed", "D"): _END,
}

CLIENT_NON_INVITE: Table = {  # section 17.1.2, figure 6
    ("initial", "start"): Row("trying", ("send",), start=("E", "F")),
    ("trying", "E"): Row("trying", ("send",), start=("E",)),
    ("trying", "F"): _TIMEOUT,
    ("trying", "error"): _FAIL,
    ("trying", "1xx"): Row("proceeding", ("pass",)),
    ("trying", "2xx"): Row("completed", ("pass",), start=("K",), stop=("E", "F")),
    ("trying", "3xx-6xx"): Row("completed", ("pass",), start=("K",), stop=("E", "F")),
    ("proceeding", "E"): Row("proceeding", ("send",), start=("E",)),
    ("proceeding", "F"): _TIMEOUT,
    ("proceeding", "1xx"): Row("proceeding", ("pass",)),
    ("proceeding", "2xx"): Row("completed", ("pass",), start=("K",), stop=("E", "F")),
    ("proceeding", "3xx-6xx"): Row("completed", ("pass",), start=("K",), stop=("E", "F")),
    ("completed", "K"): _END,
}

SERVER_INVITE: Table = {  # section 17.2.1, figure 7; RFC 6026 figure 5
    ("initial", "start"): Row("proceeding", ("pass",)),
    ("proceeding", "request"): Row("proceeding", ("send",)),
    ("proceeding", "send 1xx"): Row("proceeding", ("send",)),
    ("proceeding", "send 2xx"): Row("accepted", ("send",), start=("L",)),
    ("proceeding", "send 3xx-6xx"): Row("completed", ("send",), start=("G", "H")),
    ("accepted", "send 2xx"): Row("accepted", ("send",)),  # repeating the 200 is its user's (13.3.1.4)
    ("accepted", "ACK"): Row("accepted", ("pass",)),
    ("accepted", "L"): _TIMEOUT,
    ("completed", "request"): Row("completed", ("send",)),
    ("completed", "G"): Row("completed", ("send",), start=("G",)),
    ("completed", "H"): _TIMEOUT,
    ("completed", "ACK"): Row("confirmed", start=("I",), stop=("G", "H")),
    ("confirmed", "I"): _END,
}

SERVER_NON_INVITE: Table = {  # section 17.2.2, figure 8
    ("initial", "start"): Row("trying", ("pass",), start=("X",)),
    ("trying", "send 1xx"): Row("proceeding", ("send",)),
    ("trying", "send 2xx"): Row("completed", ("send",), start=("J",), stop=("X",)),
    ("trying", "send 3xx-6xx"): Row("completed", ("send",), start=("J",), stop=("X",)),
    ("trying", "X"): _END,
    ("proceeding", "request"): Row("proceeding", ("send",)),
    ("proceeding", "send 1xx"): Row("proceeding", ("send",)),
    ("proceeding", "send 2xx"): Row("completed", ("send",), start=("J",), stop=("X",)),
    ("proceeding", "send 3xx-6xx"): Row("completed", ("send",), start=("J",), stop=("X",)),
    ("proceeding", "X"): _END,
    ("completed", "request"): Row("completed", ("send",)),
    ("completed", "J"): _END,
}

TABLES: Mapping[Kind, Table] = {
    "client INVITE": CLIENT_INVITE,
    "client non-INVITE": CLIENT_NON_INVITE,
    "server INVITE": SERVER_INVITE,
    "server non-INVITE": SERVER_NON_INVITE,
}
_ABSORBED: Mapping[State, Row] = {state: Row(state) for state in get_args(State)}


class Machine:
    """One transaction's state, and how long its timers run; reliable: the transport loses nothing."""

    def __init__(self, kind: Kind, timers: Timers, *, reliable: bool = False) -> None:
        self.kind = kind
        self.state: State = "initial"
        self._table = TABLES[kind]
        self._timers = timers
        self._reliable = reliable
        self._repeats = 0

    def step(self, event: Event) -> Row:
        """Take one event; the row says what is to be done. An event without a row changes nothing."""
        row = self._table.get((self.state, event), _ABSORBED[self.state])
        self.state = row.state
        return row

    def seconds(self, timer: Timer) -> float | None:
        """How long a timer that is set now runs (RFC 3261 table 4); None: it is not to be set."""
        if self._reliable and timer in REPEATING:
            return None
        if self._reliable and timer in LINGERING:
            return 0.0
        if timer in REPEATING:
            interval: float = self._timers.t1 * 2**self._repeats
            self._repeats += 1
            if timer == "E" and self.state == "proceeding":
                interval = self._timers.t2
            return interval if timer == "A" else min(interval, self._timers.t2)
        return self._timers.t4 if timer in ("I", "K") else self._timers.give_up


def event_of(status: int) -> Literal["1xx", "2xx", "3xx-6xx"]:
    """The event that a response of this status is."""
    if status < 200:
        return "1xx"
    return "2xx" if status < 300 else "3xx-6xx"


def client_key(message: Request | Response) -> tuple[str, str]:
    """What a response and its request share: branch and method (section 17.1.3)."""
    return message.top_via.branch or "", message.cseq[1]


def server_key(request: Request, method: str | None = None) -> tuple[str, ...]:
    """What all copies of a request share, and an ACK with its INVITE (section 17.2.3).

    method: look for the transaction of another method, as a CANCEL does for its INVITE's. A branch that
    is not unique (RFC 2543, or nothing behind the cookie) gives way to Request-URI, From tag, Call-ID,
    CSeq number and Via.
    """
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    via = request.top_via
    branch = via.branch or ""
    if branch.lower().startswith(MAGIC.lower()) and len(branch) > len(MAGIC):
        return branch, via.host.lower(), str(via.port or 5060), method
    return request.uri, request.from_.tag or "", request.call_id, str(request.cseq[0]), str(via), method


def ack_for(request: Request, response: Response) -> Request:
    """The ACK for a 3xx-6xx to an INVITE: same branch, the response's To (section 17.1.1.3)."""
    return _companion(request, "ACK", response.headers.get("To") or "")


def cancel_for(request: Request) -> Request:
    """The CANCEL for a request: all but the method as in the request (section 9.1)."""
    return _companion(request, "CANCEL", request.headers.get("To") or "")


def _companion(request: Request, method: str, to: str) -> Request:
    headers = Headers([("Via", request.headers.get("Via") or "")])
    for route in request.headers.get_all("Route"):
        headers.add("Route", route)
    headers.add("From", request.headers.get("From") or "")
    headers.add("To", to)
    headers.add("Call-ID", request.call_id)
    headers.add("CSeq", f"{request.cseq[0]} {method}")
    headers.add("Max-Forwards", "70")
    return Request(method, request.uri, headers)
