"""Containers, WSL and firewalls, by a file system that looks like theirs."""

from __future__ import annotations

import pytest

from ivr_sim.doctor.surroundings import firewall, isolation
from ivr_sim.settings import Settings

HERE, LAN = Settings(), Settings(lan=True)


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
        ("run/systemd/container", "lxc\n", "lxc"),
        ("proc/1/cgroup", "0::/kubepods/besteffort/pod1\n", "kubepods"),
        ("proc/1/cgroup", "12:cpu:/docker/abc\n", "docker"),
    ],
)
def test_containers(write, path, text, kind):
    check = isolation(LAN, 5060, write(path, text))
    assert check.state == "warn"
    assert f"a container ({kind})" in check.what
    assert "-p 5060:5060/udp -p 16384-16583:16384-16583/udp), with IVR_SIM_RTP_LAST=16583" in check.advice


def test_a_container_with_a_small_range(write):
    check = isolation(Settings(rtp_first=20000, rtp_last=20099), 5070, write(".dockerenv"))
    assert "-p 5070:5070/udp -p 20000-20099:20000-20099/udp), and start" in check.advice


def test_neither(write):
    assert isolation(LAN, 5060, write("proc/1/cgroup", "0::/init.scope\n")).state == "ok"


@pytest.mark.parametrize(
    ("release", "state"),
    [
        ("5.15.153.1-microsoft-standard-WSL2", "warn"),
        ("4.4.0-19041-Microsoft", "ok"),
        ("6.8.0-45-generic", "ok"),
    ],
)
def test_wsl(write, release, state):
    root = write("proc/sys/kernel/osrelease", release + "\n")
    check = isolation(HERE, 5060, root)
    assert check.state == state
    assert ("networkingMode=mirrored" in check.advice) == (state == "warn")
    assert ("(not given)" in check.what) == (state == "warn")
    assert "(not given)" not in isolation(LAN, 5060, root).what


def only(*tools):
    return lambda tool: f"/usr/sbin/{tool}" if tool in tools else None


@pytest.mark.parametrize(
    ("tools", "path", "text", "state", "advice"),
    [
        (
            ("ufw", "iptables"),
            "etc/ufw/ufw.conf",
            "#x\nENABLED=yes\n",
            "warn",
            "sudo ufw allow 16384:32766/udp",
        ),
        (("ufw",), "etc/ufw/ufw.conf", "ENABLED=no\n", "ok", "let in UDP 5060 and 16384-32766"),
        (("firewall-cmd",), "run/firewalld/x", "", "warn", "--add-port=5060/udp --add-port=16384-32766/udp"),
        (("firewall-cmd", "nft"), "run/else", "", "ok", "let in UDP 5060"),
        ((), "etc/ufw/ufw.conf", "ENABLED=yes\n", "ok", ""),
    ],
)
def test_firewalls_of_linux(write, tools, path, text, state, advice):
    check = firewall(LAN, 5060, root=write(path, text), which=only(*tools), system="linux")
    assert check.state == state
    assert advice in check.advice
    if tools and state == "ok":
        assert f"whether {' or '.join(tools)} has rules" in check.what


def test_firewalls_elsewhere(tmp_path):
    assert firewall(LAN, 5060, root=tmp_path, system="win32").state == "warn"
    assert "macOS" in firewall(LAN, 5060, root=tmp_path, system="darwin").what


def test_on_loopback_no_firewall_matters(write):
    root = write("etc/ufw/ufw.conf", "ENABLED=yes\n")
    assert firewall(HERE, 5060, root=root, which=only("ufw"), system="linux").state == "ok"
