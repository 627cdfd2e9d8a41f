"""From files to planned calls: ``NAME.call.yaml``, the recordings beside it, the rows of its table.

Everything that is wrong with a file is told at once, each with its line, and what is wrong with one file
does not hide the calls of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from ivr_sim.cards import luhn
from ivr_sim.harness.document import LFS, Document, read_document
from ivr_sim.harness.problem import BadScenario, Place, Problem, dotted, problems_of
from ivr_sim.harness.profile import steps_of
from ivr_sim.harness.scenario import SUFFIX, Case, Expected, Play, Press, Scenario
from ivr_sim.harness.table import Row, filled, rows_of
from ivr_sim.openpay import is_test_card

__all__ = ["BadScenario", "Problem", "find_cases", "read_scenario"]


def read_scenario(path: Path) -> list[Case]:
    """The calls that a file plans: one, or one for each row of its table. Raises BadScenario."""
    document = read_document(path)
    problems: list[Problem] = []
    cases = []
    rows = rows_of(document, problems)
    wrong: dict[Problem, list[str]] = {}
    for row in rows:
        data, unfilled = filled(document, row)
        said = list(unfilled.items())
        try:
            scenario = Scenario.model_validate(data)
        except ValidationError as error:
            said += [one for one in problems_of(error, data) if one[0] not in unfilled]
        else:
            said += _cannot_be(scenario, path.parent)
            name = scenario.name or path.name.removesuffix(SUFFIX)
            name = name if row.name is None else f"{name}[{row.name}]"
            cases.append(Case(name, scenario, path, document.lines))
        for place, what in said:
            wrong.setdefault(_problem(document, row, place, what), []).append(row.name or "")
    problems += [_in_rows(problem, names, len(rows)) for problem, names in wrong.items()]
    if problems:
        raise BadScenario(problems)
    return cases


def find_cases(paths: Iterable[Path], *, allow_unlabelled: bool = False) -> list[Case]:
    """The calls that files and folders plan, sorted within each folder; a WAV stands for its label.

    A call is named after its file, below the folder that was given: ``NAME``, or ``sub/NAME``; where several
    folders are given, with the folder's own name before it: ``calls/NAME``.

    Raises BadScenario with every problem, whose ``cases`` are the calls that can be held nevertheless: a file
    that cannot be read; a recording without a label, unless that is allowed, and a label without its
    recording; a folder without calls; two calls of one name.
    """
    cases: dict[str, Case] = {}
    problems: list[Problem] = []
    for path, prefix in _files(list(paths), problems):
        try:
            found = _calls(path, allow_unlabelled=allow_unlabelled)
        except BadScenario as bad:
            problems += bad.problems
            continue
        for case in found:
            named = Case(prefix + case.name, case.scenario, case.path, case.lines)
            earlier = cases.setdefault(named.name, named)
            if earlier is not named:
                what = f"a second call named {named.name}; the first is in {earlier.path}"
                line = named.line_of("name") if named.labelled else None
                problems.append(Problem(path, line, "", f"{what}; give one another name"))
    if problems:
        raise BadScenario(problems, list(cases.values()))
    return list(cases.values())


def _calls(path: Path, *, allow_unlabelled: bool) -> list[Case]:
    if path.name.endswith(SUFFIX):
        return read_scenario(path)
    wrong = _unusable(path)
    if not wrong and allow_unlabelled:
        return [Case(path.stem, Scenario(version="1", wav=path.name), path)]
    what = wrong or f"no label beside it; write {_label_of(path).name}"
    raise BadScenario([Problem(path, None, "", what)])


def _files(paths: Sequence[Path], problems: list[Problem]) -> Iterator[tuple[Path, str]]:
    """Labels, scenarios, and recordings that have none; and what comes before their names."""
    seen: set[Path] = set()
    several = sum(path.is_dir() for path in paths) > 1
    for path in paths:
        found: list[tuple[Path, str]] = []
        if path.is_dir():
            own = f"{path.resolve().name}/" if several else ""
            found = [(file, own + _below(file, path)) for file in _in_folder(path)]
            if not found:
                what = f"no calls in this folder: neither *{SUFFIX} nor *.wav"
                problems.append(Problem(path, None, "", what))
        elif not path.exists():
            problems.append(Problem(path, None, "", "does not exist"))
        elif path.suffix.lower() == ".wav":
            found = [(_label_of(path) if _label_of(path).exists() else path, "")]
        elif path.name.endswith(SUFFIX):
            found = [(path, "")]
        else:
            what = f"neither a recording (*.wav) nor a label or scenario (*{SUFFIX})"
            problems.append(Problem(path, None, "", what))
        for file, prefix in found:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file, prefix


def _in_folder(folder: Path) -> list[Path]:
    """The labels and scenarios in a folder, and the recordings that none of them may be about."""
    labels = {_stem(label): label for label in folder.rglob(f"*{SUFFIX}")}
    recordings = {wav.with_suffix(""): wav for wav in folder.rglob("*.[wW][aA][vV]")}
    unlabelled = {stem: wav for stem, wav in recordings.items() if stem not in labels}
    if unlabelled:
        # A recording may be named by a label that is called otherwise, or be played by a step.
        told = {folder: _mentioned(label for label in labels.values() if label.parent == folder)
                for folder in {wav.parent for wav in unlabelled.values()}}  # fmt: skip
        unlabelled = {s: wav for s, wav in unlabelled.items() if wav.name not in told[wav.parent]}
    both = labels | unlabelled
    return [both[stem] for stem in sorted(both, key=str)]


def _mentioned(labels: Iterable[Path]) -> set[str]:
    names: set[str] = set()
    for label in labels:
        try:
            names |= {
                Path(name).name for case in read_scenario(label) for _, name in _recordings(case.scenario)
            }
        except BadScenario:
            continue  # told when its turn comes
    return names


def _below(file: Path, folder: Path) -> str:
    inner = file.parent.relative_to(folder).as_posix()
    return "" if inner == "." else f"{inner}/"


def _stem(label: Path) -> Path:
    return label.with_name(label.name.removesuffix(SUFFIX))


def _label_of(wav: Path) -> Path:
    return wav.with_name(wav.stem + SUFFIX)


def _problem(document: Document, row: Row, place: Place, what: str) -> Problem:
    """A problem of one call, at its line; where a row of a table gave the value, at that row's."""
    if len(place) == 2 and place[0] == "given" and place[1] in row.values and row.name is not None:
        return Problem(row.path, row.line, dotted(place), what)
    where = place
    while where and where not in document.lines:
        where = where[:-1]
    return Problem(document.path, document.lines[where], dotted(place), what)


