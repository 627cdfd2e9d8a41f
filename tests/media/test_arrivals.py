"""Packets as they arrive: in their order, without delay where none is missing, and with tones that go on."""

import numpy as np
import pytest

from ivr_sim.media.arrivals import HOLD_TICKS, MAX_FILL, MAX_PENDING, ArrivalQueue

START = 1000


def packet(n, size=160):
    """Samples that tell which packet they are of: 10 * (n + 1) all over (0 is silence)."""
    return np.full(size, 10 * (n + 1), np.int16)


def drain(queue):
    frames = []
    while (taken := queue.take()) is not None:
        frames.append(taken)
    return frames


class Arrivals:
    """A queue, and the ticks in which packets come to it."""

    def __init__(self):
        self.queue, self.tick = ArrivalQueue(), 0

    def frames(self, *packets):
        """One tick: (number, timestamp, samples) each."""
        for number, timestamp, samples in packets:
            self.queue.put(number, timestamp, samples, self.tick)
        self.queue.settle(self.tick)
        self.tick += 1
        return drain(self.queue)

    def come(self, *numbers):
        """One tick in which these come: the numbers of what is handed on, None for silence."""
        frames = self.frames(*((n, START + 160 * n, packet(n)) for n in numbers))
        return [None if not frame.any() else int(frame[0]) // 10 - 1 for frame, _ in frames]


@pytest.fixture
def arrivals():
    arrivals = Arrivals()
    arrivals.come(0)
    return arrivals


class TestOrder:
    def test_at_once_and_in_order(self, arrivals):
        assert [arrivals.come(n) for n in range(1, 5)] == [[1], [2], [3], [4]]

    def test_what_came_in_one_tick_is_put_into_order(self, arrivals):
        assert arrivals.come(3, 1, 2) == [1, 2, 3]

    def test_a_missing_packet_is_waited_for(self, arrivals):
        assert HOLD_TICKS == 3
        assert [arrivals.come(2), arrivals.come(3), arrivals.come(1)] == [[], [], [1, 2, 3]]
        assert arrivals.come(4) == [4]

    def test_silence_for_what_does_not_come(self, arrivals):
        assert [arrivals.come(2), arrivals.come(3), arrivals.come(4)] == [[], [], []]
        assert arrivals.come(5) == [None, 2, 3, 4, 5]
        assert arrivals.come(6) == [6]

    def test_two_gaps_are_waited_for_one_after_the_other(self, arrivals):
        assert [arrivals.come(2), arrivals.come(4), arrivals.come(), arrivals.come()] == [
            [], [], [], [None, 2],
        ]  # fmt: skip
        assert arrivals.come(3) == [3, 4]

    def test_later_than_that_is_left_out(self, arrivals):
        assert [arrivals.come(2), arrivals.come(), arrivals.come(), arrivals.come()] == [
            [],
            [],
            [],
            [None, 2],
        ]
        assert arrivals.come(1) == []
        assert arrivals.come(2) == []
        assert arrivals.come(3) == [3]

    def test_a_number_that_another_kind_of_packet_had_is_not_missed(self, arrivals):
        assert arrivals.frames((1, START, np.zeros(0, np.int16))) == []
        assert arrivals.come(2) == [None, 2]

    def test_another_senders_clock_is_not_compared(self, arrivals):
        arrivals.queue.reset()
        assert arrivals.come(3_000) == [None, 3_000]  # one frame between them, to part their tones


class TestTime:
    def test_a_long_gap_is_filled_as_far_as_it_ends_any_tone(self, arrivals):
        assert arrivals.frames((1, START + 480_000, packet(1)))[-1][1] == START + 480_160
        other = Arrivals()
        other.come(0)
        frames = other.frames((1, START + 480_000, packet(1)))
        assert [bool(frame.any()) for frame, _ in frames] == [False] * (MAX_FILL // 160) + [True]

    def test_the_time_behind_a_frame(self):
        frames = Arrivals().frames((0, 5000, packet(0, 400)))
        assert not frames[0][0].any()  # a frame of silence stands before the first packet
        assert [end for _, end in frames] == [5000, 5160, 5320]

    def test_silence_of_a_starved_stream_counts(self, arrivals):
        arrivals.queue.starve()
        assert [int(end) for _, end in drain(arrivals.queue)] == [START + 320]
        assert [arrivals.come(2)] + [arrivals.come() for _ in range(3)] == [[], [], [], [2]]

    @pytest.mark.parametrize("size", [80, 240, 320, 480])
    def test_other_packet_times_are_cut_into_frames(self, size):
        arrivals, speech = Arrivals(), np.arange(1, 24001, dtype=np.int16)
        out = []
        for n in range(24000 // size):
            out += [f for f, _ in arrivals.frames((n, n * size, speech[n * size : (n + 1) * size]))]
        assert np.array_equal(np.concatenate(out)[160:], speech[: 160 * (len(out) - 1)])

    def test_a_flood_is_bounded(self):
        frames = Arrivals().frames(*((n, n * 160, packet(n)) for n in range(1000)))
        assert 40 <= len(frames) <= MAX_PENDING // 160


class TestGapsInTones:
    @pytest.mark.parametrize(("lost", "goes_on"), [((5,), True), ((5, 6), True), ((5, 6, 7), True),
                                                   ((5, 6, 7, 8), False)])  # fmt: skip
    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_a_tone_goes_on_through_a_short_one(self, tones, lost, goes_on, elsewhere):
        """elsewhere: the packets before the gap were handed on by others."""
        sound = tones("5", tone_ms=400)
        arrivals, heard = Arrivals(), []
        for n in range(20):
            part = sound[160 * n : 160 * n + 160]
            if elsewhere and 0 < n < lost[0]:
                arrivals.queue.went_on(1, part)
                heard.append(part)
            else:
                heard += [f for f, _ in arrivals.frames(*[] if n in lost else [(n, 160 * n, part)])]
        heard = np.concatenate(heard)[160:]
        gap = slice(160 * lost[0], 160 * lost[-1] + 160)
        error = heard[gap].astype(float) - sound[gap]
        noise_db = 10 * np.log10((error**2).mean() / (sound[gap].astype(float) ** 2).mean())
        assert noise_db < -20 if goes_on else not heard[gap].any()
        assert np.array_equal(heard[: gap.start], sound[: gap.start])
        assert np.array_equal(heard[gap.stop :], sound[gap.stop : len(heard)])

    def test_packets_of_10_ms_do(self, tones):
        sound = tones("5", tone_ms=400)
        arrivals, heard = Arrivals(), []
        for n in range(40):
            sent = [(n, 80 * n, sound[80 * n : 80 * n + 80])] if n not in (11, 12) else []
            heard += [frame for frame, _ in arrivals.frames(*sent)]
        assert (np.abs(np.concatenate(heard)[160:].reshape(-1, 80)).max(axis=1) > 5000).all()
