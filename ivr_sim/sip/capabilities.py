"""What the user agent can, what it says of that, and how it refuses the rest (RFC 3261 section 8.2)."""

from __future__ import annotations

import re

from ivr_sim.sip import sdp
from ivr_sim.sip.content import ACCEPT
from ivr_sim.sip.grammar import quote
from ivr_sim.sip.message import BadMessage, Request
from ivr_sim.sip.session_timer import MIN_SE
from ivr_sim.sip.transactions import ServerTransaction

__all__ = ["ALLOW", "EXTENSIONS", "LATER", "decline", "hints", "lacks"]

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE"
KNOWN_METHODS = ("PRACK", "REFER", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REGISTER")
EXTENSIONS = ("timer",)  # that a request to us may require
LATER = [("Retry-After", "2")]  # with the 500 to what comes too early


def decline(server: ServerTransaction, request: Request) -> None:
    """Answer what we do not do: OPTIONS is told what we do, the rest is refused."""
    if request.method == "OPTIONS":
        told = [("Allow", ALLOW), ("Accept", ACCEPT), ("Supported", ", ".join(EXTENSIONS))]
        server.reply(200, headers=told)
    elif request.method in ("BYE", "INFO", "UPDATE"):
        server.reply(481)
    else:
        server.reply(405 if request.method in KNOWN_METHODS else 501, headers=[("Allow", ALLOW)])


def lacks(server: ServerTransaction, request: Request) -> bool:
    """Whether a request wants an extension that we do not have, and was refused (section 8.2.2.3)."""
    required = request.headers.get_all("Require")
    lacking = [option for option in required if option.lower() not in EXTENSIONS]
    if lacking:
        server.reply(420, headers=[("Unsupported", ", ".join(lacking))])
    return bool(lacking)


def hints(error: BadMessage) -> list[tuple[str, str]]:
    """The headers by which a refusal says what would be taken."""
    if error.status == 415:
        return [("Accept", ACCEPT)]
    if error.status == 422:
        return [("Min-SE", str(MIN_SE))]
    if isinstance(error.__cause__, sdp.NotAcceptable):
        text = re.sub(r"[^ -~]", "?", str(error.__cause__))[:200]
        return [("Warning", f"{error.__cause__.warning} ivr-sim {quote(text)}")]
    return []
