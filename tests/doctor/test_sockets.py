"""Ports that are free, taken, or nobody's; and who has them."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from ivr_sim.doctor.sockets import Service, holder, rtp_range, service_port

HERE = "127.0.0.1"
KINDS = {"UDP": socket.SOCK_DGRAM, "TCP": socket.SOCK_STREAM}


@pytest.fixture(params=KINDS)
def taken(request) -> Iterator[tuple[str, int]]:
    with socket.socket(socket.AF_INET, KINDS[request.param]) as sock:
        sock.bind((HERE, 0))
        if request.param == "TCP":
            sock.listen()
        yield request.param, sock.getsockname()[1]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HERE, 0))
        return int(sock.getsockname()[1])


def test_a_free_port():
    port = free_port()
    check = service_port(Service("SIP", "UDP", HERE, port))
    assert (check.name, check.state, check.what) == ("port SIP", "ok", f"UDP 127.0.0.1:{port} is free")
    assert service_port(Service("SIP", "UDP", HERE, 0, True)).what == "UDP 127.0.0.1, any free port"


def test_a_taken_port(taken, tmp_path):
    transport, port = taken
    default, explicit = (
        service_port(Service("SIP", transport, HERE, port, explicit), tmp_path) for explicit in (False, True)
    )
    assert (default.state, explicit.state) == ("warn", "fail")
    assert default.what == explicit.what == f"{transport} 127.0.0.1:{port} is taken"
    assert "telephones must be given that one" in default.advice
    assert "ask for another port" in explicit.advice


def test_an_address_of_somebody_else():
    check = service_port(Service("authorizer", "TCP", "203.0.113.9", 8081))
    assert (check.state, check.what) == ("fail", "203.0.113.9 is no address of this machine")


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells")
def test_who_has_a_port(taken):
    told = holder(*taken)
    assert told is not None
    assert told.endswith(f"(process {os.getpid()})")
    assert told in service_port(Service("x", taken[0], HERE, taken[1])).what


UDP = "  sl  local_address rem_address   st tx rx tr tm retr uid to inode\n"


def process(write, number, comm, cmdline, inode):
    """A process, as /proc shows it, that has a socket open."""
    proc = write(f"{number}/comm", comm + "\n")
    write(f"{number}/cmdline", cmdline)
    (proc / str(number) / "fd").mkdir()
    (proc / str(number) / "fd" / "7").symlink_to(f"socket:[{inode}]")
    return proc


@pytest.mark.parametrize(
    ("comm", "cmdline", "name"),
    [
        ("baresip", "baresip\0-f\0/secret", "baresip"),
        ("ivr-sim", "/venv/python\0/venv/bin/ivr-sim\0serve", "ivr-sim"),
        ("python3", "python3\0-m\0ivr_sim\0serve", "python3 ivr_sim"),
        ("python3", "python3\0/opt/sip/server.py\0--password=x", "python3 server.py"),
        ("python3", "python3", "python3"),
        ("python3", "python3\0-c\0print('secret')", "python3"),
    ],
)
def test_names_without_arguments(write, comm, cmdline, name):
    write("net/udp", UDP + " 1: 0100007F:13C4 00000000:0000 07 0:0 00:0 0 0 0 777 2 0\n")
    process(write, 41, "other", "other", 776)
    proc = process(write, 42, comm, cmdline, 777)
    assert holder("UDP", 5060, proc) == f"{name} (process 42)"


def test_tables_that_tell_nothing(write, tmp_path):
    assert holder("UDP", 5060, tmp_path / "none") is None
    connected = " 1: 0100007F:13C4 00000000:0000 01 0:0 00:0 0 0 0 777 2 0\n"
    proc = write("net/udp", UDP + connected + "garbage\n\n 1: x\n")
    process(write, 42, "baresip", "baresip", 777)
    assert holder("UDP", 5060, proc) is None
    write("net/udp6", UDP + " 1: 00000000000000000000000000000000:13C4 0:0 07 0:0 00:0 0 0 0 777 2 0\n")
    assert holder("UDP", 5060, proc) == "baresip (process 42)"
    (proc / "42" / "fd" / "7").unlink()
    assert holder("UDP", 5060, proc) is None


def test_our_own_serve_is_named(taken, write):
    transport, port = taken
    state = {"UDP": "07", "TCP": "0A"}[transport]
    write(f"net/{transport.lower()}", UDP + f" 1: 0100007F:{port:04X} 0:0 {state} 0:0 0 0 0 0 777 2 0\n")
    proc = process(write, 42, "ivr-sim", "x", 777)
    check = service_port(Service("SIP", transport, HERE, port), proc)
    assert check.what.endswith("is taken by ivr-sim (process 42)")
    assert check.advice.endswith("Is ivr-sim serve running already?")


@pytest.fixture
def pair() -> Iterator[tuple[int, socket.socket]]:
    """An even port, and the socket that has it."""
    while True:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((HERE, 0))
        port = sock.getsockname()[1]
        if port % 2 == 0:
            yield port, sock
            sock.close()
            return
        sock.close()


def test_a_range_that_is_taken(pair, tmp_path):
    port, sock = pair
    assert rtp_range(HERE, port, port, tmp_path).state == "fail"
    assert rtp_range(HERE, port - 1, port + 1, tmp_path).state == "fail"
    sock.close()
    check = rtp_range(HERE, port, port, tmp_path)
    assert (check.state, check.what) == (
        "ok",
        f"UDP 127.0.0.1:{port}-{port}: 1 free of 1 tried, 1 in all",
    )


def test_a_range_half_taken(pair, tmp_path):
    port, _ = pair
    check = rtp_range(HERE, port - 2, port, tmp_path)
    assert check.state in ("warn", "fail")  # the other one may be somebody else's
    assert check.advice


def test_ranges_that_make_no_sense(tmp_path):
    assert rtp_range(HERE, 20001, 20001, tmp_path).state == "fail"
    assert rtp_range(HERE, 30000, 20000, tmp_path).state == "fail"


@pytest.mark.parametrize(
    ("kernels", "state"), [("1024\t65535\n", "warn"), ("10\t20\n", "ok"), ("odd\n", "ok")]
)
def test_the_ports_that_the_kernel_gives_away(write, kernels, state):
    port = min(free_port(), 60_000)
    port -= port % 2
    proc = write("sys/net/ipv4/ip_local_port_range", kernels)
    check = rtp_range(HERE, port, port + 199, proc)
    assert check.state == state
    assert ("outgoing ports from 1024-65535" in check.what) == (state == "warn")
