"""The harness: test caller, labels, replays of recorded calls, faults."""

from ivr_sim.harness.caller import HANG_UP, Caller, Heard, Script
from ivr_sim.harness.faults import FAULTS, LATE_SECONDS, Faults, NamedFault, late
from ivr_sim.harness.judge import Seen, judge, unjudged
from ivr_sim.harness.reading import BadScenario, Problem, find_cases, read_scenario
from ivr_sim.harness.replay import Replayer, find_labels
from ivr_sim.harness.scenario import Case, Scenario
from ivr_sim.harness.story import Story

__all__ = [
    "FAULTS",
    "HANG_UP",
    "LATE_SECONDS",
    "BadScenario",
    "Caller",
    "Case",
    "Faults",
    "Heard",
    "NamedFault",
    "Problem",
    "Replayer",
    "Scenario",
    "Script",
    "Seen",
    "Story",
    "find_cases",
    "find_labels",
    "judge",
    "late",
    "read_scenario",
    "unjudged",
]
