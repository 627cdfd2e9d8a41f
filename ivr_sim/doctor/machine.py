"""What this machine brings along: Python, packages, descriptors, disk, proxies, clock."""

from __future__ import annotations

import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path

from ivr_sim import __version__
from ivr_sim.doctor.check import Check

__all__ = ["clock", "data_folder", "descriptors", "packages", "proxies", "python"]

OLDEST = (3, 11)
CALLS = 20  # that one process carries at a time
PER_CALL = 4  # descriptors: RTP, authorizer, Openpay, recording
ALWAYS = 80  # descriptors: SIP, HTTP, databases, voice, standard streams, what libraries keep open
BYTES_PER_MINUTE = 60 * 8000 * 2 * 2  # a stereo recording
TIGHT = 500_000_000  # bytes
NONE_LEFT = 20_000_000
NOT_BEFORE = 2026  # a clock that shows an earlier year was never set
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
OURS = ("127.0.0.1", "localhost")
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(>=|==)?\s*([0-9.]*)")


def python(
    version: tuple[int, ...] = sys.version_info[:3], bits: int = sys.maxsize.bit_length() + 1
) -> Check:
    """The interpreter; version: major, minor and so on."""
    what = (
        f"{'.'.join(map(str, version[:3]))} ({platform.python_implementation()}, {platform.system()} "
        f"{platform.machine()}, {bits} bits), ivr-sim {__version__}"
    )
    if tuple(version[:2]) < OLDEST:
        return Check("Python", "fail", what, "Python 3.11 is the oldest that works: make a new environment.")
    if bits < 64:
        return Check("Python", "warn", what, "A 32-bit Python gets few ready-made packages: take 64 bits.")
    return Check("Python", "ok", what)


def packages(
    requirements: Sequence[str] | None = None, installed: Callable[[str], str] = metadata.version
) -> Check:
    """The packages that ours asks for, by their versions.

    requirements: as in a package's metadata; installed: a package's version, or PackageNotFoundError.
    """
    if requirements is None:
        try:
            requirements = metadata.requires("ivr-sim") or ()
        except metadata.PackageNotFoundError:
            return Check(
                "packages", "warn", "ivr-sim runs from a folder and is not installed", "pip install ."
            )
    found, wrong = [], []
    for requirement in requirements:
        wanted, _, marker = requirement.partition(";")
        parts = REQUIREMENT.match(wanted.strip())
        if parts is None or "extra" in marker:
            continue
        name, relation, number = parts.groups()
        try:
            version = installed(name)
        except metadata.PackageNotFoundError:
            if not marker:  # with one, it may not be meant for this machine
                wrong.append(f"{name} is missing")
            continue
        found.append(f"{name} {version}")
        short = _numbers(version) < _numbers(number)
        if (relation == ">=" and short) or (relation == "==" and version != number):
            wrong.append(f"{name} {version} is there, {name} {relation} {number} is needed")
    if wrong:
        return Check("packages", "fail", "; ".join(wrong), "pip install --upgrade . in this environment.")
    return Check("packages", "ok", ", ".join(found))


def descriptors(soft: int | None) -> Check:
    """How many calls the limit of open files leaves room for; soft: None where there is no such limit."""
    name = "open files"
    if soft is None:
        return Check(name, "ok", "no limit")
    calls = max(soft - ALWAYS, 0) // PER_CALL
    what = f"{soft} allowed: room for {calls} calls at a time, each with up to {PER_CALL}"
    if calls >= CALLS:
        return Check(name, "ok", what)
    return Check(name, "fail" if calls < 1 else "warn", what, "ulimit -n 4096 in this shell, then try again.")


def data_folder(data: Path, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free) -> Check:
    """Whether the data folder can be written and has room; free: bytes free where a path lies."""
    name = "data folder"
    there = data
    while not there.exists() and there != there.parent:
        there = there.parent
    elsewhere = "Name another with --data or IVR_SIM_DATA."
    if not there.is_dir():
        return Check(name, "fail", f"{data}: {there} is no folder", elsewhere)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        left = free(there)
    except OSError as error:
        return Check(name, "fail", f"{data} cannot be written: {error.strerror or error}", elsewhere)
    what = (
        f"{data} {'can be written' if data.exists() else 'can be made'}; {_size(left)} free, "
        f"{left // BYTES_PER_MINUTE // 60} hours of recorded calls"
    )
    advice = f"Make room, remove old calls in {data / 'calls'}, or name another folder with --data."
    if left < NONE_LEFT:
        return Check(name, "fail", what, advice)
    return Check(name, "warn", what, advice) if left < TIGHT else Check(name, "ok", what)


def proxies(environ: Mapping[str, str]) -> Check:
    """Whether other programs would ask a proxy for what is on this machine.

    Their names are told and not their values, which may hold passwords.
    """
    given = {name.lower(): value for name, value in environ.items() if value}
    names = [
        name for name in sorted(environ, key=str.lower) if name.lower() in PROXIES and given.get(name.lower())
    ]
    if not names:
        return Check("proxy", "ok", "none in the environment")
    what = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} set; ivr-sim asks no proxy"
    direct = "an authorizer or Openpay elsewhere must be reachable without one"
    spared = {entry.strip().lower() for entry in given.get("no_proxy", "").split(",")}
    if "*" in spared or spared.issuperset(OURS):
        return Check("proxy", "ok", f"{what}: {direct}")
    return Check(
        "proxy",
        "warn",
        f"{what}, but curl, browsers and a merchant's own client may ask it for 127.0.0.1",
        f"export NO_PROXY={','.join(OURS)} for those; {direct}.",
    )


def clock(here: datetime, merchants: datetime) -> Check:
    """The wall clock, as this machine and as the merchants' time zone has it; both aware of their zones."""
    what = (
        f"{here:%Y-%m-%d %H:%M %Z} here; cards expire by the date in {merchants.tzinfo}, "
        f"{merchants:%Y-%m-%d %H:%M}"
    )
    if here.year < NOT_BEFORE:
        return Check(
            "clock",
            "fail",
            what,
            "Set the clock (timedatectl set-ntp true): expired cards would be taken, and TLS would fail.",
        )
    if here.date() != merchants.date():
        return Check("clock", "ok", f"{what}, another day")
    return Check("clock", "ok", what)


def soft_limit() -> int | None:
    """How many files this process may have open."""
    if sys.platform == "win32":
        return None
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
