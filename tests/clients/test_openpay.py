"""The Openpay client against the stand-in over loopback, and against replies that it must not believe."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.web.client import ResponseNeverReceived

from ivr_sim.clients import OpenpayClient, OpenpayRefused, OpenpayUnreachable
from ivr_sim.errors import ConfigurationError

CUSTOMER = {
    "name": "Juan",
    "last_name": "Urbina",
    "email": "juan.test@correo.mx",
    "phone_number": "45155352828",
}
Run = Callable[..., Any]


@pytest.fixture
def client(openpay: SimpleNamespace) -> OpenpayClient:
    return OpenpayClient(reactor, openpay.url, openpay.merchant_id, openpay.private_key)


async def charge(client: OpenpayClient, card: Any, order_id: str, **more: Any) -> Any:
    token = await client.create_token(card, "JUAN URBINA")
    return await client.create_charge(token.id, Decimal("200.00"), "Cargo IVR", order_id, **more)


def test_token_charge_get_and_list(client: OpenpayClient, reactor_run: Run, make_card: Any) -> None:
    async def story() -> Any:
        token = await client.create_token(make_card(), "JUAN URBINA")
        made = await client.create_charge(
            token.id, Decimal("0.10"), "Cargo año & más", "ord/1 ñ?", metadata={"attempt": "a-1"}
        )
        return token, made, await client.get_charge(made.id), await client.list_charges(order_id="ord/1 ñ?")

    token, made, got, listed = reactor_run(story)
    assert token.card.card_number == "411111XXXXXX1111"
    assert (token.card.expiration_month, token.card.expiration_year) == ("12", "29")
    assert (made.status, made.amount, made.currency) == ("completed", Decimal("0.10"), "MXN")
    assert str(made.amount) == "0.10"
    assert made.authorization is not None
    assert made.metadata == {"attempt": "a-1"}
    assert made.description == "Cargo año & más"
    assert got == made
    assert listed == [made]


def test_an_amex_card(client: OpenpayClient, reactor_run: Run, make_card: Any) -> None:
    made = reactor_run(lambda: charge(client, make_card("345678000000007"), "o-1"))
    assert made.card.card_number == "345678XXXXX0007"
    assert made.card.brand == "american_express"


def test_an_ivr_charge(client: OpenpayClient, reactor_run: Run) -> None:
    made = reactor_run(lambda: client.create_ivr_charge(Decimal("200.00"), "Cargo IVR", "ord-234", CUSTOMER))
    assert made.status == "charge_pending"
    assert made.payment_method.type == "ivr"
    assert made.payment_method.phone_number == "525588969143"
    assert 100_000 <= made.payment_method.ivr_key <= 999_999
    assert made.payment_method.attempts == 0
    assert made.customer.name == "Juan"
    assert made.authorization is None


def test_a_decline_is_refused_with_its_code(client: OpenpayClient, reactor_run: Run, make_card: Any) -> None:
    with pytest.raises(OpenpayRefused) as refused:
        reactor_run(lambda: charge(client, make_card("4444444444444448"), "o-1"))
    assert (refused.value.http_status, refused.value.error_code) == (402, 3003)
    listed = reactor_run(lambda: client.list_charges(order_id="o-1"))
    assert [(c.status, c.error_code) for c in listed] == [("failed", 3003)]


def test_a_wrong_key(openpay: SimpleNamespace, reactor_run: Run) -> None:
    client = OpenpayClient(reactor, openpay.url, openpay.merchant_id, "sk_wrong")
    with pytest.raises(OpenpayRefused) as refused:
        reactor_run(lambda: client.get_charge("x"))
    assert (refused.value.http_status, refused.value.error_code) == (401, 1002)
    assert "sk_wrong" not in repr(vars(client))


def test_what_is_not_there(client: OpenpayClient, reactor_run: Run) -> None:
    with pytest.raises(OpenpayRefused) as refused:
        reactor_run(lambda: client.get_charge("tr/../../x"))
    assert (refused.value.http_status, refused.value.error_code) == (404, 1005)
    assert reactor_run(lambda: client.list_charges(order_id="nobody's")) == []


def test_pages_of_a_list(client: OpenpayClient, reactor_run: Run) -> None:
    async def story() -> Any:
        for n in range(5):
            await client.create_ivr_charge(Decimal("1"), "x", f"o-{n}", CUSTOMER)
        return await client.list_charges(limit=2, offset=1)

    assert [c.order_id for c in reactor_run(story)] == ["o-3", "o-2"]


# ------------------------------------------------------------------------------------ without a stand-in


@pytest.fixture
def get(canned: Any, now_or_later: Any) -> Callable[[Any], Any]:
    """Asks for a charge (or something else), is replied to so, and returns what came of it."""
    client = OpenpayClient(Clock(), "https://api.test/v1/", "m1", "sk_1", agent=canned)

    def get_(reply: Any, ask: Callable[[OpenpayClient], Any] = lambda c: c.get_charge("tr1")) -> Any:
        canned.replies.append(reply)
        outcome = now_or_later(ask(client))
        assert outcome.done
        return outcome.error or outcome.result

    return get_


def test_real_replies_may_say_less_and_more(get: Any, canned: Any) -> None:
    found = get((200, b'{"id":"tr1","status":"completed","amount":100,"new":[1],"metadata":{"a":1}}'))
    assert (found.amount, found.authorization, found.metadata) == (Decimal("100.00"), None, {"a": 1})
    assert canned.asked[0][:2] == ("GET", "https://api.test/v1/m1/charges/tr1")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"id":"x","status":"lost","amount":1}',
     b'{"id":"x","status":"completed","amount":1e999}', b'{"id":null,"status":"completed","amount":1}'],
)  # fmt: skip
def test_replies_that_cannot_be_read(get: Any, body: bytes) -> None:
    failed = get((200, body))
    assert isinstance(failed, OpenpayUnreachable)
    assert (failed.cause, failed.sent) == ("bad_reply", True)


def test_lists_that_are_none(get: Any) -> None:
    for body in (b"{}", b"[1]", b"null"):
        failed = get((200, body), lambda client: client.list_charges(order_id="o-1"))
        assert isinstance(failed, OpenpayUnreachable)


@pytest.mark.parametrize(
    ("error", "cause", "sent"),
    [
        (DNSLookupError(), "dns", False),
        (ConnectionRefusedError(), "connect", False),
        (ResponseNeverReceived([]), "broken", True),
    ],
)
def test_no_answer_tells_whether_the_request_had_left(get: Any, error: Any, cause: str, sent: bool) -> None:
    failed = get(error, lambda client: client.create_charge("k1", Decimal("1.00"), "a", "b"))
    assert isinstance(failed, OpenpayUnreachable)
    assert (failed.cause, failed.sent) == (cause, sent)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", None),
        (b"<html>Bad gateway</html>", None),
        (b"[1]", None),
        (b'{"error_code":"1015"}', None),
        (b'{"error_code":true}', None),
        (b'{"error_code":1015,"description":5}', 1015),
    ],
)
def test_errors_that_are_no_error_object(get: Any, body: bytes, code: int | None) -> None:
    refused = get((504, body))
    assert isinstance(refused, OpenpayRefused)
    assert (refused.http_status, refused.error_code) == (504, code)


def test_the_peers_words_are_kept_but_those_about_a_card(get: Any, make_card: Any) -> None:
    error = json.dumps({"error_code": 1001, "description": "order_id is not valid"}).encode()
    assert get((400, error)).description == "order_id is not valid"
    assert get((400, error), lambda client: client.create_token(make_card(), "X")).description == ""


@pytest.mark.parametrize("url", ["http://api.openpay.test/v1", "http://192.0.2.7/v1", "ftp://localhost/v1"])
def test_cards_travel_by_https_only(url: str) -> None:
    with pytest.raises(ConfigurationError, match="https://"):
        OpenpayClient(Clock(), url, "m", "sk_x")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8082/v1", "http://[::1]:8082/v1", "http://localhost/v1", "https://api.test/v1"]
)
def test_but_loopback_may_be_http(url: str) -> None:
    assert OpenpayClient(Clock(), url, "m", "sk_x")
