"""Addresses: SIP URIs, and the name-addr of From, To, Contact and Route (RFC 3261 sections 19.1, 20.10)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote as percent_encode
from urllib.parse import unquote as percent_decode

from ivr_sim.sip.address import DEFAULT_PORTS, TRANSPORTS, Address
from ivr_sim.sip.grammar import REMEMBERED, BadMessage, parse_params, quote, unquote

__all__ = ["NameAddr", "Uri", "is_host", "parse_port"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
_HOSTNAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_.])?\Z")
_HOSTPORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]*))?\Z")
_NOT_IN_URI = re.compile(r'[\s<>"\x00-\x1f\x7f]')
_USER_SAFE = "-_.!~*'()&=+$,;?/"  # user-unreserved and mark
# The display name without quotes is tokens (RFC 3261 section 20.10). Phones send more, "Ana (casa)"; all is
# let pass but what would part a list, or hide where the address begins (RFC 4475 section 3.1.2.15).
_NAME_ADDR = re.compile(
    r"""(?P<display>"(?:[^"\\]|\\[^\r\n])*"[ \t]*|[^"<>,;\\\x00-\x08\x0a-\x1f\x7f]*)
        <(?P<uri>[^<>]*)>(?P<params>.*)\Z""",
    re.VERBOSE | re.DOTALL,
)


def is_host(text: str) -> bool:
    """Whether a text is a host name, an IPv4 address, or an IPv6 address in brackets."""
    if text.startswith("["):
        try:
            # RFC 3261's grammar lets three colons stand before an IPv4 address (RFC 5118 section 4.10).
            ipaddress.IPv6Address(text[1:-1].replace(":::", "::"))
        except ValueError:
            return False
        return text.endswith("]")
    if len(text) > 255 or not _HOSTNAME.match(text):
        return False
    # Of other lengths (RFC 1035 section 2.3.4) nothing can be looked up: resolvers raise what they like.
    return all(0 < len(label) < 64 for label in text.removesuffix(".").split("."))


def parse_port(text: str | None) -> int | None:
    """A port as text, 1-65535; None stays None. Raises BadMessage 400."""
    if text is None:
        return None
    if not (0 < len(text) <= 5 and text.isascii() and text.isdigit() and 0 < int(text) <= 65535):
        raise BadMessage(400, "Malformed port")
    return int(text)


@dataclass(frozen=True)
class Uri:
    """A URI: ``sip:user@host:port;params?headers``, or another scheme (``tel:``), which has no host.

    user: percent-decoded, without a password; of ``tel:`` the number. host: as sent, IPv6 in brackets,
    empty for other schemes. params: as sent, in order. text: what was parsed, letter by letter; of a URI
    made or changed here (``dataclasses.replace``) it is built from the parts.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    params: tuple[tuple[str, str | None], ...] = ()
    headers: str = ""
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        user = "" if self.user is None else percent_encode(self.user, _USER_SAFE, errors="surrogateescape")
        text = f"{self.scheme}:{user}"
        if self.host:
            text += ("" if self.user is None else "@") + self.host
        text += "" if self.port is None else f":{self.port}"
        text += "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.params)
        object.__setattr__(self, "text", text + (f"?{self.headers}" if self.headers else ""))

    @classmethod
    @lru_cache(maxsize=REMEMBERED)
    def parse(cls, text: str) -> Uri:
        """Parse a URI of any scheme; raises BadMessage 400 where its own grammar is broken."""
        scheme, colon, rest = text.partition(":")
        if not (colon and rest and _SCHEME.match(scheme)) or _NOT_IN_URI.search(text):
            raise BadMessage(400, "Malformed URI")
        if scheme.lower() not in ("sip", "sips"):
            number = rest.partition(";")[0] if scheme.lower() == "tel" else None
            uri = cls(scheme.lower(), number, "")
        else:
            userinfo, at, rest = rest.partition("@") if "@" in rest else ("", "", rest)
            rest, _, headers = rest.partition("?")
            hostport, *params = rest.split(";")
            found = _HOSTPORT.match(hostport)
            if found is None or not is_host(found[1]) or "@" in rest + headers or (at and not userinfo):
                raise BadMessage(400, "Malformed URI")
            uri = cls(
                scheme.lower(),
                percent_decode(userinfo.partition(":")[0], errors="surrogateescape") if at else None,
                found[1],
                parse_port(found[2]),
                tuple(_param(param) for param in params),
                headers,
            )
        object.__setattr__(uri, "text", text)
        return uri

    def __str__(self) -> str:
        return self.text

    def param(self, name: str) -> str | None:
        """The value of a parameter, empty if it has none, None if it is not there; any case, unescaped."""
        for key, value in self.params:
            if percent_decode(key).lower() == name.lower():
                return percent_decode(value or "", errors="surrogateescape")
        return None

    @property
    def target(self) -> str:
        """What a request to it says as its Request-URI, which may have no headers (section 19.1.5).

        They are left out: a header that a stranger's Contact puts into our requests is none of ours.
        """
        return self.text.rpartition("?")[0] if self.headers else self.text

    def address(self) -> Address:
        """Where a request for this URI goes (RFC 3263 section 4.1 for a numeric address; a transport that is
        not spoken here counts as UDP). Raises BadMessage 416: not a SIP URI."""
        if self.scheme not in ("sip", "sips"):
            raise BadMessage(416, "Unsupported URI Scheme")
        named = (self.param("transport") or "").upper()
        transport = TRANSPORTS.get("TLS" if self.scheme == "sips" else named, "UDP")
        return Address(self.host.strip("[]"), self.port or DEFAULT_PORTS[transport], transport)


def _param(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name:
        raise BadMessage(400, "Malformed URI parameters")
    return name, value if equals else None


@dataclass(frozen=True)
class NameAddr:
    """``"display" <uri>;params``, or the bare ``uri;params``, whose parameters are the header's.

    display: without its quotes, empty if there is none. params: names in lower case, values as sent.
    """

    display: str
    uri: Uri
    params: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    @lru_cache(maxsize=REMEMBERED)
    def parse(cls, text: str) -> NameAddr:
        """Parse one value of From, To, Contact, Route or Record-Route. Raises BadMessage 400."""
        text = text.strip(" \t")
        found = _NAME_ADDR.match(text)
        if found is not None:
            display = unquote(found["display"].strip(" \t"))
            return cls(display, Uri.parse(found["uri"]), parse_params(found["params"]))
        uri, semicolon, params = text.partition(";")
        if re.search(r"[,?]", uri):  # RFC 3261 section 20: such a URI must stand in angle brackets
            raise BadMessage(400, "Malformed address")
        return cls("", Uri.parse(uri.rstrip(" \t")), parse_params(semicolon + params))

    @property
    def tag(self) -> str | None:
        """The tag of a From or To."""
        return self.params.get("tag")

    def __str__(self) -> str:
        params = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.params.items())
        return (f"{quote(self.display)} " if self.display else "") + f"<{self.uri}>{params}"
