"""Session descriptions: offering audio, and answering offers (RFC 3264).

We speak G.711 and telephone-events over RTP, in the clear or with keys from a=crypto lines, and an answer of
ours holds exactly one audio codec: with two, PJSIP sends a re-INVITE only to lock one of them, and a peer may
switch between them in mid-call. Everything else in an offer is refused line by line, as RFC 3264 section 6
wants it:

    offered                               answered
    m=audio 4000 RTP/AVP 8 0 101 96       m=audio 16384 RTP/AVP 8 101
    m=video 4002 RTP/AVP 31               m=video 0 RTP/AVP 31
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ivr_sim.errors import RemoteProtocolError
from ivr_sim.sip.crypto import SUITES, Crypto
from ivr_sim.sip.description import MAX_BODY, BadDescription, Description, Direction, Media, parse

__all__ = [
    "CODEC_NAMES",
    "MAX_BODY",
    "Agreed",
    "Answer",
    "BadDescription",
    "Crypto",
    "Description",
    "Direction",
    "Media",
    "NotAcceptable",
    "Origin",
    "Secure",
    "accept",
    "answer",
    "media_host",
    "offer",
    "parse",
]

CODEC_NAMES: Mapping[int, str] = {0: "PCMU", 8: "PCMA"}  # static payload types of RFC 3551, table 4
EVENT_PAYLOAD_TYPE = 101  # the number everybody offers for telephone-events; theirs may differ

# The profiles with F only add feedback that nobody has to send (RFC 4585, RFC 5124).
_PLAIN = ("RTP/AVP", "RTP/AVPF")
_SECURE = ("RTP/SAVP", "RTP/SAVPF")
_EVENTS = ("telephone-event", 8000)


class NotAcceptable(RemoteProtocolError):
    """A description that holds nothing we can use; ``status`` is the SIP answer to it (488).

    warning: the code of the Warning header that goes with that (RFC 3261 section 20.43).
    """

    status = 488

    def __init__(self, reason: str, warning: int = 399) -> None:
        super().__init__(reason)
        self.warning = warning


@dataclass(frozen=True)
class Secure:
    """That audio may be encrypted, or must be; ``key`` is what we send with, 30 bytes, new in each call."""

    required: bool
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Agreed:
    """What both sides now do with one audio stream.

    remote: where the peer wants its packets. event_payload_type: of telephone-events, None when the peer
    has none. sending, receiving: from our side; a peer on hold is not sent to. crypto: the keys that we
    and the peer send with, None in the clear.
    """

    payload_type: int
    remote: tuple[str, int]
    event_payload_type: int | None
    sending: bool
    receiving: bool
    crypto: tuple[Crypto, Crypto] | None = None

    @property
    def codec_name(self) -> str:
        """PCMU or PCMA."""
        return CODEC_NAMES[self.payload_type]


@dataclass(frozen=True)
class Answer:
    """An answer of ours: the body to send, and what it agrees to."""

    body: bytes = field(repr=False)  # may hold a key
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
        address = f"IN {'IP6' if ':' in host else 'IP4'} {host}"
        said = "\r\n".join((f"c={address}", "t=0 0", *media, ""))
        if said != self._said:
            self._said = said
            self.version += 1
        head = f"v=0\r\no=- {self.session_id} {self.version} {address}\r\ns=-\r\n"
        return (head + said).encode("ascii")


# --- what of theirs can be used ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Unusable:
    """Why we can do nothing with an m= line: a warn-code of RFC 3261 section 20.43, and words."""

    warning: int
    reason: str


def _usable(description: Description, media: Media, host: str, secure: Secure | None) -> Agreed | _Unusable:
    """What we, at ``host``, would do with one m= line of the peer's; ``receiving`` is what it allows."""
    if media.kind != "audio":
        return _Unusable(304, f"{media.kind} is not audio")
    if media.port == 0:
        return _Unusable(304, "the audio is refused (port 0)")
    crypto = _keys(media, secure)
    if isinstance(crypto, _Unusable):
        return crypto
    address = _address(media.host or description.host, host)
    if isinstance(address, _Unusable):
        return address
    codec = next((int(f) for f in media.formats if _is_codec(media, f)), None)
    if codec is None:
        named = (media.rtpmap.get(f, (f"payload type {f}", None))[0] for f in media.formats)
        return _Unusable(
            305, f"no codec in common: offered {', '.join(named) or 'nothing'}, we have PCMU and PCMA"
        )
    event = next((int(f) for f in media.formats if media.rtpmap.get(f) == _EVENTS and int(f) < 128), None)
    theirs = media.direction or description.direction or "sendrecv"
    # The hold of RFC 2543, still met: an address of zeros says "send me nothing" (RFC 3264 section 8.4).
    sending = theirs in ("sendrecv", "recvonly") and not address.is_unspecified
    receiving = theirs in ("sendrecv", "sendonly")
    return Agreed(codec, (str(address), media.port), event, sending, receiving, crypto)


