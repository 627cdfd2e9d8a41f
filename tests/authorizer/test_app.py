"""The web service, through Flask's client and through bare WSGI."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authorizer import ConfigurationError, KeyStore, PaymentKey, State, StoreUnavailable, create_app

PATH = "/openpay/authorizer"
JSON = "application/json"

Basic = Callable[..., str]
Ask = Callable[..., TestResponse]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """One kind of database is enough here: what is asked of it is in test_keys.py."""
    return f"sqlite:///{tmp_path / 'keys.sqlite3'}"


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def ask(client: FlaskClient, basic: Basic) -> Ask:
    """The guide's request with some of it replaced; a header of None is left out."""

    def post(body: object, path: str = PATH, **headers: str | None) -> TestResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": basic(), "Content-Type": JSON, "Cache-Control": "no-cache"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(
            path, data=data, headers={k: v for k, v in (given | named).items() if v is not None}
        )

    return post


def is_error(response: TestResponse, status: int) -> None:
    """The reply is this error, in JSON, and says nothing about charges."""
    assert response.status_code == status
    assert response.headers["Content-Type"] == JSON
    body = response.get_json()
    assert set(body) == {"response_code", "description"}
    assert body["response_code"] == status
    assert isinstance(body["description"], str)
    assert body["description"]


# Replies


def test_a_live_key_is_answered_as_in_the_guide(ask: Ask, issued: dict[str, PaymentKey]) -> None:
    response = ask({"ivr_key": int(issued["live"].key)})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == JSON
    assert response.data == (
        b'{"response_code": 0, "amount": 200.00, "description": "Cargo IVR", "order_id": "ord-live"}'
    )


@pytest.mark.parametrize(("state", "code"), [("unknown", 1), ("expired", 2), ("paid", 3), ("cancelled", 4)])
def test_each_refusal_is_a_200_with_its_code(
    ask: Ask, issued: dict[str, PaymentKey], state: str, code: int
) -> None:
    number = 111111111111 if state == "unknown" else int(issued[state].key)
    first, second = ask({"ivr_key": number}), ask({"ivr_key": number})
    assert first.status_code == second.status_code == 200
    assert first.data == second.data
    assert first.get_json()["response_code"] == code
    assert set(first.get_json()) == {"response_code", "description"}


def test_refusals_differ_by_cause(ask: Ask, issued: dict[str, PaymentKey]) -> None:
    keys = ["111111111111", *(issued[state].key for state in ("expired", "paid", "cancelled"))]
    replies = [ask({"ivr_key": int(key)}).get_json() for key in keys]
    assert len({reply["response_code"] for reply in replies}) == 4
    assert len({reply["description"] for reply in replies}) == 4


@pytest.mark.parametrize("text", ["¿Ñandú año güero?", 'con "comillas" y \\', "100 % & más"])
def test_descriptions_come_back_in_utf8(ask: Ask, store: KeyStore, text: str) -> None:
    key = store.issue(Decimal("0.10"), text, "ord-1")
    response = ask({"ivr_key": int(key.key)})
    assert response.get_json()["description"] == text
    assert b'"amount": 0.10,' in response.data
    assert not response.data.startswith(b"\xef\xbb\xbf")


def test_a_key_follows_its_life(ask: Ask, store: KeyStore, clock: Any) -> None:
    key = store.issue(Decimal("5.00"), "Cargo", "ord-1", expires_in=timedelta(hours=1))

    def code() -> int:
        return int(ask({"ivr_key": int(key.key)}).get_json()["response_code"])

    codes = [code(), code()]
    clock.advance(timedelta(hours=1))
    codes.append(code())
    store.mark_paid(key.key)
    codes.append(code())
    assert codes == [0, 0, 2, 3]


@pytest.mark.parametrize("number", [0, 1, 12, 123, 1234567, 999999999999])
def test_numbers_that_were_never_issued_are_unknown(ask: Ask, number: int) -> None:
    response = ask({"ivr_key": number})
    assert (response.status_code, response.get_json()["response_code"]) == (200, 1)


def test_a_string_is_taken_like_the_number(ask: Ask, issued: dict[str, PaymentKey]) -> None:
    key = issued["live"].key
    assert ask({"ivr_key": key}).data == ask({"ivr_key": int(key)}).data
    assert ask({"ivr_key": f"0{key}"}).get_json()["response_code"] == 1


@pytest.mark.parametrize("body", [b" ", b"{", b"[]", b"null", b"{}", b'{"ivr_key":true}', b'{"ivr_key":1.0}',
                                  b'{"ivr_key":-1}', b'{"ivr_key":NaN}', b"\xff", b"[" * 4096])  # fmt: skip
def test_bad_bodies_are_400(ask: Ask, body: bytes) -> None:
    is_error(ask(body), 400)


@pytest.mark.parametrize("content", ["application/json; charset=utf-8", "application/json;charset=UTF-8",
                                     "APPLICATION/JSON", "Application/Json ; Charset=Utf-8"])  # fmt: skip
