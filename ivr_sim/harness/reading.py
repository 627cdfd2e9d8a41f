"""From files to planned calls: ``NAME.call.yaml``, its recording, its table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.scenario import SUFFIX, Case, Scenario

__all__ = ["BadScenario", "Problem", "find_cases", "read_scenario"]

MAX_BYTES = 64 * 1024
LFS = b"version https://git-lfs"
# libyaml's parser is ten times as fast, where PyYAML was built with it.
LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file, where, and what to write instead. place: expect.outcome, or empty."""

    path: Path
    line: int | None
    place: str
    what: str

    def __str__(self) -> str:
        at = f"{self.path}:{self.line}" if self.line else f"{self.path}"
        return f"{at}: {self.place}: {self.what}" if self.place else f"{at}: {self.what}"


class BadScenario(ConfigurationError):
    """Files that no call can be made of: every problem found, and the calls of the files without any."""

    def __init__(self, problems: Sequence[Problem], cases: Sequence[Case] = ()) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.cases = tuple(cases)


def read_scenario(path: Path) -> list[Case]:
    """The calls that a file plans: one, or one per row of its table. Raises BadScenario."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadScenario([Problem(path, None, "", f"larger than {MAX_BYTES} bytes; is this a label?")])
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario([Problem(path, None, "", f"cannot be read: {error}")]) from error
    except yaml.YAMLError as error:
        raise BadScenario([Problem(path, None, "", f"not YAML: {' '.join(str(error).split())}")]) from error
    lines: dict[tuple[str | int, ...], int] = {}
    data = _plain(node, (), lines)
    if not isinstance(data, dict):
        what = "a label is a mapping with version, wav, given and expect"
        raise BadScenario([Problem(path, None, "", what)])
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        raise BadScenario(
            [Problem(path, None, ".".join(map(str, e["loc"])), e["msg"]) for e in error.errors()]
        ) from error
    return [Case(scenario.name or path.name.removesuffix(SUFFIX), scenario, path, lines)]


def _plain(node: Any, place: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int]) -> Any:
    """A node as dicts, lists and texts; ``lines`` gets where each began."""
    if node is None:
        return ""
    lines.setdefault(place, node.start_mark.line + 1)
    match node:
        case yaml.MappingNode(value=items):
            found = {}
            for key, value in items:
                lines[(*place, key.value)] = key.start_mark.line + 1
                found[key.value] = _plain(value, (*place, key.value), lines)
            return found
        case yaml.SequenceNode(value=items):
            return [_plain(item, (*place, at), lines) for at, item in enumerate(items)]
    return node.value


def find_cases(paths: Iterable[Path], *, allow_unlabelled: bool = False) -> list[Case]:
    """The calls that files and folders plan, sorted within each folder.

    A WAV stands for the label beside it. Raises BadScenario.
    """
    cases: list[Case] = []
    problems: list[Problem] = []
    for path in dict.fromkeys(_files(paths, problems)):
        if path.name.endswith(SUFFIX):
            try:
                cases += read_scenario(path)
            except BadScenario as bad:
                problems += bad.problems
        elif allow_unlabelled:
            scenario = Scenario(version="1", wav=path.name)
            cases.append(Case(path.stem, scenario, path))
        else:
            problems.append(Problem(path, None, "", f"no label beside it; write {_label_of(path).name}"))
    if problems:
        raise BadScenario(problems, cases)
    return cases


def _files(paths: Iterable[Path], problems: list[Problem]) -> Iterator[Path]:
    """Labels and scenarios, and recordings that have none."""
    for path in paths:
        if path.is_dir():
            labels = {label.with_name(label.name.removesuffix(SUFFIX)) for label in path.rglob(f"*{SUFFIX}")}
            stems = labels | {wav.with_suffix("") for wav in path.rglob("*.wav")}
            if not stems:
                what = f"no recorded calls (*{SUFFIX} with its WAV) in this folder"
                problems.append(Problem(path, None, "", what))
            for stem in sorted(stems, key=str):
                yield stem.with_name(stem.name + (SUFFIX if stem in labels else ".wav"))
        elif not path.exists():
            problems.append(Problem(path, None, "", "does not exist"))
        elif path.name.endswith(SUFFIX) or not _label_of(path).exists():
            yield path
        else:
            yield _label_of(path)


def _label_of(wav: Path) -> Path:
    return wav.with_name(wav.with_suffix("").name + SUFFIX)
