"""Silence that a telephone describes instead of sending it (RFC 3389)."""

import numpy as np
import pytest

from ivr_sim.media.comfort_noise import PAYLOAD_TYPE, ComfortNoise, noise_level
from ivr_sim.media.concealment import BLEND
from ivr_sim.media.g711 import PCMU
from ivr_sim.media.jitter import PlayoutBuffer
from ivr_sim.media.reception import Reception
from ivr_sim.media.rtp import BadPacket, Packet

PEER = ("127.0.0.1", 4000)
LOUD = np.full(160, 8031, np.int16)
VOICE = PCMU.encode(LOUD)


def level(samples) -> float:
    """In dBov."""
    return 20 * np.log10(np.sqrt((samples.astype(float) ** 2).mean()) / 32767)


@pytest.mark.parametrize(
    ("payload", "dbov"),
    [(b"\x00", 0), (b"\x28", -40), (b"\x7f", -127), (b"\xc0", -64), (b"\x32more", -50)],
)
def test_the_level_of_a_payload(payload, dbov):
    assert noise_level(payload) == dbov


def test_a_payload_without_a_level_is_bad():
    with pytest.raises(BadPacket, match="0 bytes"):
        noise_level(b"")


@pytest.mark.parametrize("dbov", [-30, -50, -60])
def test_noise_has_its_level_and_does_not_repeat_itself(dbov):
    noise = ComfortNoise(dbov)
    frames = [noise.next(160) for _ in range(100)]
    assert level(np.concatenate(frames)) == pytest.approx(dbov, abs=0.3)
    assert len({frame.tobytes() for frame in frames}) == 100


def test_what_is_too_quiet_is_silence_and_the_loudest_does_not_wrap():
    assert not ComfortNoise(-127).next(800).any()
    assert np.abs(ComfortNoise(0).next(8000).astype(int)).max() == 32767


class TestPlayout:
    """A buffer that heard five packets of a voice, and then was told of silence."""

    def spoken(self) -> PlayoutBuffer:
        buffer = PlayoutBuffer()
        for n in range(5):
            buffer.put(n, 160 * n, LOUD)
            buffer.get()
        return buffer

    def test_what_was_sent_is_heard_before_it(self):
        buffer = self.spoken()
        buffer.quiet(5, -40)
        assert [(buffer.get() == LOUD).all() for _ in range(2)] == [True, True]

    def test_noise_in_the_place_of_nothing_until_the_voice_is_back(self):
        buffer = self.spoken()
        buffer.quiet(5, -40)
        frames = [buffer.get() for _ in range(52)][2:]
        assert level(np.concatenate(frames)) == pytest.approx(-40, abs=0.5)
        for n in range(3):
            buffer.put(6 + n, 160 * (55 + n), LOUD)
        first, second, third = (buffer.get() for _ in range(3))
        assert (first[BLEND:] == LOUD[BLEND:]).all()
        assert (second == LOUD).all()
        assert (third == LOUD).all()

    def test_another_level_is_heard_at_once(self):
        buffer = self.spoken()
        buffer.quiet(5, -40)
        for _ in range(10):
            buffer.get()
        buffer.quiet(6, -60)
        assert level(np.concatenate([buffer.get() for _ in range(50)])) == pytest.approx(-60, abs=0.7)

    def test_one_that_the_voice_overtook_is_nothing(self):
        buffer = self.spoken()
        buffer.put(6, 160 * 5, LOUD)
        buffer.quiet(5, -20)
        for _ in range(10):
            buffer.get()
        assert buffer.get() is None  # lost, and faded out: not made noise of

    def test_before_any_voice_there_is_none(self):
        buffer = PlayoutBuffer()
        buffer.quiet(0, -20)
        assert buffer.get() is None


class TestReception:
    def tick(self, reception, *datagrams):
        for data in datagrams:
            assert reception.datagram(data, PEER) == []
        reception.settle()
        searched = []
        while (frame := reception.tones()) is not None:
            searched.append(frame)
        return searched, reception.hear()

    def packet(self, n, payload_type=0, payload=VOICE):
        return Packet(payload_type, n, 160 * n, 7, payload).serialise()

    def test_it_is_a_packet_of_the_stream_and_no_loss(self):
        reception = Reception("127.0.0.1", PEER, 101)
        for n in range(5):
            self.tick(reception, self.packet(n))
        searched, _ = self.tick(reception, self.packet(5, PAYLOAD_TYPE, b"\x28"))
        assert [frame.any() for frame in searched] == [False]  # tones end here, noise is not searched
        heard = [self.tick(reception)[1] for _ in range(40)]
        assert level(np.concatenate(heard[2:])) == pytest.approx(-40, abs=0.5)
        assert (reception.received, reception.lost, reception.bad) == (6, 0, 0)

    def test_it_does_not_run_smoothly_before_the_voice_is_back(self):
        reception = Reception("127.0.0.1", PEER, 101)
        for n in range(5):
            self.tick(reception, self.packet(n))
        assert reception.next() is not None
        self.tick(reception, self.packet(5, PAYLOAD_TYPE, b"\x28"))
        assert reception.next() is None
        for n in range(6, 12):
            self.tick(reception, self.packet(n))
        assert reception.next() is not None
