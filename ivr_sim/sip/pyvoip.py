"""What we take of pyVoIP 1.6.8, imported in the one order that works, and its form of a message."""

from __future__ import annotations

import warnings
from typing import Any

from ivr_sim.errors import LocalProtocolError
from ivr_sim.sip.session import Session

with warnings.catch_warnings():
    # audioop is deprecated since 3.11 and a package of its own from 3.13 on; nothing of ours calls it.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import pyVoIP.VoIP  # before pyVoIP.SIP, which imports it in a circle
    from pyVoIP import SIP

__all__ = [
    "BaseCall",
    "BaseClient",
    "BasePhone",
    "CallState",
    "InvalidAccountInfoError",
    "InvalidRangeError",
    "InvalidStateError",
    "Message",
    "NoPortsAvailableError",
    "PhoneStatus",
]

BaseCall = pyVoIP.VoIP.VoIPCall
BaseClient = SIP.SIPClient
BasePhone = pyVoIP.VoIP.VoIPPhone
CallState = pyVoIP.VoIP.CallState
InvalidAccountInfoError = SIP.InvalidAccountInfoError
InvalidRangeError = pyVoIP.VoIP.InvalidRangeError
InvalidStateError = pyVoIP.VoIP.InvalidStateError
NoPortsAvailableError = pyVoIP.VoIP.NoPortsAvailableError
PhoneStatus = pyVoIP.VoIP.PhoneStatus


class Message(SIP.SIPMessage):
    """A request of ours or of the peer's in the form in which pyVoIP's programs read it."""

    def __init__(self, session: Session) -> None:
        invite = session.invite
        if invite is None:
            raise LocalProtocolError(f"{session!r} has no INVITE")
        self.raw = invite.to_bytes()
        self.heading = invite.start_line.encode()
        self.type = SIP.SIPMessageType.MESSAGE
        self.method, self.uri, self.version = invite.method, invite.uri, "SIP/2.0"
        self.headers: dict[str, Any] = dict(invite.headers)
        for name, address in (("From", invite.from_), ("To", invite.to)):
            uri = address.uri
            self.headers[name] = {
                "raw": (invite.headers.get(name) or "").partition(";tag=")[0],
                "tag": address.tag or "",
                "address": uri.text.partition(":")[2],
                "number": uri.user or "",
                "caller": address.display,
                "host": uri.host,
            }
        number, method = invite.cseq
        self.headers |= {
            "Via": [],
            "Call-ID": invite.call_id,
            "CSeq": {"check": str(number), "method": method},
        }
        self.body: dict[str, Any] = {"c": [], "m": []}  # the media are ours
        self.authentication: dict[str, str] = {}
