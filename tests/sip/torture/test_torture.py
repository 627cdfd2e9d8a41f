"""RFC 4475 and RFC 5118 message by message: what the standard wants of parser, exchange and phone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ivr_sim.sip.message import BadMessage, Request, Response, parse
from ivr_sim.sip.uri import NameAddr, Uri

HERE = Path(__file__).parent
DROPPED = None
TAKEN = 603  # a call that reached the application, which takes no strangers


@dataclass(frozen=True)
class Case:
    """One message of the standards.

    parser: the status with which the parser refuses it, None where it is well-formed. exchange, phone: the
    final answer of each; of a REGISTER with ``registered``, what its sender gets without and with
    credentials. domain: whose exchange it is sent to. answer: what headers of the phone's answer hold.
    """

    name: str
    section: str
    exchange: int | None
    phone: int | None
    parser: int | None = None
    domain: str = "example.com"
    registered: int | None = None
    contacts: tuple[str, ...] = ()
    answer: dict[str, str] = field(default_factory=dict)
    passed_on: bool = True  # the exchange's answer is the phone's, headers and all


ALLOW = {"Allow": "INVITE, ACK, BYE, CANCEL, OPTIONS"}
RFC4475 = [
    # 3.1.1: well-formed
    Case("wsinv", "3.1.1.1", 481, 481, domain="chair-dnrc.example.com", passed_on=False),
    Case("intmeth", "3.1.1.2", 501, 501, answer=ALLOW),
    Case("esc01", "3.1.1.3", TAKEN, TAKEN, domain="example.net"),
    Case("escnull", "3.1.1.4", 401, 405, registered=200,
         contacts=("<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>")),
    Case("esc02", "3.1.1.5", 501, 501, domain="registrar.example.com", passed_on=False),
    Case("lwsdisp", "3.1.1.6", 200, 200),
    Case("longreq", "3.1.1.7", TAKEN, TAKEN),
    Case("dblreq", "3.1.1.8", 401, 405, registered=200, contacts=("<sip:j.user@host.example.com>",)),
    Case("semiuri", "3.1.1.9", 200, 200),
    Case("transports", "3.1.1.10", 200, 200),
    Case("mpart01", "3.1.1.11", 405, 405, domain="example.org"),
    Case("unreason", "3.1.1.12", DROPPED, DROPPED),
    Case("noreason", "3.1.1.13", DROPPED, DROPPED),
    # 3.1.2: malformed
    Case("badinv01", "3.1.2.1", 400, 400, parser=400),
    Case("clerr", "3.1.2.2", 400, 400, parser=400),
    Case("ncl", "3.1.2.3", 400, 400, parser=400),
    Case("scalar02", "3.1.2.4", 400, 400, parser=400),
    Case("scalarlg", "3.1.2.5", DROPPED, DROPPED, parser=400),
    Case("quotbal", "3.1.2.6", 400, 400, parser=400),
    Case("ltgtruri", "3.1.2.7", 400, 400, parser=400),
    Case("lwsruri", "3.1.2.8", 400, 400, parser=400),
    Case("lwsstart", "3.1.2.9", 400, 400, parser=400),
    Case("trws", "3.1.2.10", 400, 400, parser=400),
    Case("escruri", "3.1.2.11", 400, 400, parser=400),
    Case("baddate", "3.1.2.12", TAKEN, TAKEN),  # nobody needs the date: "ignore" of the two that may be
    Case("regbadct", "3.1.2.13", 400, 400, parser=400),
    Case("badaspec", "3.1.2.14", 400, 400, parser=400),
    Case("baddn", "3.1.2.15", 400, 400, parser=400),
    Case("badvers", "3.1.2.16", 505, 505, parser=505),
    Case("mismatch01", "3.1.2.17", 400, 400, parser=400),
    Case("mismatch02", "3.1.2.18", 400, 400, parser=400),
    Case("bigcode", "3.1.2.19", DROPPED, DROPPED, parser=400),
    # 3.2: transactions
    Case("badbranch", "3.2.1", 200, 200),
    # 3.3: what the message asks of whoever gets it
    Case("insuf", "3.3.1", 400, 400, parser=400),
    Case("unkscm", "3.3.2", 416, 416),
    Case("novelsc", "3.3.3", 416, 416),
    Case("unksm2", "3.3.4", 400, 405),
    Case("bext01", "3.3.5", 420, 420, passed_on=False,
         answer={"Unsupported": "nothingSupportsThis, nothingSupportsThisEither"}),
    Case("invut", "3.3.6", 415, 415, answer={"Accept": "application/sdp"}),
    Case("regaut01", "3.3.7", 401, 405, registered=200),
    Case("multi01", "3.3.8", 400, 400, parser=400),
    Case("mcl01", "3.3.9", 400, 400, parser=400),
    Case("bcast", "3.3.10", DROPPED, DROPPED),
    Case("zeromf", "3.3.11", 483, 200, passed_on=False),
    Case("cparam01", "3.3.12", 401, 405, registered=200, contacts=("<sip:+19725552222@gw1.example.net>",)),
    Case("cparam02", "3.3.13", 401, 405, registered=200,
         contacts=("<sip:+19725552222@gw1.example.net;unknownparam>",)),
    Case("regescrt", "3.3.14", 401, 405, registered=200,
         contacts=("<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",)),
    Case("sdp01", "3.3.15", 406, 406),
    # 3.4: from before RFC 3261
    Case("inv2543", "3.4.1", TAKEN, TAKEN),
]  # fmt: skip
RFC5118 = [
    Case("ipv6-good", "4.1", 403, 405),  # no domain of ours
    Case("ipv6-bad", "4.2", 400, 400, parser=400),
    Case("port-ambiguous", "4.3", 403, 405),
    Case("port-unambiguous", "4.4", 403, 405),
    Case("via-received-param-with-delim", "4.5", 481, 481),
    Case("via-received-param-no-delim", "4.5", 481, 481),
    Case("ipv6-in-sdp", "4.6", 403, 488),
    Case("mult-ip-in-header", "4.7", 481, 481),
    Case("mult-ip-in-sdp", "4.8", 403, TAKEN),
    Case("ipv4-mapped-ipv6", "4.9", 488, 488),
    Case("ipv6-bug-abnf-3-colons", "4.10", 403, 200),
]
FOLDERS = (("rfc4475", RFC4475), ("rfc5118", RFC5118))
CASES = [pytest.param(folder, case, id=case.name) for folder, cases in FOLDERS for case in cases]


def wire(folder: str, name: str) -> bytes:
    return (HERE / folder / f"{name}.sip").read_bytes()


@pytest.mark.parametrize(("folder", "cases", "count"), [(*FOLDERS[0], 49), (*FOLDERS[1], 11)])
def test_every_message_of_the_standard_is_here(folder: str, cases: list[Case], count: int) -> None:
    assert {case.name for case in cases} == {path.stem for path in (HERE / folder).glob("*.sip")}
    assert len({case.name for case in cases}) == len(cases) == count


@pytest.mark.parametrize(("folder", "case"), CASES)
def test_parser(folder: str, case: Case) -> None:
    data = wire(folder, case.name)
    if case.parser is not None:
        with pytest.raises(BadMessage) as caught:
            parse(data)
        assert caught.value.status == case.parser
        return
    message = parse(data)
    assert message is not None
    assert parse(message.to_bytes()) == message


@pytest.mark.parametrize(("folder", "case"), CASES)
def test_exchange(folder: str, case: Case, new_house: Any, unharmed: Any) -> None:
    data = wire(folder, case.name)
    users: tuple[str, ...] = ()
    if case.registered is not None:
        request = parse(data)
        assert isinstance(request, Request)
        users = (request.to.uri.user or "",)
    house = new_house(case.domain, *users)
    with unharmed():
        answer = house.final(data, house.hub)
        assert (answer and answer.status) == case.exchange
        if case.passed_on:
            check_headers(answer, case)
        if case.registered is not None:
            again = house.final(house.with_credentials(data, answer), house.hub)
            assert again.status == case.registered
            contacts = [str(NameAddr.parse(c).uri) for c in again.headers.get_all("Contact")]
            assert [f"<{contact}>" for contact in contacts] == list(case.contacts)
        house.good_call()


@pytest.mark.parametrize(("folder", "case"), CASES)
def test_phone(folder: str, case: Case, new_house: Any, unharmed: Any) -> None:
    house = new_house()
    with unharmed():
        answer = house.final(wire(folder, case.name), house.phone)
        assert (answer and answer.status) == case.phone
        check_headers(answer, case)
        house.good_call()


def check_headers(answer: Response | None, case: Case) -> None:
    for name, value in case.answer.items():
        assert answer is not None
        assert set(value.split(", ")) <= set(answer.headers.get_all(name))


def test_one_house_takes_them_all(new_house: Any, unharmed: Any) -> None:
    house = new_house()
    with unharmed():
        for folder, cases in FOLDERS:
            for case in cases:
                house.receive(wire(folder, case.name), house.hub, seconds=0.01)
                house.receive(wire(folder, case.name), house.phone, seconds=0.01)
        house.good_call()
        house.net.run(70)
        house.good_call()


# What is to be read out of them ---------------------------------------------------------------------


def request(name: str, folder: str = "rfc4475") -> Request:
    message = parse(wire(folder, name))
    assert isinstance(message, Request)
    return message


def test_wsinv_is_read_as_if_it_were_tidy() -> None:
    message = request("wsinv")
    assert (message.to.tag, message.from_.tag) == ("1918181833n", "98asjd8")
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.cseq == (9, "INVITE")
    assert [(via.transport, via.host, via.branch) for via in message.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert message.headers.get("Subject") == ""
    assert message.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    contact = NameAddr.parse(message.headers.get_all("Contact")[0])
    assert (contact.display, contact.params) == (
        'Quoted string ""', {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    )  # fmt: skip
    assert len(message.body) == 150


def test_escapes_are_compared_not_letters() -> None:
    message = request("esc01")
    assert Uri.parse(message.uri).user == "sips:user@example.com"
    assert message.to.uri.user == "user"
    assert message.from_.uri.user == "I have spaces"
    contact = NameAddr.parse(message.headers.get_all("Contact")[0]).uri
    assert contact.user == "caller"
    assert contact.param("lr") == ""
    assert contact.param("name") == "value%41"  # unescaped once
    assert request("escnull").to.uri.user == "null-\0-null"
    assert request("esc02").method == "RE%47IST%45R"
    assert request("esc02").from_.display == "%Z%45"
    assert len(request("esc02").headers.get_all("Contact")) == 2
    assert Uri.parse(request("semiuri").uri).user == "user;par=u@example.net"


def test_lengths_and_ends() -> None:
    assert request("dblreq").body == b""
    assert request("mpart01").body.endswith(b"\x05\r\n--7a9cbec02ceef655--\r\n")
    assert request("inv2543").body.endswith(b"RTP/AVP 0\r\n")
    assert len(request("longreq").vias) == 34
    unreason, noreason = parse(wire("rfc4475", "unreason")), parse(wire("rfc4475", "noreason"))
    assert isinstance(unreason, Response)
    assert isinstance(noreason, Response)
    assert unreason.reason.startswith("= 2**3 * 5**2 но сто")
    assert noreason.reason == ""


@pytest.mark.parametrize("name", ["with", "no"])
def test_a_received_address_may_stand_in_brackets_or_not(name: str) -> None:
    via = request(f"via-received-param-{name}-delim", "rfc5118").top_via
    assert via.reply_address[:2] == ("2001:db8::9:255", 5060)


def test_a_branch_without_a_name_is_no_branch(new_house: Any) -> None:
    """RFC 4475 section 3.2.1: such a request is told by what RFC 2543 tells it by, so two are not one."""
    house = new_house()
    data = wire("rfc4475", "badbranch")
    other = data.replace(b"Call-ID: ", b"Call-ID: other-")
    for each in (data, other, data):
        answer = house.final(each, house.phone)
        assert answer.status == 200
        assert answer.call_id == parse(each).call_id  # type: ignore[union-attr]


def test_a_contact_with_headers_is_kept_and_called_without_them(new_house: Any) -> None:
    house = new_house("example.com", "user")
    data = wire("rfc4475", "regescrt")
    at = house.hub
    assert house.final(house.with_credentials(data, house.final(data, at)), at).status == 200
    begin = len(house.net.sent)
    house.caller.dial("user", None)
    house.net.run(0.2)
    lines = [sent.split(b"\r\n")[0] for _, _, to, sent in house.net.sent[begin:] if to[0] == "192.0.2.77"]
    assert lines[0] == b"INVITE sip:user@example.com SIP/2.0"
