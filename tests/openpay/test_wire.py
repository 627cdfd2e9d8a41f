"""JSON: exact numbers in, two decimals out, no document that hurts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr_sim.openpay import wire

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(-(10**9), 10**9, places=2),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
@settings(deadline=None, max_examples=100)
def test_what_is_written_is_read_again(value: object) -> None:
    if "\\ud" not in json.dumps(value, default=str):
        assert wire.loads(wire.dumps(value).encode()) == value


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=100)
def test_garbage_is_a_value_error_at_most(body: bytes) -> None:
    try:
        value = wire.loads(body)
    except ValueError as error:
        value = str(error)
    if value != "not a JSON document in UTF-8":
        assert wire.loads(wire.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [b"NaN", b"[Infinity]", b"[" * 100_000, b"1e99999999999999999999", b"7" * 5000, b"\xff", b"\x00", b""],
)
def test_documents_that_hurt(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a JSON document") as refused:
        wire.loads(body)
    assert refused.value.__context__ is None  # the parser's own exception holds the document


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("100.00"), "100.00"),
        (Decimal("0.1"), "0.1"),
        (Decimal("1E+2"), "100"),
        (Decimal("0.4464"), "0.4464"),
        ({"a": [Decimal("1.10"), None, True, "ñ"]}, '{"a":[1.10,null,true,"ñ"]}'),
        (datetime(2026, 11, 23, 5, 30, 59, 999, tzinfo=UTC), '"2026-11-22T23:30:59-06:00"'),
        (datetime(2020, 7, 1, 12, tzinfo=timezone(timedelta(hours=-5))), '"2020-07-01T11:00:00-06:00"'),
    ],
)
def test_how_it_is_written(value: object, written: str) -> None:
    assert wire.dumps(value) == written


def test_no_float_on_the_way_in() -> None:
    assert wire.loads(b"[0.1, 100.00, 1]") == [Decimal("0.1"), Decimal("100.00"), 1]
    assert str(wire.loads(b"100.00")) == "100.00"
