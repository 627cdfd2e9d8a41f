"""Session descriptions: reading them, offering audio, and answering offers (RFC 4566, RFC 3264).

We speak G.711 and telephone-events over plain RTP, nothing else, and an answer of ours holds exactly one
audio codec: with two, PJSIP sends a re-INVITE only to lock one of them, and a peer may switch between
them in mid-call. Everything else in an offer is refused line by line, as RFC 3264 section 6 wants it:

    offered                               answered
    m=audio 4000 RTP/AVP 8 0 101 96       m=audio 16384 RTP/AVP 8 101
    m=video 4002 RTP/AVP 31               m=video 0 RTP/AVP 31
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ivr_sim.errors import RemoteProtocolError

__all__ = [
    "CODEC_NAMES",
    "MAX_BODY",
    "Agreed",
    "Answer",
    "BadDescription",
    "Description",
    "Direction",
    "Media",
    "NotAcceptable",
    "Origin",
    "accept",
    "answer",
    "offer",
    "parse",
]

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

CODEC_NAMES: Mapping[int, str] = {0: "PCMU", 8: "PCMA"}  # static payload types of RFC 3551, table 4
EVENT_PAYLOAD_TYPE = 101  # the number everybody offers for telephone-events; theirs may differ
MAX_BODY = 16 * 1024
MAX_MEDIA = 16
MAX_FORMATS = 64

# AVPF only adds feedback that nobody has to send (RFC 4585); the secure profiles need keys.
_PROFILES = ("RTP/AVP", "RTP/AVPF")
_DIRECTIONS: Mapping[str, Direction] = {
    "sendrecv": "sendrecv",
    "sendonly": "sendonly",
    "recvonly": "recvonly",
    "inactive": "inactive",
}
_EVENTS = ("telephone-event", 8000)
_M_LINE = re.compile(r"([!-~]+) ([0-9]{1,5})(?:/[0-9]{1,5})? ([!-~]+)((?: [!-~]+)*)")
_RTPMAP = re.compile(r"([0-9]{1,3}) +([^/ ]+)(?:/([0-9]{1,9}))?(?:/[^ ]*)?")


class BadDescription(RemoteProtocolError):
    """A body that is no session description; ``status`` is the SIP answer to it (400)."""

    status = 400


class NotAcceptable(RemoteProtocolError):
    """A description that holds nothing we can use; ``status`` is the SIP answer to it (488)."""

    status = 488


@dataclass(frozen=True)
class Media:
    """One m= line: what it carries, where, and in which direction as seen by its sender.

    port: 0 when the stream is refused. formats: as listed, text, since not every profile numbers them.
    rtpmap: payload type -> (encoding name, clock rate in Hz or None). host: its own c= line, if any.
    direction: None where the line leaves it to the session level. ptime: ms per packet.
    """

    kind: str
    port: int
    profile: str
    formats: tuple[str, ...]
    host: str | None = None
    direction: Direction | None = None
    rtpmap: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)
    ptime: int | None = None


@dataclass(frozen=True)
class Description:
    """A session description as its sender wrote it; ``origin`` is the text of the o= line."""

    origin: str
    host: str | None
    direction: Direction | None
    media: tuple[Media, ...]


@dataclass(frozen=True)
class Agreed:
    """What both sides now do with one audio stream.

    remote: where the peer wants its packets. event_payload_type: of telephone-events, None when the peer
    has none. sending, receiving: from our side; a peer on hold is not sent to.
    """

    payload_type: int
    remote: tuple[str, int]
    event_payload_type: int | None
    sending: bool
    receiving: bool

    @property
    def codec_name(self) -> str:
        """PCMU or PCMA."""
        return CODEC_NAMES[self.payload_type]


@dataclass(frozen=True)
class Answer:
    """An answer of ours: the body to send, and what it agrees to."""

    body: bytes
    media: Agreed


@dataclass
class Origin:
    """Our o= line through one call: the session id stays, the version counts what changes.

    RFC 3264 section 8: a description that says the same keeps its version, any other bumps it by one.
    """

    session_id: int
    version: int = 0
    _said: str = field(default="", repr=False)

    def write(self, host: str, media: Iterable[str]) -> bytes:
        """The whole description around the lines of its media."""
        said = "\r\n".join((f"c=IN IP4 {host}", "t=0 0", *media, ""))
        if said != self._said:
            self._said = said
            self.version += 1
        head = f"v=0\r\no=- {self.session_id} {self.version} IN IP4 {host}\r\ns=-\r\n"
        return (head + said).encode("ascii")


# --- reading -------------------------------------------------------------------------------------------


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


# --- agreeing ------------------------------------------------------------------------------------------


def _usable(description: Description, media: Media) -> Agreed | str:
    """What we would do with one m= line of the peer's, or why we can do nothing."""
    if media.kind != "audio":
        return f"{media.kind} is not audio"
    if media.port == 0:
        return "the audio is refused (port 0)"
    if media.profile.upper() not in _PROFILES:
        return f"the profile {media.profile} is not plain RTP"
    host = media.host or description.host
    if host is None:
        return "no c= line says where the audio goes"
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return f"{host[:60]!r} is not an IPv4 address"
    if address.is_multicast or int(address) == 0xFFFFFFFF:
        return f"{host} is not the address of one host"
    codec = next((int(f) for f in media.formats if _is_codec(media, f)), None)
    if codec is None:
        named = (media.rtpmap.get(f, (f"payload type {f}", None))[0] for f in media.formats)
        return f"no codec in common: offered {', '.join(named) or 'nothing'}, we have PCMU and PCMA"
    event = next((int(f) for f in media.formats if media.rtpmap.get(f) == _EVENTS and int(f) < 128), None)
    theirs = media.direction or description.direction or "sendrecv"
    # The hold of RFC 2543, still met: an address of zeros says "send me nothing" (RFC 3264 section 8.4).
    sending = theirs in ("sendrecv", "recvonly") and int(address) != 0
    receiving = theirs in ("sendrecv", "sendonly")
    return Agreed(codec, (host, media.port), event, sending, receiving)


