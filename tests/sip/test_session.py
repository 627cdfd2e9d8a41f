"""What happens inside of an answered call, against a scripted peer, in memory."""

from __future__ import annotations

from typing import Any

import pytest

from ivr_sim.sip import sdp
from ivr_sim.sip.memory import MemoryReactor
from ivr_sim.sip.user_agent import Ended, SessionState, UserAgent

OFFER_PCMU = (
    b"v=0\r\no=them 5 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
)


@pytest.mark.parametrize(
    ("line", "host", "answered"),
    [
        ("a=sendonly", "127.0.0.1", "recvonly"),
        ("a=inactive", "127.0.0.1", "inactive"),
        ("", "0.0.0.0", "recvonly"),  # noqa: S104
    ],
)
def test_hold_and_resume(
    net: MemoryReactor,
    peer: Any,
    agent: UserAgent,
    offer: bytes,
    listener: Any,
    line: str,
    host: str,
    answered: str,
    in_dialog: Any,
    talk: Any,
) -> None:
    session, tag = talk(offer, listener())
    first = sdp.parse(offer)
    assert first.host == "127.0.0.1"
    held = offer.replace(b"c=IN IP4 127.0.0.1", f"c=IN IP4 {host}".encode()) + f"{line}\r\n".encode()
    origins = []
    for number, body, direction in ((2, held, answered), (3, offer, "sendrecv")):
        in_dialog("INVITE", tag, number=number, body=body)
        ok = peer.take(200)
        assert ok.to.tag == tag
        described = sdp.parse(ok.body)
        assert described.media[0].direction == direction
        origins.append(described.origin.split())
        in_dialog("ACK", tag, number=number)
        before = session.stream.stats.sent
        net.run(0.5)
        sent = session.stream.stats.sent - before
        assert session.on_hold is (number == 2)
        assert sent == 0 if number == 2 else sent >= 24
    assert origins[0][1] == origins[1][1]
    assert [int(o[2]) for o in origins] == [2, 3]
    assert len(agent.calls) == 1  # type: ignore[attr-defined]


def test_a_re_invite_may_change_the_codec_and_drop_events(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, talk: Any
) -> None:
    session, tag = talk(offer, listener())
    in_dialog("INVITE", tag, number=2, body=OFFER_PCMU)
    in_dialog("ACK", tag, number=2)
    assert (session.codec, session.key_methods) == ("PCMU", ("info", "inband"))
    assert session.stream.codec is not None
    assert session.stream.codec.name == "PCMU"


def test_a_re_invite_that_does_not_fit_leaves_the_call_as_it_was(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, talk: Any
) -> None:
    session, tag = talk(offer, listener())
    in_dialog("INVITE", tag, number=2, body=OFFER_PCMU.replace(b"AVP 0", b"AVP 9"))
    assert peer.take(488).cseq == (2, "INVITE")
    assert (session.state, session.codec) == (SessionState.ANSWERED, "PCMA")


def test_a_re_invite_without_an_offer(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, talk: Any
) -> None:
    session, tag = talk(offer, listener())
    in_dialog("INVITE", tag, number=2)
    assert sdp.parse(peer.take(200).body).media[0].formats == ("8", "0", "101")
    in_dialog("INVITE", tag, number=3, body=OFFER_PCMU)
    assert peer.take(491).cseq == (3, "INVITE")
    in_dialog("ACK", tag, number=2, body=OFFER_PCMU)
    assert session.codec == "PCMU"


