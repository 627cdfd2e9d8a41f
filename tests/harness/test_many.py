"""A run of many calls: each that was planned has a verdict, in the order of the plan, whatever happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred

from ivr_sim.harness.many import hold_all, unreadable
from ivr_sim.harness.reading import BadScenario, find_cases
from ivr_sim.harness.scenario import Case
from ivr_sim.reports import CallVerdict


class Reporter:
    def __init__(self) -> None:
        self.names: list[str] = []

    def planned(self, number: int) -> None: ...

    def finished(self, call: CallVerdict) -> None:
        self.names.append(call.name)

    def ended(self, run) -> None: ...


@pytest.fixture
def cases(tmp_path) -> list[Case]:
    for name in "abcd":
        text = "version: 1\nseed: 5\nexpect: {outcome: rejected}\nsteps: [hang_up]\n"
        (tmp_path / f"{name}.call.yaml").write_text(text, encoding="utf-8")
    return find_cases([tmp_path])


class Holding:
    """Calls that end when they are told to."""

    def __init__(self, cases: list[Case], at_once: int) -> None:
        self.under_way: dict[str, Deferred[None]] = {}
        self.reporter = Reporter()
        self.results: list[list[CallVerdict]] = []
        run = hold_all(cases, self.hold, at_once=at_once, reporter=self.reporter)
        self.running = Deferred.fromCoroutine(run)
        self.running.addCallback(self.results.append)

    async def hold(self, case: Case) -> CallVerdict:
        self.under_way[case.name] = Deferred()
        await self.under_way[case.name]
        return CallVerdict(case.name, "pass")

    @property
    def verdicts(self) -> list[tuple[str, str]]:
        [verdicts] = self.results
        return [(verdict.name, verdict.verdict) for verdict in verdicts]


def test_so_many_at_a_time_told_as_they_finish_and_given_in_order(cases):
    held = Holding(cases, 2)
    assert list(held.under_way) == ["a", "b"]
    held.under_way["b"].callback(None)
    assert list(held.under_way) == ["a", "b", "c"]
    for name in ("c", "d", "a"):
        held.under_way[name].callback(None)
    assert held.reporter.names == ["b", "c", "d", "a"]
    assert held.verdicts == [(name, "pass") for name in "abcd"]


def test_a_call_that_breaks_is_an_error_and_costs_no_other(cases):
    held = Holding(cases, 1)
    held.under_way["a"].errback(ZeroDivisionError("4111111111111111"))
    for name in "bcd":
        held.under_way[name].callback(None)
    assert held.verdicts[:2] == [("a", "error"), ("b", "pass")]
    broken = held.results[0][0]
    assert "ZeroDivisionError" in broken.reason
    assert "4111" not in broken.reason
    assert (broken.expected, broken.seed, broken.line) == ("rejected", 5, 1)


def test_a_call_that_ends_as_if_it_was_cancelled_is_an_error_and_costs_no_other(cases):
    held = Holding(cases, 1)
    held.under_way["a"].errback(CancelledError())
    for name in "bcd":
        held.under_way[name].callback(None)
    assert [verdict for _, verdict in held.verdicts] == ["error", "pass", "pass", "pass"]


def test_interrupted_it_waits_until_calls_have_hung_up(cases):
    hung_up: Deferred[None] = Deferred()

    async def hold(case: Case) -> CallVerdict:
        try:
            await Deferred()
        finally:
            await hung_up
        raise AssertionError

    running = Deferred.fromCoroutine(hold_all(cases, hold, at_once=2, reporter=Reporter()))
    verdicts: list[CallVerdict] = []
    running.addCallback(verdicts.extend)
    running.cancel()
    assert verdicts == []
    hung_up.callback(None)
    assert [verdict.reason for verdict in verdicts] == ["interrupted before it was over"] * 4


def test_interrupted_what_is_done_stays_and_the_rest_are_errors(cases):
    held = Holding(cases, 2)
    held.under_way["a"].callback(None)
    held.running.cancel()
    assert held.verdicts == [("a", "pass"), ("b", "error"), ("c", "error"), ("d", "error")]
    assert sorted(held.reporter.names) == ["a", "b", "c", "d"]
    assert {verdict.reason for verdict in held.results[0][1:]} == {"interrupted before it was over"}


def test_no_calls_are_no_verdicts():
    assert Holding([], 4).verdicts == []


def test_files_that_cannot_be_read_are_errors_with_all_that_is_wrong(tmp_path):
    (tmp_path / "x.call.yaml").write_text("version: 9\nstep: 1\n", encoding="utf-8")
    with pytest.raises(BadScenario) as caught:
        find_cases([tmp_path, Path("none")])
    found = {verdict.name: verdict for verdict in unreadable(caught.value)}
    assert {verdict.verdict for verdict in found.values()} == {"error"}
    assert found["x"].reason.count("x.call.yaml:") > 1
    assert "does not exist" in found["none"].reason
