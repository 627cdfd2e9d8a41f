"""Offers and answers: what clients really send, and what nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.sip import sdp

ORIGIN = 77


def description(*lines: str, host: str | None = "192.0.2.7") -> sdp.Description:
    head = ["v=0", "o=alice 1 1 IN IP4 192.0.2.7", "s=-"]
    if host is not None:
        head.append(f"c=IN IP4 {host}")
    return sdp.parse("\r\n".join([*head, "t=0 0", *lines, ""]).encode())


def reply(offered: sdp.Description, origin: sdp.Origin | None = None) -> tuple[list[str], sdp.Agreed]:
    made = sdp.answer(offered, host="127.0.0.1", port=16384, origin=origin or sdp.Origin(ORIGIN))
    return made.body.decode().split("\r\n"), made.media


def test_an_answer_in_full() -> None:
    lines, agreed = reply(
        description("m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=sendrecv")
    )
    assert lines == [
        "v=0",
        "o=- 77 1 IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        "m=audio 16384 RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]
    assert agreed == sdp.Agreed(8, ("192.0.2.7", 4000), 101, sending=True, receiving=True)
    assert agreed.codec_name == "PCMA"


# What the offers of the clients we met look like, cut down to what decides: (lines, m= of the answer,
# payload type of telephone-events).
OFFERS = {
    "pyVoIP": (
        ["m=audio 4000 RTP/AVP 0 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000"],
        "m=audio 16384 RTP/AVP 0 101",
        101,
    ),
    "linphone: events at 96, opus and speex first": (
        [
            "m=audio 7078 RTP/AVP 97 98 0 8 96",
            "a=rtpmap:97 opus/48000/2",
            "a=fmtp:97 useinbandfec=1",
            "a=rtpmap:98 speex/16000",
            "a=rtpmap:96 telephone-event/8000",
            "a=rtcp-fb:* trr-int 1000",
        ],
        "m=audio 16384 RTP/AVP 0 96",
        96,
    ),
    "pjsua2: events at 120, another at 121 on 48 kHz": (
        [
            "m=audio 4000 RTP/AVP 96 8 0 121 120",
            "a=rtpmap:96 opus/48000/2",
            "a=rtpmap:121 telephone-event/48000",
            "a=rtpmap:120 telephone-event/8000",
        ],
        "m=audio 16384 RTP/AVP 8 120",
        120,
    ),
    "SIPp: an rtpmap for a payload that is not listed": (
        ["m=audio 6000 RTP/AVP 8 101", "a=rtpmap:0 PCMU/8000", "a=rtpmap:101 telephone-event/8000"],
        "m=audio 16384 RTP/AVP 8 101",
        101,
    ),
    "no telephone-event": (["m=audio 6000 RTP/AVP 0"], "m=audio 16384 RTP/AVP 0", None),
    "an rtpmap without a clock (RFC 4475 section 3.3.15)": (
        ["m=audio 6000 RTP/AVP 31 0", "a=rtpmap:31 LPC"],
        "m=audio 16384 RTP/AVP 0",
        None,
    ),
    "feedback profile": (["m=audio 6000 RTP/AVPF 8"], "m=audio 16384 RTP/AVPF 8", None),
    "an rtpmap that lies about 0": (
        ["m=audio 6000 RTP/AVP 0 8", "a=rtpmap:0 opus/48000"],
        "m=audio 16384 RTP/AVP 8",
        None,
    ),
    "fmtp with equals signs, a crypto line with colons": (
        ["m=audio 6000 RTP/AVP 0", "a=fmtp:0 a=b;c=d", "a=crypto:1 X inline:abc==|2^20|1:4"],
        "m=audio 16384 RTP/AVP 0",
        None,
    ),
}


@pytest.mark.parametrize(("lines", "expected", "event"), OFFERS.values(), ids=OFFERS)
def test_offers_of_clients(lines: list[str], expected: str, event: int | None) -> None:
    answered, agreed = reply(description(*lines))
    assert [line for line in answered if line.startswith("m=")] == [expected]
    assert agreed.event_payload_type == event


def test_one_m_line_for_each_offered_and_only_the_first_audio_is_taken() -> None:
    answered, agreed = reply(
        description(
            "m=video 5000 RTP/AVP 31 34",
            "a=inactive",
            "m=audio 0 RTP/AVP 0",
            "m=audio 5004 RTP/SAVP 0",
            "m=audio 5006 RTP/AVP 8",
            "m=audio 5008 RTP/AVP 0",
            "m=application 5010 UDP/BFCP *",
        )
    )
    assert [line for line in answered if line.startswith("m=")] == [
        "m=video 0 RTP/AVP 31 34",
        "m=audio 0 RTP/AVP 0",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 16384 RTP/AVP 8",
        "m=audio 0 RTP/AVP 0",
        "m=application 0 UDP/BFCP *",
    ]
    assert agreed.remote == ("192.0.2.7", 5006)
    directions = [line for line in answered if line in ("a=sendrecv", "a=inactive")]
    assert directions == ["a=sendrecv"]  # nothing of the video's direction got into the audio's


def test_a_c_line_of_the_media_wins_over_the_session_s() -> None:
    _, agreed = reply(description("m=audio 4000 RTP/AVP 0", "c=IN IP4 192.0.2.99", host="192.0.2.7"))
    assert agreed.remote == ("192.0.2.99", 4000)
    _, agreed = reply(description("m=audio 4000 RTP/AVP 0", "c=IN IP4 192.0.2.99", host=None))
    assert agreed.remote == ("192.0.2.99", 4000)


@pytest.mark.parametrize(
    ("level", "offered", "host", "answered", "sending", "receiving"),
    [
        ("none", "", "192.0.2.7", "sendrecv", True, True),
        *(
            (level, offered, "192.0.2.7", answered, sending, receiving)
            for level in ("session", "media")
            for offered, answered, sending, receiving in [
                ("sendrecv", "sendrecv", True, True),
                ("sendonly", "recvonly", False, True),
                ("recvonly", "sendonly", True, False),
                ("inactive", "inactive", False, False),
            ]
        ),
        ("media", "sendrecv", "0.0.0.0", "recvonly", False, True),  # noqa: S104
        ("media", "recvonly", "0.0.0.0", "inactive", False, False),  # noqa: S104
        ("media", "inactive", "0.0.0.0", "inactive", False, False),  # noqa: S104
    ],
)
def test_directions_are_mirrored(
    level: str, offered: str, host: str, answered: str, sending: bool, receiving: bool
) -> None:
    session = [f"a={offered}"] if level == "session" else []
    media = [f"a={offered}"] if level == "media" else []
    lines, agreed = reply(description(*session, "m=audio 4000 RTP/AVP 0", *media, host=host))
    assert lines[-2] == f"a={answered}"
    assert (agreed.sending, agreed.receiving) == (sending, receiving)


def test_the_direction_of_the_media_wins_over_the_session_s() -> None:
    lines, _ = reply(description("a=inactive", "m=audio 4000 RTP/AVP 0", "a=sendonly"))
    assert lines[-2] == "a=recvonly"


def test_the_session_id_stays_and_the_version_counts_changes() -> None:
    origin = sdp.Origin(ORIGIN)
    talk = description("m=audio 4000 RTP/AVP 0")
    hold = description("m=audio 4000 RTP/AVP 0", "a=sendonly")
    versions = [reply(offered, origin)[0][1] for offered in (talk, talk, hold, hold, talk)]
    assert versions == [f"o=- 77 {n} IN IP4 127.0.0.1" for n in (1, 1, 2, 2, 3)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "no m= line"),
        (["m=audio 4000 RTP/AVP 96 9", "a=rtpmap:96 opus/48000/2"], "offered opus, payload type 9"),
        (["m=audio 4000 RTP/AVP"], "offered nothing"),
        (["m=audio 0 RTP/AVP 0"], "port 0"),
        (["m=audio 4000 RTP/SAVP 0"], "not plain RTP"),
        (["m=audio 4000 UDP/TLS/RTP/SAVPF 0"], "not plain RTP"),
        (["m=image 4000 udptl t38"], "image is not audio"),
        (["m=audio 4000 RTP/AVP 0", "c=IN IP4 media.example.com"], "not an IPv4 address"),
        (["m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:db8::1"], "not an IPv4 address"),
        (["m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"], "not the address of one host"),
        (["m=audio 4000 RTP/AVP 0", "c=IN IP4 255.255.255.255"], "not the address of one host"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(lines: list[str], reason: str) -> None:
    with pytest.raises(sdp.NotAcceptable, match=reason) as caught:
        reply(description(*lines))
    assert caught.value.status == 488


# What browsers' gateways, video phones and fax gateways add to an offer, and what is none of our business.
NOISE = {
    "bandwidth, ICE, feedback, bundles": [
        "b=AS:64", "b=TIAS:64000", "a=group:BUNDLE 0", "a=ice-ufrag:x", "a=ice-pwd:y",
        "m=audio 4000 RTP/AVPF 0 101", "b=RR:0", "a=rtcp-mux", "a=rtcp:4001 IN IP4 192.0.2.7", "a=mid:0",
        "a=rtcp-fb:* nack", "a=candidate:1 1 UDP 2130706431 10.0.0.1 4000 typ host", "a=ssrc:1 cname:x",
        "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-16", "a=end-of-candidates",
    ],
    "packet times": ["m=audio 4000 RTP/AVP 0 101", "a=ptime:60", "a=maxptime:150", "a=minptime:10",
                     "a=rtpmap:101 telephone-event/8000/1", "a=fmtp:101 0-11,16", "a=ptime:", "a=maxptime:x"],
    "rtpmaps that are none": ["m=audio 4000 RTP/AVP 0 101", "a=rtpmap:", "a=rtpmap:x", "a=rtpmap:999 x/1",
                              "a=rtpmap:101 TELEPHONE-EVENT/8000", "a=", "a=:"],
}  # fmt: skip


@pytest.mark.parametrize("lines", NOISE.values(), ids=NOISE)
def test_what_is_none_of_our_business_changes_nothing(lines: list[str]) -> None:
    answered, agreed = reply(description(*lines))
    profile = "RTP/AVPF" if "RTP/AVPF" in " ".join(lines) else "RTP/AVP"
    assert answered[5:] == [
        f"m=audio 16384 {profile} 0 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]
    assert (agreed.payload_type, agreed.event_payload_type) == (0, 101)


@pytest.mark.parametrize("hold", [False, True])
def test_ipv6(hold: bool) -> None:
    offered = description("m=audio 4000 RTP/AVP 0", f"c=IN IP6 {'::' if hold else '2001:DB8::7'}")
    made = sdp.answer(offered, host="2001:db8::1", port=16384, origin=sdp.Origin(1))
    assert b"o=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\n" in made.body
    assert made.media.remote == ("::" if hold else "2001:db8::7", 4000)
    assert made.media.sending is not hold
    assert sdp.media_host(offered) == (None if hold else "2001:DB8::7")
    with pytest.raises(sdp.NotAcceptable, match="not an IPv4 address") as caught:
        sdp.answer(offered, host="127.0.0.1", port=16384, origin=sdp.Origin(1))
    assert caught.value.warning == 301
    again = sdp.offer(host="2001:db8::1", port=16384, origin=sdp.Origin(1))
    with pytest.raises(sdp.NotAcceptable, match="not an IPv6 address"):
        sdp.accept(description("m=audio 4000 RTP/AVP 0"), host="2001:db8::1")
    assert b"IP4" not in again


def test_without_any_c_line_there_is_nowhere_to_send() -> None:
    with pytest.raises(sdp.NotAcceptable, match="no c= line"):
        reply(description("m=audio 4000 RTP/AVP 0", host=None))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "begins with 'v=0'"),
        (b"hello", "begins with 'v=0'"),
        (b"v=1\r\n", "begins with 'v=0'"),
        (b"v=0\r\ns=-\r\n", "no o= line"),
        (b"v=0\r\no=x\r\nm=audio\r\n", "not an m= line"),
        (b"v=0\r\no=x\r\nm=audio 65536 RTP/AVP 0\r\n", "not an m= line"),
        (b"v=0\r\no=x\r\nm=audio -1 RTP/AVP 0\r\n", "not an m= line"),
        (b"v=0\r\no=x\r\nc=IN IP4\r\n", "not a c= line"),
        (b"v=0\r\no=x\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 17, "more than 16"),
        (b"v=0\r\no=x\r\nm=audio 1 RTP/AVP" + b" 0" * 65, "more than 64"),
        (b"v=0\r\n" + b"a" * sdp.MAX_BODY, "bytes"),
    ],
)
def test_what_is_no_description_is_bad(body: bytes, reason: str) -> None:
    with pytest.raises(sdp.BadDescription, match=reason) as caught:
        sdp.parse(body)
    assert caught.value.status == 400


def test_bare_line_feeds_and_stray_lines_do_no_harm() -> None:
    parsed = sdp.parse(
        b"v=0\no=x 1 1 IN IP4 h\n\nnonsense\nxyz=1\nc=IN IP4 192.0.2.7\nm=audio 4000/2 RTP/AVP 0\n"
    )
    assert parsed.media == (sdp.Media("audio", 4000, "RTP/AVP", ("0",)),)
    assert parsed.host == "192.0.2.7"


def test_an_offer_of_ours_and_the_answers_to_it() -> None:
    made = sdp.offer(host="127.0.0.1", port=16400, origin=sdp.Origin(ORIGIN))
    read = sdp.parse(made)
    assert read.media[0].formats == ("0", "8", "101")
    assert read.media[0].ptime == 20
    answered = sdp.answer(read, host="127.0.0.2", port=16500, origin=sdp.Origin(1))
    assert sdp.accept(sdp.parse(answered.body), host="127.0.0.1") == sdp.Agreed(
        0, ("127.0.0.2", 16500), 101, sending=True, receiving=True
    )


def test_answers_that_move_or_drop_telephone_events() -> None:
    # The number in the answer is where the peer wants them (RFC 3264 section 6.1).
    moved = description("m=audio 4000 RTP/AVP 8 97", "a=rtpmap:97 telephone-event/8000")
    assert sdp.accept(moved, host="127.0.0.1").event_payload_type == 97
    assert sdp.accept(description("m=audio 4000 RTP/AVP 8 101"), host="127.0.0.1").event_payload_type == 101
    assert sdp.accept(description("m=audio 4000 RTP/AVP 8"), host="127.0.0.1").event_payload_type is None


@pytest.mark.parametrize(
    "lines", [[], ["m=audio 0 RTP/AVP 0"], ["m=audio 4000 RTP/AVP 9"], ["m=video 1 RTP/AVP 31"]]
)
def test_answers_that_leave_nothing_to_talk_with(lines: list[str]) -> None:
    with pytest.raises(sdp.NotAcceptable):
        sdp.accept(description(*lines), host="127.0.0.1")


_words = st.sampled_from(
    ["audio", "video", "0", "8", "96", "101", "4000", "65535", "RTP/AVP", "RTP/SAVP", "IN", "IP4"]
) | st.sampled_from(
    ["127.0.0.1", "rtpmap:96", "telephone-event/8000", "PCMU/8000/1", "sendonly", "ptime:20", "rtpmap:", ":"]
)
_lines = st.builds(
    lambda kind, words: f"{kind}={' '.join(words)}", st.sampled_from("vosctma"), st.lists(_words, max_size=6)
)


@given(
    st.one_of(st.binary(max_size=300), st.lists(_lines, max_size=12).map(lambda x: "\r\n".join(x).encode()))
)
@settings(deadline=None, max_examples=300)
def test_garbage_is_bad_or_read_but_never_anything_else(tail: bytes) -> None:
    try:
        parsed = sdp.parse(b"v=0\r\no=x\r\n" + tail)
        made = sdp.answer(parsed, host="127.0.0.1", port=16384, origin=sdp.Origin(1))
    except (sdp.BadDescription, sdp.NotAcceptable):
        return
    again = sdp.parse(made.body)
    assert len(again.media) == len(parsed.media)
    assert [m.port for m in again.media if m.port] == [16384]
    assert made.media.payload_type in (0, 8)


@given(
    st.permutations(["0", "8", "9", "18", "96"]),
    st.integers(96, 127),
    st.integers(1, 65535),
    st.sampled_from(["sendrecv", "sendonly", "recvonly", "inactive"]),
)
@settings(deadline=None)
def test_both_sides_agree_whatever_was_offered(
    order: list[str], event: int, port: int, direction: str
) -> None:
    offered = description(
        f"m=audio {port} RTP/AVP {' '.join(x for x in order if x != str(event))} {event}",
        f"a=rtpmap:{event} telephone-event/8000",
        f"a={direction}",
    )
    made = sdp.answer(offered, host="127.0.0.1", port=16384, origin=sdp.Origin(1))
    theirs = sdp.accept(sdp.parse(made.body), host="127.0.0.1")
    assert made.media.payload_type == theirs.payload_type == min((0, 8), key=lambda n: order.index(str(n)))
    assert made.media.event_payload_type == theirs.event_payload_type == event
    assert (made.media.sending, made.media.receiving) == (theirs.receiving, theirs.sending)
