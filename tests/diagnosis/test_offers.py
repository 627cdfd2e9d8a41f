"""Offers that were refused, and why, in words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.diagnosis import FINDINGS
from ivr_sim.diagnosis.offers import refused_offer
from ivr_sim.sip import sdp
from ivr_sim.sip.crypto import SrtpUse
from ivr_sim.sip.message import BadMessage, Headers, Request

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
EVENTS = "a=rtpmap:101 telephone-event/8000"
KEY = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}"


def invite(body: bytes, kind: str = "application/sdp") -> Request:
    return Request("INVITE", "sip:x", headers=Headers([("Content-Type", kind)]), body=body)


def refuse(body: bytes, srtp: SrtpUse = "off") -> BadMessage:
    """The refusal, as a session makes it."""
    secure = None if srtp == "off" else sdp.Secure(srtp == "required", bytes(30))
    try:
        sdp.answer(sdp.parse(body), host="192.0.2.1", port=16384, origin=sdp.Origin(1), secure=secure)
    except (sdp.BadDescription, sdp.NotAcceptable) as error:
        try:
            raise BadMessage(error.status, "no") from error
        except BadMessage as made:
            return made
    raise AssertionError("this offer is good")


@pytest.mark.parametrize(
    ("media", "code", "offered"),
    [
        ("m=audio 4000 RTP/SAVP 0 8", "srtp_only", "RTP/SAVP"),
        ("m=audio 4000 UDP/TLS/RTP/SAVPF 111\r\nm=video 1 RTP/AVP 99", "srtp_only", "UDP/TLS/RTP/SAVPF"),
        (
            "m=audio 4000 RTP/AVP 18 3 101\r\na=rtpmap:101 telephone-event/8000",
            "no_common_codec",
            "G729, GSM",
        ),
        ("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2", "no_common_codec", "Opus"),
        ("m=audio 4000 RTP/AVP 77", "no_common_codec", "payload type 77"),
        (f"m=audio 4000 RTP/AVP 101\r\n{EVENTS}", "no_common_codec", "no codec"),
        ("m=audio 4000 RTP/AVP 9\r\nm=audio 4002 RTP/SAVP 0", "no_common_codec", "G722"),
        ("m=audio 0 RTP/AVP 0\r\nm=video 4000 RTP/AVP 99", "no_audio_offered", "video"),
        ("m=audio 0 RTP/AVP 0", "no_audio_offered", "nothing"),
    ],
)
def test_what_was_offered(media: str, code: str, offered: str) -> None:
    body = f"{HEAD}{media}\r\n".encode()
    assert refused_offer(invite(body), refuse(body)) == (code, {"offered": offered})


@pytest.mark.parametrize(
    ("srtp", "media", "code", "offered"),
    [
        ("required", "m=audio 4000 RTP/AVP 0", "srtp_missing", "RTP/AVP"),
        ("required", "m=audio 4000 RTP/SAVP 0", "srtp_keys", "RTP/SAVP"),
        ("required", f"m=audio 4000 RTP/SAVP 0\r\n{KEY.replace('80', '96')}", "srtp_keys", "RTP/SAVP"),
        ("allowed", "m=audio 4000 RTP/SAVP 0", "srtp_keys", "RTP/SAVP"),
        ("allowed", f"m=audio 4 UDP/TLS/RTP/SAVPF 0\r\n{KEY}", "srtp_keys", "UDP/TLS/RTP/SAVPF"),
        ("allowed", "m=audio 4000 RTP/AVP 18", "no_common_codec", "G729"),
        ("required", f"m=audio 4000 RTP/SAVP 18\r\n{KEY}", "no_common_codec", "G729"),
        ("required", f"m=audio 4000 RTP/AVP 3\r\n{KEY}", "no_common_codec", "GSM"),
    ],
)
def test_where_audio_may_be_encrypted(srtp: SrtpUse, media: str, code: str, offered: str) -> None:
    body = f"{HEAD}{media}\r\n".encode()
    assert refused_offer(invite(body), refuse(body, srtp), srtp) == (code, {"offered": offered})


def test_an_offer_among_other_parts() -> None:
    body = f"{HEAD}m=audio 4000 RTP/SAVP 0\r\n".encode()
    parts = b"--b\r\nContent-Type: application/sdp\r\n\r\n" + body + b"\r\n--b--\r\n"
    request = invite(parts, "multipart/mixed;boundary=b")
    assert refused_offer(request, refuse(body)) == ("srtp_only", {"offered": "RTP/SAVP"})


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"rubbish", 400, "begins with 'v=0'"),
        (
            HEAD.replace("IP4 192.0.2.9\r\nt", "IP6 ::1\r\nt").encode() + b"m=audio 4 RTP/AVP 0\r\n",
            488,
            "'::1'",
        ),
    ],
)
def test_other_reasons_are_given_as_they_are(body: bytes, status: int, reason: str) -> None:
    code, facts = refused_offer(invite(body), refuse(body))
    assert (code, facts["status"]) == ("offer_refused", status)
    assert reason in str(facts["reason"])


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([400, 415, 488]), st.sampled_from(["off", "required"]))
def test_any_body(body: bytes, status: int, srtp: SrtpUse) -> None:
    for head in (b"", HEAD.encode()):
        code, facts = refused_offer(invite(head + body), BadMessage(status, "No"), srtp)
        assert code in FINDINGS
        assert facts
