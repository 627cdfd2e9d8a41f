"""How calls are shown: as they happen, in the folder that each of them leaves, and as verdicts on a run."""

from ivr_sim.reports.artefacts import Artefacts, Keep, keep_call
from ivr_sim.reports.bundle import bundle, find_call
from ivr_sim.reports.call_folder import CallFolders
from ivr_sim.reports.html import write_html
from ivr_sim.reports.junit import write_junit
from ivr_sim.reports.run_json import write_json
from ivr_sim.reports.run_terminal import RunTerminal
from ivr_sim.reports.transcript import Transcript
from ivr_sim.reports.verdict import CallVerdict, Failure, PromptHeard, Reporter, Run, Verdict

__all__ = [
    "Artefacts",
    "CallFolders",
    "CallVerdict",
    "Failure",
    "Keep",
    "PromptHeard",
    "Reporter",
    "Run",
    "RunTerminal",
    "Transcript",
    "Verdict",
    "bundle",
    "find_call",
    "keep_call",
    "write_html",
    "write_json",
    "write_junit",
]