def _is_codec(media: Media, payload_type: str) -> bool:
    """Whether this is one of our static payload types; an rtpmap that says otherwise disqualifies it."""
    expected = {"0": "pcmu", "8": "pcma"}.get(payload_type)
    name, clock = media.rtpmap.get(payload_type, (expected, 8000))
    return expected is not None and name == expected and clock in (8000, None)


def media_host(description: Description) -> str | None:
    """The IPv4 address that audio comes from and goes to; None where there is none, as on hold."""
    for media in description.media:
        host = media.host or description.host
        try:
            if media.kind == "audio" and int(ipaddress.IPv4Address(host or "")):
                return host
        except ValueError:
            continue
    return None


def answer(offered: Description, *, host: str, port: int, origin: Origin) -> Answer:
    """Answer an offer: one codec in the offerer's order, its telephone-event, one m= line per m= line.

    host, port: where we take the audio. A second audio line is refused like video, with port 0. Raises
    NotAcceptable when no line can be used; its text says why each was not.
    """
    agreed: Agreed | None = None
    lines: list[str] = []
    reasons: list[str] = []
    for media in offered.media:
        usable = _usable(offered, media) if agreed is None else "one audio stream is enough"
        if isinstance(usable, Agreed):
            agreed = usable
            lines += _audio_lines(
                port,
                media.profile,
                (usable.payload_type,),
                usable.event_payload_type,
                _direction(usable.sending, usable.receiving),
            )
        else:
            reasons.append(usable)
            formats = " ".join(media.formats) or "0"
            lines.append(f"m={media.kind} 0 {media.profile} {formats}")
    if agreed is None:
        raise NotAcceptable("; ".join(reasons) or "the offer has no m= line")
    return Answer(origin.write(host, lines), agreed)


def offer(*, host: str, port: int, origin: Origin) -> bytes:
    """Offer PCMU, PCMA and telephone-events, both ways."""
    return origin.write(
        host, _audio_lines(port, "RTP/AVP", tuple(CODEC_NAMES), EVENT_PAYLOAD_TYPE, "sendrecv")
    )


def accept(answered: Description) -> Agreed:
    """What the peer made of our offer. Raises NotAcceptable when its first m= line is nothing we offered.

    A peer that lists our payload type without naming it by an rtpmap means what we offered under it.
    """
    if not answered.media:
        raise NotAcceptable("the answer has no m= line")
    media = answered.media[0]
    usable = _usable(answered, media)
    if not isinstance(usable, Agreed):
        raise NotAcceptable(usable)
    ours = str(EVENT_PAYLOAD_TYPE)
    if usable.event_payload_type is None and ours in media.formats and ours not in media.rtpmap:
        return Agreed(
            usable.payload_type, usable.remote, EVENT_PAYLOAD_TYPE, usable.sending, usable.receiving
        )
    return usable


def _direction(sending: bool, receiving: bool) -> Direction:
    if sending:
        return "sendrecv" if receiving else "sendonly"
    return "recvonly" if receiving else "inactive"


def _audio_lines(
    port: int, profile: str, codecs: tuple[int, ...], event: int | None, direction: Direction
) -> list[str]:
    types = codecs if event is None else (*codecs, event)
    lines = [f"m=audio {port} {profile} {' '.join(map(str, types))}"]
    lines += [f"a=rtpmap:{n} {CODEC_NAMES[n]}/8000" for n in codecs]
    if event is not None:
        # 0-15: digits, star, pound and A-D (RFC 4733 section 3.2); flash (16) means nothing to us.
        lines += [f"a=rtpmap:{event} telephone-event/8000", f"a=fmtp:{event} 0-15"]
    return [*lines, "a=ptime:20", f"a={direction}"]
