"""What an ended call leaves: its stream is remembered for a while, with its counts and nothing else."""

from __future__ import annotations

import gc
import socket
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from ivr_sim.errors import LocalProtocolError
from ivr_sim.media import CODECS, PCMU
from ivr_sim.media.rtp import Packet

HERE = "127.0.0.1"


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What lives on only in circles lives on."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def phone() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HERE, 0))
        yield sock


def parts(stream: Any) -> dict[str, weakref.ref[Any]]:
    """All that a stream is made of, but its socket."""
    reception = stream._reception
    held = {
        "reception": reception,
        "playout": reception._playout,
        "concealment": reception._playout._concealment,
        "arrivals": reception._arrivals,
        "keys": reception.merger,
        "events": reception._events,
        "reports": stream.reports.control,
        "sent keys": stream._presses,
        "listener": stream._listener,
    }
    return {name: weakref.ref(part) for name, part in held.items()}


@pytest.mark.parametrize("smooth", [True, False])
def test_what_is_heavy_is_freed_at_once(no_collector, engine, ticks, listener, phone, smooth):
    stream = engine.open()
    stream.start(listener(), PCMU, phone.getsockname(), 101)
    for n in range(12):
        payload = bytes(160) if smooth or n < 11 else bytes(80)
        phone.sendto(Packet(0, n, 160 * n, 7, payload).serialise(), (HERE, stream.local_port))
        ticks(1)
    stream.press("5")
    assert stream.smooth is smooth
    before = stream.stats, stream.ticks, stream.stranger
    remembered = parts(stream)
    stream.close()
    assert {name for name, part in remembered.items() if part() is not None} == set()
    assert (stream.stats, stream.ticks, stream.stranger) == before
    assert (stream.stats.received, stream.stats.sent, stream.ticks) == (12, 12, 12)


def test_nothing_but_counts_and_names_is_left(engine, ticks, listener, phone):
    """Whatever else a stream may come to hold, it forgets it, too."""
    stream = engine.open()
    fresh = {name for name, value in vars(stream).items() if value is not None}
    stream.start(listener(), PCMU, phone.getsockname(), 101)
    ticks(3)
    stream.close()
    of_the_engine = {"_engine", "_rows", "_transmission"}
    left = {name for name, value in vars(stream).items() if value is not None} - fresh - of_the_engine
    assert left <= {"codec"}
    assert stream.codec in CODECS.values()


def test_a_closed_stream_sends_and_changes_no_more(engine, ticks, listener, phone):
    stream = engine.open()
    stream.start(listener(), PCMU, phone.getsockname(), 101)
    ticks(2)
    stream.close()
    stream.press("1")  # of a call that was hung up on meanwhile
    stream.info_key("1", 100)
    assert not stream.pressing
    with pytest.raises(LocalProtocolError, match="was closed"):
        stream.update(sending=False)
    with pytest.raises(LocalProtocolError, match="was closed before"):
        stream.start(listener(), PCMU, phone.getsockname(), 101)
    ticks(5)
    assert stream.stats.sent == 2
