"""Telephones as they are: clocks that are off or jump, other packet times, a new SSRC; every key is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest

import dtmf
from ivr_sim.media.g711 import PCMU
from ivr_sim.media.keys import KeyDown
from ivr_sim.media.reception import Reception
from ivr_sim.media.rtp import Packet

PEER = ("127.0.0.1", 4000)
EVENTS = 101
DIGITS = "1593570*#286"

Timed = tuple[float, bytes]  # when it comes, in ticks


class Ear:
    """A call's receiving side, from datagrams to keys."""

    def __init__(self) -> None:
        self.reception = Reception("127.0.0.1", PEER, EVENTS)
        self.keys = ""
        self.heard: list[np.ndarray] = []
        self._receiver = dtmf.Receiver(1)

    def listen(self, packets: Iterable[Timed], ticks: int) -> None:
        coming = iter([*packets, (float("inf"), b"")])
        at, data = next(coming)
        for tick in range(ticks):
            found = []
            while at <= tick:
                found += self.reception.datagram(data, PEER)
                at, data = next(coming)
            found += self.reception.settle()
            while (frame := self.reception.tones()) is not None:
                for event in self._receiver.feed(frame[None], [0]):
                    if isinstance(event, dtmf.KeyDown):
                        found += self.reception.tone_down(event.digit, event.start_s)
                    else:
                        tone = event.tone
                        length = tone.end_s - tone.start_s
                        found += self.reception.tone_up(tone.digit, length, tone.level_dbm0, tone.twist_db)
            heard = self.reception.hear()
            self.heard.append(np.zeros(160, np.int16) if heard is None else heard)
            self.keys += "".join(key.digit for key in found if isinstance(key, KeyDown))


@pytest.fixture
def ear() -> Ear:
    return Ear()


def sound(digits: str, seconds: float) -> np.ndarray:
    """Keys of 100 ms as far apart as they fit into these seconds, int16."""
    gap_ms = 1000 * (seconds - 1) / len(digits) - 100
    tones = dtmf.generate(digits, tone_ms=100, gap_ms=gap_ms, lead_ms=500, level_dbm0=-12.0)
    samples = np.zeros(round(8000 * seconds), np.int16)
    samples[: len(tones)] = np.round(tones * 32767)[: len(samples)]
    return samples


def packets(
    samples: np.ndarray, *, size: int = 160, speed: float = 1.0, first: int = 0, start: int = 0, ssrc: int = 7
) -> Iterator[Timed]:
    """Packets of so many samples each; speed: of the sender's clock, beside ours."""
    for n in range(len(samples) // size):
        part = samples[n * size : (n + 1) * size]
        timestamp = (start + n * size) & 0xFFFFFFFF
        data = Packet(0, first + n & 0xFFFF, timestamp, ssrc, PCMU.encode(part)).serialise()
        yield (n + 1) * size / 160 / speed, data


@pytest.mark.parametrize("speed", [1.001, 0.999], ids=["fast", "slow"])
def test_a_clock_that_is_a_thousandth_off_for_three_minutes(ear, speed):
    """That is 180 ms in the end: nine frames too many, or too few."""
    seconds, digits = 180, DIGITS * 5
    ear.listen(packets(sound(digits, seconds), speed=speed), round(50 * seconds / speed) + 20)
    assert ear.keys == digits
    found = dtmf.decode(np.concatenate(ear.heard), 8000)
    assert "".join(tone.digit for tone in found) == digits  # in what is heard and recorded, too
    assert all(0.08 <= tone.end_s - tone.start_s <= 0.14 for tone in found)
    assert (ear.reception.lost, ear.reception.late) == (0, 0)
    # It is heard as late at the end as at the beginning, give or take what a buffer is allowed.
    last = 500 + (len(digits) - 1) * 1000 * (seconds - 1) / len(digits)
    assert 1000 * found[-1].start_s - last / speed == pytest.approx(60, abs=60)


@pytest.mark.parametrize("size", [80, 160, 240, 320, 400, 480])
def test_packets_of_10_to_60_ms(ear, size):
    ear.listen(packets(sound(DIGITS, 6), size=size), 320)
    assert ear.keys == DIGITS
    assert "".join(tone.digit for tone in dtmf.decode(np.concatenate(ear.heard), 8000)) == DIGITS


def test_another_packet_time_in_the_midst_of_a_call(ear):
    """As after a transfer."""
    samples = sound(DIGITS, 6)
    half = 22400  # behind the sixth key
    before = list(packets(samples[:half]))
    first, last = len(before), before[-1][0]
    after = ((last + at, data) for at, data in packets(samples[half:], size=240, first=first, start=half))
    ear.listen([*before, *after], 320)
    assert ear.keys == DIGITS
    assert ear.reception.bad == ear.reception.lost == 0


@pytest.mark.parametrize("jump", [8000, -8000, 1 << 31, 12345678], ids=str)
@pytest.mark.parametrize("ssrc", [7, 8], ids=["the same SSRC", "another SSRC"])
def test_a_clock_that_jumps_between_keys(ear, jump, ssrc):
    samples = sound(DIGITS, 6)
    between = 22400  # samples: behind the sixth key
    before = list(packets(samples[:between]))
    first, last = len(before), before[-1][0]
    after = packets(samples[between:], first=first, start=between + jump, ssrc=ssrc)
    ear.listen([*before, *((last + at, data) for at, data in after)], 330)
    assert ear.keys == DIGITS
    assert "".join(tone.digit for tone in dtmf.decode(np.concatenate(ear.heard), 8000)) == DIGITS
    assert ear.reception.bad == 0


def test_header_extensions_contributors_and_padding(ear):
    """As behind a conference bridge, or an SBC that measures."""
    extended: list[Timed] = []
    for at, data in packets(sound(DIGITS, 6)):
        extension = bytes.fromhex("bede0001 10ff0000")  # RFC 8285, audio level
        header = bytes([0x80 | 0x20 | 0x10 | 2]) + data[1:12] + bytes.fromhex("00000001 00000002")
        extended.append((at, header + extension + data[12:] + bytes([0, 0, 0, 4])))
    ear.listen(extended, 320)
    assert ear.keys == DIGITS
    assert (ear.reception.received, ear.reception.bad, ear.reception.lost) == (300, 0, 0)


def test_events_and_tones_beside_each_other_are_one_key_each(ear):
    """A gateway that leaves the tones in the audio."""
    key_ms, samples = 100, sound("147", 4)
    onsets = [round(8 * (500 + n * 1000)) for n in range(3)]
    told: list[Timed] = list(packets(samples))
    number, mixed = 0, []
    for at, data in told:
        mixed.append((at, number, data))
        number += 1
        for digit, onset in zip("147", onsets, strict=True):
            since = at * 160 - onset
            if 0 < since <= 8 * key_ms + 160:
                duration = min(int(since), 8 * key_ms)
                event = bytes([int(digit), 0x80 * (duration == 8 * key_ms) | 10]) + duration.to_bytes(2)
                mixed.append((at, number, Packet(EVENTS, 0, onset, 7, event).serialise()))
                number += 1
    numbered = [(at, data[:2] + (n & 0xFFFF).to_bytes(2) + data[4:]) for at, n, data in mixed]
    ear.listen(numbered, 230)
    assert ear.keys == "147"
