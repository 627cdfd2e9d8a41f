"""A run in a terminal, and where there is none."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from ivr_sim.reports import CallVerdict, Failure, Run, RunTerminal
from ivr_sim.reports.run_terminal import MAX_SHOWN

FAILED = CallVerdict(
    "wrong", "fail", "approved", duration_s=40, wall_s=0.2, file="calls/wrong.call.yaml", line=1, seed=5,
    failure=Failure("prompt amount", "200.00", "2000.00", 12.34, "calls/wrong.call.yaml", 9), folder="wrong",
)  # fmt: skip


@pytest.fixture
def screen(tmp_path):
    """A reporter, and what it printed."""

    def make(terminal: bool = False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=100, highlight=False, color_system=None)
        return RunTerminal(console, tmp_path), out.getvalue

    return make


def hold(reporter, *calls, seed=77):
    reporter.planned(len(calls))
    for call in calls:
        reporter.finished(call)
    reporter.ended(Run("replay", datetime(2026, 11, 23, tzinfo=UTC), seed, calls))


def test_a_short_run_shows_each_call_and_the_seed(screen):
    reporter, said = screen()

    hold(reporter, CallVerdict("fine", "pass", "approved", duration_s=45.1, wall_s=0.31))

    assert said().splitlines() == [
        "pass   fine: approved, 45.1 s  [0.31 s]",
        "1 passed, 0 failed, 0 errors; seed 77",
    ]


def test_the_failure_summary_has_all_that_is_known(screen, tmp_path):
    reporter, said = screen()

    hold(reporter, FAILED, CallVerdict("gone", "error", reason="no WAV", file="b.call.yaml"))

    summary = said().split("FAILURE SUMMARY\n")[1]
    assert [line.strip() for line in summary.splitlines()] == [
        "fail  wrong",
        "step      prompt amount",
        "expected  200.00",
        "heard     2000.00",
        "at        12.34 s",
        "written   calls/wrong.call.yaml:9",
        "seed      5",
        f"kept      {tmp_path / 'wrong'}",
        "error gone",
        "reason    no WAV",
        "written   b.call.yaml",
        "",
        "0 passed, 1 failed, 1 errors; seed 77",
    ]


def test_a_long_run_shows_what_did_not_pass(screen):
    reporter, said = screen()

    hold(reporter, *(CallVerdict(f"fine-{n}", "pass") for n in range(200)), FAILED)

    assert "fine" not in said()
    assert said().startswith("201 calls\nfail   wrong: approved")


def test_very_many_failures_are_not_all_explained_twice(screen):
    reporter, said = screen()

    hold(reporter, *(CallVerdict(f"bad-{n}", "error", reason="x") for n in range(MAX_SHOWN + 7)))

    summary = said().split("FAILURE SUMMARY\n")[1]
    assert summary.count("  error bad-") == MAX_SHOWN
    assert "  and 7 more" in summary


def test_a_heartbeat_every_ten_seconds(screen):
    reporter, said = screen()
    reporter.planned(1000)
    for second in range(1, 26):
        if second == 15:
            reporter.finished(FAILED)
        reporter.beat(float(second))

    beats = [line for line in said().splitlines() if line.startswith("after")]
    assert beats == [
        "after 10 s: 0 of 1000 calls: 0 passed, 0 failed, 0 errors",
        "after 20 s: 1 of 1000 calls: 0 passed, 1 failed, 0 errors",
    ]


def test_progress_on_a_terminal(screen):
    reporter, said = screen(terminal=True)
    reporter.planned(40)
    for n in range(10):
        reporter.finished(CallVerdict(f"fine-{n}", "pass"))
    reporter.beat(0.25)

    assert "10/40" in said()
    assert "10 passed, 0 failed, 0 errors" in said()
    reporter.stop()
    reporter.stop()


def test_nothing_that_was_heard_steers_the_terminal(screen):
    reporter, said = screen()

    hold(reporter, CallVerdict("a\x1b[2J", "error", reason="b\r\nc\x07 [red]4111 1111 1111 1111[/]"))

    assert not set("\x1b\r\x07") & set(said())
    assert "1111" not in said()
    assert "[red][card number][/]" in said()


def test_no_call_at_all_is_said(screen):
    reporter, said = screen()

    hold(reporter)

    assert "no call was planned" in said()