def _in_rows(problem: Problem, names: list[str], rows: int) -> Problem:
    """A problem with the rows that have it, unless all do."""
    if len(names) == rows and (rows > 1 or not names[0]):
        return problem
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return replace(problem, what=f"{problem.what} (row {names[0]}{more})")


def _cannot_be(scenario: Scenario, folder: Path) -> Iterator[tuple[Place, str]]:
    """What the model does not say: what a call in a file needs, and that its recordings are there."""
    if scenario.expect == Expected():
        yield ("expect",), "nothing is expected, so that nothing can fail: write outcome at the least"
    if scenario.wav is not None and scenario.recorded_on is None:
        yield ("recorded_on",), "is missing: a recording needs the day of its call, such as 2026-11-23"
    if scenario.wav is None and scenario.timeline:
        yield ("timeline",), "belongs to a recording (wav)"
    began = [prompt[0] for prompt in scenario.timeline]
    for at, (before, after) in enumerate(pairwise(began), 1):
        if after < before:
            yield ("timeline", at), f"{after:g} comes after {before:g}: prompts stand in the order they began"
    for place, name in _recordings(scenario):
        path = folder / name
        if not path.is_file():
            near = get_close_matches(name, [wav.name for wav in folder.glob("*.wav")], n=1)
            yield place, f"{path} does not exist" + (f"; did you mean {near[0]}?" if near else "")
        elif wrong := _unusable(path):
            yield place, f"{path}: {wrong}"
    for at, step in enumerate(scenario.steps):
        if isinstance(step, Press) and _real_cards(step.press):
            yield (
                ("steps", at, "press"),
                ("the number of a card that is no test card; name one in given.card and press {card_number}"),
            )
    try:
        steps_of(scenario)
    except ValueError as wrong_at:
        yield ("caller", "at"), str(wrong_at)


def _recordings(scenario: Scenario) -> Iterator[tuple[Place, str]]:
    if scenario.wav is not None:
        yield ("wav",), scenario.wav
    for at, step in enumerate(scenario.steps):
        if isinstance(step, Play):
            yield ("steps", at, "play"), step.play


def _unusable(wav: Path) -> str:
    """Why a file is no recording, as far as its first bytes tell; empty if it may be one."""
    with wav.open("rb") as file:
        head = file.read(64)
    if head.startswith(LFS.encode()):
        return "a Git LFS pointer, not the recording itself: run git lfs pull"
    return "" if head else "is empty"


def _real_cards(keys: str) -> bool:
    numbers = [run for run in re.findall(r"\d+", keys) if 13 <= len(run) <= 19]
    return any(luhn(number) and not is_test_card(number) for number in numbers)