def test_the_content_type_has_no_case_and_may_have_parameters(
    ask: Ask, issued: dict[str, PaymentKey], content: str
) -> None:
    assert ask({"ivr_key": int(issued["live"].key)}, Content_Type=content).get_json()["response_code"] == 0


@pytest.mark.parametrize("content", [None, "", "text/plain", "application/x-www-form-urlencoded",
                                     "multipart/form-data; boundary=x", "application/jsonp",
                                     "x"])  # fmt: skip
def test_other_contents_are_415(ask: Ask, issued: dict[str, PaymentKey], content: str | None) -> None:
    is_error(ask({"ivr_key": int(issued["live"].key)}, Content_Type=content), 415)


@pytest.mark.parametrize("headers", [{"Accept": None}, {"Accept": "*/*"}, {"Accept": JSON},
{"Accept": "text/html"},
                                     {"Accept_Encoding": "gzip"}, {"User_Agent": None},
                                     {"User_Agent": "\x80"},
                                     {"Host": "evil.example"}, {"X_Forwarded_Host": "evil.example"},
                                     {"Cookie": "session=x"}, {"Expect": "100-continue"}])  # fmt: skip
def test_other_headers_change_nothing(
    ask: Ask, issued: dict[str, PaymentKey], headers: dict[str, str | None]
) -> None:
    number = {"ivr_key": int(issued["live"].key)}
    assert ask(number, **headers).data == ask(number).data


def test_the_query_is_not_looked_at(ask: Ask, issued: dict[str, PaymentKey]) -> None:
    response = ask({"ivr_key": 111111111111}, path=f"{PATH}?ivr_key={issued['live'].key}")
    assert response.get_json()["response_code"] == 1


def test_a_slash_at_the_end_is_no_redirect(ask: Ask, issued: dict[str, PaymentKey]) -> None:
    number = {"ivr_key": int(issued["live"].key)}
    assert ask(number, path=f"{PATH}/").data == ask(number).data
    is_error(ask(number, path="//openpay//authorizer"), 404)


# Credentials


@pytest.mark.parametrize(
    "credentials",
    [None, "", "Basic", "Basic !!", "Bearer x", "Digest x", ("openpay", ""), ("", "x"), ("openpay", "wrong"),
     ("wrong", "correct horse battery staple"), ("usr", "pwd"), ("openpay",
     "correct horse battery staple\x00")],
)  # fmt: skip
def test_wrong_credentials_learn_nothing(
    ask: Ask, basic: Basic, issued: dict[str, PaymentKey], credentials: Any
) -> None:
    header = basic(*credentials) if isinstance(credentials, tuple) else credentials
    bodies: list[Any] = [{"ivr_key": int(key.key)} for key in issued.values()]
    bodies += [{"ivr_key": 111111111111}, b"{", b"\xff"]
    replies = [ask(body, Authorization=header) for body in bodies]
    replies.append(ask(b"x", Authorization=header, Content_Type="text/plain"))
    for response in replies:
        is_error(response, 401)
        assert response.headers["WWW-Authenticate"] == 'Basic realm="openpay-authorizer", charset="UTF-8"'
    assert len({(response.data, str(response.headers)) for response in replies}) == 1


def test_wrong_tries_do_not_lock_the_right_ones_out(
    ask: Ask, basic: Basic, issued: dict[str, PaymentKey]
) -> None:
    for _ in range(20):
        is_error(ask({"ivr_key": 1}, Authorization=basic(password="wrong")), 401)
    assert ask({"ivr_key": int(issued["live"].key)}).get_json()["response_code"] == 0


def test_credentials_in_the_query_do_not_count(ask: Ask) -> None:
    path = f"{PATH}?user=openpay&password=correct+horse+battery+staple"
    is_error(ask({"ivr_key": 1}, path=path, Authorization=None), 401)


def test_credentials_in_utf8_with_a_colon(store: KeyStore, basic: Basic) -> None:
    client = create_app(store, user="señor", password="con:traseña€").test_client()
    response = client.post(
        PATH, json={"ivr_key": 1}, headers={"Authorization": basic("señor", "con:traseña€")}
    )
    assert response.status_code == 200


# The rest of HTTP


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_405_and_show_nothing(client: FlaskClient, basic: Basic, method: str) -> None:
    response = client.open(PATH, method=method, headers={"Authorization": basic()})
    assert response.headers["Allow"] == "POST"
    assert not any(name.startswith("Access-Control") for name in response.headers.keys())  # noqa: SIM118
    if method == "HEAD":
        assert (response.status_code, response.data) == (405, b"")
    else:
        is_error(response, 405)


