"""A YAML file as texts, lists and mappings, and the line of each part.

No scalar is typed here: YAML would read ``0130`` as 88 and ``no`` as false. Anchors and aliases are not
taken, nor deep nesting: both can make much of little, and a call is described without them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ivr_sim.harness.problem import BadScenario, Place, Problem, dotted

__all__ = ["Document", "read_document", "read_text"]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
LFS = "version https://git-lfs"
# libyaml's parser is ten times as fast, where PyYAML was built with it. Its composer is not used: it
# recurses without a limit, and a file of brackets ends the process.
LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass
class Document:
    """What a file says, as texts, lists and mappings, and the line (from 1) of each part by its place."""

    path: Path
    data: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)


def read_text(path: Path, most: int = MAX_BYTES) -> str:
    """The text of a file. Raises BadScenario: it is missing, too large, not UTF-8, or a Git LFS pointer."""
    try:
        if path.stat().st_size > most:
            raise BadScenario([Problem(path, None, "", f"larger than {most // 1024} KiB; is this the file?")])
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
        raise BadScenario([Problem(path, None, "", why)]) from error
    except UnicodeDecodeError as error:
        raise BadScenario([Problem(path, None, "", "is no text in UTF-8; save it as such")]) from error
    if text.startswith(LFS):
        raise BadScenario([Problem(path, 1, "", "a Git LFS pointer, not the file itself: run git lfs pull")])
    return text


def read_document(path: Path) -> Document:
    """Read a YAML file that is a mapping. Raises BadScenario with all that is wrong with its form."""
    text = read_text(path)
    reader = _Reader(path)
    try:
        events = yaml.parse(text, Loader=LOADER)
        data = reader.document(events)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        why = " ".join(part for part in (error.problem, error.context) if part)
        line = None if mark is None else _line(mark)
        raise BadScenario([Problem(path, line, "", f"not YAML: {why}")]) from error
    except yaml.YAMLError as error:
        raise BadScenario([Problem(path, None, "", f"not YAML: {' '.join(str(error).split())}")]) from error
    if reader.problems:
        raise BadScenario(reader.problems)
    if not isinstance(data, dict):
        what = "empty" if not data else "no mapping"
        why = f"{what}; a call is described as a mapping, which begins with version: 1"
        raise BadScenario([Problem(path, 1, "", why)])
    return Document(path, data, reader.lines)


class _Reader:
    """Makes texts, lists and mappings of a parser's events."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: dict[Place, int] = {(): 1}
        self.problems: list[Problem] = []

    def document(self, events: Any) -> Any:
        data: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._problem(event, (), "a second document begins here; a file describes one call")
                    break
                data = self._value(next(events), events, ())
        return data

    def _value(self, event: Any, events: Any, place: Place) -> Any:
        if len(place) > MAX_DEPTH:
            self._problem(event, place[:3], f"nested deeper than {MAX_DEPTH} levels")
            raise BadScenario(self.problems)
        self.lines.setdefault(place, _line(event.start_mark))
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if isinstance(event, yaml.AliasEvent):
            self._problem(event, place, "aliases (*name) are not read here; write the value out")
            return ""
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                items.append(self._value(event, events, (*place, len(items))))
            return items
        found: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._problem(
                    event, place, 'a name is due before the colon; is a text without quotes: "{key}"?'
                )
                raise BadScenario(self.problems)
            key = event.value
            there = (*place, key)
            if key in found:
                self._problem(event, there, f"written twice, first in line {self.lines[there]}")
            self.lines.setdefault(there, _line(event.start_mark))
            found[key] = self._value(next(events), events, there)
        return found

    def _problem(self, event: Any, place: Place, what: str) -> None:
        self.problems.append(Problem(self._path, _line(event.start_mark), dotted(place), what))


def _line(mark: Any) -> int:
    return int(mark.line) + 1
