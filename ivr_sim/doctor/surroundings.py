"""What lies between this process and a telephone: a container, WSL, a firewall.

Nothing is executed: what the system's own files tell without root is all that is used.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ivr_sim.doctor.check import Check
from ivr_sim.settings import Settings

__all__ = ["firewall", "isolation"]

CGROUPS = re.compile(r"docker|containerd|kubepods|libpod|lxc|garden")
PUBLISHED = 200  # RTP ports, of a hundred calls
TOOLS = ("ufw", "firewall-cmd", "nft", "iptables")
ADMIN_PATH = "/usr/sbin:/sbin:/usr/local/sbin"  # not on everybody's path


def isolation(settings: Settings, sip_port: int, root: Path = Path("/")) -> Check:
    """Whether this is a container or WSL, whose network is not the machine's. root: of the file system."""
    name = "container or WSL"
    release = _read(root / "proc/sys/kernel/osrelease").lower()
    if "microsoft" in release:
        return _wsl(name, settings, second="wsl2" in release or "standard" in release)
    kind = _container(root)
    if kind is None:
        return Check(name, "ok", "neither")
    first = settings.rtp_first
    last = min(settings.rtp_last, first + PUBLISHED - 1)
    rtp, fewer = f"{first}-{last}", last < settings.rtp_last
    return Check(
        name,
        "warn",
        f"this is a container ({kind}): telephones outside of it reach only ports that are published",
        "Run it in the host's network (docker run --network host). Or publish the ports one to one "
        f"(-p {sip_port}:{sip_port}/udp -p {rtp}:{rtp}/udp), "
        + (f"with IVR_SIM_RTP_LAST={last} (each published port costs), " if fewer else "")
        + "and start serve --lan --advertise with the host's address.",
    )


def _wsl(name: str, settings: Settings, *, second: bool) -> Check:
    if not second:
        return Check(name, "ok", "WSL 1, which has the network of Windows; its firewall asks for permission")
    return Check(
        name,
        "warn",
        "this is WSL 2, whose network is behind NAT unless it is mirrored: telephones in the LAN cannot "
        "reach it, and a softphone on Windows reaches it only with --lan"
        + ("" if settings.lan else " (not given)"),
        "Put networkingMode=mirrored under [wsl2] in %UserProfile%\\.wslconfig, wsl --shutdown, and allow "
        "SIP and RTP in the Windows firewall; or run ivr-sim in Windows itself.",
    )


def _container(root: Path) -> str | None:
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    told = _read(root / "run/systemd/container").strip()
    if told:
        return told
    found = CGROUPS.search(_read(root / "proc/1/cgroup"))
    return found.group() if found else None


def firewall(
    settings: Settings,
    sip_port: int,
    *,
    root: Path = Path("/"),
    which: Callable[[str], str | None] | None = None,
    system: str = sys.platform,
) -> Check:
    """Which firewall may stand before SIP and RTP, and the lines that open it. which: finds a program."""
    if not settings.lan:
        return Check("firewall", "ok", "of no matter on loopback; with --lan, UDP must come in")
    ports = f"UDP {sip_port} and {settings.rtp_first}-{settings.rtp_last}"
    rtp = f"{settings.rtp_first}", f"{settings.rtp_last}"
    if system == "win32":
        return Check(
            "firewall", "warn", f"Windows lets in {ports} only when told", "Allow Python when Windows asks."
        )
    if system == "darwin":
        return Check(
            "firewall",
            "ok",
            f"macOS asks once whether Python may take connections; {ports} must come in",
            "Allow it, in System Settings, Network, Firewall.",
        )
    which = which or _which
    tools = [tool for tool in TOOLS if which(tool)]
    if "ufw" in tools and re.search(r"^\s*ENABLED\s*=\s*yes", _read(root / "etc/ufw/ufw.conf"), re.I | re.M):
        return Check(
            "firewall",
            "warn",
            f"ufw is on: without a rule, {ports} does not come in",
            f"sudo ufw allow {sip_port}/udp; sudo ufw allow {':'.join(rtp)}/udp",
        )
    if "firewall-cmd" in tools and (root / "run/firewalld").exists():
        return Check(
            "firewall",
            "warn",
            f"firewalld runs: without a rule, {ports} does not come in",
            f"sudo firewall-cmd --add-port={sip_port}/udp --add-port={'-'.join(rtp)}/udp",
        )
    if tools:
        return Check(
            "firewall",
            "ok",
            f"ufw and firewalld are off; whether {' or '.join(tools)} has rules of its own, only root sees",
            f"If no telephone gets through, let in {ports}.",
        )
    return Check("firewall", "ok", "no firewall tool on this machine; the router or the Wi-Fi may have one")


def _which(tool: str) -> str | None:
    return shutil.which(tool) or shutil.which(tool, path=ADMIN_PATH)


def _read(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(65_536))
    except OSError:
        return ""
