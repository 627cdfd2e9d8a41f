"""Bodies: a session description alone, among others, and what is none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.sip.content import content_type, session_description
from ivr_sim.sip.message import BadMessage, Request

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"
ISUP = b"\x01\x00\x49--b\x00\r\n\r\n\xff"


def message(kind: str | None, body: bytes, **more: str) -> Request:
    made = Request("INVITE", "sip:a@b", body=body)
    if kind is not None:
        made.headers.add("Content-Type", kind)
    for name, value in more.items():
        made.headers.add(name.replace("_", "-"), value)
    return made


def parts(*each: bytes, boundary: bytes = b"b", end: bytes = b"\r\n") -> bytes:
    head = b"".join(b"--" + boundary + end + part + end for part in each)
    return head + b"--" + boundary + b"--" + end


SDP_PART = b"Content-Type: application/sdp\r\n\r\n" + SDP
ISUP_PART = b"Content-Type: application/isup;version=x\r\nContent-Disposition: signal\r\n\r\n" + ISUP
OPTIONAL = ISUP_PART.replace(b"signal", b"signal ; handling=optional")

TAKEN = {
    "alone": ("application/sdp", SDP),
    "with parameters, in any case": ("Application/SDP;charset=utf-8", SDP),
    "after another": ("multipart/mixed;boundary=b", parts(ISUP_PART, SDP_PART)),
    "before another": ('multipart/mixed; boundary="b"', parts(SDP_PART, ISUP_PART)),
    "a preamble and an epilogue": (
        "multipart/mixed;boundary=b",
        b"x\r\n" + parts(SDP_PART) + b"--b\r\ny",
    ),
    "a boundary with signs": (
        'Multipart/Alternative; x=y; BOUNDARY="=_(.b)+?"',
        parts(SDP_PART, boundary=b"=_(.b)+?"),
    ),
    "folded, with an id": (
        "multipart/related;boundary=b",
        parts(b"Content-ID: <1>\r\nContent-Type:\r\n application/sdp\r\n\r\n" + SDP),
    ),
    "line feeds alone": (
        "multipart/mixed;boundary=b",
        parts(b"Content-Type: application/sdp\n\n" + SDP, end=b"\n"),
    ),
    "a boundary that begins another": ("multipart/mixed;boundary=b", parts(b"\r\n--bc\r\n", SDP_PART)),
}


@pytest.mark.parametrize(("kind", "body"), TAKEN.values(), ids=TAKEN)
def test_a_description_is_found(kind: str, body: bytes) -> None:
    assert session_description(message(kind, body)) == SDP


REFUSED = {
    "text": ("text/plain", b"hello", 415),
    "no type": (None, SDP, 415),
    "no part is one": ("multipart/mixed;boundary=b", parts(ISUP_PART), 415),
    "base64": (
        "multipart/mixed;boundary=b",
        parts(b"Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w"),
        415,
    ),
    "no boundary": ("multipart/mixed", parts(SDP_PART), 400),
    "another boundary": ("multipart/mixed;boundary=c", parts(SDP_PART), 400),
    "an empty boundary": ('multipart/mixed;boundary=""', parts(SDP_PART), 400),
    "more parts than anybody sends": ("multipart/mixed;boundary=b", parts(*[ISUP_PART] * 20), 400),
}


@pytest.mark.parametrize(("kind", "body", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_none_is_refused(kind: str | None, body: bytes, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        session_description(message(kind, body))
    assert caught.value.status == status


def test_what_may_be_left_aside_is() -> None:
    assert session_description(message(None, b"")) == b""
    optional = message("text/plain", b"hi", Content_Disposition="render;handling=Optional")
    assert session_description(optional) == b""
    assert session_description(message("multipart/mixed;boundary=b", parts(OPTIONAL))) == b""


def test_what_is_packed_is_refused() -> None:
    with pytest.raises(BadMessage):
        session_description(message("application/sdp", SDP, Content_Encoding="gzip"))
    assert session_description(message("application/sdp", SDP, Content_Encoding="Identity")) == SDP
    assert content_type(message(" Application/DTMF ; x=y", b"1")) == "application/dtmf"


@given(st.binary(max_size=200), st.sampled_from(["multipart/mixed;boundary=b", "multipart/x", "a/b", ""]))
@settings(deadline=None)
def test_garbage_is_refused_or_read(body: bytes, kind: str) -> None:
    for tail in (body, parts(body), b"--b" + body + b"--b"):
        with contextlib.suppress(BadMessage):
            assert session_description(message(kind, tail)) in tail
