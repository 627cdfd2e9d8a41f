"""The card is dropped, and its security code with it, when its charge has returned."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from ivr_sim.cards import Card, CardNumber, SecurityCode
from ivr_sim.clients.http import Body
from ivr_sim.dialogue.services import (
    AcquirerFailed,
    AlreadyPaid,
    Approved,
    Charged,
    Declined,
    Payable,
    Unknown,
)
from ivr_sim.journal import PromptStarted, Record

CODE = "951"  # of no other test
NUMBER = "4111111111111111"
ANSWERS = {
    "ask_key": "123456#",
    "ask_accept": "1",
    "ask_card": [NUMBER, NUMBER],
    "ask_expiry": ["1230", "1230"],
    "ask_cvv": [CODE, CODE],
    "ask_another_card": ["1", "2"],
}
Result = tuple[type, dict[str, Any]]


class Bank:
    """Charges once; its frame holds the card and a body made of it, as a client's does."""

    def __init__(self, results: list[Result]) -> None:
        self.results = results
        self.codes: list[str] = []

    async def earlier(self, payable: Payable) -> None:
        return None

    async def charge(self, payable: Payable, card: Card, *, attempt: str, call: str) -> Charged:
        body = Body(card.security_code.reveal())
        self.codes.append(card.security_code.reveal())
        kind, values = self.results.pop(0)
        if issubclass(kind, Exception):
            try:
                raise KeyError(body)
            except KeyError as cause:
                raise kind(**values) from cause
        return kind(**values)


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        ([(Approved, {"charge_id": "t", "authorization": "801585"})], "approved"),
        ([(Declined, {"error_code": 3001}), (Declined, {"error_code": 3003})], "declined"),
        ([(AlreadyPaid, {})], "key_refused"),
        ([(Unknown, {})], "unknown"),
        ([(AcquirerFailed, {"cause": "dns"})], "openpay_failed"),
        ([(ZeroDivisionError, {})], "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0][0].__name__,
)
def test_nobody_holds_the_card_once_its_charge_has_returned(
    stage: Any, journal: Any, results: list[Result], outcome: str
) -> None:
    bank = Bank(list(results))
    stage.acquirer = bank
    held: dict[str, list[str]] = {}

    def look(record: Record) -> None:
        """Whenever something is said, whoever still has a card, or a body to be sent."""
        if isinstance(record.event, PromptStarted) and bank.codes:
            alive = [o for o in gc.get_objects() if type(o) in (Card, SecurityCode, CardNumber, Body)]
            ours = [o for o in alive if id(o) not in strangers]
            held.setdefault(record.event.name, []).extend(type(o).__name__ for o in ours)

    gc.collect()  # what other tests have left
    strangers = {id(o) for o in gc.get_objects() if type(o) in (Card, SecurityCode, CardNumber, Body)}
    stop = journal.subscribe(look)
    gc.disable()
    try:
        ending = stage.play(ANSWERS)
    finally:
        gc.enable()
        stop()
    assert ending.outcome == outcome
    assert bank.codes == [CODE] * len(results)
    told = {
        name: names for name, names in held.items() if name not in ("ask_expiry", "ask_cvv", "one_moment")
    }
    assert len(told) >= 2
    assert not any(told.values()), told