def test_keys_by_info_in_both_types_each_once(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, talk: Any
) -> None:
    ear = listener()
    _, tag = talk(offer, ear)
    relay, plain = "Content-Type: application/dtmf-relay", "Content-Type: application/dtmf"
    for number, kind, body in (
        (2, relay, b"Signal=5\r\nDuration=200\r\n"),
        (3, relay, b"Signal= *\r\nDuration= 160"),
        (4, plain, b"7"),
        (4, plain, b"7"),  # the same by another branch
        (5, plain, b"11"),
        (6, relay + " ; x=y", b"Signal=d"),
        (7, relay, b"Signal=16\r\n"),  # a flash is no key
        (8, relay, b""),
        (3, plain, b"9"),  # too late: the dialog is at 8
    ):
        in_dialog("INFO", tag, kind, number=number, body=body)
        net.run(0.5)
        status = 500 if (number, body) == (3, b"9") else 200
        assert peer.take(status).cseq == (number, "INFO")
    assert ear.keys == [
        ("5", "info", 200),
        ("*", "info", 160),
        ("7", "info", 160),
        ("#", "info", 160),
        ("D", "info", 160),
    ]
    assert ear.downs == ["5", "*", "7", "#", "D"]


def test_info_of_another_type_is_refused_with_what_we_take(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, talk: Any
) -> None:
    _, tag = talk(offer, listener())
    in_dialog("INFO", tag, "Content-Type: application/media_control+xml", number=2, body=b"<x/>")
    assert peer.take(415).headers.get_all("Accept") == ["application/dtmf-relay", "application/dtmf"]


def test_bye_crosses_bye_and_late_invites_make_no_ghost(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, in_dialog: Any, talk: Any
) -> None:
    session, tag = talk(offer, listener())
    session.hang_up()
    in_dialog("BYE", tag, number=2)
    assert peer.take(200).cseq == (2, "BYE")
    in_dialog("INVITE", tag, number=3, body=offer)
    assert peer.take(481).cseq == (3, "INVITE")
    assert len(agent.calls) == 1  # type: ignore[attr-defined]
    net.run(40)
    peer.inbox.clear()
    in_dialog("BYE", tag, number=4)
    assert peer.take(481).cseq == (4, "BYE")


def test_bye_while_it_rings(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, in_dialog: Any, outcome: Any
) -> None:
    peer.request("INVITE", ("127.0.0.1", agent.port), body=offer)
    net.run(0.1)
    tag = peer.take(180).to.tag
    session = agent.calls[0]  # type: ignore[attr-defined]
    in_dialog("INVITE", tag, number=2, body=offer)
    assert peer.take(500).headers.get("Retry-After")
    in_dialog("INFO", tag, number=3)
    assert peer.take(200).cseq == (3, "INFO")
    in_dialog("BYE", tag, number=4)
    assert peer.take(200).cseq == (4, "BYE")
    assert peer.take(487).cseq == (1, "INVITE")
    assert outcome(session.ended) == [Ended("remote", 487, "hung up while ringing")]


def test_a_listener_that_raises_ends_its_call(
    net: MemoryReactor, peer: Any, agent: UserAgent, offer: bytes, listener: Any, outcome: Any, talk: Any
) -> None:
    class Failing(listener):  # type: ignore[misc]
        def tick(self, heard: Any) -> Any:
            raise RuntimeError("dialogue")

    session, _ = talk(offer, Failing())
    net.run(0.1)
    assert peer.take("BYE").call_id == "call-1"
    assert outcome(session.ended) == [Ended("local", None, "its media failed")]


