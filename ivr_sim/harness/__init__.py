"""The harness: test caller, labels, replays of recorded calls, faults."""

from ivr_sim.harness.caller import HANG_UP, Caller, Heard, Script
from ivr_sim.harness.faults import FAULTS, LATE_SECONDS, Faults, NamedFault, late
from ivr_sim.harness.label import Label, read_label
from ivr_sim.harness.replay import CallVerdict, Replayer, find_labels

__all__ = [
    "FAULTS",
    "HANG_UP",
    "LATE_SECONDS",
    "CallVerdict",
    "Caller",
    "Faults",
    "Heard",
    "Label",
    "NamedFault",
    "Replayer",
    "Script",
    "find_labels",
    "late",
    "read_label",
]
