"""Dialogs: who is who, which way requests go, and which come too late."""

from __future__ import annotations

import pytest

from ivr_sim.sip.address import Address
from ivr_sim.sip.dialog import Dialog
from ivr_sim.sip.message import BadMessage, Request, Response, parse, response_to


def request(
    method: str = "INVITE", number: int = 7, *, to_tag: str = "", extra: tuple[str, ...] = ()
) -> Request:
    head = [
        f"{method} sip:ivr@127.0.0.1:5080 SIP/2.0",
        "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKa",
        'From: "Ana" <sip:ana@ivr.test>;tag=ana1',
        f"To: <sip:5000@ivr.test>{to_tag and ';tag=' + to_tag}",
        "Call-ID: c1",
        f"CSeq: {number} {method}",
        *extra,
        "Content-Length: 0",
    ]
    parsed = parse("\r\n".join([*head, "", ""]).encode())
    assert isinstance(parsed, Request)
    return parsed


CONTACT = 'Contact: <sip:ana-0x55@127.0.0.1:5070;transport=udp>;expires=299;+sip.instance="<urn:uuid:1>"'
ROUTES = (
    "Record-Route: <sip:127.0.0.1:5061;lr>, <sip:127.0.0.1:5062;lr>",
    "Record-Route: <sip:10.0.0.1;lr=on>",
)


def called(*extra: str) -> Dialog:
    return Dialog.called(request(extra=(CONTACT, *extra)), local_tag="us1")


def answered(invite: Request, *headers: tuple[str, str]) -> Response:
    return response_to(invite, 200, to_tag="them1", headers=headers)


def test_a_request_of_the_called_side() -> None:
    bye = called(*ROUTES).request("BYE")
    assert bye.to_bytes() == (
        b"BYE sip:ana-0x55@127.0.0.1:5070;transport=udp SIP/2.0\r\n"
        b"Route: <sip:127.0.0.1:5061;lr>\r\n"
        b"Route: <sip:127.0.0.1:5062;lr>\r\n"
        b"Route: <sip:10.0.0.1;lr=on>\r\n"
        b"From: <sip:5000@ivr.test>;tag=us1\r\n"
        b'To: "Ana" <sip:ana@ivr.test>;tag=ana1\r\n'
        b"Call-ID: c1\r\n"
        b"CSeq: 1 BYE\r\n"
        b"Max-Forwards: 70\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_requests_and_acks_of_the_calling_side() -> None:
    invite = request(extra=ROUTES)
    dialog = Dialog.calling(invite, answered(invite, ("Contact", "<sip:ivr@10.0.0.9:5080>")))
    assert dialog.owns(request_from_callee("BYE"))
    ack = dialog.ack(7)
    assert (ack.method, ack.uri, ack.cseq) == ("ACK", "sip:ivr@10.0.0.9:5080", (7, "ACK"))
    assert ack.to.tag == "them1"
    assert ack.from_.tag == "ana1"
    # The caller's routes stand in the reverse order of the Record-Routes.
    assert ack.headers.get_all("Route") == [
        "<sip:10.0.0.1;lr=on>",
        "<sip:127.0.0.1:5062;lr>",
        "<sip:127.0.0.1:5061;lr>",
    ]
    assert dialog.next_hop == Address("10.0.0.1", 5060)
    info = dialog.request("INFO", headers=(("Content-Type", "application/dtmf"),), body=b"5")
    assert info.cseq == (8, "INFO")
    assert info.body == b"5"
    assert dialog.request("BYE").cseq == (9, "BYE")


def request_from_callee(method: str) -> Request:
    made = request(method, 1)
    made.headers.set("From", "<sip:5000@ivr.test>;tag=them1")
    made.headers.set("To", '"Ana" <sip:ana@ivr.test>;tag=ana1')
    return made


def test_without_routes_requests_go_to_the_contact() -> None:
    dialog = called()
    assert dialog.next_hop == Address("127.0.0.1", 5070)
    assert dialog.request("BYE").headers.get_all("Route") == []


def test_a_strict_router_gets_itself_as_the_request_uri() -> None:
    """RFC 3261 section 12.2.1.1: the remote target moves to the end of the routes."""
    dialog = called("Record-Route: <sip:10.0.0.1>, <sip:10.0.0.2;lr>")
    bye = dialog.request("BYE")
    assert bye.uri == "sip:10.0.0.1"
    assert bye.headers.get_all("Route") == [
        "<sip:10.0.0.2;lr>",
        "<sip:ana-0x55@127.0.0.1:5070;transport=udp>",
    ]
    assert dialog.next_hop == Address("10.0.0.1", 5060)


def test_a_dialog_owns_what_has_its_call_id_and_both_tags() -> None:
    dialog = called()
    assert dialog.owns(request("BYE", 8, to_tag="us1"))
    assert not dialog.owns(request("BYE", 8, to_tag="us2"))
    assert not dialog.owns(request("BYE", 8))
    other = request("BYE", 8, to_tag="us1")
    other.headers.set("From", "<sip:ana@ivr.test>;tag=ana2")
    assert not dialog.owns(other)


def test_numbers_never_fall() -> None:
    dialog = called()
    assert [dialog.admit(request("INFO", n, to_tag="us1")) for n in (9, 9, 8, 12, 11)] == [
        True,
        True,
        False,
        True,
        False,
    ]


def test_a_re_invite_moves_the_remote_target_and_nothing_else_does() -> None:
    dialog = called(*ROUTES)
    routes = dialog.route_set
    dialog.admit(request("INVITE", 8, to_tag="us1", extra=("Contact: <sip:ana@127.0.0.9>",)))
    assert dialog.remote_target == "sip:ana@127.0.0.9"
    dialog.admit(request("INFO", 9, to_tag="us1", extra=("Contact: <sip:ana@127.0.0.10>",)))
    dialog.admit(request("INVITE", 7, to_tag="us1", extra=("Contact: <sip:ana@127.0.0.11>",)))
    dialog.admit(request("INVITE", 10, to_tag="us1", extra=("Contact: tel:555",)))
    assert dialog.remote_target == "sip:ana@127.0.0.9"
    assert dialog.route_set == routes


@pytest.mark.parametrize(
    "extra",
    [
        (),
        ("Contact: *",),
        ("Contact: <tel:+525555>",),
        ("Contact: <sip:a@h>, <sip:b@h>",),
        (CONTACT, "Record-Route: <tel:1>"),
        (CONTACT, "Record-Route: <sip:>"),
    ],
)
def test_an_invite_that_nothing_can_be_sent_back_to(extra: tuple[str, ...]) -> None:
    with pytest.raises(BadMessage):
        Dialog.called(request(extra=extra), local_tag="us1")


def test_a_response_without_contact_leaves_the_uri_that_was_called() -> None:
    invite = request()
    assert Dialog.calling(invite, answered(invite)).remote_target == invite.uri
