"""The files of calls as a JSON schema (2020-12), for editors that complete and check YAML.

An editor has YAML's own types, and knows nothing of placeholders. So a text may be a number here, and
whatever has a form of its own may be a text with a placeholder instead.
"""

from __future__ import annotations

from typing import Any

from ivr_sim.harness.scenario import Given, Scenario
from ivr_sim.harness.vocabulary import ENTRIES, EVENTS

__all__ = ["schema"]

SCALAR = ["string", "number", "boolean"]
PLACEHOLDER = {"type": "string", "pattern": r"\{[a-z][a-z0-9_]*\}"}
NUMERAL = {"type": "string", "pattern": r"^-?[0-9.]+$"}


def schema() -> dict[str, Any]:
    """The JSON schema of ``NAME.call.yaml``."""
    whole = _eased(Scenario.model_json_schema(by_alias=True))
    definitions = whole["$defs"]
    definitions["HangUp"] = {"description": "The caller hangs up.", "const": "hang_up"}
    expected = definitions["Expected"]["properties"]
    values = expected["entries"]["additionalProperties"]
    expected["entries"] = {
        "type": "object", "properties": dict.fromkeys(ENTRIES, values), "additionalProperties": False,
    }  # fmt: skip
    expected["journal"]["items"] = {"anyOf": [_event(name, fields) for name, fields in EVENTS.items()]}
    text = {"type": SCALAR}
    cards = definitions["Given"]["properties"]["card"]
    whole["properties"] |= {
        "parameters": {
            "description": "Placeholders of the file's own, and what they stand for.",
            "type": "object",
            "additionalProperties": text,
        },
        "table": {
            "description": "One call for each row; or the name of a CSV file whose first line names columns.",
            "anyOf": [
                {"type": "string"},
                {"type": "array", "minItems": 1, "items": {
                    "type": "object",
                    "properties": {"name": text, **dict.fromkeys(Given.model_fields, text), "card": cards},
                    "additionalProperties": text,
                }},
            ],
        },
    }  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A call to the IVR: a label or a scenario (NAME.call.yaml)",
        **whole,
    }


def _event(name: str, fields: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"event": {"const": name}, **{field: {} for field in fields}},
        "required": ["event"],
        "additionalProperties": False,
    }


def _eased(part: Any) -> Any:
    """A part of the model's schema as an editor needs it."""
    if isinstance(part, list):
        return [_eased(one) for one in part]
    if not isinstance(part, dict):
        return part
    if isinstance(part.get("properties"), dict):
        inner = {name: _eased(field) for name, field in part["properties"].items()}
        part = {**part, "properties": inner}
    kept = {name: value if name == "properties" else _eased(value) for name, value in part.items()}
    for told, kind in (("title", str), ("default", dict | list | None)):
        if told in kept and isinstance(kept[told], kind):
            del kept[told]
    if isinstance(kept.get("description"), str):
        kept["description"] = kept["description"].replace("``", "`")
    for choice in ("anyOf", "oneOf"):
        if choice in kept:
            kept["anyOf"] = _flat(kept.pop(choice))
    return _scalar(kept) if isinstance(kept.get("type"), str) else kept


def _flat(choices: list[Any]) -> list[Any]:
    """Alternatives without null, which no file has, and without alternatives in them."""
    found: list[Any] = []
    for choice in choices:
        inner = choice["anyOf"] if set(choice) == {"anyOf"} else [choice]
        found += [one for one in inner if one != {"type": "null"} and one not in found]
    return found


def _scalar(part: dict[str, Any]) -> dict[str, Any]:
    """A scalar as YAML may have it."""
    kind = part["type"]
    about: dict[str, Any] = {name: part[name] for name in ("description", "default") if name in part}
    form = {name: value for name, value in part.items() if name not in about}
    if kind in ("number", "integer"):
        return {**about, "anyOf": [form, NUMERAL, PLACEHOLDER]}
    if kind != "string":
        return part
    words = form.get("enum") or ([form["const"]] if "const" in form else None)
    if words:
        numbers = [int(word) for word in words if word.isdigit()]
        return {**about, "anyOf": [{"enum": [*words, *numbers]}, PLACEHOLDER]}
    form = {**form, "type": SCALAR}
    return (
        {**about, "anyOf": [form, PLACEHOLDER]} if {"pattern", "format"} & form.keys() else {**about, **form}
    )
