"""An exchange and a line on all addresses: each peer is told the one by which it reaches us."""

from __future__ import annotations

import socket

import pytest

from ivr_sim.sip import sdp
from ivr_sim.sip.transport import ANYWHERE, is_of_this_machine, local_host

EVERYWHERE = "0.0.0.0"  # noqa: S104  compared and asked about, not bound


def test_one_address_is_told_as_it_is():
    assert local_host("127.0.0.1", "10.1.2.3", "203.0.113.5") == "127.0.0.1"


def test_of_all_addresses_the_one_of_the_route():
    assert local_host(EVERYWHERE, "127.0.0.9") == "127.0.0.1"
    assert local_host(EVERYWHERE, "127.0.0.9", "203.0.113.5") == "127.0.0.1"


def test_advertised_to_everybody_else():
    there = local_host(EVERYWHERE, ANYWHERE, "203.0.113.5")
    # A machine without any network but loopback has no way there.
    assert there == ("127.0.0.1" if local_host(EVERYWHERE, ANYWHERE) == "127.0.0.1" else "203.0.113.5")


def test_a_name_is_not_looked_up(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a: pytest.fail("a lookup would hold up every call"))
    assert local_host(EVERYWHERE, "phone.example") == local_host(EVERYWHERE, ANYWHERE)


@pytest.mark.parametrize(
    ("address", "ours"),
    [("127.0.0.1", True), ("203.0.113.77", False), ("", False), ("ivr.test", False), ("256.1.1.1", False)],
)
def test_addresses_of_this_machine(address, ours):
    assert is_of_this_machine(address) is ours


BODY = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\n{c}t=0 0\r\n{m}"
AUDIO = "m=audio 4000 RTP/AVP 0\r\n"


@pytest.mark.parametrize(
    ("c", "m", "host"),
    [
        ("c=IN IP4 10.0.0.7\r\n", AUDIO, "10.0.0.7"),
        ("c=IN IP4 10.0.0.7\r\n", AUDIO + "c=IN IP4 10.0.0.8\r\n", "10.0.0.8"),
        ("c=IN IP4 0.0.0.0\r\n", AUDIO, None),
        ("c=IN IP4 phone.example\r\n", AUDIO, None),
        ("c=IN IP4 10.0.0.7\r\n", "m=video 4002 RTP/AVP 96\r\n", None),
    ],
)
def test_where_the_audio_comes_from(c, m, host):
    assert sdp.media_host(sdp.parse(BODY.format(c=c, m=m).encode())) == host
