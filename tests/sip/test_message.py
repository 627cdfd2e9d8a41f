"""The message parser: valid oddities, refusals with their status, and nothing but BadMessage on garbage."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr_sim.errors import LocalProtocolError
from ivr_sim.sip.address import Address
from ivr_sim.sip.message import (
    BadMessage,
    Headers,
    Request,
    Response,
    Via,
    bad_request_reply,
    parse,
    response_to,
)

OPTIONS = (
    b"OPTIONS sip:5000@ivr.test SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport\r\n"
    b"From: <sip:a@ivr.test>;tag=f\r\n"
    b"To: <sip:5000@ivr.test>\r\n"
    b"Call-ID: c1\r\n"
    b"CSeq: 7 OPTIONS\r\n"
    b"Max-Forwards: 70\r\n"
    b"Content-Length: 0\r\n\r\n"
)
RINGING = (
    b"SIP/2.0 180 Ringing\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1\r\n"
    b"From: <sip:a@ivr.test>;tag=f\r\nTo: <sip:5000@ivr.test>;tag=t\r\n"
    b"Call-ID: c1\r\nCSeq: 7 INVITE\r\n\r\n"
)
# RFC 4475 section 3.1.1.1: white space and folds wherever the grammar has them, compact forms, any case.
ODD = b"""INVITE sip:vivekg@chair.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 4
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

