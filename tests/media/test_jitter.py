"""Packets as they are heard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.media.concealment import BLEND
from ivr_sim.media.jitter import DELAY, SPAN, PlayoutBuffer

START = 1000
WAIT = DELAY // 160  # frames of silence before the first packet is heard


def packet(n, size=160):
    """Samples that tell which packet they are of: 10 * (n + 1) all over (0 is silence)."""
    return np.full(size, 10 * (n + 1), np.int16)


def numbers(frames):
    """Which packet each frame is of; None for silence and what was made up; n + 0.5 for two blended."""
    out = []
    for frame in frames:
        if frame is not None:
            assert frame.shape == (160,)
            assert frame.dtype == np.int16
        out.append(None if frame is None else number(frame[BLEND:]))
    return out


def number(samples):
    if (samples == samples[0]).all():
        return int(samples[0]) // 10 - 1
    return int(samples[0]) // 10 - 0.5 if (np.diff(samples) >= 0).all() else None


def play(arrivals, *, start=START):
    """Arrivals: per tick a list of packets' numbers; what is heard in each tick."""
    buffer, frames = PlayoutBuffer(), []
    for tick in arrivals:
        for n in tick:
            buffer.put(n, (start + 160 * n) & 0xFFFFFFFF, packet(n))
        frames.append(buffer.get())
    return numbers(frames), buffer


