"""The harness: test caller, labels, replays of recorded calls, faults."""

from ivr_sim.harness.caller import HANG_UP, Caller, Heard, Script
from ivr_sim.harness.fault_network import lossy, rtp_through, sip_reactor
from ivr_sim.harness.fault_services import way_to_authorizer, way_to_openpay
from ivr_sim.harness.faults import FAULTS, Faults, NamedFault, check_faults
from ivr_sim.harness.judge import Seen, judge, unjudged
from ivr_sim.harness.reading import BadScenario, Problem, find_cases, read_scenario
from ivr_sim.harness.replay import Manner, Replayed, Replayer
from ivr_sim.harness.scenario import Case, Scenario
from ivr_sim.harness.story import Story

__all__ = [
    "FAULTS",
    "HANG_UP",
    "BadScenario",
    "Caller",
    "Case",
    "Faults",
    "Heard",
    "Manner",
    "NamedFault",
    "Problem",
    "Replayed",
    "Replayer",
    "Scenario",
    "Script",
    "Seen",
    "Story",
    "check_faults",
    "find_cases",
    "judge",
    "lossy",
    "read_scenario",
    "rtp_through",
    "sip_reactor",
    "unjudged",
    "way_to_authorizer",
    "way_to_openpay",
]
