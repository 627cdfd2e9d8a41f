"""JSON as Openpay writes it: amounts as numbers with their decimals, dates in Mexico's central time.

Numbers with a point are read as Decimal, never as float: 0.1 stays 0.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal

__all__ = ["MEXICO", "dumps", "loads"]

# Mexico's central time; without summer time since October 2022.
MEXICO = timezone(timedelta(hours=-6))


def loads(body: bytes) -> object:
    """Read UTF-8 JSON (a BOM is skipped). Raises ValueError for whatever is not, never repeating it."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_not_a_number)
    except (ValueError, ArithmeticError, RecursionError):
        pass  # it holds the document: ours must not have it as its context
    raise ValueError("not a JSON document in UTF-8")


def dumps(value: object) -> str:
    """Write JSON: a Decimal as a number with its decimals, a datetime as ``2020-10-16T12:22:25-06:00``."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return json.dumps(value.astimezone(MEXICO).isoformat(timespec="seconds"))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(k))}:{dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(dumps(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _not_a_number(constant: str) -> object:
    raise ValueError("NaN and Infinity are not JSON")
