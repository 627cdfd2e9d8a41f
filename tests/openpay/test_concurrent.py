"""Two hundred charges of one order at once, over HTTP, and by the ledger: on each kind of database."""

from __future__ import annotations

import http.client
import json
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from ivr_sim.cards import Card, CardNumber, Expiry, SecurityCode
from ivr_sim.clients import Cashier, OpenpayAcquirer, OpenpayClient
from ivr_sim.dialogue.services import Payable
from ivr_sim.ledger import Ledger
from ivr_sim.openpay import Store, create_app
from ivr_sim.openpay.models import TokenRequest
from ivr_sim.openpay.tokens import create_token
from ivr_sim.wsgi import WebServer

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
MERCHANT, PRIVATE = "mzdtln0bmtms6o3kck8f", "sk_e568c42a6c384b7ab02cd47d2e407cab"
APPROVED, DECLINED = "4111111111111111", "4222222222222220"
MANY = 200

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def server(store: Store, on_reactor: Callable[..., Any]) -> Iterator[WebServer]:
    """The stand-in on a port, with a thread pool of its own."""
    app = create_app(store, merchant_id=MERCHANT, private_key=PRIVATE, public_key="pk_x", now=lambda: NOW)
    server = WebServer(reactor, app, name="openpay")

    async def stop() -> None:
        await server.stop()

    on_reactor(server.start)
    yield server
    on_reactor(stop)


def token(store: Store, number: str) -> str:
    card = {"card_number": number, "holder_name": "X", "cvv2": "123",
            "expiration_month": "12", "expiration_year": "29"}  # fmt: skip
    return create_token(store, MERCHANT, TokenRequest.model_validate(card), NOW).id


def all_at_once(port: int, bodies: list[dict[str, Any]]) -> list[tuple[int, int | None, str | None]]:
    """POST every body to /charges: each on a connection of its own that is there before the first is sent.

    Returns status, error_code and id of each.
    """
    ready = threading.Barrier(len(bodies))
    answers: list[tuple[int, int | None, str | None]] = []
    headers = {"Authorization": "Basic " + b64encode(f"{PRIVATE}:".encode()).decode()}

    def post(body: dict[str, Any]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
        connection.connect()
        ready.wait(30)
        connection.request("POST", f"/v1/{MERCHANT}/charges", json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        answers.append((response.status, answer.get("error_code"), answer.get("id")))

    threads = [threading.Thread(target=post, args=(body,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    return answers


@pytest.mark.parametrize("declined", [0, 50])
def test_of_200_charges_of_one_order_one_succeeds(store: Store, server: WebServer, declined: int) -> None:
    """The others are told 1006; a declined card among them may be told that first, and nothing else."""
    numbers = [DECLINED if n < declined else APPROVED for n in range(MANY)]
    tokens = [token(store, number) for number in numbers]
    answers = all_at_once(
        server.port,
        [
            {"method": "card", "source_id": token_id, "amount": 200.00, "description": "Cargo IVR",
             "order_id": "ord-234", "metadata": {"attempt": f"a-{n}"}}
            for n, token_id in enumerate(tokens)
        ],
    )  # fmt: skip
    counts = Counter((status, code) for status, code, _ in answers)
    refused = counts.pop((402, 3001), 0)
    assert refused <= declined
    assert counts == {(200, None): 1, (409, 1006): MANY - 1 - refused}
    kept = store.charges(order_id="ord-234")
    assert Counter(charge.status for charge in kept) == Counter(completed=1, failed=refused)
    [charged] = [charge.id for charge in kept if charge.status == "completed"]
    assert [answer[2] for answer in answers if answer[0] == 200] == [charged]


def test_of_200_charges_by_two_cashiers_one_succeeds(
    store: Store, server: WebServer, database_url: str, journal: Any, on_reactor: Callable[..., Any]
) -> None:
    """Two processes on one ledger, as it were; each charge has its outcome there in the end."""
    ledgers = [Ledger(database_url, now=lambda: NOW) for _ in range(2)]
    payable = Payable(key="123456", amount=Decimal("200.00"), order_id="ord-234", description="Cargo IVR")
    number = CardNumber(APPROVED)
    card = Card(number, Expiry.keyed("1229", date(2026, 11, 23)), SecurityCode("123", number.brand))

    async def charge() -> list[str]:
        client = OpenpayClient(reactor, f"{server.url}/v1", MERCHANT, PRIVATE, timeout=40)
        cashiers = [
            Cashier(
                OpenpayAcquirer(client, reactor), ledger, reactor,
                account=MERCHANT, journal=journal, now=lambda: NOW,
            )
            for ledger in ledgers
        ]  # fmt: skip
        for cashier in cashiers:
            await cashier.start()
        results = await gatherResults(
            Deferred.fromCoroutine(cashiers[n % 2].charge(payable, card, attempt=f"a-{n}", call="0001"))
            for n in range(MANY)
        )
        for cashier in cashiers:
            await cashier.stop()
        return [type(result).__name__ for result in results]

    results = Counter(on_reactor(charge, seconds=50))
    assert results == Counter(Approved=1, AlreadyPaid=MANY - 1)
    entries = ledgers[0].entries()
    for ledger in ledgers:
        ledger.close()
    assert Counter(entry.result for entry in entries) == Counter(approved=1, already_paid=MANY - 1)
    [charged] = store.charges(order_id="ord-234")
    assert charged.status == "completed"
    assert {entry.charge_id for entry in entries} <= {charged.id, None}