class TestPlayoutBuffer:
    def test_nothing_is_heard_before_the_first_packet(self):
        buffer = PlayoutBuffer()
        assert [buffer.get() for _ in range(5)] == [None] * 5
        assert buffer.head is None

    def test_in_order(self):
        heard, buffer = play([[n] for n in range(100)])
        assert heard == [None] * WAIT + list(range(100 - WAIT))
        assert buffer.late == 0

    @pytest.mark.parametrize("start", [0, 0xFFFFFFFF, 0xFFFFFFFF - 5 * 160, 0xFFFFFF60, 159])
    def test_over_the_wrap(self, start):
        heard, _ = play([[n] for n in range(20)], start=start)
        assert heard == [None] * WAIT + list(range(20 - WAIT))

    def test_losses_have_their_place(self):
        heard, _ = play([[0], [], [2], [3], [], [], [6], [7], [8], [9]])
        assert heard == [None, None, 0, None, 2, 3, None, None, 6, 7]

    def test_order_is_restored(self):
        heard, buffer = play([[0], [2], [1], [3], [5, 4], [], [6], [7], [8]])
        assert heard == [None, None, 0, 1, 2, 3, 4, 5, 6]
        assert buffer.late == 0

    def test_doubles_are_heard_once(self):
        heard, buffer = play([[0, 0], [1], [1, 2], [3], [4, 0], [5]])
        assert heard == [None, None, 0, 1, 2, 3]
        assert buffer.late == 1  # the last copy came when its turn was over

    def test_too_late_is_dropped_when_newer_is_there(self):
        heard, buffer = play([[0], [2], [3], [4], [5, 1], [6], [7]])
        assert heard == [None, None, 0, None, 2, 3, 4]
        assert buffer.late == 1

    def test_jitter_of_40_ms_is_not_heard(self):
        arrivals = [[0], [], [1, 2], [3], [], [], [4, 5, 6], [7], [8], [9]]
        heard, _ = play(arrivals)
        assert heard == [None, None, *range(8)]

    def test_the_delay_grows_when_the_network_slows(self):
        # From packet 5 on everything comes 100 ms later.
        arrivals = [[n] for n in range(5)] + [[]] * 5 + [[n] for n in range(5, 40)]
        heard, buffer = play(arrivals)
        assert heard == [None, None, 0, 1, 2, 3, 4, None, None, None, *range(5, 40)]
        assert buffer.late == 0

    def test_the_delay_shrinks_again(self):
        # A pause of 100 ms, then all that was held up comes at once.
        arrivals = [[n] for n in range(5)] + [[]] * 9 + [list(range(5, 15))] + [[n] for n in range(15, 800)]
        heard, _ = play(arrivals)
        assert heard[-1] is not None
        assert 799 - heard[-1] <= WAIT + 3

    def test_a_sender_whose_clock_is_fast_stays_near(self):
        # 1 % fast: 101 packets in 100 ticks, for 40 s; unchecked, that would be 400 ms behind.
        arrivals, n = [], 0
        for tick in range(2000):
            count = 2 if tick % 100 == 99 else 1
            arrivals.append(list(range(n, n + count)))
            n += count
        heard, buffer = play(arrivals)
        assert n - 1 - heard[-1] <= WAIT + 4
        assert buffer.late == 0
        assert heard.count(None) == WAIT

    def test_a_sender_whose_clock_is_slow_leaves_single_holes(self):
        arrivals, n = [], 0
        for tick in range(2000):
            count = 0 if tick % 100 == 99 else 1
            arrivals.append(list(range(n, n + count)))
            n += count
        heard, buffer = play(arrivals)
        heard_numbers = [x for x in heard if x is not None]
        assert heard_numbers == list(range(len(heard_numbers)))  # none left out, none twice
        assert heard.count(None) <= 20 + WAIT
        assert buffer.late == 0

    def test_after_a_pause_the_full_delay_is_back(self):
        heard, _ = play([[n] for n in range(5)] + [[]] * 20 + [[5], [], [6, 7], [8], [9]])
        assert heard[-5:] == [None, None, 5, 6, 7]

    def test_a_jump_of_the_senders_clock_starts_anew(self):
        buffer, frames = PlayoutBuffer(), []
        for n in range(10):
            jump = 0x7000_0000 if n >= 5 else 0
            buffer.put(n, START + 160 * n + jump, packet(n))
            frames.append(buffer.get())
        assert numbers(frames)[-3:] == [5, 6, 7]

    def test_a_far_timestamp_costs_no_memory(self):
        buffer = PlayoutBuffer()
        for n, timestamp in enumerate([0, 0x7FFFFFFF, 0xFFFFFFFF, 5]):
            buffer.put(n, timestamp, packet(n))
        assert len(buffer._ring) == len(buffer._filled) == SPAN

    @pytest.mark.parametrize("size", [80, 160, 240, 320, 480])
    def test_packets_of_10_to_60_ms(self, size):
        speech = np.arange(1, 2 * SPAN + 1, dtype=np.int16)
        buffer, frames, sent = PlayoutBuffer(), [], 0
        for tick in range(80):
            while sent < (tick + 1) * 160:
                buffer.put(sent // size, START + sent, speech[sent : sent + size])
                sent += size
            frames.append(buffer.get())
        assert np.array_equal(np.concatenate(frames[WAIT:]), speech[: 160 * (80 - WAIT)])

    def test_another_sender(self):
        buffer = PlayoutBuffer()
        buffer.put(1, 1000, packet(1))
        buffer.get()
        buffer.reset()
        buffer.put(2, 77_000, packet(2))
        assert numbers(buffer.get() for _ in range(WAIT + 1)) == [None] * WAIT + [2]

    def test_an_empty_packet_is_nothing(self):
        buffer = PlayoutBuffer()
        buffer.put(0, 0, packet(0, 0))
        assert buffer.get() is None

    @settings(deadline=None)
    @given(
        st.lists(
            st.lists(
                st.tuples(st.integers(0, 90), st.integers(0, 2**32 - 1), st.integers(0, 500)), max_size=3
            ),
            max_size=30,
        )
    )
    def test_any_packets_give_frames_or_silence(self, arrivals):
        buffer = PlayoutBuffer()
        for tick in arrivals:
            for number, timestamp, size in tick:
                buffer.put(number, timestamp, packet(number, size))
            frame = buffer.get()
            assert frame is None or frame.shape == (160,)

    @settings(deadline=None)
    @given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2), min_size=1, max_size=60))
    def test_jitter_up_to_40_ms_with_any_order_is_not_heard(self, start, delays):
        arrivals = [[] for _ in range(len(delays) + 3)]
        delays[0] = 0
        for n, delay in enumerate(delays):
            arrivals[n + delay].insert(0, n)
        heard, buffer = play(arrivals, start=start)
        assert heard[WAIT : WAIT + len(delays)] == list(range(len(delays)))[: len(heard) - WAIT]
        assert buffer.late == 0
