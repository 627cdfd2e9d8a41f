"""The schema for editors takes what the reader takes, and marks what it refuses."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from ivr_sim.harness.schema import schema

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "fixtures").rglob("*.call.yaml"))
SCHEMA = schema()
TYPES = {"string": str, "number": int | float, "integer": int, "boolean": bool, "array": list, "object": dict}


def fits(value: Any, part: dict[str, Any]) -> bool:
    """Whether a value fits a schema, as far as ours go; a keyword that is not known here is an error."""
    rules = {
        "$ref": lambda name: fits(value, SCHEMA["$defs"][name.removeprefix("#/$defs/")]),
        "anyOf": lambda parts: any(fits(value, one) for one in parts),
        "const": lambda const: value == const,
        "enum": lambda words: value in words and not isinstance(value, bool),
        "type": lambda kinds: _is(value, kinds),
        "required": lambda names: all(name in value for name in names),
        "properties": lambda inner: all(
            fits(value[name], inner[name]) for name in inner.keys() & value.keys()
        ),
        "additionalProperties": lambda rest: all(
            rest is not False and (rest is True or fits(value[name], rest))
            for name in value.keys() - part.get("properties", {}).keys()
        ),
        "items": lambda inner: all(fits(one, inner) for one in value),
        "prefixItems": lambda inner: all(fits(*pair) for pair in zip(value, inner, strict=False)),
        "minItems": lambda least: len(value) >= least,
        "maxItems": lambda most: len(value) <= most,
        "minLength": lambda least: not isinstance(value, str) or len(value) >= least,
        "maxLength": lambda most: not isinstance(value, str) or len(value) <= most,
        "pattern": lambda pattern: not isinstance(value, str) or re.search(pattern, value) is not None,
        "minimum": lambda least: value >= least,
        "exclusiveMinimum": lambda least: value > least,
        "maximum": lambda most: value <= most,
        "exclusiveMaximum": lambda most: value < most,
        "format": lambda name: name == "date" and date.fromisoformat(value) is not None,
    }
    ordered = sorted(part.keys() - {"$schema", "$defs", "title", "description", "default"}, key=_order)
    return all(rules[word](part[word]) for word in ordered)


def _order(word: str) -> bool:
    return word not in ("type", "enum", "const")


def _is(value: Any, kinds: str | list[str]) -> bool:
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return any(isinstance(value, TYPES[k]) and (not isinstance(value, bool) or k == "boolean") for k in kinds)


def as_an_editor_reads(text: str) -> Any:
    """YAML as JSON has it: with types, and days as texts."""
    return json.loads(json.dumps(yaml.safe_load(text), default=date.isoformat))


def test_there_are_files_to_check():
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_ours_fits(path):
    assert fits(as_an_editor_reads(path.read_text(encoding="utf-8")), SCHEMA)


GOOD = """\
version: 1
parameters: {pause: 1.5}
table: [{name: 1, amount: 200.5}, {card: [visa-lost, visa-approved], key: "1234"}]
steps: [{hear: ask_key, for: 0.5}, {press: 1}, {press: "{key}#", by: info}, {wait: "{pause}"}, hang_up]
expect: {outcome: "{outcome}", entries: {accept: [1]}, journal: [{event: CallEnded, by: ivr}]}
timeline: [[0, welcome], ["1.5", amount, 3]]
"""


def test_texts_may_be_numbers_and_anything_a_placeholder():
    assert fits(as_an_editor_reads(GOOD), SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        ("version: 1", "version: 2"), ("version: 1\n", ""), ("steps:", "setps:"),
        ("hear: ask_key", "hear: ask_kee"), ("hear: ask_key", "heer: ask_key"), ("for: 0.5", "for: long"),
        ("by: info", "by: sms"),
        ("hang_up", "hangup"), ("{outcome}", "approve"), ("accept:", "acept:"), ("CallEnded", "CallEndet"),
        ("by: ivr", "bye: ivr"), ("visa-lost", "visa-last"), ("amount, 3", "amount, 3, 4"), ("[0,", "[soon,"),
        ("[{name: 1, amount: 200.5}, {card: [visa-lost, visa-approved], key: \"1234\"}]", "[]"),
    ],
)  # fmt: skip
def test_what_the_reader_refuses_is_marked(change):
    assert change[0] in GOOD
    assert not fits(as_an_editor_reads(GOOD.replace(*change, 1)), SCHEMA)
