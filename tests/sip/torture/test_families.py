"""Whole families of odd messages beside the standards': each header bent in each way that is met or feared.

Strict in what an answer and the way onward depend on (400), indifferent to all else: that passes the exchange
letter by letter, whatever it is.
"""

from __future__ import annotations

from typing import Any

from ivr_sim.sip.message import BadMessage, Response, bad_request_reply, parse, response_to
from ivr_sim.sip.states import SessionState

BASE = {
    "Via": b"SIP/2.0/UDP 192.0.2.77:5060;branch=z9hG4bK-%d",
    "Max-Forwards": b"70",
    "From": b'"Ana" <sip:ana@far.example>;tag=f',
    "To": b"<sip:5000@example.com>",
    "Call-ID": b"family-%d@far.example",
    "CSeq": b"1 OPTIONS",
    "Contact": b"<sip:ana@192.0.2.77>",
}


COMPACT = {"v": "Via", "f": "From", "i": "Call-ID"}
TWICE = b" (twice)"  # behind a line: beside the one that is there anyway
URI = b"sip:5000@example.com"
END = b"\r\nContent-Length: 0\r\n\r\n"


def options(
    number: int, line: bytes = b"", *, uri: bytes = b"sip:5000@example.com", end: bytes = END
) -> bytes:
    """An OPTIONS; a line of a header that it has anyway replaces that one."""
    head = {name: b"%s: %s" % (name.encode(), value) for name, value in BASE.items()}
    if line:
        name = line.partition(b":")[0].strip().decode()
        name = COMPACT.get(name, name)
        head[name if not line.endswith(TWICE) else "another"] = line.removesuffix(TWICE)
    text = b"\r\n".join([b"OPTIONS %s SIP/2.0" % uri, *head.values()]) + end
    for mark in (b"z9hG4bK-%d", b"family-%d"):
        text = text.replace(mark, mark % number)
    return text


# Headers of RFC 3261 section 20 and of its extensions that nobody here needs for OPTIONS.
INDIFFERENT = (
    "Accept", "Accept-Encoding", "Accept-Language", "Alert-Info", "Allow", "Authentication-Info", "Call-Info",
    "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Date", "Error-Info",
    "Event", "Expires", "Geolocation", "History-Info", "In-Reply-To", "MIME-Version", "Min-Expires",
    "Min-SE", "Organization", "P-Access-Network-Info", "P-Asserted-Identity", "P-Charging-Vector",
    "P-Preferred-Identity", "Path", "Priority", "Privacy", "RAck", "RSeq", "Reason", "Refer-To",
    "Referred-By", "Replaces", "Reply-To", "Retry-After", "Server", "Service-Route", "Session-Expires",
    "Subject", "Supported", "Timestamp", "Unsupported", "User-Agent", "WWW-Authenticate", "Warning",
    "X-Anything", "a", "b", "e", "k", "o", "r", "s", "u", "x", "y",
)  # fmt: skip
STRANGE = (
    b"", b";;,,;;,;", b'"open', b"<sip:", b"caf\xe9", "электросвязь".encode(), b"9" * 200, b"-1", b"(a (b) c",
    b'"a\\"b\\\\"', b"\0\x07", b"x" * 900, b"a, b,c ,\td", b"text/plain;charset=\"\xff\"", b"1\r\n 2\r\n\t3",
)  # fmt: skip


def test_what_nobody_needs_passes_as_it_came(new_house: Any, unharmed: Any) -> None:
    house = new_house()
    with unharmed():
        for number, value in enumerate(STRANGE):
            lines = [b"%s: %s" % (header.encode(), value) for header in INDIFFERENT]
            begin = len(house.net.sent)
            answer = house.final(options(number, b"X: y\r\n" + b"\r\n".join(lines)), house.hub, seconds=0.02)
            assert (answer and answer.status) == 200, value
            passed = [data for _, _, to, data in house.net.sent[begin:] if to == house.phone]
            for line in lines:
                unfolded = line.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").rstrip(b" ")
                assert unfolded in passed[0], line
        house.good_call()