body and what does not belong to it""".replace(b"\n", b"\r\n")


def edited(old: bytes, new: bytes, base: bytes = OPTIONS) -> bytes:
    assert old in base
    return base.replace(old, new, 1)


def request(data: bytes = OPTIONS) -> Request:
    message = parse(data)
    assert isinstance(message, Request)
    return message


def test_white_space_folds_and_compact_forms():
    message = request(ODD)
    assert message.body == b"body"
    assert message.cseq == (9, "INVITE")
    assert message.to.tag == "1918181833n"
    assert message.from_.display == 'J Rosenberg \\"'
    assert [(v.transport, v.host, v.branch) for v in message.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert message.headers.get("Subject") == ""
    assert message.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert message.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert parse(message.to_bytes()) == message


def test_unusual_characters_pass_unchanged():
    data = (
        b"!interesting-Method0123456789_*+`.%indeed'~ "
        b"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1@example.com SIP/2.0\r\n"
        b"Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\r\n"
        b'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" '
        b"<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@e.com>\r\n"
        b"From: token1~` token2'+_ token3*%!.- <sip:mundane@e.com>"
        b";p''~+*_!.-%=\"\xd1\x80\";tag=_token~1'+`*%!-.\r\n"
        b"Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n"
        b"CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\n"
        b"X-Latin: caf\xe9\r\n\r\n"
    )
    message = request(data)
    assert message.to_bytes() == data[:-2] + b"Content-Length: 0\r\n\r\n"
    assert message.from_.tag == "_token~1'+`*%!-."


GOOD = [
    ("no Content-Length: the body is the rest", edited(b"Content-Length: 0\r\n\r\n", b"\r\nrest"), b"rest"),
    ("octets behind the body are dropped", edited(b"Length: 0\r\n\r\n", b"Length: 2\r\n\r\nabc"), b"ab"),
    ("a blank line in the body", edited(b"Length: 0\r\n\r\n", b"Length: 6\r\n\r\na\r\n\r\nb"), b"a\r\n\r\nb"),
    ("the length is in bytes", edited(b"Length: 0\r\n\r\n", "Length: 2\r\n\r\né".encode()), "é".encode()),
    ("the same length twice", edited(b"Content-Length: 0", b"l: 0\r\nContent-Length: 0"), b""),
    ("no Max-Forwards (RFC 2543)", edited(b"Max-Forwards: 70\r\n", b""), b""),
    ("line breaks before the message", b"\r\n\r\n" + OPTIONS, b""),
    ("version in lower case", edited(b"SIP/2.0\r\n", b"sip/2.0\r\n"), b""),
    ("no From tag (RFC 2543)", edited(b";tag=f", b""), b""),
    ("IPv6 in Via", edited(b"127.0.0.1:5070", b"[2001:db8::9]:5070"), b""),
    ("no space behind colons", OPTIONS.replace(b": ", b":"), b""),
    ("other schemes", edited(b"OPTIONS sip:5000@ivr.test", b"OPTIONS soap.beep://192.0.2.103:3002"), b""),
]


@pytest.mark.parametrize(("data", "body"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_accepted(data, body):
    message = request(data)
    assert message.body == body
    assert message.call_id == "c1"
    assert parse(message.to_bytes()) == message


BAD = [
    (400, "no end of headers", OPTIONS[:-2]),
    (400, "start line of two words", edited(b" SIP/2.0", b"")),
    (400, "white space in the Request-URI", edited(b"5000@ivr", b"50 00@ivr")),
    (400, "two spaces", edited(b"OPTIONS sip", b"OPTIONS  sip")),
    (400, "trailing space", edited(b"SIP/2.0\r\n", b"SIP/2.0 \r\n")),
    (400, "angle brackets around the Request-URI", edited(b"sip:5000@ivr.test", b"<sip:5000@ivr.test>")),
    (400, "a method that is no token", edited(b"OPTIONS sip", b"OPT(IONS sip")),
    (505, "version", edited(b"SIP/2.0\r\n", b"SIP/7.0\r\n")),
    (505, "version of a response", edited(b"SIP/2.0", b"SIP/3.0", RINGING)),
    (400, "status beyond 699", edited(b" 180 ", b" 4294967301 ", RINGING)),
    (400, "no Via", edited(b"Via", b"X-Via")),
    (400, "no Call-ID", edited(b"Call-ID", b"X-Call-ID")),
    (400, "empty Call-ID", edited(b"Call-ID: c1", b"Call-ID:")),
    (400, "no CSeq", edited(b"CSeq", b"X-CSeq")),
    (400, "no From", edited(b"From", b"X-From")),
    (400, "no To", edited(b"To", b"X-To")),
    (400, "two Call-IDs", edited(b"Call-ID: c1", b"Call-ID: c1\r\ni: c1")),
    (400, "two To", edited(b"To: ", b"To: <sip:x@h>\r\nTo: ")),
    (400, "CSeq too large", edited(b"CSeq: 7", b"CSeq: 36893488147419103232")),
    (400, "CSeq of 2**31", edited(b"CSeq: 7", b"CSeq: 2147483648")),
    (400, "CSeq negative", edited(b"CSeq: 7", b"CSeq: -7")),
    (400, "CSeq in other digits", edited(b"CSeq: 7", "CSeq: ٧".encode())),
    (400, "CSeq of another method", edited(b"7 OPTIONS", b"7 INVITE")),
    (400, "Max-Forwards beyond 255", edited(b"Max-Forwards: 70", b"Max-Forwards: 300")),
    (400, "Max-Forwards no number", edited(b"Max-Forwards: 70", b"Max-Forwards: x")),
    (400, "body too short", edited(b"Length: 0", b"Length: 9999")),
    (400, "length negative", edited(b"Length: 0", b"Length: -999")),
    (400, "length no number", edited(b"Length: 0", b"Length: a")),
    (400, "two lengths", edited(b"Content-Length: 0", b"Content-Length: 0\r\nContent-Length: 1")),
    (400, "header without colon", edited(b"Max-Forwards: 70", b"Max-Forwards")),
    (400, "header name with spaces", edited(b"Max-Forwards:", b"Max Forwards:")),
    (400, "fold right after the start line", edited(b"\r\nVia", b"\r\n Via")),
    (400, "bare CR", edited(b"Call-ID: c1", b"Call-ID: c1\rX: y")),
    (400, "bare LF", edited(b"Call-ID: c1", b"Call-ID: c1\nX: y")),
    (400, "open quote in To", edited(b"To: <sip:5000@ivr.test>", b'To: "Mr. J. User <sip:j@e.com>')),
    (400, "separators without parameters in Via", edited(b";branch=z9hG4bK1;rport", b";;,;,,")),
    (400, "Via without host", edited(b" 127.0.0.1:5070", b"")),
    (400, "rport no port", edited(b";rport", b";rport=x")),
    (400, "From with a broken URI", edited(b"<sip:a@ivr.test>", b"< sip:a@ivr.test >")),
    (414, "start line too long", edited(b"sip:5000", b"sip:" + b"5" * 9000)),
    (513, "header too long", edited(b"Call-ID: c1", b"Call-ID: c1\r\nX: " + b"x" * 9000)),
    (513, "too many headers", edited(b"Call-ID: c1", b"Call-ID: c1" + b"\r\nX: y" * 300)),
    (513, "message too large", OPTIONS + b"x" * 70_000),
]  # fmt: skip


@pytest.mark.parametrize(("status", "data"), [(c[0], c[2]) for c in BAD], ids=[c[1] for c in BAD])
def test_refused(status, data):
    with pytest.raises(BadMessage) as caught:
        parse(data)
    assert caught.value.status == status


def test_response():
    message = parse(RINGING)
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.cseq) == (180, "Ringing", (7, "INVITE"))
    for line in (b"SIP/2.0 180 \r\n", b"SIP/2.0 180\r\n"):
        odd = parse(edited(b"SIP/2.0 180 Ringing\r\n", line, RINGING))
        assert isinstance(odd, Response)
        assert odd.reason == ""


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b" \t"])
def test_keep_alives_are_no_message(data):
    assert parse(data) is None


def test_limits_are_arguments():
    with pytest.raises(BadMessage):
        parse(OPTIONS, max_size=100)
    with pytest.raises(BadMessage):
        parse(OPTIONS, max_headers=6)
    with pytest.raises(BadMessage):
        parse(OPTIONS, max_line=30)


# Headers -------------------------------------------------------------------------------------------


def test_headers_find_any_form_and_keep_what_was_sent():
    headers = Headers(
        [("v", "SIP/2.0/UDP a, SIP/2.0/UDP b"), ("VIA", "SIP/2.0/UDP c"), ("Allow", "INVITE, BYE")]
    )
    assert headers.get_all("Via") == ["SIP/2.0/UDP a", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]
    assert headers.get("via") == "SIP/2.0/UDP a"
    assert headers.get("To") is None
    assert "V" in headers
    assert next(iter(headers)) == ("v", "SIP/2.0/UDP a, SIP/2.0/UDP b")
    assert headers == Headers(
        [("Via", "SIP/2.0/UDP a, SIP/2.0/UDP b"), ("via", "SIP/2.0/UDP c"), ("allow", "INVITE, BYE")]
    )


def test_headers_change_one_value_of_a_list():
    headers = Headers([("X", "1"), ("Route", "<sip:a;lr>, <sip:b;lr>"), ("Route", "<sip:c;lr>")])
    assert headers.pop_first("route") == "<sip:a;lr>"
    assert list(headers) == [("X", "1"), ("Route", "<sip:b;lr>"), ("Route", "<sip:c;lr>")]
    headers.replace_first("Route", "<sip:d;lr>")
    headers.prepend("Route", "<sip:e;lr>")
    assert headers.get_all("Route") == ["<sip:e;lr>", "<sip:d;lr>", "<sip:c;lr>"]
    assert next(iter(headers)) == ("X", "1")
    headers.set("Route", "<sip:f;lr>")
    assert list(headers) == [("X", "1"), ("Route", "<sip:f;lr>")]
    headers.remove("Route")
    assert headers.pop_first("Route") is None
    assert len(headers) == 1


def test_copies_are_apart():
    headers = Headers([("X", "1")])
    other = headers.copy()
    other.add("Y", "2")
    assert len(headers) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nY: b"), ("X", "a\nb"), ("X\r\nY", "b"), ("X Y", "b"), ("", "b")]
)
def test_nothing_of_ours_smuggles_in_a_header(name, value):
    with pytest.raises(LocalProtocolError):
        Headers([(name, value)])


# Via -----------------------------------------------------------------------------------------------

STAMPS = [
    # Via as sent, with the source it came from, where the answer goes
    ("h:5070;rport", "h:5070;rport=40000;received=9.9.9.9", ("9.9.9.9", 40000)),
    ("9.9.9.9:5070;rport", "9.9.9.9:5070;rport=40000;received=9.9.9.9", ("9.9.9.9", 40000)),
    ("9.9.9.9:5070", "9.9.9.9:5070", ("9.9.9.9", 5070)),
    ("9.9.9.9", "9.9.9.9", ("9.9.9.9", 5060)),
    ("10.0.0.1:5070", "10.0.0.1:5070;received=9.9.9.9", ("9.9.9.9", 5070)),
    ("10.0.0.1;received=6.6.6.6", "10.0.0.1;received=9.9.9.9", ("9.9.9.9", 5060)),
    (
        "10.0.0.1;rport=66;maddr=6.6.6.6",
        "10.0.0.1;rport=40000;maddr=6.6.6.6;received=9.9.9.9",
        ("9.9.9.9", 40000),
    ),
]


@pytest.mark.parametrize(("sent", "stamped", "reply"), STAMPS)
def test_via_learns_where_it_came_from(sent, stamped, reply):
    via = Via.parse(f"SIP/2.0/UDP {sent}").stamped(Address("9.9.9.9", 40000))
    assert str(via) == f"SIP/2.0/UDP {stamped}"
    assert via.reply_address == Address(*reply)


# Answers -------------------------------------------------------------------------------------------


def test_answer_copies_what_it_must():
    invite = request(
        edited(b"From", b"Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nVia: SIP/2.0/UDP b\r\nf").replace(
            b"OPTIONS", b"INVITE"
        )
    )
    answer = response_to(invite, 200, to_tag="mine", headers=[("Contact", "<sip:x@h>")], body=b"v=0")
    assert answer.headers.get_all("Via") == invite.headers.get_all("Via")
    assert answer.headers.get_all("Record-Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert answer.headers.get("To") == "<sip:5000@ivr.test>;tag=mine"
    assert (answer.call_id, answer.cseq, answer.from_) == (invite.call_id, invite.cseq, invite.from_)
    assert b"Content-Length: 3\r\n\r\nv=0" in answer.to_bytes()


def test_tag_of_an_answer():
    options = request()
    assert response_to(options, 100).to.tag is None
    tag = response_to(options, 404).to.tag
    assert tag
    assert response_to(options, 404).to.tag == tag
    assert (
        response_to(
            request(edited(b"ivr.test>\r\nCall", b"ivr.test>;tag=old\r\nCall")), 404, to_tag="new"
        ).to.tag
        == "old"
    )
    assert response_to(options, 404).reason == "Not Found"
    assert response_to(options, 499).reason == "Unknown"
    assert response_to(options, 404, "No such number").reason == "No such number"


def test_refusal_from_what_could_be_read():
    data = edited(b"CSeq: 7 OPTIONS\r\n", b"")
    with pytest.raises(BadMessage) as caught:
        parse(data)
    reply = bad_request_reply(data, caught.value)
    assert reply is not None
    lines = reply.split(b"\r\n")
    assert lines[0] == b"SIP/2.0 400 No CSeq"
    assert b"Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1;rport" in lines
    assert any(line.startswith(b"To: <sip:5000@ivr.test>;tag=") for line in lines)
    assert reply == bad_request_reply(data, caught.value)


@pytest.mark.parametrize(
    "data",
    [
        RINGING[:-2],
        edited(b"OPTIONS", b"ACK"),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01",
        b"",
        edited(b"Via", b"X"),
    ],
)
def test_no_refusal_where_none_is_due(data):
    assert bad_request_reply(data, BadMessage(400, "x")) is None


# Properties ----------------------------------------------------------------------------------------

token = st.text("abcXYZ019-._~", min_size=1, max_size=10)
values = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30).map(
    lambda s: s.strip(" \t")
)


@given(
    method=token, user=token, number=st.integers(0, 2**31 - 1), tag=token, call_id=token,
    extra=st.lists(st.tuples(token.map(lambda t: "X-" + t), values), max_size=4), body=st.binary(max_size=80),
)  # fmt: skip
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_built_is_what_is_parsed(method, user, number, tag, call_id, extra, body):
    headers = Headers([
        ("Via", "SIP/2.0/UDP h:5060;branch=z9hG4bK1"), ("From", f"<sip:a@h>;tag={tag}"), ("To", "<sip:b@h>"),
        ("Call-ID", call_id), ("CSeq", f"{number} {method}"), *extra,
    ])  # fmt: skip
    for message in (Request(method, f"sip:{user}@h", headers, body), Response(200, "OK", headers, body)):
        assert parse(message.to_bytes()) == message


def check_survives(data: bytes) -> None:
    try:
        message = parse(data)
    except BadMessage as error:
        reply = bad_request_reply(data, error)
        assert reply is None or reply.startswith(b"SIP/2.0 %d " % error.status)  # noqa: PT017
        return
    if message is not None:
        # What was accepted can be read and sent on.
        assert message.call_id
        assert message.from_ is not None
        assert message.to is not None
        assert message.vias
        assert parse(message.to_bytes()) == message


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_garbage_is_refused(data):
    check_survives(data)


@given(st.sampled_from([OPTIONS, RINGING, ODD]), st.data())
@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_messages_are_parsed_or_refused(base, data):
    mutated = bytearray(base)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated)))
        cut = data.draw(st.integers(0, 6))
        mutated[at : at + cut] = data.draw(
            st.binary(max_size=4)
            | st.sampled_from(
                [b"\r\n", b"\r\n\r\n", b'"', b"<", b",", b";", b" ", b"\0", b"\xff", b":", b"="]
            )
        )
    check_survives(bytes(mutated))


HOSTILE = [
    b" ", b"\t ", b'"', b"\\", b'"\\', b"<", b"<>", b";a", b";a=", b"a=b,", b",", b":", b"/ ",
    b"\r\n ", b" \r\n ",
    b"a", b"9", b"%", b"@", b"[", b"\xff", b"\r\nVia: a", b"\r\nX: y", b'=""', b"* ",
]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "header", ["From: ", "Via: ", "Via: SIP/2.0/UDP h", "CSeq: 7", "X: ", "Max-Forwards: 7", ""]
)
def test_no_datagram_takes_long(header):
    """Repetition that makes a careless pattern quadratic: seconds each there, all of them in one here."""
    for piece in HOSTILE:
        data = edited(b"Call-ID: c1", b"Call-ID: c1\r\n" + header.encode() + piece * (60_000 // len(piece)))
        check_survives(data)
        try:
            parse(data, max_line=100_000)
        except BadMessage as error:
            assert error.status  # noqa: PT017
    for piece in HOSTILE:
        check_survives(b"INVITE" + piece * (60_000 // len(piece)) + b" SIP/2.0\r\nVia: x\r\n\r\n")
