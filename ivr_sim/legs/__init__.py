"""Legs: one caller's connection, on the telephone or on a recording, behind the same Call."""

from ivr_sim.legs.leg_call import TICKS_PER_SECOND, LegCall, Sounds
from ivr_sim.legs.phone import PhoneLeg, Tape
from ivr_sim.legs.playback import Anchor, CallerTape, Piece, Playback
from ivr_sim.legs.recording import RecordingLeg

__all__ = [
    "TICKS_PER_SECOND",
    "Anchor",
    "CallerTape",
    "LegCall",
    "PhoneLeg",
    "Piece",
    "Playback",
    "RecordingLeg",
    "Sounds",
    "Tape",
]