GOOD = {
    "From without a tag": b"From: <sip:ana@far.example>",
    "a display name in Latin-1": b'From: "Jos\xe9" <sip:a@h>;tag=1',
    "a display name in UTF-8": 'From: "José" <sip:a@h>;tag=1'.encode(),
    "a display name in UTF-8 without quotes": "From: José <sip:a@h>;tag=1".encode(),
    "a display name of more than tokens": b"From: Ana @ home (2nd/left) [x] #1: a&b={c} <sip:a@h>;tag=1",
    "a display name of nothing": b'From: "" <sip:a@h>;tag=1',
    "quoted brackets, commas, semicolons": b'From: "<sip:x@y>;tag=2, \\"" <sip:a@h>;tag=1',
    "no space before the bracket": b"From: Ana<sip:a@h>;tag=1",
    "a folded From": b"From:\r\n Ana\r\n\t<sip:a@h>\r\n ;tag\r\n =\r\n 1",
    "a compact From": b"f:sip:a@h;tag=1",
    "a password": b"From: <sip:a:b%40c@h>;tag=1",
    "a tel: address": b"From: <tel:+525512345678;phone-context=x>;tag=1",
    "an address of another scheme": b"From: <urn:service:sos>;tag=1",
    "IPv6": b"From: <sip:a@[2001:db8::1]:5070;transport=udp>;tag=1",
    "escapes": b"From: <sip:%61%6e%61%20@h>;tag=1",
    "a parameter in quotes": b'From: <sip:a@h>;x="a;b,<c>";tag=1',
    "one Via line for three": b"Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKq , SIP/2.0/TCP h,SIP/2.0/X h;x",
    "a folded Via": b"Via: SIP / 2.0 / UDP\r\n 192.0.2.77 : 5060 ;\r\n branch = z9hG4bKqq",
    "a compact Via": b"v:SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKqqq",
    "a Via from IPv6": b"Via: SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKqqqq",
    "a Via of lower case": b"Via: sip/2.0/udp 192.0.2.77;BRANCH=z9hG4bKq5",
    "an empty Via beside another": b"Via: (twice)",
    "an empty rport": b"Via: SIP/2.0/UDP 10.0.0.1:9;rport;branch=z9hG4bKq6",
    "a quoted parameter of Via": b'Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKq7;x="a, b"',
    "leading zeros": b"CSeq: 000000000000000001 OPTIONS",
    "a folded CSeq": b"CSeq: 1\r\n OPTIONS",
    "the largest number": b"CSeq: 2147483647 OPTIONS",
    "Max-Forwards with zeros": b"Max-Forwards: 00000070",
    "any Call-ID": b"Call-ID: ][}{?\"/\\:<>()`'~*+_.!%-",
    "a compact Call-ID": b"i:x",
    "several Contacts": b'Contact: "a, b" <sip:a@h>, sip:b@h;q=0.5,<sip:c@h;lr>;expires=1',
    "an empty Contact": b"Contact:",
    "an instance in a Contact": b'Contact: <sip:a@h;ob>;+sip.instance="<urn:uuid:0-0>";reg-id=1',
    "a Contact that no call could go to": b"Contact: <mailto:a@h>",
    "a length in zeros": b"Content-Length: 0000\r\nX: y",
    "Record-Routes by the dozen": b"Record-Route: " + b", ".join([b"<sip:p%d;lr>" % n for n in range(60)]),
}
BAD = {
    "no From": b"From: ",
    "an empty From tag": b"From: <sip:a@h>;tag=",
    "a From tag of nothing": b"From: <sip:a@h>;tag",
    "an empty To tag": b"To: <sip:5000@example.com>;tag=",
    "a backslash in a bare name": b"From: A\\ <sip:a@h>;tag=1",
    "two From tags": b"From: <sip:a@h>;tag=1;tag=2",
    "From twice": b"From: <sip:b@h>;tag=2 (twice)",
    "an open bracket": b"From: <sip:a@h;tag=1",
    "a bracket too many": b"From: <sip:a@h>>;tag=1",
    "brackets in brackets": b"From: <<sip:a@h>>;tag=1",
    "text behind the bracket": b"From: <sip:a@h> x;tag=1",
    "no scheme": b"From: <a@h>;tag=1",
    "no host": b"From: <sip:a@>;tag=1",
    "no user before @": b"From: <sip:@h>;tag=1",
    "two @": b"From: <sip:a@b@h>;tag=1",
    "a host with blanks": b"From: <sip:a@h h>;tag=1",
    "a port of words": b"From: <sip:a@h:x>;tag=1",
    "a port too large": b"From: <sip:a@h:65536>;tag=1",
    "an open IPv6 address": b"From: <sip:a@[::1>;tag=1",
    "no IPv6 address": b"From: <sip:a@[x]>;tag=1",
    "a NUL in an address": b"From: <sip:a\0@h>;tag=1",
    "a comma in a name": b"From: Bell, A <sip:a@h>;tag=1",
    "an empty parameter": b"From: <sip:a@h>;;tag=1",
    "a parameter without a name": b"From: <sip:a@h>;=x;tag=1",
    "To: *": b"To: *",
    "To is a list": b"To: <sip:a@h>, <sip:b@h>",
    "To of nothing": b"To: <>",
    "no Via": b"Via:",
    "no Via by an empty list": b"Via: ,",
    "a Via of words": b"Via: hello",
    "a Via without a host": b"Via: SIP/2.0/UDP ;branch=z9hG4bKb",
    "a Via without a transport": b"Via: SIP/2.0 h;branch=z9hG4bKb",
    "a Via with a bare IPv6 address": b"Via: SIP/2.0/UDP 2001:db8::1;branch=z9hG4bKb",
    "a Via port of nothing": b"Via: SIP/2.0/UDP h:;branch=z9hG4bKb",
    "a Via with an empty element": b"Via: SIP/2.0/UDP h;branch=z9hG4bKb,,SIP/2.0/UDP i",
    "an open quote in a Via": b'Via: SIP/2.0/UDP h;branch="z9hG4bKb',
    "two branches": b"Via: SIP/2.0/UDP h;branch=z9hG4bKb;branch=z9hG4bKc",
    "no Call-ID": b"Call-ID:",
    "blanks in a Call-ID": b"Call-ID: a b",
    "Call-ID twice": b"Call-ID: x (twice)",
    "a CSeq without a method": b"CSeq: 1",
    "a CSeq without a number": b"CSeq: OPTIONS",
    "a CSeq with both glued": b"CSeq: 1OPTIONS",
    "a CSeq of another case": b"CSeq: 1 options",
    "a negative CSeq": b"CSeq: -1 OPTIONS",
    "a CSeq beyond the limit": b"CSeq: 2147483648 OPTIONS",
    "a CSeq in hexadecimal": b"CSeq: 0x1 OPTIONS",
    "a CSeq in other digits": "CSeq: ١ OPTIONS".encode(),
    "CSeq twice": b"CSeq: 1 OPTIONS (twice)",
    "Max-Forwards of nothing": b"Max-Forwards:",
    "Max-Forwards of words": b"Max-Forwards: many",
    "a negative Max-Forwards": b"Max-Forwards: -1",
    "Max-Forwards beyond the limit": b"Max-Forwards: 256",
    "Max-Forwards twice": b"Max-Forwards: 69 (twice)",
    "an open quote in a Contact": b'Contact: "Ana <sip:a@h>',
    "a Contact of words": b"Contact: here",
    "Contact: * outside of REGISTER": b"Contact: *",
    "headers in a bare Contact": b"Contact: sip:a@h?x=y",
    "a Route of words": b"Route: there",
    "a Record-Route of nothing": b"Record-Route: <>",
    "a length in words": b"Content-Length: none",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 1",
    "a length beyond the end": b"Content-Length: 1\r\nX: y",
    "a negative length": b"Content-Length: -0",
    "two types": b"Content-Type: text/plain\r\nc: application/sdp",
    "a header without a colon": b"Hello",
    "a header without a name": b": x",
    "a name with a blank": b"X Y: z",
    "a name in UTF-8": "Ñ: z".encode(),
    "a bare CR": b"X: a\rY: b",
    "a bare LF": b"X: a\nY: b",
}  # fmt: skip


