"""What a message carries: its session description, alone or as one part of several (RFC 3261 section 7.4).

Content-Type: multipart/mixed;boundary=b      the part of type application/sdp
Content-Disposition: ...;handling=optional    what we do not know may be left aside (RFC 3204)
"""

from __future__ import annotations

import re

from ivr_sim.sip.message import BadMessage, Request, Response

__all__ = ["ACCEPT", "SDP", "content_type", "session_description"]

SDP = "application/sdp"
ACCEPT = f"{SDP}, multipart/mixed"
MAX_PARTS = 16

_BOUNDARY = re.compile(r""";\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""", re.IGNORECASE)
_OPTIONAL = re.compile(r";\s*handling\s*=\s*\"?optional\b", re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


def content_type(message: Request | Response) -> str:
    """Type and subtype of the body in lower case, without parameters; empty when it is not said."""
    return _bare(message.headers.get("Content-Type") or "")


def session_description(message: Request | Response) -> bytes:
    """The session description in a message; empty when it holds none.

    Raises BadMessage: 400 (several parts, not parted as said), 415 (a body that must be understood and is
    no session description, or is encoded).
    """
    if not message.body:
        return b""
    encoding = message.headers.get("Content-Encoding") or "identity"
    kind = content_type(message)
    if encoding.lower() == "identity":
        if kind == SDP:
            return message.body
        if kind.startswith("multipart/"):
            return _of_parts(message.headers.get("Content-Type") or "", message.body)
    if _OPTIONAL.search(message.headers.get("Content-Disposition") or ""):
        return b""
    raise BadMessage(415, "Unsupported Media Type")


def _bare(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _of_parts(kind: str, body: bytes) -> bytes:
    """The first part that is a session description (RFC 2046 section 5.1, RFC 5621)."""
    found = _BOUNDARY.search(kind)
    boundary = (found[1] or found[2] or "").encode("utf-8", "surrogateescape") if found else b""
    if not 0 < len(boundary) <= 70:
        raise BadMessage(400, "Multipart without a boundary")
    pieces = re.split(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(?=--|[ \t]*\r?\n)", body)
    if len(pieces) < 2 or len(pieces) > MAX_PARTS:
        raise BadMessage(400, "Malformed multipart")
    others = True  # whether all the others may be left aside
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        end = _BLANK_LINE.search(piece)
        if end is None:
            continue
        head = re.sub(r"\r?\n[ \t]+", " ", piece[: end.start()].decode("utf-8", "surrogateescape"))
        fields = dict(_field(line) for line in head.splitlines() if ":" in line)
        if _bare(fields.get("content-type", "")) == SDP:
            if fields.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
                others = False
                break
            return piece[end.end() :]
        others = others and _OPTIONAL.search(fields.get("content-disposition", "")) is not None
    if others and len(pieces) > 2:
        return b""
    raise BadMessage(415, "Unsupported Media Type")


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()
