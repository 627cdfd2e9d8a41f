"""Keys in SIP INFO: the two bodies that telephones send (no RFC; draft-kaplan-dispatch-info-dtmf-package).

application/dtmf-relay      Signal=5 CRLF Duration=160
application/dtmf            5
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media.telephone_event import KEYS

__all__ = ["CONTENT_TYPES", "InfoKey", "masked", "read_key", "write_key"]

CONTENT_TYPES = ("application/dtmf-relay", "application/dtmf")
DEFAULT_MS = 160
MAX_MS = 10_000

_SIGNAL = re.compile(r"^[ \t]*signal[ \t]*=[ \t]*([^\s]{1,2})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^[ \t]*duration[ \t]*=[ \t]*([0-9]{1,6})[ \t]*$", re.IGNORECASE | re.MULTILINE)
_SDP = re.compile(
    rb"^(?:content-type|c)[ \t]*:[ \t]*application/sdp[ \t]*(?:;|\r?$)", re.IGNORECASE | re.MULTILINE
)
_INLINE = re.compile(rb"(inline:)([A-Za-z0-9+/=]+)", re.IGNORECASE)


@dataclass(frozen=True)
class InfoKey:
    """One key by INFO; the sender says how long it was held, in ms."""

    digit: str = field(repr=False)
    duration_ms: int


def read_key(content_type: str, body: bytes) -> InfoKey | None:
    """The key in an INFO body of one of ``CONTENT_TYPES``; None when there is none (a flash, garbage).

    Event numbers are taken too: some send 10 for star, 11 for pound, 12 to 15 for A to D.
    """
    text = body[:256].decode("ascii", "replace").replace("\r", "\n")
    duration = DEFAULT_MS
    if content_type == "application/dtmf-relay":
        signal = _SIGNAL.search(text)
        signal_text = signal[1] if signal else ""
        if found := _DURATION.search(text):
            duration = min(max(int(found[1]), 1), MAX_MS)
    else:
        signal_text = text.strip()
    if signal_text in ("10", "11", "12", "13", "14", "15"):
        signal_text = KEYS[int(signal_text)]
    signal_text = signal_text.upper()
    return InfoKey(signal_text, duration) if len(signal_text) == 1 and signal_text in KEYS else None


def write_key(digit: str, duration_ms: int) -> tuple[str, bytes]:
    """Content type and body for a key. Raises LocalProtocolError: no such key."""
    if len(digit) != 1 or digit not in KEYS:
        raise LocalProtocolError("a key is one of 0-9, *, #, A-D")
    return CONTENT_TYPES[0], f"Signal={digit}\r\nDuration={duration_ms}\r\n".encode("ascii")


def masked(datagram: bytes) -> bytes:
    """A datagram as it may be written down: every body but a session description as so many ``x``.

    Telephones have more types for keys than we read, so what is no description may be one. Of a description,
    the keys are masked that audio is encrypted with: with them, what is keyed could be heard. Of what has no
    end of headers, the first line alone is shown.
    """
    head, blank, body = datagram.partition(b"\r\n\r\n")
    if not blank:
        head, blank, body = datagram.partition(b"\r\n")
    elif _SDP.search(head):
        return head + blank + _INLINE.sub(lambda found: found[1] + b"x" * len(found[2]), body)
    return head + blank + b"x" * len(body)
