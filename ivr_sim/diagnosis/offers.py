"""Why a call could not be taken as it was offered, from its session description (no I/O)."""

from __future__ import annotations

from collections.abc import Mapping

from ivr_sim.errors import RemoteProtocolError
from ivr_sim.sip import sdp
from ivr_sim.sip.content import session_description
from ivr_sim.sip.crypto import SrtpUse
from ivr_sim.sip.message import BadMessage, Request

__all__ = ["refused_offer"]

# RFC 3551 tables 4 and 5: what a payload type means where no rtpmap says it.
STATIC: Mapping[str, str] = {
    "0": "PCMU", "3": "GSM", "4": "G723", "8": "PCMA", "9": "G722", "13": "CN", "15": "G728", "18": "G729",
}  # fmt: skip
NO_CODECS = ("TELEPHONE-EVENT", "CN", "RED")
MAX_NAMED = 8


def refused_offer(
    request: Request, error: BadMessage, srtp: SrtpUse = "off"
) -> tuple[str, dict[str, object]]:
    """The code of the finding about an INVITE that was refused, and its facts but for the user.

    srtp: what we demand of audio.
    """
    why: BaseException = error.__cause__ or error
    facts: dict[str, object] = {"status": error.status, "reason": str(why)}
    if error.status != 488:
        return "offer_refused", facts
    try:
        offered = sdp.parse(session_description(request))
    except RemoteProtocolError:
        return "offer_refused", facts
    audio = [media for media in offered.media if media.kind == "audio" and media.port]
    secure = [media for media in audio if "SAVP" in media.profile.upper()]
    if not audio:
        kinds = sorted({media.kind for media in offered.media if media.port})
        return "no_audio_offered", {"offered": ", ".join(kinds) or "nothing"}
    usable = [] if srtp == "required" else [media for media in audio if media not in secure]
    if srtp != "off":
        usable += [media for media in audio if media.crypto and media.profile.upper().startswith("RTP/")]
    if not usable:
        code = "srtp_only" if srtp == "off" else "srtp_keys" if secure else "srtp_missing"
        return code, {"offered": ", ".join(sorted({media.profile for media in audio}))}
    names = [name for media in usable for name in _codecs(media)]
    if not {"PCMU", "PCMA"} & set(names):
        more = ", …" if len(names) > MAX_NAMED else ""
        return "no_common_codec", {"offered": (", ".join(names[:MAX_NAMED]) or "no codec") + more}
    return "offer_refused", facts


def _codecs(media: sdp.Media) -> list[str]:
    """The codecs of a line, in its order, each once."""
    named = [
        _usual(media.rtpmap[n][0]) if n in media.rtpmap else STATIC.get(n, f"payload type {n}")
        for n in media.formats
    ]
    return list(dict.fromkeys(name for name in named if name not in NO_CODECS))


def _usual(name: str) -> str:
    """As people write it: parsed names are in lower case."""
    return {"opus": "Opus", "speex": "Speex"}.get(name, name.upper())
