"""The request's body and the replies' bodies, as bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authorizer import PaymentKey, State
from authorizer.wire import BadRequest, describe, read_request, write_error, write_reply

THEN = datetime(2026, 11, 23, tzinfo=UTC)


def payment_key(**changes: Any) -> PaymentKey:
    fields: dict[str, Any] = {
        "key": "123456",
        "amount": Decimal("200.00"),
        "description": "Cargo IVR",
        "order_id": "ord-234",
        "state": State.LIVE,
        "created_at": THEN,
        "expires_at": THEN,
    }
    return PaymentKey(**fields | changes)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{\n    "ivr_key": 123456\n}', "123456"),  # as the guide prints it
        (b'{"ivr_key":123456}', "123456"),
        (b' \t\r\n{"ivr_key" : 123456 } \n', "123456"),
        (b'{"ivr_key":"123456"}', "123456"),
        (b'{"ivr_key":"000123"}', "000123"),  # a string can carry zeros; no key begins with one
        (b'{"ivr_key":"\\u0031234"}', "1234"),
        (b'\xef\xbb\xbf{"ivr_key":123456}', "123456"),
        (b'{"x":[1.5,null,{"y":"\xc3\xb1"}],"ivr_key":123456,"z":1e400}', "123456"),
        (b'{"ivr_key":0}', "0"),
        (b'{"ivr_key":999999999999}', "999999999999"),
    ],
)
def test_requests_that_are_read(body: bytes, key: str) -> None:
    found = read_request(body)
    assert (found, type(found)) == (key, str)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"}", b"null", b"123456", b'"123456"', b"[]", b"[123456]", b'[{"ivr_key":123456}]',
        b"true",
        b"{}", b'{"IVR_KEY":123456}', b'{"ivrKey":123456}', b'{"ivr_key":null}', b'{"ivr_key":true}',
        b'{"ivr_key":false}', b'{"ivr_key":[123456]}', b'{"ivr_key":{"$gt":0}}', b'{"ivr_key":{}}',
        b'{"ivr_key":123456.0}', b'{"ivr_key":1.23456e5}', b'{"ivr_key":123456.5}', b'{"ivr_key":123456E0}',
        b'{"ivr_key":-123456}', b'{"ivr_key":-0}', b'{"ivr_key":+123456}', b'{"ivr_key":000123}',
        b'{"ivr_key":0x1F}',
        b'{"ivr_key":1234567890123}', b'{"ivr_key":' + b"9" * 4000 + b"}", b'{"ivr_key":NaN}',
        b'{"ivr_key":Infinity}',
        b'{"ivr_key":123456,"x":NaN}', b'{"ivr_key":123456,"x":-Infinity}', b'{"ivr_key":""}',
        b'{"ivr_key":" 123456"}',
        b'{"ivr_key":"123456\\n"}', b'{"ivr_key":"+123456"}', b'{"ivr_key":"123 456"}',
        b'{"ivr_key":"1_000"}',
        b'{"ivr_key":"123456.0"}', b'{"ivr_key":"123456 OR 1=1"}', b'{"ivr_key":"123456\'--"}',
        '{"ivr_key":"١٢٣٤٥٦"}'.encode(), '{"ivr_key":"１２３４"}'.encode(), b'{"ivr_key":"\\ud800"}',
        b'{"ivr_key":"1234\\u0000"}',
        b'{"ivr_key":123456,"ivr_key":123456}', b'{"ivr_key":1,"ivr_key":2}',
        b'{"ivr_key":123456,"x":{"y":1,"y":1}}',
        b'{"ivr_key":123456} x', b'{"ivr_key":123456}{"ivr_key":123456}', b'{"ivr_key":123456,}',
        b"{'ivr_key':123456}",
        b'{"ivr_key":123456}\x00', b"ivr_key=123456", b'{"ivr_key":123456,"x":"\xf1"}', b"\xff\xfe{\x00}\x00",
        '{"ivr_key":123456}'.encode("utf-16"), '{"ivr_key":123456}'.encode("utf-16-le"),
        b'{"ivr_key":"\xed\xa0\x80"}',
        b"[" * 4096, b'{"a":' * 800, b'{"x":' + b"[" * 4000,
        b'{"ivr_key":123456,"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
)  # fmt: skip
def test_requests_that_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(body)
    assert len(str(caught.value)) < 80  # a fixed text: nothing of the body comes back


def test_depth_is_refused_whatever_the_stack_has_left() -> None:
    body = b'{"ivr_key":123456,"x":' + b"[" * 2000 + b"]" * 2000 + b"}"

    def at_depth(frames: int) -> None:
        if frames:
            at_depth(frames - 1)
            return
        with pytest.raises(BadRequest):
            read_request(body)

    at_depth(300)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just("ivr_key"), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | json_values.map(lambda value: json.dumps({"ivr_key": value}, ensure_ascii=True).encode())
)
@example(b'{"ivr_key":')
@settings(deadline=None, max_examples=400)
def test_a_request_is_read_or_refused_and_nothing_else(body: bytes) -> None:
    try:
        key = read_request(body)
    except BadRequest:
        return
    assert key.isascii()
    assert key.isdigit()
    assert 1 <= len(key) <= 12


@given(st.integers(0, 999_999_999_999), st.booleans())
@settings(deadline=None)
def test_every_key_is_read_as_a_number_and_as_a_string(number: int, as_string: bool) -> None:
    assert read_request(json.dumps({"ivr_key": str(number) if as_string else number}).encode()) == str(number)


def test_a_payable_key_is_the_guides_success() -> None:
    body = b'{"response_code": 0, "amount": 200.00, "description": "Cargo IVR", "order_id": "ord-234"}'
    assert write_reply(payment_key()) == body


@pytest.mark.parametrize(
    ("state", "code", "description"),
    [
        (None, 1, "Clave de pago inválida"),  # guide L157-162
        (State.EXPIRED, 2, "La clave de pago ya venció"),
        (State.PAID, 3, "La clave de pago ya fue pagada"),
        (State.CANCELLED, 4, "La clave de pago fue cancelada"),
    ],
)
def test_a_refusal_has_a_code_a_text_and_nothing_else(
    state: State | None, code: int, description: str
) -> None:
    body = write_reply(payment_key(state=state) if state else None)
    assert json.loads(body) == {"response_code": code, "description": description}
    assert "\\u" not in body.decode()


@pytest.mark.parametrize(
    "text", ["0.01", "0.10", "1.00", "200.00", "19.99", "1000000.00", "999999999.99", "0.29", "4.35"]
)
def test_the_amount_is_a_number_with_two_decimals(text: str) -> None:
    body = write_reply(payment_key(amount=Decimal(text))).decode()
    assert f'"amount": {text},' in body
    assert json.loads(body, parse_float=Decimal)["amount"] == Decimal(text)


@given(st.integers(1, 99_999_999_999), st.text(st.characters(codec="utf-8")))
@settings(deadline=None)
def test_whatever_is_replied_is_strict_json(cents: int, text: str) -> None:
    body = write_reply(payment_key(amount=Decimal(cents).scaleb(-2), description=text)).decode("utf-8")
    reply = json.loads(body, parse_float=str)
    assert reply == {
        "response_code": 0,
        "amount": f"{cents // 100}.{cents % 100:02d}",
        "description": text,
        "order_id": "ord-234",
    }
    assert type(reply["response_code"]) is int


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 411, 413, 415, 418, 431, 500, 502, 503, 599])
def test_an_error_cannot_be_taken_for_a_success(status: int) -> None:
    assert json.loads(write_error(status)) == {"response_code": status, "description": describe(status)}
    assert describe(status)
