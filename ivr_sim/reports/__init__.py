"""How calls are shown to people: as they happen, and in the folder that each of them leaves."""

from ivr_sim.reports.bundle import bundle, find_call
from ivr_sim.reports.call_folder import CallFolders
from ivr_sim.reports.transcript import Transcript

__all__ = ["CallFolders", "Transcript", "bundle", "find_call"]
