"""Reading session descriptions (RFC 4566), lenient where it does no harm.

What the lines say is kept as the sender means it; what becomes of it is for :mod:`ivr_sim.sip.sdp`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ivr_sim.errors import RemoteProtocolError
from ivr_sim.sip.crypto import Crypto

__all__ = ["MAX_BODY", "BadDescription", "Description", "Direction", "Media", "parse"]

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

MAX_BODY = 16 * 1024
MAX_MEDIA = 16
MAX_FORMATS = 64
MAX_CRYPTO = 16

_DIRECTIONS: Mapping[str, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "inactive": "inactive",
}
_M_LINE = re.compile(r"([!-~]+) ([0-9]{1,5})(?:/[0-9]{1,5})? ([!-~]+)((?: [!-~]+)*)")
_RTPMAP = re.compile(r"([0-9]{1,3}) +([^/ ]+)(?:/([0-9]{1,9}))?(?:/[^ ]*)?")


class BadDescription(RemoteProtocolError):
    """A body that is no session description; ``status`` is the SIP answer to it (400)."""

    status = 400


@dataclass(frozen=True)
class Media:
    """One m= line: what it carries, where, and in which direction as seen by its sender.

    port: 0 when the stream is refused. formats: as listed, text, since not every profile numbers them.
    rtpmap: payload type -> (encoding name, clock rate in Hz or None). host: its own c= line, if any.
    direction: None where the line leaves it to the session level. ptime: ms per packet. crypto: the keys
    offered with it that we can use, in order.
    """

    kind: str
    port: int
    profile: str
    formats: tuple[str, ...]
    host: str | None = None
    direction: Direction | None = None
    rtpmap: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)
    ptime: int | None = None
    crypto: tuple[Crypto, ...] = ()


@dataclass(frozen=True)
class Description:
    """A session description as its sender wrote it; ``origin`` is the text of the o= line."""

    origin: str
    host: str | None
    direction: Direction | None
    media: tuple[Media, ...]


def parse(body: bytes) -> Description:
    """Read a session description.

    Lenient in what does no harm (bare line feeds, unknown lines, rtpmaps of payload types that no m= line
    lists, lines out of order), strict in what an answer depends on. Raises BadDescription.
    """
    if len(body) > MAX_BODY:
        raise BadDescription(f"the session description has {len(body)} bytes; {MAX_BODY} are taken")
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    if lines[0].strip() != "v=0":
        raise BadDescription(f"a session description begins with 'v=0', not with {lines[0][:40]!r}")
    origin: str | None = None
    session = _Draft()
    drafts: list[_Draft] = []
    for line in lines[1:]:
        kind, equals, value = line.partition("=")
        if not equals or len(kind) != 1:
            continue  # one stray line does not make the call fail
        value = value.strip()
        draft = drafts[-1] if drafts else session
        if kind == "o" and origin is None:
            origin = value
        elif kind == "m":
            if len(drafts) == MAX_MEDIA:
                raise BadDescription(f"more than {MAX_MEDIA} m= lines")
            drafts.append(_Draft(*_m_line(value)))
        elif kind == "c":
            draft.host = _c_line(value)
        elif kind == "a":
            draft.attribute(value)
    if origin is None:
        raise BadDescription("the session description has no o= line")
    return Description(origin, session.host, session.direction, tuple(d.media() for d in drafts))


@dataclass
class _Draft:
    """A level of a description while it is read: the session, or one m= line."""

    kind: str = ""
    port: int = 0
    profile: str = ""
    formats: tuple[str, ...] = ()
    host: str | None = None
    direction: Direction | None = None
    ptime: int | None = None
    rtpmap: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    crypto: tuple[Crypto, ...] = ()

    def attribute(self, text: str) -> None:
        name, _, value = text.partition(":")
        name = name.strip().lower()
        value = value.strip()
        if name in _DIRECTIONS:
            self.direction = _DIRECTIONS[name]
        elif name == "rtpmap" and (m := _RTPMAP.match(value)) and len(self.rtpmap) < 2 * MAX_FORMATS:
            self.rtpmap[m[1]] = (m[2].lower(), int(m[3]) if m[3] else None)
        elif name == "ptime" and value.isascii() and value.isdigit() and 0 < len(value) < 5:
            self.ptime = int(value)
        elif name == "crypto" and len(self.crypto) < MAX_CRYPTO and (key := Crypto.parse(value)) is not None:
            self.crypto += (key,)

    def media(self) -> Media:
        return Media(**vars(self))


def _m_line(value: str) -> tuple[str, int, str, tuple[str, ...]]:
    match = _M_LINE.fullmatch(" ".join(value.split()))
    if match is None or int(match[2]) > 65535:
        raise BadDescription(f"not an m= line: {value[:60]!r}")
    formats = tuple(match[4].split())
    if len(formats) > MAX_FORMATS:
        raise BadDescription(f"more than {MAX_FORMATS} formats in one m= line")
    return match[1].lower(), int(match[2]), match[3], formats


def _c_line(value: str) -> str:
    parts = value.split()
    if len(parts) != 3:
        raise BadDescription(f"not a c= line: {value[:60]!r}")
    return parts[2].partition("/")[0]
