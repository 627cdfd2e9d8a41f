"""Reports of a stream: when they leave, what they tell, and what is made of the other side's."""

import random
from itertools import pairwise

import pytest

from ivr_sim.media.control import ControlSession, Receiving, Sending
from ivr_sim.media.rtcp import (
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    parse_compound,
    serialise_compound,
)
from ivr_sim.media.rtp import BadPacket

OURS, THEIRS = 0x0A, 0x0B
NOTHING = Sending(OURS, 0, 0, 1000)


def session(seed=1, now=100.0):
    return ControlSession("ivr@127.0.0.1", now, random.Random(seed))


def due(control, sending, receiving, *, after=100.0):
    """The next report, asked for each second, and when it came."""
    for second in range(1, 20):
        if control.due(after + second):
            return parse_compound(control.report(after + second, sending, receiving)), after + second
    raise AssertionError("no report")


class TestIntervals:
    def test_they_are_those_of_the_standard(self):
        gaps = []
        for seed in range(50):
            control = session(seed)
            times = [t for t in range(101, 401) if control.due(t) and control.report(t, NOTHING, None)]
            assert times[0] <= 100 + 7.5 / 1.21828 / 2 + 1
            gaps += [b - a for a, b in pairwise(times)]
        assert 2 <= min(gaps) < max(gaps) <= 8
        # 5 s / (e - 3/2) on average, and half a second more since it is looked at once a second.
        assert sum(gaps) / len(gaps) == pytest.approx(4.6, abs=0.15)

    def test_two_sessions_do_not_keep_step(self):
        firsts = {due(session(seed), NOTHING, None)[1] for seed in range(20)}
        assert len(firsts) > 1


class TestWhatIsSent:
    def test_who_has_sent_nothing_is_a_receiver(self):
        [report, description], _ = due(session(), NOTHING, None)
        assert report == ReceiverReport(OURS)
        assert description == SourceDescription(OURS, "ivr@127.0.0.1")

    def test_who_sends_says_how_much_and_what_time_it_is(self):
        control = session()
        [report, _], now = due(control, Sending(OURS, 150, 24000, 1234), None)
        assert report == SenderReport(OURS, now * 2**32, 1234, 150, 24000)
        [report, _], _ = due(control, Sending(OURS, 150, 24000, 9999), None, after=now)
        assert report == ReceiverReport(OURS)  # on hold

    def test_losses_since_the_last_report_and_in_all(self):
        control = session()
        [report, _], now = due(control, NOTHING, Receiving(THEIRS, 75, 25, 70099, 10.0))
        assert report.blocks == (ReportBlock(THEIRS, 64, 25, 70099, 80),)
        [report, _], now = due(control, NOTHING, Receiving(THEIRS, 175, 25, 70199, 0.0), after=now)
        assert report.blocks == (ReportBlock(THEIRS, 0, 25, 70199, 0),)
        # What came late after all makes losses fewer, and no fraction below zero.
        [report, _], now = due(control, NOTHING, Receiving(THEIRS, 195, 10, 70204, 0.0), after=now)
        assert report.blocks[0].fraction_lost == 0
        # All of it lost.
        [report, _], _ = due(control, NOTHING, Receiving(THEIRS, 195, 60, 70254, 0.0), after=now)
        assert (report.blocks[0].fraction_lost, report.blocks[0].lost) == (255, 60)

    def test_the_end_is_said(self):
        reports = parse_compound(session().goodbye(OURS))
        assert reports == [
            ReceiverReport(OURS), SourceDescription(OURS, "ivr@127.0.0.1"), Goodbye((OURS,))
        ]  # fmt: skip


class TestWhatIsTold:
    def test_a_round_trip(self):
        """RFC 3550 figure 2: said at A, lies with the other for a while, is back at B."""
        ours, other = session(1), session(2, now=7000.0)  # clocks that have nothing to do with each other
        away, apart = 0.030, 6900.0
        now = 104.0
        other.receive(ours.report(now, Sending(OURS, 50, 8000, 0), None), now + away + apart, THEIRS)
        later = now + apart + 3
        answer = other.report(later, Sending(THEIRS, 0, 0, 0), Receiving(OURS, 45, 5, 50, 0.0))
        ours.receive(answer, later - apart + away, OURS)
        assert ours.round_trip_ms == pytest.approx(60, abs=0.1)
        assert ours.remote_lost == 5

    def test_no_round_trip_without_a_report_of_ours(self):
        control = session()
        control.receive(serialise_compound(ReceiverReport(THEIRS, (ReportBlock(OURS, lost=3),))), 105, OURS)
        assert (control.remote_lost, control.round_trip_ms) == (3, None)

    def test_a_report_of_another_stream_is_not_ours(self):
        control = session()
        control.receive(serialise_compound(ReceiverReport(THEIRS, (ReportBlock(77, lost=3),))), 105, OURS)
        assert control.remote_lost is None

    @pytest.mark.parametrize("delay", [0x7FFFFFFF, 0x80000000, 200 * 65536])
    def test_a_time_that_makes_no_sense_is_no_round_trip(self, delay):
        control = session()
        block = ReportBlock(OURS, last_report=100 << 16, delay=delay)
        control.receive(serialise_compound(ReceiverReport(THEIRS, (block,))), 101.0, OURS)
        assert control.round_trip_ms is None

    def test_a_way_that_rounds_to_less_than_nothing_is_none_at_all(self):
        control = session()
        block = ReportBlock(OURS, last_report=100 << 16, delay=65540)
        control.receive(serialise_compound(ReceiverReport(THEIRS, (block,))), 101.0, OURS)
        assert control.round_trip_ms == 0

    def test_more_than_was_sent_is_no_loss(self):
        control = session()
        control.receive(serialise_compound(ReceiverReport(THEIRS, (ReportBlock(OURS, lost=-2),))), 101, OURS)
        assert control.remote_lost == 0

    def test_the_delay_is_told_of_the_sender_that_is_heard(self):
        control = session()
        control.receive(serialise_compound(SenderReport(THEIRS, 5 << 32, 0, 1, 160)), 100.5, OURS)
        [report, _], now = due(control, NOTHING, Receiving(THEIRS, 1, 0, 1, 0.0))
        assert report.blocks[0].last_report == 5 << 16
        assert report.blocks[0].delay == round((now - 100.5) * 65536)
        [report, _], _ = due(control, NOTHING, Receiving(0x0C, 1, 0, 1, 0.0), after=now)
        assert (report.blocks[0].last_report, report.blocks[0].delay) == (0, 0)

    def test_garbage_is_bad(self):
        with pytest.raises(BadPacket):
            session().receive(b"\x80\x00" * 20, 101.0, OURS)