def with_length(number: int, line: bytes) -> bytes:
    """The message with a line; its own length, if it says one, is the only one."""
    return options(number, line, end=b"\r\n\r\n" if b"Content-Length" in line else END)


def test_odd_but_well_formed(new_house: Any, unharmed: Any) -> None:
    house = new_house()
    with unharmed():
        for number, (name, line) in enumerate(GOOD.items()):
            data = with_length(number, line)
            message = parse(data)
            assert message is not None, name
            assert parse(message.to_bytes()) == message, name
            for at in (house.hub, house.phone):
                answer = house.final(data, at, seconds=0.01)
                assert (answer and answer.status) == 200, name
        house.good_call()


def refusal(data: bytes) -> int | None:
    """The status with which the parser refuses a message."""
    try:
        parse(data)
    except BadMessage as error:
        return error.status
    return None


def test_malformed(new_house: Any, unharmed: Any) -> None:
    house = new_house()
    with unharmed():
        for number, (name, line) in enumerate(BAD.items()):
            data = with_length(number, line)
            assert refusal(data) == 400, name
            for at in (house.hub, house.phone):
                answer = house.final(data, at, seconds=0.01)
                # Nobody is answered whose Via is missing: it could be anybody.
                assert (answer and answer.status) == 400, name
        house.good_call()


