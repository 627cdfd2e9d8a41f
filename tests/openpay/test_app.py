"""The stand-in's API: keys, tokens, charges, lists, and every refusal as the error object."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from ivr_sim.openpay import TEST_CARDS, TestCard

CUSTOMER = {
    "name": "Juan",
    "last_name": "Urbina",
    "email": "juan.test@correo.mx",
    "phone_number": "45155352828",
}


class TestKeys:
    """Who may ask for what."""

    @pytest.mark.parametrize(
        "auth", [None, ("", ""), ("sk_x", ""), ("ñ", "\x80"), "private+password", "public"]
    )
    @pytest.mark.parametrize("path", ["/charges", "/charges/tr1", "/tokens/k1"])
    def test_reading_takes_the_private_key(self, api: Any, path: str, auth: Any) -> None:
        match auth:
            case "public":
                response, expected = api("GET", path, user=api.public), (403, 1010)
            case "private+password":
                response = api.client.get(f"/v1/{api.merchant}{path}", auth=(api.private, "x"))
                expected = (401, 1002)
            case _:
                response = api.client.get(f"/v1/{api.merchant}{path}", auth=auth)
                expected = (401, 1002)
        assert api.refusal(response) == expected
        assert ("WWW-Authenticate" in response.headers) == (expected[0] == 401)

    def test_charging_takes_the_private_key(self, api: Any) -> None:
        assert api.refusal(api("POST", "/charges", user=api.public, json={})) == (403, 1010)
        assert api.refusal(api("POST", "/charges", user=None, json={})) == (401, 1002)
        assert api.store.charges() == []

    def test_tokens_are_made_with_either_key(self, api: Any) -> None:
        assert api.token().status_code == 201
        card = {"card_number": "4111111111111111", "holder_name": "X", "cvv2": "123",
                "expiration_month": 1, "expiration_year": 30}  # fmt: skip
        assert api("POST", "/tokens", json=card).status_code == 201
        assert api.refusal(api("POST", "/tokens", user=None, json=card)) == (401, 1002)

    @pytest.mark.parametrize("header", ["Bearer x", "Basic", "Basic !!!", "Basic c2s=", "Basic /////w==", ""])
    def test_credentials_that_are_none(self, api: Any, header: str) -> None:
        response = api.client.get(f"/v1/{api.merchant}/charges", headers={"Authorization": header})
        assert api.refusal(response) == (401, 1002)

    def test_another_merchant(self, api: Any) -> None:
        response = api.client.get("/v1/mother/charges", auth=(api.private, ""))
        assert api.refusal(response) == (401, 1002)


class TestTokens:
    """POST and GET /tokens."""

    def test_shape(self, api: Any) -> None:
        response = api.token(expiration_month="1", address={"city": "Querétaro", "x": 1})
        assert response.status_code == 201
        token = response.json
        assert re.fullmatch("k[a-z0-9]{19}", token["id"])
        assert token == {
            "id": token["id"],
            "card": {
                "card_number": "411111XXXXXX1111",
                "holder_name": "JUAN URBINA",
                "expiration_year": "29",
                "expiration_month": "01",
                "address": {
                    "line1": None, "line2": None, "line3": None, "postal_code": None, "state": None,
                    "city": "Querétaro", "country_code": None,
                },
                "creation_date": None,
                "brand": "visa",
            },
        }  # fmt: skip
        assert api("GET", f"/tokens/{token['id']}").json == token

    @pytest.mark.parametrize(
        ("fields", "refusal"),
        [
            ({"number": "4111111111111112"}, (422, 2004)),
            ({"number": "4012888888881881"}, (412, 2007)),
            ({"number": "411111"}, (400, 1001)),
            ({"number": "4111-1111-1111-1111"}, (400, 1001)),
            ({"number": "４１１１１１１１１１１１１１１１"}, (400, 1001)),
            ({"number": ...}, (400, 1001)),
            ({"number": None}, (400, 1001)),
            ({"expiration_year": "26", "expiration_month": "10"}, (400, 2005)),
            ({"expiration_year": "25"}, (400, 2005)),
            ({"expiration_month": "13"}, (400, 1001)),
            ({"expiration_month": "0"}, (400, 1001)),
            ({"expiration_year": "2029"}, (400, 1001)),
            ({"cvv2": ...}, (400, 2006)),
            ({"cvv2": None}, (400, 2006)),
            ({"cvv2": ""}, (400, 2006)),
            ({"cvv2": "12"}, (412, 2009)),
            ({"cvv2": "1234"}, (412, 2009)),
            ({"cvv2": "12a"}, (412, 2009)),
            ({"holder_name": ...}, (400, 1001)),
            ({"holder_name": "x" * 81}, (400, 1001)),
        ],
    )
    def test_refused(self, api: Any, fields: dict[str, Any], refusal: tuple[int, int]) -> None:
        assert api.refusal(api.token(**fields)) == refusal

    def test_the_expiry_is_of_mexicos_calendar(self, api: Any) -> None:
        # 05:59 UTC of the first is still the last evening of the month before.
        api.clock.now = datetime(2026, 12, 1, 5, 59, tzinfo=UTC)
        assert api.token(expiration_month="11", expiration_year="26").status_code == 201
        api.clock.now = datetime(2026, 12, 1, 6, 0, tzinfo=UTC)
        assert api.refusal(api.token(expiration_month="11", expiration_year="26")) == (400, 2005)

    def test_the_ones_that_are_not_there(self, api: Any) -> None:
        assert api.refusal(api("GET", "/tokens/knone")) == (404, 1005)


class TestCharges:
    """POST /charges by token."""

    def test_shape(self, api: Any) -> None:
        response = api.charge(metadata={"attempt": "a-1", "n": 1})
        assert response.status_code == 200
        charge = response.json
        assert re.fullmatch("tr[a-z0-9]{18}", charge["id"])
        assert re.fullmatch("[0-9]{6}", charge["authorization"])
        assert charge == {
            "id": charge["id"],
            "authorization": charge["authorization"],
            "operation_type": "in",
            "transaction_type": "charge",
            "status": "completed",
            "conciliated": False,
            "creation_date": "2026-11-23T12:00:00-06:00",
            "operation_date": "2026-11-23T12:00:00-06:00",
            "description": "Cargo IVR",
            "error_message": None,
            "order_id": "ord-234",
            "amount": 200.0,
            "currency": "MXN",
            "card": {
                "type": "credit",
                "brand": "visa",
                "address": None,
                "card_number": "411111XXXXXX1111",
                "holder_name": "JUAN URBINA",
                "expiration_year": "29",
                "expiration_month": "12",
                "allows_charges": True,
                "allows_payouts": False,
                "bank_name": "DESCONOCIDO",
                "bank_code": "000",
            },
            "fee": {"amount": 8.3, "tax": 1.328, "currency": "MXN"},
            "metadata": {"attempt": "a-1", "n": "1"},
            "method": "card",
        }
        assert api("GET", f"/charges/{charge['id']}").data == response.data

    @pytest.mark.parametrize(
        ("asked", "written"),
        [
            (100, "100.00"),
            ("1.00", "1.00"),
            (0.01, "0.01"),
            ("2000", "2000.00"),
            (999999999.99, "999999999.99"),
        ],
    )
    def test_amounts_have_two_decimals(self, api: Any, asked: Any, written: str) -> None:
        assert f'"amount":{written},'.encode() in api.charge(amount=asked).data

    @pytest.mark.parametrize("card", TEST_CARDS, ids=lambda card: card.number)
    def test_every_test_card_does_what_is_said_of_it(self, api: Any, card: TestCard) -> None:
        token = api.token(card.number).json["id"]
        response = api.charge(source_id=token)
        listed = api("GET", "/charges?order_id=ord-234").json
        assert len(listed) == 1
        if card.error_code is None:
            assert response.json["status"] == "completed"
            assert "error_code" not in response.json
            assert listed == [response.json]
        else:
            assert api.refusal(response)[1] == card.error_code
            assert response.json["category"] == "gateway"
            kept = listed[0]
            assert (kept["status"], kept["error_code"]) == ("failed", card.error_code)
            assert kept["error_message"] == response.json["description"]
            assert kept["authorization"] is None
            assert "fee" not in kept

    @pytest.mark.parametrize("number", ["4111111111111111", "4222222222222220"])
    def test_a_token_is_good_for_one_charge(self, api: Any, number: str) -> None:
        token = api.token(number).json["id"]
        api.charge("o-1", source_id=token)
        again = api.charge("o-2", source_id=token)
        assert api.refusal(again) == (422, 1003)
        assert again.json["description"] == "This source_id was already used"
        assert len(api.store.charges()) == 1

    def test_an_order_is_charged_once(self, api: Any) -> None:
        assert api.charge().status_code == 200
        token = api.token().json["id"]
        assert api.refusal(api.charge(source_id=token)) == (409, 1006)
        # The bank was not asked, so the token is as good as before.
        assert api.charge("another", source_id=token).status_code == 200

    def test_an_order_may_be_tried_again_after_a_decline(self, api: Any) -> None:
        api.charge(source_id=api.token("4444444444444448").json["id"])
        api.charge(source_id=api.token("4222222222222220").json["id"])
        assert api.charge().status_code == 200
        assert api.refusal(api.charge(source_id=api.token("4222222222222220").json["id"])) == (409, 1006)
        assert [c.status for c in api.store.charges(order_id="ord-234")] == ["completed", "failed", "failed"]

    def test_charges_without_an_order_are_many(self, api: Any) -> None:
        assert api.charge(None).json["order_id"] is None
        assert api.charge(None).status_code == 200

    @pytest.mark.parametrize("confirm", [True, "true", "TRUE"])
    def test_confirm_as_the_sdks_send_it(self, api: Any, confirm: Any) -> None:
        assert api.charge(source_id=api.token().json["id"], confirm=confirm).json["status"] == "completed"

    @pytest.mark.parametrize(
        ("fields", "refusal"),
        [
            ({"source_id": "knone"}, (404, 1005)),
            ({"source_id": None}, (400, 1001)),
            ({"method": "store"}, (400, 1001)),
            ({"method": ...}, (400, 1001)),
            ({"amount": 0}, (400, 1001)),
            ({"amount": -1}, (400, 1001)),
            ({"amount": ...}, (400, 1001)),
            ({"amount": True}, (400, 1001)),
            ({"amount": "x"}, (400, 1001)),
            ({"amount": 10**10}, (400, 1001)),
            ({"amount": 1.001}, (400, 1020)),
            ({"amount": "1.001"}, (400, 1020)),
            ({"description": ""}, (400, 1001)),
            ({"description": "x" * 251}, (400, 1001)),
            ({"description": "a\x00"}, (400, 1001)),
            ({"description": "a\ud800"}, (400, 1001)),
            ({"order_id": "x" * 101}, (400, 1001)),
            ({"currency": "EUR"}, (400, 1001)),
            ({"confirm": "perhaps"}, (400, 1001)),
            ({"confirm": False}, (400, 1001)),
            ({"metadata": {"a": "\ud800"}}, (400, 1001)),
            ({"metadata": {"a\x00": "x"}}, (400, 1001)),
            ({"metadata": {"a": [1]}}, (400, 1001)),
            ({"metadata": [1]}, (400, 1001)),
            ({"customer": {"name": "x"}}, (400, 1001)),
        ],
    )
    def test_refused(self, api: Any, fields: dict[str, Any], refusal: tuple[int, int]) -> None:
        response = api.charge(**({"source_id": "k1"} | fields))
        assert api.refusal(response) == refusal
        assert api.store.charges() == []

    def test_a_refusal_names_the_field_but_not_what_was_in_it(self, api: Any) -> None:
        said = api.charge(source_id="k1", description=...).json["description"]
        assert said == "description is required"
        for fields in ({"description": ["geheim"]}, {"metadata": {"geheim": []}}, {"currency": "geheim"}):
            said = api.charge(source_id="k1", **fields).json["description"]
            assert next(iter(fields)) in said
            assert "geheim" not in said


class TestIvrCharges:
    """POST /charges with confirm "ivr"."""

    def test_the_guides_example(self, api: Any) -> None:
        response = api.charge(confirm="ivr", customer=CUSTOMER)
        assert response.status_code == 200
        charge = response.json
        key = charge["payment_method"]["ivr_key"]
        assert 100_000 <= key <= 999_999
        assert charge == {
            "id": charge["id"],
            "authorization": None,
            "operation_type": "in",
            "transaction_type": "charge",
            "status": "charge_pending",
            "conciliated": False,
            "creation_date": "2026-11-23T12:00:00-06:00",
            "operation_date": "2026-11-23T12:00:00-06:00",
            "description": "Cargo IVR",
            "error_message": None,
            "order_id": "ord-234",
            "due_date": "2026-11-23T23:59:59-06:00",
            "payment_method": {"type": "ivr", "phone_number": "525588969143", "ivr_key": key, "attempts": 0},
            "amount": 200.0,
            "currency": "MXN",
            "customer": CUSTOMER
            | {
                "address": None,
                "creation_date": "2026-11-23T12:00:00-06:00",
                "external_id": None,
                "clabe": None,
            },
            "method": "card",
        }
        assert api("GET", f"/charges/{charge['id']}").data == response.data

    def test_it_takes_a_customer(self, api: Any) -> None:
        response = api.charge(confirm="ivr")
        assert api.refusal(response) == (400, 1001)
        assert "customer" in response.json["description"]

    def test_it_takes_its_order(self, api: Any) -> None:
        assert api.charge(confirm="IVR", customer=CUSTOMER).status_code == 200
        assert api.refusal(api.charge(confirm="ivr", customer=CUSTOMER)) == (409, 1006)
        assert api.refusal(api.charge()) == (409, 1006)

    def test_pending_keys_are_unique(self, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        draws = iter([111, 111, 111, 222])
        monkeypatch.setattr("ivr_sim.openpay.charges.secrets.randbelow", lambda n: next(draws))
        keys = [
            api.charge(f"o-{n}", confirm="ivr", customer=CUSTOMER).json["payment_method"]["ivr_key"]
            for n in range(2)
        ]
        assert keys == [100_111, 100_222]

    def test_when_all_keys_are_taken(self, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ivr_sim.openpay.charges.secrets.randbelow", lambda n: 7)
        api.charge("o-1", confirm="ivr", customer=CUSTOMER)
        assert api.refusal(api.charge("o-2", confirm="ivr", customer=CUSTOMER)) == (503, 1004)


class TestLists:
    """GET /charges."""

    @pytest.fixture(autouse=True)
    def _charges(self, api: Any) -> None:
        for n in range(12):
            api.charge(f"o-{n}", confirm="ivr", customer=CUSTOMER)

    @pytest.mark.parametrize(
        ("query", "orders"),
        [
            ("", range(11, 1, -1)),
            ("?limit=3", (11, 10, 9)),
            ("?limit=2&offset=10", (1, 0)),
            ("?limit=0", ()),
            ("?offset=999999999", ()),
            ("?limit=999999999&offset=9", (2, 1, 0)),
            ("?order_id=o-7", (7,)),
            ("?order_id=none", ()),
            ("?customer=x&creation%5Bgte%5D=2020-01-01&limit=1", (11,)),
        ],
    )
    def test_pages(self, api: Any, query: str, orders: Any) -> None:
        response = api("GET", f"/charges{query}")
        assert response.status_code == 200
        assert [c["order_id"] for c in response.json] == [f"o-{n}" for n in orders]

    @pytest.mark.parametrize(
        "query", ["limit=x", "limit=-1", "offset=1e3", "offset=", "limit=9999999999", "limit=٣"]
    )
    def test_pages_that_are_none(self, api: Any, query: str) -> None:
        assert api.refusal(api("GET", f"/charges?{query}")) == (400, 1001)


class TestRefusals:
    """What is wrong before any of it is looked at."""

    def test_a_nul_in_the_url(self, api: Any) -> None:
        assert api.refusal(api("GET", "/charges/tr%00")) == (404, 1005)
        assert api.refusal(api("GET", "/tokens/%00")) == (404, 1005)
        assert api.refusal(api("GET", "/charges?order_id=%00")) == (400, 1001)

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b"NaN", b"[" * 60_000, b"a=1&b=2"]
    )
    @pytest.mark.parametrize("path", ["/tokens", "/charges"])
    def test_bodies_that_are_no_object(self, api: Any, path: str, body: bytes) -> None:
        assert api.refusal(api("POST", path, data=body)) == (400, 1001)

    def test_too_large_a_body(self, api: Any) -> None:
        assert api.refusal(api("POST", "/charges", data=b" " * 65_537)) == (413, 1009)
        assert api.refusal(api("POST", "/charges", data=b" " * 65_536)) == (400, 1001)

    @pytest.mark.parametrize("path", ["/", "/v1", "/v1/x/y", "/v2/m/charges", "/%00%ff", "/v1/m//charges"])
    def test_paths_that_are_not_there(self, api: Any, path: str) -> None:
        assert api.refusal(api.client.get(path)) == (404, 1005)

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
    def test_methods_that_are_not_there(self, api: Any, method: str) -> None:
        response = api(method, "/charges")
        assert api.refusal(response) == (405, 1013)
        assert response.headers["Allow"] == "GET, HEAD, POST"

    def test_each_has_a_request_id_of_its_own(self, api: Any) -> None:
        ids = [api("GET", "/charges/x").json["request_id"] for _ in range(2)]
        assert len({uuid.UUID(i) for i in ids}) == 2

    def test_a_charge_of_another_merchant_is_not_there(self, api: Any) -> None:
        from ivr_sim.openpay import create_app

        charge = api.charge().json["id"]
        other = create_app(
            api.store, merchant_id="mother", private_key="sk_o", public_key="pk_o", now=lambda: api.clock.now
        ).test_client()
        assert api.refusal(other.get(f"/v1/mother/charges/{charge}", auth=("sk_o", ""))) == (404, 1005)
        assert other.get("/v1/mother/charges", auth=("sk_o", "")).json == []

    def test_a_database_that_fails(self, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any, **kwargs: Any) -> Any:
            raise OperationalError("SELECT 1", {}, Exception("disk I/O error"))

        monkeypatch.setattr(api.store, "charges", fail)
        response = api("GET", "/charges")
        assert api.refusal(response) == (503, 1004)
        assert "disk" not in response.text

    def test_whatever_fails(self, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(api.store, "charges", lambda **_: [object()])
        assert api.refusal(api("GET", "/charges")) == (500, 1000)


def test_replies_are_utf_8_json(api: Any) -> None:
    response = api.charge(description="Año & ñandú €")
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(response.data.decode("utf-8"))["description"] == "Año & ñandú €"
