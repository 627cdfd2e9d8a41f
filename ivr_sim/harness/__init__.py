"""The harness: recorded calls and scenarios, held in virtual time or placed over SIP, and judged; faults."""

from ivr_sim.harness.caller import HANG_UP, Caller, Heard, Script
from ivr_sim.harness.converse import Conversation, caller_of, converse
from ivr_sim.harness.elsewhere import Account, Elsewhere, elsewhere
from ivr_sim.harness.fault_network import lossy, rtp_through, sip_reactor
from ivr_sim.harness.fault_services import way_to_authorizer, way_to_openpay
from ivr_sim.harness.faults import FAULTS, Faults, NamedFault, check_faults
from ivr_sim.harness.judge import Seen, judge, unjudged
from ivr_sim.harness.many import hold_all, unreadable
from ivr_sim.harness.place import Placer
from ivr_sim.harness.reading import BadScenario, Problem, find_cases, read_scenario
from ivr_sim.harness.record import CallRecorder, Recorded
from ivr_sim.harness.replay import Manner, Replayed, Replayer
from ivr_sim.harness.scenario import Case, Scenario
from ivr_sim.harness.script import ScriptedCaller
from ivr_sim.harness.story import Story
from ivr_sim.harness.visit import Visitor

__all__ = [
    "FAULTS",
    "HANG_UP",
    "Account",
    "BadScenario",
    "CallRecorder",
    "Caller",
    "Case",
    "Conversation",
    "Elsewhere",
    "Faults",
    "Heard",
    "Manner",
    "NamedFault",
    "Placer",
    "Problem",
    "Recorded",
    "Replayed",
    "Replayer",
    "Scenario",
    "Script",
    "ScriptedCaller",
    "Seen",
    "Story",
    "Visitor",
    "caller_of",
    "check_faults",
    "converse",
    "elsewhere",
    "find_cases",
    "hold_all",
    "judge",
    "lossy",
    "read_scenario",
    "rtp_through",
    "sip_reactor",
    "unjudged",
    "unreadable",
    "way_to_authorizer",
    "way_to_openpay",
]
