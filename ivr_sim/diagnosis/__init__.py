"""Silence explained: what does not work between a telephone and us, in plain words, as journal events."""

from ivr_sim.diagnosis.diagnosis import Diagnosis
from ivr_sim.diagnosis.findings import FINDINGS
from ivr_sim.diagnosis.line_watch import LineWatch

__all__ = ["FINDINGS", "Diagnosis", "LineWatch"]
