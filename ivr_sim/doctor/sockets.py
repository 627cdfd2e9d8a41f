"""Ports: which are free for `serve`, and who has the others."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ivr_sim.doctor.check import Check
from ivr_sim.ports import choose

__all__ = ["Service", "holder", "rtp_range", "service_port"]

PROC = Path("/proc")
TRIED = 256  # RTP ports; all 8192 would take a second on some systems
KINDS = {"UDP": socket.SOCK_DGRAM, "TCP": socket.SOCK_STREAM}
LISTENS = {"UDP": "07", "TCP": "0A"}  # the state in /proc/net


@dataclass(frozen=True)
class Service:
    """Something that will listen. explicit: its port was asked for, so it must not be another."""

    name: str
    transport: str
    host: str
    port: int
    explicit: bool = False


def service_port(service: Service, proc: Path = PROC) -> Check:
    """Whether a service can listen where it is meant to."""
    name = f"port {service.name}"
    kind = KINDS[service.transport]
    where = f"{service.transport} {service.host}:{service.port}"
    if choose(service.host, 0, None, kind).instead_of is not None:
        return Check(
            name,
            "fail",
            f"{service.host} is no address of this machine",
            "Give one of its own, or 127.0.0.1.",
        )
    if service.port == 0:
        return Check(name, "ok", f"{service.transport} {service.host}, any free port")
    port = choose(service.host, service.port, None, kind)
    if port.instead_of is None:
        return Check(name, "ok", f"{where} is free")
    owner = holder(service.transport, service.port, proc)
    what = f"{where} is taken" + (f" by {owner}" if owner else "")
    ours = " Is ivr-sim serve running already?" if owner and "ivr" in owner else ""
    if service.explicit:
        return Check(name, "fail", what, f"End that program, or ask for another port, or for none.{ours}")
    following = f"{port.number}" if port.number else "any free one"
    told = " and telephones must be given that one" if service.name == "SIP" else ""
    return Check(
        name, "warn", what, f"serve would take {following} instead{told}; or end that program.{ours}"
    )


def rtp_range(host: str, first: int, last: int, proc: Path = PROC) -> Check:
    """Whether the ports of the audio are free: the even ones of a range, or a sample of them."""
    name = "ports RTP"
    even: Sequence[int] = range(first + first % 2, last + 1, 2)
    where = f"UDP {host}:{first}-{last}"
    if not even:
        return Check(name, "fail", f"{where} has no even port", "Set rtp_first and rtp_last in ivr-sim.toml.")
    tried = even[:: max(len(even) // TRIED, 1)]
    taken = [port for port in tried if choose(host, port, None, socket.SOCK_DGRAM).instead_of is not None]
    what = f"{where}: {len(tried) - len(taken)} free of {len(tried)} tried, {len(even)} in all"
    if len(taken) == len(tried):
        return Check(
            name, "fail", what, "Set rtp_first and rtp_last in ivr-sim.toml to ports that nobody uses."
        )
    if len(taken) * 4 > len(tried):
        return Check(
            name, "warn", what, "Another program uses these: set rtp_first and rtp_last in ivr-sim.toml."
        )
    with suppress(OSError, ValueError):
        low, high = map(int, (proc / "sys/net/ipv4/ip_local_port_range").read_text().split())
        if low <= last and first <= high:
            return Check(
                name,
                "warn",
                f"{what}; the kernel takes outgoing ports from {low}-{high}, of the same range",
                "A call that finds a port taken uses the next: no harm, but a range beside is better.",
            )
    return Check(name, "ok", what)


def holder(transport: str, port: int, proc: Path = PROC) -> str | None:
    """Who listens on a port, as far as this user may know: "baresip (process 123)", otherwise None."""
    inodes = set()
    for table in (transport.lower(), f"{transport.lower()}6"):
        with suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if len(fields) < 10 or fields[3] != LISTENS[transport]:
                    continue
                if fields[1].rpartition(":")[2].upper() == f"{port:04X}":
                    inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    with suppress(OSError):
        for process in proc.iterdir():
            if process.name.isdecimal() and _has(process, inodes):
                return f"{_name(process)} (process {process.name})"
    return None


def _has(process: Path, inodes: set[str]) -> bool:
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in inodes:
                    return True
    return False


def _name(process: Path) -> str:
    """What runs: its own name, or the script's where that is Python. Arguments may hold passwords."""
    name = "a program"
    with suppress(OSError):
        name = (process / "comm").read_text(errors="replace").strip() or name
    if name.startswith("python"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")[1:]
            script = words[1] if words[:1] == ["-m"] and len(words) > 1 else "".join(words[:1])
            if script and not script.startswith("-"):
                return f"{name} {Path(script).name}"
    return name