@pytest.mark.parametrize("path", ["/", "/openpay", "/openpay/authorizer/x", "/static/x", "/.env",
"/.git/HEAD",
                                  "/%00", "/%ff", "/../etc/passwd", "/openpay/authorizer%20",
                                  "/ñ"])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_404(client: FlaskClient, basic: Basic, path: str, method: str) -> None:
    is_error(client.open(path, method=method, headers={"Authorization": basic()}), 404)


def test_health_needs_nobody_and_tells_nothing(client: FlaskClient) -> None:
    response = client.get("/health")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})
    is_error(client.post("/health"), 405)


def test_every_reply_is_fresh_and_without_cookies(
    ask: Ask, client: FlaskClient, issued: dict[str, PaymentKey]
) -> None:
    replies = [
        ask({"ivr_key": int(issued["live"].key)}),
        ask({"ivr_key": 1}),
        ask(b"{"),
        client.get("/health"),
    ]
    replies += [ask(b"", Authorization=None), client.get("/"), client.get(PATH), ask(b"x" * 5000)]
    assert [response.status_code for response in replies] == [200, 200, 400, 200, 401, 404, 405, 413]
    for response in replies:
        assert response.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in response.headers
        assert "Server" not in response.headers
        assert "Location" not in response.headers
        assert int(response.headers["Content-Length"]) == len(response.data) < 4096


def test_a_body_of_4096_bytes_fits_and_one_more_does_not(ask: Ask, issued: dict[str, PaymentKey]) -> None:
    body = json.dumps({"ivr_key": int(issued["live"].key)}).encode()
    assert ask(body.ljust(4096)).get_json()["response_code"] == 0
    is_error(ask(body.ljust(4097)), 413)
    is_error(ask(b"x" * 1_000_000), 413)


# Failures of our own


def test_a_failing_database_is_503_and_is_logged(
    ask: Ask,
    client: FlaskClient,
    store: KeyStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*args: object) -> None:
        raise StoreUnavailable("the database failed while looking a payment key up: disk I/O error")

    monkeypatch.setattr(store, "find", fail)
    monkeypatch.setattr(store, "check", fail)
    with caplog.at_level(logging.ERROR, "authorizer"):
        is_error(ask({"ivr_key": 123456}), 503)
        is_error(client.get("/health"), 503)
    assert [record.message for record in caplog.records] == [
        "the database failed while looking a payment key up: disk I/O error"
    ] * 2
    assert b"disk" not in ask({"ivr_key": 123456}).data


@pytest.mark.parametrize("testing", [False, True])
def test_a_defect_of_ours_is_a_500_without_a_trace(
    app: Flask,
    ask: Ask,
    store: KeyStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    testing: bool,
) -> None:
    def fail(key: str) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(store, "find", fail)
    app.testing = testing
    response = ask({"ivr_key": 123456})
    is_error(response, 500)
    assert b"secret" not in response.data
    assert "ZeroDivisionError" in caplog.text


def test_logs_hold_neither_keys_nor_credentials(
    ask: Ask, basic: Basic, issued: dict[str, PaymentKey], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for key in issued.values():
            ask({"ivr_key": int(key.key)})
        ask({"ivr_key": 1}, Authorization=basic(password="hunter2"))
    outcomes = [record.args for record in caplog.records if record.name == "authorizer.app"]
    assert outcomes[:4] == [(State.LIVE,), (State.EXPIRED,), (State.PAID,), (State.CANCELLED,)]
    for secret in ("battery", "hunter2", basic()[6:], *(key.key for key in issued.values())):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "options",
    [{"user": ""}, {"password": ""}, {"user": "a:b"}, {"path": ""}, {"path": "x"}, {"path": "/"},
    {"path": "/health"},
     {"path": "/health/"}, {"path": "/<x>"}, {"path": "/x?y"}],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(store: KeyStore, options: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        create_app(store, **{"user": "u", "password": "p", **options})


def test_another_path(store: KeyStore, basic: Basic) -> None:
    client = create_app(store, user="u", password="p", path="/pagos/ivr/").test_client()
    for path, status in (("/pagos/ivr/", 200), ("/pagos/ivr", 200), (PATH, 404)):
        response = client.post(path, json={"ivr_key": 1}, headers={"Authorization": basic("u", "p")})
        assert response.status_code == status


def test_eight_clients_at_once_each_get_their_own_reply(app: Flask, store: KeyStore, basic: Basic) -> None:
    keys = [store.issue(Decimal(n), "Cargo", f"ord-{n}") for n in range(1, 9)]

    def work(key: PaymentKey) -> set[str]:
        client = app.test_client()
        sent = {"json": {"ivr_key": int(key.key)}, "headers": {"Authorization": basic()}}
        return {client.post(PATH, **sent).get_json()["order_id"] for _ in range(20)}

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, keys)) == [{key.order_id} for key in keys]


def test_lookups_change_nothing(ask: Ask, store: KeyStore, issued: dict[str, PaymentKey]) -> None:
    before = store.list()
    for key in issued.values():
        for _ in range(5):
            ask({"ivr_key": int(key.key)})
    assert store.list() == before
