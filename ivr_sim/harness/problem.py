"""What is wrong with a file that describes a call: where, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ivr_sim.errors import ConfigurationError
from ivr_sim.harness.scenario import Case, Scenario
from ivr_sim.harness.step import STEPS
from ivr_sim.harness.vocabulary import nearest, shown

__all__ = ["BadScenario", "Place", "Problem", "dotted", "problems_of"]

Place = tuple[str | int, ...]
MOST = 40  # problems that are told in full


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. line: from 1; place: such as expect.outcome, empty for the file as a whole."""

    path: Path
    line: int | None
    place: str
    what: str

    def __str__(self) -> str:
        at = f"{self.path}:{self.line}" if self.line else f"{self.path}"
        return f"{at}: {self.place}: {self.what}" if self.place else f"{at}: {self.what}"


class BadScenario(ConfigurationError):
    """Files that no call can be made of: all problems found, and the calls of the files without any."""

    def __init__(self, problems: Sequence[Problem], cases: Sequence[Case] = ()) -> None:
        told = [str(problem) for problem in problems[:MOST]]
        if len(problems) > MOST:
            told.append(f"... and {len(problems) - MOST} more")
        super().__init__("\n".join(told))
        self.problems = tuple(problems)
        self.cases = tuple(cases)


def dotted(place: Place) -> str:
    """A place as one reads it: expect.prompts[2]."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def problems_of(error: ValidationError, data: Any) -> list[tuple[Place, str]]:
    """What the model says of ``data``, by place in it, one sentence each.

    Where a value may be of several types, only what is said of the type it has is of use.
    """
    said: dict[Place, list[tuple[str, str]]] = {}
    for found in error.errors(include_url=False):
        place = _place_in(data, found["loc"], missing=found["type"] == "missing")
        said.setdefault(place, []).append((found["type"], _sentence(found, data, place)))
    best = []
    for place, sentences in said.items():
        of_use = [text for kind, text in sentences if not kind.endswith("_type")]
        best += [(place, text) for text in dict.fromkeys(of_use or [sentences[0][1]])]
    return best


def _place_in(data: Any, loc: Sequence[str | int], *, missing: bool) -> Place:
    """The place that a model's error means, without the names of types that the model puts between."""
    place: list[str | int] = []
    for at, part in enumerate(loc):
        there: Any = (
            data if isinstance(data, dict) else dict(enumerate(data)) if isinstance(data, list) else {}
        )
        if part in there:
            data = there[part]
        elif not (missing and at == len(loc) - 1):
            continue
        place.append(part)
    return tuple(place)


def _sentence(found: Any, data: Any, place: Place) -> str:
    kind, value = found["type"], found.get("input")
    match kind:
        case "value_error":
            return str(found["ctx"]["error"])
        case "missing":
            return "is missing" + (": write version: 1" if place == ("version",) else "")
        case "extra_forbidden":
            name = str(found["loc"][-1])
            return f"there is no field {shown(name)} here; {nearest(name, _fields_at(found['loc']))}"
        case "literal_error":
            words = re.findall(r"'([^']*)'", found["ctx"]["expected"])
            if words == ["1"]:
                return f"only version 1 is known, not {shown(value)}"
            return f"there is no {shown(value)} here; {nearest(str(value), words)}"
        case "union_tag_not_found" if place[0] == "timeline":
            return (
                "a prompt is [when it began, its name], and when it was over may follow: [4.31, ask_key, 6.2]"
            )
        case "union_tag_not_found":
            return _no_step(value)
        case "string_pattern_mismatch":
            return f"{shown(value)} holds what cannot stand here; letters, digits and - _ . can"
        case "string_too_short" | "too_short":
            return "is empty"
        case "finite_number":
            return f"a number is due, not {shown(value)}"
    if kind.startswith("date"):
        return f"a day is due, such as 2026-11-23, not {shown(value)}"
    if kind.endswith(("int_parsing", "float_parsing", "decimal_parsing", "int_type", "float_type")):
        return f"a number is due, not {shown(value)}"
    if kind in ("string_type", "decimal_type"):
        quotes = "; in quotes, if it begins with a brace" if isinstance(value, dict) else ""
        return f"a text is due, not {shown(value)}{quotes}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"a mapping is due (name: value), not {shown(value)}"
    if kind in ("list_type", "tuple_type"):
        return f"a list is due: [{value if isinstance(value, str) and value else '...'}]"
    told = found["msg"].removeprefix("Input should ").removeprefix("Value should ")
    return f"must {told}, not {shown(value)}"


def _no_step(value: Any) -> str:
    words = [value] if isinstance(value, str) else list(value) if isinstance(value, dict) else []
    several = [word for word in words if word in STEPS]
    if len(several) > 1:
        return f"{' and '.join(several)} are steps of their own: write each behind a dash"
    if not words:
        return f"a step is one of {', '.join(STEPS)}"
    return f"there is no step {shown(words[0])}; {nearest(str(words[0]), STEPS)}"


def _fields_at(loc: Iterable[str | int]) -> list[str]:
    """The fields that there are where one was not found."""
    steps = {model.__name__: model for model in STEPS.values()}
    model: type[BaseModel] = Scenario
    for part in loc:
        if part in steps:
            model = steps[str(part)]
        elif isinstance(part, str) and part in model.model_fields:
            inner = model.model_fields[part].annotation
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
    names = [field.alias or name for name, field in model.model_fields.items()]
    return [*names, "parameters", "table"] if model is Scenario else names
