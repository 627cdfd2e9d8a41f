"""Many calls from one file: the rows of its table, and the placeholders that they fill.

A row is a mapping in the file, or a line of a CSV beside it, whose first line names the columns. A column
that is called as a field of ``given`` sets it; every column fills the placeholder of its name, ``{column}``,
in any text. What a row leaves out, or leaves empty in a CSV, is as the file says, or as its ``parameters``
do. Placeholders of their own are what is given and what is keyed of its cards:

    {key} {amount} {order_id} {description} {card} {state}
    {card_number} {expiry} {cvv}, of a second card {card_number_2} {expiry_2} {cvv_2}, and so on

What is keyed of a card may only be pressed. ``{{`` and ``}}`` are braces.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ivr_sim.harness.document import Document, read_text
from ivr_sim.harness.problem import Place, Problem, dotted
from ivr_sim.harness.profile import card_keys
from ivr_sim.harness.scenario import Given
from ivr_sim.harness.vocabulary import CARDS, shown

__all__ = ["Row", "filled", "literal", "rows_of"]

MAX_ROWS = 10_000
MAX_CSV_BYTES = 4 * 1024 * 1024
GIVEN: Mapping[str, str] = {
    name: str(field.default) for name, field in Given.model_fields.items() if field.default is not None
}
CARD_KEYS = ("card_number", "expiry", "cvv")
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Row:
    """One row: its name (None: the file has no table), its values, and where it is written."""

    name: str | None
    values: Mapping[str, Any]
    path: Path
    line: int


def rows_of(document: Document, problems: list[Problem]) -> list[Row]:
    """The rows of a file's table; one without a name where it has none. What is wrong goes to problems."""
    told = len(problems)
    table = document.data.get("table")
    parameters = _parameters(document, problems)
    if table is None:
        rows = [Row(None, {}, document.path, document.lines[()])]
    elif isinstance(table, str):
        rows = _read_csv(document, table, problems)
    else:
        rows = _read_list(document, table, problems)
    if len(problems) == told:
        _check_columns(document, rows, parameters, problems)
        _check_names(rows, problems)
    return [Row(row.name, {**parameters, **row.values}, row.path, row.line) for row in rows]


def filled(document: Document, row: Row) -> tuple[dict[str, Any], dict[Place, str]]:
    """What the file says of the call of one row: the row applied, the placeholders filled.

    Beside it, by place, what is wrong with placeholders that have no value.
    """
    data = {name: part for name, part in document.data.items() if name not in ("table", "parameters")}
    given = data.pop("given", {})
    if not isinstance(given, dict):
        return {**data, "given": given}, {}  # the model says what is wrong with it
    own = dict(row.values) if row.name is None else {**row.values, "name": row.name}
    columns = {name: value for name, value in own.items() if name in Given.model_fields}
    fill = _Fill(own)
    given = fill.all({**given, **columns}, ("given",))
    fill.known = {**own, **GIVEN, **given}
    fill.pressed = _keys_of(given.get("card"))
    made = fill.all(data, ())
    return ({**made, "given": given} if given else made), fill.missing


def literal(text: str) -> str:
    """A text as a file has to hold it, so that no part of it is a placeholder."""
    return text.replace("{", "{{").replace("}", "}}")


