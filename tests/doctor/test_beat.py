"""The beat, on a clock of the tests' own, and what its lateness means."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from ivr_sim.doctor.beat import beat, lateness


def measured(*steps: float) -> list[float]:
    """What is measured when time passes in these steps, and then millisecond by millisecond."""
    clock, results = Clock(), []
    beat(clock, 0.5).addCallback(results.append)
    for step in steps:
        clock.advance(step)
    for _ in range(1000):
        clock.advance(0.001)
    assert not clock.getDelayedCalls()
    [late] = results
    return late


def test_on_time():
    late = measured()
    assert len(late) == 26
    assert max(late) <= 0.0011
    assert lateness(late).state == "ok"


def test_a_standstill_is_caught_up():
    late = measured(0.0, 0.1)
    assert late[1] == pytest.approx(0.08)
    assert late[2] == pytest.approx(0.06)
    assert late[5] < 0.002
    check = lateness(late)
    assert check.state == "warn"
    assert "worst 80.0 ms; 15.4% more than 5 ms late" in check.what


def test_a_machine_that_cannot_keep_it():
    check = lateness(measured(*[0.09] * 10))
    assert check.state == "fail"
    assert check.advice


@pytest.mark.parametrize(
    ("late", "state"),
    [
        ([0.001] * 199 + [0.006], "ok"),
        ([0.001] * 197 + [0.006] * 3, "warn"),
        ([0.001] * 199 + [0.061], "warn"),
        ([0.001] * 99 + [0.019] * 101, "warn"),
        ([0.001] * 99 + [0.021] * 101, "fail"),
        ([], "fail"),
    ],
)
def test_how_much_is_too_much(late, state):
    assert lateness(late).state == state


def test_figures():
    assert lateness([0.001] * 98 + [0.002, 0.003]).what == (
        "100 ticks: 1.0 ms late in the median, 99 % within 3.0 ms, worst 3.0 ms; 0.0% more than 5 ms late"
    )


def test_interrupted():
    clock = Clock()
    done = beat(clock)
    failures = []
    done.addErrback(failures.append)
    clock.advance(0.021)
    done.cancel()
    assert len(failures) == 1
    assert not clock.getDelayedCalls()
