"""What of HTTP exchanges may be written down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import DNSLookupError
from twisted.internet.task import Clock
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers

from ivr_sim.clients.http import Body, Credentials, HttpClient, HttpFailed
from ivr_sim.clients.shown import HIDDEN, for_charge, for_key, for_token, harmless_headers
from ivr_sim.http_exchange import NOT_SHOWN, PAYMENT_KEY, HttpExchange

KEY = "510510510510"


@pytest.mark.parametrize(
    "reply",
    [
        f"La clave {KEY} no existe",
        "La clave 5105 1051 0510 no existe",
        "La clave 5-1-0-5-1-0-5-1-0-5-1-0 no existe",
        "[5, 1, 0, 5, 1, 0, 5, 1, 0]",
        "510510XXXXXX",
        "the first six: 051051",
        "\\u0035\\u0031\\u0030\\u0035\\u0031\\u0030",
        f"{'x' * 8190}{KEY}",
        f"{'1' * 8000} {KEY}",
    ],
)
def test_a_reply_does_not_repeat_the_key(reply):
    text = for_key(KEY).reply(reply.encode())
    digits = "".join(c for c in text if c.isdigit())
    assert not any(KEY[n : n + 6] in digits for n in range(7))


def test_of_a_reply_all_else_is_shown():
    body = '{"response_code": 0, "amount": 1200.50, "order_id": "2026-000123", "description": "Año"}'
    assert for_key("987654").reply(body.encode()) == body
    assert for_key("9876").sent == f'{{"ivr_key": {PAYMENT_KEY}}}'


def test_a_short_key_is_hidden_as_a_whole():
    assert for_key("9876").reply(b"no 9876, but 987") == f"no {PAYMENT_KEY}, but 987"
    assert for_key("9876").reply(b"there are 987 others") == "there are 987 others"


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400))
def test_any_reply_is_printable_and_short(body):
    for shown in (for_key(KEY), for_charge(), for_token(), HIDDEN):
        text = shown.reply(body * 40)
        assert len(text) < 4200
        assert all(c.isprintable() or c in "\n\t" for c in text)


def test_nothing_is_shown_about_a_card():
    assert for_token().sent == "(card, not shown)"
    assert for_token().reply(b'{"card_number": "411111XXXXXX1111"}') == "(about a card, not shown): 35 bytes"


def test_a_charge_without_what_tells_of_the_card():
    charge = {
        "id": "tr1", "amount": 200.5, "status": "completed", "authorization": "801585", "order_id": "ord-1",
        "card": {"card_number": "411111XXXXXX1111", "expiration_year": "31"}, "cvv2": "073",
        "customer": {"name": "Ana"}, "something_new": "4111111111111111",
        "metadata": {"attempt": "a", "n": 1.5},
        "description": "con 4111 1111 1111 1111 o 411111******1111",
    }  # fmt: skip
    text = for_charge().reply(json.dumps(charge).encode())
    shown = json.loads(text)
    assert {shown[name] for name in ("card", "cvv2", "customer", "something_new")} == {NOT_SHOWN}
    assert (shown["id"], shown["authorization"], shown["order_id"]) == ("tr1", "801585", "ord-1")
    assert shown["metadata"] == {"attempt": "a", "n": "1.5"}
    assert "1111" not in text
    assert json.loads(for_charge().reply(json.dumps([charge, 7]).encode())) == [shown, NOT_SHOWN]


def test_what_is_no_charge_is_shown_without_long_numbers():
    assert for_charge().reply(b"<h1>502 from 4000000000030124</h1>") == "<h1>502 from (not shown)</h1>"
    assert for_charge().reply(b'"text"') == f'"{NOT_SHOWN}"'
    assert for_charge().reply(b'{"amount": 1e99999}') == '{"amount":"1E+99999"}'


def test_a_charge_is_asked_without_its_token():
    asked = for_charge({"source_id": "ktoken", "amount": 5, "order_id": "o"}).sent
    assert json.loads(asked) == {"source_id": NOT_SHOWN, "amount": 5, "order_id": "o"}
    assert for_charge().sent == ""


def test_headers_that_matter():
    headers = {
        "content-type": "text/html",
        "set-cookie": "s=1",
        "location": "/x/4000000000030124",
        "date": "now",
    }
    assert harmless_headers(headers) == {
        "content-type": "text/html", "location": f"/x/{NOT_SHOWN}", "date": "now",
    }  # fmt: skip


class Response:
    """A reply, of which the body comes at once."""

    code = 200
    headers = Headers({"Content-Type": ["application/json"], "X-Own": ["1"]})

    def deliverBody(self, protocol: Any) -> None:  # noqa: N802
        protocol.dataReceived(b'{"response_code": 0}')
        from twisted.python.failure import Failure

        protocol.connectionLost(Failure(ResponseDone()))


class Agent:
    def __init__(self, answer: Deferred[Any]) -> None:
        self.answer = answer

    def request(self, *args: Any) -> Deferred[Any]:
        return self.answer


def ask(answer: Deferred[Any], on_exchange: Any, clock: Clock, **more: Any) -> Deferred[Any]:
    client = HttpClient(clock, timeout=5.0, agent=Agent(answer), on_exchange=on_exchange)
    url = "https://x.test/a?token=s3cret"
    return Deferred.fromCoroutine(
        client.request(
            "POST",
            url,
            headers={"Accept": "a"},
            credentials=Credentials("usr", "pwd"),
            body=Body("{}"),
            **more,
        )
    )


def test_an_exchange_as_it_is_told():
    told: list[HttpExchange] = []
    clock = Clock()
    answer: Deferred[Any] = Deferred()
    done = ask(answer, told.append, clock, shown=for_key("123456"))
    clock.advance(0.25)
    assert told == []
    answer.callback(Response())
    assert done.called
    assert told == [
        HttpExchange(
            service="authorizer",
            method="POST",
            url=f"https://x.test/a?{NOT_SHOWN}",
            sent_headers={"Accept": "a", "Authorization": f"Basic {NOT_SHOWN}", "Content-Length": "2"},
            sent=f'{{"ivr_key": {PAYMENT_KEY}}}',
            status=200,
            headers={"content-type": "application/json"},
            reply='{"response_code": 0}',
            cause=None,
            ms=250,
            connected_ms=None,
            first_byte_ms=250,
        )
    ]


def test_by_default_nothing_is_shown():
    told: list[HttpExchange] = []
    ask(succeed(Response()), told.append, Clock())
    assert told[0].sent == NOT_SHOWN
    assert told[0].reply == f"{NOT_SHOWN}: 20 bytes"


@pytest.mark.parametrize("cause", ["dns", "timeout", "cancelled"])
def test_exchanges_that_fail_are_told_of(cause):
    told: list[HttpExchange] = []
    clock = Clock()
    answer: Deferred[Any] = fail(DNSLookupError()) if cause == "dns" else Deferred()
    done = ask(answer, told.append, clock)
    raised: list[Any] = []
    done.addErrback(lambda failure: raised.append(failure.value))
    if cause == "timeout":
        clock.advance(5.0)
    elif cause == "cancelled":
        done.cancel()
    assert [(e.cause, e.status) for e in told] == [(cause, None)]
    assert isinstance(raised[0], CancelledError if cause == "cancelled" else HttpFailed)


def test_a_watcher_that_fails_costs_nothing(capsys):
    def watch(exchange: HttpExchange) -> None:
        raise RuntimeError("no")

    done = ask(succeed(Response()), watch, Clock())
    assert done.result.status == 200
    assert "a watcher of HTTP failed" in capsys.readouterr().out