class _Fill:
    """Fills the placeholders of one call; ``pressed``: those that only a press may hold."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self.known = known
        self.pressed: Mapping[str, str] = {}
        self.missing: dict[Place, str] = {}

    def all(self, part: Any, place: Place) -> Any:
        """A part of the file with every text in it filled."""
        if isinstance(part, dict):
            return {name: self.all(value, (*place, name)) for name, value in part.items()}
        if isinstance(part, list):
            return [self.all(value, (*place, at)) for at, value in enumerate(part)]
        if "{" not in part and "}" not in part:
            return part
        known = self.known
        if place[:1] == ("steps",) and place[-1] == "press":
            known = {**known, **self.pressed}

        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name is None:
                return found[0][0]
            if isinstance(known.get(name), str):
                return str(known[name])
            self.missing[place] = _no_value(name, known)
            return found[0]

        return _PLACEHOLDER.sub(value, part)


def _no_value(name: str, known: Mapping[str, Any]) -> str:
    if name.startswith(CARD_KEYS):
        return f"{{{name}}} may only be pressed, and only of a card that is given"
    near = get_close_matches(name, list(known), n=1)
    meant = f"did you mean {{{near[0]}}}?" if near else "write it under parameters, or {{ for a brace"
    return f"no value for {{{shown(name)[1:-1]}}}; {meant}"


def _keys_of(card: Any) -> dict[str, str]:
    """What is keyed of the cards that are given, by its placeholder."""
    names = (
        [card] if isinstance(card, str) else card if isinstance(card, list) and card else ["visa-approved"]
    )
    found = {}
    for number, name in enumerate(names, 1):
        if name in CARDS:
            keys = card_keys(name)
            for field in CARD_KEYS:
                value = getattr(keys, "number" if field == "card_number" else field)
                found[field if number == 1 else f"{field}_{number}"] = value
    return found


def _parameters(document: Document, problems: list[Problem]) -> dict[str, str]:
    parameters = document.data.get("parameters", {})
    line = document.lines.get(("parameters",))
    if not isinstance(parameters, dict):
        what = f"a mapping is due (name: value), not {shown(parameters)}"
        problems.append(Problem(document.path, line, "parameters", what))
        return {}
    for name, value in parameters.items():
        place = ("parameters", name)
        what = ""
        if name in Given.model_fields:
            what = f"{name} belongs under given, where it is a placeholder, too"
        elif not _NAME.fullmatch(name) or name.startswith(CARD_KEYS):
            what = f"{shown(name)} cannot be the name of a parameter"
        elif not isinstance(value, str):
            what = f"a text is due, not {shown(value)}"
        if what:
            problems.append(Problem(document.path, document.lines.get(place, line), dotted(place), what))
    return parameters


def _read_list(document: Document, table: Any, problems: list[Problem]) -> list[Row]:
    rows = []
    line = document.lines.get(("table",), 1)
    if not isinstance(table, list) or not table:
        what = "rows are due, as a list of mappings or the name of a CSV file"
        problems.append(Problem(document.path, line, "table", what))
        return []
    for at, values in enumerate(table):
        line = document.lines.get(("table", at), line)
        if not isinstance(values, dict):
            what = f"a mapping of columns is due, not {shown(values)}"
            problems.append(Problem(document.path, line, f"table[{at}]", what))
            continue
        for column, value in values.items():
            if not isinstance(value, str) and not (column == "card" and isinstance(value, list)):
                what = f"a text is due, not {shown(value)}"
                problems.append(Problem(document.path, line, f"table[{at}].{column}", what))
        rows.append(Row(_name(values, at), values, document.path, line))
    return rows


def _read_csv(document: Document, name: str, problems: list[Problem]) -> list[Row]:
    path = document.path.parent / name
    reader = csv.reader(io.StringIO(read_text(path, MAX_CSV_BYTES), newline=""), strict=True)
    rows: list[Row] = []
    columns: list[str] | None = None
    try:
        for cells in reader:
            if not any(cells):
                continue
            cells = [cell.strip() for cell in cells]
            if columns is None:
                columns = cells
                if len(set(columns)) < len(columns) or not all(columns):
                    what = "every column needs a name of its own, in the first line"
                    problems.append(Problem(path, reader.line_num, "", what))
                    return []
                continue
            if len(cells) != len(columns):
                what = f"{len(cells)} cells under {len(columns)} columns ({', '.join(columns)})"
                problems.append(Problem(path, reader.line_num, "", what))
                continue
            values = {column: cell for column, cell in zip(columns, cells, strict=True) if cell}
            rows.append(Row(_name(values, len(rows)), values, path, reader.line_num))
    except csv.Error as error:
        problems.append(Problem(path, reader.line_num, "", f"no CSV: {error}"))
    if not rows and not problems:
        problems.append(
            Problem(path, 1, "", "no rows: the first line names columns, each other one is a call")
        )
    return rows


def _name(values: Mapping[str, Any], at: int) -> str:
    name = values.get("name")
    return name if isinstance(name, str) and name else str(at + 1)


def _check_columns(
    document: Document, rows: Sequence[Row], parameters: Mapping[str, str], problems: list[Problem]
) -> None:
    """A column or parameter that nothing asks for is a slip of the pen."""
    asked = {match[1] for text in _texts(document.data) for match in _PLACEHOLDER.finditer(text) if match[1]}
    asked |= {*Given.model_fields, "name"}
    seen: set[str] = set()
    for row in rows:
        for column in row.values:
            if column in seen or (column in asked and not column.startswith(CARD_KEYS)):
                continue
            seen.add(column)
            if column.startswith(CARD_KEYS):
                what = f"{shown(column)} is no column: a card is given by its name (card)"
                problems.append(Problem(row.path, row.line, "table", what))
                continue
            near = get_close_matches(column, asked, n=1)
            meant = f"did you mean {near[0]}?" if near else f"write {{{column}}} where it belongs"
            what = f"the column {shown(column)} is used nowhere; {meant}"
            problems.append(Problem(row.path, row.line, "table", what))
    for name in parameters:
        if name not in asked:
            line = document.lines.get(("parameters", name))
            what = f"is used nowhere; write {{{name}}} where it belongs"
            problems.append(Problem(document.path, line, f"parameters.{name}", what))


def _check_names(rows: Sequence[Row], problems: list[Problem]) -> None:
    first: dict[str | None, Row] = {}
    for row in rows:
        earlier = first.setdefault(row.name, row)
        if earlier is not row:
            what = f"a second row {row.name}; the first is in line {earlier.line}"
            problems.append(Problem(row.path, row.line, "table", what))
    if len(rows) > MAX_ROWS:
        problems.append(Problem(rows[0].path, rows[0].line, "table", f"more than {MAX_ROWS} rows"))


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for value in part.values():
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)
    elif isinstance(part, str):
        yield part
