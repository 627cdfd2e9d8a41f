"""Hostile datagrams: SIP messages bent in all ways, and what else finds its way to a SIP or RTP port.

A :class:`Mutator` makes them from a seed, without I/O: the standards' torture messages and messages of its
own, which know a few calls in common, so that some fit together; then up to four changes each.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from pathlib import Path

__all__ = ["Mutator", "corpus"]

METHODS = (
    "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "INFO", "MESSAGE", "SUBSCRIBE", "NOTIFY",
    "REFER", "PRACK", "UPDATE", "PUBLISH", "FOO",
)  # fmt: skip
STATUSES = (100, 180, 183, 200, 202, 301, 401, 407, 481, 487, 500, 603)
HEADERS = (
    "Accept", "Accept-Encoding", "Alert-Info", "Allow", "Authorization", "Call-ID", "Call-Info", "Contact",
    "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "CSeq",
    "Date", "Error-Info", "Event", "Expires", "From", "In-Reply-To", "Max-Forwards", "Min-Expires",
    "Min-SE", "P-Asserted-Identity", "Path", "Priority", "Proxy-Authenticate", "Proxy-Authorization",
    "Proxy-Require", "RAck", "Record-Route", "Refer-To", "Reply-To", "Require", "Retry-After", "Route",
    "RSeq", "Server", "Session-Expires", "Subject", "Supported", "Timestamp", "To", "Unsupported",
    "User-Agent", "Via", "Warning", "WWW-Authenticate", "X-Unheard-Of", "c", "e", "f", "i", "k", "l", "m",
    "o", "r", "s", "t", "u", "v", "x",
)  # fmt: skip
VALUES = (
    b"", b" ", b"*", b"0", b"-1", b"00000000000000000000001", b"4294967296", b"9" * 60, b"1e9", b"\xd9\xa7",
    b"caf\xe9", "работающий".encode(), b"\0", b"\x07\x1b[2J", b'"', b'"\\"', b'"open', b"<", b"<>",
    b"<sip:>", b"<sip:a@h>;tag=1;tag=2", b'"a" <sip:a@h> "b"', b"sip:a@h?Route=%3Csip:b%3E",
    b"<sip:a%00@h;lr;lr>", b"<tel:+52555;phone-context=x>", b"<sip:[::1]:5060>", b"<sip:[::1>",
    b"<sip:a@h:99999>", b"sip:a:b@h", b"<sips:a@h>", b"<http://h/>", b"<sip:a@127.0.0.1:1;transport=tcp>",
    b"<sip:a@127.0.0.1;maddr=224.0.1.75>", b"(a (nested (comment", b"a,b,,c", b",", b";;;", b"=", b"a=b=c",
    b"SIP/2.0/UDP", b"SIP/2.0/UDP h:0", b"SIP/2.0/UDP [::1];branch=z9hG4bK", b"SIP/7.0/UDP h",
    b"SIP/2.0/UDP 127.0.0.1:1;rport=x;received=y", b"application/sdp", b"application/sdp;charset=utf-8",
    b"application/dtmf-relay", b"multipart/mixed", b"multipart/mixed;boundary=b",
    b'multipart/mixed;boundary=""', b"gzip", b"text/plain", b"Digest", b"Digest a",
    b'Digest username="ana", realm="fuzz.test", nonce="x.y", uri="sip:h", response="0"',
    b'Digest username="ana", realm="fuzz.test", nonce="z.1", uri="", response="", qop=auth, nc=1',
    b"Basic YTpi", b"Digest realm=\"\\\"\", nonce=\"\xff\"", b"100rel", b"timer, replaces",
    b"90;refresher=uas", b"1;refresher=both", b"x" * 9000, b"a;" * 500, b"<sip:p;lr>, " * 80 + b"<sip:p>",
    b"1 1 INVITE", b"1 INVITE",
)  # fmt: skip
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b"\0", b"\xff", b"\xc3", b'"', b"\\", b"<", b">", b",",
    b";", b":", b"=", b"@", b"?", b"%", b"%00", b"%zz", b"[", b"]", b"(", b")", b" ", b"\t", b"A" * 300,
    b"\xe2\x80\xa8", b"SIP/2.0", b"sip:", b"sips:", b"tel:", b";lr", b";tag=", b";rport", b";expires=",
    b"9" * 30,
)  # fmt: skip
SDP_LINES = (
    b"v=0", b"v=1", b"o=- 1 1 IN IP4 127.0.0.1", b"o=-", b"s=", b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0",
    b"c=IN IP6 ::1", b"c=IN IP4 224.2.1.1/127", b"c=IN IP4 255.255.255.255", b"c=",
    b"c=IN IP4 " + b"9" * 50, b"t=0 0", b"m=audio 40000 RTP/AVP 0 8 101", b"m=audio 0 RTP/AVP 0",
    b"m=audio 99999 RTP/AVP 0", b"m=audio", b"m=audio 40000/2 RTP/AVP 8", b"m=audio 40000 RTP/SAVP 8",
    b"m=audio 40000 UDP/TLS/RTP/SAVPF 111 0", b"m=video 40002 RTP/AVP 31", b"m=image 1 udptl t38",
    b"m=audio -1 RTP/AVP 0", b"m=audio 40000 RTP/AVP 999 0", b"m=audio 40000 RTP/AVP" + b" 0" * 80,
    b"a=rtpmap:0 PCMU/8000", b"a=rtpmap:0 opus/48000/2", b"a=rtpmap:", b"a=rtpmap:31 LPC",
    b"a=rtpmap:101 telephone-event/8000", b"a=rtpmap:200 telephone-event/8000",
    b"a=rtpmap:\xd9\xa7 telephone-event/8000", b"a=fmtp:101 0-16", b"a=fmtp:101 " + b"0," * 300,
    b"a=sendonly", b"a=inactive", b"a=ptime:0", b"a=ptime:99999", b"a=ptime:20",
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40, b"a=group:BUNDLE 0",
    b"a=candidate:1 1 UDP 1 x", b"b=AS:-1", b"=", b"a", b"\0=\0", b"z=" + b"0" * 9000,
)  # fmt: skip

Change = Callable[["Mutator", bytes], bytes]


def corpus() -> list[bytes]:
    """The torture messages of RFC 4475 and RFC 5118, from the tests."""
    folder = Path(__file__).parents[1] / "tests/sip/torture"
    return [path.read_bytes() for path in sorted(folder.glob("rfc*/*.sip"))]


class Mutator:
    """Datagrams without end, the same for the same seed.

    hub: host and port that the messages are meant for. domain, user: whose exchange it is, and who is
    registered there. messages: what else to begin from.
    """

    def __init__(
        self, seed: int, *, hub: tuple[str, int], domain: str, user: str, messages: list[bytes]
    ) -> None:
        self._random = random.Random(seed)
        self._hub = f"{hub[0]}:{hub[1]}"
        self._hosts = (self._hub, domain, "example.com", "[::1]")
        self._users = (user, "5000", "5001", "mallory", "a%00b", "caf%E9", "")
        self._messages = messages
        self._calls = [f"call-{n}-{seed}" for n in range(40)]

    def sip(self) -> bytes:
        """A SIP message, bent or whole, or something else that comes to a SIP port."""
        pick = self._random.random()
        if pick < 0.04:
            return self._random.choice(
                (b"\r\n\r\n", b"\0\0\0\0", b"\r\n", b"", self._garbage(), self.media())
            )
        data = self._random.choice(self._messages) if pick < 0.3 else self._message()
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 2, 3, 4))):
            data = self._random.choice(_CHANGES)(self, data)
        return data[:65_000]

    def media(self) -> bytes:
        """An RTP packet, a telephone-event, RTCP, STUN, a keep-alive, or garbage; whole or bent."""
        made = self._random.choice(
            (self._rtp, self._rtp, self._event, self._rtcp, self._stun, self._garbage)
        )()
        for _ in range(self._random.choice((0, 0, 1, 2))):
            made = self._random.choice((_flip, _cut, _insert, _truncate, _double))(self, made)
        return made[:2000]

    # What is bent --------------------------------------------------------------------------------------

    def _number(self) -> int:
        edges = (0, 1, 2, 3, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
        return self._random.choice(edges) if self._random.random() < 0.3 else self._random.randrange(1, 5)

    def _message(self) -> bytes:
        pick = self._random
        method = pick.choice(METHODS)
        call = pick.choice(self._calls)
        user, host = pick.choice(self._users), pick.choice(self._hosts)
        uri = f"sip:{user}@{host}" if user else f"sip:{host}"
        number = self._number()
        to_tag = pick.choice(("", "", "", ";tag=a", f";tag={call}"))
        body, kind = b"", ""
        if method == "INFO":
            body, kind = b"Signal=5\r\nDuration=160\r\n", "application/dtmf-relay"
        elif method in ("INVITE", "UPDATE", "PRACK", "ACK") and pick.random() < 0.8:
            body, kind = self._description(), "application/sdp"
            if pick.random() < 0.1:
                body = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + body + b"\r\n--b--\r\n"
                kind = "multipart/mixed;boundary=b"
        head = [
            f"Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK{pick.choice(self._calls)};rport",
            "Max-Forwards: 70",
            f"From: <sip:{pick.choice(self._users) or 'x'}@{host}>;tag={call[-6:]}",
            f"To: <{uri}>{to_tag}",
            f"Call-ID: {call}",
            f"CSeq: {number} {method}",
            "Contact: <sip:mallory@127.0.0.1:5999>",
        ]
        if kind:
            head.append(f"Content-Type: {kind}")
        if method == "REGISTER":
            head.append(f"Expires: {self._number()}")
        start = f"{method} {uri} SIP/2.0"
        if pick.random() < 0.12:
            start = f"SIP/2.0 {pick.choice(STATUSES)} Any"
        return "\r\n".join([start, *head, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def _description(self) -> bytes:
        usual = [b"v=0", b"o=- 1 1 IN IP4 127.0.0.1", b"s=-", b"c=IN IP4 127.0.0.1", b"t=0 0",
                 b"m=audio 40000 RTP/AVP 0 101", b"a=rtpmap:101 telephone-event/8000"]  # fmt: skip
        for _ in range(self._random.choice((0, 0, 0, 1, 2, 5))):
            usual[self._random.randrange(len(usual))] = self._random.choice(SDP_LINES)
            usual.insert(self._random.randrange(len(usual) + 1), self._random.choice(SDP_LINES))
        return b"\r\n".join(usual) + b"\r\n"

    def _rtp(self, payload: bytes | None = None) -> bytes:
        pick = self._random
        if payload is None:
            payload = pick.choice(
                (b"\xff" * 160, pick.randbytes(160), b"", b"\xd5" * 80, pick.randbytes(1400))
            )
        first = pick.choice((0x80, 0x80, 0x80, 0x90, 0xA0, 0x8F, 0xBF, 0x00, 0xC0))
        kind = pick.choice((0, 8, 101, 13, 18, 127, 128 | 8, 128 | 101))
        numbers = (pick.getrandbits(16), pick.getrandbits(32), pick.choice((1, 2, pick.getrandbits(32))))
        return struct.pack("!BBHII", first, kind, *numbers) + payload

    def _event(self) -> bytes:
        pick = self._random
        event = struct.pack("!BBH", pick.randrange(256), pick.randrange(256), self._number() & 0xFFFF)
        return self._rtp(event * pick.choice((0, 1, 1, 1, 2, 300)))

    def _rtcp(self) -> bytes:
        pick = self._random
        body = pick.randbytes(4 * pick.randrange(0, 30))
        length = len(body) // 4 if pick.random() < 0.7 else pick.getrandbits(16)
        return (
            struct.pack(
                "!BBH", 0x80 | pick.randrange(64), pick.choice((200, 201, 202, 203, 204, 205)), length
            )
            + body
        )

    def _stun(self) -> bytes:
        pick = self._random
        body = pick.randbytes(pick.choice((0, 4, 8, 60)))
        return (
            struct.pack("!HHI", pick.choice((1, 0x101, 0x111)), len(body), 0x2112A442)
            + pick.randbytes(12)
            + body
        )

    def _garbage(self) -> bytes:
        return self._random.randbytes(self._random.choice((1, 2, 3, 11, 12, 13, 40, 500, 1500)))


# Changes -----------------------------------------------------------------------------------------------


def _at(mutator: Mutator, data: bytes) -> int:
    return mutator._random.randrange(len(data) + 1)


def _flip(mutator: Mutator, data: bytes) -> bytes:
    bent = bytearray(data)
    for _ in range(mutator._random.choice((1, 1, 2, 8))):
        if bent:
            bent[mutator._random.randrange(len(bent))] ^= 1 << mutator._random.randrange(8)
    return bytes(bent)


def _cut(mutator: Mutator, data: bytes) -> bytes:
    at = _at(mutator, data)
    return data[:at] + data[at + mutator._random.choice((1, 2, 10, 100)) :]


def _truncate(mutator: Mutator, data: bytes) -> bytes:
    return data[: _at(mutator, data)]


def _insert(mutator: Mutator, data: bytes) -> bytes:
    at = _at(mutator, data)
    return data[:at] + mutator._random.choice(TOKENS) * mutator._random.choice((1, 1, 1, 2, 50)) + data[at:]


def _double(mutator: Mutator, data: bytes) -> bytes:
    a, b = sorted((_at(mutator, data), _at(mutator, data)))
    return data[:b] + data[a:b] + data[b:]


def _splice(mutator: Mutator, data: bytes) -> bytes:
    other = mutator._random.choice(mutator._messages)
    return data[: _at(mutator, data)] + other[_at(mutator, other) :]


def _of_headers(change: Callable[[random.Random, list[bytes]], None]) -> Change:
    """A change of the lines of the head, which keeps the rest."""

    def made(mutator: Mutator, data: bytes) -> bytes:
        head, blank, body = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        if len(lines) > 1:
            change(mutator._random, lines)
        return b"\r\n".join(lines) + blank + body

    return made


def _value(pick: random.Random, lines: list[bytes]) -> None:
    at = pick.randrange(1, len(lines))
    lines[at] = lines[at].partition(b":")[0] + b": " + pick.choice(VALUES)


def _new(pick: random.Random, lines: list[bytes]) -> None:
    line = pick.choice(HEADERS).encode() + pick.choice((b": ", b":", b" : ", b":\r\n ")) + pick.choice(VALUES)
    lines.insert(pick.randrange(1, len(lines) + 1), line)


def _drop(pick: random.Random, lines: list[bytes]) -> None:
    del lines[pick.randrange(1, len(lines))]


def _repeat(pick: random.Random, lines: list[bytes]) -> None:
    lines[1:1] = [lines[pick.randrange(1, len(lines))]] * pick.choice((1, 2, 70, 300))


def _swap(pick: random.Random, lines: list[bytes]) -> None:
    a, b = pick.randrange(1, len(lines)), pick.randrange(1, len(lines))
    (name, _, value), (other, _, another) = lines[a].partition(b":"), lines[b].partition(b":")
    lines[a], lines[b] = name + b":" + another, other + b":" + value


def _fold(pick: random.Random, lines: list[bytes]) -> None:
    at = pick.randrange(1, len(lines))
    lines[at] = lines[at].replace(b" ", b"\r\n\t ", pick.choice((1,
    9))).upper() if pick.random() < 0.3 else (
        lines[at].replace(b";", b"\r\n ;"))  # fmt: skip


def _join(pick: random.Random, lines: list[bytes]) -> None:
    at = pick.randrange(1, len(lines))
    value = lines[at].partition(b":")[2]
    lines[at] += b"," + value * pick.choice((1, 3))


def _start(pick: random.Random, lines: list[bytes]) -> None:
    old, new = pick.choice((
        (rb"^\w+", pick.choice(METHODS).encode()), (rb"SIP/2\.0", b"SIP/7.0"), (rb" ", b"  "), (rb"sip:",
        b"tel:"),
        (rb"sip:[^ ]*", b"sip:" + pick.choice(VALUES).replace(b"\r\n", b"")), (rb"sip:", b"SIP:"),
        (rb"@", b"@@"),
        (rb" SIP/2\.0", b";lr;transport=x?a=b SIP/2.0"), (rb"sip:", b"sips:"), (rb"sip:", b"urn:x:"),
    ))  # fmt: skip
    lines[0] = re.sub(old, lambda found: new, lines[0], count=1)


_CHANGES: tuple[Change, ...] = (
    _flip, _cut, _truncate, _insert, _insert, _double, _splice,
    *map(_of_headers, (_value, _value, _value, _new, _new, _drop, _repeat, _swap, _fold, _join, _start)),
)  # fmt: skip
