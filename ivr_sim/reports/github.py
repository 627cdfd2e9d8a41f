"""A run for GitHub Actions: annotations at the line of the scenario, and the step's summary.

GitHub shows ten error annotations of a step and drops the others, and refuses a summary of more than 1 MiB,
all that the step wrote before included. A name or a reason may hold anything, so what would begin a command
or end a cell is escaped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ivr_sim.reports.verdict import CallVerdict, Run

__all__ = ["error_annotations", "write_step_summary"]

MAX_ANNOTATIONS = 10
MAX_SUMMARY = 1024 * 1024
MARKS = {"pass": "✅", "fail": "❌", "error": "⚠️"}


def error_annotations(run: Run, workspace: Path) -> Iterator[str]:
    """The workflow commands to be printed, a line each: where each call fails, ten at most.

    workspace: the root of the repository, from which paths count.
    """
    run = run.shown()
    bad = [call for call in run.calls if call.verdict != "pass"]
    shown = bad if len(bad) <= MAX_ANNOTATIONS else bad[: MAX_ANNOTATIONS - 1]
    for call in shown:
        failure = call.failure
        said = str(failure) if failure is not None else call.reason or "could not be run"
        file, line = call.file, call.line
        if failure is not None and failure.file is not None:
            file, line = failure.file, failure.line
        yield _command(said, file=_from(file, workspace), line=line, title=f"{call.verdict}: {call.name}")
    if len(bad) > len(shown):
        yield _command(
            f"{len(bad) - len(shown)} more calls did not pass; the step's summary names them",
            title=f"{len(bad)} of {len(run.calls)} calls",
        )


def write_step_summary(run: Run, path: Path) -> None:
    """Append the run to the file that GITHUB_STEP_SUMMARY names, in Markdown. Raises OSError."""
    try:
        room = MAX_SUMMARY - path.stat().st_size
    except FileNotFoundError:
        room = MAX_SUMMARY
    text = _summary(run.shown(), room)
    with path.open("ab") as file:
        file.write(text)


def _summary(run: Run, room: int) -> bytes:
    counts = run.counts
    lines = [
        f"### {MARKS[run.verdict]} ivr-sim {run.command}: {run.verdict}",
        "",
        "| passed | failed | errors | seed |",
        "|---:|---:|---:|---:|",
        f"| {counts['pass']} | {counts['fail']} | {counts['error']} | {run.seed} |",
        "",
    ]
    bad = [call for call in run.calls if call.verdict != "pass"]
    if bad:
        lines += ["| call | step | expected | heard | at | written |", "|---|---|---|---|---:|---|"]
    return _fitting(lines, [_row(call) for call in bad], room)


def _fitting(head: Sequence[str], rows: Sequence[str], room: int) -> bytes:
    """As many rows as there is room for, and how many there are besides."""
    text = "\n".join(head).encode() + b"\n"
    more = "\nand {} more calls that did not pass; the JSON and HTML reports have them all\n"
    reserve = len(more.encode()) + 10
    if len(text) > room:
        return b""
    for n, row in enumerate(rows):
        line = row.encode("utf-8", "replace") + b"\n"
        if len(text) + len(line) + (reserve if n + 1 < len(rows) else 1) > room:
            return text + more.format(len(rows) - n).encode() if len(text) + reserve <= room else text
        text += line
    return text + b"\n" if len(text) < room else text


def _row(call: CallVerdict) -> str:
    failure = call.failure
    file, line = call.file, call.line
    if failure is not None and failure.file is not None:
        file, line = failure.file, failure.line
    where = "" if file is None else file + ("" if line is None else f":{line}")
    cells: Sequence[str]
    if failure is not None:
        at = "" if failure.t is None else f"{failure.t:.2f} s"
        cells = (failure.step, failure.expected, failure.heard, at)
    else:
        cells = ("", "", call.reason or "could not be run", "")
    return (
        "| "
        + " | ".join(_cell(cell) for cell in (f"{MARKS[call.verdict]} {call.name}", *cells, where))
        + " |"
    )


def _cell(text: str) -> str:
    """Text as Markdown shows it, on one line, not longer than a cell should be."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    if len(plain) > 300:
        plain = plain[:299] + "…"
    # Numeric references: in a table's cell, neither HTML nor Markdown nor a mention of a user sees a sign.
    return re.sub(r"[\\`*_{}\[\]<>()#+!|&~@$]", lambda sign: f"&#{ord(sign[0])};", plain)


def _from(file: str | None, workspace: Path) -> str | None:
    """The path as GitHub knows it, from the repository's root; as it is where it lies elsewhere."""
    if file is None:
        return None
    try:
        return Path(os.path.abspath(file)).relative_to(workspace.absolute()).as_posix()
    except ValueError:
        return file


def _command(message: str, *, title: str, file: str | None = None, line: int | None = None) -> str:
    values = {"file": file, "line": line, "title": title}
    properties = ",".join(f"{k}={_property(str(v))}" for k, v in values.items() if v is not None)
    return f"::error {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
