"""Labels brought up to what their calls came to: the text stays as it is but for what has changed.

Of what is expected, only what is written there is brought up to date. The timeline is written once, from the
call in the recording's own time: it tells when prompts were said on the tape, which later wordings do not
change.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ivr_sim.errors import IvrSimError
from ivr_sim.harness.replay import Replayed
from ivr_sim.harness.scenario import Case, Expected

__all__ = ["NotUpdated", "as_recorded", "diff", "updated"]


class NotUpdated(IvrSimError):
    """A label that is left as it is, and why."""


def as_recorded(case: Case) -> Case:
    """The same call, of which nothing is expected: without a timeline, it is held in the tape's own time."""
    return Case(case.name, case.scenario.model_copy(update={"expect": Expected()}), case.path, case.lines)


def updated(text: str, case: Case, came: Replayed, *, accept_outcomes: bool = False) -> str:
    """The label's text as it should be after a call that was held ``as_recorded``.

    Raises NotUpdated: the call could not be run, its outcome is another one, or the label has a table.
    """
    verdict, scenario = came.verdict, case.scenario
    if verdict.verdict == "error":
        raise NotUpdated(f"{case.path}: not updated, since it could not be replayed: {verdict.reason}")
    expect = scenario.expect
    changed = expect.outcome is not None and expect.outcome != verdict.outcome
    if changed and not accept_outcomes:
        raise NotUpdated(
            f"{case.path}:{case.line_of('expect', 'outcome')}: not updated: the outcome was "
            f"{expect.outcome} and is {verdict.outcome}; --accept-outcomes takes that over"
        )
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if _at(root, "table") is not None:
        raise NotUpdated(f"{case.path}: not updated: the rows of a table expect different things")
    edits: list[tuple[int, int, str]] = []
    if changed:
        edits += _put(root, verdict.outcome or "none", "expect", "outcome")
    if expect.cause is not None and expect.cause != (came.cause or "null"):
        edits += _put(root, came.cause or "null", "expect", "cause")
    for field, wanted in expect.entries.items():
        made = list(verdict.entries.get(field, ()))
        now: Any = made[-1] if isinstance(wanted, str) and made else made
        if now != wanted:
            edits += _put(root, json.dumps(now), "expect", "entries", field)
    heard = [prompt.name for prompt in verdict.prompts]
    if not _in_order(expect.prompts, heard):
        edits += _put_list(text, root, heard, "expect", "prompts")
    for begin, end, new in sorted(edits, reverse=True):
        text = text[:begin] + new + text[end:]
    if scenario.wav is not None and not scenario.timeline and came.timeline:
        text = _with_timeline(text, came)
    return text


def diff(path: Path, before: str, after: str) -> str:
    """What changes in a file, as a unified diff; empty when nothing does."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), str(path), str(path), n=1
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def _in_order(wanted: Sequence[str], heard: Sequence[str]) -> bool:
    rest = iter(heard)
    return all(name in rest for name in wanted)


def _at(node: Any, *place: str) -> Any:
    """The node at a place, or None."""
    for name in place:
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        node = next((value for key, value in pairs if key.value == name), None)
    return node


def _put(root: Any, new: str, *place: str) -> list[tuple[int, int, str]]:
    """The edit that puts a value in the place of another."""
    node = _at(root, *place)
    return [] if node is None else [(node.start_mark.index, _end(node), new)]


def _put_list(text: str, root: Any, new: Sequence[str], *place: str) -> list[tuple[int, int, str]]:
    """The same of a list of plain words, in the style in which it is written."""
    node = _at(root, *place)
    if node is None:
        return []
    if node.flow_style or not node.value:
        return _put(root, f"[{', '.join(new)}]", *place)
    newline = "\r\n" if "\r\n" in text else "\n"
    item = newline + " " * node.start_mark.column + "- "
    return [(node.start_mark.index, _end(node), "- " + item.join(new))]


def _end(node: Any) -> int:
    """Where a node's text ends: of a block, PyYAML tells where the next one begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    index: int = node.end_mark.index
    return index


def _with_timeline(text: str, came: Replayed) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    said = [
        f"  - [{begin:.2f}, {name}{'' if end is None else f', {end:.2f}'}]"
        for begin, name, end in came.timeline
    ]
    head = text if text.endswith("\n") else text + newline
    return head + newline.join(["timeline:", *said, ""])
