"""Legs: one caller's connection, on the telephone or on a recording, behind the same Call."""

from ivr_sim.legs.leg_call import FRAME, TICKS_PER_SECOND, LegCall, Samples, Sounds
from ivr_sim.legs.phone import PhoneLeg
from ivr_sim.legs.recording import RecordingLeg

__all__ = ["FRAME", "TICKS_PER_SECOND", "LegCall", "PhoneLeg", "RecordingLeg", "Samples", "Sounds"]
