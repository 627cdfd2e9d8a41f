"""SIP messages: one strict parser and builder without I/O, for exchange and phone alike (RFC 3261 section 7).

A datagram becomes a :class:`Request`, a :class:`Response`, or a :class:`BadMessage` that says how to refuse
it; never another exception. What is forwarded leaves with the text it came with.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ivr_sim.errors import LocalProtocolError
from ivr_sim.sip.grammar import TOKEN, BadMessage
from ivr_sim.sip.headers import Headers
from ivr_sim.sip.uri import NameAddr, Uri
from ivr_sim.sip.via import Via

__all__ = [
    "REASONS",
    "BadMessage",
    "Headers",
    "Message",
    "Request",
    "Response",
    "Via",
    "bad_request_reply",
    "parse",
    "response_to",
]

# Reason phrases: RFC 3261 section 21 and the extensions that phones send.
REASONS: Mapping[int, str] = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    200: "OK", 202: "Accepted",
    300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy",
    380: "Alternative Service",
    400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required",
    408: "Request Timeout", 410: "Gone", 412: "Conditional Request Failed", 413: "Request Entity Too Large",
    414: "Request-URI Too Long", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme",
    420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small",
    423: "Interval Too Brief", 429: "Provide Referrer Identity", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
    484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 493: "Undecipherable",
    500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large",
    600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip

_STATUS_LINE = re.compile(r"(SIP/[0-9]+\.[0-9]+) ([1-6][0-9]{2})(?: (.*))?\Z", re.IGNORECASE | re.DOTALL)
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+\Z", re.IGNORECASE)
_CSEQ = re.compile(r"0*([0-9]{1,10})[ \t]+([^\s]+)\Z")
_HOPS = re.compile(r"0*([0-9]{1,3})\Z")
# Beside what ``_Message`` wants once: of two of these, nobody could say which is meant.
_ONCE = ("Content-Type", "Expires")
_ADDRESSES = ("Contact", "Route", "Record-Route")
_LENGTH = re.compile(r"0*([0-9]{1,9})\Z")
# A Request-URI may be of any scheme; whether it can be served is for its reader to say (416).
_REQUEST_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):[^\s<>\"\x00-\x1f\x7f]+\Z")


class _Message:
    """What requests and responses share; the properties raise BadMessage 400, never after ``parse``."""

    headers: Headers
    body: bytes

    def _one(self, name: str) -> str:
        values = self.headers.get_all(name)
        if len(values) != 1:
            raise BadMessage(400, f"{'No' if not values else 'More than one'} {name}")
        return values[0]

    @property
    def call_id(self) -> str:
        return self._one("Call-ID")

    @property
    def cseq(self) -> tuple[int, str]:
        """Number (below 2**31) and method."""
        found = _CSEQ.match(self._one("CSeq"))
        if found is None or int(found[1]) >= 2**31 or not TOKEN.fullmatch(found[2]):
            raise BadMessage(400, "Malformed CSeq")
        return int(found[1]), found[2]

    @property
    def from_(self) -> NameAddr:
        return NameAddr.parse(self._one("From"))

    @property
    def to(self) -> NameAddr:
        return NameAddr.parse(self._one("To"))

    @property
    def vias(self) -> list[Via]:
        """All Vias, the top one first."""
        return [Via.parse(value) for value in self.headers.get_all("Via")]

    @property
    def top_via(self) -> Via:
        value = self.headers.get("Via")
        if value is None:
            raise BadMessage(400, "No Via")
        return Via.parse(value)

    @property
    def start_line(self) -> str:
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """The message on the wire; Content-Length is counted here, in bytes."""
        lines = [self.start_line]
        lines += [
            f"{name}: {value}" for name, value in self.headers if name.lower() not in ("content-length", "l")
        ]
        lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + self.body


@dataclass
class Request(_Message):
    """A request; ``uri`` is the Request-URI as it was sent."""

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)  # that of an INFO is a key

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"

    def copy(self) -> Request:
        """Another request with the same content, to be changed on its way."""
        return Request(self.method, self.uri, self.headers.copy(), self.body)


@dataclass
class Response(_Message):
    """A response; status 100-699."""

    status: int
    reason: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = field(default=b"", repr=False)

    @property
    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def copy(self) -> Response:
        """Another response with the same content, to be changed on its way."""
        return Response(self.status, self.reason, self.headers.copy(), self.body)


Message = Request | Response


def parse(
    data: bytes, *, max_size: int = 65_535, max_headers: int = 256, max_line: int = 8_192
) -> Message | None:
    """Parse one datagram; None for a keep-alive (line breaks or zero bytes only).

    A body shorter than Content-Length says is refused; what follows it is dropped; without Content-Length
    the body is the rest (RFC 3261 section 18.3). The headers that every message must have are there
    afterwards, each once, and well-formed. max_size, max_line: bytes, characters. Raises BadMessage only:
    400, 505 (version), 513 (over a limit).
    """
    if len(data) > max_size:
        raise BadMessage(513, "Message Too Large")
    data = data.lstrip(b"\r\n\0")
    if not data.strip(b" \t"):
        return None
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        raise BadMessage(400, "No end of headers")
    start_line, _, rest = head.decode("utf-8", "surrogateescape").partition("\r\n")
    if len(start_line) > max_line:
        raise BadMessage(414, "Request-URI Too Long")
    headers = _parse_headers(rest, max_headers, max_line)
    message = _parse_start_line(start_line, headers)
    message.body = _cut_body(headers, body)
    _check(message)
    return message


def _parse_start_line(line: str, headers: Headers) -> Message:
    found = _STATUS_LINE.match(line)
    if found is not None and not re.search(r"[\r\n]", line):
        _check_version(found[1])
        return Response(int(found[2]), found[3] or "", headers=headers)
    parts = line.split(" ")
    if len(parts) == 3 and _VERSION.match(parts[2]):
        _check_version(parts[2])
        if TOKEN.fullmatch(parts[0]) and _REQUEST_URI.match(parts[1]):
            return Request(parts[0], parts[1], headers=headers)
    raise BadMessage(400, "Malformed start line")


def _check_version(version: str) -> None:
    if version.upper() != "SIP/2.0":
        raise BadMessage(505, "Version Not Supported")


def _parse_headers(text: str, max_headers: int, max_line: int) -> Headers:
    headers = Headers()
    if text.startswith((" ", "\t")):
        raise BadMessage(400, "Malformed header")
    # A line that starts with white space continues the one before it (RFC 3261 section 7.3.1).
    lines = re.sub(r"\r\n[ \t]+", " ", text).split("\r\n") if text else []
    if len(lines) > max_headers:
        raise BadMessage(513, "Too Many Headers")
    for line in lines:
        if len(line) > max_line:
            raise BadMessage(513, "Header Too Long")
        name, colon, value = line.partition(":")
        if not colon:
            raise BadMessage(400, "Malformed header")
        try:
            headers.add(name.rstrip(" \t"), value)
        except LocalProtocolError:
            raise BadMessage(400, "Malformed header") from None
    return headers


def _cut_body(headers: Headers, body: bytes) -> bytes:
    """The body by Content-Length, which is then forgotten: it is counted anew when the message is sent."""
    lengths = set(headers.get_all("Content-Length"))
    headers.remove("Content-Length")
    if not lengths:
        return body
    found = [_LENGTH.match(length) for length in lengths]
    if len(found) > 1 or found[0] is None:
        raise BadMessage(400, "Malformed Content-Length")
    length = int(found[0][1])
    if length > len(body):
        raise BadMessage(400, "Body shorter than Content-Length")
    return body[:length]


def _check(message: Message) -> None:
    """What every message must have (RFC 3261 section 8.1.1); Max-Forwards may be missing (RFC 2543)."""
    if not message.vias:
        raise BadMessage(400, "No Via")
    if not message.call_id:
        raise BadMessage(400, "No Call-ID")
    if re.search(r"[\s\x00-\x1f\x7f]", message.call_id):
        raise BadMessage(400, "Malformed Call-ID")
    for party in (message.from_, message.to):
        if "tag" in party.params and not party.tag:
            raise BadMessage(400, "Empty tag")
    method = message.cseq[1]
    if isinstance(message, Request):
        _check_request(message, method)


def _check_request(request: Request, method: str) -> None:
    """What an answer or the way onward depends on. A response is not thrown away for as much: a call would
    hang by it."""
    if method != request.method:
        raise BadMessage(400, "CSeq does not match the method")
    uri = request.uri
    if uri[:5].lower().startswith(("sip:", "sips:")) and Uri.parse(uri).headers:
        raise BadMessage(400, "Headers in the Request-URI")
    hops = request.headers.get_all("Max-Forwards")
    found = _HOPS.match(hops[0]) if hops else None
    if len(hops) > 1 or (hops and (found is None or int(found[1]) > 255)):
        raise BadMessage(400, "Malformed Max-Forwards")
    for name in _ONCE:
        if len(request.headers.get_all(name)) > 1:
            raise BadMessage(400, f"More than one {name}")
    for name in _ADDRESSES:
        for value in request.headers.get_all(name):
            if value != "*":
                NameAddr.parse(value)
            elif name != "Contact" or method != "REGISTER":
                raise BadMessage(400, f"Malformed {name}")


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> Response:
    """Answer a request: Via, From, To, Call-ID and CSeq are copied (RFC 3261 section 8.2.6.2).

    A To without a tag gets ``to_tag`` (from status 101 on); where none is given, one that is the same for
    each copy of the request. Record-Route is copied into what makes a dialog (101-299).
    """
    response = Response(status, REASONS.get(status, "Unknown") if reason is None else reason)
    for via in request.headers.get_all("Via"):
        response.headers.add("Via", via)
    if 100 < status < 300 and request.method in ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY"):
        for route in request.headers.get_all("Record-Route"):
            response.headers.add("Record-Route", route)
    to = request.headers.get("To") or ""
    if status > 100 and request.to.tag is None:
        to += f";tag={to_tag or _tag_of(request.to_bytes())}"
    for name, value in (
        ("From", request.headers.get("From") or ""),
        ("To", to),
        ("Call-ID", request.call_id),
        ("CSeq", request.headers.get("CSeq") or ""),
        *headers,
    ):
        response.headers.add(name, value)
    response.body = body
    return response


def _tag_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


_ECHOED = re.compile(r"(?:via|v|from|f|to|t|call-id|i|cseq)[ \t]*:[^\r\n]*\Z", re.IGNORECASE)
_TO = re.compile(r"(?:to|t)[ \t]*:", re.IGNORECASE)


def bad_request_reply(data: bytes, error: BadMessage) -> bytes | None:
    """The refusal of a request that could not be parsed, with whatever of it could be read.

    None where none is due: to responses, to ACK, and to what is no SIP at all (no start line of a request,
    or no Via). It goes to where the datagram came from.
    """
    head = data[:16_384].lstrip(b"\r\n\0").decode("utf-8", "surrogateescape")
    head = re.sub(r"\r\n?", "\n", head).partition("\n\n")[0]
    start_line, *rest = re.sub(r"\n[ \t]+", " ", head).split("\n")
    method, _, tail = start_line.partition(" ")
    if not TOKEN.fullmatch(method) or method == "ACK" or not re.search(r" SIP/[0-9]", tail, re.IGNORECASE):
        return None
    lines = [line for line in rest if _ECHOED.match(line)][:64]
    if not any(line.lower().startswith("v") for line in lines):
        return None
    for i, line in enumerate(lines):
        if _TO.match(line) and ";tag" not in line.replace(" ", "").lower():
            lines[i] = f"{line};tag={_tag_of(data)}"
            break
    reason = re.sub(r"[^\x20-\x7e]", "?", error.reason)
    lines = [f"SIP/2.0 {error.status} {reason}", *lines, "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")