def test_the_audio_may_move_and_change_its_codec_by_update(
    net: MemoryReactor, peer: Any, talk: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    session, tag = talk(offer, listener())
    moved = OFFER_PCMU.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 127.0.0.9").replace(b"40000", b"41000")
    in_dialog("UPDATE", tag, number=2, body=moved)
    answer = peer.take(200)
    assert sdp.parse(answer.body).media[0].formats == ("0",)
    assert answer.headers.get("Contact")
    assert (session.remote_media, session.codec) == (("127.0.0.9", 41000), "PCMU")
    in_dialog("UPDATE", tag, number=3, body=OFFER_PCMU.replace(b"AVP 0", b"AVP 9"))
    assert peer.take(488).headers.get("Warning")
    assert session.remote_media == ("127.0.0.9", 41000)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_new_contact_is_where_requests_go_from_then_on(
    net: MemoryReactor,
    peer: Any,
    new_peer: Any,
    talk: Any,
    in_dialog: Any,
    listener: Any,
    offer: bytes,
    method: str,
) -> None:
    session, tag = talk(offer, listener())
    elsewhere = new_peer(net, ("127.0.0.1", 5070))
    in_dialog(method, tag, "Contact: <sip:moved@127.0.0.1:5070>", number=2, body=offer, contact=False)
    in_dialog("ACK", tag, number=2)
    session.hang_up()
    net.run(0.1)
    assert elsewhere.take("BYE").uri == "sip:moved@127.0.0.1:5070"
    elsewhere.close()


def test_a_fax_in_mid_call_is_refused_and_the_call_goes_on(
    net: MemoryReactor, peer: Any, talk: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    session, tag = talk(offer, listener())
    fax = offer.replace(b"m=audio 40000 RTP/AVP 8 0 101", b"m=image 40000 udptl t38")
    in_dialog("INVITE", tag, number=2, body=fax)
    assert peer.take(488).cseq == (2, "INVITE")
    beside = offer + b"m=image 40002 udptl t38\r\n"
    in_dialog("INVITE", tag, number=3, body=beside)
    lines = [line for line in peer.take(200).body.split(b"\r\n") if line.startswith(b"m=")]
    assert lines[1] == b"m=image 0 udptl t38"
    assert session.state is SessionState.ANSWERED


def test_hold_from_the_first_offer_on(net: MemoryReactor, place: Any, listener: Any, offer: bytes) -> None:
    session = place(offer + b"a=inactive\r\n")
    session.answer(listener())
    net.run(1)
    assert (session.on_hold, session.hears, session.stream.stats.sent) == (True, False, 0)


def test_requests_out_of_order_are_refused(
    peer: Any, talk: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    session, tag = talk(offer, listener())
    in_dialog("OPTIONS", tag, number=100)
    assert peer.take(200)
    for method in ("INVITE", "UPDATE", "BYE", "INFO", "OPTIONS"):
        in_dialog(method, tag, number=99, body=b"")
        assert peer.take(500).cseq == (99, method)
        if method == "INVITE":
            peer.inbox.clear()
    assert session.state is SessionState.ANSWERED


def test_an_extension_that_is_required_in_the_dialog(
    peer: Any, talk: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    _, tag = talk(offer, listener())
    in_dialog("UPDATE", tag, "Require: precondition", number=2)
    assert peer.take(420).headers.get("Unsupported") == "precondition"


def test_the_route_is_that_of_the_call_whoever_asks_for_another(
    net: MemoryReactor, peer: Any, place: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    """Record-Routes of the INVITE hold for the dialog, those of a re-INVITE do not (section 12.2)."""
    here = "127.0.0.1:5060"
    session = place(offer, f"Record-Route: <sip:{here};lr>, <sip:10.0.0.2;lr;x=y>")
    session.answer(listener())
    net.run(0.1)
    ok = peer.take(200)
    routes = [f"<sip:{here};lr>", "<sip:10.0.0.2;lr;x=y>"]
    assert ok.headers.get_all("Record-Route") == routes
    in_dialog("ACK", ok.to.tag)
    in_dialog("INVITE", ok.to.tag, "Record-Route: <sip:10.0.0.9;lr>", number=2, body=offer)
    in_dialog("ACK", ok.to.tag, number=2)
    session.hang_up()
    net.run(0.1)
    bye = peer.take("BYE")
    assert (bye.headers.get_all("Route"), bye.uri) == (routes, f"sip:ana@{here}")


def test_a_strict_router_gets_itself_as_the_request_uri(
    net: MemoryReactor, peer: Any, place: Any, in_dialog: Any, listener: Any, offer: bytes
) -> None:
    session = place(offer, "Record-Route: <sip:127.0.0.1:5060>, <sip:10.0.0.2;lr>")
    session.answer(listener())
    net.run(0.1)
    in_dialog("ACK", peer.take(200).to.tag)
    session.hang_up()
    net.run(0.1)
    bye = peer.take("BYE")
    assert bye.uri == "sip:127.0.0.1:5060"
    assert bye.headers.get_all("Route") == ["<sip:10.0.0.2;lr>", "<sip:ana@127.0.0.1:5060>"]
