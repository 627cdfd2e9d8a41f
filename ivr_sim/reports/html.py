"""The report of a run for people: one HTML file that needs no network."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader

from ivr_sim.reports.verdict import Run

__all__ = ["write_html"]


def write_html(run: Run, path: Path, artefacts: Path) -> None:
    """Write the run. artefacts: the folder that the calls' own are in. Raises OSError."""
    environment = Environment(loader=PackageLoader("ivr_sim.reports"), autoescape=True)
    text = environment.get_template("run.html").render(run=run.shown())
    path.write_text(text, encoding="utf-8", errors="replace")
