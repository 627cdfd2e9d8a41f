"""The SIP messages of one call, as the exchange saw them: who sent what to whom, and when.

Credentials, and bodies that may hold a key, are left out as the messages come in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ivr_sim.logs import redacted

__all__ = ["Address", "Rung", "SipMessage", "call_id_of", "ladder", "read_ladder", "read_sip"]

Address = tuple[str, int] | tuple[str, int, str]  # host, port, and perhaps the transport
MAX_TEXT = 8192  # characters of one message
WIDTH = 32  # of the gap between two columns

_DRAWN = {"via", "v", "call-id", "i"}  # long random numbers, in which every tenth would look like a card's
_SECRET = ("authorization", "proxy-authorization")
_CALL_ID = re.compile(rb"^(?:call-id|i)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_BREAK = re.compile(r"\r\n|\r|\n")
# What ``ladder`` writes: its first line, and an arrow.
_HUB = re.compile(r"SIP messages as the (.+) saw them\.")
_RUNG = re.compile(rf"^ *\d+ +(-?\d+\.\d{{3}})  \|(.{{{WIDTH}}})\|(.{{{WIDTH}}})\|$", re.MULTILINE)
# Lists of numbers that a redactor would take for a card's: payload types, and a session's own number.
_NUMBERS = re.compile(r"[mo]=")


@dataclass(frozen=True)
class SipMessage:
    """One message: when, in seconds; whether it was received or sent; by whom or to whom; as shown."""

    at: float
    received: bool
    peer: Address
    method: str  # of a request, or of the request that a response is for
    status: int | None
    start_line: str
    call_id: str
    to_user: str  # of a request: the user part of its Request-URI
    from_user: str  # of the caller, by the From header
    user_agent: str | None
    text: str

    @property
    def sdp(self) -> bool:
        """Whether it carries a session description."""
        return "\nv=0" in self.text


def call_id_of(data: bytes) -> str | None:
    """The Call-ID of a datagram, if it is a SIP message that has one."""
    found = _CALL_ID.search(data[:MAX_TEXT])
    return None if found is None else found[1].decode("utf-8", "replace").strip() or None


def read_sip(direction: str, data: bytes, peer: Address, at: float) -> SipMessage | None:
    """What ``UdpEndpoint``'s trace saw; None for what is no SIP message of a call."""
    head, _, body = data.lstrip(b"\r\n\0").decode("utf-8", "replace").partition("\r\n\r\n")
    first, *lines = _BREAK.split(re.sub(r"(?:\r\n|\r|\n)[ \t]+", " ", head[: 2 * MAX_TEXT]))
    values: dict[str, str] = {}
    shown = [_plain(redacted(first))]
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        values.setdefault(name.lower(), value)
        shown.append(
            f"{_plain(name)}: (not shown)"
            if name.lower() in _SECRET
            else _plain(line if name.lower() in _DRAWN else redacted(line))
            if colon
            else "?"
        )
    call_id = values.get("call-id") or values.get("i")
    cseq = (values.get("cseq") or "").split()
    if call_id is None or len(cseq) != 2:
        return None
    status = re.match(r"SIP/2\.0 ([1-6][0-9]{2})", first, re.IGNORECASE)
    uri = re.match(r"\S+ sips?:([^@;>\s]*)@", first, re.IGNORECASE)
    if body:
        kind = (values.get("content-type") or values.get("c") or "").lower()
        shown.append("")
        if kind.split(";")[0].strip() == "application/sdp":
            shown += [
                _plain(line if _NUMBERS.match(line) else redacted(line))
                for line in _BREAK.split(body.rstrip())
            ]
        else:
            shown.append("(a key, not shown)" if cseq[1] in ("INFO", "MESSAGE") else "(a body, not shown)")
    agent = values.get("user-agent")
    return SipMessage(
        at=at,
        received=direction == "received",
        peer=peer,
        method=cseq[1] if status else first.split(" ")[0],
        status=int(status[1]) if status else None,
        start_line=shown[0],
        call_id=call_id,
        to_user=uri[1] if uri and not status else "",
        from_user=_user(values.get("from") or values.get("f") or ""),
        user_agent=None if agent is None else _plain(redacted(agent)),
        text="\n".join(shown)[:MAX_TEXT],
    )


