"""URIs and name-addrs: what they are made of, and that their text comes back as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr_sim.sip.address import Address
from ivr_sim.sip.grammar import BadMessage, parse_params, quote, split_list, unquote
from ivr_sim.sip.uri import NameAddr, Uri

URIS = [
    # text, scheme, user, host, port, params
    ("sip:5000@ivr.test", "sip", "5000", "ivr.test", None, ()),
    ("sip:ivr.test", "sip", None, "ivr.test", None, ()),
    ("SIPS:Alice@H:5061;lr", "sips", "Alice", "H", 5061, (("lr", None),)),
    ("sip:alice:secret@h", "sip", "alice", "h", None, ()),
    ("sip:%61lice%40x@h", "sip", "alice@x", "h", None, ()),
    ("sip:user;par=u%40e.net@h", "sip", "user;par=u@e.net", "h", None, ()),
    ("sip:a?b@h?Subject=x", "sip", "a?b", "h", None, ()),
    (
        "sip:carol@127.0.0.1:5060;transport=udp;gr=urn:uuid:1",
        "sip",
        "carol",
        "127.0.0.1",
        5060,
        (("transport", "udp"), ("gr", "urn:uuid:1")),
    ),
    ("sip:[2001:db8::10]:5070", "sip", None, "[2001:db8::10]", 5070, ()),
    ("sip:h." + "x" * 63 + ".", "sip", None, "h." + "x" * 63 + ".", None, ()),
    ("tel:+525512345678;phone-context=x", "tel", "+525512345678", "", None, ()),
    ("http://www.example.com", "http", None, "", None, ()),
]


@pytest.mark.parametrize(("text", "scheme", "user", "host", "port", "params"), URIS)
def test_uri_is_taken_apart_and_keeps_its_text(text, scheme, user, host, port, params):
    uri = Uri.parse(text)
    assert (uri.scheme, uri.user, uri.host, uri.port, uri.params) == (scheme, user, host, port, params)
    assert str(uri) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "sip:", "5000", "sip:@h", "sip:a@", "sip:a@b@c", "sip:a@h:", "sip:a@h:0", "sip:a@h:65536",
        "sip:a@h:5x", "sip:a@[::g]", "sip:a@[::1", "sip:a b@h", "sip:a@h;=x", "sip:a@h;;lr", "<sip:a@h>",
        "1sip:a@h", "sip:a@-h", "sip:a@h h", "sip:a@h\x00", 'sip:"a"@h', "sip:a@h:٣",
        "sip:a@h..h", "sip:a@" + "h" * 64, "sip:a@h." + "h" * 64 + ".h", "sip:a@" + "h." * 130,
    ],
)  # fmt: skip
def test_bad_uri_is_a_400(text):
    with pytest.raises(BadMessage) as caught:
        Uri.parse(text)
    assert caught.value.status == 400


def test_address_of_a_uri():
    assert Uri.parse("sip:a@h").address() == Address("h", 5060)
    assert Uri.parse("sip:a@h:7").address() == Address("h", 7)
    assert Uri.parse("sip:a@h;transport=TCP").address() == Address("h", 5060, "TCP")
    assert Uri.parse("sip:a@h;transport=tls").address() == Address("h", 5061, "TLS")
    assert Uri.parse("sips:a@h:7").address() == Address("h", 7, "TLS")
    assert Uri.parse("sip:a@h;transport=sctp").address() == Address("h", 5060)
    assert Uri.parse("sip:[::1]:7").address() == Address("::1", 7)
    with pytest.raises(BadMessage) as caught:
        Uri.parse("tel:+52551234").address()
    assert caught.value.status == 416


def test_changed_uri_is_written_anew():
    uri = replace(Uri.parse("sip:alice@h:5080;lr?X=1"), user="b c", port=None)
    assert str(uri) == "sip:b%20c@h;lr?X=1"


def test_uri_parameters_in_any_case():
    uri = Uri.parse("sip:h;LR;Transport=TCP")
    assert (uri.param("lr"), uri.param("transport"), uri.param("maddr")) == ("", "TCP", None)


NAME_ADDRS = [
    # text, display, URI, parameters
    ('"J Rosenberg \\\\\\"" <sip:j@e.com> ; tag = 98as', 'J Rosenberg \\"', "sip:j@e.com", {"tag": "98as"}),
    ("<sip:a@h;lr>;tag=1", "", "sip:a@h;lr", {"tag": "1"}),
    ("sip:a@h;tag=1", "", "sip:a@h", {"tag": "1"}),
    ("Bob Jones <sip:a@h>", "Bob Jones", "sip:a@h", {}),
    ("José <sip:a@h>", "José", "sip:a@h", {}),
    ('"a, <b>; c" <sip:a@h>', "a, <b>; c", "sip:a@h", {}),
    ('<sip:a@h>;+sip.instance="<urn:uuid:1>";expires=299', "", "sip:a@h",
     {"+sip.instance": '"<urn:uuid:1>"', "expires": "299"}),
    ("<tel:+52551234>;tag=x", "", "tel:+52551234", {"tag": "x"}),
    ("<sip:[::1]:5060>", "", "sip:[::1]:5060", {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "display", "uri", "params"), NAME_ADDRS)
def test_name_addr(text, display, uri, params):
    address = NameAddr.parse(text)
    assert (address.display, str(address.uri), dict(address.params)) == (display, uri, params)
    assert address.tag == params.get("tag")
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "<>", "<sip:a@h", "sip:a@h>", "< sip:a@h>", "<sip:a@h >", '"open <sip:a@h>', "Bell, A <sip:a@h>",
        "<sip:a@h> <sip:b@h>", "<sip:a@h>;;tag=1", "<sip:a@h>;tag=1;TAG=2", "<sip:a@h>tag=1", "sip:a@h,x",
        "sip:a@h?X=1", "*",
    ],
)  # fmt: skip
def test_bad_name_addr_is_a_400(text):
    with pytest.raises(BadMessage) as caught:
        NameAddr.parse(text)
    assert caught.value.status == 400


LISTS = [
    ("a", ["a"]),
    ("a, b ,c", ["a", "b", "c"]),
    ('"x, y" <sip:a@h>, <sip:b,c@h>', ['"x, y" <sip:a@h>', "<sip:b,c@h>"]),
    ('"quote \\", comma" <sip:a@h>', ['"quote \\", comma" <sip:a@h>']),
]


@pytest.mark.parametrize(("text", "parts"), LISTS)
def test_lists_are_split_outside_of_quotes_and_brackets(text, parts):
    assert split_list(text) == parts


@pytest.mark.parametrize("text", ["", ",", "a,,b", "a,", '"open', "<open", "a>b"])
def test_bad_list_is_a_400(text):
    with pytest.raises(BadMessage):
        split_list(text)


def test_parameters_keep_their_order_and_quotes():
    assert list(parse_params(' ; B="x;y" ;a; c = d').items()) == [("b", '"x;y"'), ("a", None), ("c", "d")]


@given(st.text())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_quoted_text_comes_back(text):
    expected = "".join(" " if c in "\r\n" else c for c in text.replace("\r\n", "\n").replace("\r", "\n"))
    assert unquote(quote(text)).replace(" ", "") == expected.replace(" ", "")


token = st.text("abcXYZ019-_.~", min_size=1, max_size=8)
hosts = st.lists(st.text("abcXYZ019-_", min_size=1, max_size=8), min_size=1, max_size=3).map(".".join)
names = st.one_of(
    st.just(""), st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
)


@given(
    names, st.text(min_size=1, max_size=12), hosts, st.dictionaries(token.map(str.lower), st.none() | token)
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_address_survives_its_text(display, user, host, params):
    host = "h" + host.strip("-.~") + "h"
    address = NameAddr(display, Uri("sip", user, host.replace("~", ""), 5060), params)
    assert NameAddr.parse(str(address)) == address


@given(st.text(max_size=60) | st.text('sip:<>@;,?"[]=\\ %a1.', max_size=30))
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_garbage_raises_nothing_but_bad_message(text):
    for parse in (Uri.parse, NameAddr.parse, split_list, parse_params):
        try:
            parse(text)
        except BadMessage as error:
            assert 400 <= error.status < 500  # noqa: PT017  the one exception that is allowed
