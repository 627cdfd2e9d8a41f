"""The doctor: whether this machine carries calls, and what to do where it does not."""

from ivr_sim.doctor.check import Check, State
from ivr_sim.doctor.examination import examine

__all__ = ["Check", "State", "examine"]