def ladder(messages: Sequence[SipMessage], *, zero: float, zero_is: str, hub: str = "exchange") -> str:
    """The messages as arrows between three columns, and each of them in full below.

    zero: the instant that times count from; zero_is: what happened then, in words.
    """
    if not messages:
        return f"No SIP message of this call passed the {hub}.\n"
    lines = {m.peer for m in messages if not m.received and m.method == "INVITE" and m.status is None}
    phones = [m.peer for m in messages if m.peer not in lines]
    line = next((m.peer for m in reversed(messages) if m.peer in lines), None)
    known: dict[tuple[bool, Address, str], int] = {}
    arrows, texts = [], []
    for n, message in enumerate(messages, 1):
        again = known.setdefault((message.received, message.peer, message.text), n)
        label = _label(message) + (f" (again, as {again})" if again != n else "")
        arrows.append(f"{n:4} {message.at - zero:9.3f}  {_arrow(message, label, message.peer in lines)}")
        if again == n:
            way = "from" if message.received else "to"
            where = f"{message.peer[0]}:{message.peer[1]}"
            texts.append(f"--- {n}: {way} {where}, {message.at - zero:.3f} s ---\n{message.text}\n")
    names = (["phone", hub, "line"], [_host(phones[0] if phones else None), "", _host(line)])
    heads = [f"{'':16}" + "".join(name.ljust(WIDTH + 1) for name in row).rstrip() for row in names]
    begin = f"SIP messages as the {hub} saw them. Times in seconds; 0 is {zero_is}."
    return "\n".join([begin, "", *heads, *arrows, "", *texts])


class Rung(NamedTuple):
    """One arrow of a ladder: when, in seconds; from whom and to whom, as its columns are called; what."""

    t: float
    sender: str
    receiver: str
    label: str


def read_ladder(text: str) -> list[Rung]:
    """The arrows of what ``ladder`` wrote."""
    rungs = []
    hub = found[1] if (found := _HUB.match(text)) else "exchange"
    for found in _RUNG.finditer(text):
        left = found[2].strip()
        arrow = (left or found[3]).strip()
        ends = ("phone", hub) if left else (hub, "line")
        sender, receiver = ends[::-1] if arrow.startswith("<") else ends
        rungs.append(Rung(float(found[1]), sender, receiver, arrow.strip("<>").strip("-")))
    return rungs


def _host(address: Address | None) -> str:
    return "(never reached)" if address is None else f"{address[0]}:{address[1]}"


def _label(message: SipMessage) -> str:
    what = message.method
    if message.status is not None:
        what = f"{message.start_line.partition(' ')[2][:24]} ({message.method})"
    return what + (" +SDP" if message.sdp else "")


def _arrow(message: SipMessage, label: str, right: bool) -> str:
    """One line between the columns: the arrow points at whoever got the message."""
    to_the_right = message.received != right
    label = label[: WIDTH - 5]
    dashes = "-" * (WIDTH - len(label) - 3)
    arrow = f"--{label}{dashes}>" if to_the_right else f"<--{label}{dashes}"
    empty = " " * WIDTH
    left, other = (empty, arrow) if right else (arrow, empty)
    return f"|{left.ljust(WIDTH)}|{other.ljust(WIDTH)}|"


def _user(address: str) -> str:
    found = re.search(r"sips?:([^@;>\s]*)@", address, re.IGNORECASE)
    return _plain(redacted(found[1])) if found else ""


def _plain(text: str) -> str:
    """What a telephone sent must not steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
