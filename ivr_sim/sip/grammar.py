"""What SIP's headers have in common: tokens, quoted strings, lists and parameters (RFC 3261 section 25.1).

All text here was decoded from the wire as UTF-8 with ``surrogateescape``, so that a header in another
encoding leaves as it came. White space is space and tab only; Python's own idea of it is wider.
"""

from __future__ import annotations

import re

from ivr_sim.errors import RemoteProtocolError

__all__ = ["REMEMBERED", "TOKEN", "BadMessage", "parse_params", "quote", "split_list", "unquote"]

# Parsed values that are kept: a message's own are asked for again and again on its way through us. What is
# kept cannot be changed, and a flood of new ones only pushes out the old.
REMEMBERED = 512
TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_QUOTED = r'"(?:[^"\\]|\\[^\r\n])*"'
# Possessive by construction: each alternative starts with a character that no other one takes.
_PIECE = re.compile(rf'{_QUOTED}|<[^<>]*>|[^"<>,;]+')
# A parameter's value: a quoted string, or anything that ends no parameter (hosts, IPv6 in brackets, ...).
_PARAM = re.compile(rf'[ \t]*([^\s;,="<>]+)[ \t]*(?:=[ \t]*({_QUOTED}|[^\s;,"<>]*)[ \t]*)?')


class BadMessage(RemoteProtocolError):
    """A message that cannot be accepted: ``status`` and ``reason`` are those of the refusal."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


def split_list(text: str, separator: str = ",") -> list[str]:
    """Split at ``,`` or ``;`` outside quotes and angle brackets; each part stripped, as it was sent.

    Raises BadMessage 400: an open quote or bracket, or an empty part (RFC 4475 section 3.1.2.1).
    """
    if '"' not in text and "<" not in text and ">" not in text:  # most lists
        parts = [part.strip(" \t") for part in text.split(separator)]
        if not all(parts):
            raise BadMessage(400, "Empty element in a list")
        return parts
    parts = []
    start = at = 0
    while at < len(text):
        if text[at] == separator:
            parts.append(text[start:at].strip(" \t"))
            at = start = at + 1
        elif text[at] in ",;":
            at += 1
        else:
            piece = _PIECE.match(text, at)
            if piece is None:
                raise BadMessage(400, "Unbalanced quotes or brackets")
            at = piece.end()
    parts.append(text[start:].strip(" \t"))
    if not all(parts):
        raise BadMessage(400, "Empty element in a list")
    return parts


def parse_params(text: str) -> dict[str, str | None]:
    """Parse ``;name=value;name``: names in lower case, values as sent, quotes kept.

    Text is empty or starts with a semicolon. Raises BadMessage 400, also for a name that comes twice.
    """
    params: dict[str, str | None] = {}
    at = len(text) - len(text.lstrip(" \t"))
    while at < len(text):
        found = _PARAM.match(text, at + 1) if text[at] == ";" else None
        if found is None:
            raise BadMessage(400, "Malformed parameters")
        name = found[1].lower()
        if name in params:
            raise BadMessage(400, "Parameter given twice")
        params[name] = found[2]
        at = found.end()
    return params


def quote(text: str) -> str:
    """Make a quoted string; line breaks cannot be quoted and become spaces."""
    text = re.sub(r"[\r\n]+", " ", text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """The content of a quoted string; any other text as it is."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text
