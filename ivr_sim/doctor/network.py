"""The addresses of this machine, and the one that telephones should use."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ivr_sim.doctor.check import Check
from ivr_sim.settings import Settings

__all__ = ["Interface", "addresses", "interfaces", "lan_address", "speaks_ipv6"]

SIOCGIFADDR = 0x8915  # Linux
# By what systems and programs call them: netdevice(7) names are free, but nobody renames a tunnel.
TUNNELS = re.compile(
    r"(?:u?tun|tap|wg|ppp|tailscale|zt|nordlynx|ipsec|proton|gpd|vpn|cscotun|mullvad|nebula)", re.IGNORECASE
)
BRIDGES = re.compile(
    r"(?:docker|br-|bridge\d|veth|virbr|lxc|lxd|incus|podman|cni|cali|flannel|vmnet|vboxnet)", re.IGNORECASE
)


@dataclass(frozen=True)
class Interface:
    """A network interface with its (first) IPv4 address; name is empty where the system does not tell."""

    name: str
    address: str

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.address.startswith("127.")

    @property
    def kind(self) -> str:
        """VPN, "containers or virtual machines", or nothing particular."""
        if TUNNELS.match(self.name):
            return "VPN"
        return "containers or virtual machines" if BRIDGES.match(self.name) else ""

    def __str__(self) -> str:
        named = f"{self.address} on {self.name}" if self.name else self.address
        return f"{named} ({self.kind})" if self.kind else named


def interfaces() -> list[Interface]:
    """The interfaces that have an IPv4 address; elsewhere than on Linux, the addresses of the host's name."""
    if sys.platform != "linux":
        with suppress(OSError):
            return [Interface("", address) for address in socket.gethostbyname_ex(socket.gethostname())[2]]
        return []
    import fcntl

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # it has none
                got = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(Interface(name, socket.inet_ntoa(got[20:24])))
    return found


def speaks_ipv6(proc: Path = Path("/proc")) -> bool:
    """Whether some interface has an IPv6 address that others reach (scope 00 in if_inet6)."""
    try:
        lines = (proc / "net/if_inet6").read_text().splitlines()
    except OSError:
        return False
    return any(line.split()[3:4] == ["00"] for line in lines)


def lan_address(found: Sequence[Interface], routed: str) -> str | None:
    """The address that telephones in the network should use, None if there is none.

    routed: the one that the kernel's default route has (127.0.0.1: there is no route).
    """
    plain = [each for each in found if not each.loopback and not each.kind]
    if any(each.address == routed for each in plain):
        return routed
    if plain:
        return plain[0].address
    return None if routed.startswith("127.") else routed


def addresses(settings: Settings, found: Sequence[Interface], routed: str, *, ipv6: bool) -> Check:
    """Where telephones reach this machine; found, routed: see ``lan_address``."""
    name = "addresses"
    others = [each for each in found if not each.loopback]
    best = lan_address(found, routed)
    seen = ", ".join(map(str, others)) or "none but loopback"
    if not settings.lan:
        return Check(
            name, "ok", f"softphones on this machine use 127.0.0.1; others need --lan (this machine: {seen})"
        )
    if best is None:
        if ipv6:
            return Check(
                name,
                "fail",
                "this machine has IPv6 addresses only; SIP and RTP here go by IPv4",
                "Get an IPv4 address by DHCP, or call from this machine, without --lan.",
            )
        return Check(
            name, "fail", f"no network: {seen}", "Connect to the network that the telephones are in."
        )
    if settings.advertise is not None:
        what = f"telephones are told {settings.advertise} (--advertise); this machine: {seen}"
        if settings.advertise in {each.address for each in found}:
            return Check(name, "ok", what, f"Register telephones at {settings.advertise}.")
        return Check(
            name,
            "warn",
            f"{what}: that is none of its own",
            "Right only where a router or the container's host passes UDP on to this machine, port by port.",
        )
    by_route = next((each for each in others if each.address == routed), None)
    if by_route is not None and by_route.kind and best != routed:
        return Check(
            name,
            "warn",
            f"this machine: {seen}; the kernel's route leads through {by_route}, which telephones in the "
            "Wi-Fi do not reach",
            f"serve --lan --advertise {best}, and register telephones at {best}; or leave the VPN.",
        )
    ip = ipaddress.ip_address(best)
    what = f"telephones use {best}, by which the kernel's route leads; this machine: {seen}"
    if best != routed:
        what = f"telephones use {best}; the kernel has no route by it; this machine: {seen}"
        return Check(name, "warn", what, f"serve --lan --advertise {best}")
    if by_route is not None and by_route.kind:
        return Check(
            name, "warn", f"{what}: no other than {by_route}", "Join the network that the telephones are in."
        )
    if ip.is_link_local:
        return Check(name, "warn", f"{what}: nobody assigned it (no DHCP)", "Is the router reached at all?")
    if ip.is_global:
        return Check(
            name,
            "warn",
            f"{what}: it is open to the Internet",
            "Scanners try every SIP port within hours: let only your own addresses in.",
        )
    return Check(name, "ok", what, f"Register telephones at {best}; they must be in the same network.")
