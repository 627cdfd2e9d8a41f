"""The SIP ladder: what is shown of messages, and what never is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.reports.ladder import call_id_of, ladder, read_sip

PHONE, LINE = ("192.0.2.7", 5060), ("127.0.0.1", 40000)
HEAD = "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKx\r\nFrom: <sip:1001@x>;tag=a\r\nTo: <sip:5000@x>\r\n"


def message(start: str, *more: str, method: str = "INVITE", body: str = "") -> bytes:
    lines = "".join(f"{line}\r\n" for line in ("Call-ID: c1", f"CSeq: 1 {method}", *more))
    return f"{start}\r\n{HEAD}{lines}\r\n{body}".encode()


def shown(data: bytes) -> str:
    read = read_sip("received", data, PHONE, 1.0)
    assert read is not None
    return read.text


@pytest.mark.parametrize(
    "line",
    [
        'Authorization: Digest username="1001", response="51051051"',
        'Proxy-Authorization: Digest username="1001", response="51051051"',
        'AUTHORIZATION : Digest username="1001", response="51051051"',
        'Authorization: Digest username="1001",\r\n response="51051051"',
        'X: y\nAuthorization: Digest response="51051051"',
    ],
)
def test_credentials_are_not_shown(line):
    text = shown(message("INVITE sip:5000@x SIP/2.0", line))
    assert "51051051" not in text
    assert "uthorization: (not shown)" in text or "UTHORIZATION: (not shown)" in text


@pytest.mark.parametrize("method", ["INFO", "MESSAGE"])
@pytest.mark.parametrize(
    "kind", ["application/dtmf-relay", "application/dtmf", "text/plain", "application/vnd.x"]
)
def test_keys_are_not_shown(method, kind):
    text = shown(
        message(f"{method} sip:5000@x SIP/2.0", f"Content-Type: {kind}", method=method, body="Signal=7")
    )
    assert "(a key, not shown)" in text
    assert "7" not in text.replace("192.0.2.7", "")


def test_a_description_is_shown_as_it_is():
    types = "0 8 18 3 101 110 111 112 96 97 98"  # as many digits as a card has
    sdp = f"v=0\r\no=- 4111111111111111 1 IN IP4 1.2.3.4\r\nm=audio 4 RTP/AVP {types}\r\n"
    text = shown(message("INVITE sip:5000@x SIP/2.0", "c: application/sdp;x=y", body=sdp))
    assert text.endswith(sdp.replace("\r\n", "\n").rstrip())


def test_a_card_dialled_or_in_a_header_is_redacted():
    text = shown(message("INVITE sip:4111111111111111@x SIP/2.0", "Subject: 4111 1111 1111 1111"))
    assert text.count("[card number]") == 2


def test_random_numbers_are_no_cards():
    """Every tenth run of so many digits has the right check digit."""
    branch = "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK4111111111111111"
    assert branch in shown(message("INVITE sip:5000@x SIP/2.0", branch))


def test_control_characters_do_not_reach_a_terminal():
    text = shown(message("INVITE sip:5000@x SIP/2.0", "User-Agent: a\x1b[2Jb\x00\x07"))
    assert all(c.isprintable() or c == "\n" for c in text)


def test_arrows_point_at_who_got_it():
    invite, ok = message("INVITE sip:5000@x SIP/2.0"), message("SIP/2.0 200 OK")
    seen = [
        read_sip("received", invite, PHONE, 10.0),
        read_sip("sent", message("INVITE sip:ivr@y SIP/2.0"), LINE, 10.1),
        read_sip("received", ok, LINE, 10.2),
        read_sip("sent", ok, PHONE, 10.25),
        read_sip("received", invite, PHONE, 10.5),
    ]
    text = ladder([m for m in seen if m is not None], zero=10.2, zero_is="the answer")
    arrows = re.findall(r"^ +(\d) +(\S+)  \|(.*)\|(.*)\|$", text, re.MULTILINE)
    assert [(n, t, a.rstrip("- "), b.rstrip("- ")) for n, t, a, b in arrows] == [
        ("1", "-0.200", "--INVITE----------------------->".rstrip("- "), ""),
        ("2", "-0.100", "", "--INVITE----------------------->".rstrip("- ")),
        ("3", "0.000", "", "<--200 OK (INVITE)"),
        ("4", "0.050", "<--200 OK (INVITE)", ""),
        ("5", "0.300", "--INVITE (again, as 1)--------->".rstrip("- "), ""),
    ]
    assert "192.0.2.7:5060" in text
    assert "127.0.0.1:40000" in text
    assert text.count("INVITE sip:5000@x SIP/2.0") == 1


def test_a_long_reason_keeps_the_columns():
    seen = read_sip("sent", message("SIP/2.0 480 " + "Temporarily " * 9), PHONE, 0.0)
    assert seen is not None
    arrow = ladder([seen], zero=0.0, zero_is="the INVITE").splitlines()[4]
    assert len(arrow) == len("   1     0.000  ") + 2 * 33 + 1
    assert "(never reached)" in ladder([seen], zero=0.0, zero_is="the INVITE")


def test_a_call_without_messages():
    assert ladder([], zero=0.0, zero_is="the answer") == "No SIP message of this call passed the exchange.\n"


def test_what_is_no_call():
    assert call_id_of(b"\r\n\r\n") is None
    assert call_id_of(b"OPTIONS sip:x SIP/2.0\r\ni:  abc \r\n\r\n") == "abc"
    assert read_sip("received", b"INVITE sip:x SIP/2.0\r\nCall-ID: a\r\n\r\n", PHONE, 0.0) is None


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.sampled_from(["application/dtmf", "x", "application/sdpx"]))
def test_garbage_is_survived_and_bodies_stay_hidden(junk, kind):
    read_sip("received", junk, PHONE, 0.0)
    call_id_of(junk)
    body = b"\r\n\r\n" + b"Signal=8675309" + junk
    data = message("INFO sip:5000@x SIP/2.0", f"Content-Type: {kind}", method="INFO")[:-4] + body
    read = read_sip("received", data, PHONE, 0.0)
    assert read is not None
    assert "8675309" not in read.text