START_LINES = [
    (b"sip:5000@example.com", 200),
    (b"SIP:5000@EXAMPLE.COM", 200),
    (b"sip:%35000@example.com", 200),
    (b"sip:5000:secret@example.com", 200),
    (b"sip:5000@example.com;transport=udp;user=phone;unheard-of", 200),
    (b"sip:5000@example.com:5080", 200),
    (b"sip:5000@EXAMPLE.com:9", 403),
    (b"sip:5000@elsewhere.example", 403),
    (b"tel:5000", 416),
    (b"urn:service:sos", 416),
    (b"http://example.com/", 416),
    (b"mailto:a@h", 416),
    (b"sip:", 400),
    (b"sip:@example.com", 400),
    (b"sip:5000@", 400),
    (b"sip:50 00@example.com", 400),
    (b"sip:5000@example.com?Subject=x", 400),
    (b"sip:5000@example.com:", 400),
    (b"sip:5000@example.com:0", 400),
    (b"sip:5000@example.com;;lr", 400),
    (b"sip:5000@[::1", 400),
    (b"<sip:5000@example.com>", 400),
    (b'"5000"', 400),
    (b"5000", 400),
    (b"*", 400),
    (b"sip:5000\0@example.com", 400),
    (b"sip:5000\xff@[", 400),
    (b"sip:" + b"5" * 9000 + b"@example.com", 414),
]


def test_request_uris(new_house: Any, unharmed: Any) -> None:
    house = new_house()
    with unharmed():
        for number, (uri, status) in enumerate(START_LINES):
            answer = house.final(options(number, uri=uri), house.hub, seconds=0.02)
            assert (answer and answer.status) == status, uri[:80]
        house.good_call()


WHOLE = [
    ("no blank line", lambda data: data[:-2], 400),
    ("no line end at the end", lambda data: data[:-4], 400),
    ("bare line feeds", lambda data: data.replace(b"\r\n", b"\n"), 400),
    ("bare carriage returns", lambda data: data.replace(b"\r\n", b"\r"), 400),
    ("line breaks in front", lambda data: b"\r\n\r\n\r\n" + data, 200),
    ("zero bytes in front", lambda data: b"\0\0\0\0" + data, 200),
    ("zero bytes behind", lambda data: data + b"\0\0\0\0", 200),
    ("another message behind", lambda data: data + data, 200),
    ("a mark in front", lambda data: b"\xef\xbb\xbf" + data, None),
    ("a blank in front", lambda data: b" " + data, None),
    ("cut in the first line", lambda data: data[:20], None),
    ("cut in the Via", lambda data: data[:60], 400),
    ("too many headers", lambda data: data.replace(b"Max", b"X: y\r\n" * 300 + b"Max", 1), 513),
    ("too long a header", lambda data: data.replace(b"Max", b"X: " + b"y" * 9000 + b"\r\nMax", 1), 513),
    ("64 Vias", lambda data: data.replace(b"Max", b"Via: SIP/2.0/UDP h;branch=x\r\n" * 64 + b"Max"), 200),
    ("a fold for the first header", lambda data: data.replace(b"\r\nVia", b"\r\n Via", 1), None),
    ("a fold of nothing", lambda data: data.replace(b"\r\nMax", b"\r\n \r\nMax", 1), 200),
    ("UTF-16", lambda data: data.decode().encode("utf-16"), None),
]  # fmt: skip


def test_whole_messages(new_house: Any, unharmed: Any) -> None:
    house = new_house()
    with unharmed():
        for number, (name, bend, status) in enumerate(WHOLE):
            answer = house.final(bend(options(number)), house.hub, seconds=0.02)
            assert (answer and answer.status) == status, name
        house.good_call()


def test_an_answer_with_lists_that_are_none_is_an_answer(
    net: Any, peer: Any, new_agent: Any, listener: Any, offer: bytes
) -> None:
    """A response is not thrown away for a header that nobody needs: a call would hang by it."""
    agent = new_agent("ana")
    agent.start()
    net.run(0.1)
    session = agent.dial("5000", listener())
    net.run(0.1)
    invite = peer.take("INVITE")
    headers = [(name, value) for name in ("Allow", "Supported", "Require") for value in ('"', ",,", "<")]
    contact = f"<sip:b@{peer.address[0]}:{peer.address[1]}>"
    headers += [("Contact", contact), ("Content-Type", "application/sdp")]
    peer.send(response_to(invite, 200, headers=headers, body=offer), ("127.0.0.1", agent.port))
    net.run(0.1)
    assert session.state is SessionState.ANSWERED
    assert peer.has("ACK")


def test_a_refusal_repeats_what_could_be_read() -> None:
    data = options(1, b'Contact: "open').replace(b"\r\n", b"\n")
    reply = bad_request_reply(data, BadMessage(400, "No end of headers"))
    assert reply is not None
    message = parse(reply)
    assert isinstance(message, Response)
    assert (message.status, message.call_id) == (400, "family-1@far.example")
    assert message.top_via.branch == "z9hG4bK-1"
