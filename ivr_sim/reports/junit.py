"""JUnit XML of a run, as GitHub's and GitLab's readers of it want it: a test case per call.

What they make of it: both know a case by its class and name, so that must be unique; GitLab links ``file``,
shows ``system-out`` and takes attachments from it, as ``[[ATTACHMENT|path]]`` below the project's folder;
GitHub's actions link ``file`` and ``line`` and show the failure's ``message``. ElementTree writes it: the
schema is a page long, and a library for it would neither mend text that XML does not take nor know of
attachments.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ivr_sim.reports.artefacts import FILES
from ivr_sim.reports.verdict import CallVerdict, Run

__all__ = ["write_junit"]

_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


def write_junit(run: Run, path: Path, artefacts: Path | None = None) -> None:
    """Write the run to a file. artefacts: the folder that the calls' own are in, for attachments.

    Raises OSError.
    """
    run = run.shown()
    counts = run.counts
    numbers = {
        "tests": str(len(run.calls)),
        "failures": str(counts["fail"]),
        "errors": str(counts["error"]),
        "skipped": "0",
        "time": _seconds(sum(call.wall_s for call in run.calls)),
    }
    root = ElementTree.Element("testsuites", {"name": "ivr-sim", **numbers})
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {
            "name": _text(f"ivr-sim {run.command}"),
            **numbers,
            "timestamp": run.started.isoformat(timespec="seconds"),
        },
    )
    _properties(suite, {"seed": run.seed, "verdict": run.verdict})
    for call in run.calls:
        _case(suite, call, run, artefacts)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _case(suite: ElementTree.Element, call: CallVerdict, run: Run, artefacts: Path | None) -> None:
    place = {"file": call.file, "line": call.line}
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {
            "classname": _text(_class(call, run)),
            "name": _text(call.name),
            "time": _seconds(call.wall_s),
            **{name: _text(str(value)) for name, value in place.items() if value is not None},
        },
    )
    _properties(
        case,
        {
            "outcome": call.outcome,
            "expected": call.expected,
            "call_seconds": _seconds(call.duration_s),
            "seed": call.seed,
            **{f"entry.{field}": ", ".join(values) for field, values in call.entries.items()},
        },
    )
    if call.verdict == "error":
        error = ElementTree.SubElement(case, "error", message=_text(call.reason or "could not be run"))
        error.text = _text(call.reason or "")
    elif call.verdict == "fail":
        failure = call.failure
        said = "failed" if failure is None else str(failure)
        told = ElementTree.SubElement(
            case, "failure", message=_text(said), type=_text(failure.step if failure else "failure")
        )
        told.text = _text("\n".join(_why(call)))
    ElementTree.SubElement(case, "system-out").text = _text("\n".join(_story(call, artefacts)))


def _class(call: CallVerdict, run: Run) -> str:
    """The folders of the call's file, with dots between, as readers group by it."""
    parts = Path(call.file).parent.parts if call.file is not None else ()
    names = [part.replace(".", "_") for part in parts if part not in (os.sep, ".", "..")]
    return ".".join([run.command, *names])


def _why(call: CallVerdict) -> Iterator[str]:
    failure = call.failure
    if failure is None:
        return
    yield f"step:     {failure.step}"
    yield f"expected: {failure.expected}"
    yield f"heard:    {failure.heard}"
    if failure.t is not None:
        yield f"at:       {failure.t:.2f} s"
    if failure.file is not None:
        yield f"written:  {failure.file}" + (f":{failure.line}" if failure.line is not None else "")


def _story(call: CallVerdict, artefacts: Path | None) -> Iterator[str]:
    yield f"outcome {call.outcome or 'none'}, expected {call.expected or 'nothing'}; {call.duration_s:.2f} s"
    for field, values in call.entries.items():
        yield f"entry {field}: {', '.join(values)}"
    for prompt in call.prompts:
        yield f"{prompt.start_s:8.2f} s  {prompt.name}" + (f" (cut by {prompt.cut})" if prompt.cut else "")
    if call.folder is not None and artefacts is not None:
        for name in FILES:
            file = artefacts / call.folder / name
            if file.is_file():
                yield f"[[ATTACHMENT|{_below(file)}]]"


def _below(file: Path) -> str:
    """The path from the working folder, where it is below that."""
    try:
        return file.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(file.resolve())


def _properties(parent: ElementTree.Element, values: dict[str, object]) -> None:
    properties = ElementTree.SubElement(parent, "properties")
    for name, value in values.items():
        if value is not None:
            ElementTree.SubElement(properties, "property", name=_text(name), value=_text(str(value)))


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _text(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
