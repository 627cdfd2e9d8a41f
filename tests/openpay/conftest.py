"""The stand-in on Flask's test client, with a stopped clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from ivr_sim.openpay import Store, create_app

MERCHANT = "mzdtln0bmtms6o3kck8f"
PRIVATE = "sk_e568c42a6c384b7ab02cd47d2e407cab"
PUBLIC = "pk_f0660ad5a39f4912872e24a7a660370c"


class Api:
    """The API as a caller sees it: paths below the merchant's, the private key unless told otherwise."""

    private, public, merchant = PRIVATE, PUBLIC, MERCHANT

    def __init__(self, store: Store) -> None:
        self.store = store
        # 18:00 UTC is noon in Mexico.
        self.clock = SimpleNamespace(now=datetime(2026, 11, 23, 18, 0, tzinfo=UTC))
        self.app = create_app(
            store, merchant_id=MERCHANT, private_key=PRIVATE, public_key=PUBLIC, now=lambda: self.clock.now
        )
        self.client = self.app.test_client()

    def __call__(self, method: str, path: str, *, user: str | None = PRIVATE, **more: Any) -> TestResponse:
        auth = None if user is None else (user, "")
        return self.client.open(f"/v1/{MERCHANT}{path}", method=method, auth=auth, **more)

    def token(self, number: Any = "4111111111111111", **fields: Any) -> TestResponse:
        card = {
            "card_number": number,
            "holder_name": "JUAN URBINA",
            "expiration_month": "12",
            "expiration_year": "29",
            "cvv2": "7391"[: 4 if isinstance(number, str) and len(number) == 15 else 3],
        }
        asked = {k: v for k, v in (card | fields).items() if v is not ...}
        return self("POST", "/tokens", user=PUBLIC, json=asked)

    def charge(self, order_id: str | None = "ord-234", **fields: Any) -> TestResponse:
        asked = {
            "method": "card",
            "amount": 200.00,
            "description": "Cargo IVR",
            "order_id": order_id,
        } | fields
        if "source_id" not in asked and "confirm" not in asked:
            asked["source_id"] = self.token().json["id"]  # type: ignore[index]
        return self("POST", "/charges", json={k: v for k, v in asked.items() if v is not ...})

    def refusal(self, response: TestResponse) -> tuple[int, int]:
        """Status and code of an answer that must be the error object."""
        assert response.mimetype == "application/json"
        error = response.get_json()
        assert set(error) == {"category", "description", "http_code", "error_code", "request_id"}
        assert error["http_code"] == response.status_code
        assert error["category"] in ("request", "gateway", "internal")
        assert error["description"]
        return response.status_code, error["error_code"]


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = Store(database_url)
    yield store
    store.close()


@pytest.fixture
def api(store: Store) -> Api:
    return Api(store)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept_api(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Api]]:
    """One API for all examples of a property test."""
    if request.param == "sqlite":
        store = Store(f"sqlite:///{tmp_path_factory.mktemp('kept')}/openpay.db")
    else:
        store = Store(request.getfixturevalue("postgresql").fresh())
    api = Api(store)
    yield lambda: api
    store.close()
