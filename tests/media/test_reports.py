"""Reports of calls: real sockets on loopback, on a clock that the test moves."""

import socket
from types import SimpleNamespace

import pytest

from ivr_sim.media import PCMU
from ivr_sim.media.control import Receiving, Sending
from ivr_sim.media.reports import ReportPort
from ivr_sim.media.rtcp import Goodbye, ReceiverReport, ReportBlock, parse_compound, serialise_compound
from ivr_sim.media.rtp import Packet

HERE = "127.0.0.1"


@pytest.fixture
def phone():
    """A telephone that is two sockets, the second one on the port above the first."""
    for port in range(40000, 60000, 2):
        audio, reports = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        try:
            audio.bind((HERE, port))
            reports.bind((HERE, port + 1))
        except OSError:
            audio.close()
            reports.close()
            continue
        for sock in (audio, reports):
            sock.setblocking(False)
        yield SimpleNamespace(audio=audio, reports=reports, address=(HERE, port))
        audio.close()
        reports.close()
        return


def read(sock):
    found = []
    while True:
        try:
            found.append(sock.recv(2048))
        except BlockingIOError:
            return found


def test_two_streams_report_to_each_other(two_streams, ticks):
    call = two_streams()
    ticks(50 * 15)
    for stream in (call.a, call.b):
        assert stream.stats.remote_lost == 0
        assert 0 <= stream.stats.round_trip_ms <= 40  # each side reads in its next tick
        assert stream.stats.bad == 0


def test_a_report_says_what_came_and_the_end_is_said(engine, ticks, listener, phone):
    stream = engine.open()
    stream.start(listener(), PCMU, phone.address, None)
    for n in range(400):
        if n % 4:
            phone.audio.sendto(Packet(0, n, 160 * n, 77, bytes(160)).serialise(), (HERE, stream.local_port))
        ticks(1)
    [first, *_] = read(phone.reports)
    [report, description] = parse_compound(first)
    [block] = report.blocks
    assert (block.ssrc, block.fraction_lost) == (77, pytest.approx(64, abs=3))
    assert report.packets > 40
    assert report.octets == 160 * report.packets
    assert len(description.cname) == 16
    stream.close()
    [*_, last] = read(phone.reports)
    assert parse_compound(last)[-1] == Goodbye((report.ssrc,))


def test_what_the_other_side_tells_is_known(engine, ticks, listener, phone):
    stream = engine.open()
    stream.start(listener(), PCMU, phone.address, None)
    ticks(100)
    ssrc = Packet.parse(phone.audio.recv(2048)).ssrc
    report = serialise_compound(ReceiverReport(1, (ReportBlock(ssrc, lost=7),)))
    for garbage in (b"", b"\x80", b"\xff" * 100):
        phone.reports.sendto(garbage, (HERE, stream.local_port + 1))
    phone.reports.sendto(report, (HERE, stream.local_port + 1))
    ticks(50)
    assert (stream.stats.remote_lost, stream.stats.round_trip_ms) == (7, None)


def test_a_call_that_nobody_answers_for_reports_nothing(engine, ticks, listener, phone):
    stream = engine.open()
    stream.start(listener(), PCMU, ("0.0.0.0", phone.address[1]), None)  # noqa: S104
    ticks(500)
    stream.close()
    assert read(phone.reports) == []


def test_strangers_are_not_believed(phone):
    """Off loopback: by the port alone, since any host here is this one."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HERE, 0))
    sock.setblocking(False)
    port = ReportPort(sock)
    port.start(0.0)
    told = serialise_compound(ReceiverReport(1, (ReportBlock(5, lost=7),)))
    for hosts, lost in [(("192.0.2.1",), None), ((HERE,), 7)]:
        phone.reports.sendto(told, sock.getsockname())
        port.receive(1.0, hosts, 5)
        assert port.control.remote_lost == lost
    port.close(None, 5)


def test_a_port_beyond_the_last_is_a_report_lost():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port = ReportPort(sock)
    port.start(0.0)
    port.send(100.0, (HERE, 65535), lambda: (Sending(1, 1, 1, 1), Receiving(2, 1, 0, 1, 0.0)))
    port.close((HERE, 65535), 1)
