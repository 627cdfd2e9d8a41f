"""Whatever is sent to the stand-in, it answers: with a success or with the error object, never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

FIELDS = st.sampled_from(
    ["method", "amount", "description", "currency", "order_id", "source_id", "confirm", "customer",
     "metadata", "card_number", "holder_name", "expiration_month", "expiration_year", "cvv2", "address",
     "name", "email"]
)  # fmt: skip
LIKELY = st.sampled_from(
    ["card", "ivr", "true", True, False, "MXN", "usd", 200.0, "1.00", "a@b", "4111111111111111",
     4111111111111111, "12", 7, "29", "123", "x", "ord-1", -1, 0, 1.001, 1e300, "٣٣", "\x00",
     "\ud800", "\U0001f600", None, ""]
)  # fmt: skip
SCALARS = LIKELY | st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS | st.text(), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.dictionaries(FIELDS, VALUES, max_size=9)
GOOD_CHARGE = {"method": "card", "amount": 1, "description": "x", "confirm": "ivr",
               "customer": {"name": "x", "email": "a@b"}}  # fmt: skip
GOOD_TOKEN = {"card_number": "4111111111111111", "holder_name": "x", "expiration_month": "12",
              "expiration_year": "29", "cvv2": "123"}  # fmt: skip


def check(api: Any, response: Any) -> None:
    if response.status_code in (200, 201):
        assert response.get_json() is not None
    else:
        status, code = api.refusal(response)
        assert (status < 500) or code in (1015, 1017)


@given(
    path=st.sampled_from(["/tokens", "/charges"]),
    asked=OBJECTS,
    base=st.sampled_from([{}, GOOD_CHARGE, GOOD_TOKEN]),
)
@settings(deadline=None, max_examples=120)
def test_objects(kept_api: Callable[[], Any], path: str, asked: dict[str, Any], base: dict[str, Any]) -> None:
    api = kept_api()
    check(api, api("POST", path, data=json.dumps(base | asked)))


@given(path=st.sampled_from(["/tokens", "/charges"]), body=st.binary(max_size=200))
@settings(deadline=None, max_examples=60)
def test_bytes(kept_api: Callable[[], Any], path: str, body: bytes) -> None:
    api = kept_api()
    check(api, api("POST", path, data=body))


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "BREW"]),
    path=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    query=st.dictionaries(
        st.sampled_from(["limit", "offset", "order_id"]) | st.text(), st.text(max_size=20), max_size=4
    ),
    user=st.text(max_size=20) | st.none(),
)
@settings(deadline=None, max_examples=60)
def test_paths_queries_and_users(
    kept_api: Callable[[], Any], method: str, path: str, query: dict[str, str], user: str | None
) -> None:
    api = kept_api()
    query = {k: v.encode("utf-8", "replace").decode() for k, v in query.items()}
    check(api, api(method, f"/charges/{quote(path)}", query_string=query))
    check(api, api("GET", "/charges", query_string=query, user=user if user is None else api.private))
    response = api.client.get(f"/v1/{api.merchant}/charges", headers={"Authorization": f"Basic {path!a}"})
    assert api.refusal(response) == (401, 1002)
