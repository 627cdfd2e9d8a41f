"""Keys through a bad network, in virtual time: every digit right, and none doubled.

    python benchmarks/media_network.py [CALLS] [--seed N]

Each call keys twenty digits, by telephone-events and by tones, through 5 % loss, 40 ms of jitter (each
packet on its own, so that one in eight overtakes another) and 2 % doubles. Exit status 1 when a call's
digits are not those that were keyed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator

import numpy as np

import dtmf
from ivr_sim.media.g711 import FRAME_SAMPLES, PCMA, PCMU
from ivr_sim.media.keys import KeyDown
from ivr_sim.media.reception import Reception
from ivr_sim.media.rtp import Packet
from ivr_sim.media.telephone_event import EventQueue, EventSender

PEER = ("127.0.0.1", 4000)
EVENTS = 101
LOSS, DOUBLES, JITTER_MS = 0.05, 0.02, 40
DIGITS = 20
SECONDS = 7
TICK_MS = 20


def through(chance: random.Random, packets: list[bytes]) -> dict[int, list[bytes]]:
    """What arrives by which tick, of one packet sent in each."""
    arrivals: dict[int, list[tuple[float, bytes]]] = {}
    for n, packet in enumerate(packets):
        for _ in range(1 + (chance.random() < DOUBLES)):
            if chance.random() >= LOSS:
                at = n * TICK_MS + chance.uniform(0, JITTER_MS)
                arrivals.setdefault(int(at // TICK_MS) + 1, []).append((at, packet))
    return {tick: [packet for _, packet in sorted(some)] for tick, some in arrivals.items()}


def keyed(chance: random.Random, digits: str, way: str) -> Iterator[bytes]:
    """The packets of a call that keys these digits, one for each tick."""
    codec = chance.choice((PCMU, PCMA))
    sequence, timestamp, ssrc = chance.randrange(65536), chance.randrange(2**32), chance.randrange(2**32)
    tone_ms, gap_ms = chance.choice([(100, 100), (120, 80), (80, 80), (160, 120)])
    lead = chance.uniform(200, 400)
    sound = np.zeros(SECONDS * 8000, np.float32)
    queue = EventQueue()
    if way == "inband":
        tones = dtmf.generate(digits, tone_ms=tone_ms, gap_ms=gap_ms, lead_ms=lead, level_dbm0=-12.0)
        sound[: len(tones)] = tones
    sound += np.random.default_rng(sequence).normal(0, 30 / 32768, len(sound)).astype(np.float32)
    frames = np.round(sound * 32767).astype(np.int16).reshape(-1, FRAME_SAMPLES)
    for tick, frame in enumerate(frames):
        if way == "rfc4733" and tick == int(lead // TICK_MS):
            for digit in digits:
                queue.put(EventSender(digit, tone_ms))
        event = queue.next(timestamp)
        if event is None:
            packet = Packet(codec.payload_type, sequence, timestamp, ssrc, codec.encode(frame))
        else:
            packet = Packet(EVENTS, sequence, event[1], ssrc, event[0], event[2])
        yield packet.serialise()
        sequence, timestamp = (sequence + 1) & 0xFFFF, (timestamp + FRAME_SAMPLES) & 0xFFFFFFFF


def heard(arrivals: dict[int, list[bytes]]) -> tuple[str, Reception]:
    """The keys that a call's receiving side makes of them."""
    reception, receiver = Reception("127.0.0.1", PEER, EVENTS), dtmf.Receiver(1)
    keys = []
    for tick in range(SECONDS * 50 + 20):
        for data in arrivals.get(tick, ()):
            keys += reception.datagram(data, PEER)
        keys += reception.settle()
        while (frame := reception.tones()) is not None:
            for event in receiver.feed(frame[None], [0]):
                if isinstance(event, dtmf.KeyDown):
                    keys += reception.tone_down(event.digit, event.start_s)
                else:
                    tone = event.tone
                    length = tone.end_s - tone.start_s
                    keys += reception.tone_up(tone.digit, length, tone.level_dbm0, tone.twist_db)
        reception.hear()
    return "".join(key.digit for key in keys if isinstance(key, KeyDown)), reception


def main() -> int:
    parser = argparse.ArgumentParser(description="Keys through a bad network, in virtual time.")
    parser.add_argument("calls", nargs="?", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    wrong = 0
    for way in ("rfc4733", "inband"):
        right = jitter = lost = late = 0
        for n in range(asked.calls):
            chance = random.Random(f"{way} {asked.seed} {n}")
            digits = "".join(chance.choice("0123456789*#") for _ in range(DIGITS))
            got, reception = heard(through(chance, list(keyed(chance, digits, way))))
            right += got == digits
            jitter += reception.jitter_ms
            lost += reception.lost
            late += reception.late
            if got != digits:
                print(f"  {way} call {n}: {len(got)} keys of {DIGITS}")
        print(
            f"{way}: {right} of {asked.calls} calls right; per call {lost / asked.calls:.1f} packets lost, "
            f"{late / asked.calls:.1f} late, jitter {jitter / asked.calls:.1f} ms"
        )
        wrong += asked.calls - right
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
