"""How calls are shown to people."""

from ivr_sim.reports.transcript import Transcript

__all__ = ["Transcript"]
