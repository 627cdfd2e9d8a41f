"""The JSON report of a run: for programs, version 1, fields may be added."""

from __future__ import annotations

import json
from typing import IO

from ivr_sim.reports.verdict import Run

__all__ = ["write_json"]


def write_json(run: Run, file: IO[str]) -> None:
    """Write the run as one JSON object, see ``Run.as_json``."""
    # A file name may hold bytes that are no text.
    text = json.dumps(run.as_json(), ensure_ascii=False, indent=1)
    file.write(text.encode("utf-8", "replace").decode("utf-8") + "\n")
