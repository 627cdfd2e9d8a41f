"""The report of a run for people: one HTML file that needs no network and no other file, but to be heard.

Failed calls are shown whole, as far as their artefacts are there; passed ones are a line in a table, unless
they were kept. Whatever there is to be shown, a thousand calls stay below 5 MB: past a budget, calls are told
without their charts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ivr_sim.logs import redacted
from ivr_sim.reports.artefacts import FILES, RECORDING
from ivr_sim.reports.chart import Chart, Row, read_chart
from ivr_sim.reports.picture import WAY_NAMES
from ivr_sim.reports.verdict import CallVerdict, Run

__all__ = ["write_html"]

LIMIT = 4_800_000  # bytes of the file
LEAST = 1_000_000  # of them for calls that are shown, however many there are in the table
WITH_CHARTS = 0.7  # of what is there for calls: the part of those with a chart
LINK = 30  # bytes that a link to a call adds to the table
OPEN = 5  # calls that are unfolded from the start
LONGEST = 300  # characters of one text
LEGEND = {
    "prompt": "prompt",
    "cut": "prompt cut short",
    "authorizer": "authorizer",
    "charge": "charge",
    **{way: f"key by {name}" for way, name in WAY_NAMES.items()},
    "refused": "refused",
    "sip": "SIP message",
}


def write_html(run: Run, path: Path, artefacts: Path) -> None:
    """Write the run to a file. artefacts: the folder that the calls' own are in. Raises OSError."""
    path.write_text(_page(run.shown(), path, artefacts), encoding="utf-8", errors="replace")


def _page(run: Run, path: Path, artefacts: Path) -> str:
    environment = _environment()
    counts = run.counts
    bad = counts["fail"] + counts["error"]
    verdict = "passed" if not bad else f"of {len(run.calls)} did not pass"
    title = f"{bad or len(run.calls)} {'call' if (bad or len(run.calls)) == 1 else 'calls'} {verdict}"
    if not run.calls:
        title = "no call was planned"

    def page(notes: list[str], linked: set[int], bad: list[str], good: list[str]) -> str:
        return environment.get_template("run.html").render(
            run=run,
            title=f"{title}: ivr-sim {run.command}",
            counts=counts,
            notes=notes,
            bad=Markup("".join(bad)),
            good=Markup("".join(good)),
            linked=linked,
            what=_what,
            where=_where,
            words=_words,
        )

    taken = len(page([], set(), [], []).encode("utf-8", "replace")) + LINK * len(run.calls)
    writer = _Calls(environment, path, artefacts, room=max(LIMIT - taken, LEAST))
    pages = {True: list[str](), False: list[str]()}
    linked: set[int] = set()
    # Those that did not pass come first, and have the budget.
    for number, call in sorted(enumerate(run.calls), key=lambda numbered: numbered[1].verdict == "pass"):
        passed = call.verdict == "pass"
        if passed and call.folder is None:
            continue
        text = writer.call(number, call)
        if text is not None:
            linked.add(number)
            pages[passed].append(text)
    return page(list(writer.notes()), linked, pages[False], pages[True])


@cache
def _environment() -> Environment:
    """The templates, read once."""
    environment = Environment(
        loader=PackageLoader("ivr_sim.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters["whole"] = _whole
    return environment


class _Calls:
    """Writes one call after the other, as long as there is room: so many bytes."""

    def __init__(self, environment: Environment, path: Path, artefacts: Path, *, room: int) -> None:
        self._template = environment.get_template("call.html")
        self._from = path.absolute().parent
        self._artefacts = artefacts.absolute()
        self._charts = round(room * WITH_CHARTS)
        self._without = room - self._charts
        self._written = self._plain = self._left_out = 0

    def call(self, number: int, call: CallVerdict) -> str | None:
        """A call as HTML; None where there is no room even for a short form."""
        if call.folder is not None and self._charts > 0:
            text = self._render(number, call, read_chart(self._artefacts / call.folder))
            size = len(text.encode("utf-8", "replace"))
            if size <= self._charts:
                self._charts -= size
                self._written += 1
                return text
            self._charts = 0  # in the order of the run, not whichever happens to fit
        text = self._render(number, call, None)
        size = len(text.encode("utf-8", "replace"))
        if size > self._without:
            self._without = 0
            self._left_out += 1
            return None
        self._without -= size
        self._plain += call.folder is not None
        self._written += 1
        return text

    def notes(self) -> Iterator[str]:
        """What was left out, to keep the file readable."""
        if self._plain:
            yield (
                f"{self._plain} calls are shown without their charts, to keep this file small; "
                f"what was kept of them is in {self._artefacts}."
            )
        if self._left_out:
            yield f"{self._left_out} more calls are in the table only."

    def _render(self, number: int, call: CallVerdict, chart: Chart | None) -> str:
        files = list(self._files(call))
        failure = call.failure
        broken = None if chart is None or failure is None or failure.t is None else chart.at(failure.t)
        return self._template.render(
            number=number,
            call=call,
            chart=chart,
            rows=[] if chart is None else _with_failure(chart.rows, call),
            broken=broken,
            open=self._written < OPEN and call.verdict != "pass",
            audio=dict(files).get(RECORDING),
            files=files,
            left_out=""
            if chart or call.folder is None
            else "Its chart is left out, to keep this file small.",
            legend=[] if chart is None else _legend(chart),
            what=_what(call),
            where=_where(call),
            words=_words(call),
        )

    def _files(self, call: CallVerdict) -> Iterator[tuple[str, Markup]]:
        """What was kept of a call: names, and links to it from where the report lies."""
        if call.folder is None:
            return
        for name in FILES:
            file = self._artefacts / call.folder / name
            if file.is_file():
                try:
                    link = Path(os.path.relpath(file, self._from)).as_posix()
                except ValueError:  # another drive
                    yield name, Markup(file.as_uri())
                else:
                    yield name, Markup(quote(link))


def _with_failure(rows: list[Row], call: CallVerdict) -> list[Row]:
    """The rows, with the failure in its place."""
    if call.failure is None:
        return rows
    t = call.failure.t
    told = f"fails: {call.failure.step}: expected {call.failure.expected}, heard {call.failure.heard}"
    at = len(rows) if t is None else sum((row.t or 0.0) <= t for row in rows)
    return [*rows[:at], Row(t, "verdict", told, "broken"), *rows[at:]]


def _legend(chart: Chart) -> list[tuple[str, str]]:
    spans = [span for lane in chart.lanes for level in lane.levels for span in level]
    kinds = {span.kind for span in spans} | {"cut" for span in spans if span.cut}
    return [(kind, name) for kind, name in LEGEND.items() if kind in kinds]


def _what(call: CallVerdict) -> str:
    if call.failure is not None:
        return str(call.failure)
    return call.reason or ""


def _where(call: CallVerdict) -> str:
    """Where it is written what was expected: file and line."""
    file, line = call.file, call.line
    if call.failure is not None and call.failure.file is not None:
        file, line = call.failure.file, call.failure.line
    return "" if file is None else file if line is None else f"{file}:{line}"


def _words(call: CallVerdict) -> str:
    """What a search looks into, besides the name."""
    return " ".join(filter(None, (call.outcome, _what(call), call.file)))


def _clean(value: Any) -> Any:
    """A text as it may be in the file: not too long, nothing that HTML does not take, no card number."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = redacted(value[: 2 * LONGEST])  # not cut where a number might stand
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _whole(text: str) -> Markup:
    """The same for a text that may be long."""
    lines = text.split("\n")
    return Markup("\n").join(escape(_clean(line)) for line in lines)
