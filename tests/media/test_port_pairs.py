"""Ports for audio and its reports: two of them or none."""

import socket

import pytest

from ivr_sim.errors import ConfigurationError
from ivr_sim.media.port_pairs import NoPortFree, PortPairs

HERE = "127.0.0.1"


def free_pair() -> int:
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((HERE, 0))
            port = probe.getsockname()[1]
            if port % 2 or port > 65000:
                continue
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind((HERE, port + 1))
            except OSError:
                continue
            return port


def closed(sockets) -> list[int]:
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def test_an_even_one_and_the_one_above():
    pairs = PortPairs(HERE, 20001, 20400)
    for _ in range(20):
        audio, reports = closed(pairs.open())
        assert audio % 2 == 0
        assert 20002 <= audio <= 20400
        assert reports == audio + 1


@pytest.mark.parametrize("which", [0, 1])
def test_a_pair_of_which_one_is_taken_is_left_alone(which):
    port = free_pair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HERE, port + which))
        with pytest.raises(NoPortFree, match=f"no UDP port free on {HERE} in {port}-{port}"):
            PortPairs(HERE, port, port).open()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((HERE, port + 1 - which))  # and nobody holds the other one


def test_the_next_pair_is_found():
    first = free_pair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HERE, first))
        for _ in range(20):
            audio, _ = closed(PortPairs(HERE, first, first + 100).open())
            assert first < audio <= first + 100


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(ConfigurationError, match=r"RTP cannot use the address 192\.0\.2\.1"):
        PortPairs("192.0.2.1", 20000, 20100).open()


def test_ipv6():
    try:
        audio, reports = PortPairs("::1", 20000, 20400).open()
    except ConfigurationError:
        pytest.skip("this machine has no IPv6")
    assert (audio.family, reports.family) == (socket.AF_INET6, socket.AF_INET6)
    closed((audio, reports))
