"""Which address telephones should use, on machines of many kinds."""

from __future__ import annotations

import sys

import pytest

from ivr_sim.doctor.network import Interface, addresses, interfaces, lan_address, speaks_ipv6
from ivr_sim.settings import Settings

LO = Interface("lo", "127.0.0.1")
WIFI = Interface("wlp2s0", "192.168.1.5")
WG = Interface("wg0", "10.8.0.2")
DOCKER = Interface("docker0", "172.17.0.1")
NONE = "127.0.0.1"  # the kernel has no route
LAN = Settings(lan=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(
            (name, "VPN")
            for name in ("tun0", "tap1", "wg0", "utun3", "ppp0", "tailscale0", "ztabc", "nordlynx")
        ),
        *(
            (name, "containers or virtual machines")
            for name in ("docker0", "br-1a2b", "virbr0", "lxcbr0", "vmnet8")
        ),
        *((name, "") for name in ("eth0", "enp3s0", "wlan0", "wlp2s0", "en0", "br0", "bond0", "usb0", "")),
    ],
)
def test_kinds(name, kind):
    assert Interface(name, "10.0.0.1").kind == kind


@pytest.mark.parametrize(
    ("found", "routed", "best"),
    [
        ([LO, WIFI], "192.168.1.5", "192.168.1.5"),
        ([LO, WG, DOCKER, WIFI], "10.8.0.2", "192.168.1.5"),
        ([LO, DOCKER, WIFI], NONE, "192.168.1.5"),
        ([LO, WG], "10.8.0.2", "10.8.0.2"),
        ([LO, DOCKER], NONE, None),
        ([LO], NONE, None),
        ([], "192.168.1.9", "192.168.1.9"),
    ],
)
def test_the_address_for_telephones(found, routed, best):
    assert lan_address(found, routed) == best


@pytest.mark.parametrize(
    ("found", "routed", "state", "what", "advice"),
    [
        ([LO, WIFI, DOCKER], "192.168.1.5", "ok", "telephones use 192.168.1.5", "Register telephones at 192"),
        ([LO, WIFI, DOCKER], "192.168.1.5", "ok", "172.17.0.1 on docker0 (containers", ""),
        ([LO, WG, WIFI], "10.8.0.2", "warn", "through 10.8.0.2 on wg0 (VPN)", "--advertise 192.168.1.5"),
        ([LO, WG], "10.8.0.2", "warn", "no other than 10.8.0.2 on wg0 (VPN)", "Join the network"),
        ([LO, WIFI], NONE, "warn", "no route by it", "--advertise 192.168.1.5"),
        ([LO, Interface("eth0", "169.254.7.1")], "169.254.7.1", "warn", "no DHCP", "router"),
        ([LO, Interface("eth0", "8.8.4.4")], "8.8.4.4", "warn", "open to the Internet", "Scanners"),
        ([LO], NONE, "fail", "no network", "Connect"),
    ],
)  # fmt: skip
def test_machines_in_a_network(found, routed, state, what, advice):
    check = addresses(LAN, found, routed, ipv6=False)
    assert (check.state, what in check.what, advice in check.advice) == (state, True, True), check


def test_ipv6_only():
    check = addresses(LAN, [LO], NONE, ipv6=True)
    assert (check.state, "IPv6 addresses only" in check.what) == ("fail", True)
    assert addresses(LAN, [LO, WIFI], WIFI.address, ipv6=True).state == "ok"


def test_an_advertised_address():
    own, other = (
        addresses(Settings(lan=True, advertise=host), [LO, WIFI], WIFI.address, ipv6=False)
        for host in ("192.168.1.5", "203.0.113.7")
    )
    assert (own.state, other.state) == ("ok", "warn")
    assert "that is none of its own" in other.what


@pytest.mark.parametrize("found", [[LO], [LO, WG, WIFI]])
def test_without_lan_loopback_will_do(found):
    check = addresses(Settings(), found, NONE, ipv6=False)
    assert check.state == "ok"
    assert "127.0.0.1; others need --lan" in check.what


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere interfaces are not told by name")
def test_this_machine():
    [loopback] = [each for each in interfaces() if each.name == "lo"]
    assert loopback.loopback
    assert str(loopback) == "127.0.0.1 on lo"


def test_ipv6_addresses_that_others_reach(write):
    line = "fe8000000000000000fc00fffe000001 02 40 {} 80     eth0\n"
    assert not speaks_ipv6(write("net/if_inet6", line.format("20")))
    assert speaks_ipv6(write("net/if_inet6", line.format("20") + line.format("00")))
    assert not speaks_ipv6(write("net/if_inet6", "nonsense\n\n"))
    assert not speaks_ipv6(write("elsewhere") / "none")
