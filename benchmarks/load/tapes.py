"""What a caller of the load generator sends: whole calls of RTP packets, made before the call.

A plan says for each step of 5 ms which packets leave in it. A bad network is part of the plan: packets are
left out, sent later, behind their successors, or twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

import dtmf
from ivr_sim.media import PCMU
from ivr_sim.media.telephone_event import KEYS

__all__ = ["STEPS", "Network", "key_times", "plan"]

STEPS = 4  # of 5 ms in a packet's 20 ms
FRAME = 160
TONE, PAUSE = 5, 5  # packets of a key and of the pause behind it: 100 ms each
FIRST_KEY = 50  # packets before the first key: a second
EVENTS = 101  # payload type
ENDS = 3  # end packets of an event (RFC 4733 section 2.5.1.4)
NOISE = -55.0  # dBm0, all along


@dataclass(frozen=True)
class Network:
    """What happens to RTP packets on the way: shares of 1, and ms of jitter, spread evenly."""

    loss: float = 0.0
    jitter_ms: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0

    @property
    def bad(self) -> bool:
        """Whether anything happens at all."""
        return bool(self.loss or self.jitter_ms or self.reorder or self.duplicate)


def key_times(keys: str) -> list[tuple[int, str]]:
    """When each key is pressed: packets since the answer."""
    return [(FIRST_KEY + n * (TONE + PAUSE), key) for n, key in enumerate(keys)]


def plan(keys: str, by: str, packets: int, chance: Random, network: Network) -> list[Sequence[bytes]]:
    """A call's packets: for each step of 5 ms those that leave in it.

    keys: pressed from one second on, as tones (inband) or as events (rfc4733); otherwise (info) they are
    none of the media's. packets: how many of 20 ms the call lasts.
    """
    rng = np.random.default_rng(chance.getrandbits(32))
    sound = rng.standard_normal(packets * FRAME) * 32768 * 10 ** ((NOISE - 6.15) / 20)
    if by == "inband":
        for at, key in key_times(keys):
            tone = 32767 * dtmf.generate(key, tone_ms=20 * TONE, gap_ms=0)
            sound[at * FRAME : at * FRAME + len(tone)] += tone
    rows = np.zeros((packets, 12 + FRAME), np.uint8)
    rows[:, 0] = 0x80
    sequence = (chance.getrandbits(16) + np.arange(packets)) % 65536
    start = chance.getrandbits(32)
    stamps = (start + FRAME * np.arange(packets)) % 2**32
    rows[:, 2:4] = sequence.astype(">u2").view(np.uint8).reshape(-1, 2)
    rows[:, 4:8] = stamps.astype(">u4").view(np.uint8).reshape(-1, 4)
    rows[:, 8:12] = np.frombuffer(chance.randbytes(4), np.uint8)
    rows[:, 12:] = PCMU.encode_array(np.round(sound).astype(np.int16)).reshape(packets, FRAME)
    whole = rows.tobytes()
    size = 12 + FRAME
    sent = [whole[n * size : (n + 1) * size] for n in range(packets)]
    if by == "rfc4733":
        for at, key in key_times(keys):
            stamp = sent[at][4:8]
            for n in range(TONE + ENDS):
                head = sent[at + n][:1] + bytes([EVENTS | (0x80 if n == 0 else 0)])
                ended = n >= TONE
                duration = FRAME * min(n + 1, TONE)
                event = bytes([KEYS.index(key), 10 | (0x80 if ended else 0)]) + duration.to_bytes(2)
                sent[at + n] = head + sent[at + n][2:4] + stamp + sent[at + n][8:12] + event
    if not network.bad:
        return [(packet,) for packet in sent]
    steps: list[list[bytes]] = [[] for _ in range((packets + 4) * STEPS)]
    for n, packet in enumerate(sent):
        lost, late, swapped, doubled = (chance.random() for _ in range(4))
        if lost < network.loss:
            continue
        step = n * STEPS + round(late * network.jitter_ms / 5)
        if swapped < network.reorder:
            step += STEPS + 1
        step = min(step, len(steps) - 1)
        steps[step] += [packet] * (2 if doubled < network.duplicate else 1)
    return list(steps)