def _keys(media: Media, secure: Secure | None) -> tuple[Crypto, Crypto] | _Unusable | None:
    """The keys of an m= line, ours first; None for audio in the clear.

    Telephones that secure what they can offer keys with the plain profile, too.
    """
    profile = media.profile.upper()
    if profile not in _PLAIN and (secure is None or profile not in _SECURE):
        return _Unusable(302, f"the profile {media.profile} is not plain RTP")
    if secure is None:
        return None
    if media.crypto:
        theirs = media.crypto[0]
        return Crypto(theirs.tag, theirs.suite, secure.key), theirs
    if profile in _SECURE or secure.required:
        return _Unusable(302, f"the profile {media.profile} comes without a key that we can use")
    return None


def _address(theirs: str | None, ours: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | _Unusable:
    """Where the peer is, if that can be sent to from our address."""
    version = ipaddress.ip_address(ours).version
    if theirs is None:
        return _Unusable(300, "no c= line says where the audio goes")
    try:
        address = ipaddress.ip_address(theirs)
    except ValueError:
        address = None
    if address is None or address.version != version:
        return _Unusable(301, f"{theirs[:60]!r} is not an IPv{version} address")
    if address.is_multicast or (version == 4 and int(address) == 0xFFFFFFFF):
        return _Unusable(330, f"{theirs} is not the address of one host")
    return address


def _is_codec(media: Media, payload_type: str) -> bool:
    """Whether this is one of our static payload types; an rtpmap that says otherwise disqualifies it."""
    expected = {"0": "pcmu", "8": "pcma"}.get(payload_type)
    name, clock = media.rtpmap.get(payload_type, (expected, 8000))
    return expected is not None and name == expected and clock in (8000, None)


def media_host(description: Description) -> str | None:
    """The address that audio comes from and goes to; None where there is none, as on hold."""
    for media in description.media:
        host = media.host or description.host
        try:
            if media.kind == "audio" and not ipaddress.ip_address(host or "").is_unspecified:
                return host
        except ValueError:
            continue
    return None


# --- offers and answers --------------------------------------------------------------------------------


def answer(
    offered: Description,
    *,
    host: str,
    port: int,
    origin: Origin,
    secure: Secure | None = None,
    listening: bool = True,
) -> Answer:
    """Answer an offer: one codec in the offerer's order, its telephone-event, one m= line per m= line.

    host, port: where we take the audio. secure: None for audio in the clear only. listening: False while
    we hold the call. A second audio line is refused like video, with port 0. Raises NotAcceptable when no
    line can be used; its text says why each was not.
    """
    agreed: Agreed | None = None
    lines: list[str] = []
    refused: list[_Unusable] = []
    for media in offered.media:
        usable = _usable(offered, media, host, secure) if agreed is None else _Unusable(304, "one is enough")
        if isinstance(usable, _Unusable):
            refused.append(usable)
            lines.append(f"m={media.kind} 0 {media.profile} {' '.join(media.formats) or '0'}")
        else:
            agreed = usable if listening else _deaf(usable)
            lines += _audio_lines(
                port,
                media.profile,
                (agreed.payload_type,),
                agreed.event_payload_type,
                _direction(agreed.sending, agreed.receiving),
                None if agreed.crypto is None else agreed.crypto[0],
            )
    if agreed is None:
        # That a video is no audio says less than what is wrong with the audio beside it.
        warning = next((r.warning for r in refused if r.warning != 304), 304 if refused else 399)
        raise NotAcceptable("; ".join(r.reason for r in refused) or "the offer has no m= line", warning)
    return Answer(origin.write(host, lines), agreed)


def offer(
    *,
    host: str,
    port: int,
    origin: Origin,
    secure: Secure | None = None,
    listening: bool = True,
    before: Agreed | None = None,
) -> bytes:
    """Offer PCMU, PCMA and telephone-events, both ways unless we hold the call.

    secure: a key goes along, with the plain profile where secure audio is not required, so that a peer that
    has no use for it takes the call in the clear. before: what was agreed on; it comes first now, and a
    number once given to telephone-events stays theirs (RFC 3264 section 8.3.2).
    """
    codecs = tuple(CODEC_NAMES)
    event = EVENT_PAYLOAD_TYPE
    if before is not None:
        codecs = before.payload_type, *(n for n in codecs if n != before.payload_type)
        event = before.event_payload_type or EVENT_PAYLOAD_TYPE
    crypto = None if secure is None else Crypto(1, SUITES[0], secure.key)
    profile = _SECURE[0] if secure is not None and secure.required else _PLAIN[0]
    lines = _audio_lines(port, profile, codecs, event, "sendrecv" if listening else "sendonly", crypto)
    return origin.write(host, lines)


def accept(
    answered: Description,
    *,
    host: str,
    secure: Secure | None = None,
    listening: bool = True,
    before: Agreed | None = None,
) -> Agreed:
    """What the peer made of our offer, whose arguments are given again.

    A peer that lists our payload type without naming it by an rtpmap means what we offered under it.
    Raises NotAcceptable when its first m= line is nothing we offered.
    """
    if not answered.media:
        raise NotAcceptable("the answer has no m= line")
    media = answered.media[0]
    usable = _usable(answered, media, host, secure)
    if isinstance(usable, _Unusable):
        raise NotAcceptable(usable.reason, usable.warning)
    if usable.crypto is not None and (usable.crypto[1].tag, usable.crypto[1].suite) != (1, SUITES[0]):
        raise NotAcceptable("the answer has a key for something that was not offered", 306)
    number = before.event_payload_type if before is not None else None
    ours = str(number or EVENT_PAYLOAD_TYPE)
    if usable.event_payload_type is None and ours in media.formats and ours not in media.rtpmap:
        usable = replace(usable, event_payload_type=int(ours))
    return usable if listening else _deaf(usable)


def _deaf(agreed: Agreed) -> Agreed:
    """The same while we hold the call."""
    return replace(agreed, receiving=False)


def _direction(sending: bool, receiving: bool) -> Direction:
    if sending:
        return "sendrecv" if receiving else "sendonly"
    return "recvonly" if receiving else "inactive"


def _audio_lines(
    port: int,
    profile: str,
    codecs: tuple[int, ...],
    event: int | None,
    direction: Direction,
    crypto: Crypto | None,
) -> list[str]:
    types = codecs if event is None else (*codecs, event)
    lines = [f"m=audio {port} {profile} {' '.join(map(str, types))}"]
    if crypto is not None:
        lines.append(crypto.line())
    lines += [f"a=rtpmap:{n} {CODEC_NAMES[n]}/8000" for n in codecs]
    if event is not None:
        # 0-15: digits, star, pound and A-D (RFC 4733 section 3.2); flash (16) means nothing to us.
        lines += [f"a=rtpmap:{event} telephone-event/8000", f"a=fmtp:{event} 0-15"]
    return [*lines, "a=ptime:20", f"a={direction}"]
